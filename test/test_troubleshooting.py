# SPDX-License-Identifier: Apache-2.0
"""docs/troubleshooting.md quotes what the programs say, word for word, and has all that a depth node warns of."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
# What stands in the first column of a table, and the sentence about a node that waits.
QUOTES = [quote for line in PAGE.splitlines() for quote in re.findall(r"`([^`]+)`", line.split(" | ")[0]) if line[:3] == "| `"]
QUOTES += [
    quote for line in PAGE.splitlines() if line[:5] == "| … `" for quote in re.findall(r"`([^`]+)`", line.split(" | ")[0])
]
QUOTES += re.findall(r"`(ready[^`]+|frame skipped[^`]+|[^`]+fine again[^`]+)`", PAGE)
GAP = "…"
WARNING_CALLS = {"warn", "_warn", "warning"}
NODE_FILES = [ROOT / "vizion3d_ros" / name for name in ("depth_node.py", "mono_depth_node.py", "inputs.py", "input_watch.py")]
FINDINGS = ROOT / "vizion3d" / "stereo"


def texts(path: Path, tree: ast.AST | None = None) -> Iterator[tuple[ast.AST, str]]:
    """The strings of a file but for docstrings, with gaps for what is put in."""
    tree = tree or ast.parse(path.read_text(encoding="utf-8"))
    passed = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            passed |= {id(part) for part in node.values}
            yield node, "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
            yield node, node.value


def pieces(text: str) -> list[str]:
    """What stands between the gaps."""
    parts = re.split(rf"{GAP}|%s", text)
    return [part.strip(" .:;,") for part in parts if re.search(r"\w", part)]


@pytest.fixture(scope="module")
def said() -> list[str]:
    paths = [path for package in ("vizion3d", "vizion3d_ros") for path in (ROOT / package).rglob("*.py")]
    return [text for path in paths for _, text in texts(path)]


def test_there_are_quotes():
    assert len(QUOTES) > 50


@pytest.mark.parametrize("quote", QUOTES)
def test_each_quoted_sentence_is_said(said, quote):
    what, colon, rest = quote.partition(": ")
    if colon and any(text == what for text in said):  # a finding: what was looked at, and what was found
        quote = rest
    for piece in pieces(quote):
        assert any(piece in text for text in said), f"nobody says: {piece}"


def warnings_of_nodes() -> list[list[str]]:
    """The fixed pieces of each sentence that a node warns with."""
    found = []
    for path in NODE_FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        written = {id(node): text for node, text in texts(path, tree)}
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
        said = (written.get(id(call.args[-1]), "") for call in calls if getattr(call.func, "attr", "") in WARNING_CALLS)
        found += [long for text in said if (long := [piece for piece in pieces(text) if len(piece) > 10])]
    return found


@pytest.mark.parametrize("warning", warnings_of_nodes(), ids=" ".join)
def test_the_page_has_each_warning_of_a_node(warning):
    assert any(" ".join(piece.split()[:4]) in PAGE for piece in warning), f"docs/troubleshooting.md lacks: {warning}"


def test_the_page_has_each_fault_of_a_pair():
    whats = set()
    for path in FINDINGS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Finding", "judge") and len(node.args) > 1:
                what = node.args[1]
                if isinstance(what, ast.Constant) and isinstance(what.value, str):
                    whats.add(what.value)
    assert len(whats) > 10
    told_by_advice = {"order", "cameras", "pair", "depth", "image size"}  # quoted with what to do instead
    assert not [what for what in whats - told_by_advice if f"`{what}: " not in PAGE]
