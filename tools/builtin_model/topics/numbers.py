"""Small sums and counting. Small on purpose: every one of them is seen in pretraining."""

from tools.builtin_model.knowledge import Fact, Intent

LARGEST_TERM = 10  # sums are a + b and (a + b) - b, with a and b from 0 to this

LARGEST_COUNT = 20


def intents() -> list[Intent]:
    sums, differences = [], []
    for a in range(LARGEST_TERM + 1):
        for b in range(LARGEST_TERM + 1):
            c = a + b
            sums.append(Fact("add", f"{a} plus {b}", f"{a} plus {b} is {c}.", str(c), (("a", str(a)), ("b", str(b)))))
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
            later=(
                "{a} + {b} equals what?",
                "{a} plus {b} equals?",
                "What number is {a} + {b}?",
                "What does {a} plus {b} make?",
                "Do you know {a} + {b}?",
                "If I add {b} to {a}, what do I get?",
                "Work out {a} + {b}.",
                "What do you get for {a} plus {b}?",
                "Give me the sum {a} + {b}.",
            ),
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
            later=(
                "{a} - {b} equals what?",
                "{a} minus {b} equals?",
                "What number is {a} - {b}?",
                "What does {a} minus {b} make?",
                "Do you know {a} - {b}?",
                "If I take {b} from {a}, what is left?",
                "Work out {a} - {b}.",
                "What do you get for {a} minus {b}?",
                "How much is left when I take {b} from {a}?",
            ),
        ),
        Intent(
            "number_after",
            "counting",
            "number",
            0.5,
            (
                "What number comes after {n}?",
                "Which number is after {n}?",
                "What is the number after {n}?",
                "What comes after {n}?",
            ),
            ("Name the number after {n}.", "Which number follows {n}?"),
            tuple(following),
            ("And after {n}?",),
            ("And what comes after {n}?",),
            later=(
                "After {n} comes which number?",
                "Which number is next after {n}?",
            ),
        ),
        Intent(
            "number_before",
            "counting",
            "number",
            0.5,
            (
                "What number comes before {n}?",
                "Which number is before {n}?",
                "What is the number before {n}?",
                "What comes before {n}?",
            ),
            ("Name the number before {n}.", "Which number comes right before {n}?"),
            tuple(preceding),
            ("And before {n}?",),
            ("And what comes before {n}?",),
            later=("Before {n} comes which number?",),
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
