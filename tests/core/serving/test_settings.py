"""The engine's settings: declared once, reached from both command lines and the page, kept in the home."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

import pytest

from adapters.common import damaged_files
from adapters.common.errors import UserError
from core.common.home import Home
from core.serving.settings import (
    SETTINGS,
    EngineSettings,
    add_arguments,
    save_settings,
    saved_settings,
    settings_from_arguments,
    settings_path,
)

OTHER: dict[str, Any] = {
    "slots": 4, "max_rank": 128, "max_rows": 5, "max_length": 256, "kv_tokens": 2048, "default_max_tokens": 99,
    "prefill_chunk": 32, "max_waiting": 20, "host_cache_mb": 64, "threads": 3, "weights": "packed", "cuda_graphs": True,
}  # fmt: skip


def parsed(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return settings_from_arguments(parser.parse_args(words))


def test_every_setting_can_be_given_on_a_command_line_and_handed_on() -> None:
    assert set(OTHER) == set(SETTINGS)
    settings = EngineSettings.from_dict(OTHER)
    assert settings.to_dict() == OTHER
    assert parsed(*settings.arguments()) == OTHER


def test_what_is_not_given_is_told_from_what_is_given_as_the_default() -> None:
    assert parsed() == {}
    assert parsed("--slots", "8", "--no-cuda-graphs") == {"slots": 8, "cuda_graphs": False}
    assert EngineSettings().arguments() == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_rank": 0}, "max_rank is 0, and must be between 1 and 512"),
        ({"slots": 2.5}, "slots is 2.5, and must be a whole number"),
        ({"slots": True}, "slots is True"),
        ({"slots": None}, "slots is None"),
        ({"weights": "light"}, "must be one of auto, exact, fp16, nf4, bf16, int8, packed"),
        ({"cuda_graphs": "yes"}, "must be true or false"),
        ({"slot": 3}, "'slot' is no setting"),
    ],
)
def test_a_wrong_setting_is_told_with_what_may_be(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words.replace("(", r"\(")):
        EngineSettings.from_dict(given)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UserError, match=r"slots is 0.*max_rank is -1"):
        EngineSettings.from_dict({"max_rank": -1, "slots": 0})


def test_settings_are_kept_in_the_home_and_wrong_ones_are_not(home: Home) -> None:
    assert saved_settings(home) == {}
    save_settings(home, OTHER)
    assert saved_settings(home) == OTHER
    with pytest.raises(UserError):
        save_settings(home, {"slots": 0})
    assert saved_settings(home) == OTHER


def test_weights_saved_under_their_earlier_name_are_the_exact_ones(home: Home) -> None:
    settings_path(home).write_text('{"weights": "plain", "slots": 4}')
    assert saved_settings(home) == {"weights": "exact", "slots": 4}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"slots": 0}', '{"slott": 3}', "\udc80"])
def test_a_damaged_file_of_settings_is_put_aside_and_the_defaults_count(home: Home, content: str) -> None:
    settings_path(home).write_text(content, errors="surrogateescape")
    assert saved_settings(home) == {}
    assert [each.original_name for each in damaged_files.find_damaged(home.root)] == ["engine-settings.json"]
    assert saved_settings(home) == {}


@pytest.mark.slow
def test_they_are_known_without_torch() -> None:
    found = "import sys, core.serving.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", found], check=False).returncode == 0
