# SPDX-License-Identifier: Apache-2.0
"""The numbers of one map against its truth: which pixels count, and what of them is wrong.

Two rules hold for every number. Pixels without a known truth never count. A number of the *answers* is a share or a mean
over the pixels that have truth and an answer; a number that ends in ``_unanswered`` is a share of all pixels with truth,
where a pixel without an answer is wrong like one with a wrong answer.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from vizion3d.errors import InputError

BAD_PX = (1, 2, 3)
D1_PX, D1_PART = 3.0, 0.05
TOO_FAR_RATIO, TOO_NEAR_RATIO = 1.2, 0.5


@dataclass(frozen=True)
class Scores:
    """What is right and wrong in one set of pixels. Shares are from 0 to 1; NaN where there is nothing to count.

    Attributes:
        truth_pixels: pixels of the set whose truth is known.
        answered_pixels: those of them that have an answer.
        bad_1, bad_2, bad_3: answers that are more than so many pixels of disparity off (Middlebury's and ETH3D's "bad").
        bad_1_unanswered, ...: the same of all pixels with truth, unanswered ones counted as bad.
        d1: answers that are more than 3 px **and** more than 5 % of the true disparity off (KITTI's D1).
        d1_unanswered: the same of all pixels with truth, unanswered ones counted as bad.
        epe_px: mean absolute error of the disparity of the answers (end-point error).
        median_px: median of it.
        abs_rel: mean of ``|Z / true Z - 1|`` of the answers.
        median_rel: median of it.
        off_5_percent: answers whose depth is more than 5 % off.
        too_far: answers whose depth is more than 1.2 times the true one: the obstacle that recedes (optimistic error).
        too_near: answers whose depth is less than half of the true one: an obstacle that is not there (phantom).
        too_far_of_truth, too_near_of_truth: the same pixels as a share of all pixels with truth.

    Errors in pixels are NaN where truth or answer is no disparity.
    """

    truth_pixels: int
    answered_pixels: int
    bad_1: float
    bad_2: float
    bad_3: float
    bad_1_unanswered: float
    bad_2_unanswered: float
    bad_3_unanswered: float
    d1: float
    d1_unanswered: float
    epe_px: float
    median_px: float
    abs_rel: float
    median_rel: float
    off_5_percent: float
    too_far: float
    too_near: float
    too_far_of_truth: float
    too_near_of_truth: float

    @property
    def density(self) -> float:
        """Pixels with an answer, of those with truth."""
        return _share(self.answered_pixels, self.truth_pixels)

    def as_dict(self) -> dict[str, float | int]:
        """All numbers by name, density among them."""
        numbers = dataclasses.asdict(self)
        return {"truth_pixels": numbers.pop("truth_pixels"), "answered_pixels": numbers.pop("answered_pixels"),
                "density": self.density, **numbers}  # fmt: skip


@dataclass(frozen=True)
class Errors:
    """What is off by how much in every pixel; arrays (H, W) float64.

    Attributes:
        truth: bool, the truth is known.
        answered: bool, there is an answer; may be true where there is no truth.
        px: answered minus true disparity; NaN where one is missing, None if there are no disparities.
        d1: bool, more than 3 px and more than 5 % of the true disparity off; None as px.
        ratio: answered by true depth; NaN where one is missing.
    """

    truth: np.ndarray
    answered: np.ndarray
    px: np.ndarray | None
    d1: np.ndarray | None
    ratio: np.ndarray

    @classmethod
    def of_disparity(cls, disparity_px: np.ndarray, truth_px: np.ndarray, doffs_px: float = 0.0) -> Errors:
        """Compare disparities. Depth is proportional to ``1 / (disparity + doffs)``, so its ratio needs nothing else.

        Args:
            disparity_px: (H, W), NaN or infinite where there is no answer; behind the camera (disparity + doffs <= 0) is
                no answer either.
            truth_px: (H, W), NaN or infinite where it is unknown.
            doffs_px: cx_right - cx_left.

        Raises:
            InputError: the shapes differ, or no truth is known.
        """
        disparity_px, truth_px = _checked("disparity", disparity_px, truth_px)
        answered, truth = (np.isfinite(d) & (d + doffs_px > 0) for d in (disparity_px, truth_px))
        both = answered & truth
        px = np.where(both, disparity_px - truth_px, np.nan)
        with np.errstate(invalid="ignore", over="ignore"):
            ratio = np.divide(truth_px + doffs_px, disparity_px + doffs_px, out=np.full(px.shape, np.nan), where=both)
            d1 = (np.abs(px) > D1_PX) & (np.abs(px) > D1_PART * np.abs(truth_px))
        return cls(_some(truth), answered, px, d1, ratio)

    @classmethod
    def of_depth(cls, depth_m: np.ndarray, truth_m: np.ndarray) -> Errors:
        """Compare depths (H, W) in metres; NaN, infinite and not positive is no answer or no truth.

        Raises:
            InputError: the shapes differ, or no truth is known.
        """
        depth_m, truth_m = _checked("depth", depth_m, truth_m)
        answered, truth = (np.isfinite(z) & (z > 0) for z in (depth_m, truth_m))
        ratio = np.divide(depth_m, truth_m, out=np.full(depth_m.shape, np.nan), where=answered & truth)
        return cls(_some(truth), answered, None, None, ratio)

    def scores(self, region: np.ndarray | None = None, answered: np.ndarray | None = None) -> Scores:
        """Count.

        Args:
            region: (H, W) bool, pixels that are looked at; None is all.
            answered: (H, W) bool, answers that are taken as such, for example the valid ones; None is all.
        """
        truth = self.truth if region is None else self.truth & region
        taken = truth & self.answered if answered is None else truth & self.answered & answered
        truth_pixels, answered_pixels = int(truth.sum()), int(taken.sum())
        unanswered = truth_pixels - answered_pixels

        def shares(name: str, wrong: np.ndarray) -> dict[str, float]:
            count = int(wrong.sum())
            return {name: _share(count, answered_pixels), f"{name}_unanswered": _share(count + unanswered, truth_pixels)}

        numbers = dict.fromkeys((field.name for field in dataclasses.fields(Scores)), math.nan)
        if self.px is not None and self.d1 is not None:
            off_px = np.abs(self.px[taken])
            for limit in BAD_PX:
                numbers |= shares(f"bad_{limit}", off_px > limit)
            numbers |= shares("d1", self.d1[taken])
            numbers |= {"epe_px": _mean(off_px), "median_px": _median(off_px)}
        ratio = self.ratio[taken]
        off = np.abs(ratio - 1)
        too_far, too_near = int((ratio > TOO_FAR_RATIO).sum()), int((ratio < TOO_NEAR_RATIO).sum())
        numbers |= {
            "abs_rel": _mean(off),
            "median_rel": _median(off),
            "off_5_percent": _share(int((off > 0.05).sum()), answered_pixels),
            "too_far": _share(too_far, answered_pixels),
            "too_near": _share(too_near, answered_pixels),
            "too_far_of_truth": _share(too_far, truth_pixels),
            "too_near_of_truth": _share(too_near, truth_pixels),
        }
        return Scores(**{**numbers, "truth_pixels": truth_pixels, "answered_pixels": answered_pixels})  # type: ignore[arg-type]


def _checked(kind: str, answer: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    answer, truth = (np.asarray(values, dtype=np.float64) for values in (answer, truth))
    if answer.ndim != 2 or answer.shape != truth.shape:
        sizes = " but the truth ".join("x".join(map(str, values.shape[::-1])) for values in (answer, truth))
        raise InputError(f"the {kind} map is {sizes}; both must be of the same image, width x height")
    return answer, truth


def _some(truth: np.ndarray) -> np.ndarray:
    if not truth.any():
        raise InputError("no pixel has a known truth; is it the right file, read with the right encoding?")
    return truth


def _share(count: int, of: int) -> float:
    return count / of if of else math.nan


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if values.size else math.nan
