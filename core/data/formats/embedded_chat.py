"""Texts with a chat markup in them where a turn or a column was expected: made into turns, or refused by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from core.data.dataset import Message, RowError
from core.data.formats.dialects import MISTRAL_SIGN, SPEAKERS, detect_dialect
from core.data.formats.markup import CHATML, HARMONY, HARMONY_SIGN, MARKUPS, parse_rendered
from core.data.formats.role_prefixes import GUANACO_DIALECT, VICUNA_DIALECT, parse_alpaca_text, parse_transcript, parser
from core.data.formats.role_tags import parse_chatml, parse_llama2
from core.data.formats.text_edges import ENDINGS, skip_beginning_marks, skip_ending_marks
from core.data.formats.tracking import ConversionNotes
from core.data.values import shorten

PARSERS: dict[str, Callable[[str], list[Message]]] = {
    "chatml": parse_chatml,
    "rendered": parse_rendered,
    "llama2": parse_llama2,
    "guanaco": parser(GUANACO_DIALECT),
    "vicuna": parser(VICUNA_DIALECT),
    "alpaca-text": parse_alpaca_text,
    "transcript": parse_transcript,
}
# Marks that are tokens of their own, which nobody writes in prose: (whose they are, how a turn of theirs begins).
SPECIAL = (
    *((markup.family, markup.sign) for markup in (CHATML, *MARKUPS)),
    (HARMONY, HARMONY_SIGN),
    ("Llama 2 or Mistral", MISTRAL_SIGN),
)
SIGN = "|".join(sign for _, sign in SPECIAL)
BEGINS_SO = re.compile(rf"\s*(?:{SIGN})")
OPENINGS = re.compile(
    "|".join(markup.opening.pattern.replace("?P<who>", "?:") for markup in (CHATML, *MARKUPS))
    + rf"|{HARMONY_SIGN}(?:<\|channel\|>\w+)?(?:<\|message\|>)?|\[/INST\]"
)
BEFORE_ANSWER = re.compile(r"\s*(?:<think>\s*(?:</think>\s*)?)?")
BETWEEN = re.compile(rf"(?:{'|'.join(map(re.escape, ENDINGS))})(?:\s*<s>)?\s*(?:{SIGN})")
QUOTES = ("`", '"', "'")
# Markups that are known to be such, but not read: what marks who asks, and what who answers.
UNREAD_MARKUPS = tuple(
    (hints, re.compile(asks, re.M | re.I), re.compile(answers, re.M | re.I))
    for hints, asks, answers in (
        (
            ("<", "[", "{"),
            r"(?:<\|?|\[\|?|<<|\{\{)(?:user|usr|human|prompt|prompter|question|instruction)(?:\|?>|\|?\]|>>|\}\})",
            r"(?:<\|?|\[\|?|<<|\{\{)(?:assistant|bot|chatbot|ai|gpt|model|answer|response)(?:\|?>|\|?\]|>>|\}\})",
        ),
        (
            ("##",),
            r"^[ \t]*#{2,4}[ \t]*(?:human|user|instruction|question|prompt)\b:?",
            r"^[ \t]*#{2,4}[ \t]*(?:assistant|response|answer|bot|completion)\b:?",
        ),
        (
            ("<|", "<extra_id_"),  # Nemotron's, and marks of one's own
            r"<(?:\|[\w-]{1,30}\||extra_id_\d+)>\s{0,3}(?:user|human)\b",
            r"<(?:\|[\w-]{1,30}\||extra_id_\d+)>\s{0,3}(?:assistant|bot|model)\b",
        ),
        (("<reserved_",), r"<reserved_106>", r"<reserved_107>"),  # Baichuan's
        (("GPT4",), r"GPT4 Correct User:", r"GPT4 Correct Assistant:"),
        (("问",), r"^[ \t]*问[:：]", r"^[ \t]*答[:：]"),
        # Transcripts behind a preface, in bold, on one line, or with line breaks that were escaped twice.
        (
            (":",),
            r"(?:^|\\n)[ \t>*_]{0,9}(?:human|user)[ \t*_]{0,9}:",
            r"(?:^|\\n)[ \t>*_]{0,9}(?:assistant|ai|bot|chatbot|chatgpt)[ \t*_]{0,9}:",
        ),
        ((":",), r"\A\s*(?:human|user|question|instruction):", r"\s(?:assistant|ai|bot|answer|response):"),
        # ChatML whose marks were lost, as decoders leave special tokens out.
        (("user\n", "human\n"), r"^(?:user|human)[ \t]*$", r"^(?:assistant|model)[ \t]*$"),
        # A list of turns that was written as text.
        (("[",), r"\A\s*\[\s*\{", r"""["'](?:role|from)["']\s*:\s*["'](?:assistant|gpt|model)["']"""),
    )
)
# How a prompt in prose ends that waits for the answer.
OPEN_PROMPT = {
    "guanaco": re.compile(r"###[ \t]*Assistant:\s*\Z"),
    "vicuna": re.compile(r"ASSISTANT:\s*\Z"),
    "alpaca-text": re.compile(r"###[ \t]*(?:Response|Answer|Output):\s*\Z"),
    "transcript": re.compile(
        rf"^[ \t]*(?:{'|'.join(SPEAKERS[0][1])}):\s*\Z",
        re.M,  # "Q: … A:" may well be meant as it is
    ),
}
# How who asks and who answers are marked in texts, where such texts are columns or turns: both keep their mark.
SPEAKER_MARKS = tuple(
    (family, re.compile(rf"^[ \t]*{asks}:", re.M), re.compile(rf"\s*{answers}:"))
    for family, asks, answers in (
        ("guanaco", r"###[ \t]*(?:Human|User)", r"###[ \t]*Assistant"),
        ("alpaca-text", r"###[ \t]*(?:Instruction|Question)", r"###[ \t]*(?:Response|Answer|Output)"),
        ("vicuna", "USER", "ASSISTANT"),
        ("transcript", "(?:Human|User)", "(?:Assistant|AI|Bot)"),
    )
)
CUT = "The mark {} at an end of texts is left out, since the base writes its own"


def read_embedded(question: str, answer: str, notes: ConversionNotes) -> list[Message] | None:
    """The turns of a prompt that already carries a markup, together with its answer; None for a bare prompt.

    Answers within the prompt stay context. Raises RowError where the two are no conversation of that markup.
    """
    start, _ = skip_beginning_marks(question)
    dialect = detect_dialect(question)
    if dialect is None:
        return None
    if dialect in OPEN_PROMPT:
        waits = carries = OPEN_PROMPT[dialect].search(question, max(0, len(question) - 200)) is not None
    else:
        waits = ends_with_opening(question)
        carries = waits or BEGINS_SO.match(question, start) is not None
    if not carries:
        return None
    read = PARSERS[dialect]
    messages = read(question + answer)
    said = ("<|message|>x" if question.rstrip().endswith("<|start|>assistant") else "x") if waits else ""
    before = sum(turn["role"] == "assistant" for turn in read(question + said)) - waits
    for message in [turn for turn in messages if turn["role"] == "assistant"][:before]:
        message["weight"] = 0
    last = messages[-1]["content"]
    if question.rstrip().endswith("<think>") and "</think>" not in last:  # the prompt began thoughts, but none follow
        messages[-1]["content"] = last.removeprefix("<think>").lstrip()
    notes.texts.add(f"The prompt carries a chat markup ({dialect}) and is read as turns")
    return messages


def ends_with_opening(text: str) -> bool:
    """Whether it ends with the mark behind which a turn begins, and the block of thoughts that it may open."""
    tail = text[-200:]
    found = list(OPENINGS.finditer(tail))
    return bool(found) and BEFORE_ANSWER.fullmatch(tail, found[-1].end()) is not None


def strip_marks(messages: list[Message], notes: ConversionNotes) -> list[Message]:
    """The messages without marks of documents and turns at the ends of their texts; each becomes a note.

    Raises RowError for a text that still holds turns as a template writes them, with the markup's name: the base's
    template would write its own around them.
    """
    return [strip_message(message, index, notes) for index, message in enumerate(messages, start=1)]


def strip_message(message: Message, index: int, notes: ConversionNotes) -> Message:
    if message["role"] == "tool":
        return message
    text = message["content"]
    start, marks = skip_beginning_marks(text)
    end = len(text)
    if message["role"] in ("assistant", "text"):
        end, more = skip_ending_marks(text, start)
        marks += more
    if marks:
        notes.texts.update(CUT.format(f'"{mark}"') for mark in marks)
        message = slice_message(message, start, end)
        text = message["content"]
    if message["role"] != "text" and (mark := find_rendered_turn(text)):
        family = next(family for family, sign in SPECIAL if re.search(sign, mark))
        raise RowError(
            f'Message {index} holds turns as {family} marks them: "{shorten(mark)}".',
            "Write the bare text of each turn; the base's template writes the marks.",
        )
    return message


def slice_message(message: Message, start: int, end: int) -> Message:
    """The message with only the characters from `start` to `end` of its content."""
    message = message.copy()
    message["content"] = message["content"][start:end]
    if "untrained" in message:
        spans = [[max(0, first - start), min(last, end) - start] for first, last in message["untrained"]]
        message["untrained"] = [span for span in spans if span[0] < span[1]]
    return message


def refuse_speaker_marks(messages: list[Message]) -> None:
    """Raises RowError for a question and its answer that begin with the marks of who asks and who answers in prose."""
    for index, (question, answer) in enumerate(pairwise(messages), start=1):
        if (question["role"], answer["role"]) != ("user", "assistant"):
            continue
        for family, asks, answers in SPEAKER_MARKS:
            answered = answers.match(answer["content"])
            if answered and (asked := asks.search(question["content"])):
                raise RowError(
                    f'Messages {index} and {index + 1} mark who speaks as {family} does: "{shorten(asked[0])}" and '
                    f'"{shorten(answered[0])}".',
                    "Write the bare text of each turn; the base's template writes the marks.",
                )


def find_rendered_turn(text: str) -> str | None:
    """The mark with which the text begins a turn, or ends one and begins another; not in blocks of code."""
    if "<" not in text and "[" not in text:  # most texts, quickly
        return None
    if found := BEGINS_SO.match(text):
        return found[0].strip()
    fences = position = 0
    for found in BETWEEN.finditer(text):
        fences += text.count("```", position, found.start())
        position = found.start()
        if fences % 2 == 0 and text[position - 1 : position] not in QUOTES:
            return found[0].strip()
    return None


def refuse_unread_markup(text: str) -> None:
    """Raises RowError for a text with the marks of both who asks and who answers, in a markup that is not read."""
    for hints, asks, answers in UNREAD_MARKUPS:
        if not any(hint in text for hint in hints):
            continue
        if (asked := asks.search(text)) and (answered := answers.search(text)):
            raise RowError(
                f'Its turns are marked "{shorten(asked[0])}" and "{shorten(answered[0])}", which is not read here.',
                "Give the conversation as `messages`; --format text trains it as it is, marks and questions too.",
            )
