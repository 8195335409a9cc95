# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizion3d.errors import InputError
from vizion3d.visualize import colorize_depth, colorize_disparity, overview, render_cloud, side_by_side
from vizion3d.visualize.colors import ColorMap, table_of

INVALID = [56, 56, 56]


def hue_deg(image: np.ndarray) -> np.ndarray:
    """0 is red, 120 green, 240 blue."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 0].astype(float) * 2


def test_near_is_red_and_far_is_blue():
    image = colorize_depth(np.linspace(1, 8, 50)[None], near_m=1, far_m=8)
    assert image.shape == (1, 50, 3)
    assert image.dtype == np.uint8
    hue = hue_deg(image)[0]
    assert hue[0] < 20
    assert 220 < hue[-1] < 260
    assert np.all(np.diff(hue) >= -2)  # a degree or two is the rounding of uint8


def test_depth_colors_are_logarithmic_and_those_of_disparity_linear():
    octaves = colorize_depth(np.array([[1.0, 2, 4, 8, 16]]), 1, 16)[0]
    table = table_of(ColorMap.DEPTH)
    np.testing.assert_array_equal(octaves, table[np.rint(np.linspace(len(table) - 1, 0, 5)).astype(int)])
    disparity = colorize_disparity(np.array([[0.0, 15, 30, 45, 60]]), 0, 60)[0]
    table = table_of(ColorMap.DISPARITY)
    np.testing.assert_array_equal(disparity, table[np.rint(np.linspace(0, len(table) - 1, 5)).astype(int)])


def test_large_disparity_is_yellow_and_small_is_blue():
    hue = hue_deg(colorize_disparity(np.linspace(0, 60, 30)[None]))[0]
    assert 50 < hue[-1] < 70
    assert 230 < hue[0] < 260


def test_depth_and_disparity_do_not_look_alike():
    nearness = np.linspace(0, 1, 50)[None]
    images = colorize_depth(2.0**-nearness, 0.5, 1), colorize_disparity(nearness, 0, 1)
    lab = [cv2.cvtColor(np.float32(image) / 255, cv2.COLOR_RGB2LAB)[0] for image in images]
    apart = np.linalg.norm(lab[0] - lab[1], axis=1)
    assert np.median(apart) > 50 and np.mean(apart < 15) < 0.1  # they cross in orange


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_invalid_depth_is_gray_and_does_not_change_the_rest(bad):
    depth_m = np.linspace(1, 5, 60).reshape(6, 10)
    holes = depth_m.copy()
    holes[2, 3:5] = bad
    clean = colorize_depth(depth_m, 1, 5)
    image = colorize_depth(holes, 1, 5)
    assert np.all(image[2, 3:5] == INVALID)
    image[2, 3:5] = clean[2, 3:5]
    np.testing.assert_array_equal(image, clean)
    assert not np.any(np.all(clean == INVALID, axis=-1))


def test_zero_and_negative_disparity_are_valid():
    image = colorize_disparity(np.array([[-3.0, 0.0, 3.0, np.nan]]))
    assert (np.all(image == INVALID, axis=-1) == [[False, False, False, True]]).all()


def test_range_ignores_outliers():
    depth_m = np.linspace(1, 5, 10000).reshape(100, 100)
    image = colorize_depth(depth_m)
    depth_m[0, :3] = 1e6
    assert np.abs(colorize_depth(depth_m)[50].astype(int) - image[50]).max() <= 8


@pytest.mark.parametrize("colorize", [colorize_depth, colorize_disparity])
def test_images_without_a_range_are_colored(colorize):
    assert np.all(colorize(np.full((2, 3), np.nan)) == INVALID)
    assert np.ptp(colorize(np.full((2, 3), 2.0)).reshape(-1, 3), axis=0).max() == 0
    assert colorize(np.zeros((0, 3))).shape == (0, 3, 3)
    assert colorize(np.full((2, 3), 2.0, dtype=np.float32), 5.0).shape == (2, 3, 3)
    assert colorize(np.full((2, 3), 2.0), None, 0.5).shape == (2, 3, 3)


def test_impossible_ranges_and_shapes_are_refused():
    with pytest.raises(InputError, match="near_m is 4 and far_m is 2; near_m must be less than far_m"):
        colorize_depth(np.ones((2, 2)), 4, 2)
    with pytest.raises(InputError, match="near_m is 0; it must be positive"):
        colorize_depth(np.ones((2, 2)), near_m=0)
    with pytest.raises(InputError, match="min_px is 1 and max_px is 1"):
        colorize_disparity(np.ones((2, 2)), 1, 1)
    with pytest.raises(InputError, match=r"depth_m has shape \(2, 2, 1\); it must be \(H, W\)"):
        colorize_depth(np.ones((2, 2, 1)))


def wall(z_m: float, half_m: float, color: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A square of 100 x 100 points at z = z_m, facing the camera."""
    x, y = np.meshgrid(*[np.linspace(-half_m, half_m, 100)] * 2)
    points = np.stack([x, y, np.full_like(x, z_m)], axis=-1).reshape(-1, 3).astype(np.float32)
    return points, np.tile(np.array(color, dtype=np.uint8), (len(points), 1))


def test_near_points_hide_far_ones_and_leave_no_gaps():
    far, near = wall(-4, 2.0, (0, 0, 255)), wall(-3, 0.5, (255, 0, 0))
    for order in ((far, near), (near, far)):
        points, colors = (np.concatenate(parts) for parts in zip(*order, strict=True))
        image = render_cloud(points, colors, (320, 240), yaw_deg=0, pitch_deg=0)
        assert image.shape == (240, 320, 3)
        assert image.dtype == np.uint8
        center = image[110:130, 150:170].astype(int)
        assert center[..., 0].min() > 200
        assert center[..., 2].max() < 50
        assert image[30, 160, 2] > 200


def test_outlines_are_darkened():
    far, near = wall(-4, 2.0, (200, 200, 200)), wall(-3, 0.5, (200, 200, 200))
    points, colors = (np.concatenate(parts) for parts in zip(far, near, strict=True))
    row = render_cloud(points, colors, (320, 240), yaw_deg=0, pitch_deg=0)[120, :, 0]
    dark = np.flatnonzero(row[60:260] < 180) + 60
    assert 0 < len(dark) < 12
    assert np.all(np.abs(dark - 159.5) > 20)  # beside the near wall, not on it
    assert np.all(np.abs(dark - 159.5) < 60)


def test_viewer_stands_to_the_right_and_above():
    # A near and a far point on the axis: from the right, the near one appears on the left; from above, lower.
    points = np.concatenate([wall(-2, 0.05, (0, 0, 0))[0], wall(-6, 0.05, (0, 0, 0))[0]])
    colors = np.repeat(np.array([[255, 0, 0], [0, 255, 0]], dtype=np.uint8), len(points) // 2, axis=0)
    image = render_cloud(points, colors, (200, 200), background=(0, 0, 0)).astype(int)
    near_v, near_u = (a.mean() for a in np.nonzero(image[..., 0] > 150))
    far_v, far_u = (a.mean() for a in np.nonzero(image[..., 1] > 150))
    assert near_u < far_u
    assert near_v > far_v


def test_x_is_right_and_y_is_up():
    points, colors = wall(-3, 1.0, (0, 0, 0))
    colors[points[:, 0] > 0, 0] = 255
    colors[points[:, 1] > 0, 1] = 255
    image = render_cloud(points, colors, (200, 200), yaw_deg=0, pitch_deg=0)
    assert image[60, 140].min() == 0
    assert (image[60, 140, :2] > 200).all()
    assert image[60, 60, 0] < 50 < 200 < image[60, 60, 1]
    assert image[140, 140, 1] < 50 < 200 < image[140, 140, 0]


def test_background_where_there_are_no_points():
    nothing = render_cloud(np.empty((0, 3)), np.empty((0, 3), np.uint8), (64, 48), background=(9, 8, 7))
    assert nothing.shape == (48, 64, 3)
    assert np.all(nothing == (9, 8, 7))
    invalid = render_cloud(np.full((5, 3), np.nan), np.zeros((5, 3), np.uint8), (64, 48), background=(9, 8, 7))
    np.testing.assert_array_equal(invalid, nothing)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.floats(1e-6, 1e6), st.integers(0, 1000))
def test_any_finite_cloud_is_drawn(count, scale, seed):
    points = np.random.default_rng(seed).standard_normal((count, 3)) * scale
    image = render_cloud(points, np.full((count, 3), 255, np.uint8), (64, 48), background=(0, 0, 0))
    assert image.any()


def test_outliers_do_not_shrink_the_cloud():
    points, colors = wall(-3, 1.0, (255, 255, 255))
    clean = render_cloud(points, colors, (160, 120), background=(0, 0, 0))
    points[:20] = (500.0, 300.0, -900.0)
    assert render_cloud(points, colors, (160, 120), background=(0, 0, 0)).mean() > 0.9 * clean.mean()


def test_impossible_clouds_are_refused():
    with pytest.raises(InputError, match=r"points_opengl has shape \(4, 2\); it must be \(N, 3\)"):
        render_cloud(np.zeros((4, 2)), np.zeros((4, 3), np.uint8))
    with pytest.raises(InputError, match=r"colors is \(4, 3\) float64; it must be \(4, 3\) uint8"):
        render_cloud(np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(InputError, match=r"size is \(0, 5\)"):
        render_cloud(np.zeros((4, 3)), np.zeros((4, 3), np.uint8), (0, 5))


def test_tiles_have_one_height_and_a_caption():
    left = np.full((120, 160, 3), (10, 20, 30), dtype=np.uint8)
    mask = np.ones((60, 40), dtype=bool)
    row = side_by_side([left, mask], ["left", "visible"])
    height, width = row.shape[:2]
    assert height > 120
    assert 160 + 80 < width < 160 + 80 + 40
    assert np.all(row[60, 80] == (10, 20, 30))
    assert np.all(row[60, width - 40] == 255)
    caption = row[130:]
    assert caption.min() < 120  # there is ink below both halves
    assert caption[:, :160].min() < 120 and caption[:, 170:].min() < 120
    blank = side_by_side([left, mask], ["", ""])
    assert blank.shape == row.shape
    assert blank[130:].min() == 255


def test_bad_tiles_are_refused():
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(InputError, match="got 1 images and 2 titles"):
        side_by_side([image], ["a", "b"])
    with pytest.raises(InputError, match="got 0 images"):
        side_by_side([], [])
    with pytest.raises(InputError, match=r'image "depth" has shape .* float64'):
        side_by_side([np.zeros((4, 4))], ["depth"])


@pytest.mark.parametrize("shapes", [[(376, 1241)] * 4, [(375, 450)] * 4, [(20, 4421)], [(900, 300)] * 3, [(3, 5)] * 9])
def test_an_overview_wraps_to_the_width_of_a_page_and_shows_every_picture(shapes):
    colors = [(200, 10, 20 * number) for number in range(len(shapes))]
    images = [np.full((*shape, 3), color, np.uint8) for shape, color in zip(shapes, colors, strict=True)]
    sheet = overview(images, [str(number) for number in range(len(shapes))])
    height, width = sheet.shape[:2]
    assert width <= 1600 and height <= 3 * 1600
    for color in colors:
        assert (sheet == color).all(axis=2).sum() >= 6
