"""The synthetic world as questions and answers: every fact, the ways to ask for it, and which ways are held out.

An `Intent` is one thing that can be asked (the capital of a country), a `Fact` one instance of it (Cuba, Havana).
Phrasings in `held_out` are never used in pretraining, so asking with them measures understanding, not recall.
"""

from functools import cache

from tools.builtin_model.knowledge import Intent
from tools.builtin_model.topics import animals, calendar, colours, countries, numbers, words

TOPICS = (countries, animals, colours, calendar, numbers, words)


@cache
def intents() -> tuple[Intent, ...]:
    """Every intent of the world, in a fixed order."""
    return tuple(intent for topic in TOPICS for intent in topic.intents())


@cache
def intent(name: str) -> Intent:
    return next(candidate for candidate in intents() if candidate.name == name)
