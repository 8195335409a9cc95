# SPDX-License-Identifier: Apache-2.0
"""Bundles of rays and what they hit first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vizion3d.camera import PinholeCamera
from vizion3d.synthetic.primitives import Primitive

# A ray that ends on a surface hits just that surface up to rounding, which is no obstacle.
_BEFORE_END = 1 - 1e-6


@dataclass(frozen=True)
class Rays:
    """Rays ``origin + t * direction`` from one point.

    Attributes:
        origin_m: (3,) float64.
        directions: (3, n) float64, of any length.
        lengths: (n,) float64, those lengths.
    """

    origin_m: np.ndarray
    directions: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of_camera(cls, camera: PinholeCamera, position_x_m: float) -> Rays:
        """One ray through each pixel, row by row, with t equal to the depth."""
        v, u = np.indices((camera.height, camera.width), dtype=np.float64).reshape(2, -1)
        return cls.looking(np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)]), position_x_m)

    @classmethod
    def looking(cls, directions: np.ndarray, position_x_m: float) -> Rays:
        """Rays from (position_x_m, 0, 0) in directions (3, n) of positive z, with t equal to the depth."""
        directions = directions / directions[2]
        return cls(np.array([position_x_m, 0.0, 0.0]), directions, np.linalg.norm(directions, axis=0))

    @classmethod
    def towards(cls, origin_m: np.ndarray, points_m: np.ndarray) -> Rays:
        """Rays that end at t = 1 in points (3, n)."""
        directions = points_m - origin_m[:, None]
        return cls(origin_m, directions, np.linalg.norm(directions, axis=0))

    def points_m(self, t: np.ndarray) -> np.ndarray:
        """Points (3, n) at t (n,)."""
        return self.origin_m[:, None] + t * self.directions

    def select(self, indices: np.ndarray) -> Rays:
        """Some of the rays."""
        return Rays(self.origin_m, self.directions[:, indices], self.lengths[indices])


def first_hits(bodies: Sequence[Primitive], rays: Rays) -> tuple[np.ndarray, np.ndarray]:
    """t (n,) of the nearest hit, inf for none, and the index (n,) of the body that was hit, -1 for none."""
    t = np.full(rays.lengths.shape, np.inf)
    body_index = np.full(rays.lengths.shape, -1)
    for index, body in enumerate(bodies):
        candidates = _may_hit(body, rays)
        body_t = body.intersect(rays.origin_m, rays.directions[:, candidates])
        nearer = body_t < t[candidates]
        t[candidates[nearer]] = body_t[nearer]
        body_index[candidates[nearer]] = index
    return t, body_index


def reaches_end(bodies: Sequence[Primitive], rays: Rays) -> np.ndarray:
    """(n,) bool: nothing lies between the origin and the end of a ray at t = 1."""
    t, _ = first_hits(bodies, rays)
    return t >= _BEFORE_END


def _may_hit(body: Primitive, rays: Rays) -> np.ndarray:
    """Indices of the rays that pass through a sphere around the body: a cheap test before the exact one."""
    if body.bounding_sphere is not None:
        center_m, radius_m = body.bounding_sphere
        to_center = np.array(center_m) - rays.origin_m
        tangent_squared = to_center @ to_center - radius_m**2
        if tangent_squared > 0:
            # The margin is for rounding: rays that graze the sphere must not be lost.
            tangent = (1 - 1e-9) * np.sqrt(tangent_squared)
            return np.flatnonzero(to_center @ rays.directions >= tangent * rays.lengths)
    return np.arange(rays.lengths.size)
