"""`python -m core.models.tokenizer_worker BASE`: a tokenizer in a process of its own, for a page without torch.

One JSON object per line in, one out. The first line out is {"ready": true}, or {"error": [message, remedy]}. Then
    {"count": [conversation, ...]}  gives {"rows": [[[length, trained, first], ...] | null, ...]}
    {"view": conversation}  gives {"rows": [[[text, id, trained, special], ...], ...]} or {"error": [message, remedy]}
A conversation is {"messages": [...], "tools": [...] or null}, and becomes one or more training rows; null where the
template refuses it. "first" is where a row's first trained token stands, counted from 0.
It ends by itself when its input does, or when nothing was asked for five minutes.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from adapters.common.errors import UserError
from core.common.collector import imported_to_stay

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IDLE_SECONDS = 300.0
UNFINISHED = "\ufffd"  # how a decoder shows the beginning of a character
LONGEST_CHARACTER = 4  # bytes of UTF-8, and so tokens that one character can take


def main() -> int:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # nothing that a library prints may come between the answers
    try:
        from core.models.base import load_tokenizer, resolve

        with imported_to_stay("transformers"):  # by what reads one
            tokenizer = load_tokenizer(resolve(sys.argv[1]))
    except UserError as error:
        say(answers, {"error": [error.message, error.remedy]})
        return 1
    say(answers, {"ready": True})
    # Nobody asks before the last answer has come, so a line never hides in the buffer while select() looks at the pipe.
    while select.select([sys.stdin], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        asked = json.loads(line)
        say(answers, view(tokenizer, asked["view"]) if "view" in asked else count(tokenizer, asked["count"]))
    return 0


def say(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def count(tokenizer: PreTrainedTokenizerBase, conversations: list[Any]) -> dict[str, Any]:
    """Of each training row its tokens before anything is cut, how many of them are trained, and from where on."""
    from core.data.tokenize.encode import IGNORED, count_trained, encode

    rows: list[list[tuple[int, int, int]] | None] = []
    for conversation in conversations:
        try:
            labels = [
                row["labels"] for row in encode(tokenizer, conversation["messages"], conversation.get("tools")).examples
            ]
        except UserError:
            rows.append(None)
            continue
        first = [next(at for at, label in enumerate(row) if label != IGNORED) for row in labels]
        rows.append([(len(row), count_trained(row), at) for row, at in zip(labels, first, strict=True)])
    return {"rows": rows}


def view(tokenizer: PreTrainedTokenizerBase, conversation: Any) -> dict[str, Any]:
    from core.data.tokenize.encode import IGNORED, encode

    try:
        examples = encode(tokenizer, conversation["messages"], conversation.get("tools")).examples
    except UserError as error:
        return {"error": [error.message, error.remedy]}
    special = set(tokenizer.all_special_ids) | {
        i for i, added in tokenizer.added_tokens_decoder.items() if added.special
    }
    rows = []
    for example in examples:
        ids = example["input_ids"]
        parts = zip(pieces(tokenizer, ids), ids, example["labels"], strict=True)
        rows.append([(text, token, label != IGNORED, token in special) for text, token, label in parts])
    return {"rows": rows}


def pieces(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> Iterator[str]:
    """The text that each token adds; "" for one that only begins a character, which the next one completes.

    Each token is decoded together with the one before, since some decoders drop a space at the beginning.
    """
    start, before = 0, ""
    for index, token in enumerate(ids):
        text = str(tokenizer.decode(ids[start : index + 1], clean_up_tokenization_spaces=False))
        if text.endswith(UNFINISHED) and index - start < LONGEST_CHARACTER and index + 1 < len(ids):
            yield ""
            continue
        yield text[len(before) :]
        start, before = index, str(tokenizer.decode([token], clean_up_tokenization_spaces=False))


if __name__ == "__main__":
    sys.exit(main())
