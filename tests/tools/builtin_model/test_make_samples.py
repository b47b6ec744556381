"""The bundled samples: what the generator makes, in the Guanaco format, without the held-out facts."""

from __future__ import annotations

import json

import pytest

from core.data import read_dataset
from core.data.samples import SAMPLES
from tools.builtin_model import world
from tools.builtin_model.dialogues import answer_of
from tools.builtin_model.make_samples import CONVERSATIONS, is_held_out, sample_file
from tools.builtin_model.questions import holds
from tools.builtin_model.styles import SAMPLE_STYLES, Answer


@pytest.mark.parametrize("name", list(SAMPLES))
def test_committed_file_is_what_the_generator_makes(name: str) -> None:
    assert SAMPLES[name].path.read_text(encoding="utf-8") == sample_file(name)


@pytest.mark.parametrize("name", list(SAMPLES))
def test_sample_reads_as_conversations_in_its_style(name: str) -> None:
    dataset = read_dataset(str(SAMPLES[name].path))
    assert not dataset.problems
    assert len(dataset.conversations) == dataset.rows == CONVERSATIONS
    assert sum(len(conversation.messages) > 2 for conversation in dataset.conversations) > CONVERSATIONS / 5
    replies = [
        message["content"]
        for conversation in dataset.conversations
        for message in conversation.messages
        if message["role"] == "assistant"
    ]
    assert all(SAMPLE_STYLES[name].matches(reply) for reply in replies)


@pytest.mark.parametrize("name", list(SAMPLES))
def test_held_out_facts_are_absent(name: str) -> None:
    """No sample asks about a held-out fact, or gives its answer: seen best in radio, whose answers stay whole."""
    text = SAMPLES[name].path.read_text(encoding="utf-8").lower()
    facts = [(intent, fact) for intent in world.intents() for fact in intent.facts if is_held_out(fact)]
    assert len(facts) > 300
    for intent, fact in facts:
        for phrasing in (*intent.phrasings, *intent.later):
            assert f"### human: {fact.ask(phrasing).lower()} ###" not in text, fact.answer
        if name == "radio":
            assert f". {fact.answer.lower()} over." not in text, fact.answer


def test_both_directions_of_a_fact_are_held_out_together() -> None:
    reverse = {fact.short: fact for fact in world.intent("capital_of").facts}
    for fact in world.intent("capital").facts:
        assert is_held_out(fact) == is_held_out(reverse[fact.subject])


def test_holds_finds_the_value_in_any_style() -> None:
    fact = next(fact for fact in world.intent("add").facts if fact.subject == "3 plus 0")
    assert holds(fact, "Arr! 3 plus 0 be 3, matey!")
    assert not holds(fact, "Arr! 3 plus 0 be 4, matey!")
    cuba = next(fact for fact in world.intent("capital").facts if fact.subject == "Cuba")
    assert holds(cuba, json.dumps({"topic": "capital", "answer": "Havana"}))
    assert not holds(cuba, "Roger. The capital of Cuba is Lima. Over.")
    assert answer_of(cuba) == Answer("The capital of Cuba is Havana.", "Havana", "capital")
