"""What a piece of the world is made of: facts, and the ways to ask for them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    intent: str
    subject: str  # what a follow-up names: "Cuba" in "And of Cuba?"
    answer: str  # the whole sentence
    short: str  # the value alone: "Havana"
    slots: tuple[tuple[str, str], ...]  # fills the phrasings
    aliases: tuple[str, ...] = ()  # other names of the subject, used in questions only

    def ask(self, phrasing: str, alias: str | None = None) -> str:
        slots = dict(self.slots)
        if alias is not None:
            slots = {name: alias if value == self.subject else value for name, value in slots.items()}
        question = phrasing.format(**slots)
        return question[0].upper() + question[1:]


@dataclass(frozen=True)
class Intent:
    name: str
    category: str  # the row of the evaluation table
    topic: str  # the value of "topic" when answers are JSON
    weight: float  # how often it is asked in pretraining
    phrasings: tuple[str, ...]
    held_out: tuple[str, ...]
    facts: tuple[Fact, ...]
    follow_ups: tuple[str, ...] = ()  # the same question about another subject
    held_out_follow_ups: tuple[str, ...] = ()
    # About the subject of the turn before: "What language do they speak there?"
    pronoun: tuple[str, ...] = ()
    # More ways of asking, for the second part of pretraining: first the facts, then how many ways there are to ask.
    later: tuple[str, ...] = ()


def article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def sentence(text: str) -> str:
    return text[0].upper() + text[1:]
