"""Folders and files that are no adapter to the Hub: merged weights as a model, votes as a dataset. One commit each."""

from __future__ import annotations

from fnmatch import fnmatch

from adapters.common.errors import UserError
from adapters.hub.errors import explain_errors
from adapters.hub.login import check_owner, check_repo_id, writer
from adapters.hub.progress import Progress, no_progress
from adapters.hub.repository import Files, PushResult, commit_operations, files_in, find_repository, uploading
from adapters.hub.retry import with_retries

ALWAYS_PRESENT = {".gitattributes", "README.md", "LICENSE"}


def push_files(
    repo_id: str,
    files: Files,
    *,
    repo_type: str,
    marker: str,
    replaced: tuple[str, ...],
    message: str,
    private: bool = True,
    token: str | None = None,
    progress: Progress = no_progress,
) -> PushResult:
    """Upload `files` (path in the repository -> file or content) to a model or dataset repository of one's own.

    It is created, private unless asked otherwise, when there is none. One that holds something must have the file
    `marker`, so that nothing else is mixed up with it; files of an earlier version that match `replaced` go.
    Raises UserError when the Hub or the network stands in the way; nothing is half there then.
    """
    check_repo_id(repo_id)
    api = writer(token)
    with explain_errors(repo_id, api.endpoint):
        progress(0.05, "Asking the Hub who you are")
        check_owner(with_retries(lambda: api.whoami()), repo_id)
        before = find_repository(api, repo_id, repo_type)
        present = files_in(before)
        if present - ALWAYS_PRESENT and marker not in present:
            raise UserError(f"{repo_id} exists and holds something else.", "Choose another name.")
        if before is None:
            progress(0.1, f"Creating {repo_id}")
            with_retries(lambda: api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True))
        elif private and not before.private:
            raise UserError(f"{repo_id} exists and is public.", "Push it as public if that is meant, or elsewhere.")
        progress(0.2, uploading(files))
        earlier = [path for path in present if any(fnmatch(path, pattern) for pattern in replaced)]
        operations = commit_operations(files, earlier)
        done = with_retries(lambda: api.create_commit(repo_id, operations, repo_type=repo_type, commit_message=message))
    progress(1.0, "Done")
    kind = "datasets/" if repo_type == "dataset" else ""
    return PushResult(
        url=f"{api.endpoint}/{kind}{repo_id}",
        revision=done.oid,
        files=sorted(files),
        private=bool(before.private) if before else private,
        changed=before is None or done.oid != before.sha,
    )
