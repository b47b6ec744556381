"""How Data reads a dataset and what a run takes of it: the settings that the Train page gets with the dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from core.data.column_mapping import format_columns, parse_columns
from core.data.formats import FORMATS
from core.recipes.recipe import Recipe, defaults_for
from studio.context import Studio

if TYPE_CHECKING:
    from core.data import CheckedDataset

MAPPABLE_COLUMNS = {  # what the page lets one name; a recipe knows more (core.data.column_mapping)
    "question": "the person's words",
    "answer": "what to learn to say",
    "context": "what the question is about",
    "system": "a system prompt",
    "text": "whole conversations or plain text",
    "messages": "lists of turns",
}
NO_COLUMN = ("–", "")


@dataclass(frozen=True)
class DatasetSelection:
    """A dataset that was asked for: `name` is what a recipe's dataset_name takes, `columns` its dataset_columns."""

    name: str
    dataset_format: str = ""
    columns: str = ""


@dataclass(frozen=True)
class DatasetSettings:
    """`recipe_values` is what a recipe takes from here, in the order of RECIPE_SETTINGS."""

    row_format: gr.Dropdown
    columns: gr.Accordion
    column_choices: list[gr.Dropdown]
    apply_columns: gr.Button
    dataset_columns: gr.Textbox
    skip_bad_rows: gr.Checkbox
    max_length: gr.Number
    max_samples: gr.Number
    eval_fraction: gr.Slider
    seed: gr.Number

    @property
    def recipe_values(self) -> list[Any]:
        used = [self.max_length, self.max_samples, self.eval_fraction, self.seed]
        return [self.row_format, self.dataset_columns, self.skip_bad_rows, *used]

    @property
    def outputs(self) -> list[Any]:
        return [self.row_format, self.columns, *self.column_choices, self.dataset_columns, self.skip_bad_rows]

    def show(
        self, selection: DatasetSelection, dataset: CheckedDataset | None, columns: list[str], needs_columns: bool
    ) -> dict[Any, Any]:
        """Updates for a dataset that was read, or (None) for one of which only the `columns` are known.

        needs_columns: it cannot be read before a person says which column is what.
        """
        chosen = parse_columns(selection.columns)
        bad = len(dataset.problems) if dataset and dataset.conversations else 0
        detected = None if selection.dataset_format or dataset is None else dataset.format
        return {
            self.row_format: gr.Dropdown(
                choices=format_choices(detected), value=selection.dataset_format, interactive=True
            ),
            self.columns: gr.Accordion(visible=bool(columns), open=needs_columns or bool(chosen)),
            **{
                field: gr.Dropdown(choices=[NO_COLUMN, *columns], value=chosen.get(name, ""))
                for name, field in zip(MAPPABLE_COLUMNS, self.column_choices, strict=True)
            },
            self.dataset_columns: selection.columns,
            self.skip_bad_rows: gr.Checkbox(
                False, visible=bad > 0, label=f"Skip {bad} row{'' if bad == 1 else 's'} with problems (skip_bad_rows)"
            ),
        }


RECIPE_SETTINGS = (
    "dataset_format",
    "dataset_columns",
    "skip_bad_rows",
    "max_length",
    "max_samples",
    "eval_fraction",
    "seed",
)


def build(studio: Studio) -> DatasetSettings:
    row_format = gr.Dropdown(
        format_choices(None),
        value="",
        label="Format",
        info="Choose another where the detected one is wrong.",
        interactive=False,
        elem_id="dataset-format",
    )
    with gr.Accordion("Which column is what", open=False, visible=False, elem_id="dataset-columns-page") as columns:
        column_choices = [
            gr.Dropdown([NO_COLUMN], value="", label=name, info=about, elem_id=f"column-{name}")
            for name, about in MAPPABLE_COLUMNS.items()
        ]
        apply_columns = gr.Button("Read it so", size="sm", elem_id="read-columns")
    dataset_columns = gr.Textbox("", visible=False, label="dataset_columns")
    skip_bad_rows = gr.Checkbox(
        False,
        visible=False,
        label="skip_bad_rows",
        info="Otherwise training stops at them before it begins.",
        elem_id="skip-bad-rows",
    )
    max_length = gr.Number(
        defaults_for(studio.base).get("max_length", Recipe.max_length),
        label="max_length",
        info="Tokens of a conversation beyond it are not trained.",
        precision=0,
        elem_id="data-max-length",
    )
    with gr.Accordion("How much of it is used", open=False, elem_id="dataset-use"):
        max_samples = gr.Number(
            0,
            label="max_samples",
            info="So many conversations, drawn at random; 0: all.",
            precision=0,
            minimum=0,
            elem_id="data-max-samples",
        )
        eval_fraction = gr.Slider(
            0,
            0.5,
            Recipe.eval_fraction,
            step=0.01,
            label="eval_fraction",
            info="The share that is held out to measure eval loss.",
            elem_id="data-eval-fraction",
        )
        seed = gr.Number(Recipe.seed, label="seed", info="Of drawing and dividing.", precision=0, elem_id="data-seed")
    return DatasetSettings(
        row_format,
        columns,
        column_choices,
        apply_columns,
        dataset_columns,
        skip_bad_rows,
        max_length,
        max_samples,
        eval_fraction,
        seed,
    )


def format_choices(detected: str | None) -> list[tuple[str, str]]:
    return [(f"as detected: {detected}" if detected else "as detected", ""), *((name, name) for name in FORMATS)]


def columns_chosen(values: tuple[str | None, ...]) -> str:
    """The dropdowns' values as a recipe's dataset_columns."""
    return format_columns(dict(zip(MAPPABLE_COLUMNS, values, strict=True)))
