"""Datasets for tests."""

from __future__ import annotations

from core.data import CheckedDataset, Conversation, Message


def dataset_of(*answers: str) -> CheckedDataset:
    conversations = [
        Conversation(row, [Message(role="user", content=f"Question {row}"), Message(role="assistant", content=answer)])
        for row, answer in enumerate(answers, start=1)
    ]
    return CheckedDataset("mine", "file", "messages", "", len(answers), conversations, [], "")
