# SPDX-License-Identifier: Apache-2.0
"""Errors speak with one voice, wherever they are raised: one sentence without a full stop, so that doors can go on in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def ending(node: ast.expr | None) -> str:
    """The last literal characters of a text in the source; "" where it ends with a value, or is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return ending(node.values[-1]) if node.values else ""
    return ending(node.right) if isinstance(node, ast.BinOp) else ""


@pytest.mark.parametrize("package", ["vizion3d", "vizion3d_ros"])
def test_no_error_ends_with_a_full_stop(package):
    texts = {
        f"{path.relative_to(ROOT)}:{node.lineno}": ending(node.exc.args[0])
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args
    }
    assert sum(map(bool, texts.values())) > 50
    assert not {where: text for where, text in texts.items() if text.rstrip().endswith(".")}
