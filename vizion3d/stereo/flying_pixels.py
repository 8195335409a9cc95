# SPDX-License-Identifier: Apache-2.0
"""Removal of flying pixels: depth that hangs in the air between a near surface and the far one behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vizion3d.geometry import comparable

# Pixels across which a surface must go on straight to carry a pixel. An edge blurred over up to 2 * _SUPPORT_PX - 1
# pixels is then never mistaken for a steep surface.
_SUPPORT_PX = 3
# How far, relative to its depth, a pixel may be off the continuation of a surface.
_BEND_TOLERANCE = 0.04
# Relative change of depth to both neighbours below which a pixel is no step of an edge.
_STEP_TOLERANCE = 0.02


def remove_flying_pixels(depth_m: torch.Tensor) -> torch.Tensor:
    """Set to NaN the pixels that belong neither to the surface before nor to the one behind a depth edge.

    Networks and resizing blur depth edges, which in a point cloud become sheets between the surfaces. The test is made
    on inverse depth, in which every plane, however steeply seen, is a linear function of the pixel coordinates: there
    the second difference along a plane is 0 and needs no assumption about slant. Along its row or its column, a pixel
    is flying if

    * it is a step of an edge: one neighbour is nearer and the opposite one farther; and
    * no surface carries it: it is off the straight line through the inverse depths 3 and 6 pixels away, on both sides.

    Edges of a surface are kept because the surface itself carries them, poles of a pixel's width because they are
    nearer than both their neighbours and so no step. What cannot be told from a blurred edge is a surface between a
    nearer and a farther one that is less than 7 pixels wide and so slanted that each pixel is a step: it is removed.
    So is part of the noise of stereo depth where it is a few percent from pixel to pixel.

    Use it before masks of confidence or visibility: a pixel with an invalid neighbour is not recognised.

    Args:
        depth_m: (H, W) floating point metres along the optical axis, NaN where invalid, on any device.

    Returns:
        A copy with NaN in place of flying pixels.
    """
    margin = 2 * _SUPPORT_PX
    inverse = comparable(F.pad(depth_m.reciprocal()[None], (margin,) * 4, mode="replicate")[0])
    with np.errstate(all="ignore"):  # infinite differences of infinite numbers
        flying = _flying_along_columns(inverse[:, margin:-margin]) | _flying_along_columns(inverse[margin:-margin].T).T
    return depth_m.masked_fill(torch.as_tensor(flying), torch.nan)


def _flying_along_columns(inverse: Any) -> Any:
    """(h, w) bool: flying as seen along the columns of an inverse depth (2 * margin + h, w), as `comparable` has it."""
    k, margin = _SUPPORT_PX, 2 * _SUPPORT_PX
    around = inverse[margin - 1 : 1 - margin]
    rise, least = around[1:] - around[:-1], _STEP_TOLERANCE * around[:-1]
    nearer, farther = rise > least, rise < -least
    is_step = (nearer[:-1] & nearer[1:]) | (farther[:-1] & farther[1:])

    change = inverse[k:] - inverse[:-k]
    # An invalid pixel makes it NaN and carries nothing, so the comparison must be this way round.
    straight = abs(change[k:] - change[:-k]) <= _BEND_TOLERANCE * inverse[k:-k]
    return is_step & ~(straight[:-margin] | straight[margin:])
