"""Every chat template that TRL ships: trained are the assistant's tokens and their end, behind the prompt of chat."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.data.tokenize.chat_template import ChatTemplate, TemplateRefused
from core.data.tokenize.encode import Encoded, encode
from core.data.tokenize.end_of_turn import stop_ids
from tests.core.data.rows import engine_prompt, trained_runs, trained_spans
from tests.core.data.tokenize import shipped_templates as shipped
from tests.core.data.tokenize.shipped_templates import NAMES, TALKS, encoded, runs, tokenizer_of
from tests.sweeps import sweep

DOCS = Path(__file__).parents[4] / "docs" / "chat-templates.md"
# Those that refuse such turns, or leave a call out.
WITHOUT_TOOLS = {
    *("cohere", "cohere2", "deepseek_r1_distill", "deepseekv3", "gemma", "gemma3", "idefics3", "lfm2", "llama3"),
    *("llava_next", "phi3", "phi3_5", "qwen2_5_vl", "smolvlm"),
}
# The templates that TRL has no training version of.
BY_HAND = {
    **{name: ["In Havana.<turn|>", "1519.<turn|>"] for name in NAMES if name.startswith("gemma4")},
    **{name: ["In Havana.<|eot_id|>", "1519.<|eot_id|>"] for name in ("llama3_1", "llama3_2")},
}
# Where TRL trains an answer as it stands in history, with another end, or in another turn than the prompt opens.
AS_IN_HISTORY = {("gptoss", "turns"), ("gptoss", "tools"), ("glm4moe", "tools"), ("diffusion_gemma", "tools")}
TEMPLATES = sweep(NAMES, fast=("llama3_1", "gemma3", "qwen3", "deepseekv3", "gptoss"))


def test_all_of_trls_templates_are_here() -> None:
    assert len(NAMES) == 41


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_answer_follows_chats_own_tokens_and_ends_where_the_engine_stops(name: str) -> None:
    tokenizer, stops = tokenizer_of(name), stop_ids(tokenizer_of(name))
    for talk, (messages, tools) in TALKS.items():
        found = encoded(name, talk)
        if not isinstance(found, Encoded):
            assert talk == "tools", f"{talk}: {found}"
            continue
        answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
        spans = [(row["input_ids"], *span) for row in found.examples for span in trained_spans(row)]
        assert len(spans) == len(answers), talk
        for index, (ids, start, end) in zip(answers, spans, strict=True):
            history = messages[:index]
            if tools:
                text = ChatTemplate.of(tokenizer, tools).render(history, prompt=True)
                assert ids[:start] == tokenizer.encode(text, add_special_tokens=False), talk
            else:
                assert ids[:start] == engine_prompt(tokenizer, history), talk
            assert ids[end - 1] in stops, talk
            assert not stops.intersection(ids[start : end - 1]), f"{talk}: chat would stop within the answer"
            assert messages[index]["content"].strip() in tokenizer.decode(ids[start:end]), talk


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_trained_is_what_trl_trains_but_for_the_differences_in_the_docs(name: str) -> None:
    for talk in ("plain", "turns", "system", "tools"):
        ours, differs = runs(name, talk), shipped.difference(name)
        if differs is None:
            assert talk != "turns" or ours == BY_HAND[name]
        elif ours is not None and (name, talk) not in AS_IN_HISTORY and (name, talk) != ("gemma", "system"):
            assert trl_runs(name, talk) == differs.of(ours), talk


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_was_thought_before_the_newest_answer_is_trained_as_trl_does_wherever_it_has_a_place(name: str) -> None:
    ours, differs = runs(name, "reasoning"), shipped.difference(name)
    assert ours is not None
    if differs and not name.startswith(("deepseek", "nemotron", "qwen3_5_nothink")):
        assert trl_runs(name, "reasoning")[-1] == differs.of(ours)[-1]
    if name.startswith(("deepseek", "nemotron")):  # the prompt has opened the block; TRL's DeepSeek drops it
        assert ours[0].startswith("Cuba, so") and ours[0].count("</think>") == 1


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_think_block_in_an_answer_is_trained_or_left_out_and_never_refused(name: str) -> None:
    """The last form is what chat shows, and keeps, where the prompt has opened the block."""
    for thought in ("<think>Cuba, so</think>", "<think>\nCuba, so\n</think>\n\n", "Cuba, so\n</think>\n\n"):
        talk = [shipped.user("Where?"), shipped.said(f"{thought}In Havana.")]
        found = encode(tokenizer_of(name), [*talk, shipped.user("Since when?"), shipped.said("1519.")])
        first = trained_runs(tokenizer_of(name), found.examples[0])[0]
        assert "In Havana." in first, thought
        assert ("Cuba, so" in first) == (not found.dropped), thought
        prompt = ChatTemplate.of(tokenizer_of(name)).render(talk[:1], prompt=True)
        assert first.count("</think>") <= 1 + prompt.count("<think>") - prompt.count("</think>"), thought
        assert "\n\n\n" not in first, thought  # the line breaks between the block and what is said are there once


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_answer_that_speaks_of_think_tags_is_trained_word_for_word_or_refused(name: str) -> None:
    words = "Use <think> and then </think> around it."
    try:
        found = encode(tokenizer_of(name), [shipped.user("How?"), shipped.said(words)])
    except TemplateRefused:
        return
    assert words in trained_runs(tokenizer_of(name), found.examples[0])[0]


@pytest.mark.parametrize("name", sweep(sorted(set(NAMES) - WITHOUT_TOOLS), fast=("llama3_1", "qwen3", "gptoss")))
def test_what_was_thought_before_a_call_and_after_it_is_trained_wherever_calls_are(name: str) -> None:
    tokenizer = tokenizer_of(name)
    calling = shipped.said("", tool_calls=[shipped.CALL], reasoning_content="To look up")
    talk = [
        shipped.user("Weather?"),
        calling,
        shipped.RESULT,
        shipped.said("It is cool.", reasoning_content="So be it"),
    ]
    found = encode(tokenizer, talk, shipped.TOOLS)
    spans = [(row["input_ids"], *span) for row in found.examples for span in trained_spans(row)]
    assert len(spans) == 2
    for (ids, start, end), history in zip(spans, (talk[:1], talk[:3]), strict=True):
        prompt = ChatTemplate.of(tokenizer, shipped.TOOLS).render(history, prompt=True)
        assert ids[:start] == tokenizer.encode(prompt, add_special_tokens=False)
        assert ids[end - 1] in stop_ids(tokenizer)
    said = [tokenizer.decode(ids[start:end]) for ids, start, end in spans]
    assert "It is cool." in said[1]
    assert found.dropped or ("To look up" in said[0] and "So be it" in said[1])


@pytest.mark.parametrize("name", TEMPLATES)
def test_characters_marked_as_context_are_followed_in_an_answer_with_reasoning_too(name: str) -> None:
    answer = shipped.said("one two three", untrained=[[4, 8]], reasoning_content="Counting, so")
    tokenizer = tokenizer_of(name)
    (row,) = encode(tokenizer, [shipped.user("Count!"), answer]).examples
    first, last = trained_runs(tokenizer, row)
    assert first.endswith("one") and last.strip().startswith("three") and "two" not in first + last


def test_tools_are_refused_only_where_the_template_does_not_show_them() -> None:
    assert {name for name in NAMES if runs(name, "tools") is None} == WITHOUT_TOOLS


def trl_runs(name: str, talk: str) -> list[str]:
    """The text of each unbroken run of tokens that TRL's own mask trains."""
    tokenizer, (messages, tools) = tokenizer_of(name), TALKS[talk]
    parts = ChatTemplate.of(tokenizer).manner.parts
    rendered = tokenizer.apply_chat_template(
        [
            {**message, "content": [{"type": "text", "text": message["content"]}]} if parts else message
            for message in messages
        ],
        tools=tools,
        chat_template=shipped.trl_template(name),
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    found: list[list[int]] = [[]]
    for token, mask in zip(rendered["input_ids"], rendered["assistant_masks"], strict=True):
        if mask:
            found[-1].append(token)
        elif found[-1]:
            found.append([])
    return [tokenizer.decode(run) for run in found if run]


def test_the_table_in_the_docs_is_what_the_templates_do() -> None:
    """`python -m tests.core.data.tokenize.shipped_templates` prints it."""
    assert shipped.table() in DOCS.read_text(encoding="utf-8")
