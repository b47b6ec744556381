"""The Data page's handlers: what a person chooses, uploads, corrects and removes, and what Train is handed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from adapters.common.errors import UserError
from core.common.home import Home
from core.data import CheckedDataset, store
from core.recipes.recipe import Recipe
from core.training.run import create_run
from studio.auth.identity import LOCAL_OWNER
from studio.context import Studio
from studio.data import handlers, offered_datasets
from studio.data.components import DataPage
from studio.data.dataset_settings import MAPPABLE_COLUMNS, RECIPE_SETTINGS, DatasetSelection, columns_chosen
from studio.data.page import build
from studio.engine.supervisor import EngineSupervisor
from studio.train import handlers as train_handlers
from tests.hub_server.fixtures import Hub
from tests.studio.conftest import request_of

CSV = "Frage,Antwort\n" + "".join(f"Was ist {n}?,Es ist {n}.\n" for n in range(20))
ROW = '{"text": "### Human: Hi ### Assistant: Hello"}\n'
Updates = dict[str, Any]
Trigger = Callable[..., Updates]


@pytest.fixture
def studio(home: Home) -> Studio:
    return Studio.over(home, "builtin", EngineSupervisor(home, "builtin"))


@pytest.fixture(scope="module")
def page(quiet_studio: Studio) -> DataPage:
    """The layout alone: handlers are given the studio that they work for."""
    with gr.Blocks():
        return build(quiet_studio)


@pytest.fixture
def trigger(studio: Studio, page: DataPage) -> Trigger:
    """Runs a handler; its updates by the component's elem_id, or by its kind and number for states."""

    def run(handler: Callable[..., dict[Any, Any]], *values: Any) -> Updates:
        updates = handler(studio, page, *values)
        return {
            component.elem_id or f"{type(component).__name__}-{component._id}": update
            for component, update in updates.items()
        }

    return run


def dataset_in(updates: Updates) -> CheckedDataset:
    return next(update for update in updates.values() if isinstance(update, CheckedDataset))


def selection_in(updates: Updates) -> DatasetSelection:
    return next(update for update in updates.values() if isinstance(update, DatasetSelection))


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_columns_that_tell_nothing_are_asked_for_and_then_handed_to_train(trigger: Trigger, tmp_path: Path) -> None:
    asked = trigger(handlers.upload_files, [written(tmp_path, "fragen.csv", CSV)])
    assert "its columns" in asked["dataset-summary"] or "columns are: Frage, Antwort" in asked["dataset-summary"]
    assert asked["dataset-columns-page"].open
    assert [value for value, _ in asked["column-question"].choices] == ["–", "Frage", "Antwort"]
    assert not asked["use-dataset"].interactive
    chosen = [{"question": "Frage", "answer": "Antwort"}.get(name, "") for name in MAPPABLE_COLUMNS]
    read = trigger(handlers.read_as, selection_in(asked), "", *chosen)
    assert "<b>Conversations</b> 20" in read["dataset-summary"]
    assert selection_in(read).columns == "question=Frage,answer=Antwort" == columns_chosen(tuple(chosen))
    assert read["use-dataset"].interactive
    assert RECIPE_SETTINGS == (
        "dataset_format",
        "dataset_columns",
        "skip_bad_rows",
        "max_length",
        "max_samples",
        "eval_fraction",
        "seed",
    )


def test_several_files_are_one_dataset_that_is_offered_and_can_be_removed(
    trigger: Trigger, home: Home, tmp_path: Path
) -> None:
    files = [written(tmp_path, name, ROW * 2) for name in ("a.jsonl", "b.jsonl")]
    read = trigger(handlers.upload_files, files)
    assert "<b>Rows</b> 4" in read["dataset-summary"]
    assert read["known-dataset"].value == selection_in(read).name
    assert read["remove-dataset"].visible
    gone = trigger(handlers.remove_dataset, selection_in(read).name)
    assert gone["known-dataset"].value is None
    assert store.list_datasets(home) == []


def test_a_dataset_that_a_run_needs_stays(trigger: Trigger, home: Home, tmp_path: Path) -> None:
    name = selection_in(trigger(handlers.upload_files, [written(tmp_path, "a.jsonl", ROW * 4)])).name
    create_run(home, Recipe.from_dict({"dataset_name": name, "run_name": "mine"}))
    with pytest.raises(UserError, match="The run mine is learning from it"):
        trigger(handlers.remove_dataset, name)
    assert len(store.list_datasets(home)) == 1


@pytest.mark.parametrize("name", ["pirate", "", None])
def test_the_bundled_samples_and_nothing_stay_too(trigger: Trigger, home: Home, name: str | None) -> None:
    if name:
        with pytest.raises(UserError, match="no dataset of this studio"):
            trigger(handlers.remove_dataset, name)
    else:
        assert list(trigger(handlers.remove_dataset, name)) == [next(iter(trigger(handlers.remove_dataset, name)))]


def test_rows_with_problems_can_be_skipped(trigger: Trigger, tmp_path: Path) -> None:
    rows = ROW * 3 + '{"text": "### Human: alone"}\n' + ROW
    read = trigger(handlers.upload_files, [written(tmp_path, "mixed.jsonl", rows)])
    assert "1 of 5 rows cannot be used" in read["dataset-summary"]
    assert read["skip-bad-rows"].visible
    assert "Skip 1 row with problems" in read["skip-bad-rows"].label


def test_a_hub_dataset_is_kept_with_what_it_is(trigger: Trigger, home: Home, hub: Hub) -> None:
    card = b"---\nlicense: mit\n---\n"
    hub.make_repo("ada/poems", {"train.jsonl": (ROW * 3).encode(), "README.md": card}, kind="dataset")
    read = trigger(handlers.fetch_dataset, " ada/poems ", "", None, "main")
    commit = hub.head("ada/poems", "dataset").sha
    assert f"ada/poems on the Hub, revision {commit[:10]}" in read["dataset-summary"]
    assert "<b>Licence</b> mit" in read["dataset-summary"]
    assert (f"ada/poems ({commit[:7]})", selection_in(read).name) in offered_datasets.dataset_choices(home)
    assert not read["push-dataset"].visible, "it is its owners'"


def test_a_gated_dataset_is_explained_with_a_link(trigger: Trigger, hub: Hub) -> None:
    hub.make_repo("bob/secret", {"train.jsonl": ROW.encode()}, kind="dataset", gated="manual")
    hub.login("hf_ada")
    said = trigger(handlers.fetch_dataset, "bob/secret", None, None, None)["dataset-summary"]
    assert "gated: its owner must let you in" in said
    assert f'<a href="{hub.url}/datasets/bob/secret"' in said


@pytest.mark.parametrize("name", ["data/x.jsonl", "../x", "/etc/passwd", "pirate", ""])
def test_a_local_file_called_like_an_id_is_never_read(
    trigger: Trigger, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "data").mkdir()
    written(tmp_path / "data", "x.jsonl", ROW)
    monkeypatch.chdir(tmp_path)
    try:
        said = trigger(handlers.fetch_dataset, name, None, None, None)["dataset-summary"]
    except UserError as error:
        said = str(error)
    assert "no dataset data/x.jsonl on the Hub" in said or "is not a dataset id" in said


def test_a_folder_is_uploaded_as_one_dataset_and_what_is_no_data_is_named(
    trigger: Trigger, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(gr, "Info", said.append)
    names = ("train-1.jsonl", "train-2.jsonl", "test.jsonl", "README.md", "photo.png", ".hidden.jsonl")
    read = trigger(handlers.upload_folder, [written(tmp_path, name, ROW * 2) for name in names])
    assert "<b>Rows</b> 4" in read["dataset-summary"]
    assert "and not test.jsonl" in read["dataset-summary"]
    assert said == ["Left out, since they are no data files: .hidden.jsonl, README.md, photo.png."]
    assert len(store.list_datasets(home)) == 1
    with pytest.raises(UserError, match=r"no data file in the folder: it holds photo\.png"):
        trigger(handlers.upload_folder, [str(tmp_path / "photo.png")])
    with pytest.raises(UserError, match=r"files of several kinds \(\.csv, \.jsonl\)"):
        trigger(handlers.upload_folder, [written(tmp_path, "a.jsonl", ROW), written(tmp_path, "a.csv", CSV)])
    assert len(store.list_datasets(home)) == 1, "what cannot be read together is not kept"


def test_several_files_without_a_train_split_among_their_names_are_all_read(trigger: Trigger, tmp_path: Path) -> None:
    read = trigger(
        handlers.upload_files, [written(tmp_path, name, ROW * 2) for name in ("test-a.jsonl", "test-b.jsonl")]
    )
    assert "<b>Rows</b> 4" in read["dataset-summary"]


def test_a_stated_licence_is_on_the_card_and_in_the_next_reading(
    studio: Studio, trigger: Trigger, home: Home, tmp_path: Path
) -> None:
    read = trigger(handlers.upload_files, [written(tmp_path, "mine.jsonl", ROW * 2)])
    assert read["dataset-licence"].visible
    dataset = dataset_in(read)
    stated, summary = handlers.set_licence(studio, selection_in(read), dataset, "  CC BY-NC 4.0,\nno resale ")
    assert "<b>Licence</b> CC BY-NC 4.0, no resale" in summary
    again = trigger(handlers.choose_dataset, selection_in(read).name)
    assert again["dataset-licence"].value == stated.license == "CC BY-NC 4.0, no resale"
    (kept,) = store.list_datasets(home)
    assert json.loads((kept.folder / "dataset-card.json").read_text())["license"] == "CC BY-NC 4.0, no resale"
    with pytest.raises(UserError, match="200 characters"):
        handlers.set_licence(studio, selection_in(read), dataset, "x" * 200)


def test_the_licence_of_a_sample_or_of_the_hub_is_not_changed_here(studio: Studio, trigger: Trigger, hub: Hub) -> None:
    assert not trigger(handlers.choose_dataset, "pirate")["dataset-licence"].visible
    card = b"---\nlicense: mit\n---\n"
    hub.make_repo("ada/poems", {"train.jsonl": (ROW * 3).encode(), "README.md": card}, kind="dataset")
    read = trigger(handlers.fetch_dataset, "ada/poems", "", None, "main")
    assert not read["dataset-licence"].visible
    dataset = dataset_in(read)
    with pytest.raises(UserError, match="for files that were uploaded"):
        handlers.set_licence(studio, selection_in(read), dataset, "none")


def test_how_a_dataset_was_read_is_remembered_here_and_on_train(
    studio: Studio, trigger: Trigger, tmp_path: Path
) -> None:
    asked = trigger(handlers.upload_files, [written(tmp_path, "fragen.csv", CSV)])
    name = selection_in(asked).name
    chosen = [{"question": "Frage", "answer": "Antwort"}.get(column, "") for column in MAPPABLE_COLUMNS]
    trigger(handlers.read_as, selection_in(asked), "", *chosen)
    assert "<b>Conversations</b> 20" in trigger(handlers.choose_dataset, name)["dataset-summary"]
    on_card = gr.EventData(None, {"action": "dataset", "value": name})
    columns = "question=Frage,answer=Antwort"
    assert train_handlers.choose_card(studio, request_of(LOCAL_OWNER), on_card) == [name, "", columns]
    assert train_handlers.remember_format(studio, name) == ["", columns]
    assert train_handlers.remember_format(studio, "pirate") == ["", ""]
    wrong = [{"question": "Antwort"}.get(column, "") for column in MAPPABLE_COLUMNS]
    refused = trigger(handlers.read_as, selection_in(asked), "", *wrong)
    assert "columns are: Frage, Antwort" in refused["dataset-summary"]
    assert [value for value, _ in refused["column-question"].choices] == ["–", "Frage", "Antwort"]
    assert train_handlers.remember_format(studio, name) == ["", columns], "what works stays"
