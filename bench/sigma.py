# SPDX-License-Identifier: Apache-2.0
"""How far off sgbm's disparity is, by its confidence: the table that depth/sigma is made of, and how well it holds.

    python -m bench.sigma

The table is that of `vizion3d.stereo.matchers.sgbm.sigma`: for each range of confidence the error that 68.3 % of the valid
pixels of the everyday pairs do not exceed. Then how many pixels of these and of other pairs are within it.
"""

import dataclasses
from itertools import pairwise

import numpy as np

from bench.pairs import cases, everyday
from vizion3d.evaluate import StereoCase
from vizion3d.evaluate.confidence import BIN_EDGES
from vizion3d.evaluate.report import table
from vizion3d.options import ValidityLimits
from vizion3d.stereo import StereoDepthEstimator

ONE_SIGMA = 0.6827
TARGET = 0.60, 0.76
ALL = ValidityLimits(conf_threshold=0)


def fit(estimator: StereoDepthEstimator) -> list[tuple[float, float]]:
    """(lowest confidence, error in pixels that 68.3 % do not exceed) of each range."""
    errors, confidences = [], []
    for case in everyday():
        prediction = estimator.estimate(*case.rectified_pair())
        error = np.abs(prediction.disparity_px.numpy() - case.truth_px)
        known = prediction.valid(ALL).numpy() & np.isfinite(error)
        errors.append(error[known])
        confidences.append(prediction.confidence.numpy()[known])
    error, confidence = np.concatenate(errors), np.concatenate(confidences)
    ranges = [(low, (confidence >= low) & (confidence < high)) for low, high in pairwise((*BIN_EDGES[:-1], np.inf))]
    return [(low, float(np.quantile(error[inside], ONE_SIGMA))) for low, inside in ranges]


def coverage(estimator: StereoDepthEstimator, case: StereoCase) -> tuple[float, float]:
    """Of the valid pixels with truth those whose depth is off by no more than its sigma; and the median sigma by depth."""
    pair = case.rectified_pair()
    prediction, limits = estimator.estimate(*pair), ValidityLimits()
    depth_m, sigma_m = prediction.masked_depth(limits).numpy(), prediction.sigma_m(limits).numpy()
    off_m = np.abs(depth_m - dataclasses.replace(case, rig=pair.rig).depth_m)
    known = np.isfinite(off_m)
    return float((off_m <= sigma_m)[known].mean()), float(np.median((sigma_m / depth_m)[known]))


def row(estimator: StereoDepthEstimator, case: StereoCase) -> list[str]:
    """Of the table: name, share, whether that is in `TARGET`, sigma."""
    share, sigma = coverage(estimator, case)
    return [case.name, f"{100 * share:.1f}", "yes" if TARGET[0] <= share <= TARGET[1] else "no", f"{100 * sigma:.2f}"]


def coverage_table(rows: list[list[str]]) -> str:
    """The rows as markdown."""
    return table(["pair", "within sigma %", "60 to 76", "median sigma / Z %"], rows)


def main() -> None:
    estimator = StereoDepthEstimator()
    for low, sigma_px in fit(estimator):
        print(f"    ({low:g}, {sigma_px:.2f}),")
    print(coverage_table([row(estimator, case) for case in (*everyday(), *(case for _, case in cases()))]))


if __name__ == "__main__":
    main()
