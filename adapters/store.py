"""The adapters of one studio: a folder with one PEFT folder per adapter.

Several processes use it at once (the page, the engine, a trainer that has just finished), so there is no index and no
lock: a folder appears and disappears by one rename, and is complete from the moment it appears.
"""

from __future__ import annotations

import builtins
import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from adapters.adapter import Adapter
from adapters.card_record import record_from_card
from adapters.common.errors import UserError
from adapters.common.files import remove_tree, sync_files, sync_folder, temporary_name, write_atomic
from adapters.compat import AdapterFacts, inspect
from adapters.folder_layout import CONFIG_FILE, PICKLE_FILE, WEIGHTS_FILE, known_files
from adapters.record import BUILTIN_ID, RECORD_FILE, AdapterRecord

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = frozenset({"base", "builtin", BUILTIN_ID})  # names by which the API calls the base itself
_LOOKED_AT = (CONFIG_FILE, WEIGHTS_FILE, PICKLE_FILE, RECORD_FILE)
_Signature: TypeAlias = tuple[tuple[int, int, int, int] | None, ...]
_STAGING = ".staging"
_DELETED = ".deleted-"
_STALE_SECONDS = 24 * 3600  # a staging folder that nobody has written to for this long belongs to a process that died


def check_name(name: str) -> str:
    """`name` itself when an adapter may have it. Raises UserError otherwise."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot be an adapter's name.",
            "Use 1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or a digit.",
        )
    if name.lower() in _RESERVED:
        raise UserError(f"{name!r} is what the base itself is called.", "Choose another name.")
    return name


class AdapterStore:
    """Adapters beneath `root` (a home's adapters folder, which must exist)."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._known: dict[str, tuple[_Signature, AdapterRecord | str]] = {}

    def list(self) -> builtins.list[AdapterRecord]:
        """All whole adapters, newest first. What is not whole is in `broken`."""
        records = [result for _, result in self._scan() if isinstance(result, AdapterRecord)]
        return sorted(records, key=lambda record: (record.created, record.name), reverse=True)

    def broken(self) -> builtins.list[tuple[str, str]]:
        """(name, reason) of each folder that is not a whole adapter."""
        return [(name, result) for name, result in self._scan() if isinstance(result, str)]

    def get(self, name: str) -> AdapterRecord:
        """The record of one whole adapter. Raises UserError when there is none of that name, or it is broken."""
        return self.open(name).record

    def open(self, name: str) -> Adapter:
        """One whole adapter. Raises UserError when there is none of that name, or it is broken."""
        return Adapter.read(self.path(name))

    def path(self, name: str) -> Path:
        """The adapter's folder. Raises UserError when there is none; what exists are listed."""
        folder = self.root / check_name(name)
        if not folder.is_dir() or folder.is_symlink():
            names = ", ".join(sorted(record.name for record in self.list())) or "none"
            raise UserError(f"There is no adapter named {name!r}.", f"Adapters here: {names}.")
        return folder

    def facts(self, name: str) -> AdapterFacts:
        """What `compat.inspect` says of one adapter."""
        return inspect(self.path(name))

    def add(self, name: str, folder: Path, record: AdapterRecord) -> AdapterRecord:
        """Move the finished PEFT folder `folder` in under `name`; the record as stored is returned.

        Rank, alpha, targets and size are read from the files. Raises UserError when the folder is not a whole adapter
        or the name is taken, OSError when the disk fails (such as a full one). `folder` is then still where it was.
        """
        check_name(name)
        facts = inspect(folder)
        if (self.root / name).exists():
            raise self._taken(name)
        record = replace(_with_facts(record, facts), name=name)
        try:
            self._complete(folder, record)
        except OSError as error:
            (folder / RECORD_FILE).unlink(missing_ok=True)
            if error.errno != errno.EXDEV:
                raise
            with self.staging() as stage:
                self._complete(Path(shutil.copytree(folder, stage / name)), record)
            remove_tree(folder)
        except UserError:
            (folder / RECORD_FILE).unlink(missing_ok=True)
            raise
        return record

    def import_folder(self, folder: Path, name: str, note: str = "") -> AdapterRecord:
        """Copy an adapter made elsewhere in under `name`, and of its folder only the files that belong to an adapter.

        What a card of the studio's own says of it (recipe, dataset, losses) comes along.
        Raises UserError when it is not a whole adapter, has links among those files, or the name is taken.
        """
        inspect(folder)
        names = known_files(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        with self.staging() as stage:
            copy = stage / "import"
            for file in names:
                source, target = folder / file, copy / file
                if source.is_symlink() or not source.is_file() or source.parent.is_symlink():
                    raise UserError(f"{folder.name}/{file} is not a plain file.", "Put the file itself there.")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
            record = record_from_card(copy, name, inspect(copy).base_model)
            return self.add(name, copy, replace(record, note=note or record.note))

    def adopt(self, name: str) -> AdapterRecord:
        """Give a folder that was put into the store by hand its record, which makes it an adapter like the others.

        Raises UserError when it is not a whole adapter or has a record already.
        """
        folder = self.path(name)
        if (folder / RECORD_FILE).exists():
            raise UserError(f"{name!r} has a record already.", "Delete it and import the folder anew to replace it.")
        facts = inspect(folder)
        record = _with_facts(AdapterRecord(name, facts.base_model, note="put into the store by hand"), facts)
        write_atomic(folder / RECORD_FILE, record.to_json())
        return record

    def update(self, record: AdapterRecord) -> None:
        """Replace the record of the adapter `record.name`. Raises UserError when there is no such adapter."""
        write_atomic(self.path(record.name) / RECORD_FILE, record.to_json())

    def rename(self, name: str, new_name: str) -> AdapterRecord:
        """Raises UserError when there is no such adapter or the new name is taken or not allowed."""
        record = self.get(name)
        check_name(new_name)
        if new_name == name:
            return record
        try:
            self._claim(self.path(name), new_name)
        except FileNotFoundError as error:
            raise UserError(f"{name!r} has just been deleted or renamed by someone else.") from error
        record = replace(record, name=new_name)
        self.update(record)
        return record

    def delete(self, name: str) -> None:
        """Delete an adapter, or what is left of a broken one. Raises UserError when there is none of that name."""
        folder = self.root / name
        inside = name != "" and name == Path(name).name and not name.startswith(".")
        if not inside or not (folder.is_dir() or folder.is_symlink()):
            names = ", ".join(sorted(record.name for record in self.list())) or "none"
            raise UserError(f"There is no adapter named {name!r}.", f"Adapters here: {names}.")
        try:
            if folder.is_symlink():
                folder.unlink()
            else:
                self._sweep()  # what is left of an earlier one of this name would be in the way
                remove_tree(folder)
        except FileNotFoundError as error:
            raise UserError(f"{name!r} has just been deleted by someone else.") from error

    def free_name(self, wanted: str) -> str:
        """A name like `wanted` that is allowed and free: itself, or with -2, -3, ... after it."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", wanted).lstrip("._-")[:58] or "adapter"
        if stem.lower() in _RESERVED:
            stem = f"{stem}-adapter"
        name, number = stem, 1
        while (self.root / name).exists():
            number += 1
            name = f"{stem}-{number}"
        return check_name(name)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A new folder inside the store that readers do not see; it and what is left in it are removed at the end."""
        self._sweep()
        folder = Path(tempfile.mkdtemp(prefix=temporary_name("staging"), dir=self.root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _scan(self) -> Iterator[tuple[str, AdapterRecord | str]]:
        """(name, record or what is wrong with it) of each folder. Files that are as they were are not read again."""
        known: dict[str, tuple[_Signature, AdapterRecord | str]] = {}
        for folder in sorted(self.root.iterdir()):
            if folder.name.startswith(".") or not (folder.is_dir() or folder.is_symlink()):
                continue
            signature = _signature(folder)
            before = self._known.get(folder.name)
            result: AdapterRecord | str
            if before is not None and before[0] == signature:
                result = before[1]
            else:
                try:
                    if folder.is_symlink():
                        raise UserError("It is a link.", "Put the folder itself there.")
                    check_name(folder.name)
                    result = Adapter.read(folder).record
                except (UserError, OSError) as error:
                    result = str(error)
                    if not folder.exists() and not folder.is_symlink():
                        continue  # another process has deleted or renamed it since the folder was listed
                    if isinstance(error, OSError):  # it may pass with the files as they are: nothing to remember
                        yield folder.name, result
                        continue
            known[folder.name] = signature, result
            yield folder.name, result
        self._known = known

    def _complete(self, staged: Path, record: AdapterRecord) -> None:
        """Make `staged` durable, write its record last, and let it appear under its name."""
        sync_files(staged)
        write_atomic(staged / RECORD_FILE, record.to_json())
        self._claim(staged, record.name)

    def _claim(self, folder: Path, name: str) -> None:
        """Rename `folder` to `name` unless the name is taken: the kernel refuses to replace a folder with content."""
        try:
            folder.rename(self.root / name)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise self._taken(name) from error
            raise
        sync_folder(self.root)

    def _taken(self, name: str) -> UserError:
        return UserError(f"There is already an adapter named {name!r}.", f"{self.free_name(name)!r} is free.")

    def _sweep(self) -> None:
        """Remove what processes that died have left behind."""
        for folder in self.root.glob(".*"):
            try:
                stale = time.time() - folder.stat().st_mtime > _STALE_SECONDS
            except FileNotFoundError:
                continue
            if folder.name.startswith(_DELETED) or (folder.name.startswith(_STAGING) and stale):
                shutil.rmtree(folder, ignore_errors=True)


def _signature(folder: Path) -> _Signature:
    """Differs when what Adapter.read reads does. Taken before reading, so what changes meanwhile shows later."""
    found: list[tuple[int, int, int, int] | None] = []
    for path in (str(folder), *(f"{folder}/{name}" for name in _LOOKED_AT)):
        try:
            stat = os.lstat(path)
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size))
    return tuple(found)


def _with_facts(record: AdapterRecord, facts: AdapterFacts) -> AdapterRecord:
    """The record with what the adapter's own files say: rank, alpha, the layers it is on, the size of its weights."""
    return replace(
        record,
        lora_r=facts.config.get("r"),
        lora_alpha=facts.config.get("lora_alpha"),
        target_modules=sorted({module.rsplit(".", 1)[-1] for module in facts.pairs}),
        size_bytes=facts.size_bytes,
    )
