"""Which languages conversations are in: a guess by their letters and commonest words, which costs next to nothing."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from core.data.dataset import Conversation

# Words that hardly any text of the language goes without. Some belong to several; the sum decides.
COMMON_WORDS = {
    "English": "the and of to is in that it for you was with are this have not be what which on as can i a an how "
    "where who why do does has my your me we they he she at by or from if but there would will tell",
    "German": "der die das und ist nicht ich ein eine zu den mit auf für sie es auch wie von dem im sind was er",
    "French": "le la les et est une un des que pour dans pas qui sur avec vous je il ce du au de sont plus elle ce",
    "Spanish": "el la los las y es que en una un por con para no del se como está más su son al lo qué de",
    "Portuguese": "o a os as e é que em um uma não para com do da por como mais se você são ao dos na no de",
    "Italian": "il lo la gli e è che di un una per non con del sono come più della anche si le i nel ha",
    "Dutch": "de het een en van is dat niet ik zijn op voor met je te ook aan maar die er wat in zo naar",
    "Swedish": "och att det är som en på för inte med jag av till den ett har du om kan de vad i så",
    "Polish": "w i na nie się jest to że z do jak co czy są dla po ale od oraz przez jego o tak",
    "Turkish": "ve bir bu için de da ile çok ne var mı olarak daha gibi en olan sonra kadar ben değil mi",
}
WORDS = {language: frozenset(words.split()) for language, words in COMMON_WORDS.items()}
WORD = re.compile(r"[^\W\d_]+")
# Scripts that (almost) one language alone is written in; of the others only the script is told.
SCRIPTS = {
    "CJK": "Chinese",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
    "GREEK": "Greek",
    "HEBREW": "Hebrew",
    "THAI": "Thai",
    "ARMENIAN": "Armenian",
    "GEORGIAN": "Georgian",
}
UNKNOWN = "not told"
MAX_CHARACTERS = 2000  # characters of a conversation
MIN_COMMON_WORDS = 3  # common words, without which a text says too little
SHOWN = 5


class LanguageCounts:
    """Counts conversations by language."""

    def __init__(self, conversations: Iterable[Conversation] = ()) -> None:
        self.found: Counter[str] = Counter()
        for conversation in conversations:
            self.add(conversation)

    def add(self, conversation: Conversation) -> None:
        text = "\n".join(message["content"] for message in conversation.messages if message["role"] != "system")
        self.found[language_of(text[:MAX_CHARACTERS])] += 1

    def __str__(self) -> str:
        """The commonest with their shares of all conversations: "English 93%, German 5%, not told 2%"."""
        total = self.found.total()
        shown = [(name, count) for name, count in self.found.most_common(SHOWN) if count >= total / 200]
        shares = [f"{name} {100 * count // total}%" for name, count in shown]  # "100%" is said of all alone
        if others := total - sum(count for _, count in shown):
            shares.append(f"others {others / total:.1%}")
        return ", ".join(shares)


def language_of(text: str) -> str:
    """A language, "Cyrillic script" where only the script is known, or "not told"."""
    letters = Counter(script_of(letter) for letter in text if letter.isalpha())
    if not letters:
        return UNKNOWN
    script = letters.most_common(1)[0][0]
    if {"HIRAGANA", "KATAKANA"} & set(letters) and script in ("CJK", "HIRAGANA", "KATAKANA"):
        return "Japanese"
    if script != "LATIN":
        return SCRIPTS.get(script, f"{script.title()} script")
    words = Counter(WORD.findall(text.casefold()))
    scores = {language: sum(words[word] for word in common) for language, common in WORDS.items()}
    first, second = sorted(scores, key=lambda language: -scores[language])[:2]
    return first if scores[first] >= MIN_COMMON_WORDS and scores[first] > scores[second] else UNKNOWN


def script_of(letter: str) -> str:
    """The first word of its Unicode name, which is the script's."""
    return "LATIN" if letter.isascii() else unicodedata.name(letter, "").partition(" ")[0]
