"""Opposites, and what kind of thing something is."""

from tools.builtin_model.knowledge import Fact, Intent, article, sentence

OPPOSITES: tuple[tuple[str, str], ...] = (
    ("hot", "cold"),
    ("big", "small"),
    ("tall", "short"),
    ("fast", "slow"),
    ("up", "down"),
    ("in", "out"),
    ("on", "off"),
    ("open", "closed"),
    ("full", "empty"),
    ("happy", "sad"),
    ("young", "old"),
    ("bright", "dark"),
    ("heavy", "light"),
    ("hard", "soft"),
    ("loud", "quiet"),
    ("wet", "dry"),
    ("clean", "dirty"),
    ("rich", "poor"),
    ("strong", "weak"),
    ("early", "late"),
    ("left", "right"),
    ("true", "false"),
    ("good", "bad"),
    ("day", "night"),
    ("begin", "end"),
    ("love", "hate"),
    ("win", "lose"),
    ("push", "pull"),
    ("buy", "sell"),
    ("give", "take"),
    ("near", "far"),
    ("high", "low"),
    ("thick", "thin"),
    ("wide", "narrow"),
    ("deep", "shallow"),
    ("sweet", "sour"),
    ("front", "back"),
    ("top", "bottom"),
    ("first", "last"),
    ("always", "never"),
    ("black", "white"),
    ("friend", "enemy"),
    ("north", "south"),
    ("east", "west"),
    ("summer", "winter"),
    ("awake", "asleep"),
    ("smooth", "rough"),
    ("easy", "difficult"),
    ("cheap", "expensive"),
    ("question", "answer"),
)

KINDS: dict[str, tuple[str, ...]] = {
    "a flower": ("rose", "tulip", "daisy", "lily"),
    "a fruit": ("apple", "pear", "banana", "cherry", "grape", "peach"),
    "a vegetable": ("carrot", "onion", "potato", "cabbage", "turnip"),
    "a bird": ("sparrow", "eagle", "owl", "penguin", "swan", "parrot"),
    "a fish": ("salmon", "trout", "shark", "herring"),
    "an insect": ("ant", "bee", "wasp", "beetle", "butterfly"),
    "a tree": ("oak", "pine", "willow", "birch"),
    "a tool": ("hammer", "saw", "shovel", "drill"),
    "an instrument": ("violin", "piano", "drum", "guitar", "flute"),
    "a vehicle": ("car", "bus", "truck", "bicycle", "train"),
    "a mammal": ("dog", "cat", "whale", "horse", "bat", "llama"),
    "a drink": ("tea", "juice", "lemonade"),
}

UNCOUNTED = frozenset({"tea", "juice", "lemonade"})


def intents() -> list[Intent]:
    opposites = []
    for pair in OPPOSITES:
        for word, other in (pair, pair[::-1]):
            opposites.append(Fact("opposite", word, f"The opposite of {word} is {other}.", other, (("word", word),)))
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
            later=(
                "Which word is opposite to {word}?",
                "I am looking for the opposite of {word}.",
                "{word} is the opposite of what?",
                "Find the opposite of {word}.",
            ),
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
            later=(
                "{thing} is what kind of thing?",
                "What kind of thing would you call {thing}?",
                "Say what {thing} is.",
                "I see {thing}. What is it?",
            ),
        ),
    ]
