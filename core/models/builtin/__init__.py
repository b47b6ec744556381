"""The built-in base: where its weights lie. How they were made: tools/builtin_model."""

from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent / "base"
