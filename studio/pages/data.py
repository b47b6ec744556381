"""Data: choose a sample, upload a file or name a Hub dataset; see what was understood, and what is trained of it."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from core.base import HUB_ID
from core.data.formats import FORMATS
from core.errors import UserError
from core.recipe import defaults_for
from studio import imports
from studio.context import Studio
from studio.dataset_view import Measured, drawn, figures, found, neighbour, token_view
from studio.pages.telling import told
from studio.present import dataset_summary, told_in_place
from studio.tokenizer_process import Tokenizer

if TYPE_CHECKING:
    from core.data import CheckedDataset

NOTHING = '<div class="empty">Choose a dataset: what was understood, and a preview, will show here.</div>'
CHUNK = 100  # conversations counted between two signs of progress


@dataclass(frozen=True)
class DataPage:
    """`settings` is what Train takes from here: dataset_name (or None), dataset_format, skip_bad_rows, max_length."""

    known: gr.Dropdown
    use: gr.Button
    settings: list[Any]


def build(studio: Studio) -> DataPage:
    tokenizer = Tokenizer(studio.home, studio.base)
    downloads = tempfile.TemporaryDirectory(prefix="guanaco-studio-")
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            known = gr.Dropdown(
                [],  # filled in when the page loads, for those who may use it
                value=None,
                label="Bundled samples and your files",
                info="The bundled samples are small and train in about a minute on the built-in base.",
                elem_id="known-dataset",
            )
            upload = gr.File(
                label="Upload a file (JSONL, JSON, CSV, Parquet)",
                file_types=[".jsonl", ".json", ".csv", ".parquet"],
                height=140,
                elem_id="upload-dataset",
            )
            with gr.Row(equal_height=True):
                hub_id = gr.Textbox(
                    label="Hub dataset", placeholder="owner/name", elem_id="hub-dataset", scale=3, min_width=140
                )
                hub_button = gr.Button("Check", scale=1, min_width=80)
            row_format = gr.Dropdown(
                format_choices(None),
                value="",
                label="Format",
                info="Choose another where the detected one is wrong.",
                interactive=False,
                elem_id="dataset-format",
            )
            max_length = gr.Number(
                defaults_for(studio.base)["max_length"],
                label="max_length",
                info="Tokens of a conversation beyond it are not trained.",
                precision=0,
                elem_id="data-max-length",
            )
            skip = gr.Checkbox(False, visible=False, label="skip_bad_rows", elem_id="skip-bad-rows")
            use = gr.Button("Train on this dataset →", variant="primary", interactive=False, elem_id="use-dataset")
            with gr.Row():
                list_problems = gr.Button("List of problems", size="sm", visible=False, elem_id="list-problems")
                export = gr.Button("Export as JSONL", size="sm", visible=False, elem_id="export-dataset")
            download = gr.File(label="Download", visible=False, interactive=False, elem_id="dataset-download")
        with gr.Column(scale=3, min_width=320):
            summary = gr.HTML(NOTHING, elem_id="dataset-summary")
            statistics = gr.HTML("", elem_id="token-statistics")
            with gr.Row(visible=False, elem_id="browsing") as browsing:
                position = gr.Slider(1, 2, 1, step=1, label="Conversation", scale=3, elem_id="preview-position")
                search = gr.Textbox(
                    label="Search", placeholder="words, then Enter", scale=2, min_width=160, elem_id="search-dataset"
                )
                previous = gr.Button("← Previous", size="sm", scale=0, min_width=95, elem_id="previous-conversation")
                following = gr.Button("Next →", size="sm", scale=0, min_width=80, elem_id="next-conversation")
                random_one = gr.Button("Random", size="sm", scale=0, min_width=80, elem_id="random-conversation")
            matches = gr.HTML("", elem_id="matches")
            with gr.Row():
                with gr.Column(min_width=300):
                    preview = gr.Chatbot(
                        label="Preview",
                        height="46vh",
                        visible=False,
                        feedback_options=None,
                        buttons=[],
                        elem_id="preview",
                    )
                with gr.Column(min_width=300):
                    tokens = gr.HTML("", elem_id="token-view")
    asked: gr.State = gr.State()
    checked: gr.State = gr.State()
    chosen: gr.State = gr.State()
    measured: gr.State = gr.State()
    outputs = [asked, row_format, summary, preview, browsing, position, checked, chosen, use, skip, list_problems]
    outputs += [export, download, search, matches, tokens, statistics, measured]

    def check(name: str | None) -> list[Any]:
        return check_as("", name)

    def check_as(dataset_format: str, name: str | None) -> list[Any]:
        if not name:
            return [gr.skip()] * len(outputs)
        # Only what the studio offers, and ids on the Hub: a path would show any file of this machine.
        if name not in {value for _, value in imports.choices(studio.home)} and not HUB_ID.match(name):
            raise UserError(f"{name!r} is neither a dataset of this studio nor a Hub id.", "Upload the file above.")
        from core.data import read_dataset

        try:
            return present(read_dataset(name, dataset_format=dataset_format or None), name, dataset_format)
        except UserError as error:
            return unreadable(error, name, dataset_format)

    def check_upload(path: str | None) -> list[Any]:
        if not path:
            return [gr.skip()] * (len(outputs) + 1)
        kept = imports.import_file(studio.home, Path(path))
        return [*check(str(kept)), gr.Dropdown(choices=imports.choices(studio.home), value=str(kept))]

    async def measure(dataset: CheckedDataset | None, limit: float | None) -> AsyncIterator[list[Any]]:
        """Tokens of the first conversation, then of all; the tokenizer's process takes seconds to start."""
        if not dataset or not dataset.conversations:
            return
        yield [waiting(tokenizer), "", None]
        yield [await asyncio.to_thread(shown_tokens, tokenizer, dataset, 1, limit), gr.skip(), None]
        conversations, lengths, trained = drawn(dataset), [], []
        try:
            for start in range(0, len(conversations), CHUNK):
                yield [gr.skip(), f'<p class="said">Counting tokens: {start} of {len(conversations)} …</p>', None]
                more = await asyncio.to_thread(tokenizer.count, conversations[start : start + CHUNK])
                lengths += more[0]
                trained += more[1]
        except UserError as error:
            yield [gr.skip(), told_in_place(error), None]
            return
        counted = [each for each in lengths if each is not None]
        result = Measured(len(dataset.conversations), counted, trained, len(lengths) - len(counted))
        yield [gr.skip(), figures(result, length_limit(limit)), result]

    def limit_to(
        limit: float | None, result: Measured | None, number: float, dataset: CheckedDataset | None
    ) -> list[Any]:
        if not dataset or not dataset.conversations or not limit or limit < 1:  # being typed
            return [gr.skip(), gr.skip()]
        drawn_again = figures(result, length_limit(limit)) if result else gr.skip()
        return [drawn_again, shown_tokens(tokenizer, dataset, int(number), limit)]

    def show_tokens(number: float, dataset: CheckedDataset | None, limit: float | None) -> Any:
        return shown_tokens(tokenizer, dataset, int(number), limit) if dataset else gr.skip()

    def turn_to(number: float, dataset: CheckedDataset | None) -> Any:
        return bubbles(dataset, int(number)) if dataset else gr.skip()

    def go(dataset: CheckedDataset | None, words: str | None, at: float, step: int) -> list[Any]:
        """`step` 1 or -1: the next or previous match of the search; 0: any."""
        if not dataset or not dataset.conversations:
            return [gr.skip()] * 3
        numbers = found(dataset, words)
        said = ""
        if words and words.strip():
            said = f'<p class="said">{len(numbers)} of {len(dataset.conversations)} conversations match.</p>'
        if not numbers:
            return [gr.skip(), gr.skip(), said]
        number = neighbour(numbers, int(at), step) if step else random.choice(numbers)
        return [number, bubbles(dataset, number), said]

    def back(dataset: CheckedDataset | None, words: str | None, at: float) -> list[Any]:
        return go(dataset, words, at, -1)

    def forward(dataset: CheckedDataset | None, words: str | None, at: float) -> list[Any]:
        return go(dataset, words, at, 1)

    def anywhere(dataset: CheckedDataset | None, words: str | None, at: float) -> list[Any]:
        return go(dataset, words, at, 0)

    def find(dataset: CheckedDataset | None, words: str | None, at: float) -> list[Any]:
        return go(dataset, words, 0, 1)

    def problems_file(dataset: CheckedDataset | None) -> Any:
        rows = [asdict(each) for each in dataset.problems] if dataset else []
        return offer(Path(downloads.name), "problems.jsonl", rows)

    def export_file(dataset: CheckedDataset | None) -> Any:
        rows = [each.to_dict() for each in dataset.conversations] if dataset else []
        return offer(Path(downloads.name), "dataset.jsonl", rows)

    private: dict[str, Any] = {"api_visibility": "private"}
    quiet: dict[str, Any] = {"show_progress": "hidden", **private}
    checks = [
        known.input(told(check), known, outputs, **private),
        gr.on([hub_button.click, hub_id.submit], told(check), hub_id, outputs, **private),
        upload.upload(told(check_upload), upload, [*outputs, known], **private),
        row_format.input(told(check_as), [row_format, asked], outputs, **private),
    ]
    for each in checks:
        each.success(told(measure), [checked, max_length], [tokens, statistics, measured], **quiet)
    where = [position, checked, max_length]
    max_length.change(
        told(limit_to),
        [max_length, measured, position, checked],
        [statistics, tokens],
        trigger_mode="always_last",
        **quiet,
    )
    position.input(turn_to, [position, checked], preview, queue=False, **quiet)
    position.release(told(show_tokens), where, tokens, trigger_mode="always_last", **quiet)
    for trigger, step in (
        (previous.click, back),
        (following.click, forward),
        (random_one.click, anywhere),
        (search.submit, find),
    ):
        moving = trigger(told(step), [checked, search, position], [position, preview, matches], **quiet)
        moving.then(told(show_tokens), where, tokens, trigger_mode="always_last", **quiet)
    list_problems.click(told(problems_file), checked, download, **private)
    export.click(told(export_file), checked, download, **private)
    return DataPage(known, use, [chosen, row_format, skip, max_length])


def present(dataset: CheckedDataset, name: str, dataset_format: str) -> list[Any]:
    """A checked dataset for the page, in the order of `outputs`; tokens and statistics follow when they are counted."""
    count, bad = len(dataset.conversations), len(dataset.problems)
    usable = count > 0
    return [
        name,
        gr.Dropdown(
            choices=format_choices(None if dataset_format else dataset.format), value=dataset_format, interactive=True
        ),
        dataset_summary(dataset),
        gr.Chatbot(bubbles(dataset, 1), visible=usable),
        gr.Row(visible=count > 1),
        gr.Slider(minimum=1, maximum=max(count, 2), value=1, label=f"Conversation (1 to {count})"),
        dataset,
        name if usable else None,
        gr.Button(interactive=usable),
        gr.Checkbox(False, visible=bad > 0 and usable, label=f"Train without these {bad} rows (skip_bad_rows)"),
        gr.Button(visible=bad > 0),
        gr.Button(visible=usable),
        gr.File(visible=False),
        "",
        "",
        "",
        "",
        None,
    ]


def unreadable(error: UserError, name: str, dataset_format: str) -> list[Any]:
    """Nothing could be read; the format can still be chosen. In the order of `outputs`."""
    hidden = [gr.Chatbot(visible=False), gr.Row(visible=False), gr.skip(), None, None, gr.Button(interactive=False)]
    without = [gr.Checkbox(False, visible=False), gr.Button(visible=False), gr.Button(visible=False)]
    override = gr.Dropdown(choices=format_choices(None), value=dataset_format, interactive=True)
    rest: list[Any] = [gr.File(visible=False), "", "", "", "", None]
    return [name, override, told_in_place(error), *hidden, *without, *rest]


def format_choices(detected: str | None) -> list[tuple[str, str]]:
    return [(f"as detected: {detected}" if detected else "as detected", ""), *((name, name) for name in FORMATS)]


def length_limit(limit: float | None) -> int:
    """max_length as typed. Raises UserError for none."""
    if not limit or limit < 1:
        raise UserError("max_length is not a number of tokens.", "Write a whole number, such as 512.")
    return int(limit)


def waiting(tokenizer: Tokenizer) -> str:
    started = "" if tokenizer.running else ", which takes some seconds to start"
    return f'<p class="said">Asking the tokenizer of {tokenizer.base}{started} …</p>'


def shown_tokens(tokenizer: Tokenizer, dataset: CheckedDataset, number: int, limit: float | None) -> str:
    """Conversation `number` (from 1) token by token, or why not."""
    try:
        conversation = dataset.conversations[number - 1]
        return token_view(tokenizer.view(conversation), length_limit(limit))
    except UserError as error:
        return told_in_place(error)


def offer(folder: Path, name: str, rows: list[dict[str, Any]]) -> gr.File:
    path = folder / name
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return gr.File(str(path), visible=True)


def bubbles(dataset: CheckedDataset, number: int) -> list[dict[str, Any]]:
    """Conversation `number` (from 1) as chat bubbles; what is neither asked nor answered shows as a titled one."""
    if not 1 <= number <= len(dataset.conversations):
        return []
    conversation = dataset.conversations[number - 1]
    titles = {"system": "System prompt", "text": "Plain text", "tool": "Tool's answer"}
    shown: list[dict[str, Any]] = []

    def titled(title: str, content: str) -> None:
        shown.append({"role": "assistant", "content": content, "metadata": {"title": title}})

    if conversation.tools:
        titled("Tools", as_code(conversation.tools))
    for message in conversation.messages:
        if title := titles.get(message["role"]):
            titled(title, message["content"])
        elif message.get("weight") == 0:
            titled("Not trained (weight 0)", message["content"])
        elif message["content"] or not message.get("tool_calls"):
            shown.append({"role": message["role"], "content": message["content"]})
        for call in message.get("tool_calls", []):
            titled(f"Calls {call['function']['name']}", as_code(call["function"]["arguments"]))
    return shown


def as_code(value: Any) -> str:
    return f"```json\n{json.dumps(value, ensure_ascii=False, indent=1)}\n```"
