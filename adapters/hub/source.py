"""One revision of a repository to pull from: online, or what the Hub's cache on this machine holds of it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from adapters.common.errors import UserError
from adapters.compat import MAX_CONFIG, missing_weights
from adapters.folder_layout import CONFIG_FILE, PICKLE_FILE, WEIGHTS_FILE, known_files
from adapters.hub.errors import HubError, offline_error
from adapters.hub.progress import Progress
from adapters.hub.retry import with_retries

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_MOST_FILES = 500  # a run that was begun anew has one more of TensorBoard's; each is asked for by itself


class FileFacts(NamedTuple):
    size: int  # bytes
    sha256: str | None = None  # where the Hub gives it: of files in LFS


@dataclass(frozen=True)
class Source:
    """One revision of a repository: its files by path, and how to get one of them onto this machine."""

    revision: str
    files: dict[str, FileFacts]
    fetch: Callable[[str, Progress], Path]


def source_on_hub(api: HfApi, repo_id: str, revision: str | None) -> Source:
    info = with_retries(lambda: api.model_info(repo_id, revision=revision, files_metadata=True))
    assert info.sha is not None
    sha = info.sha
    api.resolve_revision(
        repo_id, revision=revision
    )  # remembered in the cache, by which `source_in_cache` finds the commit
    files = {
        sibling.rfilename: FileFacts(sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else None)
        for sibling in info.siblings or []
    }

    def fetch(path: str, progress: Progress) -> Path:
        size = files[path][0]

        class Meter:
            """Stands in for a tqdm bar, as far as huggingface_hub uses one."""

            def __init__(self, **options: Any) -> None:
                self.done = options.get("initial", 0)

            def update(self, count: float | None = 1) -> None:
                self.done += count or 0
                progress(min(self.done / size, 1.0) if size else 1.0, path)

            def __enter__(self) -> Meter:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def close(self) -> None:
                pass

        return Path(with_retries(lambda: api.hf_hub_download(repo_id, path, revision=sha, tqdm_class=Meter)))

    return Source(sha, files, fetch)


def source_in_cache(api: HfApi, repo_id: str, revision: str | None) -> Source:
    """What an earlier pull has left in the Hub's cache."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        config = Path(api.hf_hub_download(repo_id, CONFIG_FILE, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise offline_error(f"{repo_id} is not in the Hub's cache on this machine and cannot be fetched") from error
    folder = config.parent
    paths = [path for path in folder.rglob("*") if path.is_file()]
    files = {path.relative_to(folder).as_posix(): FileFacts(path.stat().st_size) for path in paths}
    return Source(folder.name, files, lambda path, _: folder / path)


def check_listing(repo_id: str, paths: list[str]) -> None:
    for path in paths:
        if path.startswith("/") or "\\" in path or ":" in path or {"", ".", ".."} & set(path.split("/")):
            raise UserError(f"{repo_id} lists a file outside of its own folder ({path!r}).", "Do not use it.")
    if CONFIG_FILE not in paths:
        raise UserError(f"{repo_id} has no {CONFIG_FILE}, so it is not a PEFT adapter.", "Check its name.")
    if WEIGHTS_FILE not in paths:
        raise UserError(*missing_weights(repo_id, PICKLE_FILE in paths))
    if len(known_files(paths)) > _MOST_FILES:
        raise UserError(f"{repo_id} has {len(known_files(paths)):,} files, more than any adapter.", "Do not use it.")


def check_size(repo_id: str, source: Source, most_bytes: int | None) -> None:
    if source.files[CONFIG_FILE].size > MAX_CONFIG:
        raise UserError(f"{repo_id}'s {CONFIG_FILE} is larger than any adapter's.", "Do not use it.")
    total = sum(source.files[path].size for path in known_files(source.files))
    if most_bytes is not None and total > most_bytes:
        raise UserError(
            f"{repo_id} has {total / 2**20:,.0f} MiB; at most {most_bytes / 2**20:,.0f} MiB are taken from anyone but "
            "the owner.",
            "Ask the owner of this studio to pull it.",
        )


def fetch_files(source: Source, folder: Path, root: Path, progress: Progress) -> None:
    """Download what belongs to an adapter, and copy it into `folder` as plain files."""
    names = known_files(source.files)
    total = sum(source.files[path].size for path in names) or 1
    if shutil.disk_usage(root).free < 2 * total:
        raise HubError(f"There is too little disk space for {total / 2**20:.0f} MiB.", f"Free some beneath {root}.")
    fetched_bytes = 0
    for path in names:
        file = source.files[path]

        def report(share: float, path: str, start: int = fetched_bytes, size: int = file.size) -> None:
            progress((start + share * size) / total, f"Downloading {path}")

        fetched = source.fetch(path, report)
        target = folder / PurePosixPath(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fetched, target)
        if file.sha256 and _sha256(target) != file.sha256:
            raise HubError(f"{path} arrived damaged.", f"Delete {fetched} and pull again.")
        fetched_bytes += file.size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
