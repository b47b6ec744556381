"""Marks at the ends of a text: where a document or a turn begins and ends. The base's own template writes its own."""

from __future__ import annotations

import re

BEGINNINGS = (
    "<s>",
    "<bos>",
    "<|begin_of_text|>",
    "<|startoftext|>",
    "<|endoftext|>",
    "<BOS_TOKEN>",
    "<｜begin▁of▁sentence｜>",
    "[gMASK]<sop>",
    "[gMASK]",
    "<sop>",
    "[BOS]",
)
ENDINGS = (
    "</s>",
    "<eos>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|eot|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|end_of_turn|>",
    "<|endofturn|>",
    "[|endofturn|]",
    "<end_of_turn>",
    "<turn|>",
    "<end_of_utterance>",
    "<|END_OF_TURN_TOKEN|>",
    "<EOS_TOKEN>",
    "<｜end▁of▁sentence｜>",
    "[EOS]",
)
LONGEST = max(map(len, ENDINGS)) + 100  # with white space behind it
FIRST = re.compile(rf"\s*({'|'.join(map(re.escape, BEGINNINGS))})\s*")
LAST = re.compile(rf"({'|'.join(map(re.escape, ENDINGS))})\s*\Z")
# HTML's <s>, which strikes text through: it is closed before the text ends, and no document begins behind it.
STRUCK = re.compile(r"\s*<s>[^<]*</s>(?!\s*(?:<s>|\Z))")


def skip_beginning_marks(text: str) -> tuple[int, list[str]]:
    """Where the text begins behind such marks and the white space beside them, and the marks; 0 where there is none."""
    start, marks = 0, []
    while (found := FIRST.match(text, start)) and not STRUCK.match(text, start):
        start = found.end()
        marks.append(found[1])
    return start, marks


def skip_ending_marks(text: str, start: int = 0) -> tuple[int, list[str]]:
    """Where what begins at `start` ends before such marks and the white space beside them, and the marks."""
    end, marks = len(text), []
    struck = text.find("<s>", start)
    while found := LAST.search(text, max(start, end - LONGEST), end):
        if found[1] == "</s>" and 0 <= struck < found.start():
            break  # HTML's
        end = found.start()
        while end > start and text[end - 1].isspace():
            end -= 1
        marks.append(found[1])
    return end, marks


def strip_edges(text: str) -> str:
    """What was said, without marks and white space at its ends."""
    text = text.strip()
    start, _ = skip_beginning_marks(text)
    end, _ = skip_ending_marks(text, start)
    return text[start:end].strip()
