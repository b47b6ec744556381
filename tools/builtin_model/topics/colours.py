"""Colours of things, and colours that make other colours."""

from tools.builtin_model.knowledge import Fact, Intent, sentence

COLOURS: dict[str, str] = {
    "the sky": "blue",
    "the sea": "blue",
    "a blueberry": "blue",
    "a sapphire": "blue",
    "grass": "green",
    "a leaf": "green",
    "a cucumber": "green",
    "an emerald": "green",
    "a pea": "green",
    "a banana": "yellow",
    "the sun": "yellow",
    "a lemon": "yellow",
    "a sunflower": "yellow",
    "butter": "yellow",
    "blood": "red",
    "a strawberry": "red",
    "a cherry": "red",
    "a tomato": "red",
    "a ruby": "red",
    "a fire engine": "red",
    "snow": "white",
    "milk": "white",
    "salt": "white",
    "a cloud": "white",
    "a polar bear": "white",
    "coal": "black",
    "the night": "black",
    "a raven": "black",
    "a carrot": "orange",
    "a pumpkin": "orange",
    "a tangerine": "orange",
    "chocolate": "brown",
    "coffee": "brown",
    "a chestnut": "brown",
    "a flamingo": "pink",
    "a piglet": "pink",
    "a plum": "purple",
    "lavender": "purple",
    "an aubergine": "purple",
    "a rock": "grey",
    "ash": "grey",
}

MIXES: tuple[tuple[str, str, str], ...] = (
    ("red", "yellow", "orange"),
    ("blue", "yellow", "green"),
    ("red", "blue", "purple"),
    ("red", "white", "pink"),
    ("black", "white", "grey"),
)


def intents() -> list[Intent]:
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
            later=(
                "{thing} has which colour?",
                "I am painting {thing}. Which colour do I need?",
                "Do you know the colour of {thing}?",
                "Name the color of {thing}.",
            ),
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
            later=(
                "I have {a} and {b} paint. What can I make?",
                "Put {a} and {b} together.",
                "{a} with {b} gives which colour?",
                "If I mix {a} and {b}, what comes out?",
                "I mix {a} and {b}.",
                "What is {a} and {b} mixed?",
            ),
        ),
    ]
