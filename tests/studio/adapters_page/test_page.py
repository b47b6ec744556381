"""What fails on the tab says why where it was asked for."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest

from adapters.common.errors import UserError
from studio.auth.identity import LOCAL_OWNER
from studio.context import Studio
from tests.adapters.folders import write_adapter
from tests.studio.conftest import handler, request_of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("event", "given", "where", "says"),
    [
        ("adapters_page.handlers.load_adapter", ("mine",), "change-failed", ("The engine is not there yet", "")),
        (
            "adapters_page.handlers.save_adapter",
            ("mine", "../x", "", ""),
            "change-failed",
            ("cannot be an adapter", "Use 1 to 64"),
        ),
        (
            "adapters_page.handlers.delete_adapter",
            ("gone",),
            "change-failed",
            ("no adapter named", "Adapters here: mine"),
        ),
        ("adapters_page.merge.merge_adapter", ("small",), "merge-failed", ("trained on another base", "")),
        (
            "adapters_page.merge.push_merged_model",
            ("mine", "whole", False),
            "merge-failed",
            ("not a repository", "Write owner/name"),
        ),
        (
            "adapters_page.hub_handlers.pull_from_hub",
            ("a b", "", ""),
            "pull-failed",
            ("not a repository", "Write owner/name"),
        ),
        (
            "adapters_page.hub_handlers.push_to_hub",
            ("mine", "x", "Public", ""),
            "push-failed",
            ("not a repository", "Write owner/name"),
        ),
        (
            "adapters_page.hub_handlers.show_push_preview",
            (None, "", "Public", False),
            "push-failed",
            ("No adapter is chosen", "Choose one"),
        ),
        (
            "adapters_page.import_files.import_adapter",
            (None, "", ""),
            "import-failed",
            ("Nothing was uploaded", "Choose a zip"),
        ),
        ("adapters_page.import_files.adopt_adapters", (), "import-failed", ("by hand", "Put one into")),
        ("compare.push_page.push_votes", ("x", False), "votes-failed", ("no vote yet", "Ask two columns")),
    ],
)
def test_what_fails_says_why_in_its_place_with_the_remedy(
    studio: Studio,
    page: gr.Blocks,
    tmp_path: Path,
    event: str,
    given: tuple[object, ...],
    where: str,
    says: tuple[str, str],
) -> None:
    studio.store.import_folder(
        write_adapter(tmp_path / "small"), "small"
    ) if event == "adapters_page.merge.merge_adapter" else None
    asks_who = event in (
        "adapters_page.merge.merge_adapter",
        "adapters_page.hub_handlers.pull_from_hub",
        "adapters_page.hub_handlers.push_to_hub",
        "adapters_page.hub_handlers.show_push_preview",
        "adapters_page.import_files.import_adapter",
    )
    called = handler(page, event, in_place=True)
    news = called(*([request_of(LOCAL_OWNER)] if asks_who else []), *given)
    (reason,) = [value for place, value in news.items() if place.elem_id == where]
    assert 'role="alert"' in reason
    assert all(words in reason for words in says)
    function = next(dependency for dependency in page.fns.values() if dependency.fn is called)
    assert set(news) <= set(function.outputs), "what it changes is there to be changed"
    assert all(value == "" for place, value in news.items() if place.elem_id != where), "an earlier success is gone"


@pytest.mark.slow
def test_what_works_takes_the_old_failure_away(studio: Studio, page: gr.Blocks) -> None:
    assert handler(page, "adapters_page.handlers.save_adapter", in_place=True)("mine", "mine", "", "fine")[-1] == ""
    assert (
        handler(page, "adapters_page.hub_handlers.show_push_preview", in_place=True)(
            request_of(LOCAL_OWNER), "mine", "", "Public", False
        )[-1]
        == ""
    )
    assert handler(page, "adapters_page.handlers.delete_adapter", in_place=True)(None)[-1] == "", (
        "a refused confirmation is no failure"
    )
    studio.store.get("mine")


@pytest.mark.slow
def test_a_bug_tells_that_it_is_one_and_no_more(page: gr.Blocks) -> None:
    from studio.ui.failures import failure_html

    said = failure_html(KeyError("/home/ada/secret"))
    assert "unexpected" in said
    assert "secret" not in said
    assert "<img" not in failure_html(UserError("<img src=x>", "<img src=y> hf_abcdefgh12345678"))
    assert "hf_" not in failure_html(UserError("x", "hf_abcdefgh12345678"))
    assert "<code>hf auth login</code>" in failure_html(UserError("x", "Log in with `hf auth login`."))
    assert "<code>&lt;b&gt;</code>" in failure_html(UserError("x", "`<b>`"))
