"""Lists of a dataset's problems and its rows, to download."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from core.data import read_dataset
from studio.data.actions import export_jsonl, write_problems

ROW = '{"text": "### Human: Hi ### Assistant: Hello"}\n'


def test_problems_and_remarks_are_listed_and_usable_rows_exported(tmp_path: Path) -> None:
    file = tmp_path / "mixed.jsonl"
    file.write_text(ROW * 3 + '{"text": "### Human: alone"}\n' + ROW)
    dataset = read_dataset(str(file))
    downloads = tempfile.TemporaryDirectory(dir=tmp_path)
    offered = write_problems(downloads, dataset)
    listed = [json.loads(line) for line in Path(offered.value["path"]).read_text().splitlines()]
    assert [(row["row"], row["used"]) for row in listed] == [(4, False), (2, True), (3, True), (5, True)]
    assert set(listed[0]) == {"row", "what", "remedy", "used"}
    exported = export_jsonl(downloads, dataset)
    assert len(Path(exported.value["path"]).read_text().splitlines()) == 4
