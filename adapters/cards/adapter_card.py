"""The model card of a pushed adapter: what a stranger needs to judge it and to load it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from markupsafe import Markup

from adapters.bases import is_on_hub, to_shareable_id
from adapters.card_record import FRONT_MATTER_KEY, record_for_card
from adapters.cards.rendering import cell, render_card
from adapters.record import BUILTIN_ID, AdapterRecord


def render_adapter_card(
    record: AdapterRecord, repo_id: str, *, loss_plot: str | None = None, own_tokenizer: bool = True
) -> str:
    """The README.md of the repository `repo_id`.

    loss_plot: path in the repository of a picture of the losses. own_tokenizer: whether the repository has one, too.
    """
    base = to_shareable_id(record.base_model)
    source = base if is_on_hub(base) else f"path/to/{base}"
    recipe = {name: value for name, value in record.recipe.items() if value is not None}
    return render_card(
        ModelCard,
        card_data(record),
        "adapter.md.jinja",
        name=record.name,
        repo_id=repo_id,
        repo_name=repo_id.split("/")[-1],
        base=base,
        base_on_hub=is_on_hub(base),
        base_is_builtin=base == BUILTIN_ID,
        source=source,
        tokenizer=repo_id if own_tokenizer else source,
        rank=record.lora_r,
        in_4bit=bool(record.recipe.get("load_in_4bit")),
        dataset=_dataset_link(record) if record.dataset else None,
        same_base=_same_base(record),
        note=record.note,
        samples=[(sample.prompt, sample.base, sample.adapter) for sample in record.samples],
        figures=_figures(record),
        loss_plot=loss_plot,
        data_facts=_data(record),
        recipe=recipe,
        settings=[(f"`{name}`", value) for name, value in recipe.items()],
    )


def card_data(record: AdapterRecord) -> ModelCardData:
    """The Hub refuses a card whose base_model or datasets are not ids there, so those are named in the text only."""
    method = "qlora" if record.recipe.get("load_in_4bit") else None
    tags = ["lora", method, "sft" if record.recipe else None, "guanaco-studio", *record.tags]
    data = ModelCardData(
        **base_and_datasets(record, relation="adapter"),
        library_name="peft",
        pipeline_tag="text-generation",
        tags=[tag for tag in tags if tag],
    )
    data[FRONT_MATTER_KEY] = record_for_card(record)
    return data


def base_and_datasets(record: AdapterRecord, *, relation: str) -> dict[str, Any]:
    """The base and the data in a card's metadata, as far as they are on the Hub. relation: adapter or finetune."""
    base, dataset = to_shareable_id(record.base_model), record.dataset
    known: dict[str, Any] = {"base_model": base, "base_model_relation": relation} if is_on_hub(base) else {}
    if dataset and dataset.source == "hub" and is_on_hub(dataset.name):
        known["datasets"] = [dataset.name]
    return known


def _same_base(record: AdapterRecord) -> Any:
    same = record.same_base
    return same and replace(same, made_for=to_shareable_id(same.made_for), base=to_shareable_id(same.base))


def _figures(record: AdapterRecord) -> list[tuple[str, Any]]:
    memory = record.peak_memory_bytes
    rows = [
        ("Steps", record.steps),
        ("Training loss", _rounded(record.train_loss)),
        ("Evaluation loss, on conversations held out", _rounded(record.eval_loss)),
        ("Tokens seen", f"{record.tokens:,}" if record.tokens is not None else None),
        ("Time", _duration(record.seconds) if record.seconds is not None else None),
        ("Peak memory", f"{memory / 2**30:.1f} GiB" if memory is not None else None),
        ("Size of the adapter", _size(record.size_bytes) if record.size_bytes else None),
        ("Made", record.created),
    ]
    return [(name, value) for name, value in rows if value is not None]


def _data(record: AdapterRecord) -> list[tuple[str, Any]]:
    data = record.dataset
    if data is None:
        return []
    assumed = "apache-2.0, as the studio" if data.source == "bundled" else "not known"
    rows = [
        ("Dataset", _dataset_link(record)),
        ("Revision", f"`{data.revision}`" if data.revision else None),
        ("Conversations", data.conversations),
        ("SHA-256", f"`{data.sha256}`" if data.sha256 else None),
        ("Licence", data.license or assumed),
    ]
    return [(name, value) for name, value in rows if value is not None]


def _dataset_link(record: AdapterRecord) -> Markup:
    assert record.dataset is not None
    name = record.dataset.name
    if record.dataset.source == "hub" and is_on_hub(name):
        return Markup("[{0}](https://huggingface.co/datasets/{0})").format(name)
    bundled = " (bundled with Guanaco Studio)" if record.dataset.source == "bundled" else ""
    return cell(f"{name}{bundled}")


def _rounded(value: float | None) -> str | None:
    return f"{value:.4g}" if value is not None else None


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
