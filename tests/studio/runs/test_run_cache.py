"""All runs as they are read for the page: again only when something has changed."""

from __future__ import annotations

from core.training.events import Evaluation, Progress, append_event
from studio.context import Studio
from studio.runs.run_cache import RunCache
from tests.studio.runs.making import make_run, snapshots


def test_a_run_is_read_again_only_when_its_folder_changes(empty_studio: Studio) -> None:
    cache = RunCache(empty_studio.home)
    run = make_run(empty_studio, "a", [2.0])
    (first,) = cache.runs()
    assert cache.runs()[0] is first
    append_event(run.events_path, Evaluation(step=1, eval_loss=1.5))
    (second,) = cache.runs()
    assert second.evaluated == ((1, 1.5),)


def test_a_resumed_run_has_each_step_once_with_the_later_value(empty_studio: Studio) -> None:
    run = make_run(empty_studio, "a", [2.0, 1.5])
    append_event(run.events_path, Progress(step=2, max_steps=2, epoch=0, loss=1.4, learning_rate=1e-3))
    assert snapshots(empty_studio)["a"].training == ((1, 2.0), (2, 1.4))
