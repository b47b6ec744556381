"""Labels cover exactly what the assistant says, for the templates of all the well-known families."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from adapters.common.errors import UserError
from core.data import CheckedDataset, Conversation, Message, TokenCounter, encode, token_stats
from core.data.tokenize.encode import IGNORED
from tests.core.data.dialogues import dialogues, words
from tests.core.data.rows import engine_prompt, only_row, trained_runs, trained_spans
from tests.core.data.tokenize.templates import CHATML, FAMILIES, changed, sentencepiece_for, tokenizer_for
from tests.sweeps import sweep

TALK = [
    Message(role="user", content="Where?"),
    Message(role="assistant", content="In Havana, the capital."),
    Message(role="user", content="And then the sea?"),
    Message(role="assistant", content="a\nthe\n\nend 🦙"),
]
SYSTEM = Message(role="system", content="Be brief.")


def expected_runs(family: str, messages: list[Message]) -> list[str]:
    """Every answer with its end of turn; what the template itself puts between prompt and answer counts with it."""
    answers = [message["content"] for message in messages if message["role"] == "assistant"]
    before = {"llama2": " ", "mistral": " ", "qwen3": "<think>\n\n</think>\n\n"}.get(family, "")
    return [before + answer + FAMILIES[family][2] for answer in answers]


def all_runs(tokenizer: Any, messages: list[Message]) -> list[str]:
    return [run for row in encode(tokenizer, messages).examples for run in trained_runs(tokenizer, row)]


def answers_begin(tokenizer: Any, messages: list[Message]) -> list[list[int]]:
    """The tokens before each run of trained ones, from the beginning of its row."""
    rows = encode(tokenizer, messages).examples
    return [row["input_ids"][:start] for row in rows for start, _ in trained_spans(row)]


@pytest.mark.parametrize("system", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_answer_is_trained_with_its_end_of_turn_and_nothing_else(family: str, system: bool) -> None:
    messages = [SYSTEM, *TALK] if system else TALK
    assert all_runs(tokenizer_for(family), messages) == expected_runs(family, messages)


@pytest.mark.parametrize("family", sweep(FAMILIES, fast=("llama3", "mistral")))
@settings(max_examples=25)
@given(messages=dialogues(), merges=st.booleans())
def test_in_random_talks_each_answer_follows_the_very_tokens_that_chat_sends(
    family: str, messages: list[Message], merges: bool
) -> None:
    """Also where a line break of the prompt and the answer's first letter would make one token."""
    tokenizer = tokenizer_for(family, merges)
    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    assert answers_begin(tokenizer, messages) == [engine_prompt(tokenizer, messages[:index]) for index in answers]
    assert all_runs(tokenizer, messages) == expected_runs(family, messages)


@pytest.mark.parametrize("prepend", ["first", "always", "never"])
@pytest.mark.parametrize("family", FAMILIES)
def test_answers_follow_chats_tokens_also_where_a_tokenizer_puts_a_space_before_words(
    family: str, prepend: str
) -> None:
    tokenizer = sentencepiece_for(family, prepend)
    assert answers_begin(tokenizer, TALK) == [engine_prompt(tokenizer, TALK[:index]) for index in (1, 3)]
    got = [run.strip() for run in all_runs(tokenizer, TALK)]
    assert got == [run.strip() for run in expected_runs(family, TALK)]


@pytest.mark.parametrize("prepend", ["first", "always", "never"])
def test_an_answer_goes_on_behind_the_space_that_the_prompt_ends_with(prepend: str) -> None:
    vicuna = (
        "{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }} {% else %}ASSISTANT: {{ m.content }}</s>"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT: {% endif %}"
    )
    tokenizer = sentencepiece_for("llama2", prepend)
    with changed(tokenizer, vicuna):
        assert answers_begin(tokenizer, TALK) == [engine_prompt(tokenizer, TALK[:index]) for index in (1, 3)]
        assert all_runs(tokenizer, TALK) == [TALK[1]["content"] + "</s>", TALK[3]["content"] + "</s>"]


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "qwen3"])
def test_one_row_holds_the_whole_talk_where_the_template_writes_each_turn_once(family: str) -> None:
    tokenizer = tokenizer_for(family)
    whole = tokenizer.apply_chat_template(TALK, tokenize=True, return_dict=False)
    assert only_row(tokenizer, TALK)["input_ids"] == whole


def test_a_long_talk_is_rendered_once_and_not_for_every_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tokenizer_for("chatml")
    encode(tokenizer, TALK)  # learns the template
    rendered: list[int] = []
    render = tokenizer.apply_chat_template

    def counted(messages: list[Message], **rest: Any) -> Any:
        rendered.append(len(messages))
        return render(messages, **rest)

    monkeypatch.setattr(tokenizer, "apply_chat_template", counted)
    row = only_row(tokenizer, TALK * 200)
    assert rendered == [len(TALK) * 200]
    assert len(trained_spans(row)) == 400


def test_a_system_prompt_without_a_place_in_the_template_goes_before_the_first_question() -> None:
    text = tokenizer_for("gemma").decode(only_row(tokenizer_for("gemma"), [SYSTEM, *TALK])["input_ids"])
    assert "<start_of_turn>user\nBe brief.\n\nWhere?<end_of_turn>" in text


def test_a_template_that_leaves_the_system_prompt_out_does_not_lose_it() -> None:
    tokenizer = tokenizer_for("chatml")
    mute = CHATML.replace("in messages", "in messages if m.role != 'system'")
    with changed(tokenizer, mute):
        assert "Be brief." in tokenizer.decode(only_row(tokenizer, [SYSTEM, *TALK])["input_ids"])


def test_an_earlier_answer_that_the_template_rewrites_is_trained_in_a_row_of_its_own() -> None:
    tokenizer = tokenizer_for("qwen3")
    messages = [*TALK[:1], Message(role="assistant", content="Yes"), *TALK[2:]]
    first, second = encode(tokenizer, messages).examples
    assert trained_runs(tokenizer, first) == ["<think>\n\n</think>\n\nYes<|im_end|>"]
    assert trained_runs(tokenizer, second) == ["<think>\n\n</think>\n\na\nthe\n\nend 🦙<|im_end|>"]
    assert "<|im_start|>assistant\nYes<|im_end|>" in tokenizer.decode(second["input_ids"])


def test_an_answer_that_the_template_leaves_out_is_refused_and_not_trained_without_it() -> None:
    tokenizer = tokenizer_for("chatml")
    shouting = "{% for m in messages %}<|im_start|>{{ m.content | replace('a', 'A') }}<|im_end|>\n{% endfor %}"
    with changed(tokenizer, shouting), pytest.raises(UserError, match="rewrites the answer in message 2"):
        encode(tokenizer, TALK)


@pytest.mark.parametrize(
    "failing", ["{{ 1 + 'a' }}", "{{ messages[0].content.nothing.there }}", "{{ 1 / 0 }}", "{% oops"]
)
def test_a_template_that_fails_in_any_way_is_a_problem_of_the_row(failing: str) -> None:
    tokenizer = tokenizer_for("chatml")
    with changed(tokenizer, failing):
        counter = TokenCounter(tokenizer, 512)
        counter.add(Conversation(7, TALK))
    (problem,) = counter.problems
    assert problem.row == 7 and "chat template refuses this conversation" in problem.what


def test_a_conversation_that_the_template_refuses_is_a_problem_of_its_row() -> None:
    counter = TokenCounter(tokenizer_for("gemma"), 512)
    counter.add(Conversation(3, [TALK[0], TALK[0], TALK[1]]))
    counter.add(Conversation(4, TALK))
    (problem,) = counter.problems
    assert problem.row == 3 and "roles must alternate" in problem.what
    assert len(counter.lengths) == 1


def words_of(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=20)
@given(said=words(), edges=st.lists(st.integers(0, 60), min_size=2, max_size=6))
def test_characters_marked_as_context_are_not_trained_and_all_others_are(
    family: str, said: str, edges: list[int]
) -> None:
    """Also where the template strips the answer, or writes something before it."""
    tokenizer, content, end = tokenizer_for(family), f" {said}\n", words_of(FAMILIES[family][2])
    edges = sorted({min(edge, len(content)) for edge in edges})
    spans = [[low, high] for low, high in zip(edges[::2], edges[1::2], strict=False)]
    untrained = {at for low, high in spans for at in range(low, high)}
    expected = words_of("".join(letter for at, letter in enumerate(content) if at not in untrained))
    try:
        runs = all_runs(tokenizer, [TALK[0], Message(role="assistant", content=content, untrained=spans)])
    except UserError as error:
        assert not expected and "Nothing of it would be trained" in error.message
        return
    ended = len(content.rstrip()) - 1 not in untrained
    trained = words_of("".join(runs)).removeprefix("<think></think>")
    assert trained == (expected + end if ended else expected)


def test_a_turn_whose_second_half_is_context_is_trained_up_to_there() -> None:
    tokenizer = tokenizer_for("chatml")
    half = Message(role="assistant", content="Yes. Maybe not.", untrained=[[4, 15]])
    assert all_runs(tokenizer, [TALK[0], half]) == ["Yes."]
    half["untrained"] = [[0, 5]]
    assert all_runs(tokenizer, [TALK[0], half]) == ["Maybe not.<|im_end|>"]
    half["untrained"] = [[0, 15]]
    with pytest.raises(UserError, match="every answer is marked as context"):
        encode(tokenizer, [TALK[0], half])


def test_what_was_thought_is_told_once_where_it_has_no_place() -> None:
    thought = [TALK[0], Message(role="assistant", content="Yes", reasoning_content="Because."), *TALK[2:]]
    counter = TokenCounter(tokenizer_for("chatml"), 512)
    for row in range(3):
        counter.add(Conversation(row, thought if row else TALK))
    (told,) = counter.encoding_notes.sentences()
    assert told.startswith("What was thought (reasoning) is left out in 2 of 3 conversations")


def test_a_conversation_of_several_rows_is_counted_row_by_row_and_told() -> None:
    tokenizer = tokenizer_for("qwen3")
    counter = TokenCounter(tokenizer, 70)
    counter.add(Conversation(1, TALK))
    rows = encode(tokenizer, TALK).examples
    assert list(counter.lengths) == [len(row["input_ids"]) for row in rows] and len(rows) == 2
    assert "1 conversations become 2 rows" in counter.encoding_notes.sentences()[0]
    (note,) = counter.notes
    assert note.what.startswith(f"It has {max(counter.lengths)} tokens; what is beyond 70 is cut")


def test_plain_text_is_trained_from_its_first_token_to_its_end() -> None:
    tokenizer = tokenizer_for("chatml")
    example = only_row(tokenizer, [Message(role="text", content="Once 🦙")])
    assert example["labels"] == example["input_ids"]
    assert tokenizer.decode(example["input_ids"]) == "Once 🦙<|im_end|>"


def test_a_text_that_brings_its_own_mark_of_beginning_has_it_once() -> None:
    tokenizer = copy.deepcopy(tokenizer_for("llama3"))
    tokenizer.bos_token = begin = "<|begin_of_text|>"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{begin} $A", special_tokens=[(begin, tokenizer.bos_token_id)]
    )
    for text in ("Once", f"{begin}Once", f"{begin}{begin}Once"):
        example = only_row(tokenizer, [Message(role="text", content=text)])
        assert tokenizer.decode(example["input_ids"]) == f"{begin}Once<|eot_id|>"


def test_statistics_count_what_is_there() -> None:
    talks = [TALK[:2], TALK[:2], TALK[:2], TALK]
    conversations = [Conversation(row, messages) for row, messages in enumerate(talks, start=1)]
    dataset = CheckedDataset("d", "file", "messages", "", 4, conversations, [], "")
    tokenizer = tokenizer_for("chatml")
    short, long = (only_row(tokenizer, messages) for messages in (TALK[:2], TALK))
    lengths = len(short["input_ids"]), len(long["input_ids"])
    stats = token_stats(dataset, tokenizer, max_length=lengths[0])
    assert (stats.p50, stats.p95, stats.max) == (lengths[0], lengths[1], lengths[1])
    assert stats.mean == (3 * lengths[0] + lengths[1]) / 4
    assert stats.over_max_length == 1
    trained = sum(label != IGNORED for example in (short, short, short, long) for label in example["labels"])
    assert stats.trained_share == trained / (3 * lengths[0] + lengths[1])


def test_statistics_of_nothing_are_zero() -> None:
    assert TokenCounter(tokenizer_for("chatml"), 5).stats().max == 0
