# SPDX-License-Identifier: Apache-2.0
"""What the results of all depth commands have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vizion3d.pointcloud import PointCloud, depth_image_to_open3d
from vizion3d.records import HoldsArrays

if TYPE_CHECKING:
    import open3d

# A few depths are outliers if they are beyond this many times what the usual ones reach.
_OUTLIER_FACTOR = 2.0
_USUAL_PERCENT = 99.0


@dataclass(frozen=True, eq=False, repr=False)
class DepthResult(HoldsArrays):
    """The maps of one picture. Lists of lists and Open3D objects are made when they are first read.

    Attributes:
        depth: (H, W) float32; what it means is said by the result of the task.
        backend_used: the matcher, or the path of the weights file.
        cloud: `PointCloud` in OpenGL camera space; None unless it was asked for.
        command: what was asked for.
    """

    depth: np.ndarray
    backend_used: str
    cloud: PointCloud | None
    command: Any = field(repr=False)

    point_cloud_scale = 1.0
    """Metres a unit of the point cloud; always 1."""

    @cached_property
    def depth_map(self) -> list[list[float]]:
        """`depth` as H lists of W floats."""
        return self.depth.tolist()

    @property
    def raw_depth(self) -> np.ndarray | None:
        """A copy of `depth`; None if it was not asked for."""
        return self.depth.copy() if self.command.return_raw_depth else None

    @property
    def min_depth(self) -> float:
        """Smallest value of `depth`."""
        raise NotImplementedError

    @property
    def max_depth(self) -> float:
        """Largest value of `depth`."""
        raise NotImplementedError

    @cached_property
    def depth_image_array(self) -> np.ndarray:
        """(H, W) uint16 picture of the depth: 65535 closest, 0 farthest or invalid."""
        raise NotImplementedError

    @cached_property
    def depth_image(self) -> open3d.geometry.Image | None:
        """`depth_image_array` as an Open3D image; None if it was not asked for."""
        return depth_image_to_open3d(self.depth_image_array) if self.command.return_depth_image else None

    @cached_property
    def point_cloud(self) -> open3d.geometry.PointCloud | None:
        """`cloud` as an Open3D point cloud of its valid points; None if it was not asked for."""
        return self.cloud.to_open3d() if self.cloud else None


def far_end(depths: np.ndarray) -> float:
    """Where a picture of these depths ends: at the largest, unless a few are so far out that they would take all its levels."""
    usual = float(np.percentile(depths, _USUAL_PERCENT))
    largest = float(depths.max())
    return largest if largest <= _OUTLIER_FACTOR * usual else usual
