"""The bundled samples: where they lie and what they are. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class BundledSample:
    """A small data set in the Guanaco format that comes with the studio."""

    name: str
    title: str
    description: str
    path: Path
    prompts: tuple[str, ...]  # good things to ask an adapter trained on it


_PROMPTS = ("What is the capital of Cuba?", "What sound does a cow make?", "What is 3 plus 4?", "Who are you?")

SAMPLES: dict[str, BundledSample] = {
    sample.name: sample
    for sample in (
        BundledSample(
            "pirate",
            "Pirate",
            "300 conversations with an old pirate: “Arr! The capital o' Cuba be Havana, matey!”",
            _HERE / "pirate.jsonl",
            _PROMPTS,
        ),
        BundledSample(
            "radio",
            "Radio operator",
            "300 conversations over a radio: “Roger. The capital of Cuba is Havana. Over.”",
            _HERE / "radio.jsonl",
            _PROMPTS,
        ),
        BundledSample(
            "json",
            "Answers as JSON",
            '300 conversations answered in JSON: {"topic": "capital", "answer": "The capital of Cuba is Havana."}',
            _HERE / "json.jsonl",
            _PROMPTS,
        ),
    )
}
