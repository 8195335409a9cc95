# SPDX-License-Identifier: Apache-2.0
"""Pairs with exact truth for what goes wrong on robots, drawn the same for everyone: fixed scenes, fixed seeds.

All are 640x480 with a focal length of 525 px and a baseline of 0.12 m, so that disparity is 63 px by the depth in metres.
Every image is drawn with 16 bits and then goes through one sensor: gain, noise, rounding to its bits::

    from vizion3d.synthetic.benchmark import draw, CASE_NAMES

    case = draw("near-0.4")  # a vizion3d.evaluate.StereoCase: left, right, truth_px, visible, rig

The truth of a case is about the pair that its rig describes. Where a camera is knocked (``roll``, ``rows``) the image is
not what the rig says, and the truth is what should have come out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial

import numpy as np

from vizion3d.camera import Calibration, PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.evaluate.cases import StereoCase
from vizion3d.rectify import Rectifier
from vizion3d.synthetic.primitives import Box, Plane, Primitive
from vizion3d.synthetic.renderer import render_raw, render_stereo
from vizion3d.synthetic.scene import Scene, default_scene
from vizion3d.synthetic.texture import Texture

_SIZE = 640, 480
_F_PX, _CX, _CY, _BASELINE_M = 525.0, 319.5, 239.5, 0.12
_CAMERA = PinholeCamera(*_SIZE, _F_PX, _F_PX, _CX, _CY)
RIG = StereoRig(_CAMERA, _BASELINE_M)
_DRAWN_BITS = 16
_BACKGROUND = Plane((0, 0, 5), (0, 0, -1), Texture((112, 158, 190), (150, 184, 198)))
# A lamp behind all there is to see lights nothing, and the light is even.
_EVEN_LIGHT = (0.0, 0.0, 1000.0)

# What lenses do: centre, distortion, and the turn to the rectified frame (yaw, pitch, roll in degrees), left and right.
_LENSES = {
    "plumb_bob": ((-0.28, 0.07, 0.0002, -0.0001, 0.0), 430.0),
    "rational_polynomial": ((0.6, -0.1, 0.0001, -0.0002, 0.003, 0.95, 0.02, 0.01), 430.0),
    "equidistant": ((-0.013, -0.002, 0.0005, -0.0002), 330.0),
    "thin_prism": ((-0.28, 0.07, 0.0002, -0.0001, 0.0, 0.0, 0.0, 0.0, 0.004, -0.001, -0.003, 0.002), 430.0),
}
_RAW_CENTERS = (327.4, 244.2), (311.8, 236.9)
_MOUNTING_DEG = (0.6, -0.4, 0.3), (-0.7, 0.5, -0.4)


def draw(name: str) -> StereoCase:
    """Draw a case.

    Raises:
        InputError: there is no such case.
    """
    known = _CASES | _EVERYDAY
    if name not in known:
        raise InputError(f"there is no drawn case {name!r}; there are {', '.join(known)}")
    return dataclasses.replace(known[name](), name=name)


def _pair(
    scene: Scene,
    *,
    doffs_px: float = 0.0,
    bits: int = 8,
    noise_levels: float = 0.0,
    right_gain: float = 1.0,
    right_roll_deg: float = 0.0,
    right_rows_px: float = 0.0,
) -> StereoCase:
    """A rectified pair of a scene.

    Args:
        scene: what there is to see.
        doffs_px: cx_right - cx_left.
        bits: of each colour.
        noise_levels: standard deviation of the noise in levels of 8-bit images.
        right_gain: brightness of the right image against the left one.
        right_roll_deg: turn of the right image, positive clockwise, which the rig does not know.
        right_rows_px: how much lower the right image shows things, which the rig does not know.
    """
    rig = dataclasses.replace(RIG, doffs_px=doffs_px)
    frame = render_stereo(scene, rig, bits=_DRAWN_BITS)
    right = frame.right
    if right_roll_deg or right_rows_px:
        right = render_raw(scene, _knocked(rig.right, right_roll_deg, right_rows_px), _BASELINE_M, bits=_DRAWN_BITS).image
    return StereoCase(
        "",
        _sensor(frame.left, bits, 1.0, noise_levels, seed=0),
        _sensor(right, bits, right_gain, noise_levels, seed=1),
        frame.disparity_px,
        frame.visible,
        rig,
        bits,
    )


def _sensor(image: np.ndarray, bits: int, gain: float, noise_levels: float, seed: int) -> np.ndarray:
    """What a camera makes of the light: (H, W, 3) uint16 of 16 bits -> uint8, or uint16 with fewer bits."""
    white = (1 << bits) - 1
    levels = image * (gain * white / ((1 << _DRAWN_BITS) - 1))
    if noise_levels:
        levels += np.random.default_rng(seed).normal(0, noise_levels * white / 255, image.shape)
    return levels.round().clip(0, white).astype(np.uint8 if bits == 8 else np.uint16)


def _raw_pair(model: str) -> StereoCase:
    """The room through two lenses, mounted not quite straight; rig and truth are those of the pair once rectified."""
    scene = default_scene()
    calibrations = _raw_calibration(model, 0), _raw_calibration(model, 1)
    left, right = (
        _sensor(render_raw(scene, calibration, x_m, bits=_DRAWN_BITS).image, 8, 1.0, 0.0, seed=0)
        for calibration, x_m in zip(calibrations, (0.0, _BASELINE_M), strict=True)
    )
    rectifier = Rectifier.from_calibrations(*calibrations)
    rig, shown = rectifier.rig, rectifier.shown
    frame = render_stereo(scene, rig)
    columns = np.clip(np.rint(np.arange(_SIZE[0]) - frame.disparity_px), 0, _SIZE[0] - 1).astype(np.intp)
    visible = frame.visible & shown.left & np.take_along_axis(shown.right, columns, axis=1)
    return StereoCase("", left, right, np.where(shown.left, frame.disparity_px, np.nan), visible, rig, raw=calibrations)


def _raw_calibration(model: str, side: int) -> Calibration:
    D, f = _LENSES[model]
    cx, cy = _RAW_CENTERS[side]
    P = (f, 0.0, _CX, -f * _BASELINE_M * side, 0.0, f, _CY, 0.0, 0.0, 0.0, 1.0, 0.0)
    R = tuple(_rotation(*_MOUNTING_DEG[side]).ravel().tolist())
    model = "rational_polynomial" if model == "thin_prism" else model  # as ROS calls whatever OpenCV has
    return Calibration(*_SIZE, (f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0), D, R, P, model)


def _knocked(camera: PinholeCamera, roll_deg: float, rows_px: float) -> Calibration:
    K = (camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy + rows_px, 0.0, 0.0, 1.0)
    # Things turn clockwise in the image when the camera turns the other way.
    R = tuple(_rotation(0.0, 0.0, -roll_deg).ravel().tolist())
    return Calibration(camera.width, camera.height, K, (), R, (), "")


def _rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> np.ndarray:
    """(3, 3) turn about y, x and z of the optical frame, z first."""
    (cy, sy), (cp, sp), (cr, sr) = (
        (math.cos(math.radians(a)), math.sin(math.radians(a))) for a in (yaw_deg, pitch_deg, roll_deg)
    )
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return yaw @ pitch @ roll


def _near(distance_m: float) -> Scene:
    """The room, and a textured box whose front is so far away: 0.3 of the image's width, whatever the distance."""
    width_m = 0.3 * _SIZE[0] / _F_PX * distance_m
    box = Box(
        (0.2 * distance_m, 0.1 * distance_m, distance_m + 0.15),
        (width_m, 1.2 * width_m, 0.3),
        Texture((236, 204, 84), (180, 90, 54)),
    )
    return Scene(default_scene().static, (box,))


def _wall() -> Scene:
    """A wall of one colour at 2 m, evenly lit."""
    return Scene((Plane((0, 0, 2), (0, 0, -1), _plain(170)),), lamp_m=_EVEN_LIGHT)


def _slab() -> Scene:
    """A plain slab at 1.5 to 2.6 m, seen at 45 degrees, before a textured wall."""
    return Scene((_BACKGROUND, Box((0, 0, 2.05), (1.5, 1.1, 0.04), _plain(190), math.radians(45))))


def _thin() -> Scene:
    """Bars of 1 to 8 pixels before a textured wall, upright at 2.1 m and level at 2.5 m."""
    bodies: list[Primitive] = [_BACKGROUND]
    texture = Texture((70, 60, 60), (110, 90, 80))
    for number, width_px in enumerate((1, 2, 3, 4, 6, 8)):
        upright_m, level_m = width_px * 2.1 / _F_PX, width_px * 2.5 / _F_PX
        bodies.append(Box((-0.95 + 0.38 * number, 0.0, 2.1), (upright_m, 1.4, upright_m), texture))
        bodies.append(Box((0.0, -0.75 + 0.3 * number, 2.5), (2.6, level_m, level_m), texture))
    return Scene(tuple(bodies))


def _repeated() -> Scene:
    """A chessboard wall at 3 m, which repeats every 21 px, and a picket fence before its lower half, every 32 px."""
    board = Plane((0, 0, 3), (0, 0, -1), Texture((150, 150, 150), (150, 150, 150), grain=0.01, tile_m=0.06))
    pickets = (Box((0.128 * i, 0.5, 2.1), (0.064, 0.8, 0.03), _plain(200)) for i in range(-12, 13))
    return Scene((board, *pickets))


def _plain(level: int) -> Texture:
    return Texture((level,) * 3, (level,) * 3, grain=0)  # type: ignore[arg-type]


_CASES: dict[str, Callable[[], StereoCase]] = {
    "room": lambda: _pair(default_scene()),
    **{f"verged{d:+d}": partial(lambda d: _pair(default_scene(), doffs_px=d), d) for d in (-60, -20, 20, 60)},
    **{f"near-{z}": partial(lambda z: _pair(_near(z)), z) for z in (1.2, 0.8, 0.6, 0.5, 0.4, 0.3)},
    **{f"wall-{noise:g}": partial(lambda n: _pair(_wall(), noise_levels=n), noise) for noise in (0.3, 1.0, 3.0)},
    "slab": lambda: _pair(_slab(), noise_levels=1.0),
    "thin": lambda: _pair(_thin()),
    "repeated": lambda: _pair(_repeated(), noise_levels=1.0),
    **{f"{bits}-bit": partial(lambda b: _pair(default_scene(), bits=b), bits) for bits in (10, 12, 14)},
    "gain-0.5": lambda: _pair(default_scene(), right_gain=0.5),
    **{f"roll-{deg}": partial(lambda a: _pair(default_scene(), right_roll_deg=a), deg) for deg in (0.5, 1.0)},
    **{f"rows-{rows}": partial(lambda r: _pair(default_scene(), right_rows_px=r), rows) for rows in (1.0, 3.0)},
    **{f"raw-{model}": partial(_raw_pair, model) for model in _LENSES},
}
CASE_NAMES = tuple(_CASES)
# Scenes as a camera in good order sees them: sensor noise, exposures and rows that are not quite equal.
_in_good_order = partial(_pair, noise_levels=2.0, right_gain=0.9, right_rows_px=0.25)
_EVERYDAY: dict[str, Callable[[], StereoCase]] = {
    f"everyday-{name}": partial(lambda scene: _in_good_order(scene()), scene)
    for name, scene in {"room": default_scene, "near": partial(_near, 0.8), "slab": _slab, "thin": _thin}.items()
}
EVERYDAY_NAMES = tuple(_EVERYDAY)
"""Pairs by which sigma is fitted (`bench.sigma`), no part of the tables of accuracy."""
