# SPDX-License-Identifier: Apache-2.0
"""What one picture says of each pixel, and what follows from it: depth, inverse depth, the point cloud."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from vizion3d import geometry
from vizion3d.lifting.models import DepthKind
from vizion3d.pointcloud import PointCloud
from vizion3d.records import HoldsArrays

# Relative depth is spread over this range, for a cloud that can be looked at. Metres in name only.
PSEUDO_NEAR_M = 0.5
PSEUDO_FAR_M = 10.0
# Between which depths pictures of metric depth spread their colours.
_METRIC_COLORS_M = 0.5, 50.0


@dataclass(frozen=True, eq=False, repr=False)
class MonoPrediction(HoldsArrays):
    """What the network said of each pixel. Tensors are (H, W) on the model's device.

    Attributes:
        output: float32, the network's own map.
        kind: what its numbers mean.
        mask: bool, False where there is nothing to measure, such as sky; None if the network does not say.
    """

    output: torch.Tensor
    kind: DepthKind
    mask: torch.Tensor | None = None

    @property
    def is_metric(self) -> bool:
        """Whether `output` and `depth_m` are in metres."""
        return self.kind is DepthKind.METRES

    @property
    def color_range_m(self) -> tuple[float, float]:
        """Depths between which the pictures of a stream spread their colours, the same for each frame of it."""
        return _METRIC_COLORS_M if self.is_metric else (PSEUDO_NEAR_M, PSEUDO_FAR_M)

    @cached_property
    def known(self) -> torch.Tensor:
        """`output` with NaN in place of infinite values and where there is nothing to measure."""
        return self._known(self.output)

    @cached_property
    def inverse_depth(self) -> torch.Tensor:
        """Larger is nearer, NaN where there is none: 1 / depth, in 1/m from a metric network; or the network's own output."""
        if self.kind is DepthKind.INVERSE:
            return self.known
        return self._known(1 / (self.depth_m if self.is_metric else self.output.masked_fill(self.output.isinf(), torch.nan)))

    @cached_property
    def depth_m(self) -> torch.Tensor:
        """Depth along the optical axis, NaN where there is none.

        Metric: metres. Relative: the output spread linearly over 0.5 to 10 pseudo-metres of this picture, for inverse depth p
        ``0.5 + (1 - (p - min) / (max - min)) * 9.5``, in the right order but not in scale or shape.
        """
        output = self.known
        if self.is_metric:
            return torch.where(output > 0, output, torch.nan)
        # Without a question that a GPU would have to answer first. Without contrast, or a number at all, this is NaN.
        low, high = output.nan_to_num(torch.inf).amin(), output.nan_to_num(-torch.inf).amax()
        part = (output - low) / (high - low)
        return PSEUDO_NEAR_M + (1 - part if self.kind is DepthKind.INVERSE else part) * (PSEUDO_FAR_M - PSEUDO_NEAR_M)

    @property
    def beyond(self) -> torch.Tensor:
        """(H, W) bool: sky, where the network says so."""
        return torch.zeros_like(self.output, dtype=torch.bool) if self.mask is None else ~self.mask

    def points(self, rays: torch.Tensor) -> torch.Tensor:
        """The points along rays (H, W, 2), see `geometry.points_along`: (H, W, 3) in OpenGL camera space."""
        return geometry.points_along(rays, self.depth_m)

    def point_cloud(self, rgb: np.ndarray, rays: np.ndarray) -> PointCloud:
        """`points` as an organised cloud.

        Args:
            rgb: (H, W, 3) uint8, whose colours are copied.
            rays: those of `pixel_rays`.
        """
        on_device = torch.from_numpy(rays.astype(np.float32)).to(self.output.device)
        return PointCloud(self.points(on_device).contiguous().cpu().numpy(), rgb.copy())

    def _known(self, values: torch.Tensor) -> torch.Tensor:
        """The values with NaN in place of infinite ones and where there is nothing to measure."""
        known = torch.isfinite(values)
        return torch.where(known if self.mask is None else known & self.mask, values, torch.nan)
