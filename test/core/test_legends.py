# SPDX-License-Identifier: Apache-2.0
"""Pictures with scales: the bar has the colours of the map, the gaps those of the legend, and no picture is too wide."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from vizion3d.errors import DependencyError, InputError
from vizion3d.stereo import Reason
from vizion3d.visualize import Labels, album, cloud_views, colorize_depth, depth_with_scale, disparity_with_scale, legends
from vizion3d.visualize.labels import LABEL_RGB

NAMES = [reason.text for reason in Reason]


def ramp(height: int = 480, width: int = 640) -> np.ndarray:
    return np.geomspace(1, 16, width)[None].repeat(height, axis=0)


@pytest.fixture
def written(monkeypatch) -> list[str]:
    """Every text that is drawn."""
    from matplotlib.text import Text

    texts: list[str] = []
    draw = Text.draw
    monkeypatch.setattr(Text, "draw", lambda self, *args: (texts.append(self.get_text()), draw(self, *args)))
    return texts


def test_the_picture_is_that_of_the_colours_and_the_bar_tells_their_metres(written):
    picture = depth_with_scale(ramp(), near_m=1, far_m=16)
    np.testing.assert_array_equal(picture[12:492, 12:652], colorize_depth(ramp(), 1, 16))
    bar = picture[12 + 12 : 480, 664 + 10].astype(int)  # from far to near; its frame apart
    colors = colorize_depth(np.geomspace(16, 1, len(bar))[:, None], 1, 16)[:, 0].astype(int)
    assert np.median(np.abs(bar - colors)) <= 4
    assert {"depth in metres", "1", "2", "5", "10"} <= set(written) or {"depth in metres", "1", "2", "3", "5"} <= set(written)


def test_disparity_tells_pixels_and_what_has_no_scale_says_so(written):
    disparity_with_scale(np.linspace(0, 60, 640)[None].repeat(480, axis=0), min_px=0, max_px=60)
    assert {"disparity in pixels", "0", "20", "60"} <= set(written)
    written.clear()
    depth_with_scale(ramp(), metric=False)
    disparity_with_scale(ramp(), in_pixels=False)
    assert {"relative depth, not metres", "near", "far", "inverse depth, no unit"} == {text for text in written if text}


def test_gaps_have_the_colour_of_their_reason_and_a_line_in_the_legend(written):
    depth_m, reasons = ramp(), np.zeros((480, 640), np.uint8)
    for reason in list(Reason)[1:]:
        rows = slice(60 * reason, 60 * reason + 48)
        depth_m[rows], reasons[rows] = np.nan, reason
    picture = depth_with_scale(depth_m, Labels(reasons, NAMES))
    for reason in list(Reason)[1:]:
        assert (picture[12 + 60 * reason, 12:652] == LABEL_RGB[reason]).all()
        assert (picture[494:] == LABEL_RGB[reason]).all(axis=2).sum() >= 100  # its patch
        assert f"{reason.text} 10%" in written
    assert "valid 0%" not in written
    depth_with_scale(depth_m)
    assert "no value 60%" in written


@pytest.mark.parametrize("shape", [(100, 4000), (376, 1241), (2000, 1500), (3, 5), (480, 1)])
def test_no_picture_is_wider_than_1600_or_too_small_to_read(shape):
    height, width = disparity_with_scale(ramp(*shape)).shape[:2]
    assert 250 < width <= 1600 and 180 < height <= 1600


@pytest.mark.parametrize("depth_m", [np.full((40, 60), np.nan), np.full((40, 60), 2.0), np.full((40, 60), 1e-4)])
def test_maps_without_a_range_are_drawn(depth_m):
    assert depth_with_scale(depth_m).shape[2] == disparity_with_scale(depth_m).shape[2] == 3


def test_reasons_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"the reasons are \(4, 4\) and the map is \(480, 640\)"):
        depth_with_scale(ramp(), Labels(np.zeros((4, 4), np.uint8), NAMES))


def test_without_matplotlib_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DependencyError, match="pip install matplotlib. Plain pictures need none"):
        legends.depth_with_scale(ramp())


def box_cloud(size_m: float) -> tuple[np.ndarray, np.ndarray]:
    """A red square of that size 5 m ahead, above a green one 12 m ahead."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(-0.5, 0.5, 200), np.linspace(0, 0.5, 100)))
    points = np.concatenate([np.stack([x, y, -np.full_like(x, z)], 1) for z in (5 / size_m, 12 / size_m)])
    colors = np.repeat(np.uint8([[255, 0, 0], [0, 255, 0]]), len(x), axis=0)
    points[len(x) :, 1] -= 0.5
    return size_m * points, colors


def test_a_cloud_is_seen_from_the_front_and_from_above_on_white_with_metres(written):
    picture = cloud_views(*box_cloud(4.0), size=(1200, 600)).astype(int)
    assert picture.shape == (600, 1200, 3) and np.mean(picture.min(axis=2) > 250) > 0.3
    red, green = (np.argwhere((picture[..., i] > 200) & (picture.sum(axis=2) < 300)) for i in (0, 1))
    half = 740  # the front view is left of it, the view from above right
    front, top = ([p[(p[:, 1] < half) == side] for p in (red, green)] for side in (True, False))
    assert np.median(front[0][:, 0]) < np.median(front[1][:, 0]) - 50  # red is higher
    assert top[0][:, 0].mean() > top[1][:, 0].mean() + 50  # and nearer, so lower in the view from above
    assert {"front: right and up, m", "top: right and ahead, m", "camera", "-2", "-1", "0", "1", "2"} <= set(written)


def test_a_ceiling_hides_nothing_from_above():
    x, z = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 200), np.linspace(-3, -1, 200)))
    ceiling, obstacle = (np.stack([x, np.full_like(x, y), z], axis=1) for y in (1.7, -0.6))
    inside = (abs(x) < 0.5) & (abs(z + 2) < 0.5)
    points = np.concatenate([obstacle[inside], ceiling])
    colors = np.repeat(np.uint8([[255, 0, 0], [0, 255, 0]]), (inside.sum(), len(x)), axis=0)
    picture = cloud_views(points, colors).astype(int)[:, 700:]
    red, green = (((picture[..., i] > 200) & (picture.sum(axis=2) < 300)).sum() for i in (0, 1))
    assert 0.2 < red / (red + green) < 0.3


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.full((4, 3), np.nan), np.float32([[0, 0, -1e3]]), np.eye(3) * 1e-4])
def test_strange_clouds_are_drawn(points):
    assert cloud_views(points, np.zeros(points.shape, np.uint8)).shape == (620, 1400, 3)
    with pytest.raises(InputError, match="colors is .* float64"):
        cloud_views(points, np.zeros(points.shape))


def test_without_matplotlib_the_pictures_are_plain_and_one_sentence_says_so(monkeypatch, caplog):
    rgb, points = np.zeros((480, 640, 3), np.uint8), box_cloud(4.0)
    assert album(rgb, disparity_px=ramp())["disparity"].shape != rgb.shape
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    pictures = album(rgb, depth_m=ramp(), disparity_px=ramp(), inverse_depth=ramp(), cloud=points)
    np.testing.assert_array_equal(pictures["depth"], colorize_depth(ramp()))
    assert list(pictures) == ["image", "depth", "disparity", "inverse_depth", "cloud", "overview"]
    assert pictures["overview"].shape[1] <= 1600 and pictures["cloud"].min() < 100
    assert caplog.text.count("pip install matplotlib") == 1
