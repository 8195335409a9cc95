# SPDX-License-Identifier: Apache-2.0
"""How near is measured, who decides it, and that what is nearer does not come out far."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from census_network import CensusNetwork
from PIL import Image

from vizion3d import runtime
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.options import LAS2Options, SgbmOptions, StereoOptions, ValidityLimits
from vizion3d.stereo import StereoDepthEstimator, StereoPrediction
from vizion3d.stereo.matchers.las2 import LAS2Matcher
from vizion3d.stereo.search_range import wanted_disparity
from vizion3d.synthetic import Box, Scene, Texture, default_scene, render_stereo


def estimate(frame, rig: StereoRig, options: StereoOptions | None = None) -> StereoPrediction:
    return StereoDepthEstimator("sgbm").estimate(frame.left, frame.right, rig, **(options or StereoOptions()).matching())


def test_by_default_a_sixth_of_the_width_counts(frame, rig):
    prediction = estimate(frame, rig)
    assert prediction.max_disparity_px == pytest.approx(640 / 6)
    assert prediction.nearest_m(ValidityLimits()) == pytest.approx(525 * 0.12 / (640 / 6))
    assert prediction.nearest_m(ValidityLimits(z_near=3)) == 3


@pytest.mark.parametrize("doffs_px", [0, -20, 20])
def test_the_search_follows_z_near(frame, rig, doffs_px):
    rig = dataclasses.replace(rig, doffs_px=doffs_px)
    prediction = estimate(frame, rig, StereoOptions(z_near=2.0))
    assert prediction.nearest_m(ValidityLimits()) == pytest.approx(2)
    valid = prediction.valid(ValidityLimits(z_near=2.0)).numpy()
    assert prediction.depth_m.numpy()[valid].min() >= 2


def test_with_both_one_is_the_search_and_the_other_the_limit(frame, rig):
    options = StereoOptions(z_near=1.5, sgbm=SgbmOptions(max_disparity=64))
    prediction = estimate(frame, rig, options)
    assert prediction.max_disparity_px == 64
    valid = prediction.valid(options).numpy()
    assert prediction.depth_m.numpy()[valid].min() >= 1.5
    assert valid.sum() < prediction.valid(dataclasses.replace(options, z_near=0.0)).numpy().sum()


def test_limits_that_contradict_are_refused_with_what_would_do(rig):
    with pytest.raises(
        InputError, match=r"z_near is 0.5 m, but a max_disparity of 64 px ends at 0.984 m; use max_disparity 126,"
    ):
        wanted_disparity(rig, 64, 0.5)
    assert wanted_disparity(rig, 126, 0.5) == 126
    with pytest.raises(InputError, match=r"max_disparity is 16 px, but with this rig a point at infinity has 20 px"):
        wanted_disparity(dataclasses.replace(rig, doffs_px=-20), 16, None)
    with pytest.raises(InputError, match=r"z_near is 3 m and z_far is 2 m; z_near must be the smaller one"):
        ValidityLimits(z_near=3, z_far=2)


@pytest.mark.parametrize("disparity_px", [110, 118, 126, 134])
@pytest.mark.parametrize("wide_px", [6, 30, 80])
def test_an_obstacle_nearer_than_promised_does_not_come_out_far(rig, disparity_px, wide_px):
    depth_m = 525 * 0.12 / disparity_px
    wide_m = wide_px * depth_m / 525
    texture = Texture((210, 80, 60), (240, 150, 60), grain=0.2)
    post = Box((0.1 * depth_m + 0.03, 0.0, depth_m + wide_m / 2), (wide_m, 0.7 * depth_m, wide_m), texture)
    frame = render_stereo(Scene(static=(*default_scene().static, post)), rig)
    prediction = estimate(frame, rig)
    post_seen = frame.depth_m < 1.2 * depth_m
    far = (prediction.depth_m.numpy() > 1.2 * depth_m) & prediction.valid(ValidityLimits()).numpy()
    assert post_seen.sum() > 500
    assert far[post_seen].mean() < 0.1


def centre_window(picture: np.ndarray, part: int) -> np.ndarray:
    """The middle of a picture, as the ROI of a driver cuts it."""
    height, width = picture.shape[:2]
    top, left = (height - height // part) // 2, (width - width // part) // 2
    return np.ascontiguousarray(picture[top : top + height // part, left : left + width // part])


@pytest.mark.parametrize(
    ("names", "scale", "part"),
    [
        (("teddy/im2.png", "teddy/im6.png", "teddy/disp2.png"), 4, 3),
        (("wood2/view1.png", "wood2/view5.png", "wood2/disp1.png"), 2, 2),
        (("aloe/aloeL.jpg", "aloe/aloeR.jpg", "aloe/aloeGT.png"), 1, 2),
        (("aloe/aloeL.jpg", "aloe/aloeR.jpg", "aloe/aloeGT.png"), 1, 3),
    ],
    ids=["teddy/3", "wood2/2", "aloe/2", "aloe/3"],
)
def test_in_windows_of_real_pairs_near_things_do_not_come_out_far(data, names, scale, part):
    left, right, truth = (centre_window(np.asarray(Image.open(data / "stereo" / name)), part) for name in names)
    height, width = truth.shape
    rig = StereoRig(PinholeCamera(width, height, 1000, 1000, width / 2, height / 2), 0.1)
    prediction = StereoDepthEstimator("sgbm").estimate(left, right, rig)
    beyond = truth / scale > prediction.max_disparity_px
    assert beyond.mean() > 0.1
    assert prediction.valid(ValidityLimits()).numpy()[beyond].mean() <= 0.04


@pytest.mark.parametrize("check", [True, False], ids=["checked", "unchecked"])
@pytest.mark.parametrize(
    ("names", "scale", "part", "scale_factor"),
    [
        (("teddy/im2.png", "teddy/im6.png", "teddy/disp2.png"), 4, 3, 6),
        (("wood2/view1.png", "wood2/view5.png", "wood2/disp1.png"), 2, 2, 2),
        (("aloe/aloeL.jpg", "aloe/aloeR.jpg", "aloe/aloeGT.png"), 1, 2, 1.5),
        (("aloe/aloeL.jpg", "aloe/aloeR.jpg", "aloe/aloeGT.png"), 1, 3, 1.5),
    ],
    ids=["teddy/3", "wood2/2", "aloe/2", "aloe/3"],
)
def test_what_is_beyond_the_range_of_las2_does_not_come_out_if_it_is_checked(data, names, scale, part, scale_factor, check):
    """With a stand-in for the network that matches real pairs; the rest is LAS2's own."""
    left, right, truth = (centre_window(np.asarray(Image.open(data / "stereo" / name)), part) for name in names)
    height, width = truth.shape
    rig = StereoRig(PinholeCamera(width, height, 1000, 1000, width / 2, height / 2), 0.1)
    network = runtime.load(CensusNetwork(), "cpu")
    estimator = StereoDepthEstimator(LAS2Matcher(network, "census", LAS2Options(left_right_check=check)))
    prediction = estimator.estimate(left, right, rig, scale_factor=scale_factor)
    assert prediction.max_disparity_px == pytest.approx((188 - 32) / scale_factor, rel=1e-3)
    coarse_px = 4 / scale_factor  # the stand-in resolves no finer
    beyond = truth / scale > prediction.max_disparity_px + coarse_px
    valid = prediction.valid(ValidityLimits()).numpy()
    print(f"\nvalid within {valid[(truth > 0) & ~beyond].mean():.2%}, of {beyond.mean():.1%} beyond {valid[beyond].mean():.2%}")
    assert beyond.mean() > 0.05
    if check:
        assert valid[beyond].mean() <= 0.04 < 0.25 < valid[(truth > 0) & ~beyond].mean()
    else:
        assert valid[beyond].mean() > 0.1, "the check would not be needed"


def test_the_range_of_las2_follows_the_size_at_which_it_matches(las2_file, frame, rig):
    estimator = StereoDepthEstimator(las2_file, "cpu")
    reach_px = {}
    for scale_factor in (None, 0.5):
        prediction = estimator.estimate(frame.left, frame.right, rig, scale_factor=scale_factor)
        reach_px[scale_factor] = prediction.max_disparity_px
        valid = prediction.valid(ValidityLimits(conf_threshold=0, occ_threshold=0)).numpy()
        assert prediction.disparity_px.numpy()[valid].max() <= reach_px[scale_factor]
    assert reach_px == {None: 156, 0.5: 312}
    assert prediction.nearest_m(ValidityLimits()) == pytest.approx(525 * 0.12 / 312)
    assert prediction.nearest_set_by(ValidityLimits()) == "scale_factor"
    assert prediction.nearest_set_by(ValidityLimits(z_near=0.5)) == "z_near"
    assert estimate(frame, rig).nearest_set_by(ValidityLimits()) == "z_near"
