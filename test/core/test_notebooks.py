# SPDX-License-Identifier: Apache-2.0
"""The notebooks in examples/, their cells run in order."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_kept_without_results(path):
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code_cells(path))


def test_stereo_depth(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for cell in code_cells(next(path for path in NOTEBOOKS if path.stem == "stereo_depth")):
        exec("".join(cell["source"]), names)
    printed = capsys.readouterr().out
    valid, median = (float(re.search(rf"{before}([\d.]+)\s?%", printed)[1]) for before in ("^", "median "))
    assert valid > 70 and median < 1
    assert names["known"].mean() > 0.7 and (tmp_path / "cloud.ply").stat().st_size > 15 * names["known"].sum()
