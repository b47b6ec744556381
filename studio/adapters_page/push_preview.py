"""What a push would upload, as the page shows it before anything is sent."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup

from adapters.folder_layout import CARD_FILE, PLOT_FILE
from adapters.hub.login import check_repo_id
from adapters.hub.push import files_to_push
from adapters.store import AdapterStore
from studio.adapters_page.view import render_push_preview

FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)


def preview_push(
    store: AdapterStore, name: str, repo_id: str, *, private: bool, pull_request: bool
) -> tuple[Markup, str, str]:
    """(files as HTML, card as Markdown, its front matter). Raises UserError for a repository that cannot be."""
    repo_id = check_repo_id(repo_id or f"you/{name}")
    files = files_to_push(store.open(name), repo_id)
    visibility = "as a pull request" if pull_request else "privately" if private else "for everyone to see"
    metadata, body = split_card(files)
    return render_push_preview(files, repo_id, visibility), body, metadata


def split_card(files: dict[str, Path | bytes]) -> tuple[str, str]:
    """(front matter, body) of the card. The picture of the curves is shown beside it, so it is not in the body."""
    content = files[CARD_FILE]
    assert isinstance(content, bytes)
    text = content.decode()
    match = FRONT_MATTER.match(text)
    assert match is not None
    return match[1], text[match.end() :].replace(f"![Losses]({PLOT_FILE})", "").strip()
