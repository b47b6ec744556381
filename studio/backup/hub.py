"""A private dataset repository as the target of backups. One commit is one state, so there is no half one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.common.errors import UserError
from adapters.hub.errors import HubError, explain_errors
from adapters.hub.retry import with_retries
from studio.backup.files import FileChanged, FileDigest, path_inside
from studio.backup.folder import read_unchanged

if TYPE_CHECKING:
    from huggingface_hub import HfApi

FOLDER = "home/"
MAX_BYTES_READ_AT_ONCE = 8 << 20  # files up to here are read at once, as they may grow while they are sent
CARD = """---
viewer: false
tags: [guanaco-studio]
---
What a Guanaco Studio keeps of its home folder, so that it has it again after a restart: runs with their checkpoints,
adapters, datasets, settings. The studio writes here by itself. Keep this repository private.
"""


class HubTarget:
    def __init__(self, api: HfApi, repo_id: str) -> None:
        self.api = api
        self.repo_id = repo_id
        self.where = f"{api.endpoint}/datasets/{repo_id}"
        self._committed: dict[str, str] | None = (
            None  # path -> sha256 of what the last commit holds, once that is known
        )

    def prepare(self) -> None:
        """Make the repository if there is none. Raises UserError for a public one, HubError."""
        with explain_errors(self.repo_id, self.api.endpoint):
            with_retries(lambda: self.api.create_repo(self.repo_id, repo_type="dataset", private=True, exist_ok=True))
            self._check_private()

    def _check_private(self) -> None:
        if not with_retries(lambda: self.api.dataset_info(self.repo_id)).private:
            raise UserError(
                f"{self.repo_id} is public: everyone could read runs, datasets and keys' names there.",
                "Make it private in its settings on the Hub, or choose another name.",
            )

    def save(self, home: Path, files: dict[str, FileDigest]) -> None:
        """Make `files` the newest state, in one commit. Raises FileChanged, HubError."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        with explain_errors(self.repo_id, self.api.endpoint):
            if self._committed is None:
                listed = with_retries(lambda: self.api.list_repo_files(self.repo_id, repo_type="dataset"))
                self._committed = {name.removeprefix(FOLDER): "" for name in listed if name.startswith(FOLDER)}
            committed = self._committed
            changed = [path for path, file in files.items() if committed.get(path) != file.sha256]
            gone = [path for path in committed if path not in files]
            if not changed and not gone:
                return
            self._check_private()  # somebody may have made it public since the start
            operations: list[Any] = [CommitOperationDelete(FOLDER + path) for path in gone]
            operations += [
                CommitOperationAdd(FOLDER + path, commit_content(home, path, files[path])) for path in changed
            ]
            for operation in operations[len(gone) :]:
                if operation.upload_info.sha256.hex() != files[operation.path_in_repo.removeprefix(FOLDER)].sha256:
                    raise FileChanged(operation.path_in_repo)
            operations.append(CommitOperationAdd("README.md", CARD.encode()))
            with_retries(
                lambda: self.api.create_commit(
                    self.repo_id, operations, repo_type="dataset", commit_message=f"Keep {len(files)} files"
                )
            )
        self._committed = {path: file.sha256 for path, file in files.items()}

    def restore(self, stage: Path) -> dict[str, FileDigest]:
        """Put the newest commit's files into the empty folder `stage`; none when there are none. Raises HubError."""
        with explain_errors(self.repo_id, self.api.endpoint):
            info = with_retries(lambda: self.api.dataset_info(self.repo_id))
            paths = [file.rfilename for file in info.siblings or [] if file.rfilename.startswith(FOLDER)]
            fetched_folder = stage / ".fetched"
            if paths:
                with_retries(
                    lambda: self.api.snapshot_download(
                        self.repo_id,
                        repo_type="dataset",
                        revision=info.sha,
                        local_dir=fetched_folder,
                        allow_patterns=f"{FOLDER}*",
                    )
                )
        for path in paths:
            target = path_inside(stage, path.removeprefix(FOLDER))
            target.parent.mkdir(parents=True, exist_ok=True)
            fetched = fetched_folder / path
            if not fetched.is_file() or fetched.is_symlink():
                raise HubError(f"{path} has not arrived.", "Start again: what has arrived is not fetched twice.")
            fetched.replace(target)
        shutil.rmtree(fetched_folder, ignore_errors=True)
        return {path.removeprefix(FOLDER): FileDigest("", 0) for path in paths}


def commit_content(home: Path, path: str, expected: FileDigest) -> bytes | Path:
    """What to commit. Raises FileChanged."""
    try:
        return (
            b"".join(read_unchanged(home / path, expected)) if expected.size <= MAX_BYTES_READ_AT_ONCE else home / path
        )
    except FileNotFoundError as error:
        raise FileChanged(path) from error
