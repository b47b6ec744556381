"""A dataset of conversations to the Hub, as a dataset repository of one JSON Lines file and a card.

By the rules of adapters.hub.push: private unless asked otherwise, never into a repository of something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adapters.common.errors import UserError
from adapters.hub.files import push_files
from adapters.hub.repository import PushResult

DATA_FILE, CARD_FILE = "data/train.jsonl", "README.md"
LICENCES = ("apache-2.0", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "mit", "odc-by", "other")
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class DatasetFacts:
    """What the card says. `about` is a sentence on where the conversations came from."""

    conversations: int
    turns: int
    about: str
    license: str | None = None


def push_dataset(
    file: Path,
    facts: DatasetFacts,
    repo_id: str,
    *,
    private: bool = True,
    token: str | None = None,
    message: str | None = None,
) -> PushResult:
    """Upload `file`, JSON Lines with a column `messages`, in one commit. Raises UserError with the remedy."""
    if facts.license and facts.license not in LICENCES:
        raise UserError(f"{facts.license!r} is not a licence known here.", f"Choose one of {', '.join(LICENCES)}.")
    if not facts.conversations:
        raise UserError("There are no conversations to push.", "Keep some answers from the chat first.")
    return push_files(
        repo_id,
        {DATA_FILE: file, CARD_FILE: render_dataset_card(facts, repo_id).encode()},
        repo_type="dataset",
        marker=DATA_FILE,
        replaced=(),
        message=message or f"Add {facts.conversations:,} conversations",
        private=private,
        token=token,
    )


def render_dataset_card(facts: DatasetFacts, repo_id: str) -> str:
    size = next((name for most, name in SIZES if facts.conversations < most), "n>1M")
    licence = [f"license: {facts.license}"] if facts.license else []
    matter = [
        *licence,
        "task_categories:\n- text-generation",
        f"size_categories:\n- {size}",
        "tags:\n- conversational\n- guanaco-studio",
        f"configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {DATA_FILE}",
    ]
    return (
        "---\n" + "\n".join(matter) + f"\n---\n\n# {repo_id.split('/')[1]}\n\n"
        f"{facts.conversations:,} conversations with {facts.turns:,} turns. {facts.about}\n\n"
        "Each row has `messages`, a list of turns with `role` (system, user, assistant or tool) and `content`: the "
        "conversational format that TRL's SFTTrainer takes. Rows with calls of tools also have `tools`.\n\n"
        f'```python\nfrom datasets import load_dataset\n\nrows = load_dataset("{repo_id}", split="train")\n```\n'
        + ("" if facts.license else "\nNo licence is stated.\n")
    )
