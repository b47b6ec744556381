"""Which characters of an answer are context only, found again in the text that the template makes of it."""

from __future__ import annotations

from itertools import pairwise

from core.data.dataset import Message


def untrained_spans(text: str, answer: tuple[int, int], start: int, message: Message) -> list[tuple[int, int]] | None:
    """Spans of `text` for message["untrained"]; None where the content is not there word for word.

    answer: where in `text` the answer stands with all that belongs to it. start: where its content begins. What the
    template puts before the content or behind it (an empty <think> block, the end of the turn) goes with the word next
    to it. The template may have stripped the content, so that each piece of it is looked for behind the one before.
    """
    marks = message.get("untrained")
    if not marks:
        return []
    content = message["content"]
    edges = sorted({0, len(content), *(min(edge, len(content)) for span in marks for edge in span)})
    pieces = [(low, high) for low, high in pairwise(edges) if content[low:high].strip()]
    spans, position = [], start
    for number, (low, high) in enumerate(pieces, start=1):
        piece = content[low:high]
        begin = text.find(piece.strip(), position, answer[1])
        if begin < 0:
            return None
        end = begin + len(piece.strip())
        if any(mark[0] <= low and high <= mark[1] for mark in marks):
            before = text[max(position, begin - leading_whitespace(piece)) : begin][::-1]
            behind = text[end : end + leading_whitespace(piece[::-1])]
            begin -= leading_whitespace(before)
            trailing = leading_whitespace(behind)
            spans.append(
                (
                    answer[0] if number == 1 and not message.get("reasoning_content") else begin,
                    answer[1] if number == len(pieces) and not message.get("tool_calls") else end + trailing,
                )
            )
        position = end
    return spans


def leading_whitespace(text: str) -> int:
    """How many characters of white space it begins with."""
    return len(text) - len(text.lstrip())
