# SPDX-License-Identifier: Apache-2.0
"""Ray casting of a scene: one picture, or a stereo pair with its truth.

Images are computed as flat arrays of their n = height * width pixels, row by row, and get their shape at the end.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vizion3d.camera import Calibration, PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.lens_rays import pixel_rays
from vizion3d.records import HoldsArrays
from vizion3d.synthetic.primitives import Primitive
from vizion3d.synthetic.rays import Rays, first_hits, reaches_end
from vizion3d.synthetic.scene import Scene

_AMBIENT = 0.58
_LAMP = 0.85
# Light of the lamp halves at this distance; there is no inverse square law, or the far end of a room would be black.
_LAMP_HALF_DISTANCE_M = 5.0
_NOTHING_COLOR = 24
# What is kept of the static part: left and right view of one rig. It takes 0.2 kB per pixel of an image.
_KEPT_VIEWS = 2


@dataclass(frozen=True, eq=False, repr=False)
class View(HoldsArrays):
    """What one camera sees.

    Attributes:
        image: (H, W, 3) RGB; uint8 for 8 bits, uint16 for more.
        depth_m: (H, W) float64, z of the surface in the optical frame; NaN where the ray meets nothing.
    """

    image: np.ndarray
    depth_m: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class StereoFrame(HoldsArrays):
    """A rectified stereo pair and the truth about its left image.

    Attributes:
        left, right: (H, W, 3) RGB; uint8 for 8 bits, uint16 for more.
        depth_m: (H, W) float64; NaN where the left camera sees nothing.
        disparity_px: (H, W) float64, x_left - x_right of the same surface point; NaN where depth_m is.
        visible: (H, W) bool, the right camera sees that surface point: it is between the outermost pixel centres of the
            right image and nothing stands before it.
    """

    left: np.ndarray
    right: np.ndarray
    depth_m: np.ndarray
    disparity_px: np.ndarray
    visible: np.ndarray


def render(scene: Scene, camera: PinholeCamera, position_x_m: float = 0.0, *, bits: int = 8) -> View:
    """Picture and depth of a scene from a camera at (position_x_m, 0, 0) that looks along z.

    Args:
        scene: what there is to see.
        camera: that sees it.
        position_x_m: of the camera.
        bits: of each colour, 8 to 16; the scene's colours fill their range whatever they are.

    Raises:
        InputError: bits is not from 8 to 16.
    """
    static = _static_pixels(_without_moving(scene), camera, position_x_m, bits)
    image, depth_m = static.lit.copy(), static.depth_m.copy()
    if scene.moving:
        in_shadow = np.flatnonzero(~reaches_end(scene.moving, static.from_lamp))
        image[in_shadow] = static.unlit[in_shadow]
        t, _ = first_hits(scene.moving, static.rays)
        moved = np.flatnonzero(t < depth_m)
        pixels = _draw(scene, scene.moving, static.rays.select(moved), camera, bits)
        image[moved], depth_m[moved] = pixels.lit, pixels.depth_m
    return _view(image, depth_m, (camera.height, camera.width))


def render_raw(scene: Scene, calibration: Calibration, position_x_m: float = 0.0, *, bits: int = 8) -> View:
    """What a camera at (position_x_m, 0, 0) gives before rectification: through its lens, turned as it is mounted.

    Args:
        scene: what there is to see, in the rectified frame.
        calibration: K and D make the lens, R the turn from the camera to the rectified frame.
        position_x_m: of the camera.
        bits: see `render`.

    Returns:
        The raw image and, for its pixels, the depth along the **rectified** optical axis. Pixels without a ray see nothing.

    Raises:
        InputError: bits is not from 8 to 16.
        CalibrationError: K or D cannot be used.
    """
    directions = pixel_rays(calibration)
    shape = directions.shape[:2]
    seen = np.isfinite(directions).all(axis=-1).ravel()
    x, y = np.where(seen, directions.reshape(-1, 2).T, 0.0)
    rays = Rays.looking(np.reshape(calibration.R or np.eye(3), (3, 3)) @ np.stack([x, y, np.ones_like(x)]), position_x_m)
    own = calibration.for_image()
    camera = PinholeCamera(own.width, own.height, own.K[0], own.K[4], own.K[2], own.K[5])
    pixels = _draw(scene, scene.static + scene.moving, rays, camera, bits)
    image = np.where(seen[:, None], pixels.lit, _white(bits) * _NOTHING_COLOR // 255).astype(pixels.lit.dtype)
    return _view(image, np.where(seen, pixels.depth_m, np.inf), shape)


def render_stereo(scene: Scene, rig: StereoRig, *, bits: int = 8) -> StereoFrame:
    """Stereo pair of a scene, the left camera at the origin, with depth, disparity and visibility; see `render`."""
    left, right = render(scene, rig.left, bits=bits), render(scene, rig.right, rig.baseline_m, bits=bits)
    disparity_px = rig.left.fx * rig.baseline_m / left.depth_m - rig.doffs_px
    x_right = np.arange(rig.left.width) - disparity_px
    with np.errstate(invalid="ignore"):
        inside = (x_right >= 0) & (x_right <= rig.left.width - 1)
    visible = inside & _right_sees(scene, rig, left.depth_m.ravel(), bits).reshape(inside.shape)
    return StereoFrame(left.image, right.image, left.depth_m, disparity_px, visible)


@dataclass(frozen=True)
class _Pixels:
    """Pixels of one picture.

    Attributes:
        rays: those through the pixels.
        depth_m: (n,), inf where nothing is hit.
        unlit, lit: (n, 3) uint8 or uint16, the colours without the lamp, and with it where it shines.
        from_lamp: rays from the lamp to what the pixels see.
    """

    rays: Rays
    depth_m: np.ndarray
    unlit: np.ndarray
    lit: np.ndarray
    from_lamp: Rays


def _view(image: np.ndarray, depth_m: np.ndarray, shape: tuple[int, int]) -> View:
    return View(image.reshape(*shape, 3), np.where(np.isinf(depth_m), np.nan, depth_m).reshape(shape))


def _white(bits: int) -> int:
    """The largest value of an image."""
    if not 8 <= bits <= 16:
        raise InputError(f"bits is {bits}; it must be from 8 to 16")
    return (1 << bits) - 1


def _without_moving(scene: Scene) -> Scene:
    return dataclasses.replace(scene, moving=())


@lru_cache(maxsize=_KEPT_VIEWS)
def _static_pixels(scene: Scene, camera: PinholeCamera, position_x_m: float, bits: int) -> _Pixels:
    return _draw(scene, scene.static, Rays.of_camera(camera, position_x_m), camera, bits)


def _draw(scene: Scene, bodies: tuple[Primitive, ...], rays: Rays, camera: PinholeCamera, bits: int) -> _Pixels:
    """What the rays see of some bodies, in the light and shadow of the whole scene."""
    depth_m, body_index = first_hits(bodies, rays)
    points_m = rays.points_m(_finite(depth_m))
    from_lamp = Rays.towards(np.array(scene.lamp_m), points_m)
    footprint_m = depth_m / min(camera.fx, camera.fy)
    white = _white(bits)
    unlit = np.full((rays.directions.shape[1], 3), white * _NOTHING_COLOR // 255, dtype=np.uint8 if bits == 8 else np.uint16)
    lit = unlit.copy()
    for index, body in enumerate(bodies):
        mine = np.flatnonzero(body_index == index)
        colors = _colors(body, points_m[:, mine], rays.select(mine), from_lamp.select(mine), footprint_m[mine])
        unlit[mine], lit[mine] = (np.clip(c * (white / 255), 0, white).T.round() for c in colors)
    in_shadow = ~reaches_end(scene.static + scene.moving, from_lamp)
    lit[in_shadow] = unlit[in_shadow]
    return _Pixels(rays, depth_m, unlit, lit, from_lamp)


def _colors(
    body: Primitive, points_m: np.ndarray, rays: Rays, from_lamp: Rays, footprint_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colours (3, n), 255 = white, of surface points in ambient light, and with the lamp (Lambert's law)."""
    normals = body.normals(points_m)
    facing_camera = np.einsum("in,in->n", normals, rays.directions) / rays.lengths
    facing_lamp = np.einsum("in,in->n", normals, from_lamp.directions) / from_lamp.lengths
    # A pixel covers a longer piece of a slanted surface in one direction only: the mean of both directions.
    footprint_m = footprint_m / np.sqrt(np.maximum(np.abs(facing_camera), 0.02))
    albedo = body.texture.evaluate(body.to_local(points_m).astype(np.float32), footprint_m.astype(np.float32))
    same_side = np.maximum(facing_lamp * np.sign(facing_camera), 0)
    lamp = _LAMP * same_side / (1 + from_lamp.lengths / _LAMP_HALF_DISTANCE_M)
    return albedo * _AMBIENT, albedo * (_AMBIENT + lamp)


def _right_sees(scene: Scene, rig: StereoRig, depth_m: np.ndarray, bits: int) -> np.ndarray:
    """Whether nothing stands between the right optical centre and the surface point of each left pixel; (n,) bool."""
    static = _static_pixels(_without_moving(scene), rig.left, 0.0, bits)
    sight, sees_static = _static_sight(_without_moving(scene), rig, bits)
    sees = sees_static.copy()
    if scene.moving:
        sees &= reaches_end(scene.moving, sight)
        moved = np.flatnonzero(depth_m < static.depth_m)
        points_m = static.rays.select(moved).points_m(depth_m[moved])
        sees[moved] = reaches_end(scene.static + scene.moving, Rays.towards(sight.origin_m, points_m))
    return sees


@lru_cache(maxsize=1)
def _static_sight(scene: Scene, rig: StereoRig, bits: int) -> tuple[Rays, np.ndarray]:
    """Rays from the right optical centre to the static surface points of the left pixels, and which of them arrive."""
    pixels = _static_pixels(scene, rig.left, 0.0, bits)
    sight = Rays.towards(np.array([rig.baseline_m, 0.0, 0.0]), pixels.rays.points_m(_finite(pixels.depth_m)))
    return sight, reaches_end(scene.static, sight)


def _finite(depth_m: np.ndarray) -> np.ndarray:
    """Depth with some number where nothing was hit, so that arithmetic with it stays free of warnings."""
    return np.where(np.isinf(depth_m), 1.0, depth_m)
