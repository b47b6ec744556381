"""What a commit says of an adapter: what it is, and what has changed since the version that was there."""

from __future__ import annotations

from typing import Any

from adapters.bases import to_shareable_id
from adapters.record import AdapterRecord

FIGURES = {"steps": "steps", "train_loss": "training loss", "eval_loss": "evaluation loss", "lora_r": "rank"}


def title(record: AdapterRecord, earlier: AdapterRecord | None) -> str:
    """One line. `earlier`: what the repository's card says of the version there; None when there is none."""
    if earlier is None:
        facts = [
            f"{record.steps} steps" if record.steps is not None else None,
            f"on {record.dataset.name}" if record.dataset else None,
            f"evaluation loss {record.eval_loss:.3g}" if record.eval_loss is not None else None,
        ]
        known = ", ".join(fact for fact in facts if fact)
        return f"Add the adapter {record.name}" + (f": {known}" if known else "")
    what = changes(record, earlier)
    shown = ", ".join(f"{name} {before} → {after}" for name, before, after in what[:3])
    return f"Update the adapter {record.name}" + (f": {shown}" if shown else "")


def description(record: AdapterRecord, earlier: AdapterRecord | None) -> str:
    """The figures of this version, and every setting that is another than before."""
    facts = {
        "base": to_shareable_id(record.base_model),
        "dataset": record.dataset.name if record.dataset else None,
        "steps": record.steps,
        "training loss": record.train_loss,
        "evaluation loss": record.eval_loss,
    }
    lines = [f"{key}: {value}" for key, value in facts.items() if value is not None]
    if earlier is not None and (what := changes(record, earlier)):
        lines += ["", "Changed since the version before:"]
        lines += [f"- {name}: {before} → {after}" for name, before, after in what]
    return "\n".join(lines)


def changes(record: AdapterRecord, earlier: AdapterRecord) -> list[tuple[str, str, str]]:
    """(what, before, now): the data, the figures, then the settings. What the earlier card left out is not told."""
    pairs: list[tuple[str, Any, Any]] = [("dataset", _data(earlier), _data(record))]
    pairs += [(label, getattr(earlier, name), getattr(record, name)) for name, label in FIGURES.items()]
    names = sorted({*record.recipe, *earlier.recipe} - {"run_name", "dataset_name"}) if earlier.recipe else []
    pairs += [(name, earlier.recipe.get(name), record.recipe.get(name)) for name in names]
    return [(what, _short(before), _short(now)) for what, before, now in pairs if before != now and before is not None]


def _data(record: AdapterRecord) -> str | None:
    if record.dataset is None:
        return None
    version = (record.dataset.sha256 or record.dataset.revision or "")[:8]
    return f"{record.dataset.name} ({version})" if version else record.dataset.name


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
