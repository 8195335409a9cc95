# SPDX-License-Identifier: Apache-2.0
"""A picture of a point cloud, without a 3-D viewer."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vizion3d.errors import InputError

# Drawn this many times larger and then reduced, for smooth edges.
_SUPERSAMPLING = 2
# Percent of the points, at either end of each axis, that need not be in the picture.
_OUTLIERS_PERCENT = 1.0
_MARGIN = 0.04
# Points nearer to the viewer than this part of the distance to the middle would hide everything with their size.
_NEAREST = 0.1
_LARGEST_SPLAT_RADIUS_PX = 8
# Splat radius relative to the spacing of the points. 0.71 closes a square grid that is seen from its own camera; the
# rest is for surfaces that stood at a slant to that camera, whose points are further apart.
_RADIUS_PER_SPACING = 1.5
_EDGE_SHADE = 1.5
# Bounds the memory: a splat has up to 289 pixels.
_SPLATS_AT_ONCE = 20_000


def render_cloud(
    points_opengl: np.ndarray,
    colors: np.ndarray,
    size: tuple[int, int] = (960, 540),
    yaw_deg: float = 22.0,
    pitch_deg: float = 16.0,
    background: tuple[int, int, int] = (246, 246, 246),
) -> np.ndarray:
    """Picture of a point cloud from above and to the right of the camera that took it.

    The viewer looks at the middle of the cloud; all of it but a few outliers fills the picture.

    Args:
        points_opengl: (N, 3) in metres, x right, y up, z backward, so that the scene is at z < 0; points that are not
            finite are left out.
        colors: (N, 3) uint8 RGB.
        size: (width, height) of the picture.
        yaw_deg: how far the viewer has gone around the middle of the cloud, to the right.
        pitch_deg: the same upwards.
        background: RGB.

    Returns:
        (height, width, 3) uint8 RGB; nothing but background if there are no points.

    Raises:
        InputError: points or colours have the wrong shape or dtype, or the size is not positive.
    """
    points_opengl, colors = _checked(points_opengl, colors, size)
    width, height = (_SUPERSAMPLING * s for s in size)
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = background
    finite = np.isfinite(points_opengl).all(axis=1)
    if finite.any():
        points_opengl, colors = points_opengl[finite], colors[finite]
        splats = _project(points_opengl, colors, (width, height), np.deg2rad(yaw_deg), np.deg2rad(pitch_deg))
        depth_m = _paint(image, splats)
        _darken_edges(image, depth_m)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class _Splats:
    """Discs in the picture, the farthest first: pixels (n,), depth_m (n,), radius_px (n,), colors (n, 3)."""

    u: np.ndarray
    v: np.ndarray
    depth_m: np.ndarray
    radius_px: np.ndarray
    colors: np.ndarray


def _checked(points: np.ndarray, colors: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    points, colors = np.asarray(points), np.asarray(colors)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"points_opengl has shape {points.shape}; it must be (N, 3)")
    if colors.shape != points.shape or colors.dtype != np.uint8:
        raise InputError(f"colors is {colors.shape} {colors.dtype}; it must be {points.shape} uint8, one for each point")
    if min(size) <= 0:
        raise InputError(f"size is {size}; width and height must be positive")
    return points.astype(np.float64), colors


def _project(points: np.ndarray, colors: np.ndarray, size: tuple[int, int], yaw_rad: float, pitch_rad: float) -> _Splats:
    """Where the points are in the picture of the viewer, and how large."""
    width, height = size
    low, high = np.percentile(points, (_OUTLIERS_PERCENT, 100 - _OUTLIERS_PERCENT), axis=0)
    right, up, forward = _view_rotation(yaw_rad, pitch_rad) @ (points - (low + high) / 2).T
    distance_m = max(float(np.linalg.norm(high - low)), 1e-6)
    depth_m = forward + distance_m
    in_front = depth_m > _NEAREST * distance_m
    depth_m = np.where(in_front, depth_m, np.inf)
    x, y = right / depth_m, -up / depth_m
    # The focal length and the middle that fill the picture with what is there.
    box = [np.percentile(axis[in_front], (_OUTLIERS_PERCENT, 100 - _OUTLIERS_PERCENT)) for axis in (x, y)]
    (x_low, x_high), (y_low, y_high) = box
    focal_px = (1 - 2 * _MARGIN) * min(width / max(x_high - x_low, 1e-6), height / max(y_high - y_low, 1e-6))
    u = np.rint(width / 2 + focal_px * (x - (x_low + x_high) / 2))
    v = np.rint(height / 2 + focal_px * (y - (y_low + y_high) / 2))
    radius_px = focal_px * _RADIUS_PER_SPACING * _spacing_m(points) / depth_m
    inside = in_front & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    order = np.flatnonzero(inside)
    order = order[np.argsort(-depth_m[order], kind="stable")]
    return _Splats(u[order].astype(np.intp), v[order].astype(np.intp), depth_m[order], radius_px[order], colors[order])


def _view_rotation(yaw_rad: float, pitch_rad: float) -> np.ndarray:
    """Rows: the right, up and forward directions of the viewer."""
    right = np.array([np.cos(yaw_rad), 0.0, -np.sin(yaw_rad)])
    forward = -np.array([np.sin(yaw_rad) * np.cos(pitch_rad), np.sin(pitch_rad), np.cos(yaw_rad) * np.cos(pitch_rad)])
    return np.stack([right, np.cross(right, forward), forward])


def _spacing_m(points: np.ndarray) -> np.ndarray:
    """Distance of each point from its neighbours, if they come from the pixels of one camera; (N,)."""
    distance_m = np.maximum(np.abs(points[:, 2]), 1e-6)
    low, high = np.percentile(points[:, :2] / distance_m[:, None], (_OUTLIERS_PERCENT, 100 - _OUTLIERS_PERCENT), axis=0)
    return distance_m * np.sqrt(np.prod(high - low) / len(points))


def _paint(image: np.ndarray, splats: _Splats) -> np.ndarray:
    """Draw the splats into the image, near over far; returns the depth of what is seen, inf for the background."""
    height, width = image.shape[:2]
    depth_m = np.full((height, width), np.inf, dtype=np.float32)
    for chunk in np.array_split(np.arange(splats.u.size), max(1, splats.u.size // _SPLATS_AT_ONCE)):
        radius_px = np.clip(splats.radius_px[chunk, None], 0.5, _LARGEST_SPLAT_RADIUS_PX)
        reach = np.arange(-int(radius_px.max()), int(radius_px.max()) + 1)
        dv, du = (offsets.ravel() for offsets in np.meshgrid(reach, reach, indexing="ij"))
        u, v = splats.u[chunk, None] + du, splats.v[chunk, None] + dv
        covered = np.hypot(du, dv) <= radius_px
        covered &= (u >= 0) & (u < width) & (v >= 0) & (v < height)
        # Of several values assigned to one pixel the last one stays, which is the nearest.
        point = np.broadcast_to(chunk[:, None], covered.shape)[covered]
        image[v[covered], u[covered]] = splats.colors[point]
        depth_m[v[covered], u[covered]] = splats.depth_m[point]
    return depth_m


def _darken_edges(image: np.ndarray, depth_m: np.ndarray) -> None:
    """Darken what lies behind its neighbours, in place, so that shapes stand out (eye-dome lighting)."""
    drawn = np.isfinite(depth_m)
    log_depth = np.log(np.where(drawn, depth_m, depth_m[drawn].max(initial=1.0)))
    step = 2 * _SUPERSAMPLING
    height, width = log_depth.shape
    padded = np.pad(log_depth, step, mode="edge")
    behind = np.zeros_like(log_depth)
    for top, left in ((step, 0), (step, 2 * step), (0, step), (2 * step, step)):
        behind += np.clip(log_depth - padded[top : top + height, left : left + width], 0, 0.2)
    shade = np.where(drawn, np.exp(-_EDGE_SHADE * behind), 1)
    image[:] = (image * shade[:, :, None]).astype(np.uint8)
