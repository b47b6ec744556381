"""A dataset of conversations to the Hub, as a dataset repository of one JSON Lines file and a card.

By the rules of adapters.hub.push: private unless asked otherwise, never into a repository of something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import DatasetCard, DatasetCardData
from markupsafe import Markup

from adapters.cards.rendering import render_card
from adapters.common.errors import UserError
from adapters.hub.files import push_files
from adapters.hub.repository import PushResult

DATA_FILE, CARD_FILE = "data/train.jsonl", "README.md"
LICENCES = ("apache-2.0", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "mit", "odc-by", "other")
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class DatasetFacts:
    """What the card says. about: a sentence in Markdown on where the conversations came from."""

    conversations: int
    turns: int
    about: Markup
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
    data = DatasetCardData(
        license=facts.license,
        task_categories=["text-generation"],
        size_categories=[next((name for limit, name in SIZES if facts.conversations < limit), "n>1M")],
        tags=["conversational", "guanaco-studio"],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": DATA_FILE}]}],
    )
    return render_card(
        DatasetCard,
        data,
        "conversations.md.jinja",
        repo_id=repo_id,
        repo_name=repo_id.split("/")[1],
        conversations=f"{facts.conversations:,}",
        turns=f"{facts.turns:,}",
        about=facts.about,
        has_license=bool(facts.license),
    )
