# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.evaluate import Errors
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.stereo.matchers import Matches
from vizion3d.stereo.matchers.sgbm import SgbmMatcher
from vizion3d.stereo.reasons import Reason
from vizion3d.synthetic import Box, Plane, Scene, Texture, render_stereo
from vizion3d.synthetic.benchmark import draw


def match(left: np.ndarray, right: np.ndarray, max_disparity: int | None = None) -> Matches:
    """Match (H, W, 3) uint8 images."""
    pair = (torch.from_numpy(np.ascontiguousarray(i)).permute(2, 0, 1)[None] for i in (left, right))
    return SgbmMatcher().match(*pair, max_disparity)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def matches(frame) -> Matches:
    return match(frame.left, frame.right)


@pytest.fixture(scope="module")
def error_px(frame, matches) -> np.ndarray:
    """(H, W), NaN where there is no answer."""
    return np.abs(matches.disparity[0, 0].numpy() - frame.disparity_px)


def test_maps_have_the_shape_and_range_that_is_promised(frame, matches):
    for values in (matches.disparity, matches.confidence, matches.visibility):
        assert values.shape == (1, 1, *frame.left.shape[:2])
        assert values.dtype == torch.float32
    for certainty in (matches.confidence, matches.visibility):
        assert certainty.min() >= 0 and certainty.max() <= 1
    answered = matches.disparity[torch.isfinite(matches.disparity)]
    assert answered.min() > 0
    assert answered.max() <= matches.max_disparity


def test_visible_surfaces_are_measured(frame, matches):
    scores = Errors.of_disparity(matches.disparity[0, 0].numpy(), frame.disparity_px).scores(frame.visible)
    assert scores.density > 0.97
    assert scores.bad_2 < 0.015
    assert scores.median_px < 0.08


def test_disparities_are_not_drawn_to_whole_pixels(frame, matches, error_px):
    disparity = matches.disparity[0, 0].numpy()
    close = frame.visible & (error_px < 0.5)
    error = (disparity - frame.disparity_px)[close]
    phase = ((disparity[close] % 1) * 8).astype(int)
    assert max(abs(np.median(error[phase == number])) for number in range(8)) < 0.08


def test_the_first_columns_are_answered(frame, error_px):
    # Plain StereoSGBM leaves as many columns empty as it searches disparities.
    for columns in (slice(8, 32), slice(32, 64), slice(64, 112)):
        seen = frame.visible[:, columns]
        errors = error_px[:, columns][seen]
        assert seen.sum() > 1000
        assert np.isfinite(errors).mean() > 0.95
        assert (errors > 2).mean() < 0.02


def test_no_match_lies_outside_the_right_image(matches):
    disparity = matches.disparity[0, 0].numpy()
    assert not (np.arange(disparity.shape[1]) - disparity < 0).any()


def test_hidden_surfaces_are_not_trusted(frame, matches):
    confidence, visibility = matches.confidence[0, 0].numpy(), matches.visibility[0, 0].numpy()
    hidden = ~frame.visible
    assert hidden.sum() > 1000
    assert confidence[frame.visible].mean() > 0.9
    assert confidence[hidden].mean() < 0.2
    assert visibility[frame.visible].mean() > 0.95
    assert visibility[hidden].mean() < 0.25


def test_what_is_said_to_be_hidden_is_often_hidden(frame, matches):
    # Most hidden pixels get no answer at all; visibility must tell something about the others too.
    answered = np.isfinite(matches.disparity[0, 0].numpy())
    seen = matches.visibility[0, 0].numpy() > 0.5
    hidden = ~frame.visible
    assert (answered & ~seen).sum() > 50
    assert hidden[answered & ~seen].mean() > 10 * hidden[answered & seen].mean()


def test_confident_answers_are_right(frame, matches, error_px):
    confident = matches.confidence[0, 0].numpy() > 0.5
    assert np.isfinite(error_px[confident]).all()
    wrong = (error_px > 2) & np.isfinite(error_px)
    assert wrong[confident].mean() < 0.02
    doubtful = np.isfinite(error_px) & ~confident
    assert wrong[doubtful].mean() > 5 * wrong[confident].mean()


def test_pixels_without_an_answer_have_no_confidence(matches):
    empty = torch.isnan(matches.disparity)
    assert empty.any()
    assert matches.confidence[empty].max() == 0


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 30), st.integers(0, 100))
def test_a_moved_picture_has_that_disparity_everywhere(shift_px, seed):
    wide = noise(40, 200 + shift_px, seed)
    found = match(wide[:, :200], wide[:, shift_px:])
    seen = found.disparity[0, 0, :, shift_px:]
    answered = torch.isfinite(seen)
    assert answered.float().mean() > 0.97
    assert ((seen[answered] - shift_px).abs() < 1).float().mean() > 0.995
    assert (seen[answered] - shift_px).abs().median() < 0.02
    # What the right image does not show gets no number.
    assert torch.isnan(found.disparity[0, 0, :, :shift_px]).float().mean() > 0.95


@pytest.mark.parametrize(("asked", "searched"), [(16, 16), (17, 32), (32, 32), (64, 64)])
def test_max_disparity_is_respected(frame, asked, searched):
    found = match(frame.left[200:300], frame.right[200:300], asked)
    assert found.max_disparity == searched
    disparity = found.disparity[0, 0].numpy()
    assert np.nanmax(disparity) <= searched
    truth, seen = frame.disparity_px[200:300], frame.visible[200:300]
    near = seen & (truth > 20) & (truth < 30)
    right = np.abs(disparity - truth)[near] < 2
    assert near.sum() > 500
    assert right.mean() > 0.9 if searched > 30 else right.mean() == 0


def test_by_default_a_sixth_of_the_width_is_searched_and_32_px_beyond():
    assert match(noise(20, 640), noise(20, 640)).max_disparity == 144
    assert match(noise(20, 60), noise(20, 60)).max_disparity == 48


@pytest.mark.parametrize("gradient", [False, True])
def test_pictures_without_texture_give_no_numbers(gradient):
    rows = np.linspace(0, 255, 100) if gradient else np.full(100, 77)
    flat = np.tile(rows.astype(np.uint8)[:, None, None], (1, 120, 3))
    found = match(flat, flat)
    assert torch.isnan(found.disparity).all()
    assert found.confidence.max() == 0
    assert (found.reason == Reason.NO_TEXTURE).all()


def grey(values: np.ndarray) -> np.ndarray:
    """(H, W) -> (H, W, 3) uint8."""
    return np.repeat(values.round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("deviation", [0.3, 0.5, 1.0, 2.0, 3.0])
def test_noise_on_an_even_wall_is_no_obstacle(deviation):
    # Two metres away with f 525 px and a baseline of 0.12 m; half of that is 63 px.
    rng = np.random.default_rng(0)
    found = match(*(grey(128.3 + deviation * rng.standard_normal((480, 640))) for _ in range(2)))
    valid = (found.confidence > 0.1) & (found.visibility > 0.5)
    assert (valid & (found.disparity > 63)).float().mean() < 0.005
    assert (found.reason == Reason.NO_TEXTURE).float().mean() > 0.8


@pytest.mark.parametrize("deviation", [0.0, 0.5, 1.0])
def test_confidence_on_a_slab_without_texture_is_deserved(rig, deviation):
    textured, even = Texture((150, 140, 130), (90, 100, 120), grain=0.15), Texture((180, 180, 180), (180, 180, 180), grain=0)
    scene = Scene(static=(Plane((0, 0, 5), (0, 0, -1), textured), Box((0, 0, 2.2), (1.2, 0.9, 0.05), even, yaw_rad=0.7)))
    frame = render_stereo(scene, rig)
    rng = np.random.default_rng(0)
    noisy = (i + deviation * rng.standard_normal((480, 640, 1)) for i in (frame.left, frame.right))
    found = match(*(i.round().clip(0, 255).astype(np.uint8) for i in noisy))
    slab = frame.depth_m < 4
    sure = slab & (found.confidence[0, 0].numpy() > 0.95)
    assert sure[slab].mean() > 0.3
    assert (np.abs(found.disparity[0, 0].numpy() - frame.disparity_px)[sure] > 2).mean() < 0.05


def test_thin_bars_that_are_measured_are_trusted():
    # Half size, at which the right image is searched, overlooks most of them.
    case = draw("thin")
    found = match(case.left, case.right)
    right = (case.truth_px > 20) & (np.abs(found.disparity[0, 0].numpy() - case.truth_px) < 1)
    assert right.mean() > 0.05
    trusted = (found.confidence[0, 0].numpy() > 0.1) & (found.visibility[0, 0].numpy() > 0.5)
    assert trusted[right].mean() > 0.88


def test_repeated_texture_is_not_sure():
    # A board that repeats every 21 px, of which the right image at half size finds nothing.
    columns = (np.arange(640) // 10.5).astype(int) % 2
    rows = (np.arange(200) // 10.5).astype(int) % 2
    board = grey(110 + 60.0 * (columns ^ rows[:, None]))
    found = match(board, np.roll(board, -21, axis=1))
    answered = torch.isfinite(found.disparity)
    assert not answered.any() or found.confidence[answered].median() < 0.95


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0), (0.7, 30), (1, -40)])
def test_cameras_may_expose_differently(frame, error_px, gain, offset):
    darker = (gain * frame.right.astype(float) + offset).round().clip(0, 255).astype(np.uint8)
    found = match(frame.left, darker)
    disparity, confidence = found.disparity[0, 0].numpy(), found.confidence[0, 0].numpy()
    sure = frame.visible & (confidence > 0.1)
    assert sure.sum() > 0.9 * frame.visible.sum()
    assert (np.abs(disparity - frame.disparity_px)[sure] > 2).mean() < 0.02


def test_why_there_is_no_answer(frame, matches):
    reason, visible = matches.reason[0, 0].numpy(), matches.visibility[0, 0].numpy()
    assert set(np.unique(reason)) <= {0, Reason.NO_TEXTURE, Reason.HIDDEN, Reason.BORDER}
    np.testing.assert_array_equal(visible == 0, (reason == Reason.HIDDEN) | (reason == Reason.BORDER))
    outside = np.arange(640) - frame.disparity_px < 0
    covered = ~frame.visible & ~outside
    assert (reason == Reason.BORDER)[outside].mean() > 0.95
    assert (reason == Reason.HIDDEN)[covered].mean() > 0.6
    assert (visible == 0)[frame.visible].mean() < 0.01


def estimate_noise(height: int, width: int):
    rig = StereoRig(PinholeCamera(width, height, 100, 100, width / 2, height / 2), 0.1)
    return StereoDepthEstimator("sgbm").estimate(noise(height, width), noise(height, width, 1), rig)


@pytest.mark.parametrize("size", [(10, 10), (16, 16), (33, 47), (47, 33), (64, 48), (11, 400), (400, 11)])
def test_small_pictures_are_matched(size):
    assert estimate_noise(*size).disparity_px.shape == size


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_tiny_pictures_are_matched_or_refused(height, width):
    if min(height, width) >= SgbmMatcher.min_side:
        assert estimate_noise(height, width).depth_m.shape == (height, width)
    else:
        with pytest.raises(InputError, match=f"the images are {width}x{height} .* sgbm needs at least 10 pixels"):
            estimate_noise(height, width)


def test_matching_twice_gives_the_same(frame, matches):
    again = match(frame.left, frame.right)
    for first, second in zip(matches[:3], again[:3], strict=True):
        assert torch.equal(first.nan_to_num(-1), second.nan_to_num(-1))


def test_mirrored_and_flipped_pictures_are_measured_alike(frame):
    left, right = frame.left[::4][:100], frame.right[::4][:100]
    upright, flipped = (match(l_, r_).disparity[0, 0].numpy() for l_, r_ in ((left, right), (left[::-1], right[::-1])))
    both = np.isfinite(upright) & np.isfinite(flipped[::-1])
    assert both.mean() > 0.7
    assert np.median(np.abs(upright - flipped[::-1])[both]) < 0.1
