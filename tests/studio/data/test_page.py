"""The Data page's handlers: what a person chooses, uploads, corrects and removes, and what Train is handed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from core.common.home import Home
from core.data import store
from core.recipes.recipe import Recipe
from core.training.run import create_run
from studio.auth.identity import LOCAL_OWNER
from studio.context import Studio
from studio.data import choices as imports
from studio.data.reading import HANDED, MAPPED, Reading, columns_chosen
from studio.data.summary import division, kinds, languages, refusal
from studio.engine.supervisor import EngineSupervisor
from studio.page import build_page
from tests.hub_server.fixtures import Hub
from tests.studio.conftest import handler, request_of

CSV = "Frage,Antwort\n" + "".join(f"Was ist {n}?,Es ist {n}.\n" for n in range(20))
ROW = '{"text": "### Human: Hi ### Assistant: Hello"}\n'


@pytest.fixture
def page(home: Home) -> gr.Blocks:
    return build_page(Studio.over(home, "builtin", EngineSupervisor(home, "builtin")))


Play = Callable[..., dict[str, Any]]


@pytest.fixture
def play(page: gr.Blocks) -> Play:
    """Runs an event's handler; its updates by the component's elem_id, or by its kind and number for states."""

    def run(name: str, *values: Any) -> dict[str, Any]:
        updates = handler(page, name)(*values)
        return {each.elem_id or f"{type(each).__name__}-{each._id}": update for each, update in updates.items()}

    return run


def test_building_the_page_leaves_no_stray_component(page: gr.Blocks) -> None:
    labels = [each.label for each in page.blocks.values() if isinstance(each, gr.Dropdown | gr.Slider)]
    assert None not in labels


def reading(updates: dict[str, Any]) -> Reading:
    return next(each for each in updates.values() if isinstance(each, Reading))


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_columns_that_tell_nothing_are_asked_for_and_then_handed_to_train(play: Play, tmp_path: Path) -> None:
    asked = play("data.page.check_upload", [written(tmp_path, "fragen.csv", CSV)])
    assert "its columns" in asked["dataset-summary"] or "columns are: Frage, Antwort" in asked["dataset-summary"]
    assert asked["dataset-columns-page"].open
    assert [value for value, _ in asked["column-question"].choices] == ["–", "Frage", "Antwort"]
    assert not asked["use-dataset"].interactive
    chosen = [{"question": "Frage", "answer": "Antwort"}.get(name, "") for name in MAPPED]
    read = play("data.page.check_as", reading(asked), "", *chosen)
    assert "<b>Conversations</b> 20" in read["dataset-summary"]
    assert reading(read).columns == "question=Frage,answer=Antwort" == columns_chosen(tuple(chosen))
    assert read["use-dataset"].interactive
    assert HANDED == (
        "dataset_format",
        "dataset_columns",
        "skip_bad_rows",
        "max_length",
        "max_samples",
        "eval_fraction",
        "seed",
    )


def test_several_files_are_one_dataset_that_is_offered_and_can_be_removed(
    play: Play, home: Home, tmp_path: Path
) -> None:
    files = [written(tmp_path, name, ROW * 2) for name in ("a.jsonl", "b.jsonl")]
    read = play("data.page.check_upload", files)
    assert "<b>Rows</b> 4" in read["dataset-summary"]
    assert read["known-dataset"].value == reading(read).name
    assert read["remove-dataset"].visible
    gone = play("data.page.take_away", reading(read).name)
    assert gone["known-dataset"].value is None
    assert store.kept(home) == []


def test_a_dataset_that_a_run_needs_stays(play: Play, home: Home, tmp_path: Path) -> None:
    name = reading(play("data.page.check_upload", [written(tmp_path, "a.jsonl", ROW * 4)])).name
    create_run(home, Recipe.from_dict({"dataset_name": name, "run_name": "mine"}))
    with pytest.raises(gr.Error, match="The run mine is learning from it"):
        play("data.page.take_away", name)
    assert len(store.kept(home)) == 1


@pytest.mark.parametrize("name", ["pirate", "", None])
def test_the_bundled_samples_and_nothing_stay_too(play: Play, home: Home, name: str | None) -> None:
    if name:
        with pytest.raises(gr.Error, match="no dataset of this studio"):
            play("data.page.take_away", name)
    else:
        assert list(play("data.page.take_away", name)) == [next(iter(play("data.page.take_away", name)))]


def test_rows_with_problems_can_be_skipped_and_listed(play: Play, page: gr.Blocks, tmp_path: Path) -> None:
    rows = ROW * 3 + '{"text": "### Human: alone"}\n' + ROW
    read = play("data.page.check_upload", [written(tmp_path, "mixed.jsonl", rows)])
    assert "1 of 5 rows cannot be used" in read["dataset-summary"]
    assert read["skip-bad-rows"].visible
    assert "Skip 1 row with problems" in read["skip-bad-rows"].label
    dataset = next(each for each in read.values() if hasattr(each, "conversations"))
    offered = handler(page, "data.actions.problems_file")(dataset)
    listed = [json.loads(line) for line in Path(offered.value["path"]).read_text().splitlines()]
    assert [(each["row"], each["used"]) for each in listed] == [(4, False), (2, True), (3, True), (5, True)]
    assert set(listed[0]) == {"row", "what", "remedy", "used"}
    exported = handler(page, "data.actions.export_file")(dataset)
    assert len(Path(exported.value["path"]).read_text().splitlines()) == 4


def test_a_hub_dataset_is_kept_with_what_it_is(play: Play, home: Home, hub: Hub) -> None:
    card = b"---\nlicense: mit\n---\n"
    hub.make_repo("ada/poems", {"train.jsonl": (ROW * 3).encode(), "README.md": card}, kind="dataset")
    read = play("data.page.check_hub", " ada/poems ", "", None, "main")
    commit = hub.head("ada/poems", "dataset").sha
    assert f"ada/poems on the Hub, revision {commit[:10]}" in read["dataset-summary"]
    assert "<b>Licence</b> mit" in read["dataset-summary"]
    assert (f"ada/poems ({commit[:7]})", reading(read).name) in imports.choices(home)
    assert not read["push-dataset"].visible, "it is its owners'"


def test_a_gated_dataset_is_explained_with_a_link(play: Play, hub: Hub) -> None:
    hub.make_repo("bob/secret", {"train.jsonl": ROW.encode()}, kind="dataset", gated="manual")
    hub.login("hf_ada")
    said = play("data.page.check_hub", "bob/secret", None, None, None)["dataset-summary"]
    assert "gated: its owner must let you in" in said
    assert f'<a href="{hub.url}/datasets/bob/secret"' in said


@pytest.mark.parametrize("name", ["data/x.jsonl", "../x", "/etc/passwd", "pirate", ""])
def test_a_local_file_called_like_an_id_is_never_read(
    play: Play, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "data").mkdir()
    written(tmp_path / "data", "x.jsonl", ROW)
    monkeypatch.chdir(tmp_path)
    try:
        said = play("data.page.check_hub", name, None, None, None)["dataset-summary"]
    except gr.Error as error:
        said = str(error)
    assert "no dataset data/x.jsonl on the Hub" in said or "is not a dataset id" in said


def test_a_run_on_a_hub_dataset_reads_the_kept_copy(home: Home, hub: Hub) -> None:
    hub.make_repo("ada/poems", {"train.jsonl": (ROW * 3).encode()}, kind="dataset")
    settled = imports.settled(home, Recipe.from_dict({"dataset_name": "ada/poems", "dataset_revision": "main"}))
    (kept,) = store.kept(home)
    assert (settled.dataset_name, settled.dataset_revision) == (kept.dataset_name, None)
    local = Recipe.from_dict({"dataset_name": "pirate"})
    assert imports.settled(home, local) == local


def test_the_division_is_the_one_that_training_makes(play: Play) -> None:
    from core.data import read_dataset, split

    dataset = read_dataset("pirate")
    train, held_out = split(dataset.conversations, 0.1, 7)
    said = division(dataset, None, 0.1, 7)
    assert f"<b>{len(train):,}</b> to train on, <b>{len(held_out):,}</b> held out" in said
    assert f"drawn from {len(dataset.conversations):,}" in division(dataset, 50, 0.1, 7)
    assert "<b>45</b> to train on, <b>5</b>" in division(dataset, 50, 0.1, 7)


def test_remarks_of_one_kind_are_counted_together_and_languages_by_their_share() -> None:
    from adapters.common.errors import UserError
    from core.data import Conversation, Message, Problem

    notes = [Problem(row, f'It says the same as row {row - 1}, "x{row}".', "") for row in range(2, 5)]
    assert kinds(notes) == "3 × It says the same as row N, …"
    talks = [[Message(role="user", content=text)] for text in ["Привет"] + ["What is the time?"] * 3]
    assert languages([Conversation(1, each) for each in talks]) == "English 75%, Cyrillic script 25%"
    assert "<script>" not in refusal(UserError("<script>", "See https://x.example/a?b=<i>"))


def test_a_folder_is_uploaded_as_one_dataset_and_what_is_no_data_is_named(
    play: Play, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(gr, "Info", said.append)
    names = ("train-1.jsonl", "train-2.jsonl", "test.jsonl", "README.md", "photo.png", ".hidden.jsonl")
    read = play("data.page.check_folder", [written(tmp_path, name, ROW * 2) for name in names])
    assert "<b>Rows</b> 4" in read["dataset-summary"]
    assert "and not test.jsonl" in read["dataset-summary"]
    assert said == ["Left out, since they are no data files: .hidden.jsonl, README.md, photo.png."]
    assert len(store.kept(home)) == 1
    with pytest.raises(gr.Error, match=r"no data file in the folder: it holds photo\.png"):
        play("data.page.check_folder", [str(tmp_path / "photo.png")])
    with pytest.raises(gr.Error, match=r"files of several kinds \(\.csv, \.jsonl\)"):
        play("data.page.check_folder", [written(tmp_path, "a.jsonl", ROW), written(tmp_path, "a.csv", CSV)])
    assert len(store.kept(home)) == 1, "what cannot be read together is not kept"


def test_several_files_without_a_train_split_among_their_names_are_all_read(play: Play, tmp_path: Path) -> None:
    read = play(
        "data.page.check_upload", [written(tmp_path, name, ROW * 2) for name in ("test-a.jsonl", "test-b.jsonl")]
    )
    assert "<b>Rows</b> 4" in read["dataset-summary"]


def test_a_stated_licence_is_on_the_card_and_in_the_next_reading(
    page: gr.Blocks, play: Play, home: Home, tmp_path: Path
) -> None:
    read = play("data.page.check_upload", [written(tmp_path, "mine.jsonl", ROW * 2)])
    assert read["dataset-licence"].visible
    dataset = next(each for each in read.values() if hasattr(each, "conversations"))
    stated, summary = handler(page, "data.page.state_licence")(reading(read), dataset, "  CC BY-NC 4.0,\nno resale ")
    assert "<b>Licence</b> CC BY-NC 4.0, no resale" in summary
    again = play("data.page.check", reading(read).name)
    assert again["dataset-licence"].value == stated.license == "CC BY-NC 4.0, no resale"
    (kept,) = store.kept(home)
    assert json.loads((kept.folder / "dataset-card.json").read_text())["license"] == "CC BY-NC 4.0, no resale"
    with pytest.raises(gr.Error, match="200 characters"):
        handler(page, "data.page.state_licence")(reading(read), dataset, "x" * 200)


def test_the_licence_of_a_sample_or_of_the_hub_is_not_changed_here(page: gr.Blocks, play: Play, hub: Hub) -> None:
    assert not play("data.page.check", "pirate")["dataset-licence"].visible
    card = b"---\nlicense: mit\n---\n"
    hub.make_repo("ada/poems", {"train.jsonl": (ROW * 3).encode(), "README.md": card}, kind="dataset")
    read = play("data.page.check_hub", "ada/poems", "", None, "main")
    assert not read["dataset-licence"].visible
    dataset = next(each for each in read.values() if hasattr(each, "conversations"))
    with pytest.raises(gr.Error, match="for files that were uploaded"):
        handler(page, "data.page.state_licence")(reading(read), dataset, "none")


def test_how_a_dataset_was_read_is_remembered_here_and_on_train(page: gr.Blocks, play: Play, tmp_path: Path) -> None:
    asked = play("data.page.check_upload", [written(tmp_path, "fragen.csv", CSV)])
    name = reading(asked).name
    chosen = [{"question": "Frage", "answer": "Antwort"}.get(each, "") for each in MAPPED]
    play("data.page.check_as", reading(asked), "", *chosen)
    assert "<b>Conversations</b> 20" in play("data.page.check", name)["dataset-summary"]
    on_card = gr.EventData(None, {"action": "dataset", "value": name})
    assert handler(page, "train.page.pick")(request_of(LOCAL_OWNER), on_card) == [
        name,
        "",
        "question=Frage,answer=Antwort",
    ]
    assert handler(page, "train.page.as_remembered")(name) == ["", "question=Frage,answer=Antwort"]
    assert handler(page, "train.page.as_remembered")("pirate") == ["", ""]
    wrong = [{"question": "Antwort"}.get(each, "") for each in MAPPED]
    refused = play("data.page.check_as", reading(asked), "", *wrong)
    assert "columns are: Frage, Antwort" in refused["dataset-summary"]
    assert [value for value, _ in refused["column-question"].choices] == ["–", "Frage", "Antwort"]
    assert handler(page, "train.page.as_remembered")(name) == ["", "question=Frage,answer=Antwort"], "what works stays"
