"""docs/datasets.md shows one row of each format; each must be read as what it stands under."""

from __future__ import annotations

import json
import re
from pathlib import Path

from core.data.formats import FORMATS, detect_row
from core.data.formats.base import check_turns

PAGE = Path(__file__).parents[3] / "docs" / "datasets.md"


def test_every_format_is_documented_with_a_row_of_it() -> None:
    examples = dict(re.findall(r"^### (\S+)\n(?:.*?)```json\n(.*?)```", PAGE.read_text(), re.M | re.S))
    assert set(examples) == set(FORMATS)
    for name, text in examples.items():
        row = json.loads(text)
        found = detect_row(row)
        assert found is not None and found.name == name
        messages, remarks = check_turns(found.convert(row))
        assert messages and not remarks, name
