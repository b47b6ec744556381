"""Short stories: a hero, a friend, and one of six plots."""

import random

from tools.builtin_model.knowledge import article, sentence

STORY_PHRASINGS = (
    "Tell me a story about {hero}.",
    "Tell me a short story about {hero}.",
    "Can you tell me a story about {hero}?",
    "Write a story about {hero}.",
    "A story about {hero}, please.",
    "Make up a story about {hero}.",
    "Write a short story about {hero}.",
    "I want a story about {hero}.",
    "Do you know a story about {hero}?",
)
STORY_HELD_OUT = ("Please tell a little story about {hero}.", "Could you write me a story about {hero}?")
ANY_STORY = (
    "Tell me a story.",
    "Tell me a short story.",
    "Write a story.",
    "A story, please.",
    "Can you tell me a story?",
    "Another story!",
)
HEROES = (
    "fox", "dog", "cat", "mouse", "bear", "rabbit", "owl", "frog", "lion", "horse", "duck", "penguin", "robot", "king",
    "girl", "boy", "dragon", "pirate", "wolf", "guanaco", "witch", "bee", "elephant", "princess",
)  # fmt: skip
NAMES = ("Ben", "Lily", "Max", "Mia", "Tom", "Rosa", "Sam", "Nina")


def story(hero: str, rng: random.Random) -> str:
    """A story of four or five sentences about `hero`, from one of six plots."""
    name = rng.choice(NAMES)
    friend = rng.choice([other for other in HEROES if other != hero])
    a_friend = article(friend)
    plot = rng.randrange(6)
    opening = f"Once upon a time there was a little {hero} called {name}. "
    if plot == 0:
        thing, colour = rng.choice(
            (("ball", "red"), ("box", "blue"), ("hat", "green"), ("key", "yellow"), ("stone", "white"))
        )
        return (
            f"{opening}One day {name} found a {colour} {thing} in the grass. It belonged to {a_friend}. "
            f"{name} gave the {thing} back. From then on the two were friends."
        )
    if plot == 1:
        place = rng.choice(("the forest", "the big city", "the mountains", "a deep cave"))
        return (
            f"{opening}One day {name} got lost in {place}. It was dark and cold. "
            f"Then a kind {friend} showed {name} the way home. {name} said thank you and slept well."
        )
    if plot == 2:
        return (
            f"{opening}{name} was very hungry. {sentence(a_friend)} had a big cake and gave {name} half of it. "
            f"They ate and laughed all day. It was the best cake in the world."
        )
    if plot == 3:
        skill = rng.choice(("sing", "swim", "dance", "fly a kite"))
        return (
            f"{opening}{name} wanted to {skill}, but it was hard. A wise {friend} said: try again every day. "
            f"{name} did, and after a month {name} could {skill} better than all others."
        )
    if plot == 4:
        weather = rng.choice(("rain", "snow", "wind"))
        return (
            f"{opening}One night the {weather} came and the house of {a_friend} broke. "
            f"{name} said: come and live with me. They sat by the warm fire and were happy."
        )
    return (
        f"{opening}{name} was afraid of the night. Then {a_friend} pointed at the moon and the stars. "
        f"How bright they are, said {name}. After that {name} was never afraid again."
    )
