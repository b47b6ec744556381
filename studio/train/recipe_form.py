"""A recipe's settings as fields, in three levels. Every setting of core.recipes.recipe has one, with its help text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.data.formats import FORMATS
from core.recipes.fields import ALL, BASIC, USUAL
from core.recipes.recipe import SETTINGS, TYPES, Recipe, defaults_for
from studio.context import Studio

LEVELS = ("Simple", "Usual", "Everything")
# (smallest, largest, step) of a beginner's sliders; a recipe in YAML may go beyond.
SLIDERS = {"num_train_epochs": (0.5, 20, 0.5), "learning_rate": (1e-5, 1e-2, 1e-5), "lora_r": (1, 128, 1)}
YES_OR_NO = ("true", "false")  # as a recipe writes them
WITHOUT_FIELD = ("dataset_name", "model_name_or_path")  # chosen in step one; the studio's own


@dataclass(frozen=True)
class RecipeForm:
    """`fields` by setting's name, in the order in which `to_recipe` takes their values."""

    base: str
    level: gr.Radio
    groups: list[gr.Column]
    fields: dict[str, Any]

    def to_recipe(self, dataset: str | None, values: tuple[Any, ...]) -> Recipe:
        """The recipe that the fields describe; what is left empty has its default. Raises UserError."""
        given = {name: recipe_value(name, value) for name, value in zip(self.fields, values, strict=True)}
        filled = {name: value for name, value in given.items() if value not in (None, "", [])}
        return Recipe.from_dict({"dataset_name": dataset, "model_name_or_path": self.base, **filled})

    def updates_for(self, recipe: Recipe) -> list[Any]:
        """Updates of the fields, so that they show `recipe`."""
        return [field_update(name, value) for name, value in recipe.to_dict().items() if name in self.fields]


def build(studio: Studio) -> RecipeForm:
    defaults = {name: field.default for name, field in SETTINGS.items()} | defaults_for(studio.base)
    names_by_level: dict[str, list[str]] = {BASIC: [], USUAL: [], ALL: []}
    for name, setting in SETTINGS.items():
        if name not in WITHOUT_FIELD:
            names_by_level[setting.metadata["level"]].append(name)
    level = gr.Radio(LEVELS, value=LEVELS[0], label="How much to decide", elem_id="recipe-level")
    fields: dict[str, Any] = {}
    groups = []
    for level_name, names in names_by_level.items():
        with gr.Column(visible=level_name == BASIC, elem_classes="settings") as group:
            for name in names:
                fields[name] = build_field(name, defaults[name])
        groups.append(group)
    in_order = {name: fields[name] for name in SETTINGS if name in fields}
    return RecipeForm(studio.base, level, groups, in_order)


def build_field(name: str, default: Any) -> Any:
    about: dict[str, Any] = {
        "label": name,
        "info": str(SETTINGS[name].metadata["help"]),
        "elem_id": name.replace("_", "-"),
        "min_width": 200,
    }
    kinds = TYPES[name]
    if name in SLIDERS:
        low, high, step = SLIDERS[name]
        return gr.Slider(low, high, default, step=step, **about)
    if name == "dataset_format":
        return gr.Dropdown([("as detected", ""), *FORMATS], value="", **about)
    if name == "init_adapter":
        return gr.Dropdown([("a new adapter", "")], value="", allow_custom_value=True, **about)
    if choices := SETTINGS[name].metadata["choices"]:
        return gr.Dropdown(list(choices), value=default, **about)
    if bool in kinds and type(None) in kinds:
        return gr.Dropdown([("by itself", ""), *YES_OR_NO], value=field_value(name, default), **about)
    if bool in kinds:
        return gr.Checkbox(default, **about)
    if int in kinds or float in kinds:
        return gr.Number(default, precision=0 if int in kinds else None, **about)
    return gr.Textbox(field_value(name, default), lines=3 if name == "sample_prompts" else 1, **about)


def field_update(name: str, value: Any) -> Any:
    """An update of the field, so that it shows `value`; a slider that does not go so far is made longer."""
    if name in SLIDERS:
        low, high, _ = SLIDERS[name]
        return gr.Slider(value=value, minimum=min(low, value), maximum=max(high, value))
    return field_value(name, value)


def recipe_value(name: str, value: Any) -> Any:
    """A field's value as the recipe takes it: several layers with commas, one prompt per line."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if bool in TYPES[name] and text in YES_OR_NO:
        return text == "true"
    if name == "sample_prompts":
        return [line.strip() for line in text.splitlines() if line.strip()]
    if name == "lora_target_modules" and "," in text:
        return [module.strip() for module in text.split(",") if module.strip()]
    return text


def field_value(name: str, value: Any) -> Any:
    """A recipe's value as the field shows it: the other way round."""
    if name == "sample_prompts":
        return "\n".join(value or [])
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, bool) and type(None) in TYPES[name]:
        return str(value).lower()
    return "" if value is None and not {int, float} & set(TYPES[name]) else value
