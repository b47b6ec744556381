"""Pull an adapter from the Hub: only the files that adapters.folder_layout names; it is judged before its weights come.

The token comes from HF_TOKEN or the Hub's stored login unless one is given; HF_ENDPOINT and HF_HUB_OFFLINE are
honoured. Every failure is a UserError that says what to do, and leaves the store as it was.
"""

from __future__ import annotations

from dataclasses import replace

from adapters.bases import Origin, find_base_mismatch, with_same_base
from adapters.card_record import MAX_CARD, record_from_card
from adapters.common.errors import UserError
from adapters.compat import BaseFacts, parse_config, why_not_config
from adapters.folder_layout import CARD_FILE, CONFIG_FILE
from adapters.hub.errors import explain_errors, offline_error
from adapters.hub.login import api_with, check_repo_id, is_offline
from adapters.hub.progress import Progress, no_progress
from adapters.hub.retry import with_retries
from adapters.hub.source import Source, check_listing, check_size, fetch_files, source_in_cache, source_on_hub
from adapters.record import AdapterRecord, HubRef
from adapters.store import AdapterStore, check_name


def pull_adapter(
    store: AdapterStore,
    repo_id: str,
    *,
    revision: str | None = None,
    name: str | None = None,
    token: str | None = None,
    base: BaseFacts | None = None,
    same_base: bool = False,
    most_bytes: int | None = None,
    progress: Progress = no_progress,
) -> AdapterRecord:
    """Fetch the LoRA adapter in `repo_id` into the store, under the repository's name unless `name` is given.

    Its configuration and its card are read first: what is no LoRA that the studio can serve, (with `base`) was made for
    another base, or is larger than `most_bytes`, is refused before any weights are downloaded. With `same_base` a
    person says that it was made on a copy of `base`, and its record tells so. In offline mode what the Hub's cache
    holds is taken.
    """
    check_repo_id(repo_id)
    name = check_name(repo_id.split("/")[1] if name is None else name)
    if (store.root / name).exists():
        free = store.free_name(name)
        raise UserError(
            f"There is already an adapter named {name!r}.", f"Pull it under another name; {free!r} is free."
        )
    api = api_with(token)
    with explain_errors(repo_id, api.endpoint):
        progress(0.0, f"Asking the Hub about {repo_id}")
        source = source_in_cache(api, repo_id, revision) if is_offline() else source_on_hub(api, repo_id, revision)
        check_listing(repo_id, list(source.files))
        check_size(repo_id, source, most_bytes)
        config = parse_config(source.fetch(CONFIG_FILE, no_progress).read_bytes(), where=f"{repo_id}/{CONFIG_FILE}")
        reason = why_not_config(config)
        if reason is None and base is not None and not same_base:
            fingerprint = _fingerprint_on_card(source)
            origin = Origin(config["base_model_name_or_path"], fingerprint)
            reason = find_base_mismatch(origin, base.id, base.fingerprint)
        if reason:
            raise UserError(f"{repo_id} cannot be used here. {reason}", "Nothing was downloaded but its configuration.")
        with store.staging() as stage:
            folder = stage / "pulled"
            fetch_files(source, folder, store.root, progress)
            progress(1.0, "Done")
            record = record_from_card(folder, name, config["base_model_name_or_path"])
            record = replace(record, hub=HubRef(repo_id, source.revision))
            if same_base and base is not None:
                record = with_same_base(record, base.id, base.fingerprint)
            return store.add(name, folder, record)


def _fingerprint_on_card(source: Source) -> str | None:
    """The fingerprint of its base, where the repository's card has a studio's record."""
    if CARD_FILE not in source.files or source.files[CARD_FILE].size > MAX_CARD:
        return None
    return record_from_card(source.fetch(CARD_FILE, no_progress).parent, "", "").base_fingerprint


def newer_revision(record: AdapterRecord, *, token: str | None = None) -> str | None:
    """The commit that the adapter's repository is at now, when that is another than was pulled or pushed; else None."""
    if record.hub is None:
        return None
    repo_id = record.hub.repo_id
    if is_offline():
        raise offline_error(f"{repo_id} cannot be asked for a newer version")
    api = api_with(token)
    with explain_errors(repo_id, api.endpoint):
        sha = with_retries(lambda: api.model_info(repo_id)).sha
    return sha if sha != record.hub.revision else None
