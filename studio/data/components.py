"""The components of the Data page that its handlers read and update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.data.actions import DatasetActions
from studio.data.dataset_settings import DatasetSettings
from studio.data.preview import DatasetPreview


@dataclass(frozen=True)
class DataPage:
    """Three states: `selection` is the dataset that was chosen last (DatasetSelection), `dataset` what was read of it
    (CheckedDataset, or None), `usable_name` its dataset_name, or None where nothing in it can be trained on.
    """

    known: gr.Dropdown
    summary: gr.HTML
    split: gr.HTML
    use: gr.Button
    selection: gr.State
    dataset: gr.State
    usable_name: gr.State
    settings: DatasetSettings
    actions: DatasetActions
    preview: DatasetPreview

    @property
    def outputs(self) -> list[Any]:
        """What changes with the dataset that is shown."""
        own = [self.selection, self.dataset, self.usable_name, self.summary, self.split, self.use]
        return [*own, *self.settings.outputs, *self.actions.outputs, *self.preview.outputs]

    @property
    def recipe_values(self) -> list[Any]:
        """What the Train page takes from here: dataset_name (or None), then what RECIPE_SETTINGS names."""
        return [self.usable_name, *self.settings.recipe_values]
