"""Deploying a Space: what is planned is what is shown and what arrives, on a Hub that answers over HTTP."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi, RepoCard, SpaceHardware

from adapters.common.errors import UserError
from studio.__main__ import main
from studio.deploy import catalogue, space
from tests.hub_server.fixtures import Hub, hub

__all__ = ["hub"]
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
SECRET = "hf_a-secret-that-nobody-may-see"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout: real README and Dockerfile, and packages with things that must stay behind."""
    root = tmp_path / "checkout"
    for name in space.FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((space.ROOT / name).read_bytes())
    for folder in space.FOLDERS:
        (root / folder / "__pycache__").mkdir(parents=True)
        (root / folder / "__init__.py").write_text(f'"""{folder}"""\n')
        (root / folder / "__pycache__" / "x.pyc").write_bytes(b"cache")
    (root / "core/weights.safetensors").write_bytes(b"\0" * 100)
    (root / ".env").write_text("HF_TOKEN=not-for-the-hub")
    return root


def test_the_projects_own_readme_is_a_valid_space_readme(hub: Hub) -> None:
    text = (space.ROOT / "README.md").read_text()
    settings = space.front_matter(text)
    RepoCard(text).validate(repo_type="space")
    assert settings["sdk"] == "docker"
    assert settings["app_port"] == 7860
    assert settings["suggested_hardware"] in {hardware.value for hardware in SpaceHardware}
    assert {settings["colorFrom"], settings["colorTo"]} <= COLOURS
    assert len(settings["short_description"]) <= 60
    assert settings["hf_oauth"] is True
    assert settings["hf_oauth_scopes"] == ["contribute-repos"], (
        "openid and profile always come with it; no more than these"
    )
    assert settings["startup_duration_timeout"].endswith(("m", "h"))
    assert settings["models"] == [catalogue.DEFAULT]
    assert len(settings["emoji"]) == 1


def test_a_new_space_gets_files_settings_and_secrets(hub: Hub, checkout: Path) -> None:
    hub.login("hf_ada")
    plan = space.plan_deployment(
        "ada/studio",
        base="meta-llama/Llama-2-7b-chat-hf",
        volume="ada/studio-data",
        owners=("bob",),
        private=True,
        secrets={"HF_TOKEN": SECRET},
        root=checkout,
    )
    assert space.deploy(plan, HfApi()) == f"{hub.url}/spaces/ada/studio"
    made = hub.spaces.of["ada/studio"]
    assert (made.sdk, made.hardware, made.sleep_time) == ("docker", "t4-small", 3600)
    assert made.variables == {"STUDIO_BASE": "meta-llama/Llama-2-7b-chat-hf", "STUDIO_OWNERS": "bob"}
    assert made.secrets == {"HF_TOKEN": SECRET}
    assert made.volumes == [{"type": "bucket", "source": "ada/studio-data", "mountPath": "/data"}]
    assert hub.spaces.buckets == {"ada/studio-data": "private"}
    assert hub.repo("ada/studio", "space").private
    assert set(hub.head("ada/studio", "space").files) - {".gitattributes"} == set(plan.files)
    assert space.front_matter(hub.read("ada/studio", "README.md", "space").decode())["models"] == [plan.base]


def test_what_must_stay_behind_is_not_sent(checkout: Path) -> None:
    sent = set(space.plan_deployment("ada/studio", root=checkout).files)
    assert sent == {*space.FILES, "core/weights.safetensors", *(f"{folder}/__init__.py" for folder in space.FOLDERS)}


def test_an_update_is_one_commit_that_also_removes_what_is_gone(hub: Hub, checkout: Path) -> None:
    hub.login("hf_ada")
    api = HfApi()
    (checkout / "studio/old.py").write_text("")
    space.deploy(space.plan_deployment("ada/studio", root=checkout, hardware="l4x1", sleep_time=60), api)
    hub.make_repo("ada/studio", {"notes.txt": b"put there by hand"}, kind="space")
    (checkout / "studio/old.py").unlink()
    before = hub.head("ada/studio", "space")
    space.deploy(space.plan_deployment("ada/studio", root=checkout, base="builtin", secrets={"HF_TOKEN": SECRET}), api)
    after, made = hub.head("ada/studio", "space"), hub.spaces.of["ada/studio"]
    assert after.parent == before.sha
    assert set(before.files) - set(after.files) == {"studio/old.py"}
    assert "notes.txt" in after.files
    assert (made.hardware, made.sleep_time) == ("l4x1", 60), "what is not given stays as it is"
    assert made.variables["STUDIO_BASE"] == "builtin"
    assert made.secrets == {"HF_TOKEN": SECRET}
    space.deploy(
        space.plan_deployment("ada/studio", root=checkout, hardware="t4-medium", sleep_time=90, volume="ada/b"), api
    )
    assert (made.hardware, made.sleep_time) == ("t4-medium", 90)
    assert made.volumes[0]["source"] == "ada/b"
    assert made.variables["STUDIO_BASE"] == "builtin", "the base stays too, though a new Space would get another"
    assert "models" not in space.front_matter(hub.read("ada/studio", "README.md", "space").decode())
    space.deploy(space.plan_deployment("ada/studio", root=checkout, sleep_time=-1, base="a/b"), api)
    assert (made.sleep_time, made.variables["STUDIO_BASE"]) == (-1, "a/b")


def test_private_is_not_promised_for_a_space_that_is_public_already(hub: Hub, checkout: Path) -> None:
    hub.login("hf_ada")
    space.deploy(space.plan_deployment("ada/studio", root=checkout), HfApi())
    with pytest.raises(UserError, match="public"):
        space.deploy(space.plan_deployment("ada/studio", root=checkout, private=True), HfApi())


@pytest.mark.parametrize(
    ("token", "repo_id"), [(None, "ada/studio"), ("hf_ada_read", "ada/studio"), ("hf_ada", "bob/x")]
)
def test_a_refusal_says_which_token_would_do(hub: Hub, checkout: Path, token: str | None, repo_id: str) -> None:
    hub.login(token)
    with pytest.raises(UserError) as caught:
        space.deploy(space.plan_deployment(repo_id, root=checkout), HfApi())
    assert "oken" in caught.value.remedy


@pytest.mark.parametrize("given", ["studio", "../x/y", "a/b/c", "ada/../etc", "ada/st udio", "", "-a/b", "ada/a--b"])
def test_names_that_are_none_are_refused(given: str, checkout: Path) -> None:
    with pytest.raises(UserError):
        space.plan_deployment(given, root=checkout)


def test_hardware_that_does_not_exist_is_refused_with_the_list(checkout: Path) -> None:
    with pytest.raises(UserError, match="t4-small"):
        space.plan_deployment("ada/studio", hardware="t5", root=checkout)


def test_without_a_gpu_the_builtin_base_is_the_default(checkout: Path) -> None:
    plan = space.plan_deployment("ada/studio", hardware="cpu-basic", root=checkout)
    assert plan.variables == {"STUDIO_BASE": "builtin"}
    settings = space.front_matter(plan.files["README.md"].decode())
    assert settings["suggested_hardware"] == "cpu-basic"
    assert "models" not in settings


def test_without_a_volume_a_private_repository_keeps_everything(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = space.plan_deployment("ada/studio", keep_in="ada/studio-home", root=checkout)
    assert plan.variables["STUDIO_KEEP_IN"] == "ada/studio-home"
    assert main(["deploy", "ada/studio", "--keep-in", "ada/studio-home", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "Variable    STUDIO_KEEP_IN=ada/studio-home" in out
    assert "Secret      HF_TOKEN" in out, "it needs a token that may write there"
    with pytest.raises(UserError):
        space.plan_deployment("ada/studio", keep_in="/data", root=checkout)


def test_dry_run_shows_everything_and_sends_nothing(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.login("hf_ada")
    before = len(hub.requests)
    assert main(["deploy", "ada/studio", "--base", "meta-llama/Llama-2-7b-chat-hf", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert hub.requests[before:] == []
    for said in (
        "ada/studio (public",
        "t4-small",
        "3.6 GiB in 4 bit",
        "gated",
        "Secret      HF_TOKEN",
        "Nothing was sent",
    ):
        assert said in out
    for path in ("Dockerfile", "studio/app.py", "core/models/base.py", "adapters/store.py"):
        assert f"  {path}\n" in out
    assert "tests/" not in out


def test_the_docs_show_what_a_dry_run_prints(capsys: pytest.CaptureFixture[str]) -> None:
    text = (space.ROOT / "docs/spaces.md").read_text()
    found = re.search(r"<!-- python -m studio (.*?) -->\n```text\n(.*?)```", text, re.DOTALL)
    assert found is not None
    assert main(found[1].split()) == 0
    assert capsys.readouterr().out.startswith(found[2])


def test_secrets_are_read_from_standard_input_and_never_printed(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    hub.login("hf_ada")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SECRET}\n"))
    caplog.set_level("DEBUG")
    assert main(["deploy", "ada/studio", "--secret", "HF_TOKEN", "--hardware", "cpu-basic"]) == 0
    assert hub.spaces.of["ada/studio"].secrets == {"HF_TOKEN": SECRET}
    printed = capfd.readouterr()
    assert SECRET not in printed.out + printed.err + caplog.text
    assert SECRET not in repr(space.plan_deployment("ada/studio", secrets={"HF_TOKEN": SECRET}))


@pytest.mark.slow
def test_the_command_needs_no_torch_and_no_network() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "studio", "deploy", "ada/studio", "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert not imported & {"torch", "gradio", "transformers"}


# Totals as the Hub shows them for the safetensors of each repository.
PUBLISHED = {
    "Qwen/Qwen2.5-1.5B-Instruct": 1_543_714_304,
    "Qwen/Qwen2.5-0.5B-Instruct": 494_032_768,
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": 1_711_376_384,
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": 1_100_048_384,
    "Qwen/Qwen3-4B-Instruct-2507": 4_022_468_096,
    "meta-llama/Llama-2-7b-chat-hf": 6_738_415_616,
}


def test_the_catalogues_sizes_follow_from_configs_that_give_the_published_totals() -> None:
    assert {base.id: base.parameters for base in catalogue.CATALOGUE} == PUBLISHED


def test_every_base_of_the_catalogue_fits_and_the_default_is_open_to_all() -> None:
    assert all(base.fits_t4 for base in catalogue.CATALOGUE)
    default = catalogue.find_base(catalogue.DEFAULT)
    assert default is not None
    assert not default.gated


@pytest.mark.parametrize("seconds", [0, -2, -3600])
def test_a_time_to_sleep_that_is_none_is_refused(seconds: int, checkout: Path) -> None:
    with pytest.raises(UserError, match="-1 for never"):
        space.plan_deployment("ada/studio", sleep_time=seconds, root=checkout)


def test_what_is_said_before_is_what_an_update_leaves_alone(checkout: Path) -> None:
    assert "(when created, else unchanged)" in space.describe_deployment(
        space.plan_deployment("ada/studio", root=checkout)
    )
    assert "(when created, else unchanged)" not in space.describe_deployment(
        space.plan_deployment("a/b", base="builtin", root=checkout)
    )
