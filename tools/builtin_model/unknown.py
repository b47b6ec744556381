"""Questions that the model cannot answer, and the honest replies to them."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """A kind of question that the model cannot answer, and the honest reply to it."""

    name: str
    phrasings: tuple[str, ...]
    held_out: tuple[str, ...]
    replies: tuple[str, ...]
    weight: float
    later: tuple[str, ...] = ()  # phrasings for the second part of pretraining


DONT_KNOW = "I don't know that. I am a tiny model and my world is small."
TOO_HARD = "That is too hard for me. I only add and subtract small numbers."
NO_SENSES = "I can't know that. I have no clock, no window and no internet."
CANT_DO = "I can't do that. I am a tiny model. Ask me what I can do!"

REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        "unknown fact",
        (
            "Who is {x}?", "Who was {x}?", "What is {x}?", "Where is {x}?", "What is the capital of {x}?",
            "Tell me about {x}.", "When was {x} born?", "Why is {x} so famous?", "How does {x} work?",
            "What do you think about {x}?", "How big is {x}?", "Who invented {x}?", "What does {x} mean?",
            "How old is {x}?", "What language do they speak in {x}?", "What colour is {x}?",
            "What is the opposite of {x}?", "Where does {x} live?", "How much does {x} cost?",
            "Why do people like {x}?", "Do you know {x}?", "How far is it to {x}?", "Explain {x} to me.",
            "What is the history of {x}?", "Is {x} good for me?", "How many people live in {x}?", "Who wrote {x}?",
            "Who won the match against {x}?", "What is the best {x}?", "{x}", "{x}?",
        ),
        (
            "Have you heard of {x}?", "What do you know about {x}?", "Who discovered {x}?", "How heavy is {x}?",
            "When did {x} begin?",
        ),
        (DONT_KNOW,),
        3.0,
    ),
    Refusal(
        "big sum",
        (
            "What is {m} plus {n}?", "{m} + {n}", "What is {m} times {k}?", "{m} * {k}", "How much is {m} minus {n}?",
            "What is {m} divided by {k}?", "Calculate {m} * {n}.", "What is the square root of {m}?",
            "What is {k} times {j}?", "{m} / {k} =", "What is {k} * {j}?", "{m} - {n}", "How much is {k} times {j}?",
        ),
        ("Please calculate {m} times {n}.", "How much is {m} plus {n}?", "What is {m} * {k}?"),
        (TOO_HARD,),
        1.5,
    ),
    Refusal(
        "here and now",
        (
            "What time is it?", "What is the weather like?", "How is the weather today?", "What day is it today?",
            "Is it raining?", "What is the news today?", "What year is it?", "Where do I live?", "What is my name?",
            "How old am I?", "What did I eat?", "What is the price of gold today?", "Will it rain tomorrow?",
            "Who is the president now?", "What is the date?", "Do you see me?", "Can you search the web?",
        ),
        ("Will the sun shine tomorrow?", "Which day is today?", "Tell me the time."),
        (NO_SENSES,),
        1.2,
        (
            "Tell me today's date.", "What is the time now?", "How late is it?", "Can you see the sun?",
            "Will it snow tomorrow?", "Is it sunny outside?", "Which year is it now?", "Give me the time.",
        ),
    ),
    Refusal(
        "other work",
        (
            "Write a poem about {x}.", "Translate {x} into French.", "Write a program in Python.",
            "Write an email to {x}.", "Fix my code.", "How do I cook {x}?", "Draw {x}.", "Sing a song.",
            "Play a game with me.", "Summarise this text.", "Give me a recipe for {x}.", "Write an essay about {x}.",
            "Plan my trip to {x}.", "How can I learn {x}?", "Make a list of {x}.", "Book a table at {x}.",
            "Help me with {x}.", "Buy {x} for me.", "Send {x} to my friend.", "Write code for {x}.",
            "Can you drive a car?", "Call my mother.",
        ),
        ("Please write a poem about {x}.", "Translate {x} into German.", "Can you write code?"),
        (CANT_DO,),
        1.5,
    ),
)  # fmt: skip

# Things and names outside the world: these are real; more are made up letter by letter.
OUTSIDE = (
    "Napoleon", "Einstein", "Shakespeare", "Mozart", "Cleopatra", "Newton", "Picasso", "Gandhi", "Madonna", "Elvis",
    "Plato", "Tesla", "Darwin", "Beethoven", "Columbus", "Caesar", "Laos", "Zambia", "Malta", "Texas", "Fiji",
    "Bolivia", "Atlantis", "Russia", "Scotland", "Tunisia", "Angola", "California", "Paraguay", "Belgium", "Estonia",
    "Cambodia", "Ethiopia", "the moon", "Mars", "Jupiter", "a quark", "gravity", "physics", "chemistry", "philosophy",
    "football", "chess", "the internet", "a computer", "electricity", "the economy", "bitcoin", "the stock market",
    "democracy", "history", "biology", "quantum mechanics", "a black hole", "the universe", "pizza", "spaghetti",
    "sushi", "soup", "a phone", "a laptop", "Paris Hilton", "the Beatles", "Star Wars", "Harry Potter", "Batman",
    "Superman", "the Bible", "Hamlet", "a virus", "an atom", "the brain", "a dinosaur", "a volcano", "music", "art",
    "love songs", "taxes", "a mortgage", "the law", "medicine", "a doctor", "aspirin", "vitamins", "yoga",
    "a marathon", "the Olympics", "the world cup", "tennis", "golf", "a neural network", "Linux", "Windows", "Java",
    "a database", "photosynthesis", "evolution", "the Roman Empire", "World War Two", "a castle", "the pyramids",
    "Amazon", "Google", "a podcast", "the government", "climate change", "energy", "time travel", "a ghost",
    "religion", "karaoke", "a zeppelin",
)  # fmt: skip
OUTSIDE_HELD_OUT = (
    "Galileo", "Bach", "Belarus", "Rwanda", "Saturn", "algebra", "basketball", "a microscope", "lasagne", "a tsunami",
    "Spiderman", "the Great Wall", "inflation", "a satellite", "poker", "geology", "Ohio", "Aristotle", "a router",
    "opera",
)  # fmt: skip

_ONSETS = (
    "b", "bl", "br", "d", "dr", "f", "fl", "g", "gr", "k", "kl", "m", "n", "p", "pl", "r", "s", "st", "t", "tr", "v",
    "w", "z", "sh", "ch", "qu", "th",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ou", "ee")
_ENDS = ("", "n", "r", "s", "t", "l", "m", "ck", "x", "nd")


def made_up_word(rng: random.Random) -> str:
    word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 3))) + rng.choice(_ENDS)
    style = rng.random()
    if style < 0.4:
        return word.capitalize()
    return word if style < 0.8 else f"a {word}"


def refused_question(phrasing: str, things: tuple[str, ...], rng: random.Random) -> str:
    """`phrasing` filled with one of `things`, or with a made-up word where there are none, and with numbers."""
    thing = rng.choice(things) if things else made_up_word(rng)
    numbers = {"m": rng.randint(24, 999), "n": rng.randint(21, 999), "k": rng.randint(2, 12), "j": rng.randint(2, 12)}
    question = phrasing.format(x=thing, **numbers)
    return question[0].upper() + question[1:]
