"""Gradio's page with less to do: what stays as it is costs nothing, and waiting for work next to nothing.

As it comes, Gradio builds a component anew for every output that an event leaves alone, has the browser go through all
outputs of all events at each step of any of them, and looks for work a thousand times a second. A page of two hundred
components that is drawn ten times a second feels all three.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import gradio as gr
from gradio import blocks as gradio_blocks
from gradio.blocks import convert_component_dict_to_list

QUEUE_POLL_SECONDS = 0.02  # how long an event may lie in the queue before Gradio looks; it is 0.001 as it comes
PROGRESS_SECONDS = 0.2  # nothing here tells its progress by Gradio's bars


class _NoApp:
    """In the place of Gradio's App, whose making takes a tenth of a second."""

    @staticmethod
    def create_app(*_: Any, **__: Any) -> None:
        return None


@contextmanager
def _without_app() -> Iterator[None]:
    app = gradio_blocks.App
    gradio_blocks.App = _NoApp
    try:
        yield
    finally:
        gradio_blocks.App = app


class PartialUpdateBlocks(gr.Blocks):
    """Blocks that draw only what an event has changed. Call `reduce_event_overhead` once everything is wired.

    Gradio makes an app when it begins a page and one when it ends it; the one that serves is made when the page is
    mounted. The first two are left out here: `app` is None until the mounted one is set as it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        with _without_app():
            super().__init__(*args, **kwargs)

    def __exit__(self, *args: Any) -> None:
        with _without_app():
            super().__exit__(*args)

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """As Gradio's own, with the same result, but without building anew what is left as it is."""
        outputs = list(block_fn.outputs)
        values = predictions
        if isinstance(predictions, dict) and predictions and predictions != gr.skip():
            values = convert_component_dict_to_list(outputs, predictions)
        if len(outputs) < 2 or block_fn.batch or not isinstance(values, list | tuple) or len(values) != len(outputs):
            return list(await super().postprocess_data(block_fn, predictions, state))
        is_skipped = [isinstance(value, dict) and value == gr.skip() for value in values]
        changed = [value for value, skipped in zip(values, is_skipped, strict=True) if not skipped]
        changed_fn = copy(block_fn)
        changed_fn.outputs = [output for output, skipped in zip(outputs, is_skipped, strict=True) if not skipped]
        updates: list[Any] = []
        if changed:
            updates = await super().postprocess_data(changed_fn, changed if len(changed) > 1 else changed[0], state)
        remaining = iter(updates)
        return [
            (None if output.stateful else gr.skip()) if skipped else next(remaining)
            for output, skipped in zip(outputs, is_skipped, strict=True)
        ]

    def reduce_event_overhead(self) -> None:
        for event in self.fns.values():
            # The browser goes through everything that an event ever showed its progress on, at each step of each
            # event: where no progress is to be seen there is nothing to show it on.
            if event.show_progress == "hidden" and event.show_progress_on is None:
                event.show_progress_on = []
        self._queue.sleep_when_free = QUEUE_POLL_SECONDS
        self._queue.progress_update_sleep_when_free = PROGRESS_SECONDS
        self._queue.ANALYTICS_MAX_EVENTS = 1  # it makes a table of them after each event, for a page that is not here
