"""By which signs a text that holds a whole conversation is told from prose, and one dialect from another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from core.data.formats.markup import CHATML, HARMONY_SIGN, MARKUPS
from core.data.formats.text_edges import skip_beginning_marks


@dataclass(frozen=True)
class Sign:
    """`first` is what only this dialect has; where that may stand in any text, `needs` must stand behind it too.

    `hints`: one of them is in every text of the dialect, which most texts are quickly seen not to have.
    """

    hints: tuple[str, ...]
    first: re.Pattern[str]
    needs: re.Pattern[str] | None = None

    def position(self, text: str) -> int | None:
        if not any(hint in text for hint in self.hints):
            return None
        found = self.first.search(text)
        if found is None or (self.needs and not self.needs.search(text, found.start())):
            return None
        return found.start()


# Who asks and who answers in transcripts, on lines of their own: "Human: …", "Assistant: …".
SPEAKERS = (
    (("Human", "human", "User", "user"), ("Assistant", "assistant", "AI", "Bot", "bot", "Chatbot", "ChatGPT", "GPT")),
    (("Q",), ("A",)),
    (("Question",), ("Answer",)),
    (("Instruction",), ("Response", "Output")),
)


MISTRAL_SIGN = r"\[(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS)\]"
RENDERED = "|".join([*(markup.sign for markup in MARKUPS), HARMONY_SIGN])
SIGNS: dict[str, tuple[Sign, ...]] = {
    "chatml": (Sign(("<|im_start|>",), re.compile(CHATML.sign)),),
    "rendered": (Sign(("<|", "<｜", "<start_of_turn>", "[|"), re.compile(RENDERED)),),
    "llama2": (Sign(("[INST]", "[SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]"), re.compile(MISTRAL_SIGN)),),
    "guanaco": (Sign(("###",), re.compile(r"###[ \t]*(?:Human|User|Assistant|System):")),),
    "vicuna": (
        Sign(
            ("ASSISTANT:",),
            re.compile(r"(?:\A|(?<=\s)|(?<=</s>))(?:USER|ASSISTANT):"),
            re.compile(r"(?:\A|(?<=\s)|(?<=</s>))ASSISTANT:"),
        ),
    ),
    "alpaca-text": tuple(
        Sign(("###",), re.compile(rf"###[ \t]*{asks}:"), re.compile(rf"###[ \t]*(?:{answers}):"))
        for asks, answers in (("Instruction", "Response|Output|Answer"), ("Question", "Answer|Response"))
    ),
    "transcript": tuple(
        Sign(
            tuple(f"{name}:" for name in answers),
            re.compile(rf"\A\s*(?:{'|'.join((*asks, 'System'))}):"),
            re.compile(rf"^[ \t]*(?:{'|'.join(answers)}):", re.M),
        )
        for asks, answers in SPEAKERS
    ),
}


@lru_cache(maxsize=4)  # every format asks of the same text
def detect_dialect(text: str) -> str | None:
    """The dialect whose sign comes first; others may stand further on, as quotations. None for prose."""
    text = text[skip_beginning_marks(text)[0] :]
    first = {
        name: min(positions)
        for name, signs in SIGNS.items()
        if (positions := [at for sign in signs if (at := sign.position(text)) is not None])
    }
    return min(first, key=lambda name: first[name]) if first else None
