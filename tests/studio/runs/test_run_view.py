"""One run as the page shows it."""

from __future__ import annotations

from core.training.events import Checkpoint, Evaluation, SampleAnswer, append_event
from studio.context import Studio
from studio.runs.run_view import best_step, render_samples, render_timeline
from tests.studio.runs.making import make_run, snapshots


def test_the_best_step_and_the_answers_over_time(empty_studio: Studio) -> None:
    run = make_run(empty_studio, "a", [2.0])
    for step, loss, answer in ((10, 1.2, "Ahoy"), (20, 1.3, "Arr")):
        append_event(run.events_path, Evaluation(step=step, eval_loss=loss, best=step == 10))
        append_event(run.events_path, Checkpoint(step=step, path=f"checkpoints/checkpoint-{step}"))
        append_event(run.events_path, SampleAnswer(step=step, prompt="Who are you?", answer=answer))
    shown = snapshots(empty_studio)["a"]
    assert best_step(shown) == 10
    table = render_samples(shown)
    assert table.index("step 10 · best") < table.index("step 20") < table.index("Ahoy") < table.index("Arr")
    history = render_timeline(shown)
    assert history.index("checkpoint of step 20") < history.index("checkpoint of step 10") < history.index("queued")
