"""Messages as others than the owner read them."""

from __future__ import annotations

import pytest

from adapters.common.errors import without_paths


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("No file in /srv/models/foo.", "No file in foo."),
        (
            "[Errno 28] No space left on device: '/data/home/cache/x.arena'",
            "[Errno 28] No space left on device: 'x.arena'",
        ),
        ("~/runs/20260101-a/log.txt and ~ada/home/b", "log.txt and b"),
    ],
)
def test_of_a_path_only_the_last_part_is_told(said: str, read: str) -> None:
    assert without_paths(said) == read


def test_what_is_no_path_stays_as_it_is() -> None:
    said = "Base Qwen/Qwen2.5-1.5B, step 1/2, https://huggingface.co/a/b, and/or, / and /v1"
    assert without_paths(said) == said
