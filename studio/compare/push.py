"""The votes as a dataset repository: preference pairs as TRL's DPOTrainer takes them, and the votes without voters."""

from __future__ import annotations

import json
from collections.abc import Sequence

import yaml

from adapters.common.errors import UserError
from adapters.hub.files import push_files
from adapters.hub.progress import Progress, no_progress
from adapters.hub.repository import PushResult
from core.common.home import Home
from studio.compare import votes
from studio.compare.votes import Vote

PAIRS_FILE, VOTES_FILE = "preferences.jsonl", "votes.jsonl"


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
        "README.md": dataset_card(cast, len(pairs), left_out).encode(),
        PAIRS_FILE: json_lines(pairs),
        VOTES_FILE: json_lines(anonymous),
    }


def json_lines(rows: Sequence[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def dataset_card(cast: Sequence[Vote], pairs: int, left_out: int) -> str:
    models = sorted({candidate.model for vote in cast for candidate in vote.ballot.candidates})
    blind = sum(vote.ballot.blind for vote in cast)
    matter = {
        "tags": ["dpo", "preference", "guanaco-studio"],
        "configs": [
            {"config_name": "preferences", "data_files": PAIRS_FILE, "default": True},
            {"config_name": "votes", "data_files": VOTES_FILE},
        ],
    }
    verdicts = {name: sum(vote.verdict == name for vote in cast) for name in (votes.BETTER, votes.TIE, votes.ALL_BAD)}
    return (
        f"---\n{yaml.safe_dump(matter, sort_keys=False)}---\n\n# Votes\n\n"
        f"{len(cast)} votes of people who saw answers side by side in Guanaco Studio, {blind} of them without knowing "
        f"which model had given which: {verdicts[votes.BETTER]} prefer one answer, {verdicts[votes.TIE]} say that they "
        f"are equally good, {verdicts[votes.ALL_BAD]} that all are bad.\n\n"
        f"`preferences` ({pairs} pairs) has `prompt`, `chosen` and `rejected`, as TRL's DPOTrainer takes them; "
        f"{left_out} pairs were left out, as their prompts differed or their answers did not. `votes` has every vote "
        "with all answers. Who voted is in neither.\n\nModels: " + ", ".join(f"`{name}`" for name in models) + ".\n"
    )
