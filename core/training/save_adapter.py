"""The end of a run: a plain PEFT folder with its record, in the store or not at all."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.record import AdapterRecord, DatasetRef, Sample
from adapters.store import AdapterStore
from core.data import CheckedDataset
from core.models.base import BaseSource, fingerprint
from core.training.run import Run
from core.training.trainer import StudioTrainer, save_peft_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from core.training.callbacks import Reporter

AVERAGED = 10  # logged losses that the record's train_loss is the mean of


def save_adapter(
    run: Run,
    trainer: StudioTrainer,
    reporter: Reporter,
    *,
    tokenizer: PreTrainedTokenizerBase,
    source: BaseSource,
    checked: CheckedDataset,
    steps: int,
    samples: list[Sample],
    note: str = "",
) -> AdapterRecord:
    """Put the trainer's weights, those of step `steps`, into the store, the record last; or leave nothing behind.

    A worker that was killed right after saving finds its adapter here and does not save it twice.
    """
    store = AdapterStore(run.home.adapters)
    for record in store.list():
        if record.run_id == run.id and record.steps == steps:
            return record
    recipe = run.recipe
    history = [entry for entry in trainer.state.log_history if entry["step"] <= steps]
    last = [entry["loss"] for entry in history if "loss" in entry][-AVERAGED:]
    evaluated = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    record = AdapterRecord(
        name=store.free_name(run.name),
        base_model=source.id,
        base_fingerprint=fingerprint(source),
        run_id=run.id,
        dataset=DatasetRef(
            name=checked.name,
            source=checked.source,
            revision=checked.revision,
            sha256=checked.sha256,
            conversations=len(checked.conversations),
            license=checked.license,
        ),
        recipe=without_local_paths(recipe.to_dict(), checked, source),
        steps=steps,
        train_loss=sum(last) / len(last) if last else None,
        eval_loss=evaluated[-1] if evaluated else None,
        tokens=trainer.tokens_seen,
        seconds=round(reporter.seconds, 1),
        samples=samples,
        note=note,
    )
    with store.staging() as stage:
        folder = stage / "adapter"
        save_peft_folder(trainer.model, tokenizer, folder)
        copy_tensorboard(run.tensorboard, folder / "tensorboard")
        return store.add(record.name, folder, record)


def without_local_paths(recipe: dict[str, Any], checked: CheckedDataset, source: BaseSource) -> dict[str, Any]:
    """The recipe without this machine's paths, since records and cards are pushed."""
    return recipe | {
        "dataset_name": checked.name,
        "model_name_or_path": source.name if source.local else recipe["model_name_or_path"],
    }


def copy_tensorboard(events: Path, target: Path) -> None:
    """Copy the event files under names without the machine's own name, still in their order of time."""
    target.mkdir()
    files = [path for path in events.glob("events.out.tfevents.*") if path.is_file()]
    for number, path in enumerate(sorted(files)):
        began = path.name.removeprefix("events.out.tfevents.").split(".")[0]
        shutil.copyfile(path, target / f"events.out.tfevents.{began or int(time.time())}.studio.{number}")
