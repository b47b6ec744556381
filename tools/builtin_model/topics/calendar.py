"""Days and months, and how many of one thing are in another."""

from tools.builtin_model.knowledge import Fact, Intent

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

# what is counted, where it is counted, how many
COUNTS: tuple[tuple[str, str, str], ...] = (
    ("days", "a week", "7"),
    ("months", "a year", "12"),
    ("hours", "a day", "24"),
    ("minutes", "an hour", "60"),
    ("seconds", "a minute", "60"),
    ("seasons", "a year", "4"),
    ("days", "a year", "365"),
    ("letters", "the alphabet", "26"),
    ("sides", "a triangle", "3"),
    ("sides", "a square", "4"),
    ("wheels", "a tricycle", "3"),
    ("players", "a football team", "11"),
    ("colours", "a rainbow", "7"),
    ("eggs", "a dozen", "12"),
    ("years", "a century", "100"),
)


def intents() -> list[Intent]:
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
            later=(
                "{name} is over. Which day is next?",
                "After {name} comes which day?",
            ),
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
            later=(
                "Before {name} comes which day?",
                "It is {name}. Which day is over?",
            ),
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
            later=(
                "{name} is over. Which month is next?",
                "After {name} comes which month?",
            ),
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
            later=("Before {name} comes which month?",),
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
            later=(
                "{name} is how many days long?",
                "The month of {name} has how many days?",
                "Does {name} have 30 days?",
                "Count the days of {name}.",
            ),
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
            later=(
                "{whole} is made of how many {what}?",
                "Count the {what} in {whole}.",
                "How many {what} make {whole}?",
                "In {whole}, how many {what} are there?",
                "How many {what} has {whole}?",
            ),
        ),
    ]
