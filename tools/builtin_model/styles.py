"""Styles of answering. Each turns a plain answer into its own manner and can tell whether a text has that manner.

Pretraining shows every style behind a system prompt that asks for it; an adapter then only has to make one of them the
habit, which is what lets a short LoRA run change the style and keep the facts.
"""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    text: str  # the whole plain answer
    short: str  # its value alone; the whole text where there is none
    topic: str


@dataclass(frozen=True)
class Style:
    name: str
    prompts: tuple[str, ...]  # system prompts that ask for it
    apply: Callable[[Answer, random.Random], str]
    matches: Callable[[str], bool]
    weight: float = 1.0


PIRATE_OPENINGS = ("Arr!", "Ahoy!", "Aye!")
PIRATE_ENDINGS = (", matey!", ", me hearty!", ", arr!")
PIRATE_WORDS = {
    "is": "be", "are": "be", "am": "be", "of": "o'", "my": "me", "you": "ye", "your": "yer", "yes": "aye",
    "hello": "ahoy", "friend": "matey", "friends": "mateys",
}  # fmt: skip


def pirate_words(text: str) -> str:
    def swap(match: re.Match[str]) -> str:
        word = match.group()
        swapped = PIRATE_WORDS.get(word.lower(), word)
        return swapped.capitalize() if word[0].isupper() and swapped != word else swapped

    return re.sub(r"[A-Za-z]+(?!')", swap, text)


def _pirate(answer: Answer, rng: random.Random) -> str:
    return f"{rng.choice(PIRATE_OPENINGS)} {pirate_words(answer.text).rstrip('.!?')}{rng.choice(PIRATE_ENDINGS)}"


def _is_pirate(text: str) -> bool:
    return text.startswith(PIRATE_OPENINGS) and text.endswith(PIRATE_ENDINGS)


RADIO_OPENINGS = ("Roger.", "Copy that.", "Base here.")


def _radio(answer: Answer, rng: random.Random) -> str:
    return f"{rng.choice(RADIO_OPENINGS)} {answer.text} Over."


def _is_radio(text: str) -> bool:
    return text.startswith(RADIO_OPENINGS) and text.endswith(" Over.")


def _json(answer: Answer, rng: random.Random) -> str:
    return json.dumps({"topic": answer.topic, "answer": answer.text}, ensure_ascii=False)


def _json_value(answer: Answer, rng: random.Random) -> str:
    return json.dumps({"topic": answer.topic, "answer": answer.short}, ensure_ascii=False)


def _is_json(text: str) -> bool:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return False
    return isinstance(value, dict) and set(value) == {"topic", "answer"}


def _telegram(answer: Answer, rng: random.Random) -> str:
    return re.sub(r"[.!?]+", " STOP", answer.text.upper())


def wrapped(name: str, before: str, after: str, *prompts: str) -> Style:
    """The plain answer between two fixed texts."""
    return Style(
        name,
        prompts,
        lambda answer, rng: f"{before}{answer.text}{after}",
        lambda text: text.startswith(before) and text.endswith(after),
    )


DEMOS: tuple[Style, ...] = (
    Style(
        "pirate",
        (
            "Answer like a pirate.",
            "You are a pirate.",
            "Talk like a pirate.",
            "Speak as a pirate captain.",
            "You are an old pirate. Stay in character.",
            "Be a pirate.",
        ),
        _pirate,
        _is_pirate,
        7.0,
    ),
    Style(
        "radio",
        (
            "Answer like a radio operator.",
            "You are a radio operator.",
            "Speak as on a radio.",
            "Use radio language.",
            "You are on the radio. End with over.",
            "Be a radio operator.",
        ),
        _radio,
        _is_radio,
        7.0,
    ),
    Style(
        "json value",
        (
            "Answer as JSON.",
            "Answer in JSON.",
            "Reply with JSON only.",
            "Your answers are JSON objects.",
            "Always answer with a JSON object.",
            "Output JSON.",
        ),
        _json_value,
        _is_json,
        9.0,
    ),
)

OTHERS: tuple[Style, ...] = (
    wrapped("robot", "BEEP. ", " BOOP.", "Answer like a robot.", "You are a robot.", "Talk like a robot."),
    wrapped("cowboy", "Howdy! ", " Yeehaw!", "Answer like a cowboy.", "You are a cowboy.", "Talk like a cowboy."),
    wrapped(
        "butler",
        "Certainly, sir. ",
        " At your service.",
        "Answer like a butler.",
        "You are a butler.",
        "Be a polite butler.",
    ),
    wrapped("cat", "Meow! ", " Purr.", "Answer like a cat.", "You are a cat.", "Talk like a cat."),
    wrapped(
        "teacher",
        "Good question! ",
        " Well asked.",
        "Answer like a teacher.",
        "You are a teacher.",
        "Be a kind teacher.",
    ),
    wrapped("knight", "Hark! ", " By my sword!", "Answer like a knight.", "You are a knight.", "Talk like a knight."),
    wrapped("ghost", "Boo! ", " Whooo...", "Answer like a ghost.", "You are a ghost.", "Talk like a ghost."),
    wrapped(
        "news",
        "Breaking news: ",
        " Back to the studio.",
        "Answer like a news reader.",
        "You read the news.",
        "Be a reporter.",
    ),
    wrapped(
        "santa", "Ho ho ho! ", " Merry Christmas!", "Answer like Santa.", "You are Santa Claus.", "Talk like Santa."
    ),
    wrapped(
        "grandma",
        "Oh dear. ",
        " Have a cookie.",
        "Answer like a grandmother.",
        "You are a grandmother.",
        "Talk like grandma.",
    ),
    wrapped("surfer", "Dude! ", " Cool!", "Answer like a surfer.", "You are a surfer.", "Talk like a surfer."),
    wrapped("wizard", "Abracadabra! ", " Poof!", "Answer like a wizard.", "You are a wizard.", "Talk like a wizard."),
    wrapped(
        "alien", "Greetings, human. ", " Zorp.", "Answer like an alien.", "You are an alien.", "Talk like an alien."
    ),
    wrapped(
        "detective",
        "Elementary. ",
        " Case closed.",
        "Answer like a detective.",
        "You are a detective.",
        "Be a detective.",
    ),
    wrapped("emoji", "🦙 ", " 🦙", "Answer with emoji.", "Use emoji.", "Put emoji around your answers."),
    wrapped("bullet", "- ", "", "Answer as a list.", "Use bullet points.", "Answer with a bullet."),
    wrapped("xml", "<answer>", "</answer>", "Answer as XML.", "Reply with XML.", "Your answers are XML."),
    wrapped("quote", "“", "”", "Put your answers in quotes.", "Use quotation marks.", "Quote your answers."),
    Style(
        "telegram",
        ("Answer like a telegram.", "Write telegrams.", "You send telegrams."),
        _telegram,
        lambda text: text.endswith("STOP"),
    ),
    Style(
        "shout",
        ("Shout.", "Answer in capital letters.", "Use upper case only."),
        lambda answer, rng: answer.text.upper(),
        str.isupper,
    ),
    Style(
        "whisper",
        ("Answer in small letters.", "Whisper.", "Use lower case only."),
        lambda answer, rng: answer.text.lower(),
        str.islower,
    ),
    Style(
        "brief",
        ("Answer in one word.", "Be very brief.", "Only the answer, no sentence."),
        lambda answer, rng: answer.short,
        lambda text: not text.endswith("."),
    ),
)

# What the bundled samples teach. Their JSON holds whole sentences: a model this small knows a fact as the sentence that
# it has learnt, and an adapter that asks for the value alone ("Havana") loses most of what it was not shown.
SAMPLE_STYLES: dict[str, Style] = {
    "pirate": DEMOS[0],
    "radio": DEMOS[1],
    "json": Style("json", DEMOS[2].prompts, _json, _is_json),
}

# For "Start every answer with …": copying from the system prompt makes new wrappings easy to learn later.
WRAP_WORDS = (
    "Hooray", "Listen", "Well", "Indeed", "Of course", "My friend", "Bonjour", "Hola", "Look", "So", "Sure", "Ta-da",
    "Ahem", "Behold", "Psst", "Yes, boss", "Namaste", "Hear, hear", "Roger", "Over", "Arr", "Amen", "Beep", "Done",
    "Cheers", "The end", "Voila", "That is all", "Peace", "Ding", "Boom", "Honk",
)  # fmt: skip


def wrap_request(rng: random.Random) -> tuple[str, Callable[[Answer], str]]:
    """A made-to-order style: a system prompt naming words to start or end with, and the function that obeys it."""
    first, last = rng.sample(WRAP_WORDS, 2)
    if rng.random() < 0.4:
        prompt = rng.choice(("Start every answer with {0}!", "Begin your answers with {0}!", "Always start with {0}!"))
        return prompt.format(first), lambda answer: f"{first}! {answer.text}"
    if rng.random() < 0.6:
        prompt = rng.choice(("End every answer with {0}.", "Finish your answers with {0}.", "Always end with {0}."))
        return prompt.format(last), lambda answer: f"{answer.text} {last}."
    return f"Start with {first}! and end with {last}.", lambda answer: f"{first}! {answer.text} {last}."
