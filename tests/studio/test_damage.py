"""Whatever file of the home is damaged, and however: the studio starts, every tab is there, nobody gains rights."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from starlette.testclient import TestClient

from adapters.common import damaged_files as damaged
from core.common.home import Home
from core.common.process import Identity
from core.coordination import suspend
from core.data.provenance import Origin, write_origin
from core.models.shared_weights.ipc_handle import handle_path, read_handle, running_engine
from core.recipes.recipe import Recipe
from core.training import queue
from core.training.cleanup import remove_leftovers
from core.training.placement import has_studio
from core.training.run import list_runs
from core.training.speeds import MeasuredSpeed, save_speed, this_machine
from core.training.state import RunState
from core.training.trash import trash_run
from studio.app import build_app
from studio.auth.identity import LOCAL_OWNER, AccessSettings, load_cookie_secret, token_cookie
from studio.auth.keys import Keys
from studio.auth.published import PublishedAdapters
from studio.backup.files import FileHasher
from studio.chat import conversation_stores, conversations, training_examples
from studio.cli.doctor import find_damaged_files
from studio.cli.serve import stop_runs
from studio.compare import votes
from studio.context import Studio
from studio.engine.supervisor import EngineSupervisor
from studio.page import build_page
from studio.runs.table_view import RunsTableState
from studio.web.lock import WebLock
from tests.e2e.furnished import furnish
from tests.studio.conftest import handler, request_of
from tests.studio.damage import DAMAGE
from tests.sweeps import sweep

RUN = "runs/*-quick"  # of the two it is the one that is damaged

FILES = [
    f"{RUN}/state.json",
    f"{RUN}/recipe.yaml",
    f"{RUN}/events.jsonl",
    f"{RUN}/log.txt",
    f"{RUN}/heartbeat",
    f"{RUN}/.state.lock",
    f"{RUN}/tb/events.out.tfevents.1.here.1.0",
    "runs/queue.json",
    "trash/*/deleted",
    "trash/*/state.json",
    "adapters/gull/studio.json",
    "adapters/gull/adapter_config.json",
    "adapters/gull/adapter_model.safetensors",
    "datasets/mine/dataset-card.json",
    "datasets/mine/data.jsonl",
    "datasets/collected/data.jsonl",
    "conversations/*.json",
    "votes/votes.jsonl",
    "keys.json",
    "published.json",
    "engine-settings.json",
    "cache/speeds.jsonl",
    "processes/engine.json",
    "processes/web.json",
    "processes/parked.json",
    "processes/base.json",
    "processes/cookie-secret",
    "processes/chat_busy",
    "processes/queue.lock",
    "processes/keys.lock",
    "processes/web.lock",
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with something of every kind in it."""
    scratch = tmp_path_factory.mktemp("whole")
    home = Home.open(scratch / "home")
    furnish(home, scratch)
    for run in list_runs(home):
        run.log_path.write_text("a line\n")
        run.beat()
        (run.tensorboard).mkdir()
        (run.tensorboard / "events.out.tfevents.1.here.1.0").write_bytes(b"\x18" + bytes(40))
    (slow,) = [run for run in list_runs(home) if run.name == "slow"]
    trash_run(slow)
    furnish_again(home)
    (home.runs / "queue.json").write_text('["20200101-000000-gone"]')
    (home.datasets / "mine").mkdir()
    (home.datasets / "mine" / "data.jsonl").write_text('{"text": "### Human: One? ### Assistant: Two."}\n')
    origin = Origin("mine", "file", ["mine.jsonl"], "0" * 64, "2026-01-01T00:00:00Z", license="mit")
    write_origin(home.datasets / "mine", origin)
    said = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}]
    training_examples.add(home, said)
    column = conversations.ColumnRecord("base", tuple(said))
    conversation_stores.DiskStore(home).put(conversations.Conversation.new([column], {"system": "Be."}))
    candidates = tuple(votes.Candidate(name, (said[0],), name) for name in ("gull", "wren"))
    votes.append(home, votes.Vote.cast(votes.Ballot(candidates, False, {"seed": 1}), "better", 0, "ada"))
    Keys(home).create("laptop")
    studio = Studio.over(home, "builtin", EngineSupervisor(home, "builtin"))
    PublishedAdapters(home).set(studio.store.get("gull"), True)
    (home.root / "engine-settings.json").write_text('{"slots": 4}')
    recipe = Recipe.from_dict({"dataset_name": "pirate"}).to_dict()
    save_speed(home, MeasuredSpeed(recipe, [100.0, 110.0], machine=this_machine()))
    gone = {"pid": 2**22 + 1, "started": 1.0}
    (home.processes / "engine.json").write_text(json.dumps(gone | {"url": "http://127.0.0.1:1", "base": "builtin"}))
    (home.processes / "web.json").write_text(json.dumps(gone | {"url": "http://127.0.0.1:1"}))
    (home.processes / "base.json").write_text(json.dumps(gone | {"state": "lent", "handle": "00", "nbytes": 1}))
    asked = gone | {"run": "20200101-000000-gone", "name": "gone", "adapters": ["gull"]}
    (home.processes / "parked.json").write_text(json.dumps(asked))
    (home.processes / "chat_busy").write_bytes(bytes(16))
    load_cookie_secret(home)
    for name in ("queue", "keys", "web"):
        (home.processes / f"{name}.lock").touch()
    return home.root


def furnish_again(home: Home) -> None:
    """One whole run beside the one that is damaged."""
    run = list_runs(home)[0]
    shutil.copytree(run.folder, run.folder.with_name("20250101-000000-whole"))


@pytest.fixture(scope="module")
def studio(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    home = Home.open(tmp_path_factory.mktemp("damaged") / "home")
    return Studio.over(home, "builtin", EngineSupervisor(home, "builtin"))


@pytest.fixture(scope="module")
def page(studio: Studio) -> gr.Blocks:
    return build_page(studio)


@pytest.fixture
def restored(whole: Path, studio: Studio) -> Callable[[], None]:
    def restore() -> None:
        shutil.rmtree(studio.home.root, ignore_errors=True)
        shutil.copytree(whole, studio.home.root)

    return restore


def look_at_everything(studio: Studio, page: gr.Blocks) -> dict[str, Any]:
    """What every tab shows its owner. Raises whatever a handler raises."""
    home, owner = studio.home, request_of(LOCAL_OWNER)
    runs = [run.id for run in list_runs(home)]
    shown = {
        "tick": handler(page, "page_handlers.refresh_all")(owner, runs[0], RunsTableState(compared=tuple(runs))),
        "choices": handler(page, "page_handlers.show_allowed")(owner),
        "turned": handler(page, "page_handlers.open_address")(owner, "", ""),
        "storage": handler(page, "settings.handlers.show_storage")(owner),
        "access": handler(page, "settings.access_handlers.greet")(owner),
        "archive": handler(page, "chat.conversations_handlers.search_conversations")(owner, "", None, ""),
        "votes": handler(page, "compare.handlers.show_scores")(),
        "datasets": handler(page, "train.handlers.draw_cards")(owner, "pirate"),
        "log": [handler(page, "runs.handlers.show_log")(run) for run in runs],
    }
    # What the other processes read, and the start and the end of the studio.
    queue.start_next(home)
    has_studio(home), running_engine(home), read_handle(handle_path(home)), suspend.read_request(home)
    EngineSupervisor(home, "builtin").process.announced()
    lock = WebLock(home)
    lock.acquire("http://127.0.0.1:1")
    lock.release()
    remove_leftovers(home)
    stop_runs(home)
    FileHasher(home).hash_all()
    return shown


@pytest.mark.parametrize("kind", sweep(DAMAGE, fast=("binary garbage", "a folder", "other types")))
def test_damaged_files_stop_neither_the_start_nor_a_tab(
    kind: str, studio: Studio, page: gr.Blocks, restored: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    home = studio.home
    for names in (FILES[number::3] for number in range(3)):  # so that of the run one file is damaged at a time
        restored()
        before = [run.id for run in list_runs(home)]
        paths = [path for name in names for path in home.root.glob(name)]
        assert len(paths) == len(names)
        for path in paths:
            DAMAGE[kind](path)
        caplog.clear()
        shown = look_at_everything(studio, page)
        handler(page, "page_handlers.refresh_all")(request_of(LOCAL_OWNER), "")  # and now that they are aside
        assert [run.id for run in list_runs(home)] == before
        assert all(run in repr(shown["tick"]) for run in before), "every run is in the list"
        assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        aside = list(damaged.find_damaged(home.root))
        assert {file.path.parent / file.original_name for file in aside} <= set(paths)
        said = [message for message in caplog.messages if "is set aside as" in message]
        assert len(said) == len(aside) == len({file.original_name for file in aside}), "it is said once of each"
        assert all(str(file) in "\n".join(find_damaged_files(home)) for file in aside), "the doctor knows them"


def kinds_of(name: str) -> list[Any]:
    """All kinds of damage to a file that holds no number."""
    kinds = [kind for kind in DAMAGE if kind not in ("huge numbers", "no numbers")]
    return [pytest.param(name, kind, id=f"{name.split('/')[-1]} as {kind}") for kind in kinds]


@pytest.mark.parametrize(("name", "kind"), kinds_of("keys.json"))
def test_with_damaged_keys_no_key_is_let_in(name: str, kind: str, studio: Studio, restored: Callable[[], None]) -> None:
    restored()
    keys = Keys(studio.home)
    key = keys.create("phone")
    assert keys.find_user(key) is not None
    DAMAGE[kind](studio.home.root / name)
    for _ in range(2):
        for given in (key, "", "null", "text", "7"):
            assert Keys(studio.home).find_user(given) is None
    keys.create("new")
    assert [kept.name for kept in keys.list()] == ["new"]


@pytest.mark.parametrize(("name", "kind"), kinds_of("published.json"))
def test_a_damaged_list_of_the_published_publishes_nothing(
    name: str, kind: str, studio: Studio, restored: Callable[[], None]
) -> None:
    restored()
    assert PublishedAdapters(studio.home).has(studio.store.get("gull"))
    DAMAGE[kind](studio.home.root / name)
    assert not any(PublishedAdapters(studio.home).has(record) for record in studio.store.list())
    PublishedAdapters(studio.home).set(studio.store.get("wren"), True)
    assert [record.name for record in studio.store.list() if PublishedAdapters(studio.home).has(record)] == ["wren"]


@pytest.mark.parametrize(("name", "kind"), kinds_of("processes/cookie-secret"))
def test_a_damaged_secret_makes_no_cookie_that_could_be_guessed(
    name: str, kind: str, studio: Studio, restored: Callable[[], None]
) -> None:
    restored()
    settings = AccessSettings("token-of-the-owner")
    old = token_cookie("token-of-the-owner", load_cookie_secret(studio.home))
    DAMAGE[kind](studio.home.root / name)
    secret = load_cookie_secret(studio.home)
    assert len(secret) == 32 and secret == load_cookie_secret(studio.home)
    for guess in (old, token_cookie("token-of-the-owner", b""), token_cookie("token-of-the-owner", bytes(32))):
        assert settings.user_by_cookie(guess, secret) is None
    assert (studio.home.root / name).stat().st_mode & 0o077 == 0


def test_a_run_without_its_state_is_shown_with_what_its_events_tell(
    studio: Studio, page: gr.Blocks, restored: Callable[[], None]
) -> None:
    restored()
    (path,) = studio.home.root.glob(f"{RUN}/state.json")
    path.write_text("{")
    (run,) = [listed for listed in list_runs(studio.home) if listed.folder == path.parent]
    card = repr(handler(page, "page_handlers.refresh_all")(request_of(LOCAL_OWNER), run.id))
    assert run.state() is RunState.INTERRUPTED, "its worker is not there, and its events tell no end"
    assert "20/20" in card and "state.json was damaged" in card and "The run can be resumed" in card
    assert str(studio.home.root) not in card, "who may see the runs need not know this machine's folders"
    assert run.status() == run.status(), "it is written anew once"


def test_a_run_without_its_state_whose_worker_lives_is_still_its_workers(
    studio: Studio, restored: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    restored()
    own = Identity.own()
    monkeypatch.setattr(Identity, "running", classmethod(lambda cls, *words: own))
    (path,) = studio.home.root.glob(f"{RUN}/state.json")
    path.write_text("{")
    (run,) = [listed for listed in list_runs(studio.home) if listed.folder == path.parent]
    assert run.status().worker == own and run.state() is RunState.TRAINING


def test_a_run_without_its_recipe_says_so_and_cannot_be_begun_anew(
    studio: Studio, page: gr.Blocks, restored: Callable[[], None]
) -> None:
    restored()
    (path,) = studio.home.root.glob(f"{RUN}/recipe.yaml")
    path.write_bytes(b"\x00\xff")
    run = path.parent.name
    assert "recipe.yaml was damaged" in repr(handler(page, "page_handlers.refresh_all")(request_of(LOCAL_OWNER), run))
    with pytest.raises(gr.Error, match=r"is not known\. Its recipe\.yaml was damaged"):
        handler(page, "runs.handlers.show_recipe_as_yaml")(run)


def test_who_looks_for_keys_publications_or_conversations_sees_that_a_file_was_damaged(
    studio: Studio, page: gr.Blocks, restored: Callable[[], None]
) -> None:
    restored()
    for name in ("keys.json", "published.json", "conversations/*.json"):
        (path,) = studio.home.root.glob(name)
        path.write_text("{")
    owner = request_of(LOCAL_OWNER)
    shown = repr(handler(page, "settings.access_handlers.greet")(owner))
    assert "keys.json was damaged" in shown and "published.json was damaged" in shown
    assert "1 damaged conversation is set aside" in handler(page, "chat.conversations_handlers.search_conversations")(
        owner, "", None, ""
    )


@pytest.fixture
def at_once(restored: Callable[[], None], studio: Studio) -> Iterator[Callable[[str], Home]]:
    def damage_all(kind: str) -> Home:
        restored()
        for name in FILES:
            (path,) = studio.home.root.glob(name)
            DAMAGE[kind](path)
        return studio.home

    yield damage_all


@pytest.mark.parametrize("kind", sweep(["a folder", "binary garbage", "other types"], fast=["other types"]))
def test_the_studio_starts_with_every_file_damaged_at_once(kind: str, at_once: Callable[[str], Home]) -> None:
    home = at_once(kind)
    app = build_app(Studio.over(home, "builtin", EngineSupervisor(home, "builtin")))
    with TestClient(app, base_url="http://127.0.0.1:7860") as web:
        assert web.get("/").status_code == 200
        assert web.get("/healthz").json()["status"] == "ok"
        assert web.get("/tensorboard/data/runs").status_code == 200
