"""Folders and files that are no adapter to the Hub: merged weights as a model, votes as a dataset. One commit each."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from adapters.common.errors import UserError
from adapters.hub.errors import explained, patiently
from adapters.hub.login import check_owner, check_repo_id, writer
from adapters.hub.source import Progress
from adapters.hub.transfer import PushResult

ALWAYS_THERE = {".gitattributes", "README.md", "LICENSE"}


def push_files(
    repo_id: str,
    files: Mapping[str, Path | bytes],
    *,
    repo_type: str,
    marker: str,
    replaced: tuple[str, ...],
    message: str,
    private: bool = True,
    token: str | None = None,
    progress: Progress | None = None,
) -> PushResult:
    """Upload `files` (path in the repository -> file or content) to a model or dataset repository of one's own.

    It is created, private unless asked otherwise, when there is none. One that holds something must have the file
    `marker`, so that nothing else is mixed up with it; files of an earlier version that match `replaced` go.
    Raises UserError when the Hub or the network stands in the way; nothing is half there then.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    tell = progress or (lambda share, what: None)
    check_repo_id(repo_id)
    api = writer(token)
    with explained(repo_id, api.endpoint):
        tell(0.05, "Asking the Hub who you are")
        check_owner(patiently(lambda: api.whoami()), repo_id)
        try:
            before: Any = patiently(lambda: api.repo_info(repo_id, repo_type=repo_type))
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            before = None
        there = {sibling.rfilename for sibling in before.siblings or []} if before else set()
        if there - ALWAYS_THERE and marker not in there:
            raise UserError(f"{repo_id} exists and holds something else.", "Choose another name.")
        if before is None:
            tell(0.1, f"Creating {repo_id}")
            patiently(lambda: api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True))
        elif private and not before.private:
            raise UserError(f"{repo_id} exists and is public.", "Push it as public if that is meant, or elsewhere.")
        size = sum(len(each) if isinstance(each, bytes) else each.stat().st_size for each in files.values())
        tell(0.2, f"Uploading {len(files)} files, {size / 2**20:.1f} MiB")
        gone = [path for path in there if path not in files and any(fnmatch(path, each) for each in replaced)]
        operations: list[Any] = [CommitOperationAdd(path, content) for path, content in files.items()]
        operations += [CommitOperationDelete(path) for path in gone]
        done = patiently(lambda: api.create_commit(repo_id, operations, repo_type=repo_type, commit_message=message))
    tell(1.0, "Done")
    kind = "datasets/" if repo_type == "dataset" else ""
    changed = before is None or done.oid != before.sha
    hidden = bool(before.private) if before else private
    return PushResult(f"{api.endpoint}/{kind}{repo_id}", done.oid, sorted(files), hidden, changed)
