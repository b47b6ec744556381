"""The votes as a dataset repository: preference pairs as TRL's DPOTrainer takes them, and the votes without voters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import DatasetCard, DatasetCardData

from adapters.common.errors import UserError
from adapters.hub.files import push_files
from adapters.hub.progress import Progress, no_progress
from adapters.hub.repository import PushResult
from core.common.home import Home
from studio.compare import votes
from studio.compare.votes import ALL_BAD, BETTER, TIE, Vote

PAIRS_FILE, VOTES_FILE = "preferences.jsonl", "votes.jsonl"
CARD_TEMPLATE = str(Path(__file__).with_name("dataset_card.md"))


def push_votes(
    home: Home,
    repo_id: str,
    *,
    private: bool = True,
    token: str | None = None,
    progress: Progress = no_progress,
) -> PushResult:
    """Upload all votes. Raises UserError when there are none, or the Hub stands in the way."""
    return push_files(
        repo_id,
        files(votes.read(home)),
        repo_type="dataset",
        marker=PAIRS_FILE,
        replaced=(),
        message="Votes from the side-by-side chat",
        private=private,
        token=token,
        progress=progress,
    )


def files(cast: Sequence[Vote]) -> dict[str, bytes]:
    """Path in the repository -> content: everything that is uploaded. Who voted is not in it."""
    pairs, left_out = votes.preferences(cast)
    if not pairs:
        raise UserError(
            "There is no vote yet that prefers one answer to another.",
            "Ask two columns the same in Chat, and say which answer is better.",
        )
    anonymous = [{name: value for name, value in vote.to_dict().items() if name != "voter"} for vote in cast]
    return {
        "README.md": render_dataset_card(cast, len(pairs), left_out).encode(),
        PAIRS_FILE: json_lines(pairs),
        VOTES_FILE: json_lines(anonymous),
    }


def json_lines(rows: Sequence[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def render_dataset_card(cast: Sequence[Vote], pairs: int, left_out: int) -> str:
    verdicts = Counter(vote.verdict for vote in cast)
    data = DatasetCardData(
        tags=["dpo", "preference", "guanaco-studio"],
        configs=[
            {"config_name": "preferences", "data_files": PAIRS_FILE, "default": True},
            {"config_name": "votes", "data_files": VOTES_FILE},
        ],
    )
    card = DatasetCard.from_template(
        data,
        template_path=CARD_TEMPLATE,
        votes=len(cast),
        blind=sum(vote.ballot.blind for vote in cast),
        better=verdicts[BETTER],
        tie=verdicts[TIE],
        all_bad=verdicts[ALL_BAD],
        pairs=pairs,
        left_out=left_out,
        models=sorted({candidate.model for vote in cast for candidate in vote.ballot.candidates}),
    )
    return f"{card}\n"
