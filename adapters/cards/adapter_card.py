"""The model card of a pushed adapter: what a stranger needs to judge it and to load it."""

from __future__ import annotations

import html
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from adapters.bases import shared_base
from adapters.common import safe_yaml
from adapters.common.errors import UserError
from adapters.folder_layout import CARD_FILE
from adapters.record import BUILTIN_ID, RECORD_VERSION, AdapterRecord

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
FRONT_MATTER_KEY = "guanaco_studio"  # where a card keeps what `read_card` needs to restore the record
_RESTORED = (
    "base_fingerprint", "created", "dataset", "recipe", "steps", "train_loss", "eval_loss", "tokens", "seconds",
    "peak_memory_bytes", "samples", "note", "tags",
)  # fmt: skip
MAX_CARD = 1_000_000  # bytes; a larger one is not read
MAX_RECORD = 100_000  # characters; a stranger's record of an adapter is shown on everybody's page


def is_on_hub(base_model: str) -> bool:
    return HUB_ID.fullmatch(base_model) is not None


def render_card(
    record: AdapterRecord, repo_id: str, *, loss_plot: str | None = None, own_tokenizer: bool = True
) -> str:
    """The README.md of the repository `repo_id`.

    loss_plot: path in the repository of a picture of the losses. own_tokenizer: whether the repository has one, too.
    """
    base = shared_base(record.base_model)
    sections = [
        f"# {record.name}",
        _summary(record, base),
        _note(record),
        _samples(record),
        "## How to load it",
        _loading(base, repo_id, record.lora_r, own_tokenizer),
        "## Training",
        _figures(record),
        f"![Losses]({loss_plot})" if loss_plot else "",
        _data(record),
        _recipe(record),
    ]
    body = "\n\n".join(section for section in sections if section)
    return f"---\n{_yaml(_front_matter(record, base))}---\n\n{body}\n"


def _front_matter(record: AdapterRecord, base: str) -> dict[str, Any]:
    """The Hub refuses a card whose base_model or datasets are not ids there, so those are named in the text only."""
    values: dict[str, Any] = {}
    if is_on_hub(base):
        values |= {"base_model": base, "base_model_relation": "adapter"}
    values |= {"library_name": "peft", "pipeline_tag": "text-generation"}
    if record.dataset and record.dataset.source == "hub" and is_on_hub(record.dataset.name):
        values["datasets"] = [record.dataset.name]
    method = "qlora" if record.recipe.get("load_in_4bit") else None
    tags = ["lora", method, "sft" if record.recipe else None, "guanaco-studio", *record.tags]
    values["tags"] = list(dict.fromkeys(tag for tag in tags if tag))
    facts = asdict(record)
    restored = {key: facts[key] for key in _RESTORED if facts[key] not in (None, "", [], {})}
    values[FRONT_MATTER_KEY] = {"version": RECORD_VERSION, "base_model": base, **restored}
    return values


def _summary(record: AdapterRecord, base: str) -> str:
    shape = f"a LoRA adapter (rank {record.lora_r})" if record.lora_r else "a LoRA adapter"
    on = f"[{base}](https://huggingface.co/{base})" if is_on_hub(base) else f"`{base}`"
    data = f", trained on {_dataset_link(record)}" if record.dataset else ""
    text = (
        f"This is {shape} for {on}{data} with [PEFT](https://huggingface.co/docs/peft). It changes how the base "
        "answers; it holds no base weights, and the base's own limits and licence still apply."
    )
    if record.recipe.get("load_in_4bit"):
        text += " It was trained on the base in 4 bits (QLoRA), and can be loaded on it in any precision."
    if base == BUILTIN_ID:
        text += (
            "\n\nIts base is the tiny model that is part of Guanaco Studio, made to try the studio without a GPU. "
            "That base is not on the Hub, and the adapter is of use only within the studio."
        )
    elif not is_on_hub(base):
        text += f"\n\nIts base `{base}` is not on the Hub under that name; loading the adapter needs a copy of it."
    if said := record.same_base:
        copy, used = (_cell(shared_base(each)) for each in (said.made_for, said.base))
        text += f"\n\nWho pushed it said on {_cell(said.said[:10])} that `{copy}` is a copy of `{used}`."
    return text


def _note(record: AdapterRecord) -> str:
    return html.escape(record.note)


def _samples(record: AdapterRecord) -> str:
    if not record.samples:
        return ""
    rows = [(sample.prompt, sample.base, sample.adapter) for sample in record.samples]
    return "## Sample answers\n\n" + _table(("Prompt", "The base alone", "With this adapter"), rows)


def _loading(base: str, repo_id: str, rank: int | None, own_tokenizer: bool) -> str:
    studio = f"With Guanaco Studio:\n\n```bash\npython -m studio pull {repo_id}\n```"
    if base == BUILTIN_ID:
        return studio
    source = base if is_on_hub(base) else f"path/to/{base}"
    tokenizer = repo_id if own_tokenizer else source
    peft = f"""With PEFT (`pip install peft transformers accelerate`):

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained("{source}", device_map="auto")
model = PeftModel.from_pretrained(base, "{repo_id}")
tokenizer = AutoTokenizer.from_pretrained("{tokenizer}")
messages = [{{"role": "user", "content": "Hello!"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
output = model.generate(**inputs.to(model.device), max_new_tokens=200)
print(tokenizer.decode(output[0][inputs["input_ids"].shape[1]:], skip_special_tokens=True))
```"""
    fits_rank = f" --max-lora-rank {rank}" if rank and rank > 16 else ""  # vLLM's own limit, unless it is raised
    name = repo_id.split("/")[-1]
    vllm = (
        f"With vLLM:\n\n```bash\nvllm serve {source} --enable-lora{fits_rank} --lora-modules {name}={repo_id}\n```\n\n"
    )
    vllm += f"It then answers as the model `{name}`, and the base under its own name."
    return "\n\n".join([peft, vllm, studio])


def _figures(record: AdapterRecord) -> str:
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
    return _table(("", ""), [row for row in rows if row[1] is not None])


def _data(record: AdapterRecord) -> str:
    data = record.dataset
    if data is None:
        return ""
    assumed = "apache-2.0, as the studio" if data.source == "bundled" else "not known"
    rows = [
        ("Dataset", _dataset_link(record)),
        ("Revision", f"`{_cell(data.revision)}`" if data.revision else None),
        ("Conversations", data.conversations),
        ("SHA-256", f"`{_cell(data.sha256)}`" if data.sha256 else None),
        ("Licence", _cell(data.license or assumed)),
    ]
    return "### Data\n\n" + _table(("", ""), [row for row in rows if row[1] is not None], escape=False)


def _recipe(record: AdapterRecord) -> str:
    if not record.recipe:
        return ""
    given = {key: value for key, value in record.recipe.items() if value is not None}
    rows = [(f"`{key}`", value) for key, value in given.items()]
    table = _table(("Setting", "Value"), rows)
    names = "the argument names of TRL and PEFT"
    return f"### Recipe\n\n{table}\n\nAs YAML, in {names}:\n\n```yaml\n{_yaml(given)}```"


def _dataset_link(record: AdapterRecord) -> str:
    assert record.dataset is not None
    name = record.dataset.name
    if record.dataset.source == "hub" and is_on_hub(name):
        return f"[{name}](https://huggingface.co/datasets/{name})"
    bundled = " (bundled with Guanaco Studio)" if record.dataset.source == "bundled" else ""
    return f"{_cell(name)}{bundled}"


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]], *, escape: bool = True) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_cell(cell) if escape else str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    """Text inside a table: no markup of its own, no line breaks that would end the row."""
    return html.escape(str(value), quote=False).replace("|", "\\|").replace("\r", "").replace("\n", "<br>")


def _rounded(value: float | None) -> str | None:
    return f"{value:.4g}" if value is not None else None


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _yaml(values: Any) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=1000)


def read_card(text: str, name: str) -> AdapterRecord | None:
    """The record that a card written by `render_card` carries; None for a card without one.

    Raises UserError when there is one that cannot be read. Cards come from strangers: nothing in it is trusted.
    """
    match = re.match(r"---\n(.*?\n)---\n", text.replace("\r\n", "\n"), re.DOTALL)
    if match is None:
        return None
    try:
        values = safe_yaml.load(match[1])
    except yaml.YAMLError as error:
        raise UserError(f"The card's front matter cannot be read: {error}.") from error
    ours = values.get(FRONT_MATTER_KEY) if isinstance(values, dict) else None
    if not isinstance(ours, dict):
        return None
    known = {key: value for key, value in ours.items() if key in (*_RESTORED, "base_model", "version")}
    record = AdapterRecord.from_dict({**known, "name": name})
    try:
        size = len(record.to_json())
    except (TypeError, ValueError, RecursionError) as error:  # YAML has kinds of values that JSON has not
        raise UserError(f"The card's record cannot be kept: {error}.") from error
    if size > MAX_RECORD:
        raise UserError(f"The card's record has {size} characters, more than any adapter's.")
    return record


def record_from_card(folder: Path, name: str, base_model: str) -> AdapterRecord:
    """The record that a folder's card carries when a studio wrote it; else one that knows only the base."""
    fresh = AdapterRecord(name, base_model)
    card = folder / CARD_FILE
    if not card.is_file() or card.stat().st_size > MAX_CARD:
        return fresh
    try:
        record = read_card(card.read_text(encoding="utf-8", errors="replace"), name)
    except UserError as error:
        return replace(fresh, note=f"Its card could not be read: {error}")
    return replace(record, base_model=base_model) if record else fresh
