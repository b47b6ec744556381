"""Conversations made from the world: single questions, follow-ups, changes of topic, system prompts, styles.

Everything is drawn from one `random.Random`, so a seed gives the same conversations everywhere.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.builtin_model import smalltalk, stories, unknown, world
from tools.builtin_model.knowledge import Fact, Intent, article
from tools.builtin_model.styles import DEMOS, OTHERS, Answer, Style, wrap_request

Message = dict[str, str]

STYLED_SHARE = 0.2
PLAIN_SYSTEM_SHARE = 0.08
FACT_SHARE = 0.76  # of the turns; the rest is small talk, stories, jokes and questions that cannot be answered

PLAIN_SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are Guanaco, a tiny language model.",
    "You are a friendly assistant. Answer in one sentence.",
    "Answer the user's questions.",
    "You are a helpful and honest assistant.",
    "Be kind and helpful.",
    "You are an AI assistant.",
)

# First words that lose their capital after "So, …"; a name such as Cuba keeps its own.
LOWERED = (
    "What",
    "Which",
    "Where",
    "Who",
    "How",
    "Tell",
    "Name",
    "Why",
    "When",
    "Do",
    "Can",
    "Is",
    "And",
    "Give",
    "Add",
    "Count",
    "Write",
)

TURN_COUNTS = (1, 2, 3, 4, 5, 6, 8, 12, 16)
TURN_WEIGHTS = (44, 20, 13, 8, 5, 4, 3, 2, 1)


@dataclass(frozen=True)
class Turn:
    question: str
    answer: Answer
    fact: Fact | None = None  # None for small talk and the like


def answer_of(fact: Fact) -> Answer:
    return Answer(fact.answer, fact.short, world.intent(fact.intent).topic)


def vary(question: str, rng: random.Random) -> str:
    """What people do to a question: no capitals, no question mark, a word of politeness."""
    if rng.random() < 0.05:
        opening = rng.choice(("Please tell me: ", "Hey, ", "Hi! ", "Quick question: ", "Tell me, ", "So, ", "Ok, "))
        question = opening + (question[0].lower() + question[1:] if question.startswith(LOWERED) else question)
    if rng.random() < 0.02:
        question = question.rstrip("?.") + rng.choice((", please?", " please?", " please"))
    if rng.random() < 0.18:
        question = question.rstrip("?.!")
    if rng.random() < 0.2:
        question = question.lower()
    elif rng.random() < 0.01:
        question = question.upper()
    return question


def ask_fact(intent: Intent, fact: Fact, rng: random.Random, phrasings: Sequence[str]) -> Turn:
    alias = rng.choice((None, *fact.aliases))
    return Turn(fact.ask(rng.choice(phrasings), alias), answer_of(fact), fact)


def follow_up(previous: Fact, rng: random.Random, allowed: Callable[[Fact], bool]) -> Turn | None:
    """A question that only makes sense after `previous`: another subject, or "it" and "there"; None if there is none.

    Only about facts that are `allowed`.
    """
    intent = world.intent(previous.intent)
    siblings = [
        (other, fact)
        for other in world.intents()
        if other.pronoun and other.name != intent.name and intent.pronoun
        for fact in other.facts
        if fact.subject == previous.subject and allowed(fact)
    ]
    if siblings and rng.random() < 0.35:
        other, fact = rng.choice(siblings)
        return Turn(rng.choice(other.pronoun), answer_of(fact), fact)
    others = [fact for fact in intent.facts if fact.subject != previous.subject and allowed(fact)]
    if not intent.follow_ups or not others:
        return None
    fact = rng.choice(others)
    return ask_fact(intent, fact, rng, intent.follow_ups)


def talk(rng: random.Random, made_up_share: float, wide: bool) -> Turn:
    """Small talk, a joke, a story or a question without an answer, about a made-up word in `made_up_share` of those."""
    draw = rng.random()
    if draw < 0.44:
        chosen = rng.choices(smalltalk.TALKS, [entry.weight for entry in smalltalk.TALKS])[0]
        reply = rng.choice(chosen.replies)
        return Turn(rng.choice(chosen.phrasings), Answer(reply, reply, "talk"))
    if draw < 0.50:
        joke = rng.choice(smalltalk.JOKES)
        return Turn(rng.choice(smalltalk.JOKE_PHRASINGS), Answer(joke, joke, "joke"))
    if draw < 0.62:
        hero = rng.choice(stories.HEROES)
        text = stories.story(hero, rng)
        asked = rng.choice(stories.ANY_STORY) if rng.random() < 0.25 else None
        question = asked or rng.choice(stories.STORY_PHRASINGS).format(hero=article(hero))
        return Turn(question, Answer(text, text, "story"))
    refusal = rng.choices(unknown.REFUSALS, [entry.weight for entry in unknown.REFUSALS])[0]
    things = () if rng.random() < made_up_share else unknown.OUTSIDE
    question = unknown.refused_question(rng.choice(_phrasings(refusal, wide)), things, rng)
    reply = rng.choice(refusal.replies)
    return Turn(question, Answer(reply, reply, "unknown"))


def _phrasings(asked: Intent | unknown.Refusal, wide: bool) -> tuple[str, ...]:
    return asked.phrasings + asked.later if wide else asked.phrasings


def turns(
    count: int,
    rng: random.Random,
    allowed: Callable[[Fact], bool] = lambda fact: True,
    *,
    made_up_share: float = 0.4,
    wide: bool = False,
) -> list[Turn]:
    """`count` exchanges; about two in five continue the topic of the one before.

    Only about facts that are `allowed`; `wide` also asks in the phrasings that pretraining keeps for its second part.
    """
    made: list[Turn] = []
    intents = world.intents()
    weights = [intent.weight for intent in intents]
    while len(made) < count:
        previous = made[-1].fact if made else None
        if previous is not None and rng.random() < 0.4:
            continued = follow_up(previous, rng, allowed)
            if continued is not None:
                made.append(continued)
                continue
        if rng.random() >= FACT_SHARE:
            made.append(talk(rng, made_up_share, wide))
            continue
        intent = rng.choices(intents, weights)[0]
        facts = [fact for fact in intent.facts if allowed(fact)]
        if facts:
            made.append(ask_fact(intent, rng.choice(facts), rng, _phrasings(intent, wide)))
    return made


def _system(rng: random.Random) -> tuple[str | None, Callable[[Answer], str]]:
    """A system prompt, or None, and the manner of answering that it asks for."""
    draw = rng.random()
    if draw < STYLED_SHARE:
        if rng.random() < 0.12:
            return wrap_request(rng)
        styles: tuple[Style, ...] = (*DEMOS, *OTHERS)
        style = rng.choices(styles, [entry.weight for entry in styles])[0]
        return rng.choice(style.prompts), lambda answer: style.apply(answer, rng)
    if draw < STYLED_SHARE + PLAIN_SYSTEM_SHARE:
        return rng.choice(PLAIN_SYSTEM_PROMPTS), lambda answer: answer.text
    return None, lambda answer: answer.text


def conversation(rng: random.Random, *, wide: bool = False) -> list[Message]:
    """One pretraining conversation as chat messages; for `wide` see `turns`."""
    system, manner = _system(rng)
    messages: list[Message] = []
    if system is not None:
        messages.append({"role": "system", "content": system})
    for turn in turns(rng.choices(TURN_COUNTS, TURN_WEIGHTS)[0], rng, wide=wide):
        messages.append({"role": "user", "content": vary(turn.question, rng)})
        messages.append({"role": "assistant", "content": manner(turn.answer)})
    return messages
