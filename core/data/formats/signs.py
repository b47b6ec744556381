"""By which signs a text that holds a whole conversation is told from prose, and one dialect from another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from core.data.formats.edges import beginning
from core.data.formats.markup import CHATML, HARMONY_SIGN, MARKUPS


@dataclass(frozen=True)
class Sign:
    """`first` is what only this dialect has; where that may stand in any text, `needs` must stand behind it too.

    `begins`: believed only at the beginning of a text.
    """

    first: re.Pattern[str]
    needs: re.Pattern[str] | None = None
    begins: bool = False

    def position(self, text: str) -> int | None:
        found = self.first.search(text)
        if found is None or (self.begins and text[: found.start()].strip()):
            return None
        return found.start() if self.needs is None or self.needs.search(text, found.start()) else None


# Who asks and who answers in transcripts, on lines of their own: "Human: …", "Assistant: …".
SPEAKERS = (
    (("Human", "human", "User", "user"), ("Assistant", "assistant", "AI", "Bot", "bot", "Chatbot", "ChatGPT", "GPT")),
    (("Q",), ("A",)),
    (("Question",), ("Answer",)),
    (("Instruction",), ("Response", "Output")),
)


def line_of(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"^[ \t]*(?:{'|'.join(names)}):", re.M)


MISTRAL_SIGN = r"\[(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS)\]"
RENDERED = re.compile("|".join([*(each.sign for each in MARKUPS), HARMONY_SIGN]))
SIGNS: dict[str, tuple[Sign, ...]] = {
    "chatml": (Sign(re.compile(CHATML.sign)),),
    "rendered": (Sign(RENDERED),),
    "llama2": (Sign(re.compile(MISTRAL_SIGN)),),
    "guanaco": (Sign(re.compile(r"###[ \t]*(?:Human|User|Assistant|System):")),),
    "vicuna": (
        Sign(
            re.compile(r"(?:\A|(?<=\s)|(?<=</s>))(?:USER|ASSISTANT):"),
            re.compile(r"(?:\A|(?<=\s)|(?<=</s>))ASSISTANT:"),
        ),
    ),
    "alpaca-text": (
        Sign(re.compile(r"###[ \t]*Instruction:"), re.compile(r"###[ \t]*(?:Response|Output|Answer):")),
        Sign(re.compile(r"###[ \t]*Question:"), re.compile(r"###[ \t]*(?:Answer|Response):")),
    ),
    "transcript": tuple(Sign(line_of((*asks, "System")), line_of(answers), begins=True) for asks, answers in SPEAKERS),
}


@lru_cache(maxsize=4)  # every format asks of the same text
def dialect_of(text: str) -> str | None:
    """The dialect whose sign comes first; others may stand further on, as quotations. None for prose."""
    text = text[beginning(text)[0] :]
    first = {
        name: min(positions)
        for name, signs in SIGNS.items()
        if (positions := [at for sign in signs if (at := sign.position(text)) is not None])
    }
    return min(first, key=lambda name: first[name]) if first else None
