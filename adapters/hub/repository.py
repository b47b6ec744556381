"""A repository on the Hub as it is before a push, and what a push has made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.hub.retry import with_retries

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.hf_api import DatasetInfo, ModelInfo

    RepoInfo = ModelInfo | DatasetInfo

Files = Mapping[str, Path | bytes]  # path in the repository -> file or content


@dataclass(frozen=True)
class PushResult:
    url: str  # of the repository, or of the pull request
    revision: str  # the commit
    files: list[str]
    private: bool
    changed: bool  # False when the repository already had exactly this


def find_repository(api: HfApi, repo_id: str, repo_type: str = "model") -> RepoInfo | None:
    """A model or dataset repository; None when there is none, or this account may not see it."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        if repo_type == "dataset":
            return with_retries(lambda: api.dataset_info(repo_id))
        return with_retries(lambda: api.model_info(repo_id))
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        return None


def files_in(info: RepoInfo | None) -> set[str]:
    return {sibling.rfilename for sibling in info.siblings or []} if info else set()


def uploading(files: Files) -> str:
    """What is being done, for the progress bar."""
    size = sum(len(content) if isinstance(content, bytes) else content.stat().st_size for content in files.values())
    return f"Uploading {len(files)} files, {size / 2**20:.1f} MiB"


def commit_operations(files: Files, earlier: Iterable[str]) -> list[CommitOperationAdd | CommitOperationDelete]:
    """Add `files`; of `earlier`, the paths of an earlier version, delete those that are not among them."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    return [
        *(CommitOperationAdd(path, content) for path, content in files.items()),
        *(CommitOperationDelete(path) for path in sorted(earlier) if path not in files),
    ]
