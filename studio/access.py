"""The one table of who may do what. studio/gate.py enforces it in front of everything.

What is not in the table is refused, for the owner too.
"""

from __future__ import annotations

import re
from typing import Any

from studio.people import Role

SEES_RUNS = "sees runs"  # the owner decides who: Person.sees_runs
Needed = Role | str

# (methods, path, who). A path is a regular expression for the whole of it.
ROUTES: tuple[tuple[str, str, Needed], ...] = (
    ("GET HEAD", r"/healthz", Role.STRANGER),
    ("POST", r"/access", Role.STRANGER),
    ("GET", r"/login/(huggingface|callback)", Role.STRANGER),
    ("POST", r"/logout", Role.VISITOR),
    # The page and its own files.
    ("GET HEAD", r"/", Role.VISITOR),
    ("GET", r"/(config/?|theme\.css|favicon\.ico|robots\.txt|manifest\.json|pwa_icon(/\w+)?)", Role.VISITOR),
    ("GET", r"/(assets|static|svelte)/.+", Role.VISITOR),
    # Gradio. What an event does is decided by EVENTS, below.
    ("POST", r"/gradio_api/(queue/join|run/predict)", Role.VISITOR),
    ("GET", r"/gradio_api/(queue/(data|status)|heartbeat/\w+|startup-events|app_id|theme\.css|info/?)", Role.VISITOR),
    ("POST", r"/gradio_api/(cancel|reset/?)", Role.VISITOR),
    ("GET HEAD", r"/gradio_api/file=.+", Role.VISITOR),
    ("POST", r"/gradio_api/upload", Role.OWNER),
    ("GET", r"/gradio_api/upload_progress", Role.OWNER),
    ("GET", r"/adapters/[^/]+\.zip", Role.USER),
    ("GET", r"/adapters/[^/]+/merged\.zip", Role.OWNER),
    # For programs.
    ("GET", r"/v1/models(/.+)?", Role.VISITOR),
    ("POST", r"/v1/(chat/)?completions", Role.VISITOR),
    ("POST", r"/v1/(un)?load_lora_adapter", Role.OWNER),
    ("GET", r"/metrics", Role.USER),
    ("GET HEAD POST", r"/tensorboard(/.*)?", SEES_RUNS),
    ("GET", r"/font-roboto/[\w.-]+", SEES_RUNS),
)

# Gradio's events, as module.function of their handlers. Anonymous handlers have no name, and so are refused.
EVENTS: dict[str, Role] = {
    "": Role.VISITOR,  # without a handler: it runs in the browser, or cancels events of the same session
    "chat.send": Role.VISITOR,
    "chat.example": Role.VISITOR,
    "chat.clear": Role.VISITOR,
    "chat.show": Role.VISITOR,
    "chat.recall": Role.VISITOR,
    "chat.leave": Role.VISITOR,
    "chat.stopped": Role.VISITOR,
    "chat.hide": Role.VISITOR,
    "chat.watch": Role.VISITOR,
    "chat_settings.recall": Role.VISITOR,
    "mending.retry": Role.VISITOR,
    "mending.edit": Role.VISITOR,
    "mending.go_on": Role.VISITOR,
    "mending.undo": Role.VISITOR,
    "mending.forget": Role.VISITOR,
    "voting.vote": Role.USER,
    "archive.keep_it": Role.VISITOR,
    "archive.show": Role.VISITOR,
    "archive.search": Role.VISITOR,
    "archive.open_it": Role.VISITOR,
    "archive.go_on": Role.VISITOR,
    "archive.call": Role.VISITOR,
    "archive.remove": Role.VISITOR,
    "archive.markdown_file": Role.VISITOR,
    "archive.json_file": Role.VISITOR,
    "archive.teach": Role.OWNER,
    "comparing.count": Role.USER,
    "comparing.preferences": Role.OWNER,
    "comparing.put": Role.OWNER,
    "comparing.csv_file": Role.OWNER,
    "comparing.jsonl_file": Role.OWNER,
    "page.tick": Role.VISITOR,
    "page.first_tick": Role.VISITOR,
    "page.first_choices": Role.VISITOR,
    "page.dataset_choices": Role.OWNER,
    "keeping.take": Role.OWNER,
    "keeping.keep": Role.OWNER,
    "keeping.put_aside": Role.OWNER,
    "access.greet": Role.VISITOR,
    "owners.arrive": Role.VISITOR,
    "page.use": Role.OWNER,
    "data.check": Role.OWNER,
    "data.check_hub": Role.OWNER,
    "data.check_upload": Role.OWNER,
    "data.check_folder": Role.OWNER,
    "data.state_licence": Role.OWNER,
    "data.check_as": Role.OWNER,
    "data.divide": Role.OWNER,
    "data.take_away": Role.OWNER,
    "browsing.measure": Role.OWNER,
    "browsing.limit_to": Role.OWNER,
    "browsing.show_tokens": Role.OWNER,
    "browsing.turn_to": Role.OWNER,
    "browsing.go_to": Role.OWNER,
    "browsing.back": Role.OWNER,
    "browsing.forward": Role.OWNER,
    "browsing.anywhere": Role.OWNER,
    "browsing.find": Role.OWNER,
    "dataset_actions.problems_file": Role.OWNER,
    "dataset_actions.export_file": Role.OWNER,
    "dataset_actions.push": Role.OWNER,
    "page.turn_to": Role.VISITOR,
    "page.clone": Role.OWNER,
    "page.from_adapter": Role.OWNER,
    "train.pick": Role.VISITOR,
    "train.as_remembered": Role.OWNER,
    "train.mark": Role.VISITOR,
    "train.show_level": Role.VISITOR,
    "train.begin": Role.OWNER,
    "train.estimate": Role.OWNER,
    "train.nearest": Role.OWNER,
    "train.measure_speed": Role.OWNER,
    "train.into_fields": Role.OWNER,
    "train.as_yaml": Role.OWNER,
    "train.as_trl": Role.OWNER,
    "runs.look_at": Role.VISITOR,
    "runs.act": Role.OWNER,
    "runs.end": Role.OWNER,
    "runs.rest": Role.OWNER,
    "runs.go_on": Role.OWNER,
    "runs.train_on": Role.OWNER,
    "runs.remove": Role.OWNER,
    "runs.log_of": Role.OWNER,
    "runs.yaml_of": Role.OWNER,
    "runs.trl_of": Role.OWNER,
    "machine.show_snippets": Role.VISITOR,
    "machine.arrive": Role.VISITOR,
    "machine.opened": Role.VISITOR,  # and so is the next; they show something to the owner alone
    "machine.first_facts": Role.VISITOR,
    "machine.facts_now": Role.OWNER,
    "machine.clear_trash": Role.OWNER,
    "machine.clear_checkpoints": Role.OWNER,
    "machine.clear_cache": Role.OWNER,
    "engine_settings.opened": Role.VISITOR,  # it shows something to the owner alone
    "engine_settings.apply": Role.OWNER,
    "adapters.arrive": Role.VISITOR,
    "adapters.details": Role.VISITOR,
    "adapters.save": Role.OWNER,
    "adapters.load": Role.OWNER,
    "adapters.unload": Role.OWNER,
    "adapters.delete": Role.OWNER,
    "adapter_actions.look": Role.VISITOR,
    "adapter_actions.act": Role.OWNER,
    "merging.merge": Role.OWNER,
    "merging.push": Role.OWNER,
    "hub.arrive": Role.VISITOR,
    "hub.notice": Role.VISITOR,
    "hub.look": Role.OWNER,
    "hub.preview": Role.USER,
    "hub.push": Role.USER,
    "hub.pull": Role.USER,
    "votes_hub.push": Role.OWNER,
    "importing.bring_in": Role.OWNER,
    "importing.adopt": Role.OWNER,
    "access.publish": Role.OWNER,
    "access.unpublish": Role.OWNER,
    "access.create_key": Role.OWNER,
    "access.revoke_key": Role.OWNER,
}
# What counts against the limits: what has models answer, fills the disk, or asks the Hub; with:
MESSAGES = ("chat.send", "mending.retry", "mending.edit", "mending.go_on", "voting.vote", "hub.push", "hub.pull")
MESSAGE_PATHS = re.compile(r"/v1/(chat/)?completions")
QUEUE_PATH = "/gradio_api/queue/join"
EVENT_PATHS = (QUEUE_PATH, "/gradio_api/run/predict")
EMBEDDED = (
    "image",
    "audio",
    "video",
    "track",
    "embed",
    "object",
)  # as browsers say in Sec-Fetch-Dest, and where they may
EMBEDDED_PATHS = re.compile(r"/(assets|static|svelte|tensorboard)/.+|/favicon\.ico|/pwa_icon.*|/gradio_api/file=.+")
KEY_PATHS = re.compile(r"/v1/.*|/metrics")  # where an API key counts


def needed_for(method: str, path: str) -> Needed | None:
    """Who may send such a request, or None when nobody may."""
    for methods, pattern, needed in ROUTES:
        if method in methods.split() and re.fullmatch(pattern, path):
            return needed
    return None


def event_name(handler: Any) -> str:
    """module.function of an event's handler: chat.send, train.begin; "" when it only runs in the browser."""
    return f"{handler.__module__.rsplit('.', 1)[-1]}.{handler.__name__}" if handler is not None else ""
