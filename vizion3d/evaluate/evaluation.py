# SPDX-License-Identifier: Apache-2.0
"""All that is said about one answer to one picture, and its form in JSON."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vizion3d.evaluate.confidence import ConfidenceScores, score_confidence
from vizion3d.evaluate.scores import Errors, Scores
from vizion3d.evaluate.visibility import lands_inside

_CONFIDENCE_BAD_PX = 2.0
_CONFIDENCE_BAD_PART = 0.05


@dataclass(frozen=True)
class BeyondRange:
    """What became of pixels that are nearer than the matcher looks, and whose match is inside the right image.

    Attributes:
        max_disparity_px: end of the search.
        truth_share: such pixels, of those with truth.
        valid_share: of such pixels, the ones that are valid all the same, with a disparity in the range: an obstacle that
            recedes.
    """

    max_disparity_px: float
    truth_share: float
    valid_share: float


@dataclass(frozen=True)
class Evaluation:
    """How right one answer is.

    Attributes:
        all: every answer, every pixel with truth.
        non_occluded: every answer, pixels that both cameras see; None if that is not known.
        valid: answers that the model calls valid, every pixel with truth.
        valid_non_occluded: valid answers, pixels that both cameras see; None if that is not known.
        confidence: None if the model gives none. An answer is wrong that is more than 2 px off, where there is no
            disparity more than 5 % of the depth.
        beyond_range: None for models without a limit, and for depth.
    """

    all: Scores
    non_occluded: Scores | None
    valid: Scores
    valid_non_occluded: Scores | None
    confidence: ConfidenceScores | None = None
    beyond_range: BeyondRange | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: shares from 0 to 1, None for what is unknown."""
        scores = {name: value and value.as_dict() for name, value in self.scores().items()}
        others = {name: value and dataclasses.asdict(value) for name, value in vars(self).items() if name not in scores}
        return _without_nan({**scores, **others})

    def scores(self) -> dict[str, Scores | None]:
        """The four sets of pixels by name."""
        return {name: getattr(self, name) for name in ("all", "non_occluded", "valid", "valid_non_occluded")}


def evaluate_disparity(
    disparity_px: np.ndarray,
    truth_px: np.ndarray,
    *,
    doffs_px: float = 0.0,
    valid: np.ndarray | None = None,
    visible: np.ndarray | None = None,
    confidence: np.ndarray | None = None,
    max_disparity_px: float | None = None,
) -> Evaluation:
    """Compare a disparity map with the truth; arrays are (H, W).

    Args:
        disparity_px: x_left - x_right, NaN or infinite where there is no answer.
        truth_px: the same, NaN or infinite where it is unknown.
        doffs_px: cx_right - cx_left; if it is not known, 0, but then ratios of depths are only as good as that.
        valid: bool, answers that the model stands by; None is all.
        visible: bool, the right camera sees that point too (non-occluded); None if unknown.
        confidence: 0 to 1; None if there is none.
        max_disparity_px: largest disparity that was searched; None if there is no limit.

    Raises:
        InputError: the shapes differ, or no truth is known.
    """
    errors = Errors.of_disparity(disparity_px, truth_px, doffs_px)
    assert errors.px is not None
    evaluation = _evaluate(errors, np.abs(errors.px) > _CONFIDENCE_BAD_PX, valid, visible, confidence)
    if max_disparity_px is None:
        return evaluation
    beyond = errors.truth & (truth_px > max_disparity_px) & lands_inside(truth_px)
    promised = errors.answered & (np.nan_to_num(disparity_px) <= max_disparity_px)
    receded = beyond & (promised if valid is None else promised & valid)
    share = float(receded.sum() / beyond.sum()) if beyond.any() else math.nan
    range_scores = BeyondRange(max_disparity_px, float(beyond.sum() / errors.truth.sum()), share)
    return dataclasses.replace(evaluation, beyond_range=range_scores)


def evaluate_depth(
    depth_m: np.ndarray,
    truth_m: np.ndarray,
    *,
    valid: np.ndarray | None = None,
    visible: np.ndarray | None = None,
    confidence: np.ndarray | None = None,
) -> Evaluation:
    """Compare a depth map in metres with the truth; see `evaluate_disparity`. NaN, infinite and <= 0 is no depth."""
    errors = Errors.of_depth(depth_m, truth_m)
    return _evaluate(errors, np.abs(errors.ratio - 1) > _CONFIDENCE_BAD_PART, valid, visible, confidence)


def _evaluate(
    errors: Errors, bad: np.ndarray, valid: np.ndarray | None, visible: np.ndarray | None, confidence: np.ndarray | None
) -> Evaluation:
    both = errors.truth & errors.answered
    return Evaluation(
        all=errors.scores(),
        non_occluded=None if visible is None else errors.scores(visible),
        valid=errors.scores(answered=valid),
        valid_non_occluded=None if visible is None else errors.scores(visible, valid),
        confidence=None if confidence is None else score_confidence(confidence[both], bad[both]),
    )


def _without_nan(value: Any) -> Any:
    """None for every NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
