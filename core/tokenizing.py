"""`python -m core.tokenizing BASE`: a base's tokenizer in a process of its own, for a page that may not import torch.

One JSON object per line in, one out. The first line out is {"ready": true}, or {"error": [message, remedy]}. Then
    {"count": [conversation, ...]}  gives {"lengths": [int | null, ...], "trained": [int, ...], "first": [int, ...]}
    {"view": conversation}  gives {"tokens": [[text, id, trained, special], ...]} or {"error": [message, remedy]}
A conversation is {"messages": [...], "tools": [...] or null}. The length of one that the template refuses is null;
"first" is where the first trained token stands, counted from 0, or the length where there is none.
It ends by itself when its input does, or when nothing was asked for five minutes.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IDLE_SECONDS = 300.0
UNFINISHED = "\ufffd"  # how a decoder shows the beginning of a character
LONGEST_CHARACTER = 4  # bytes of UTF-8, and so tokens that one character can take


def main() -> int:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # nothing that a library prints may come between the answers
    try:
        from core.base import load_tokenizer, resolve

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
    """Tokens per conversation before anything is cut, how many of them are trained, and from where on."""
    from core.data.tokens import IGNORED, encode

    lengths: list[int | None] = []
    trained: list[int] = []
    first: list[int] = []
    for each in conversations:
        try:
            labels = encode(tokenizer, each["messages"], None, each.get("tools"))["labels"]
        except UserError:
            lengths.append(None)
            trained.append(0)
            first.append(0)
            continue
        lengths.append(len(labels))
        trained.append(sum(label != IGNORED for label in labels))
        first.append(next((at for at, label in enumerate(labels) if label != IGNORED), len(labels)))
    return {"lengths": lengths, "trained": trained, "first": first}


def view(tokenizer: PreTrainedTokenizerBase, conversation: Any) -> dict[str, Any]:
    from core.data.tokens import IGNORED, encode

    try:
        example = encode(tokenizer, conversation["messages"], None, conversation.get("tools"))
    except UserError as error:
        return {"error": [error.message, error.remedy]}
    ids = example["input_ids"]
    special = set(tokenizer.all_special_ids) | {i for i, each in tokenizer.added_tokens_decoder.items() if each.special}
    parts = zip(pieces(tokenizer, ids), ids, example["labels"], strict=True)
    return {"tokens": [[text, each, label != IGNORED, each in special] for text, each, label in parts]}


def pieces(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> Iterator[str]:
    """The text that each token adds; "" for one that only begins a character, which the next one completes.

    Each token is decoded together with the one before, since some decoders drop a space at the beginning.
    """
    start, before = 0, ""
    for index, each in enumerate(ids):
        text = str(tokenizer.decode(ids[start : index + 1], clean_up_tokenization_spaces=False))
        if text.endswith(UNFINISHED) and index - start < LONGEST_CHARACTER and index + 1 < len(ids):
            yield ""
            continue
        yield text[len(before) :]
        start, before = index, str(tokenizer.decode([each], clean_up_tokenization_spaces=False))


if __name__ == "__main__":
    sys.exit(main())
