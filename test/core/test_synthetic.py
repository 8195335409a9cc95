# SPDX-License-Identifier: Apache-2.0
import dataclasses
import math

import cv2
import numpy as np
import pytest

from vizion3d.camera import Calibration, PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.lens_rays import project_to_pixels
from vizion3d.synthetic import (
    Box,
    Plane,
    Scene,
    Sphere,
    StereoFrame,
    Texture,
    default_scene,
    render,
    render_raw,
    render_stereo,
)

CAMERA = PinholeCamera(320, 240, 262.0, 262.0, 160.0, 120.0)
RIGS = {
    "plain": StereoRig(CAMERA, 0.12),
    "doffs": StereoRig(CAMERA, 0.12, doffs_px=7.25),
    "negative doffs": StereoRig(CAMERA, 0.2, doffs_px=-3.5),
    "fx != fy, off centre": StereoRig(PinholeCamera(320, 240, 300.0, 220.0, 140.3, 131.9), 0.08),
}
GRAY = Texture((150, 150, 150), (110, 110, 110))


@pytest.fixture(params=RIGS.values(), ids=RIGS.keys())
def rig(request) -> StereoRig:
    return request.param


def pixel_grid(camera: PinholeCamera) -> tuple[np.ndarray, np.ndarray]:
    return np.meshgrid(np.arange(camera.width, dtype=np.float64), np.arange(camera.height, dtype=np.float64))


def bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    image = image.astype(np.float32)
    return cv2.remap(image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def photo_difference(frame: StereoFrame, disparity_px: np.ndarray) -> float:
    """Median difference in grey levels of visible left pixels and what the disparity finds in the right image."""
    u, v = np.meshgrid(np.arange(frame.left.shape[1]), np.arange(frame.left.shape[0]))
    found = bilinear(frame.right, u - disparity_px, v)
    return float(np.median(np.abs(found - frame.left)[frame.visible]))


def test_left_points_project_to_x_minus_disparity_in_the_right_camera(rig):
    frame = render_stereo(default_scene(1.3), rig)
    u, v = pixel_grid(rig.left)
    X = (u - rig.left.cx) / rig.left.fx * frame.depth_m
    Y = (v - rig.left.cy) / rig.left.fy * frame.depth_m
    x_right = rig.right.fx * (X - rig.baseline_m) / frame.depth_m + rig.right.cx
    y_right = rig.right.fy * Y / frame.depth_m + rig.right.cy
    np.testing.assert_allclose(x_right, u - frame.disparity_px, atol=1e-9)
    np.testing.assert_allclose(y_right, v, atol=1e-9)


def test_both_images_show_the_same_surface_at_the_disparity(rig):
    frame = render_stereo(default_scene(1.3), rig)
    difference = photo_difference(frame, frame.disparity_px)
    assert difference < 1
    for error_px in (-1, 1):
        assert photo_difference(frame, frame.disparity_px + error_px) > 2 * difference
    shuffled = np.random.default_rng(0).permutation(frame.disparity_px.ravel()).reshape(frame.disparity_px.shape)
    assert photo_difference(frame, shuffled) > 4 * difference


def test_visible_agrees_with_the_depth_of_the_right_view(rig):
    scene = default_scene(1.3)
    frame = render_stereo(scene, rig)
    right_depth_m = render(scene, rig.right, rig.baseline_m).depth_m
    u, v = pixel_grid(rig.left)
    x_right = u - frame.disparity_px
    inside = (x_right >= 0) & (x_right <= rig.left.width - 1)
    column = np.clip(np.rint(x_right), 0, rig.left.width - 1).astype(int)
    seen_depth_m = right_depth_m[v.astype(int), column]
    visible = inside & (seen_depth_m > frame.depth_m * 0.97)
    assert 0.02 < np.mean(~visible) < 0.3
    assert np.mean(visible == frame.visible) > 0.995


def test_visible_is_exact_for_a_wall_behind_a_panel():
    rig = RIGS["plain"]
    panel = Box((0, 0, 2.05), (0.4, 4, 0.1), GRAY)
    frame = render_stereo(Scene((Plane((0, 0, 4), (0, 0, -1), GRAY), panel)), rig)
    u = np.arange(rig.left.width)
    X = (u - rig.left.cx) / rig.left.fx * 4
    # The panel's front spans x = -0.2 .. 0.2 at 2 m and its back at 2.1 m; its shadow from the right eye falls on 4 m.
    B = rig.baseline_m
    front_left, back_left = (B + (-0.2 - B) * 4 / z for z in (2.0, 2.1))
    front_right, back_right = (B + (0.2 - B) * 4 / z for z in (2.0, 2.1))
    hidden = (min(front_left, back_left) < X) & (max(front_right, back_right) > X)
    inside = u - frame.disparity_px[0] >= 0
    wall = frame.depth_m[0] == 4
    np.testing.assert_array_equal(frame.visible[0][wall], (inside & ~hidden)[wall])
    assert hidden[wall].any()


def test_moving_bodies_look_as_if_they_were_static(rig):
    scene = default_scene(0.7)
    all_static = Scene(scene.static + scene.moving, (), scene.lamp_m)
    first, second = render_stereo(scene, rig), render_stereo(all_static, rig)
    for field in dataclasses.fields(StereoFrame):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name), err_msg=field.name)


def test_moving_the_camera_is_moving_the_scene_the_other_way():
    def scene(x_m: float) -> Scene:
        wall = Plane((x_m, 0, 5), (0.3, 0.1, -1), GRAY)
        bodies = Sphere((x_m, 0.2, 2), 0.3, GRAY), Box((x_m - 0.4, 0, 3), (0.5, 0.5, 0.5), GRAY, yaw_rad=0.4)
        return Scene((wall, *bodies), (), (x_m, -1.0, 0.5))

    moved_camera, moved_scene = render(scene(0.0), CAMERA, 0.25), render(scene(-0.25), CAMERA)
    np.testing.assert_allclose(moved_camera.depth_m, moved_scene.depth_m, rtol=1e-12)
    difference = np.abs(moved_camera.image.astype(int) - moved_scene.image)
    assert np.mean(difference > 1) < 1e-3  # rounding may decide differently at the edge of a shadow


def test_plane_depth_is_the_inverse_of_an_affine_function():
    depth_m = render(Scene((Plane((0.3, 0.1, 3), (0.4, -0.3, -1), GRAY),)), CAMERA).depth_m
    u, v = pixel_grid(CAMERA)
    x, y = (u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy
    expected = (0.4 * 0.3 - 0.3 * 0.1 - 3) / (0.4 * x - 0.3 * y - 1)
    np.testing.assert_allclose(depth_m, expected, rtol=1e-12)


def test_sphere_depth_from_outside_and_inside():
    ball = Scene((Sphere((0, 0, 3), 0.5, GRAY),))
    depth_m = render(ball, CAMERA).depth_m
    assert np.nanmin(depth_m) == depth_m[120, 160] == 2.5
    # The outline is where rays touch: sin(angle) = radius / distance.
    u, v = pixel_grid(CAMERA)
    angle = np.arctan(np.hypot(u - 160, v - 120) / 262)
    np.testing.assert_array_equal(np.isfinite(depth_m), angle <= math.asin(0.5 / 3))
    shell = render(Scene((Sphere((0, 0, 0), 2, GRAY),)), CAMERA).depth_m
    np.testing.assert_allclose(shell, 2 * np.cos(angle), rtol=1e-12)


def test_box_turns_counter_clockwise_seen_from_above():
    def depth_m(yaw_rad: float) -> np.ndarray:
        return render(Scene((Box((0, 0, 3), (1, 1, 1), GRAY, yaw_rad),)), CAMERA).depth_m

    assert depth_m(0.0)[120, 160] == 2.5
    assert depth_m(math.pi / 4)[120, 160] == pytest.approx(3 - math.sqrt(0.5), rel=1e-12)
    slightly_turned = depth_m(0.2)
    # From above, x to the right and z upwards: counter-clockwise takes the left front corner towards the camera.
    assert slightly_turned[120, 140] < slightly_turned[120, 160] < slightly_turned[120, 180]


def test_box_seen_from_inside_is_a_room():
    depth_m = render(Scene((Box((0, 0, 1), (40, 40, 6), GRAY),)), CAMERA).depth_m
    np.testing.assert_allclose(depth_m, 4)


def test_pixels_that_see_nothing_are_nan_and_not_visible():
    frame = render_stereo(Scene((), (Sphere((0, 0, 3), 0.5, GRAY),)), RIGS["plain"])
    nothing = np.isnan(frame.depth_m)
    assert 0.5 < nothing.mean() < 1
    np.testing.assert_array_equal(np.isnan(frame.disparity_px), nothing)
    assert not frame.visible[nothing].any()
    assert frame.visible[~nothing].any()


def test_an_empty_scene_is_drawn():
    view = render(Scene(()), CAMERA)
    assert np.isnan(view.depth_m).all()
    assert np.ptp(view.image) == 0


def test_lamp_casts_shadows():
    wall = Plane((0, 0, 4), (0, 0, -1), Texture((200, 200, 200), (200, 200, 200), grain=0))
    ball = Sphere((0.9, 0, 2), 0.3, GRAY)
    lamp_m = (1.8, 0.0, 0.0)
    alone = render(Scene((wall,), (), lamp_m), CAMERA).image.astype(int)
    # The ball's shadow falls where the line from the lamp through its centre meets the wall: x = 0.
    for scene in (Scene((wall, ball), (), lamp_m), Scene((wall,), (ball,), lamp_m)):
        image = render(scene, CAMERA).image
        assert np.all(image[120, 160] < 0.8 * alone[120, 160])
        np.testing.assert_array_equal(image[120, 60], alone[120, 60])


@pytest.mark.parametrize("distance_m", [0.5, 2.0, 9.0, 40.0])
def test_texture_is_as_rich_and_as_smooth_at_every_distance(distance_m):
    image = render(Scene((Plane((0, 0, distance_m), (0, 0, -1), GRAY),)), CAMERA).image[..., 1].astype(float)
    fine = image - cv2.blur(image, (31, 31))
    assert 5 < fine.std() < 20
    # Between neighbours the grain changes less than between any two pixels: nothing is finer than the pixels.
    assert 0.15 < np.diff(image, axis=1).std() / (math.sqrt(2) * fine.std()) < 0.6


def test_opencv_can_match_the_default_scene():
    rig = StereoRig(PinholeCamera(640, 480, 525.0, 525.0, 319.5, 239.5), 0.12)
    frame = render_stereo(default_scene(0.4), rig)
    matcher = cv2.StereoSGBM_create(
        minDisparity=0, numDisparities=96, blockSize=5, P1=600, P2=2400, disp12MaxDiff=1, uniquenessRatio=5,
        speckleWindowSize=100, speckleRange=2,
    )  # fmt: skip
    disparity_px = matcher.compute(frame.left, frame.right) / 16
    answered = (disparity_px > 0) & frame.visible
    assert answered.sum() > 0.8 * frame.visible.sum()
    error_px = np.abs(disparity_px - frame.disparity_px)[answered]
    assert np.mean(error_px > 2) < 0.05
    assert np.median(error_px) < 0.5


def test_default_scene_fills_the_view_and_moves():
    first, second = (render(default_scene(t), CAMERA) for t in (0.0, 0.5))
    assert 1.0 < np.min(first.depth_m) < 1.3
    assert np.max(first.depth_m) == 8
    assert 0.005 < np.mean(first.depth_m != second.depth_m) < 0.2
    assert first.image.shape == (240, 320, 3)
    assert first.image.dtype == np.uint8
    assert first.depth_m.dtype == np.float64


def test_the_same_input_gives_the_same_frame_and_callers_may_write_to_it():
    first = render(default_scene(2.0), CAMERA)
    image, depth_m = first.image.copy(), first.depth_m.copy()
    first.image[:] = 0
    first.depth_m[:] = 0
    second = render(default_scene(2.0), CAMERA)
    np.testing.assert_array_equal(second.image, image)
    np.testing.assert_array_equal(second.depth_m, depth_m)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sphere((0, 0, 3), 0.0, GRAY), r"radius_m of a Sphere is 0\.0; it must be positive"),
        (lambda: Sphere((0, math.nan, 3), 1.0, GRAY), "center_m of a Sphere is .*three finite numbers"),
        (lambda: Box((0, 0, 3), (1, 0, 1), GRAY), "size_m of a Box is .*must be positive"),
        (lambda: Box([0, 0, 3], (1, 1, 1), GRAY), "center_m of a Box is .*must be a tuple"),
        (lambda: Box((0, 0, 3), (1, 1, 1), GRAY, math.inf), "yaw_rad of a Box is inf"),
        (lambda: Plane((0, 0, 3), (0, 0, 0), GRAY), "normal of a Plane is zero"),
        (lambda: Texture((0, 0, 256), (0, 0, 0)), "color is .*0 to 255"),
        (lambda: Texture((0, 0, 0), (0, 0, 0), grain=-1), "grain is -1; it must be 0 or more"),
        (lambda: Scene([]), r"static is \[\]; it must be a tuple"),
        (lambda: Scene((GRAY,)), "must be a tuple of Plane, Box and Sphere"),
        (lambda: Scene((), (), (0, 0)), "lamp_m of a Scene is"),
        (lambda: default_scene(math.nan), "time_s is nan"),
    ],
)
def test_impossible_scenes_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_deep_pictures_are_the_same_with_finer_steps():
    scene = Scene((Plane((0, 0, 4), (0, 0, -1), GRAY), Sphere((0, 0, 3), 0.5, GRAY)), (Sphere((0.8, 0, 2), 0.2, GRAY),))
    shallow, deep = render(scene, CAMERA), render(scene, CAMERA, bits=12)
    assert (shallow.image.dtype, deep.image.dtype) == (np.uint8, np.uint16)
    np.testing.assert_allclose(deep.image / 4095, shallow.image / 255, atol=0.5 / 255 + 0.5 / 4095 + 1e-9)
    np.testing.assert_array_equal(deep.depth_m, shallow.depth_m)
    assert len(np.unique(deep.image)) > 4 * len(np.unique(shallow.image))
    with pytest.raises(InputError, match="bits is 17; it must be from 8 to 16"):
        render(scene, CAMERA, bits=17)


@pytest.mark.parametrize("model", ["plumb_bob", "rational_polynomial", "equidistant"])
def test_a_lens_bends_the_picture_as_the_lens_model_says(model):
    D = {"plumb_bob": (-0.2, 0.03, 0.001, -0.002, 0.0), "equidistant": (-0.01, 0.002, 0.0, 0.0)}
    D = D.get(model, (0.6, -0.1, 0.0, 0.0, 0.003, 0.95, 0.02, 0.01))
    K = (150.0, 0.0, 158.0, 0.0, 155.0, 122.0, 0.0, 0.0, 1.0)
    turn = cv2.Rodrigues(np.array([0.02, -0.03, 0.05]))[0]
    calibration = Calibration(320, 240, K, D, tuple(turn.ravel()), (), model)
    ball_m = np.array([0.9, -0.5, 3.0])
    view = render_raw(Scene((Sphere(tuple(ball_m), 0.04, GRAY),)), calibration, 0.2)
    ray = turn.T @ (ball_m - (0.2, 0, 0))
    u, v = project_to_pixels(calibration, ray[:2] / ray[2])
    seen = np.argwhere(np.isfinite(view.depth_m))
    np.testing.assert_allclose(seen.mean(axis=0), (v, u), atol=0.3)
    assert np.nanmin(view.depth_m) == pytest.approx(2.96, abs=0.003)


def test_without_lens_and_turn_a_raw_picture_is_the_plain_one():
    K = (262.0, 0.0, 160.0, 0.0, 262.0, 120.0, 0.0, 0.0, 1.0)
    for R in ((), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)):
        raw, plain = (
            render_raw(default_scene(0.7), Calibration(320, 240, K, (), R, (), ""), 0.1),
            render(default_scene(0.7), CAMERA, 0.1),
        )
        np.testing.assert_array_equal(raw.image, plain.image)
        np.testing.assert_allclose(raw.depth_m, plain.depth_m, rtol=1e-12)


def test_raw_pixels_without_a_ray_see_nothing():
    K = (120.0, 0.0, 160.0, 0.0, 120.0, 120.0, 0.0, 0.0, 1.0)
    view = render_raw(default_scene(), Calibration(320, 240, K, (-0.3, 0.0, 0.0, 0.0, 0.0), (), ()))
    nothing = np.isnan(view.depth_m)
    assert 0.1 < nothing.mean() < 0.9 and nothing[0, 0] and not nothing[120, 160]
    assert np.ptp(view.image[nothing]) == 0
