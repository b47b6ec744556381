"""Adapters that come as files from a person's own machine: a zip of a PEFT folder, or its files one by one.

Only files that belong to an adapter are taken out of a zip, under their own plain names; links are refused.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from adapters.common.errors import UserError
from adapters.folder_layout import CONFIG_FILE, is_known
from adapters.record import AdapterRecord
from adapters.store import AdapterStore

MOST_BYTES = 2 << 30  # unpacked


def import_upload(store: AdapterStore, uploads: list[Path], name: str) -> AdapterRecord:
    """Import what was uploaded under `name` (by default the zip's own). Raises UserError for what is no adapter."""
    if not uploads:
        raise UserError("Nothing was uploaded.", "Choose a zip of an adapter's folder, or its files.")
    zips = [path for path in uploads if path.suffix.lower() == ".zip"]
    if zips and len(uploads) > 1:
        raise UserError("There are several files beside a zip.", "Choose one zip, or the files of one adapter.")
    with store.staging() as stage:
        folder = stage / "uploaded"
        folder.mkdir()
        if zips:
            unpack_zip(zips[0], folder)
        else:
            for path in uploads:
                shutil.copyfile(path, folder / path.name)
        return store.import_folder(folder, name or store.free_name(zips[0].stem if zips else "uploaded"))


def unpack_zip(archive: Path, folder: Path) -> None:
    """Write the files of the one adapter in `archive` into `folder`. Raises UserError, and then has written nothing
    outside of it: names are compared with those of an adapter, never used as paths as they come.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            for entry in entries:
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise UserError(f"{entry.filename} in {archive.name} is a link.", "Put the file itself there.")
            top = adapter_folder_in(archive.name, [entry.filename for entry in entries])
            wanted = {entry.filename.removeprefix(top): entry for entry in entries if entry.filename.startswith(top)}
            wanted = {path: entry for path, entry in wanted.items() if is_known(path)}
            if sum(entry.file_size for entry in wanted.values()) > MOST_BYTES:
                raise UserError(
                    f"{archive.name} would be larger than {MOST_BYTES >> 30} GiB when it is unpacked.",
                    "Pull it from the Hub instead.",
                )
            for path, entry in wanted.items():
                target = folder / path
                target.parent.mkdir(exist_ok=True)
                with opened.open(entry) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)  # reads no more than the entry says that it holds
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise UserError(
            f"{archive.name} cannot be unpacked: {error}.", "Make the zip anew, without a password."
        ) from error


def adapter_folder_in(archive: str, names: list[str]) -> str:
    """The folder inside the zip that has the adapter's configuration, with a slash at the end; "" for the top."""
    found = sorted(
        (name for name in names if PurePosixPath(name).name == CONFIG_FILE), key=lambda name: name.count("/")
    )
    if not found:
        raise UserError(f"{archive} has no {CONFIG_FILE}, so it holds no PEFT adapter.", "Zip the folder PEFT saved.")
    if len(found) > 1 and found[0].count("/") == found[1].count("/"):
        raise UserError(f"{archive} holds several adapters.", "Upload one at a time.")
    return found[0].removesuffix(CONFIG_FILE)
