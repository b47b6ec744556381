"""Answers kept from the chat, and other datasets of one's own, as dataset repositories."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest

from adapters.common.errors import UserError
from adapters.hub.dataset import CARD_FILE, DATA_FILE, DatasetFacts, render_dataset_card
from core.common.home import Home
from core.data import read_dataset, store
from studio.__main__ import main
from studio.chat import training_examples
from studio.data.push import describe_origin, find_own_dataset
from studio.engine.client import Message
from tests.hub_server.fixtures import Hub

TALK: list[Message] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "“Ahoj”?"},
    {"role": "assistant", "content": "Hello 🦙"},
]


@pytest.fixture(autouse=True)
def token(hub: Hub) -> None:
    hub.login("hf_ada")


def test_kept_answers_become_a_private_dataset_that_datasets_loads(
    home: Home, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    training_examples.add(home, TALK)
    assert main(["push-data", "collected", "--repo", "ada/answers", "--license", "cc-by-4.0"]) == 0
    assert capsys.readouterr().out.strip() == f"{hub.url}/datasets/ada/answers"
    assert hub.repo("ada/answers", "dataset").private
    assert set(hub.head("ada/answers", "dataset").files) == {DATA_FILE, CARD_FILE, ".gitattributes"}
    card = hub.read("ada/answers", CARD_FILE, "dataset").decode()
    assert "license: cc-by-4.0" in card
    assert "1 conversations with 2 turns. They were kept, and where needed corrected, by people" in card
    assert datasets.load_dataset("ada/answers", split="train").to_list() == [{"messages": TALK}]
    back = store.store_from_hub(home, "ada/answers")
    assert read_dataset(back.dataset_name).license == "cc-by-4.0"
    with pytest.raises(UserError, match="came from the Hub"):
        find_own_dataset(home, back.dataset_name)


def test_names_from_outside_are_no_markup_on_the_card(home: Home, tmp_path: Path) -> None:
    uploaded = tmp_path / "<b>&.jsonl"
    uploaded.write_text(json.dumps({"question": "a", "answer": "b"}) + "\n")
    description = describe_origin(store.store_files(home, [uploaded]))
    card = render_dataset_card(DatasetFacts(1, 2, description, "mit"), "ada/x")
    assert "by Guanaco Studio from &lt;b&gt;&amp;.jsonl." in card


def test_pushing_again_updates_and_says_when_nothing_changed(
    home: Home, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    training_examples.add(home, TALK)
    push = ["push-data", "collected", "--repo", "ada/answers"]
    assert main(push) == 0
    assert main(push) == 0
    assert "nothing had changed" in capsys.readouterr().err
    training_examples.add(home, [*TALK[:2], {"role": "assistant", "content": "Hi"}])
    assert main(push) == 0
    assert len(hub.read("ada/answers", DATA_FILE, "dataset").splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "files", "said"),
    [
        (["--repo", "ada/x"], {"README.md": b"# x\n", "weights.bin": b"1"}, "holds something else"),
        (["--repo", "ada/x"], {"README.md": b"# x\n"}, "is public"),
        (["--repo", "bob/x"], {}, "would belong to bob"),
        (["--repo", "../x"], {}, "is not a repository"),
        (["--repo", "ada/y", "--license", "mine"], {}, "not a licence"),
    ],
)
def test_what_is_refused_changes_nothing(
    home: Home,
    hub: Hub,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    files: dict[str, bytes],
    said: str,
) -> None:
    training_examples.add(home, TALK)
    if files:
        hub.make_repo("ada/x", files, kind="dataset")
    assert main(["push-data", "collected", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert hub.repos.find("dataset", "ada/y") is None
    assert not files or DATA_FILE not in hub.head("ada/x", "dataset").files


def test_a_dataset_with_problems_or_of_another_name_is_refused(
    home: Home, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(json.dumps({"messages": TALK}) + "\n" + json.dumps({"messages": TALK[:2]}) + "\n")
    store.store_files(home, [bad])
    assert main(["push-data", "bad", "--repo", "ada/x"]) == 2
    assert "1 of 2 rows of bad cannot be converted" in capsys.readouterr().err
    assert main(["push-data", "pirate", "--repo", "ada/x"]) == 2
    assert "There are: bad." in capsys.readouterr().err


def test_without_a_token_nothing_is_made(home: Home, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.login(None)
    training_examples.add(home, TALK)
    assert main(["push-data", "collected", "--repo", "ada/x"]) == 1
    assert "no token" in capsys.readouterr().err
    assert hub.repos.find("dataset", "ada/x") is None


def test_a_licence_in_ones_own_words_is_told_as_other(home: Home, hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"messages": TALK}) + "\n")
    kept = store.store_files(home, [file])
    store.set_licence(home, kept.dataset_name, "Ask Ada <first>")
    assert main(["push-data", "mine", "--repo", "ada/mine"]) == 0
    card = hub.read("ada/mine", CARD_FILE, "dataset").decode()
    assert "license: other" in card
    assert "Their licence: Ask Ada &lt;first&gt;." in card
    store.set_licence(home, kept.dataset_name, "mit")
    assert main(["push-data", "mine", "--repo", "ada/mine"]) == 0
    assert "license: mit" in hub.read("ada/mine", CARD_FILE, "dataset").decode()
