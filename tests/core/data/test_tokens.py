"""Labels cover exactly what the assistant says, for the templates of all the well-known families."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data import CheckedDataset, Conversation, Message, TokenCounter, encode, token_stats
from core.data.tokens import IGNORED, Example
from core.errors import UserError
from tests.core.data.dialogues import dialogues
from tests.core.data.templates import FAMILIES, tokenizer_for

TALK = [
    Message(role="user", content="Where?"),
    Message(role="assistant", content="In Havana, the capital."),
    Message(role="user", content="And then the sea?"),
    Message(role="assistant", content="a\nthe\n\nend 🦙"),
]
SYSTEM = Message(role="system", content="Be brief.")


def trained_runs(example: Example, family: str, merges: bool = False) -> list[str]:
    """The text of each unbroken run of trained tokens."""
    runs: list[list[int]] = []
    before = IGNORED
    for token, label in zip(example["input_ids"], example["labels"], strict=True):
        if label != IGNORED:
            assert label == token
            if before == IGNORED:
                runs.append([])
            runs[-1].append(token)
        before = label
    return [tokenizer_for(family, merges).decode(run, clean_up_tokenization_spaces=False) for run in runs]


def expected_runs(family: str, messages: list[Message]) -> list[str]:
    """Every answer with its end of turn; white space that the template itself puts before an answer counts with it."""
    answers = [message["content"] for message in messages if message["role"] == "assistant"]
    before = " " if family in ("llama2", "mistral") else ""
    runs = [before + answer + FAMILIES[family][2] for answer in answers]
    if family == "qwen3":
        runs[-1] = "<think>\n\n</think>\n\n" + runs[-1]
    return runs


@pytest.mark.parametrize("system", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_answer_is_trained_with_its_end_of_turn_and_nothing_else(family: str, system: bool) -> None:
    messages = [SYSTEM, *TALK] if system else TALK
    example = encode(tokenizer_for(family), messages, None)
    assert trained_runs(example, family) == expected_runs(family, messages)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(messages=dialogues(), merges=st.booleans())
def test_the_mask_holds_for_random_conversations(family: str, messages: list[Message], merges: bool) -> None:
    example = encode(tokenizer_for(family, merges), messages, None)
    runs = trained_runs(example, family, merges)
    expected = expected_runs(family, messages)
    assert len(runs) == len(expected)
    for run, answer in zip(runs, expected, strict=True):
        # A merged token may reach over the border between header and answer by one line break; it is trained whole.
        assert run == answer or (merges and run.lstrip("\n") == answer)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "gemma"])
def test_the_tokens_are_those_that_the_template_gives_at_inference(family: str) -> None:
    tokenizer = tokenizer_for(family)
    whole = tokenizer.apply_chat_template([SYSTEM, *TALK], tokenize=True, return_dict=False)
    assert encode(tokenizer, [SYSTEM, *TALK], None)["input_ids"] == whole


def test_the_prompt_at_inference_ends_where_training_begins() -> None:
    for family in FAMILIES:
        tokenizer = tokenizer_for(family)
        prompt = tokenizer.apply_chat_template(TALK[:3], add_generation_prompt=True, tokenize=True, return_dict=False)
        example = encode(tokenizer, TALK, None)
        assert example["input_ids"][: len(prompt)] == prompt
        assert example["labels"][len(prompt) - 1] == IGNORED and example["labels"][len(prompt)] != IGNORED


def test_a_system_prompt_without_a_place_in_the_template_goes_before_the_first_question() -> None:
    text = tokenizer_for("gemma").decode(encode(tokenizer_for("gemma"), [SYSTEM, *TALK], None)["input_ids"])
    assert "<start_of_turn>user\nBe brief.\n\nWhere?<end_of_turn>" in text


def test_a_template_that_leaves_the_system_prompt_out_does_not_lose_it() -> None:
    tokenizer = tokenizer_for("chatml")
    mute = (
        "{% for m in messages if m.role != 'system' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    original, tokenizer.chat_template = tokenizer.chat_template, mute
    try:
        assert "Be brief." in tokenizer.decode(encode(tokenizer, [SYSTEM, *TALK], None)["input_ids"])
    finally:
        tokenizer.chat_template = original


def test_an_answer_that_the_template_rewrites_is_refused_not_trained_wrongly() -> None:
    messages = [*TALK[:1], Message(role="assistant", content="<think>hm</think>Yes"), *TALK[2:]]
    with pytest.raises(UserError, match=r"rewrites the answer in message 2|refuses"):
        encode(tokenizer_for("qwen3"), messages, None)


def test_a_conversation_that_the_template_refuses_is_a_problem_of_its_row() -> None:
    counter = TokenCounter(tokenizer_for("gemma"), 512)
    counter.add(Conversation(3, [TALK[0], TALK[0], TALK[1]]))
    counter.add(Conversation(4, TALK))
    (problem,) = counter.problems
    assert problem.row == 3 and "roles must alternate" in problem.what
    assert len(counter.lengths) == 1


def test_plain_text_is_trained_from_its_first_token_to_its_end() -> None:
    tokenizer = tokenizer_for("chatml")
    example = encode(tokenizer, [Message(role="text", content="Once 🦙")], None)
    assert example["labels"] == example["input_ids"]
    assert tokenizer.decode(example["input_ids"]) == "Once 🦙<|im_end|>"


def test_cutting_keeps_ids_and_labels_aligned() -> None:
    whole, cut = encode(tokenizer_for("chatml"), TALK, None), encode(tokenizer_for("chatml"), TALK, 40)
    assert cut == {"input_ids": whole["input_ids"][:40], "labels": whole["labels"][:40]}
    assert all(label == IGNORED for label in encode(tokenizer_for("chatml"), TALK, 10)["labels"])


def test_statistics_count_what_is_there() -> None:
    talks = [TALK[:2], TALK[:2], TALK[:2], TALK]
    conversations = [Conversation(row, messages) for row, messages in enumerate(talks, start=1)]
    dataset = CheckedDataset("d", "file", "messages", "", 4, conversations, [], "")
    tokenizer = tokenizer_for("chatml")
    short, long = (encode(tokenizer, messages, None) for messages in (TALK[:2], TALK))
    lengths = len(short["input_ids"]), len(long["input_ids"])
    stats = token_stats(dataset, tokenizer, max_length=lengths[0])
    assert (stats.p50, stats.p95, stats.max) == (lengths[0], lengths[1], lengths[1])
    assert stats.mean == (3 * lengths[0] + lengths[1]) / 4
    assert stats.over_max_length == 1
    trained = sum(label != IGNORED for example in (short, short, short, long) for label in example["labels"])
    assert stats.trained_share == trained / (3 * lengths[0] + lengths[1])


def test_statistics_of_nothing_are_zero() -> None:
    assert TokenCounter(tokenizer_for("chatml"), 5).stats().max == 0
