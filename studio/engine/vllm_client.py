"""A vLLM server in the engine's place: which models it has; the home's adapters are loaded when they are asked for.

vLLM reads an adapter's files again whenever it has put the adapter out of its memory, and ends, for everybody, when
they are gone by then. So it is never given the home's own folders, which may be deleted, renamed or, as a run's
checkpoints, replaced at any time, but links to their files, in a folder per version. That goes a while after the
server has let go of the version. docs/vllm.md says what was seen of vLLM.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from adapters.bases import is_same_base, to_shareable_id
from adapters.common.errors import UserError
from adapters.compat import BaseFacts, inspect, why_not, why_not_config
from adapters.folder_layout import CONFIG_FILE, WEIGHTS_FILE
from core.common.home import Home
from core.models.base_facts import facts_of, with_shapes
from studio.web.tls import tls_context

REQUEST_SECONDS = 60.0  # for a large adapter on a slow disk
UNLOADED_FILES_SECONDS = 15 * 60.0  # an answer that is under way when its adapter is unloaded still needs the files
KEY = "STUDIO_ENGINE_KEY"  # where the server asks for an API key
INNER = re.compile(r"Worker failed with error '(.*)', please check", re.DOTALL)
RANK = re.compile(r"LoRA rank (\d+) is greater than max_lora_rank")


@dataclass(frozen=True)
class ServedModels:
    """What /v1/models says. root: what the base was loaded from. adapters: name -> folder, as the server sees it."""

    base: str
    root: str
    adapters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, body: Any) -> ServedModels:
        """Raises UserError when it is no list of models with a base in it."""
        entries = body.get("data") if isinstance(body, dict) else None
        known = [entry for entry in entries or [] if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
        bases = [entry for entry in known if not entry.get("parent")]
        if not bases:
            raise UserError("Its list of models (/v1/models) names no base.", "Give the address of a vLLM server.")
        adapters = {entry["id"]: str(entry.get("root") or "") for entry in known if entry.get("parent")}
        return cls(bases[0]["id"], str(bases[0].get("root") or bases[0]["id"]), adapters)


class VllmClient:
    """server_home: the home folder as the server sees it, where that is another path (a container, another machine).

    Any thread may call it.
    """

    def __init__(
        self,
        home: Home,
        url: str,
        studio_base: str,
        server_home: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.home, self.url, self.studio_base = home, url, studio_base
        self.folder = home.processes / "served"
        self.server_folder = PurePosixPath(server_home or home.root) / self.folder.relative_to(home.root)
        self.models: ServedModels | None = None
        self._http = httpx.Client(
            headers=headers, timeout=REQUEST_SECONDS, trust_env=False, verify=tls_context(trust_env=False)
        )
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}

    def list_models(self) -> ServedModels:
        """Raises UserError when what answers is no server of models, httpx.HTTPError when nothing does."""
        answer = self._http.get(f"{self.url}/v1/models", timeout=5.0)
        if answer.status_code in (401, 403):
            raise UserError("It asks for another API key.", f"Put its key into the environment as {KEY}.")
        if answer.is_error:
            raise UserError(f"It answers {answer.status_code} when it is asked for its models.")
        try:
            self.models = ServedModels.read(answer.json())
        except ValueError as error:
            raise UserError("What it says of its models is not JSON.", "Give the address of a vLLM server.") from error
        return self.models

    def health(self, failing: bool) -> dict[str, Any]:
        """What the engine's own /health would say. vLLM's has no body: it only fails, or does not."""
        try:
            if failing:
                raise UserError("It says that it cannot answer.")
            adapters = self.list_models().adapters
        except (httpx.HTTPError, UserError) as error:
            message = str(error) if isinstance(error, UserError) else f"It does not answer ({type(error).__name__})."
            return {"status": "starting", "detail": f"The server of --engine-url is not ready. {message}"}
        resident = [{"name": name, "where": "server"} for name in adapters]
        return {"status": "ready", "base": self.base_name, "adapters": resident}

    @property
    def base(self) -> BaseFacts | None:
        """Its base, under this studio's own id where it is the same; None while it has not answered."""
        if self.models is None:
            return None
        own, there = facts_of(self.studio_base), facts_of(self.models.root)
        both = own.fingerprint and there.fingerprint
        return own if (own.fingerprint == there.fingerprint if both else is_same_base(own.id, there.id)) else there

    @property
    def base_name(self) -> str:
        return to_shareable_id(self.base.id) if self.base else ""

    def load_adapter(self, name: str, folder: Path) -> None:
        """Have the server know the adapter in `folder`, as it is now, under `name`; nothing is done where it does.

        An earlier version is unloaded first, and the server never told to replace it in place: it would then read the
        files anew in every step, and mix up what it has cached of both. Raises UserError when it does not fit, or the
        server refuses it.
        """
        with self._lock:
            loading = self._loading.setdefault(name, threading.Lock())
        with loading:
            served = self._list_models()
            version = self.folder / name / version_of(folder)
            server_path = str(self.server_folder / name / version.name)
            root = served.adapters.get(name)
            if root == server_path and version.is_dir():
                return
            if root is not None and not self._is_from_this_home(root):
                raise UserError(
                    f"The server of --engine-url has an adapter {name!r} of its own, from elsewhere.",
                    "Rename the one here, or unload it there.",
                )
            self._check(name, folder)
            if root is not None:
                self._unload_adapter(name)
            self._remove_old(self._list_models())
            link_files(folder, version)
            answer = self._post("load", {"lora_name": name, "lora_path": server_path})
            if answer.is_error:
                shutil.rmtree(version, ignore_errors=True)
                raise self._refusal(name, answer)

    def unload_adapter(self, name: str) -> None:
        """Have the server forget it, if it knows it."""
        if name in self._list_models().adapters:
            self._unload_adapter(name)

    def _unload_adapter(self, name: str) -> None:
        answer = self._post("unload", {"lora_name": name})
        if answer.is_error and answer.status_code != 404:
            raise self._refusal(name, answer)
        for version in (self.folder / name).glob("*"):
            os.utime(version)  # from now on it is kept for a while

    def _list_models(self) -> ServedModels:
        try:
            return self.list_models()
        except httpx.HTTPError as error:
            raise self._no_answer(error) from error

    def _post(self, what: str, body: dict[str, Any]) -> httpx.Response:
        try:
            return self._http.post(f"{self.url}/v1/{what}_lora_adapter", json=body)
        except httpx.HTTPError as error:
            raise self._no_answer(error) from error

    def _is_from_this_home(self, root: str) -> bool:
        """Whether the server has it from this home: as brought here, or as it was started with."""
        return PurePosixPath(root).is_relative_to(self.server_folder.parent.parent)

    def _check(self, name: str, folder: Path) -> None:
        """What the server would not see: it answers with adapters of other shapes, and of layers that there are not."""
        facts, base = inspect(folder), self.base
        reason = why_not_config(facts.config) or (why_not(facts, with_shapes(base, facts)) if base else None)
        if reason:
            raise UserError(f"The adapter {name!r} cannot be used here. {reason}", "Choose another adapter or base.")

    def _remove_old(self, served: ServedModels) -> None:
        used = set(served.adapters.values())
        for version in self.folder.glob("*/*"):
            aged = time.time() - version.stat().st_mtime > UNLOADED_FILES_SECONDS
            if aged and str(self.server_folder / version.parent.name / version.name) not in used:
                shutil.rmtree(version, ignore_errors=True)

    def _refusal(self, name: str, answer: httpx.Response) -> UserError:
        """The server's reason, without the words around it, and what can be done."""
        try:
            error = answer.json().get("error") or {}
        except (ValueError, AttributeError):
            error = {}
        message = str(error.get("message") or "") if isinstance(error, dict) else str(error)
        if answer.status_code == 404 and not message:
            return UserError(
                "The server of --engine-url takes no adapters while it runs.",
                "Start it with --enable-lora, and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment.",
            )
        if answer.status_code == 404:
            return UserError(
                f"The server of --engine-url does not find the files of {name} where this studio has them.",
                "Start the studio with --engine-home and the home folder's path as that server sees it.",
            )
        inner = INNER.search(message)
        reason = (inner[1] if inner else message or f"it answered {answer.status_code}").strip().rstrip(".")
        rank = RANK.match(reason)
        remedy = "Its log says more."
        if rank:
            remedy = f"Start it with --max-lora-rank {least_max_lora_rank(int(rank[1]))}."
        return UserError(f"The server of --engine-url does not take {name}: {reason}.", remedy)

    def _no_answer(self, error: httpx.HTTPError) -> UserError:
        return UserError(f"The server of --engine-url does not answer ({type(error).__name__}).", "Start it again.")


def authorization_headers() -> dict[str, str]:
    key = os.environ.get(KEY, "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def version_of(folder: Path) -> str:
    """A name that is another one whenever the adapter's files are. Raises UserError when they are not there."""
    try:
        stats = [(folder / name).stat() for name in (CONFIG_FILE, WEIGHTS_FILE)]
    except OSError as error:
        raise UserError(f"The adapter in {folder.name} is not whole: {error.strerror}.", "Fetch it anew.") from error
    return "-".join(f"{stat.st_mtime_ns:x}.{stat.st_size:x}" for stat in stats)


def link_files(folder: Path, version: Path) -> None:
    """Put the adapter's files there too: as links of the file system where it has them, else as copies."""
    version.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        target = version / name
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(folder / name)
        except OSError:
            shutil.copyfile(folder / name, target)


def least_max_lora_rank(rank: int) -> int:
    """The least value of --max-lora-rank that has room for it."""
    return next((allowed for allowed in (1, 8, 16, 32, 64, 128, 256, 320) if allowed >= rank), 512)
