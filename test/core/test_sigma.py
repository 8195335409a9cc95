# SPDX-License-Identifier: Apache-2.0
"""Sigma: what it is made of, that the fit is repeatable, and that it holds on a real pair that had no part in it."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from bench.sigma import TARGET, coverage
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.evaluate import StereoCase, find_pairs
from vizion3d.options import ValidityLimits
from vizion3d.stereo import StereoDepthEstimator, StereoPrediction
from vizion3d.stereo.matchers.sgbm.sigma import SIGMA_OF_CONFIDENCE
from vizion3d.synthetic.benchmark import EVERYDAY_NAMES, draw

RIG = StereoRig(PinholeCamera(4, 1, 100.0, 100.0, 1.5, 0.0), baseline_m=0.2, doffs_px=2.0)
LIMITS = ValidityLimits(conf_threshold=0.2, z_far=5.0)


@functools.cache
def room() -> StereoCase:
    return draw(EVERYDAY_NAMES[0])


def prediction(confidence: list[float], disparity_px: list[float], table=((0.0, 0.8), (0.5, 0.2))) -> StereoPrediction:
    maps = torch.tensor([disparity_px]), torch.tensor([confidence]), torch.ones(1, len(confidence))
    return StereoPrediction(*maps, RIG, None, 1 / 16, sigma_of_confidence=table)


def test_sigma_is_that_of_the_disparity_at_its_confidence_in_metres():
    sigma_m = prediction([0.3, 0.5, 1.0, 0.499], [8.0, 8.0, 18.0, 18.0]).sigma_m(LIMITS)
    depth_m = torch.tensor([[2.0, 2.0, 1.0, 1.0]])
    torch.testing.assert_close(sigma_m, depth_m**2 / (100 * 0.2) * torch.tensor([[0.8, 0.2, 0.2, 0.8]]))
    moved_m = 100 * 0.2 / (10 - 0.2) - 2.0  # what a disparity that is off by its sigma does, to first order
    assert float(sigma_m[0, 1]) == pytest.approx(moved_m, rel=0.03)


def test_there_is_none_where_there_is_no_depth_and_without_a_table():
    sigma_m = prediction([0.1, 1.0, 1.0, 1.0], [8.0, torch.nan, 1.0, 8.0]).sigma_m(LIMITS)  # unsure, unmatched, too far
    assert sigma_m.isnan().tolist() == [[True, True, True, False]]
    assert prediction([1.0], [8.0], table=()).sigma_m(LIMITS).isnan().all()


def test_a_pair_matched_at_half_size_has_twice_the_sigma():
    case = room()
    whole, half = (StereoDepthEstimator().estimate(*case.rectified_pair(), scale_factor=scale) for scale in (1.0, 0.5))
    np.testing.assert_allclose(half.sigma_of_confidence, np.array(whole.sigma_of_confidence) * [1, 2])
    assert whole.sigma_of_confidence == SIGMA_OF_CONFIDENCE


def test_it_holds_on_a_pair_of_a_camera_in_good_order():
    share, _ = coverage(StereoDepthEstimator(), room())
    assert TARGET[0] <= share <= TARGET[1]


def test_it_holds_on_a_real_pair_with_truth_and_calibration(data):
    (pair,) = (pair for pair in find_pairs(data / "stereo") if pair.calib)
    share, _ = coverage(StereoDepthEstimator(), pair.load())
    assert TARGET[0] <= share <= TARGET[1]
