"""The front matter of a repository's README.md, read and checked as the real Hub does."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from tests.hub_server.repos import Commit, Repos

REPO_ID = re.compile(r"[\w-][\w.-]{0,95}/[\w.-]{1,96}", re.ASCII)


def front_matter(text: str) -> str:
    match = re.match(r"\s*---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    return match[1] if match else ""


def read_card(repos: Repos, commit: Commit) -> dict[str, Any]:
    if "README.md" not in commit.files:
        return {}
    text = repos.blob_path(commit.files["README.md"].sha256).read_text(errors="replace")
    try:
        values = yaml.safe_load(front_matter(text)) or {}
    except yaml.YAMLError:
        return {}
    return json.loads(json.dumps(values, default=str)) if isinstance(values, dict) else {}


def validate_card(text: str) -> tuple[list[str], list[str]]:
    """(errors, warnings) about a card's front matter: those of the real Hub's checks that our cards can run into."""
    try:
        values = yaml.safe_load(front_matter(text))
    except yaml.YAMLError as error:
        return [f"YAML parsing error: {error}"], []
    if not values:
        return [], ["empty or missing yaml metadata in repo card"]
    errors = []
    for key, where in (("base_model", "models"), ("datasets", "datasets")):
        given = values.get(key, [])
        for value in given if isinstance(given, list) else [given]:
            if not isinstance(value, str) or not REPO_ID.fullmatch(value):
                errors.append(f'"{key}" with value "{value}" is not valid. Use an id from https://hf.co/{where}.')
    if not isinstance(values.get("tags", []), list):
        errors.append('"tags" must be an array')
    if values.get("base_model_relation") not in (None, "adapter", "merge", "quantized", "finetune"):
        errors.append('"base_model_relation" is not one that is known')
    return errors, []
