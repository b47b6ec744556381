"""What a push would upload, as the page shows it before anything is sent."""

from __future__ import annotations

import base64
import re
from html import escape
from pathlib import Path

from adapters.folder_layout import CARD_FILE, PLOT_FILE
from adapters.hub.login import check_repo_id
from adapters.hub.push import files_to_push
from adapters.store import AdapterStore
from studio.ui.format import size
from studio.ui.fragments import render_table

FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)


def listing(files: dict[str, Path | bytes]) -> str:
    """The files with their sizes, and the drawn curves."""
    sizes = {path: len(each) if isinstance(each, bytes) else each.stat().st_size for path, each in files.items()}
    rows = [(path, size(count)) for path, count in sizes.items()]
    rows.append((f"{len(sizes)} files", size(sum(sizes.values()))))
    plot = files.get(PLOT_FILE)
    picture = (
        f'<img alt="The loss curves" style="max-width: 100%" src="data:image/png;base64,'
        f'{base64.b64encode(plot).decode()}">'
        if isinstance(plot, bytes)
        else ""
    )
    return f"{render_table(('File', 'Size'), rows)}{picture}"


def card(files: dict[str, Path | bytes]) -> tuple[str, str]:
    """(front matter, body) of the card; the picture of the curves is beside it, so it is not in the body."""
    content = files[CARD_FILE]
    assert isinstance(content, bytes)
    text = content.decode()
    match = FRONT_MATTER.match(text)
    assert match is not None
    return match[1], text[match.end() :].replace(f"![Losses]({PLOT_FILE})", "").strip()


def preview(store: AdapterStore, name: str, repo_id: str, *, private: bool, pull_request: bool) -> tuple[str, str, str]:
    """(listing as HTML, card as Markdown, its front matter). Raises UserError for a repository that cannot be."""
    repo_id = check_repo_id(repo_id or f"you/{name}")
    files = files_to_push(store, name, repo_id)
    how = "as a pull request" if pull_request else "privately" if private else "for everyone to see"
    metadata, body = card(files)
    return f"<p>To <b>{escape(repo_id)}</b>, {how}:</p>" + listing(files), body, metadata
