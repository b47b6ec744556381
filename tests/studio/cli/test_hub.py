"""`python -m studio push` and `pull` as people run them: real processes, exit codes, what goes to which stream."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from adapters.record import AdapterRecord
from adapters.store import AdapterStore
from core.common.home import Home
from core.models.base import fingerprint, resolve
from studio.__main__ import main
from tests.adapters.folders import write_adapter
from tests.hub_server.fixtures import Hub

pytestmark = pytest.mark.slow


@pytest.fixture
def store(home: Home) -> AdapterStore:
    store = AdapterStore(home.adapters)
    with store.staging() as stage:
        store.add("pirate", write_adapter(stage / "a"), AdapterRecord("pirate", "guanaco-builtin"))
    return store


def studio(hub: Hub, *arguments: str, token: str | None = "hf_ada", **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "studio", *arguments]
    return subprocess.run(command, env=hub.env(token) | env, capture_output=True, text=True, timeout=60)


def test_push_then_pull(hub: Hub, store: AdapterStore) -> None:
    pushed = studio(hub, "push", "pirate", "--repo", "ada/pirate")
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout == f"{hub.url}/ada/pirate\n"
    assert "private" in pushed.stderr and "adapter_model.safetensors" in pushed.stderr
    assert hub.repo("ada/pirate").private
    pulled = studio(hub, "pull", "ada/pirate", "--name", "copy", "--home", str(store.root.parent))
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout == "copy\n"
    weights = "adapter_model.safetensors"
    assert (store.path("copy") / weights).read_bytes() == (store.path("pirate") / weights).read_bytes()


def test_pull_keeps_what_the_person_says_of_its_base(
    hub: Hub, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_adapter(tmp_path / "a", base_model_name_or_path="ada/copy")
    hub.make_repo("ada/style", {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})
    assert main(["pull", "ada/style", "--same-base", "builtin"]) == 0
    assert "ada/copy (a copy of guanaco-builtin, as you say)" in capsys.readouterr().err
    said = AdapterStore(home.adapters).get("style").same_base
    assert said is not None
    assert (said.made_for, said.base, said.fingerprint) == (
        "ada/copy",
        "guanaco-builtin",
        fingerprint(resolve("builtin")),
    )


def test_a_hub_without_xet_storage_says_what_to_set(hub: Hub, store: AdapterStore) -> None:
    done = studio(hub, "push", "pirate", "--repo", "ada/x", HF_HUB_DISABLE_XET="0")
    assert done.returncode == 1
    assert "HF_HUB_DISABLE_XET=1" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "token", "env", "code", "said"),
    [
        (("push", "parrot", "--repo", "ada/x"), "hf_ada", {}, 2, "Adapters here: pirate"),
        (("push", "pirate", "--repo", "x"), "hf_ada", {}, 2, "owner/name"),
        (("push", "pirate", "--repo", "ada/x"), "hf_wrong", {}, 1, "does not accept the token"),
        (("pull", "ada/none"), "hf_ada", {"HF_HUB_OFFLINE": "1"}, 1, "offline mode is on"),
        (("pull", "ada/pirate"), "hf_ada", {}, 2, "'pirate-2' is free"),
    ],
)
def test_exit_codes(
    hub: Hub, store: AdapterStore, arguments: tuple[str, ...], token: str, env: dict[str, str], code: int, said: str
) -> None:
    done = studio(hub, *arguments, token=token, **env)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr and token not in done.stderr
