"""Push an adapter to the Hub: only the files that adapters.folder_layout names, in one commit.

The token comes from HF_TOKEN or the Hub's stored login unless one is given; HF_ENDPOINT and HF_HUB_OFFLINE are
honoured. Every failure is a UserError that says what to do, and leaves the store as it was.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.adapter import Adapter
from adapters.bases import to_shareable_id
from adapters.card_record import record_from_card
from adapters.cards.adapter_card import render_adapter_card
from adapters.cards.loss_plot import loss_plot
from adapters.common.errors import UserError
from adapters.folder_layout import CARD_FILE, CONFIG_FILE, PLOT_FILE, known_files
from adapters.hub.commit_message import description, title
from adapters.hub.errors import explain_errors
from adapters.hub.login import check_owner, check_repo_id, writer
from adapters.hub.progress import Progress, no_progress
from adapters.hub.repository import PushResult, commit_operations, files_in, find_repository, uploading
from adapters.hub.retry import with_retries
from adapters.record import AdapterRecord, HubRef
from adapters.store import AdapterStore

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, HfApi

    from adapters.hub.repository import RepoInfo

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def push_adapter(
    store: AdapterStore,
    name: str,
    repo_id: str,
    *,
    private: bool = True,
    token: str | None = None,
    message: str | None = None,
    pull_request: bool = False,
    tag: str | None = None,
    remember: bool = True,
    progress: Progress = no_progress,
) -> PushResult:
    """Upload one adapter in one commit; the repository is created when there is none, private unless asked otherwise.

    Into an existing repository only when it holds an adapter (or nothing) and, unless `private` is False, is private.
    With `pull_request` the repository may be somebody else's, and the commit is only proposed to them. `tag` names this
    version in the repository, so that it can be pulled by it later on. Without `remember` the adapter's record does not
    say afterwards that it is there: somebody else has pushed a copy.
    """
    check_repo_id(repo_id)
    if tag and (pull_request or not _TAG.fullmatch(tag) or ".." in tag):
        raise UserError(f"{tag!r} cannot be a tag here.", "Write letters and digits, such as v2; a proposal has none.")
    adapter = store.open(name)
    record, files = adapter.record, files_to_push(adapter, repo_id)
    api = writer(token)
    with explain_errors(repo_id, api.endpoint):
        progress(0.05, "Asking the Hub who you are")
        if not pull_request:
            check_owner(with_retries(lambda: api.whoami()), repo_id)
        before = find_repository(api, repo_id)
        if before is None:
            if pull_request:
                raise UserError(f"There is no repository {repo_id} to propose a change to.", "Check its name.")
            progress(0.15, f"Creating {repo_id}")
            with_retries(lambda: api.create_repo(repo_id, private=private, exist_ok=True))
        elif not pull_request:
            _check_target(before, private)
        earlier = _earlier_version(api, before) if before and _holds_adapter(before) else None
        present = files_in(before)
        progress(0.25, uploading(files))

        def commit() -> CommitInfo:
            return api.create_commit(
                repo_id,
                commit_operations(files, known_files(present) + [path for path in present if path == PLOT_FILE]),
                commit_message=message or title(record, earlier),
                commit_description=description(record, earlier),
                create_pr=pull_request,
            )

        done = commit() if pull_request else with_retries(commit)
        if tag:
            progress(0.9, f"Tagging it {tag}")
            with_retries(lambda: api.create_tag(repo_id, tag=tag, revision=done.oid, exist_ok=False))
    progress(1.0, "Done")
    if remember and not pull_request:
        now = AdapterRecord.read(store.path(name))  # it may have been edited meanwhile
        store.update(replace(now, name=name, hub=HubRef(repo_id, done.oid)))
    return PushResult(
        url=done.pr_url or f"{api.endpoint}/{repo_id}",
        revision=done.oid,
        files=list(files),
        private=bool(before.private) if before else private,
        # Of what has not changed there is no pull request.
        changed=done.pr_url is not None if pull_request else before is None or done.oid != before.sha,
    )


def files_to_push(adapter: Adapter, repo_id: str) -> dict[str, Path | bytes]:
    """Path in the repository -> file or content: everything that a push of this adapter would upload."""
    folder, record = adapter.path, adapter.record
    names = known_files(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files: dict[str, Path | bytes] = {path: folder / path for path in names}
    config = adapter.facts.config | {
        "base_model_name_or_path": to_shareable_id(record.base_model),
        "auto_mapping": None,
    }
    files[CONFIG_FILE] = (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()
    plot = loss_plot(folder)
    if plot is not None:
        files[PLOT_FILE] = plot
    picture = PLOT_FILE if plot is not None else None
    own_tokenizer = "tokenizer_config.json" in names
    files[CARD_FILE] = render_adapter_card(record, repo_id, loss_plot=picture, own_tokenizer=own_tokenizer).encode()
    return dict(sorted(files.items()))


def _check_target(before: RepoInfo, private: bool) -> None:
    if files_in(before) - {".gitattributes", CARD_FILE, "LICENSE"} and not _holds_adapter(before):
        raise UserError(f"{before.id} exists and holds something else than an adapter.", "Choose another name.")
    if private and not before.private:
        raise UserError(
            f"{before.id} exists and is public.",
            "Push it as public (--public) if that is meant, or choose another name.",
        )


def _earlier_version(api: HfApi, before: RepoInfo) -> AdapterRecord:
    """What the card in the repository says of the version that is there, to tell what has changed since."""
    name = before.id.split("/")[-1]
    if CARD_FILE not in files_in(before):
        return AdapterRecord(name, "")
    path = with_retries(lambda: api.hf_hub_download(before.id, CARD_FILE, revision=before.sha))
    return record_from_card(Path(path).parent, name, "")


def _holds_adapter(before: RepoInfo) -> bool:
    return CONFIG_FILE in files_in(before)
