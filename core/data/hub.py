"""A dataset repository on the Hub: which files make up one split, and their download. No script of it is ever run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from adapters.common.errors import UserError
from core.data.provenance import CARD_FILE
from core.data.readers.archive import ZIP, kind_of_name
from core.data.readers.files import is_data_file

HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
ADDRESS = re.compile(r"(?:https?://(?:huggingface\.co|hf\.co)/|hf://)datasets/([^/?#]+/[^/?#]+)(?:[/?#].*)?")
MAX_BYTES = 1 << 33

# The names by which splits are told from file and folder names, as the Hub's own viewer and `datasets` do it.
SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
NOT_DATA = {"README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", CARD_FILE}


@dataclass(frozen=True)
class HubFiles:
    """The downloaded files of one split; `revision` is the commit they are from."""

    paths: list[Path]
    revision: str
    license: str | None


def is_hub_id(text: str) -> bool:
    return HUB_ID.fullmatch(text) is not None and ".." not in text and "--" not in text


def parse_hub_id(text: str) -> str:
    """The id in the address of a dataset's page; any other text as it is."""
    address = ADDRESS.fullmatch(text.strip())
    return address[1] if address else text


def download_split(
    repo_id: str,
    *,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    token: str | None = None,
) -> HubFiles:
    """Download one split into the Hub cache. Raises UserError with the remedy for everything that can go wrong."""
    from huggingface_hub import HfApi

    if not is_hub_id(repo_id):
        raise UserError(f"{repo_id!r} is not a dataset id.", "A dataset id is owner/name, as in the page's address.")
    with explain_hub_errors(repo_id, revision):
        api = HfApi(token=token)
        info = api.dataset_info(repo_id, revision=revision, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        card: dict[str, Any] = info.card_data.to_dict() if info.card_data else {}
        names = files_of_split(repo_id, list(sizes), card, config, split)
        total = sum(sizes[name] for name in names)
        if total > MAX_BYTES:
            raise UserError(
                f"The split {split!r} of {repo_id} is {total >> 30} GiB, more than is downloaded for one run.",
                "Choose a smaller config or split, or download a part of it and give the file.",
            )
        paths = [Path(api.hf_hub_download(repo_id, name, repo_type="dataset", revision=info.sha)) for name in names]
    license_ = card.get("license")
    return HubFiles(paths, info.sha or "", ", ".join(license_) if isinstance(license_, list) else license_)


@contextmanager
def explain_hub_errors(repo_id: str, revision: str | None) -> Iterator[None]:
    """Translate what huggingface_hub raises. The order matters: a gated repository counts as not found, too."""
    import httpx2
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/datasets/{repo_id}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(
            f"The dataset {repo_id} is gated: its owner must let you in.",
            f"Ask for access at {page}, then log in (`hf auth login`) or set HF_TOKEN.",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"The dataset {repo_id} has no revision {revision!r}.", f"See {page}/tree/main.") from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"There is no dataset {repo_id} on the Hub, or it is private and this login may not see it.",
            f"Check the spelling at {page}; for a private one, log in (`hf auth login`) or set HF_TOKEN.",
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise UserError(
            f"{repo_id} is on the Hub, but the Hub is switched off here (HF_HUB_OFFLINE).",
            "Unset HF_HUB_OFFLINE, or give a file or a bundled sample.",
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        raise UserError(
            f"The Hub answered {status} when asked for the dataset {repo_id}.",
            "Log in again (`hf auth login`) or renew HF_TOKEN." if status in (401, 403) else "Try again in a while.",
        ) from error
    except (httpx2.TransportError, errors.LocalEntryNotFoundError) as error:
        raise UserError(
            f"The Hub ({constants.ENDPOINT}) cannot be reached for the dataset {repo_id}.",
            "Check the network, or give a file or a bundled sample.",
        ) from error


def files_of_split(
    repo_id: str, names: list[str], card: Mapping[str, Any], config: str | None, split: str
) -> list[str]:
    """The data files of one split, sorted: as the card's `configs` say, else as the file names say."""
    data = sorted(name for name in names if is_data_file(name) and PurePosixPath(name).name not in NOT_DATA)
    if not data:
        scripts = [name for name in names if name.endswith(".py")]
        raise UserError(
            f"The dataset {repo_id} has no file that can be read here"
            + (f" (it is made by the script {scripts[0]}, which is not run)." if scripts else "."),
            "Choose one with JSON, CSV or Parquet files.",
        )
    splits = splits_of_config(repo_id, data, card, config)
    if split not in splits:
        raise UserError(f"The dataset {repo_id} has no split {split!r}.", f"Its splits: {', '.join(splits)}.")
    chosen = splits[split]
    # The same rows are often given in several kinds of file; mixing them would double the dataset.
    kinds = Counter(kind_of_name(name) for name in chosen)
    kind = max(kinds, key=lambda name: (name != ZIP, kinds[name]))
    return [name for name in chosen if kind_of_name(name) == kind]


def splits_of_config(
    repo_id: str, data: list[str], card: Mapping[str, Any], config: str | None
) -> dict[str, list[str]]:
    configs = {
        str(entry.get("config_name", "default")): entry
        for entry in card.get("configs") or []
        if isinstance(entry, Mapping)
    }
    if config is None and configs:
        preferred = [name for name, entry in configs.items() if entry.get("default") or name == "default"]
        if not preferred and len(configs) > 1:
            raise UserError(f"The dataset {repo_id} has several configs.", f"Choose one: {', '.join(configs)}.")
        config = (preferred or list(configs))[0]
    if config is not None and config not in configs and config != "default":
        known = ", ".join(configs) or "default"
        raise UserError(f"The dataset {repo_id} has no config {config!r}.", f"Its configs: {known}.")
    chosen = configs.get(config or "default", {})
    folder = chosen.get("data_dir")
    if folder:
        data = [name for name in data if PurePosixPath(name).is_relative_to(folder)]
    if "data_files" not in chosen:
        return splits_by_name(data)
    splits: dict[str, list[str]] = {}
    for name, patterns in declared_files(chosen["data_files"]):
        matching = [
            file for file in data if any(glob_to_regex(pattern, folder).fullmatch(file) for pattern in patterns)
        ]
        if matching:
            splits[name] = matching
    return splits


def declared_files(data_files: Any) -> list[tuple[str, list[str]]]:
    """`data_files` of a card: one pattern, several, or per split."""
    if isinstance(data_files, str):
        return [("train", [data_files])]
    if isinstance(data_files, Mapping):
        return [(str(name), [paths] if isinstance(paths, str) else list(paths)) for name, paths in data_files.items()]
    if all(isinstance(entry, str) for entry in data_files):
        return [("train", list(data_files))]
    return [
        (str(entry["split"]), [entry["path"]] if isinstance(entry["path"], str) else list(entry["path"]))
        for entry in data_files
    ]


def splits_by_name(data: list[str]) -> dict[str, list[str]]:
    splits = {}
    for split, words in SPLIT_WORDS.items():
        pattern = re.compile(rf"(?:^|[-._ 0-9/])(?:{'|'.join(words)})(?:[-._ 0-9/])")
        found = [name for name in data if pattern.search(name)]
        if found:
            splits[split] = found
    return splits or {"train": data}


def glob_to_regex(pattern: str, folder: str | None = None) -> re.Pattern[str]:
    """`**` crosses folders, `*` and `?` do not."""
    if folder:
        pattern = f"{folder.rstrip('/')}/{pattern}"
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern.removeprefix("./"))
    return re.compile("".join(wild.get(part) or (part if part[:1] == "[" else re.escape(part)) for part in parts))
