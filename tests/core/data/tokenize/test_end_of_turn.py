"""What ends an answer: found for any template, the same for labels and engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig

from adapters.common.errors import UserError
from core.data import Conversation, Message, TokenCounter
from core.data.tokenize.encode import encode
from core.data.tokenize.end_of_turn import find_end_of_turn, stop_ids
from core.models.base import load_tokenizer
from studio.cli.doctor import answer_end_tokens
from tests.core.data.rows import trained_runs
from tests.core.data.tokenize.templates import changed, tokenizer_for
from tests.core.serving import tiny

TALK = [
    Message(role="user", content="Where?"),
    Message(role="assistant", content="In Havana."),
    Message(role="user", content="Since when?"),
    Message(role="assistant", content="1519."),
]
TURNS = "{% for m in messages %}"
# name -> (template, what is trained of TALK, rows); the tokenizer's end of text is <|endoftext|>.
ENDS: dict[str, tuple[str, list[str], int]] = {
    "another mark than the end of text": (
        TURNS
        + "<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
        ["In Havana.<|end|>", "1519.<|end|>"],
        1,
    ),
    "none": (
        TURNS + "{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
        [" In Havana.<|endoftext|>", " 1519.<|endoftext|>"],
        2,
    ),
    "only the next speaker's mark": (
        TURNS + "<|{{ m.role }}|>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
        ["In Havana.<|endoftext|>", "1519.<|endoftext|>"],
        2,
    ),
    "a mark between turns, and none behind the last": (
        TURNS + "<|{{ m.role }}|>{{ m.content }}{% if not loop.last %}<|end|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|end|><|assistant|>{% endif %}",
        ["In Havana.<|end|>", "1519.<|end|>"],
        1,
    ),
    "the end of text as a separator, at the beginning too": (
        "<|endoftext|>"
        + TURNS
        + "{{ m.role }}: {{ m.content }}{% if not loop.last %}<|endoftext|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|endoftext|>assistant: {% endif %}",
        ["In Havana.<|endoftext|>", "1519.<|endoftext|>"],
        1,
    ),
    "two marks": (
        TURNS + "<|{{ m.role }}|>{{ m.content }}<|system|><|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}",
        ["In Havana.<|system|><|end|>", "1519.<|system|><|end|>"],
        1,
    ),
    "another mark at the end of the whole": (
        TURNS + "<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% else %}<|endoftext|>{% endif %}",
        ["In Havana.<|end|>", "1519.<|end|>"],
        1,
    ),
    "a mark that also stands within an answer": (
        TURNS + "<|{{ m.role }}|>{% if m.reasoning_content %}{{ m.reasoning_content }}<|end|>{% endif %}{{ m.content }}"
        "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
        ["In Havana.<|end|><|endoftext|>", "1519.<|end|><|endoftext|>"],
        2,
    ),
}


@pytest.fixture
def tokenizer() -> Any:
    return tokenizer_for("phi")


@pytest.mark.parametrize("case", ENDS)
def test_every_answer_ends_with_a_token_at_which_the_engine_stops_and_holds_none_before(
    case: str, tokenizer: Any
) -> None:
    template, runs, rows = ENDS[case]
    with changed(tokenizer, template):
        encoded = encode(tokenizer, TALK)
        assert [run for row in encoded.examples for run in trained_runs(tokenizer, row)] == runs
        assert len(encoded.examples) == rows
        stops = stop_ids(tokenizer)
        for row in encoded.examples:
            trained = [label for label in row["labels"] if label in stops]
            assert len(trained) == len(trained_runs(tokenizer, row))
            assert row["labels"][-1] in (-100, *stops)


def test_an_end_that_was_put_there_is_told(tokenizer: Any) -> None:
    template, _, _ = ENDS["none"]
    with changed(tokenizer, template):
        counter = TokenCounter(tokenizer, 512)
        counter.add(Conversation(1, TALK))
        told = " ".join(counter.encoding_notes.sentences())
    assert "writes no end of its own behind an answer: <|endoftext|> was put there, in 1 of 1 conversations" in told


def test_a_call_may_end_with_a_mark_of_its_own(tokenizer: Any) -> None:
    template = (
        TURNS + "<|{{ m.role }}|>"
        "{% for c in m.tool_calls or [] %}{{ c.function.name }}<|system|>{% else %}{{ m.content }}<|end|>"
        "{% endfor %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    closing_each = template.replace("<|system|>{% else", "<|user|>{% else")
    with changed(tokenizer, template.replace("m.tool_calls or []", "(m.tool_calls or [])[:1]")):
        assert find_end_of_turn(tokenizer).stops == {"<|end|>", "<|endoftext|>", "<|system|>"}
    with changed(tokenizer, closing_each):  # behind each of several calls: the answer may go on
        assert find_end_of_turn(tokenizer).stops == {"<|end|>", "<|endoftext|>"}


def test_the_engine_stops_at_the_templates_mark_the_end_of_text_and_what_the_base_names(tokenizer: Any) -> None:
    ids = tokenizer.convert_tokens_to_ids(["<|end|>", "<|endoftext|>"])
    assert stop_ids(tokenizer) == set(ids)
    assert stop_ids(tokenizer, GenerationConfig(eos_token_id=[3, 5])) == {*ids, 3, 5}
    assert stop_ids(tokenizer, GenerationConfig(eos_token_id=3)) == {*ids, 3}


def test_a_long_run_of_white_space_in_an_answer_is_read_in_one_go(tokenizer: Any) -> None:
    """Patterns that try each place anew would take the square of its length."""
    template, _, _ = ENDS["none"]
    blank = Message(role="assistant", content=f"a{' ' * 300_000}b")
    with changed(tokenizer, template):
        (row,) = encode(tokenizer, [TALK[0], blank]).examples
    assert len(row["input_ids"]) > 300_000


def test_a_base_on_which_no_answer_could_end_is_refused(tokenizer: Any) -> None:
    eos, tokenizer.eos_token = tokenizer.eos_token, None
    try:
        with changed(tokenizer, ENDS["none"][0]), pytest.raises(UserError, match="no end-of-text token"):
            encode(tokenizer, TALK)
    finally:
        tokenizer.eos_token = eos


def test_doctor_says_at_which_tokens_answers_end(tmp_path: Path) -> None:
    assert answer_end_tokens("builtin") == "<|end|>"
    folder = tiny.base_folder(tmp_path / "base")
    assert answer_end_tokens(str(folder)) == "</s>"
    tokenizer = load_tokenizer(tiny.source(folder))
    tokenizer.chat_template = tiny.CHAT_TEMPLATE.replace("</s>", "")
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 3]}')
    said = "</s> <|user|> (the chat template writes no end: training puts </s> there)"
    assert answer_end_tokens(str(folder)) == said
    assert answer_end_tokens("nobody/nothing here") is None
