# SPDX-License-Identifier: Apache-2.0
"""A coloured point cloud, organised like its image or a plain list, and the ways out of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vizion3d.errors import DependencyError, InputError
from vizion3d.option_records import finite_number
from vizion3d.records import HoldsArrays

if TYPE_CHECKING:
    import open3d


@dataclass(frozen=True, eq=False, repr=False)
class PointCloud(HoldsArrays):
    """Points in OpenGL camera space (x right, y up, z backward), metres, with their colours.

    Attributes:
        points: (N, 3), or (H, W, 3) organised by pixel, float32; NaN in an organised cloud marks a pixel without depth.
        colors: uint8 RGB, same leading shape.
    """

    points: np.ndarray
    colors: np.ndarray

    def __post_init__(self) -> None:
        if self.points.shape != self.colors.shape or self.points.ndim not in (2, 3) or self.points.shape[-1] != 3:
            raise InputError(
                f"points {self.points.shape} and colors {self.colors.shape} must both be (N, 3) or both be (H, W, 3)"
            )

    @property
    def is_organized(self) -> bool:
        """Whether the cloud has the rows and columns of an image."""
        return self.points.ndim == 3

    def dense(self) -> PointCloud:
        """The valid points as a plain (N, 3) list, in row-major order of their pixels."""
        valid = np.isfinite(self.points).all(axis=-1)
        return PointCloud(self.points[valid], self.colors[valid])

    def voxel_means(self, voxel_m: float) -> PointCloud:
        """One point in each cube that has any: the mean of its valid points, with their mean colour; (M, 3).

        As Open3D's ``voxel_down_sample``, but for the grid, which stands still while what is seen changes: cubes begin at the
        camera. Cubes are in the order of x, y and z.

        Args:
            voxel_m: edge of the cubes, metres.

        Raises:
            InputError: it is not positive, or there would be more than 2^63 cubes from the first point to the last.
        """
        voxel_m = finite_number("voxel_m", voxel_m, positive=True)
        dense = self.dense()
        if not len(dense.points):
            return dense
        cubes = np.floor(dense.points.astype(np.float64) / voxel_m).astype(np.int64)
        cubes -= cubes.min(axis=0)
        try:
            keys = np.ravel_multi_index(tuple(cubes.T), tuple(cubes.max(axis=0) + 1))
        except ValueError:
            extent_m = np.ptp(dense.points, axis=0).max()
            raise InputError(
                f"voxel_m is {voxel_m:g}, far too small for a cloud of {extent_m:.0f} m; choose larger voxels"
            ) from None
        _, places, counts = np.unique(keys, return_inverse=True, return_counts=True)
        columns = (*dense.points.T, *dense.colors.T)
        means = np.stack([np.bincount(places, column) / counts for column in columns], axis=1)
        return PointCloud(means[:, :3].astype(np.float32), np.rint(means[:, 3:]).astype(np.uint8))

    def write_ply(self, path: str | os.PathLike[str]) -> None:
        """Write the valid points as binary little-endian PLY: float32 x y z, uint8 red green blue."""
        dense = self.dense()
        vertices = np.empty(len(dense.points), dtype=[("xyz", "<f4", 3), ("rgb", "u1", 3)])  # packed: 15 bytes a vertex
        vertices["xyz"] = dense.points
        vertices["rgb"] = dense.colors
        header = (
            "ply\nformat binary_little_endian 1.0\n"
            f"element vertex {len(vertices)}\n"
            "property float x\nproperty float y\nproperty float z\n"
            "property uchar red\nproperty uchar green\nproperty uchar blue\n"
            "end_header\n"
        )
        Path(path).write_bytes(header.encode("ascii") + vertices.tobytes())

    def to_open3d(self) -> open3d.geometry.PointCloud:
        """The valid points as an Open3D cloud (float64, colours in [0, 1]).

        Raises:
            DependencyError: Open3D is not installed.
        """
        o3d = import_open3d("a point cloud object")
        dense = self.dense()
        cloud = o3d.geometry.PointCloud()
        cloud.points = o3d.utility.Vector3dVector(dense.points.astype(np.float64))
        cloud.colors = o3d.utility.Vector3dVector(dense.colors / 255.0)
        return cloud


def import_open3d(wanted: str):
    """The open3d module, or a `DependencyError` that says how to get it, or why the installed one cannot be loaded."""
    try:
        import open3d
    except Exception as error:  # of a missing system library it is an OSError, of another numpy anything
        absent = isinstance(error, ModuleNotFoundError) and error.name == "open3d"
        reason = "pip install open3d" if absent else f"it is installed but cannot be loaded: {error}"
        raise DependencyError(f"Open3D is needed for {wanted}: {reason}. Arrays and PLY need no Open3D") from error
    return open3d


def depth_image_to_open3d(depth_image: np.ndarray) -> open3d.geometry.Image:
    """A uint16 depth picture as an Open3D image; raises `DependencyError` without Open3D."""
    return import_open3d("a depth image object").geometry.Image(depth_image)
