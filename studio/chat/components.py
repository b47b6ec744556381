"""The components of the Chat tab that its handlers read and change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.answers.ask import GenerationSettings
from studio.answers.badge import badge
from studio.answers.history import History
from studio.chat.columns import COLUMNS, Column
from studio.chat.composer import ChatBar, Composer
from studio.chat.conversations_panel import ConversationsPanel
from studio.chat.settings import NAMES, ChatSettings
from studio.compare.voting import VotingRow
from studio.engine.client import BASE


@dataclass(frozen=True)
class ChatComponents:
    bar: ChatBar
    conversations: ConversationsPanel
    columns: list[Column]
    voting: VotingRow
    composer: Composer
    settings: ChatSettings

    @property
    def adapters(self) -> list[gr.Dropdown]:
        return [column.adapter for column in self.columns]

    @property
    def chatbots(self) -> list[gr.Chatbot]:
        return [column.chatbot for column in self.columns]

    @property
    def badges(self) -> list[gr.HTML]:
        return [column.badge for column in self.columns]

    @property
    def continue_buttons(self) -> list[gr.Button]:
        return [column.continue_button for column in self.columns]

    @property
    def inputs(self) -> list[Any]:
        """What ChatInputs.of takes apart."""
        return [*self.settings.all, *self.adapters, *self.chatbots]

    @property
    def emptied_outputs(self) -> list[Any]:
        """What `emptied` changes."""
        columns = [part for column in self.columns for part in (column.chatbot, column.badge, column.continue_button)]
        voting = [self.voting.round, self.voting.ballot, self.voting.row]
        return [*columns, *voting, self.conversations.current, self.conversations.name]

    def emptied(self) -> dict[Any, Any]:
        """A new chat: columns without messages, no blind round, nothing to vote on."""
        updates: dict[Any, Any] = {}
        for column in self.columns:
            updates[column.chatbot] = []
            updates[column.badge] = badge(None)
            updates[column.continue_button] = gr.Button(visible=False)
        return {**updates, self.voting.round: None, **self.voting.closed(), **self.conversations.unsaved()}


@dataclass(frozen=True)
class ChatInputs:
    """What stands in all columns, shown or not, and the settings that they share."""

    settings: GenerationSettings
    models: list[str]
    histories: list[History]

    @classmethod
    def of(cls, values: Sequence[Any]) -> ChatInputs:
        """The values of `ChatComponents.inputs`, as handlers get them."""
        settings, models = values[: len(NAMES)], values[len(NAMES) : len(NAMES) + COLUMNS]
        histories = values[len(NAMES) + COLUMNS :]
        return cls(
            GenerationSettings(*settings),
            [model or BASE for model in models],
            [history or [] for history in histories],
        )
