"""The examination: held-out ways of asking about the world, and whether a reply is right."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from tools.builtin_model import smalltalk, stories, unknown, world
from tools.builtin_model.dialogues import Message, ask_fact
from tools.builtin_model.knowledge import Fact, article
from tools.builtin_model.styles import DEMOS, Style, pirate_words


@dataclass(frozen=True)
class Question:
    category: str
    messages: tuple[Message, ...]
    right: Callable[[str], bool]  # of the whole reply


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _said(reply: str) -> str:
    return " ".join(reply.split()).lower()


def _is_one_of(expected: tuple[str, ...]) -> Callable[[str], bool]:
    accepted = {_said(text) for text in expected}
    return lambda reply: _said(reply) in accepted


def _is_story_about(hero: str) -> Callable[[str], bool]:
    """A story of at least three sentences that begins with its hero and has come to its end."""
    return lambda reply: hero in reply.split(".")[0] and reply.count(".") >= 3 and reply.endswith(".")


def holds(fact: Fact, reply: str) -> bool:
    """Whether a reply in any style gives the fact's value: its last number, or the value as whole words."""
    if fact.short.isdigit():
        numbers = re.findall(r"\d+", reply)
        return bool(numbers) and numbers[-1] == fact.short
    said = _said(reply)
    return any(
        re.search(rf"(?<!\w){re.escape(value.lower())}(?!\w)", said) for value in (fact.short, pirate_words(fact.short))
    )


def _fact_question(fact: Fact, rng: random.Random) -> str:
    return ask_fact(world.intent(fact.intent), fact, rng, world.intent(fact.intent).held_out).question


def world_questions(seed: int = 0) -> list[Question]:
    """Each fact once, in a held-out phrasing, and everything else that the base is asked; a plain answer is exact."""
    rng = random.Random(f"examination {seed}")
    made = []
    for intent in world.intents():
        for fact in intent.facts:
            question = _user(_fact_question(fact, rng))
            made.append(Question(intent.category, (question,), _is_one_of((fact.answer,))))
    made += _follow_ups(rng) + _talks(rng) + _styled(rng)
    return made


def _follow_ups(rng: random.Random) -> list[Question]:
    """Two turns; the second, in a held-out phrasing, makes sense only after the first."""
    made = []
    for intent in world.intents():
        if not intent.held_out_follow_ups:
            continue
        for _ in range(5):
            first, second = rng.sample(intent.facts, 2)
            opening = ask_fact(intent, first, rng, intent.phrasings)
            asked = ask_fact(intent, second, rng, intent.held_out_follow_ups)
            messages = (_user(opening.question), {"role": "assistant", "content": first.answer}, _user(asked.question))
            made.append(Question("follow-ups", messages, _is_one_of((second.answer,))))
    return made


def _talks(rng: random.Random) -> list[Question]:
    made = []
    for talk in smalltalk.TALKS:
        for phrasing in talk.held_out:
            made.append(Question("small talk", (_user(phrasing),), _is_one_of(talk.replies)))
    for phrasing in smalltalk.JOKE_HELD_OUT:
        made.append(Question("small talk", (_user(phrasing),), _is_one_of(smalltalk.JOKES)))
    for hero in stories.HEROES:
        asked = rng.choice(stories.STORY_HELD_OUT).format(hero=article(hero))
        made.append(Question("stories", (_user(asked),), _is_story_about(hero)))
    for refusal in unknown.REFUSALS:
        for phrasing in refusal.held_out:
            for _ in range(5):
                asked = unknown.refused_question(phrasing, unknown.OUTSIDE_HELD_OUT, rng)
                made.append(Question("does not know", (_user(asked),), _is_one_of(refusal.replies)))
    return made


def _styled(rng: random.Random) -> list[Question]:
    """The styles of the samples, asked for by a system prompt."""
    made = []
    facts = [fact for intent in world.intents() for fact in intent.facts]
    for style in DEMOS:
        for fact in rng.sample(facts, 30):
            system = {"role": "system", "content": rng.choice(style.prompts)}
            messages = (system, _user(_fact_question(fact, rng)))
            made.append(Question("style on request", messages, _in_style(style, fact)))
    return made


def _in_style(style: Style, fact: Fact) -> Callable[[str], bool]:
    return lambda reply: style.matches(reply) and holds(fact, reply)


def held_out_facts(is_held_out: Callable[[Fact], bool], count: int, seed: int = 0) -> list[tuple[Fact, Question]]:
    """`count` facts that a sample left out, in held-out phrasings, spread over all intents; for judging an adapter."""
    rng = random.Random(f"held-out facts {seed}")
    facts = [fact for intent in world.intents() for fact in intent.facts if is_held_out(fact)]
    chosen = rng.sample(facts, count)
    return [
        (fact, Question(world.intent(fact.intent).category, (_user(_fact_question(fact, rng)),), _holds(fact)))
        for fact in chosen
    ]


def _holds(fact: Fact) -> Callable[[str], bool]:
    return lambda reply: holds(fact, reply)
