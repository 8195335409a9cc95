# SPDX-License-Identifier: Apache-2.0
"""Relative positions in the coarsest level of the feature pyramid.

The relative position of two pixels is 32 numbers, 16 for the column distance and 16 for the row distance. A table over
all pairs of pixels would take 3 GB at 2432 x 2048; one over all pairs of columns and one over all pairs of rows hold
the same and stay below a megabyte.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

_CODES = 16
_WIDTH = 5 / 32
# The weights were trained with this value in place of pi.
_SINC_PI = 3.1415


def position_table(length: int, device: torch.device | None = None) -> Tensor:
    """Codes of the distance from every key to every query along one axis.

    A distance is squeezed by tanh and compared with 16 places between -1 and 1. The distance 0 does not sit in the
    middle of the scale; the weights were trained so.

    Args:
        length: number of positions along the axis.
        device: where the table is made.

    Returns:
        (queries, keys, 16) float32, each code of unit length.
    """
    index = torch.arange(length, device=device, dtype=torch.float32)
    distance = index[:, None] - index[None, :] + (length - 1)
    squeezed = torch.tanh(3 * distance / length - 3)
    places = torch.arange(_CODES, device=device, dtype=torch.float32) * (2 / (_CODES - 1)) - 1
    offsets = (places - squeezed[..., None]) * (_SINC_PI / _WIDTH)
    # sin(x) / x written out: older torch has no sinc on Apple's GPUs.
    codes = torch.where(offsets == 0, 1.0, offsets.sin() / offsets)
    return F.normalize(codes, dim=-1)


def mean_position(weights: Tensor, row_table: Tensor, column_table: Tensor) -> Tensor:
    """Mean relative position of the keys under the attention weights of each query.

    Args:
        weights: (n, heads, r·c, r·c) float32, queries before keys, both row-major.
        row_table: `position_table(r)`.
        column_table: `position_table(c)`.

    Returns:
        (n, heads, r·c, 32) float32, the horizontal half first.
    """
    rows, columns = row_table.shape[0], column_table.shape[0]
    grid = weights.unflatten(-1, (rows, columns)).unflatten(2, (rows, columns))
    horizontal = torch.einsum("nhyxk,xkc->nhyxc", grid.sum(-2), column_table)
    vertical = torch.einsum("nhyxk,ykc->nhyxc", grid.sum(-1), row_table)
    return 0.5 * torch.cat((horizontal, vertical), -1).flatten(2, 3)
