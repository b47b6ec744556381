"""Animals: their sounds, homes, young and legs."""

from tools.builtin_model.knowledge import Fact, Intent, article, sentence

# animal -> (sound, home, baby, legs); None where there is no good short answer
ANIMALS: dict[str, tuple[str | None, str | None, str | None, str | None]] = {
    "dog": ("woof", "in a kennel", "puppy", "4"),
    "cat": ("meow", "in a house", "kitten", "4"),
    "cow": ("moo", "on a farm", "calf", "4"),
    "horse": ("neigh", "in a stable", "foal", "4"),
    "pig": ("oink", "in a sty", "piglet", "4"),
    "sheep": ("baa", "in a meadow", "lamb", "4"),
    "duck": ("quack", "on a pond", "duckling", "2"),
    "hen": ("cluck", "in a coop", "chick", "2"),
    "goat": ("maa", "on a hillside", "kid", "4"),
    "donkey": ("hee-haw", "in a stable", "foal", "4"),
    "lion": ("roar", "on the savanna", "cub", "4"),
    "bear": ("growl", "in the forest", "cub", "4"),
    "wolf": ("howl", "in the forest", "pup", "4"),
    "frog": ("croak", "by a pond", "tadpole", "4"),
    "owl": ("hoot", "in a tree", "owlet", "2"),
    "bee": ("buzz", "in a hive", None, "6"),
    "snake": ("hiss", "in the grass", None, "0"),
    "mouse": ("squeak", "in a hole", None, "4"),
    "crow": ("caw", "in a tree", None, "2"),
    "turkey": ("gobble", "on a farm", None, "2"),
    "elephant": (None, "on the savanna", "calf", "4"),
    "fox": (None, "in a den", "cub", "4"),
    "rabbit": (None, "in a burrow", "bunny", "4"),
    "spider": (None, "in a web", None, "8"),
    "penguin": (None, "on the ice", "chick", "2"),
    "camel": (None, "in the desert", "calf", "4"),
    "kangaroo": (None, "in Australia", "joey", None),
    "whale": (None, "in the ocean", "calf", "0"),
    "shark": (None, "in the ocean", "pup", "0"),
    "squirrel": (None, "in a tree", None, "4"),
    "ant": (None, "in an anthill", None, "6"),
    "bat": (None, "in a cave", "pup", "2"),
    "beaver": (None, "in a lodge", "kit", "4"),
    "crocodile": (None, "in a river", None, "4"),
    "swan": (None, "on a lake", "cygnet", "2"),
    "goose": ("honk", "on a pond", "gosling", "2"),
    "deer": (None, "in the forest", "fawn", "4"),
    "eagle": (None, "in an eyrie", "eaglet", "2"),
    "guanaco": (None, "in the mountains", "chulengo", "4"),
    "monkey": (None, "in the jungle", None, None),
}


def intents() -> list[Intent]:
    sounds, askers, homes, babies, legs = [], [], [], [], []
    sound_of = [sound for sound, *_ in ANIMALS.values() if sound]
    for animal, (sound, home, baby, leg_count) in ANIMALS.items():
        slots = (("a_animal", article(animal)), ("animal", animal))
        a_animal = sentence(article(animal))
        if sound:
            sounds.append(Fact("sound", animal, f"{a_animal} says {sound}.", sound, slots))
            if sound_of.count(sound) == 1:
                askers.append(Fact("who_says", sound, f"{a_animal} says {sound}.", animal, (("sound", sound),)))
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
            (
                "What kind of sound does {a_animal} make?",
                "Which noise does {a_animal} make?",
                "What do you hear from {a_animal}?",
            ),
            tuple(sounds),
            another,
            how_about,
            ("What sound does it make?", "What does it say?", "And its sound?"),
            later=(
                "Make the sound of {a_animal}.",
                "How does {a_animal} go?",
                "Can you imitate {a_animal}?",
                "I hear {a_animal}. What does it say?",
                "{a_animal} says what?",
                "What can you hear when {a_animal} calls?",
            ),
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
            later=(
                "I hear {sound}. Which animal is it?",
                "{sound} is the sound of which animal?",
                "Tell me who says {sound}.",
            ),
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
            (
                "Where does {a_animal} have its home?",
                "Where would I find {a_animal}?",
                "Do you know where {a_animal} lives?",
            ),
            tuple(homes),
            another,
            how_about,
            ("Where does it live?", "And where does it live?", "Where is its home?"),
            later=(
                "{a_animal} lives where?",
                "I am looking for {a_animal}. Where does it live?",
                "Which place is home to {a_animal}?",
            ),
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
            (
                "What do people call a baby {animal}?",
                "What is the word for a baby {animal}?",
                "A baby {animal} is called what?",
            ),
            tuple(babies),
            another,
            how_about,
            ("What is its baby called?", "And its baby?", "What do you call its baby?"),
            later=(
                "{a_animal} has a baby. What is it called?",
                "Name the baby of {a_animal}.",
                "The young of {a_animal} is called?",
                "What is the right name for a young {animal}?",
            ),
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
            later=(
                "{a_animal} walks on how many legs?",
                "How many legs are on {a_animal}?",
                "Legs of {a_animal}?",
                "Does {a_animal} have 4 legs?",
                "Does {a_animal} have 2 legs?",
                "I see {a_animal}. How many legs does it have?",
                "The {animal} has how many legs?",
            ),
        ),
    ]
