"""The page: a status line over six tabs, and one quiet tick that keeps them current."""

from __future__ import annotations

from typing import Any

import gradio as gr

from core.training.run import Run, list_runs
from core.training.state import ACTIVE, RunState
from studio import imports, learning
from studio.context import Studio
from studio.pages import access, adapters, board, chat, data, hub, train
from studio.people import LOCAL_OWNER, Person, Role, person_of
from studio.present import runs_table, strip
from studio.published import names_for

TICK_SECONDS = 1.0


def build_page(studio: Studio, sign_in: bool = False) -> gr.Blocks:
    """`sign_in`: people sign in here with Hugging Face."""
    with gr.Blocks(title="Guanaco Studio", analytics_enabled=False, fill_width=True) as page:
        status = gr.HTML(strip(studio.engine.status, None, 0), elem_id="strip")
        greeting = gr.HTML("", elem_id="greeting")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Chat", id="chat"):
                chatting = chat.build(studio)
            with gr.Tab("Data", id="data"):
                choosing = data.build(studio)
            with gr.Tab("Train", id="train"):
                training = train.build(studio)
            with gr.Tab("TensorBoard", id="board"):
                board.build()
            with gr.Tab("Adapters", id="adapters"):
                keeping = adapters.build(studio)
                hub.build(studio, keeping.chosen)
            with gr.Tab("Access", id="access"):
                access.build(studio, sign_in, greeting)

        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}

        def use(name: str | None, *settings: Any) -> list[Any]:
            return [gr.Dropdown(choices=imports.choices(studio.home), value=name), *settings, gr.Tabs(selected="train")]

        choosing.use.click(use, choosing.settings, [*training.taken, tabs], **private)

        seen: gr.State = gr.State({})
        outputs = [
            seen,
            status,
            *chatting.adapters,
            keeping.table,
            keeping.chosen,
            training.card,
            training.plot,
            training.runs,
        ]

        def tick(request: gr.Request, before: dict[str, Any], run_id: str | None) -> list[Any]:
            return refresh(studio, before, run_id, len(chatting.adapters), person_of(request))

        def first_tick(request: gr.Request, run_id: str | None) -> list[Any]:
            return tick(request, {}, run_id)

        def first_choices(request: gr.Request) -> list[Any]:
            person = person_of(request)
            runs, newest = (train.run_choices(studio), train.newest(studio)) if person.sees_runs else ([], None)
            owner = person.role is Role.OWNER
            datasets = dataset_choices() if owner else [gr.Dropdown([])] * 2
            keeps = [gr.Button(visible=owner) for _ in chatting.keep_buttons]
            return [gr.Dropdown(runs, value=newest), *datasets, *keeps]

        def dataset_choices() -> list[Any]:
            return [gr.Dropdown(choices=imports.choices(studio.home)) for _ in range(2)]

        shown = [seen, training.shown_run]
        gr.Timer(TICK_SECONDS).tick(tick, shown, outputs, **private)
        page.load(first_tick, training.shown_run, outputs, **private)
        datasets = [training.dataset, choosing.known]
        page.load(first_choices, None, [training.shown_run, *datasets, *chatting.keep_buttons], **private)
        chatting.kept.success(dataset_choices, None, datasets, **private)
        training.shown_run.change(tick, shown, outputs, **private)
    return page


def refresh(
    studio: Studio, before: dict[str, Any], run_id: str | None, columns: int, person: Person = LOCAL_OWNER
) -> list[Any]:
    """What changed since `before` (signatures of what the page shows), and gr.skip() for all that did not.

    The order is that of `outputs` in build_page. A page on which nothing happens gets nothing to draw. Nobody gets
    what `person` may not see: unpublished adapters, or runs.
    """
    runs = list_runs(studio.home) if person.sees_runs else []
    statuses = {run.id: run.status() for run in runs}
    active = next((run for run in runs if statuses[run.id].state in ACTIVE), None)
    queued = sum(status.state is RunState.QUEUED for status in statuses.values())
    shown = next((run for run in runs if run.id == run_id), None)
    line = strip(studio.engine.status, active.summary() if active else None, queued)
    names = names_for(studio, person)
    choices = [chat.BASE, *names, *(learning.choices(studio.home) if not person.only_published else [])]
    now = {
        "line": line,
        "names": names,
        "choices": choices,
        "table": adapters.overview(studio, person),
        "run": signature(shown),
        "runs": [signature(run) for run in runs],
    }

    def changed(key: str) -> bool:
        return before.get(key) != now[key]

    return [
        now,
        line if changed("line") else gr.skip(),
        *[gr.Dropdown(choices=choices) if changed("choices") else gr.skip() for _ in range(columns)],
        now["table"] if changed("table") else gr.skip(),
        gr.Dropdown(choices=names) if changed("names") else gr.skip(),
        *(train.view(shown) if changed("run") else [gr.skip(), gr.skip()]),
        runs_table([run.summary() for run in runs]) if changed("runs") else gr.skip(),
    ]


def signature(run: Run | None) -> tuple[Any, ...]:
    """Changes whenever the run's folder has something new to show."""
    if run is None:
        return ()
    events = run.events_path
    return (run.id, run.file.path.stat().st_mtime_ns, events.stat().st_size if events.exists() else 0)
