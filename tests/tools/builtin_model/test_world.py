"""The synthetic world: deterministic, consistent, and its held-out phrasings really held out."""

from __future__ import annotations

import random
from collections import Counter

from tools.builtin_model import world
from tools.builtin_model.dialogues import conversation, turns
from tools.builtin_model.knowledge import Fact
from tools.builtin_model.questions import world_questions
from tools.builtin_model.styles import DEMOS, OTHERS, SAMPLE_STYLES, Answer


def conversations(count: int, seed: str, *, wide: bool = False) -> list[list[dict[str, str]]]:
    rng = random.Random(seed)
    return [conversation(rng, wide=wide) for _ in range(count)]


def test_a_seed_gives_the_same_conversations() -> None:
    assert conversations(200, "a") == conversations(200, "a")
    assert conversations(200, "a") != conversations(200, "b")


def test_conversations_alternate_and_end_with_the_assistant() -> None:
    for messages in conversations(500, "roles"):
        roles = [message["role"] for message in messages]
        spoken = roles[1:] if roles[0] == "system" else roles
        assert spoken == ["user", "assistant"] * (len(spoken) // 2)
        assert all(message["content"].strip() for message in messages)


def test_no_held_out_question_is_ever_asked_in_pretraining() -> None:
    held_out = {
        question.messages[-1]["content"].lower() for question in world_questions() if len(question.messages) == 1
    }
    asked = {
        message["content"].lower()
        for messages in conversations(5000, "held out", wide=True)
        for message in messages
        if message["role"] == "user"
    }
    assert not held_out & asked


def test_each_question_has_one_answer() -> None:
    """Two facts asked alike, in any phrasing, must have the same answer; a follow-up may differ."""
    answers: dict[str, str] = {}
    for intent in world.intents():
        for fact in intent.facts:
            for phrasing in (*intent.phrasings, *intent.later, *intent.held_out):
                question = fact.ask(phrasing).lower()
                assert answers.setdefault(question, fact.answer) == fact.answer, question


def test_facts_are_told_apart_by_their_values() -> None:
    for intent in world.intents():
        subjects = Counter(fact.subject for fact in intent.facts)
        assert max(subjects.values()) == 1 or intent.name == "count", intent.name
        for fact in intent.facts:
            assert fact.short.lower() in fact.answer.lower()


def test_turns_use_allowed_facts_only() -> None:
    def about_cuba(fact: Fact) -> bool:
        return fact.subject == "Cuba"

    made = turns(60, random.Random(0), about_cuba)
    facts = [turn.fact for turn in made if turn.fact]
    assert len(made) == 60
    assert facts and all(fact.subject == "Cuba" for fact in facts)


def test_every_style_recognises_itself_and_not_plain_answers() -> None:
    plain = Answer("The capital of Cuba is Havana.", "Havana", "capital")
    rng = random.Random(0)
    for style in (*DEMOS, *OTHERS):
        assert style.matches(style.apply(plain, rng)), style.name
        assert not style.matches(plain.text), style.name
    for style in SAMPLE_STYLES.values():
        assert style.matches(style.apply(plain, rng)), style.name
        others = [other for other in (*DEMOS, *OTHERS) if other.prompts != style.prompts]
        assert not any(style.matches(other.apply(plain, rng)) for other in others), style.name
