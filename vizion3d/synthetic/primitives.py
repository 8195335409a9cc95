# SPDX-License-Identifier: Apache-2.0
"""The bodies of a scene and where a ray meets them.

Rays are ``origin + t * direction`` with an origin (3,) and directions (3, n), not of unit length: those of a camera
have z = 1, and then t is the depth. Arrays of points are (3, n) too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vizion3d.errors import InputError
from vizion3d.synthetic.texture import Texture

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Plane:
    """An endless plane through a point.

    Raises:
        InputError: a number is not finite, or the normal is zero.
    """

    point_m: Vector
    normal: Vector
    texture: Texture

    def __post_init__(self) -> None:
        check_vector("point_m of a Plane", self.point_m)
        check_vector("normal of a Plane", self.normal)
        if not any(self.normal):
            raise InputError("the normal of a Plane is zero; it must be a direction, such as (0, -1, 0) for a floor")

    def intersect(self, origin_m: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """t of the first hit of each ray, (n,); inf if it misses."""
        normal = np.array(self.normal, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (normal @ (np.array(self.point_m) - origin_m)) / (normal @ directions)
        return np.where(t > 0, t, np.inf)

    @property
    def bounding_sphere(self) -> tuple[Vector, float] | None:
        """Centre and radius of a sphere around the body; None, for it has no end."""
        return None

    def to_local(self, points_m: np.ndarray) -> np.ndarray:
        """Points in the frame that the texture is fixed to."""
        return points_m - np.array(self.point_m)[:, None]

    def normals(self, points_m: np.ndarray) -> np.ndarray:
        """Unit normals at points of the surface, (3, n), of either sign."""
        normal = np.array(self.normal, dtype=np.float64)[:, None] / np.linalg.norm(self.normal)
        return np.broadcast_to(normal, points_m.shape)


@dataclass(frozen=True)
class Sphere:
    """A ball.

    Raises:
        InputError: a number is not finite, or the radius is not positive.
    """

    center_m: Vector
    radius_m: float
    texture: Texture

    def __post_init__(self) -> None:
        check_vector("center_m of a Sphere", self.center_m)
        if not (self.radius_m > 0 and math.isfinite(self.radius_m)):
            raise InputError(f"radius_m of a Sphere is {self.radius_m}; it must be positive and finite")

    def intersect(self, origin_m: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """t of the first hit of each ray, (n,); inf if it misses."""
        to_center = np.array(self.center_m) - origin_m
        a = np.einsum("in,in->n", directions, directions)
        b = to_center @ directions
        discriminant = b * b - a * (to_center @ to_center - self.radius_m**2)
        root = np.sqrt(np.maximum(discriminant, 0))
        return _first_positive((b - root) / a, (b + root) / a, discriminant >= 0)

    @property
    def bounding_sphere(self) -> tuple[Vector, float] | None:
        """Centre and radius of a sphere around the body."""
        return self.center_m, self.radius_m

    def to_local(self, points_m: np.ndarray) -> np.ndarray:
        """Points in the frame that the texture is fixed to."""
        return points_m - np.array(self.center_m)[:, None]

    def normals(self, points_m: np.ndarray) -> np.ndarray:
        """Unit normals at points of the surface, (3, n)."""
        return self.to_local(points_m) / self.radius_m


@dataclass(frozen=True)
class Box:
    """A box with edges of lengths ``size_m``, turned by ``yaw_rad`` counter-clockwise as seen from above.

    Raises:
        InputError: a number is not finite, or an edge is not positive.
    """

    center_m: Vector
    size_m: Vector
    texture: Texture
    yaw_rad: float = 0.0

    def __post_init__(self) -> None:
        check_vector("center_m of a Box", self.center_m)
        check_vector("size_m of a Box", self.size_m)
        if not min(self.size_m) > 0:
            raise InputError(f"size_m of a Box is {self.size_m}; all three edges must be positive")
        if not math.isfinite(self.yaw_rad):
            raise InputError(f"yaw_rad of a Box is {self.yaw_rad}; it must be finite")

    def intersect(self, origin_m: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """t of the first hit of each ray, (n,); inf if it misses."""
        origin = self.to_local(origin_m[:, None])
        half = 0.5 * np.array(self.size_m)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1 / (self._rotation.T @ directions)
            t1, t2 = (-half - origin) * inverse, (half - origin) * inverse
        # A ray inside the plane of a face gives 0/0 for that pair of faces, which then does not limit it.
        entry, leave = np.fmin(t1, t2), np.fmax(t1, t2)
        entry, leave = np.fmax.reduce(entry), np.fmin.reduce(leave)
        return _first_positive(entry, leave, entry <= leave)

    @property
    def bounding_sphere(self) -> tuple[Vector, float] | None:
        """Centre and radius of a sphere around the body."""
        return self.center_m, 0.5 * math.hypot(*self.size_m)

    def to_local(self, points_m: np.ndarray) -> np.ndarray:
        """Points in the frame of the box, along its edges, which the texture is fixed to."""
        return self._rotation.T @ (points_m - np.array(self.center_m)[:, None])

    def normals(self, points_m: np.ndarray) -> np.ndarray:
        """Unit normals at points of the surface, (3, n)."""
        outwards = self.to_local(points_m) / np.array(self.size_m)[:, None]
        face = np.abs(outwards).argmax(axis=0)
        side = np.sign(np.take_along_axis(outwards, face[None], axis=0)[0])
        return self._rotation[:, face] * side

    @property
    def _rotation(self) -> np.ndarray:
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


Primitive = Plane | Box | Sphere


def _first_positive(entry: np.ndarray, leave: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """The entry into a body; the way out of it for a ray that starts inside; inf where nothing is hit."""
    return np.where(hit & (leave > 0), np.where(entry > 0, entry, leave), np.inf)


def check_vector(name: str, value: Vector) -> None:
    """Refuse what is not a tuple of three finite numbers."""
    if not (isinstance(value, tuple) and len(value) == 3 and all(map(math.isfinite, value))):
        raise InputError(f"{name} is {value!r}; it must be a tuple of three finite numbers (x, y, z)")
