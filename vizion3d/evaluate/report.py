# SPDX-License-Identifier: Apache-2.0
"""Evaluations as tables for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import vizion3d
from vizion3d.evaluate.confidence import BIN_EDGES
from vizion3d.evaluate.evaluation import Evaluation
from vizion3d.evaluate.scores import Scores

SCHEMA = "vizion3d-eval/1"
_SETS = {"all": "all", "non_occluded": "non-occluded", "valid": "valid", "valid_non_occluded": "valid, non-occl."}
# (heading, field, unit); a unit of % is a share
_COLUMNS = (
    ("density %", "density", "%"),
    ("bad-1 %", "bad_1", "%"),
    ("bad-2 %", "bad_2", "%"),
    ("bad-3 %", "bad_3", "%"),
    ("D1 %", "d1", "%"),
    ("bad-2+ %", "bad_2_unanswered", "%"),
    ("EPE px", "epe_px", "px"),
    ("median px", "median_px", "px"),
    ("abs rel %", "abs_rel", "%"),
    ("too far %", "too_far", "%"),
    ("too near %", "too_near", "%"),
)
LEGEND = (
    "Shares are of the answers; density and bad-2+ of all pixels with truth, for bad-2+ an unanswered pixel is bad. "
    "D1: off by > 3 px and > 5 %. Too far: depth > 1.2 times the true one. Too near: < half of it."
)


@dataclass(frozen=True)
class Result:
    """One answer of one model.

    Attributes:
        case: name of the pair or picture.
        model: name of the model or file.
        evaluation: how right it is.
        seconds: that the model took; None if unknown.
        calibrated: whether depths are those of the pair's calibration; if not, ratios of depths take doffs for 0.
    """

    case: str
    model: str
    evaluation: Evaluation
    seconds: float | None = None
    calibrated: bool = True


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """The results with every number; shares from 0 to 1, None for what is unknown or has nothing to count.

    ``{"schema": "vizion3d-eval/1", "version": ..., "results": [{"case", "model", "seconds", "calibrated", "all",
    "non_occluded", "valid", "valid_non_occluded", "confidence", "beyond_range"}, ...]}``; the fields of the last six are
    those of `Scores` (and density), `ConfidenceScores` and `BeyondRange`. Fields may be added within a schema, never
    renamed or given another meaning.
    """
    return {
        "schema": SCHEMA,
        "version": vizion3d.__version__,
        "results": [
            {
                "case": result.case,
                "model": result.model,
                "seconds": result.seconds,
                "calibrated": result.calibrated,
                **result.evaluation.as_dict(),
            }
            for result in results
        ],
    }


def score_table(results: Sequence[Result]) -> str:
    """The scores of every set of pixels, and their mean over the pairs of each model if there are several."""
    rows = [
        (result.case, result.model, name, scores.as_dict())
        for result in results
        for name, scores in _different_sets(result.evaluation).items()
    ]
    for model in dict.fromkeys(result.model for result in results):
        evaluations = [result.evaluation for result in results if result.model == model]
        if len(evaluations) > 1:
            rows += [("mean", model, name, mean_scores(evaluations, name)) for name in _common_sets(evaluations)]
    columns = [column for column in _COLUMNS if any(not math.isnan(numbers[column[1]]) for *_, numbers in rows)]
    body = [
        [case, model, _SETS[name], *(number(numbers[field], unit) for _, field, unit in columns)]
        for case, model, name, numbers in rows
    ]
    return table(["pair", "model", "pixels", *(heading for heading, *_ in columns)], body)


def confidence_table(results: Sequence[Result]) -> str:
    """Bad rates by confidence, calibration error and AUSE; empty if no model gave a confidence."""
    body = [
        [result.case, result.model, *(number(b.bad, "%") for b in scores.bins), f"{scores.ece:.3f}", f"{scores.ause:.4f}"]
        for result in results
        if (scores := result.evaluation.confidence) is not None
    ]
    headings = [f"{low:g} to {high:g}" for low, high in pairwise(BIN_EDGES)]
    return table(["pair", "model", *headings, "ECE", "AUSE"], body) if body else ""


def range_table(results: Sequence[Result]) -> str:
    """What became of what is nearer than the search range; empty if nothing is."""
    body = [
        [
            result.case,
            result.model,
            f"{beyond.max_disparity_px:g}",
            *(number(s, "%") for s in (beyond.truth_share, beyond.valid_share)),
        ]
        for result in results
        if (beyond := result.evaluation.beyond_range) is not None and beyond.truth_share > 0
    ]
    return table(["pair", "model", "searched px", "nearer %", "of them valid %"], body) if body else ""


def mean_scores(evaluations: Sequence[Evaluation], name: str) -> dict[str, float]:
    """Mean over pictures of each number of a set of pixels, pictures without that number left out."""
    numbers = [scores.as_dict() for e in evaluations if (scores := e.scores()[name]) is not None]
    known = {field: [n[field] for n in numbers if not math.isnan(n[field])] for field in numbers[0]}
    return {field: sum(values) / len(values) if values else math.nan for field, values in known.items()}


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table whose columns line up as text too; words to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    right = [all(not row[i] or row[i][0] in "0123456789-–" for row in rows) and bool(rows) for i in range(len(headings))]
    rule = ["-" * (w - 1) + ":" if r else "-" * w for w, r in zip(widths, right, strict=True)]
    lines = [
        "| " + " | ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)) + " |"
        for row in [headings, rule, *rows]
    ]
    return "\n".join(lines)


def number(value: float, unit: str) -> str:
    """A number of a table: a share in percent, or pixels; a dash for none."""
    if math.isnan(value):
        return "–"
    return f"{100 * value:.2f}" if unit == "%" else f"{value:.3f}"


def _different_sets(evaluation: Evaluation) -> dict[str, Scores]:
    """The sets that are known; the valid ones only where they are not all answers."""
    known = {name: scores for name, scores in evaluation.scores().items() if scores is not None}
    same = evaluation.valid == evaluation.all
    return {name: scores for name, scores in known.items() if not (same and name.startswith("valid"))}


def _common_sets(evaluations: Sequence[Evaluation]) -> list[str]:
    return [name for name in _SETS if all(name in _different_sets(evaluation) for evaluation in evaluations)]
