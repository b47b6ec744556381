"""The synthetic world as questions and answers: every fact, the ways to ask for it, and which ways are held out.

An `Intent` is one thing that can be asked (the capital of a country), a `Fact` one instance of it (Cuba, Havana).
Phrasings in `held_out` are never used in pretraining, so asking with them measures understanding, not recall.
"""

from dataclasses import dataclass, field
from functools import cache

from core.builtin.facts import (
    ANIMALS,
    COLOURS,
    COUNTRIES,
    COUNTRY_ALIASES,
    COUNTS,
    DAYS,
    KINDS,
    LARGEST_COUNT,
    LARGEST_TERM,
    MIXES,
    MONTH_LENGTHS,
    MONTHS,
    OPPOSITES,
    UNCOUNTED,
)


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
    pronoun: tuple[str, ...] = field(default=())  # about the subject of the turn before: "What language do they speak there?"


def article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _countries() -> list[Intent]:
    def facts(intent: str, value: int, answer: str) -> tuple[Fact, ...]:
        made = []
        for row in COUNTRIES:
            slots = {"country": row[0], "capital": row[1], "continent": row[2], "language": row[3]}
            text = sentence(answer.format(**slots))
            made.append(
                Fact(intent, row[0], text, row[value], tuple(slots.items()), COUNTRY_ALIASES.get(row[0], ()))
            )
        return tuple(made)

    and_of = ("And of {country}?", "And {country}?", "What about {country}?", "And for {country}?")
    reverse = tuple(
        Fact("capital_of", row[1], f"{row[1]} is the capital of {row[0]}.", row[0], (("capital", row[1]),))
        for row in COUNTRIES
    )
    return [
        Intent(
            "capital",
            "capitals",
            "capital",
            3.0,
            (
                "What is the capital of {country}?",
                "What's the capital of {country}?",
                "Tell me the capital of {country}.",
                "Name the capital of {country}.",
                "Which city is the capital of {country}?",
                "What is {country}'s capital?",
                "What is the capital city of {country}?",
                "Do you know the capital of {country}?",
                "I want to know the capital of {country}.",
                "The capital of {country}?",
                "Capital of {country}?",
                "What is the name of the capital of {country}?",
                "Can you tell me the capital of {country}?",
                "Please give me the capital city of {country}.",
                "Which city is {country}'s capital city?",
            ),
            (
                "Could you tell me what the capital of {country} is?",
                "I forgot the capital of {country}. What is it?",
                "Please name {country}'s capital city.",
                "Which city serves as the capital of {country}?",
            ),
            facts("capital", 1, "The capital of {country} is {capital}."),
            and_of,
            ("How about {country}?", "And what about {country}?"),
            ("What is its capital?", "And the capital?", "What is the capital there?"),
        ),
        Intent(
            "capital_of",
            "capitals",
            "country",
            1.5,
            (
                "Which country has the capital {capital}?",
                "{capital} is the capital of which country?",
                "Of which country is {capital} the capital?",
                "What country is {capital} the capital of?",
                "Which country's capital is {capital}?",
                "Where is {capital}?",
                "In which country is {capital}?",
                "What is {capital}?",
            ),
            ("What country has {capital} as its capital?", "{capital} is the capital of what country?"),
            reverse,
            ("And {capital}?", "What about {capital}?"),
            ("How about {capital}?",),
        ),
        Intent(
            "continent",
            "continents",
            "continent",
            1.2,
            (
                "Where is {country}?",
                "On which continent is {country}?",
                "Which continent is {country} on?",
                "What continent is {country} in?",
                "In what part of the world is {country}?",
                "Where in the world is {country}?",
                "Tell me where {country} is.",
                "Do you know where {country} is?",
            ),
            ("Where can I find {country}?", "Which continent does {country} belong to?", "Where does {country} lie?"),
            facts("continent", 2, "{country} is in {continent}."),
            ("And {country}?", "And where is {country}?", "What about {country}?"),
            ("How about {country}?",),
            ("Where is it?", "On which continent is it?", "And where is that?", "Which continent is that on?"),
        ),
        Intent(
            "language",
            "languages",
            "language",
            1.2,
            (
                "What language do people speak in {country}?",
                "Which language is spoken in {country}?",
                "What do people speak in {country}?",
                "What is the language of {country}?",
                "What language do they speak in {country}?",
                "Tell me the language of {country}.",
                "Which language do people in {country} speak?",
                "In {country}, what language do people speak?",
            ),
            (
                "What is the main language in {country}?",
                "Which tongue do they speak in {country}?",
                "What language is used in {country}?",
            ),
            facts("language", 3, "People in {country} speak {language}."),
            ("And in {country}?", "What about {country}?", "And {country}?"),
            ("How about in {country}?",),
            ("What language do they speak there?", "What do people speak there?", "And the language?"),
        ),
    ]


def _animals() -> list[Intent]:
    sounds, askers, homes, babies, legs = [], [], [], [], []
    sound_of = [sound for sound, *_ in ANIMALS.values() if sound]
    for animal, (sound, home, baby, leg_count) in ANIMALS.items():
        slots = (("a_animal", article(animal)), ("animal", animal))
        a_animal = sentence(article(animal))
        if sound:
            sounds.append(Fact("sound", animal, f"{a_animal} says {sound}.", sound, slots))
            if sound_of.count(sound) == 1:
                askers.append(
                    Fact("who_says", sound, f"{a_animal} says {sound}.", animal, (("sound", sound),))
                )
        if home:
            homes.append(Fact("home", animal, f"{a_animal} lives {home}.", home, slots))
        if baby:
            babies.append(Fact("baby", animal, f"A baby {animal} is called {article(baby)}.", baby, slots))
        if leg_count:
            legs.append(Fact("legs", animal, f"{a_animal} has {leg_count} legs.", leg_count, slots))
    another = ("And {a_animal}?", "What about {a_animal}?", "And the {animal}?")
    how_about = ("How about {a_animal}?",)
    return [
        Intent(
            "sound",
            "animals",
            "sound",
            1.2,
            (
                "What sound does {a_animal} make?",
                "What does {a_animal} say?",
                "What noise does {a_animal} make?",
                "How does {a_animal} sound?",
                "What is the sound of {a_animal}?",
                "Which sound does the {animal} make?",
                "Tell me what {a_animal} says.",
                "What does the {animal} say?",
            ),
            ("What kind of sound does {a_animal} make?", "Which noise does {a_animal} make?", "What do you hear from {a_animal}?"),
            tuple(sounds),
            another,
            how_about,
            ("What sound does it make?", "What does it say?", "And its sound?"),
        ),
        Intent(
            "who_says",
            "animals",
            "animal",
            0.6,
            (
                "Which animal says {sound}?",
                "What animal says {sound}?",
                "Who says {sound}?",
                "Which animal makes the sound {sound}?",
                "What animal goes {sound}?",
            ),
            ("Which animal goes {sound}?", "Name the animal that says {sound}."),
            tuple(askers),
            ("And {sound}?", "And who says {sound}?"),
            ("What about {sound}?",),
        ),
        Intent(
            "home",
            "animals",
            "home",
            1.4,
            (
                "Where does {a_animal} live?",
                "Where does the {animal} live?",
                "Where is the home of {a_animal}?",
                "Where do I find {a_animal}?",
                "What is the home of {a_animal}?",
                "Tell me where {a_animal} lives.",
                "Where can you find {a_animal}?",
                "In what place does {a_animal} live?",
            ),
            ("Where does {a_animal} have its home?", "Where would I find {a_animal}?", "Do you know where {a_animal} lives?"),
            tuple(homes),
            another,
            how_about,
            ("Where does it live?", "And where does it live?", "Where is its home?"),
        ),
        Intent(
            "baby",
            "animals",
            "baby",
            1.2,
            (
                "What is a baby {animal} called?",
                "What do you call a baby {animal}?",
                "What is the name of a baby {animal}?",
                "How do you call a young {animal}?",
                "What is the baby of {a_animal} called?",
                "What's a baby {animal} called?",
                "What is a young {animal} called?",
            ),
            ("What do people call a baby {animal}?", "What is the word for a baby {animal}?", "A baby {animal} is called what?"),
            tuple(babies),
            another,
            how_about,
            ("What is its baby called?", "And its baby?", "What do you call its baby?"),
        ),
        Intent(
            "legs",
            "animals",
            "legs",
            1.0,
            (
                "How many legs does {a_animal} have?",
                "How many legs has {a_animal}?",
                "How many legs does the {animal} have?",
                "Count the legs of {a_animal}.",
                "Tell me how many legs {a_animal} has.",
                "What is the number of legs of {a_animal}?",
            ),
            ("{a_animal} has how many legs?", "Do you know how many legs {a_animal} has?"),
            tuple(legs),
            another,
            how_about,
            ("How many legs does it have?", "And its legs?"),
        ),
    ]


def _colours() -> list[Intent]:
    colours = tuple(
        Fact("colour", thing, f"{sentence(thing)} is {colour}.", colour, (("thing", thing),))
        for thing, colour in COLOURS.items()
    )
    mixes = []
    for first, second, mixed in MIXES:
        for a, b in ((first, second), (second, first)):
            answer = f"{sentence(a)} and {b} make {mixed}."
            mixes.append(Fact("mix", f"{a} and {b}", answer, mixed, (("a", a), ("b", b))))
    return [
        Intent(
            "colour",
            "colours",
            "colour",
            2.0,
            (
                "What colour is {thing}?",
                "What color is {thing}?",
                "Which colour is {thing}?",
                "Which color does {thing} have?",
                "What is the colour of {thing}?",
                "What's the color of {thing}?",
                "Tell me the colour of {thing}.",
                "Tell me the color of {thing}.",
                "What colour does {thing} have?",
                "Is {thing} red?",
                "Is {thing} blue?",
                "Is {thing} green?",
                "Is {thing} white?",
                "{thing} is what colour?",
            ),
            (
                "Do you know what colour {thing} is?",
                "Tell me what color {thing} is.",
                "Is {thing} yellow?",
                "What colour would you say {thing} is?",
            ),
            colours,
            ("And {thing}?", "What about {thing}?", "And what colour is {thing}?"),
            ("How about {thing}?",),
        ),
        Intent(
            "mix",
            "colours",
            "colour",
            0.5,
            (
                "What do you get when you mix {a} and {b}?",
                "What do {a} and {b} make?",
                "Mix {a} and {b}.",
                "What colour do {a} and {b} make?",
                "What color do you get from {a} and {b}?",
                "Which colour is {a} mixed with {b}?",
            ),
            ("I mix {a} with {b}. What colour do I get?", "What happens when I mix {a} and {b}?"),
            tuple(mixes),
            ("And {a} and {b}?", "What about {a} and {b}?"),
            ("How about {a} and {b}?",),
        ),
    ]


def _calendar() -> list[Intent]:
    def neighbours(intent: str, names: tuple[str, ...], step: int, answer: str) -> tuple[Fact, ...]:
        made = []
        for index, name in enumerate(names):
            other = names[(index + step) % len(names)]
            made.append(Fact(intent, name, answer.format(name=name, other=other), other, (("name", name),)))
        return tuple(made)

    after = ("And after {name}?", "What about {name}?", "And {name}?")
    before = ("And before {name}?", "What about {name}?", "And {name}?")
    lengths = tuple(
        Fact("month_length", month, f"{month} has {days} days.", str(days), (("name", month),))
        for month, days in zip(MONTHS, MONTH_LENGTHS, strict=True)
    )
    counts = tuple(
        Fact("count", what, f"There are {number} {what} in {whole}.", number, (("what", what), ("whole", whole)))
        for what, whole, number in COUNTS
    )
    return [
        Intent(
            "day_after",
            "days and months",
            "day",
            0.8,
            (
                "What day comes after {name}?",
                "Which day is after {name}?",
                "What is the day after {name}?",
                "Which day follows {name}?",
                "Today is {name}. What day is tomorrow?",
                "What comes after {name}?",
                "If today is {name}, what is tomorrow?",
            ),
            ("What day follows {name}?", "Name the day after {name}.", "Which day comes next after {name}?"),
            neighbours("day_after", DAYS, 1, "The day after {name} is {other}."),
            after,
            ("How about after {name}?",),
        ),
        Intent(
            "day_before",
            "days and months",
            "day",
            0.8,
            (
                "What day comes before {name}?",
                "Which day is before {name}?",
                "What is the day before {name}?",
                "Today is {name}. What day was yesterday?",
                "What comes before {name}?",
                "If today is {name}, what was yesterday?",
            ),
            ("Name the day before {name}.", "Which day comes right before {name}?"),
            neighbours("day_before", DAYS, -1, "The day before {name} is {other}."),
            before,
            ("How about before {name}?",),
        ),
        Intent(
            "month_after",
            "days and months",
            "month",
            0.8,
            (
                "What month comes after {name}?",
                "Which month is after {name}?",
                "What is the month after {name}?",
                "Which month follows {name}?",
                "What comes after {name}?",
                "It is {name}. What is the next month?",
            ),
            ("What month follows {name}?", "Name the month after {name}."),
            neighbours("month_after", MONTHS, 1, "The month after {name} is {other}."),
            after,
            ("How about after {name}?",),
        ),
        Intent(
            "month_before",
            "days and months",
            "month",
            0.8,
            (
                "What month comes before {name}?",
                "Which month is before {name}?",
                "What is the month before {name}?",
                "What comes before {name}?",
                "It is {name}. What was the last month?",
            ),
            ("Name the month before {name}.", "Which month comes right before {name}?"),
            neighbours("month_before", MONTHS, -1, "The month before {name} is {other}."),
            before,
            ("How about before {name}?",),
        ),
        Intent(
            "month_length",
            "days and months",
            "days",
            0.6,
            (
                "How many days does {name} have?",
                "How many days are in {name}?",
                "How many days are there in {name}?",
                "How long is {name}?",
                "Tell me how many days {name} has.",
            ),
            ("{name} has how many days?", "How many days has {name}?"),
            lengths,
            ("And {name}?", "What about {name}?"),
            ("How about {name}?",),
        ),
        Intent(
            "count",
            "counting",
            "count",
            0.8,
            (
                "How many {what} are in {whole}?",
                "How many {what} are there in {whole}?",
                "How many {what} does {whole} have?",
                "Tell me how many {what} are in {whole}.",
                "What is the number of {what} in {whole}?",
            ),
            ("Do you know how many {what} there are in {whole}?", "{whole} has how many {what}?"),
            counts,
        ),
    ]


def _arithmetic() -> list[Intent]:
    sums, differences = [], []
    for a in range(LARGEST_TERM + 1):
        for b in range(LARGEST_TERM + 1):
            c = a + b
            sums.append(
                Fact("add", f"{a} plus {b}", f"{a} plus {b} is {c}.", str(c), (("a", str(a)), ("b", str(b))))
            )
            differences.append(
                Fact("subtract", f"{c} minus {b}", f"{c} minus {b} is {a}.", str(a), (("a", str(c)), ("b", str(b))))
            )
    following = [
        Fact("number_after", str(n), f"The number after {n} is {n + 1}.", str(n + 1), (("n", str(n)),))
        for n in range(LARGEST_COUNT)
    ]
    preceding = [
        Fact("number_before", str(n), f"The number before {n} is {n - 1}.", str(n - 1), (("n", str(n)),))
        for n in range(1, LARGEST_COUNT + 1)
    ]
    counting = []
    for n in range(3, 11):
        listed = ", ".join(str(k) for k in range(1, n + 1))
        counting.append(Fact("count_to", str(n), f"{listed}.", listed, (("n", str(n)),)))
    return [
        Intent(
            "add",
            "arithmetic",
            "sum",
            4.5,
            (
                "What is {a} plus {b}?",
                "What is {a} + {b}?",
                "{a} + {b}?",
                "{a} + {b} =",
                "{a}+{b}",
                "{a} plus {b}?",
                "How much is {a} plus {b}?",
                "How much is {a} + {b}?",
                "Add {a} and {b}.",
                "What's {a} plus {b}?",
                "What is the sum of {a} and {b}?",
                "Calculate {a} + {b}.",
                "{a} and {b} make?",
                "I have {a} apples and get {b} more. How many do I have?",
            ),
            (
                "Can you add {a} and {b}?",
                "Please calculate {a} plus {b}.",
                "How much do {a} and {b} make?",
                "Tell me what {a} plus {b} is.",
                "What does {a} + {b} equal?",
            ),
            tuple(sums),
            ("And {a} plus {b}?", "And {a} + {b}?"),
            ("What about {a} plus {b}?",),
        ),
        Intent(
            "subtract",
            "arithmetic",
            "difference",
            4.5,
            (
                "What is {a} minus {b}?",
                "What is {a} - {b}?",
                "{a} - {b}?",
                "{a} - {b} =",
                "{a}-{b}",
                "{a} minus {b}?",
                "How much is {a} minus {b}?",
                "How much is {a} - {b}?",
                "Take {b} from {a}.",
                "What's {a} minus {b}?",
                "What is the difference of {a} and {b}?",
                "Calculate {a} - {b}.",
                "Subtract {b} from {a}.",
                "I have {a} apples and eat {b}. How many are left?",
            ),
            (
                "Please calculate {a} minus {b}.",
                "Tell me what {a} minus {b} is.",
                "What does {a} - {b} equal?",
                "Can you take {b} from {a}?",
            ),
            tuple(differences),
            ("And {a} minus {b}?", "And {a} - {b}?"),
            ("What about {a} minus {b}?",),
        ),
        Intent(
            "number_after",
            "counting",
            "number",
            0.5,
            ("What number comes after {n}?", "Which number is after {n}?", "What is the number after {n}?", "What comes after {n}?"),
            ("Name the number after {n}.", "Which number follows {n}?"),
            tuple(following),
            ("And after {n}?",),
            ("And what comes after {n}?",),
        ),
        Intent(
            "number_before",
            "counting",
            "number",
            0.5,
            ("What number comes before {n}?", "Which number is before {n}?", "What is the number before {n}?", "What comes before {n}?"),
            ("Name the number before {n}.", "Which number comes right before {n}?"),
            tuple(preceding),
            ("And before {n}?",),
            ("And what comes before {n}?",),
        ),
        Intent(
            "count_to",
            "counting",
            "numbers",
            0.4,
            ("Count to {n}.", "Can you count to {n}?", "Count from 1 to {n}.", "Please count to {n}."),
            ("Could you count up to {n}?", "I want you to count to {n}."),
            tuple(counting),
            ("And to {n}?",),
            ("And now to {n}?",),
        ),
    ]


def _words() -> list[Intent]:
    opposites = []
    for pair in OPPOSITES:
        for word, other in (pair, pair[::-1]):
            opposites.append(
                Fact("opposite", word, f"The opposite of {word} is {other}.", other, (("word", word),))
            )
    kinds = []
    for kind, members in KINDS.items():
        for member in members:
            thing = member if member in UNCOUNTED else article(member)
            kinds.append(Fact("kind", thing, f"{sentence(thing)} is {kind}.", kind, (("thing", thing),)))
    return [
        Intent(
            "opposite",
            "opposites",
            "opposite",
            3.0,
            (
                "What is the opposite of {word}?",
                "What's the opposite of {word}?",
                "Tell me the opposite of {word}.",
                "Opposite of {word}?",
                "The opposite of {word}?",
                "Which word is the opposite of {word}?",
                "Do you know the opposite of {word}?",
                "Give me the opposite of {word}.",
                "What word means the opposite of {word}?",
            ),
            (
                "Can you name the opposite of {word}?",
                "What would be the opposite of {word}?",
                "I need the opposite of {word}.",
            ),
            tuple(opposites),
            ("And of {word}?", "And {word}?", "What about {word}?"),
            ("How about {word}?", "And the opposite of {word}?"),
        ),
        Intent(
            "kind",
            "kinds of things",
            "kind",
            1.5,
            (
                "What is {thing}?",
                "What kind of thing is {thing}?",
                "What sort of thing is {thing}?",
                "What's {thing}?",
                "Do you know what {thing} is?",
                "Tell me what {thing} is.",
                "Explain {thing}.",
            ),
            ("Can you tell me what {thing} is?", "What type of thing is {thing}?"),
            tuple(kinds),
            ("And {thing}?", "What about {thing}?", "And what is {thing}?"),
            ("How about {thing}?",),
        ),
    ]


@cache
def intents() -> tuple[Intent, ...]:
    """Every intent of the world, in a fixed order."""
    return tuple(_countries() + _animals() + _colours() + _calendar() + _arithmetic() + _words())


@cache
def intent(name: str) -> Intent:
    return next(candidate for candidate in intents() if candidate.name == name)
