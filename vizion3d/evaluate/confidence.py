# SPDX-License-Identifier: Apache-2.0
"""Does confidence know where the answers are wrong?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

BIN_EDGES = (0.0, 0.1, 0.5, 0.8, 0.9, 0.95, 1.0)
_MIN_BIN_SHARE = 0.005
_ECE_BINS = 10


@dataclass(frozen=True)
class ConfidenceBin:
    """The answers with a confidence from low to below high; 1 belongs to the last bin.

    Attributes:
        share: of all answers, those in the bin.
        bad: of those in the bin, the wrong ones; NaN if the bin has less than 0.5 % of the answers, too few to tell.
    """

    low: float
    high: float
    share: float
    bad: float


@dataclass(frozen=True)
class ConfidenceScores:
    """How confidence and error go together, over the answers with truth, hidden pixels included.

    Attributes:
        bins: bad rates by confidence, in ascending order; they should fall.
        ece: expected calibration error. Confidence is read as the probability that the answer is right (Guo et al. 2017):
            ``sum over bins of share * |mean confidence - part that is right|`` in 10 bins of equal width.
        ause: area under the sparsification error (Ilg et al. 2018) of the bad rate. Keep the most confident part of the
            answers: the bad rate of what is kept, minus the one that an oracle would get that throws the wrong answers out
            first, integrated over all parts from 0 to 1. 0 is a perfect order; answers of equal confidence are kept in
            random order, of which this is the mean.
    """

    bins: tuple[ConfidenceBin, ...]
    ece: float
    ause: float


def score_confidence(confidence: np.ndarray, bad: np.ndarray) -> ConfidenceScores:
    """Judge the confidence of answers.

    Args:
        confidence: (n,), 0 to 1.
        bad: (n,) bool, the answer is wrong.
    """
    confidence, bad = np.asarray(confidence, dtype=np.float64), np.asarray(bad, dtype=bool)
    return ConfidenceScores(_bins(confidence, bad), _expected_calibration_error(confidence, bad), _ause(confidence, bad))


def _bins(confidence: np.ndarray, bad: np.ndarray) -> tuple[ConfidenceBin, ...]:
    index = np.clip(np.searchsorted(BIN_EDGES, confidence, side="right") - 1, 0, len(BIN_EDGES) - 2)
    bins = []
    for number, (low, high) in enumerate(pairwise(BIN_EDGES)):
        inside = index == number
        share = float(inside.mean()) if inside.size else 0.0
        bins.append(ConfidenceBin(low, high, share, float(bad[inside].mean()) if share >= _MIN_BIN_SHARE else math.nan))
    return tuple(bins)


def _expected_calibration_error(confidence: np.ndarray, bad: np.ndarray) -> float:
    if not confidence.size:
        return math.nan
    index = np.clip((confidence * _ECE_BINS).astype(int), 0, _ECE_BINS - 1)
    # |sum of confidence - number of right answers| of a bin is its size times the difference of the means.
    return float(np.abs(np.bincount(index, confidence - ~bad, minlength=_ECE_BINS)).sum() / confidence.size)


def _ause(confidence: np.ndarray, bad: np.ndarray) -> float:
    if not confidence.size:
        return math.nan
    _, level, size = np.unique(-confidence, return_inverse=True, return_counts=True)  # most confident first
    bad_of_level = np.bincount(level, bad) / size
    kept = np.arange(1, confidence.size + 1)
    curve = np.cumsum(np.repeat(bad_of_level, size)) / kept
    oracle = np.maximum(kept - np.count_nonzero(~bad), 0) / kept
    return float((curve - oracle).mean())
