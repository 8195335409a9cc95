# SPDX-License-Identifier: Apache-2.0
"""Learned upsampling: each pixel is a weighted mean of the nine of a coarser map around it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F


def blend_neighbours(maps: Tensor, logits: Tensor, beyond: Literal["replicate", "constant"] = "replicate") -> Tensor:
    """Replace each output pixel by a softmax-weighted mean of the 3x3 input pixels around it, in float32.

    The input may be coarser than the output: an output pixel then belongs to the input pixel that covers it. The nine
    shifted maps are summed one after the other, so no copy of all neighbourhoods exists.

    Args:
        maps: (B, M, r, c), all blended with the same weights.
        logits: (B, 9, s·r, s·c) with a whole number s, neighbours in row-major order.
        beyond: what lies beyond the border of the maps: "replicate" continues them unchanged, "constant" is zeros.

    Returns:
        (B, M, s·r, s·c) float32.
    """
    batch, count, rows, columns = maps.shape
    scale = logits.shape[2] // rows
    weights = logits.float().softmax(1).reshape(batch, 9, 1, rows, scale, columns, scale)
    padded = F.pad(maps.float(), (1, 1, 1, 1), mode=beyond).reshape(batch, count, rows + 2, 1, columns + 2, 1)
    blended = weights.new_zeros(())
    for neighbour in range(9):
        dy, dx = divmod(neighbour, 3)
        blended = blended + weights[:, neighbour] * padded[:, :, dy : dy + rows, :, dx : dx + columns]
    return blended.reshape(batch, count, scale * rows, scale * columns)
