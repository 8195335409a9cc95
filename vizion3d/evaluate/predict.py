# SPDX-License-Identifier: Apache-2.0
"""A model's answer to a case, through the same door that robots use."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vizion3d.evaluate.cases import StereoCase
from vizion3d.evaluate.evaluation import Evaluation, evaluate_disparity

if TYPE_CHECKING:
    from vizion3d.stereo import StereoDepthEstimator


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of a case; arrays are (H, W).

    Attributes:
        disparity_px: float, NaN where there is no answer.
        valid: bool, answers that the model stands by; None is all.
        confidence: float 0 to 1; None if there is none.
        max_disparity_px: largest disparity that was searched; None if there is no limit.
        seconds: that the model took.
    """

    disparity_px: np.ndarray
    valid: np.ndarray | None = None
    confidence: np.ndarray | None = None
    max_disparity_px: float | None = None
    seconds: float | None = None


def predict(
    estimator: StereoDepthEstimator, case: StereoCase, *, z_far: float | None = None, scale_factor: float | None = None
) -> Answer:
    """Run a model on a case.

    Args:
        estimator: the model.
        case: the pair.
        z_far: metres from which on depth is not valid; None is the default of vizion3d. It does not act on a pair without
            a calibration.
        scale_factor: see `StereoDepthEstimator.estimate`.

    Raises:
        InputError: the pair cannot be matched.
    """
    from vizion3d.options import ValidityLimits

    limits = ValidityLimits() if z_far is None or case.rig is None else ValidityLimits(z_far=z_far)
    pair = case.rectified_pair()
    start = time.perf_counter()
    prediction = estimator.estimate(*pair, scale_factor=scale_factor)
    valid = prediction.valid(limits).cpu().numpy()
    seconds = time.perf_counter() - start
    depth_m, disparity_px = prediction.depth_m.cpu().numpy(), prediction.disparity_px.cpu().numpy()
    return Answer(
        np.where(np.isfinite(depth_m), disparity_px, np.nan),
        valid,
        None if prediction.confidence is None else prediction.confidence.cpu().numpy(),
        prediction.max_disparity_px,
        seconds,
    )


def evaluate(case: StereoCase, answer: Answer) -> Evaluation:
    """Compare an answer with the truth of its case.

    Raises:
        InputError: the answer is not of the case's size, or no truth is known.
    """
    return evaluate_disparity(
        answer.disparity_px,
        case.truth_px,
        doffs_px=case.doffs_px,
        valid=answer.valid,
        visible=case.visible,
        confidence=answer.confidence,
        max_disparity_px=answer.max_disparity_px,
    )


def opencv_sgbm(case: StereoCase) -> Answer:
    """What plain OpenCV StereoSGBM, mode 3WAY, answers, with a search range of a sixth of the width: the usual baseline.

    It knows nothing of negative disparities, and its first columns, as many as the range, are never answered.
    """
    left, right, *_ = case.rectified_pair()
    search_range = 16 * math.ceil(left.shape[1] / 6 / 16)
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=search_range,
        blockSize=5,
        P1=8 * 3 * 5**2,
        P2=32 * 3 * 5**2,
        disp12MaxDiff=1,
        preFilterCap=63,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=2,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    start = time.perf_counter()
    disparity_px = matcher.compute(left[..., ::-1], right[..., ::-1]).astype(np.float64) / 16
    seconds = time.perf_counter() - start
    disparity_px[disparity_px < 0] = np.nan
    return Answer(disparity_px, max_disparity_px=float(search_range), seconds=seconds)


def aligned_depth(relative: np.ndarray, truth_m: np.ndarray, *, is_inverse: bool = True) -> np.ndarray:
    """A relative map as metres, by the scale and shift that fit the true (inverse) depth best (least squares).

    Args:
        relative: (H, W) of unknown scale and shift, NaN where there is none.
        truth_m: (H, W) metres, NaN where unknown.
        is_inverse: the map is of inverse depth, not of depth.

    Returns:
        (H, W) float64 metres, NaN where there is none or it would lie behind the camera.
    """
    both = np.isfinite(relative) & np.isfinite(truth_m) & (truth_m > 0)
    known, truth = relative[both], truth_m[both]
    target = 1 / truth if is_inverse else truth
    (scale, shift), *_ = np.linalg.lstsq(np.stack([known, np.ones_like(known)], axis=1), target, rcond=None)
    fitted = scale * relative + shift
    fitted[~(fitted > 0)] = np.nan
    return 1 / fitted if is_inverse else fitted
