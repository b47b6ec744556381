"""Adapters to the Hub and back: only the files that adapters.folder_layout names.

The token comes from HF_TOKEN or the Hub's stored login unless one is given; HF_ENDPOINT and HF_HUB_OFFLINE are
honoured. Every failure is a UserError that says what to do, and leaves the store as it was.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.bases import Origin, said_same, shared_base, why_not_base
from adapters.cards.adapter_card import MAX_CARD, record_from_card, render_card
from adapters.cards.loss_plot import loss_plot
from adapters.common.errors import UserError
from adapters.compat import BaseFacts, parse_config, why_not_config
from adapters.folder_layout import CARD_FILE, CONFIG_FILE, PLOT_FILE, known_files
from adapters.hub.commit_message import description, title
from adapters.hub.errors import explained, offline, patiently
from adapters.hub.login import api_with, check_owner, check_repo_id, is_offline, writer
from adapters.hub.source import Progress, Source, cached, check_listing, check_size, fetch_files, listed
from adapters.record import AdapterRecord, HubRef
from adapters.store import AdapterStore, check_name

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.hf_api import ModelInfo


_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class PushResult:
    url: str  # of the repository, or of the pull request
    revision: str  # the commit
    files: list[str]
    private: bool
    changed: bool  # False when the repository already had exactly this


def push(
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
    progress: Progress | None = None,
) -> PushResult:
    """Upload one adapter in one commit; the repository is created when there is none, private unless asked otherwise.

    Into an existing repository only when it holds an adapter (or nothing) and, unless `private` is False, is private.
    With `pull_request` the repository may be somebody else's, and the commit is only proposed to them. `tag` names this
    version in the repository, so that it can be pulled by it later on. Without `remember` the adapter's record does not
    say afterwards that it is there: somebody else has pushed a copy.
    """
    tell = progress or _silent
    check_repo_id(repo_id)
    if tag and (pull_request or not _TAG.fullmatch(tag) or ".." in tag):
        raise UserError(f"{tag!r} cannot be a tag here.", "Write letters and digits, such as v2; a proposal has none.")
    record = store.get(name)
    files = files_to_push(store, name, repo_id)
    api = writer(token)
    with explained(repo_id, api.endpoint):
        tell(0.05, "Asking the Hub who you are")
        if not pull_request:
            check_owner(patiently(lambda: api.whoami()), repo_id)
        before = _existing(api, repo_id)
        if before is None:
            if pull_request:
                raise UserError(f"There is no repository {repo_id} to propose a change to.", "Check its name.")
            tell(0.15, f"Creating {repo_id}")
            patiently(lambda: api.create_repo(repo_id, private=private, exist_ok=True))
        elif not pull_request:
            _check_target(before, private)
        earlier = _earlier(api, before) if _holds_adapter(before) else None
        size = sum(len(content) if isinstance(content, bytes) else content.stat().st_size for content in files.values())
        tell(0.25, f"Uploading {len(files)} files, {size / 2**20:.1f} MiB")

        def commit() -> Any:
            return api.create_commit(
                repo_id,
                _operations(files, before),
                commit_message=message or title(record, earlier),
                commit_description=description(record, earlier),
                create_pr=pull_request,
            )

        done = commit() if pull_request else patiently(commit)
        if tag:
            tell(0.9, f"Tagging it {tag}")
            patiently(lambda: api.create_tag(repo_id, tag=tag, revision=done.oid, exist_ok=False))
    tell(1.0, "Done")
    if pull_request:
        proposed = done.pr_url is not None  # there is no pull request without a change
        url = done.pr_url or f"{api.endpoint}/{repo_id}"
        return PushResult(url, done.oid, list(files), bool(before and before.private), proposed)
    if remember:
        store.update(replace(store.get(name), hub=HubRef(repo_id, done.oid)))
    changed = before is None or done.oid != before.sha
    return PushResult(
        f"{api.endpoint}/{repo_id}", done.oid, list(files), bool(before.private) if before else private, changed
    )


def files_to_push(store: AdapterStore, name: str, repo_id: str) -> dict[str, Path | bytes]:
    """Path in the repository -> file or content: everything that a push of this adapter would upload."""
    folder, record = store.path(name), store.get(name)
    names = known_files(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files: dict[str, Path | bytes] = {each: folder / each for each in names}
    config = store.facts(name).config | {
        "base_model_name_or_path": shared_base(record.base_model),
        "auto_mapping": None,
    }
    files[CONFIG_FILE] = (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()
    plot = loss_plot(folder)
    if plot is not None:
        files[PLOT_FILE] = plot
    picture = PLOT_FILE if plot is not None else None
    own_tokenizer = "tokenizer_config.json" in names
    files[CARD_FILE] = render_card(record, repo_id, loss_plot=picture, own_tokenizer=own_tokenizer).encode()
    return dict(sorted(files.items()))


def pull(
    store: AdapterStore,
    repo_id: str,
    *,
    revision: str | None = None,
    name: str | None = None,
    token: str | None = None,
    base: BaseFacts | None = None,
    same_base: bool = False,
    most_bytes: int | None = None,
    progress: Progress | None = None,
) -> AdapterRecord:
    """Fetch the LoRA adapter in `repo_id` into the store, under the repository's name unless `name` is given.

    Its configuration and its card are read first: what is no LoRA that the studio can serve, (with `base`) was made for
    another base, or is larger than `most_bytes`, is refused before any weights are downloaded. With `same_base` a
    person says that it was made on a copy of `base`, and its record tells so. In offline mode what the Hub's cache
    holds is taken.
    """
    tell = progress or _silent
    check_repo_id(repo_id)
    name = check_name(repo_id.split("/")[1] if name is None else name)
    if (store.root / name).exists():
        free = store.free_name(name)
        raise UserError(
            f"There is already an adapter named {name!r}.", f"Pull it under another name; {free!r} is free."
        )
    api = api_with(token)
    with explained(repo_id, api.endpoint):
        tell(0.0, f"Asking the Hub about {repo_id}")
        source = cached(api, repo_id, revision) if is_offline() else listed(api, repo_id, revision)
        check_listing(repo_id, list(source.files))
        check_size(repo_id, source, most_bytes)
        config = parse_config(source.fetch(CONFIG_FILE, _silent).read_bytes(), where=f"{repo_id}/{CONFIG_FILE}")
        reason = why_not_config(config)
        if reason is None and base is not None and not same_base:
            fingerprint = _told_fingerprint(source)
            reason = why_not_base(Origin(config["base_model_name_or_path"], fingerprint), base.id, base.fingerprint)
        if reason:
            raise UserError(f"{repo_id} cannot be used here. {reason}", "Nothing was downloaded but its configuration.")
        with store.staging() as stage:
            folder = stage / "pulled"
            fetch_files(source, folder, store.root, tell)
            tell(1.0, "Done")
            record = record_from_card(folder, name, config["base_model_name_or_path"])
            record = replace(record, hub=HubRef(repo_id, source.revision))
            if same_base and base is not None:
                record = said_same(record, base.id, base.fingerprint)
            return store.add(name, folder, record)


def _told_fingerprint(source: Source) -> str | None:
    """The fingerprint of its base, where the repository's card has a studio's record."""
    if CARD_FILE not in source.files or source.files[CARD_FILE][0] > MAX_CARD:
        return None
    return record_from_card(source.fetch(CARD_FILE, _silent).parent, "", "").base_fingerprint


def newer_revision(record: AdapterRecord, *, token: str | None = None) -> str | None:
    """The commit that the adapter's repository is at now, when that is another than was pulled or pushed; else None."""
    if record.hub is None:
        return None
    repo_id = record.hub.repo_id
    if is_offline():
        raise offline(f"{repo_id} cannot be asked for a newer version")
    api = api_with(token)
    with explained(repo_id, api.endpoint):
        sha = patiently(lambda: api.model_info(repo_id)).sha
    return sha if sha != record.hub.revision else None


# Pushing


def _existing(api: HfApi, repo_id: str) -> ModelInfo | None:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return patiently(lambda: api.model_info(repo_id))
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        return None


def _check_target(before: ModelInfo, private: bool) -> None:
    names = {sibling.rfilename for sibling in before.siblings or []}
    if names - {".gitattributes", CARD_FILE, "LICENSE"} and not _holds_adapter(before):
        raise UserError(f"{before.id} exists and holds something else than an adapter.", "Choose another name.")
    if private and not before.private:
        raise UserError(
            f"{before.id} exists and is public.",
            "Push it as public (--public) if that is meant, or choose another name.",
        )


def _earlier(api: HfApi, before: ModelInfo | None) -> AdapterRecord:
    """What the card in the repository says of the version that is there, to tell what has changed since."""
    assert before is not None
    name = before.id.split("/")[-1]
    if CARD_FILE not in {sibling.rfilename for sibling in before.siblings or []}:
        return AdapterRecord(name, "")
    path = patiently(lambda: api.hf_hub_download(before.id, CARD_FILE, revision=before.sha))
    return record_from_card(Path(path).parent, name, "")


def _holds_adapter(before: ModelInfo | None) -> bool:
    return before is not None and CONFIG_FILE in {sibling.rfilename for sibling in before.siblings or []}


def _operations(
    files: dict[str, Path | bytes], before: ModelInfo | None
) -> list[CommitOperationAdd | CommitOperationDelete]:
    """The files to add, and those of an earlier version to remove; files that are not an adapter's are left alone."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    there = [sibling.rfilename for sibling in before.siblings or []] if before else []
    earlier = [path for path in there if path == PLOT_FILE or path in known_files(there)]
    return [
        *(CommitOperationAdd(path, content) for path, content in files.items()),
        *(CommitOperationDelete(path) for path in earlier if path not in files),
    ]


def _silent(share: float, what: str) -> None:
    pass
