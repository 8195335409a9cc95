# SPDX-License-Identifier: Apache-2.0
"""Disparity, depth and points: the arithmetic of a pinhole camera, on torch tensors of any device.

Points live in one of two camera frames. OpenGL: x right, y up, z backward (the scene is at z < 0), what viewers expect.
Optical (REP 103): x right, y down, z forward, what ROS expects. `flip_optical_opengl` goes either way.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from vizion3d.camera import PinholeCamera, StereoRig


def depth_from_disparity(disparity_px: torch.Tensor, rig: StereoRig) -> torch.Tensor:
    """Depth along the optical axis, ``Z = f * B / (d + doffs)``.

    Args:
        disparity_px: x_left - x_right in pixels of the rig's images, any shape.
        rig: the rig of these images.

    Returns:
        Metres, same shape; NaN where d + doffs <= 0, and where d or the depth is not finite.
    """
    corrected = disparity_px + rig.doffs_px
    depth_m = rig.left.fx * rig.baseline_m / corrected
    known, depth = comparable(corrected), comparable(depth_m)
    valid = (known > 0) & (known < math.inf) & (depth < math.inf)
    return torch.where(torch.as_tensor(valid), depth_m, torch.nan)


def comparable(values: torch.Tensor) -> Any:
    """What makes masks of a tensor fast by its operators: in main memory NumPy, which compares five times as fast as torch."""
    return values.detach().numpy() if values.device.type == "cpu" else values


def disparity_from_depth(depth_m: torch.Tensor, rig: StereoRig) -> torch.Tensor:
    """Inverse of `depth_from_disparity`: pixels, NaN where the depth is not positive and finite."""
    valid = (depth_m > 0) & torch.isfinite(depth_m)
    return torch.where(valid, rig.left.fx * rig.baseline_m / depth_m - rig.doffs_px, torch.nan)


def unproject(depth_m: torch.Tensor, camera: PinholeCamera) -> torch.Tensor:
    """Points of a depth map in OpenGL camera space.

    Args:
        depth_m: (H, W) depth along the optical axis, NaN where invalid.
        camera: the camera of that map.

    Returns:
        (H, W, 3); all three coordinates are NaN where the depth is.
    """
    height, width = depth_m.shape
    u = torch.arange(width, device=depth_m.device, dtype=depth_m.dtype)
    v = torch.arange(height, device=depth_m.device, dtype=depth_m.dtype)[:, None]
    return _points((u - camera.cx) / camera.fx, (camera.cy - v) / camera.fy, depth_m)


def points_along(rays: torch.Tensor, depth_m: torch.Tensor) -> torch.Tensor:
    """Points of a depth map in OpenGL camera space, along the rays of any lens.

    Args:
        rays: (H, W, 2) X/Z and Y/Z in the optical frame (`vizion3d.lens_rays`), NaN where there is no ray.
        depth_m: (H, W) depth along the optical axis, NaN where invalid.

    Returns:
        (H, W, 3); all three coordinates are NaN where ray or depth are.
    """
    x, y = rays.unbind(-1)
    return _points(x, -y, torch.where(torch.isfinite(x), depth_m, torch.nan))


def _points(right: torch.Tensor, up: torch.Tensor, depth_m: torch.Tensor) -> torch.Tensor:
    """Points whose rays go so far to the right and up at depth 1, in memory coordinate by coordinate: half the time."""
    return torch.stack((right * depth_m, up * depth_m, -depth_m)).movedim(0, -1)


def project(points_opengl: torch.Tensor, camera: PinholeCamera) -> torch.Tensor:
    """Pixel coordinates (u, v) of points in OpenGL camera space, (..., 3) -> (..., 2). Inverse of `unproject`."""
    x, y, z = points_opengl.unbind(-1)
    return torch.stack((camera.cx - camera.fx * x / z, camera.cy + camera.fy * y / z), dim=-1)


def flip_optical_opengl(points: torch.Tensor) -> torch.Tensor:
    """Optical -> OpenGL and OpenGL -> optical: y and z change sign. (..., 3), its own inverse."""
    return points * points.new_tensor((1, -1, -1))
