# SPDX-License-Identifier: Apache-2.0
"""The learned position table, stretched to the patch grid of any picture."""

from functools import lru_cache

import torch
from torch import Tensor

from vizion3d.lifting.models.depth_anything.config import TRAINING_GRID


def position_table(stored: Tensor, grid_height: int, grid_width: int) -> Tensor:
    """Stretch the stored table to a patch grid by cubic interpolation, in float32 whatever the dtype of `stored`.

    Written out, because the library's interpolation cannot be exported with free height and width. Products and sums
    instead of matrix products stay in float32 under autocast too.

    Args:
        stored: (1, 1 + 37 * 37, width): the class token's row, then the training grid's rows.
        grid_height: patches along the picture's height.
        grid_width: patches along the picture's width.

    Returns:
        (1, 1 + grid_height * grid_width, width) in the dtype of `stored`.
    """
    # A traced graph holds the few operations themselves; a cache would bake in the traced grid.
    grid_taps = _grid_taps if torch.compiler.is_compiling() else _cached_grid_taps
    rows, row_weights, columns, column_weights = grid_taps(grid_height, grid_width, stored.device)
    class_row, table = stored.float().split([1, TRAINING_GRID**2], dim=1)
    table = table.reshape(TRAINING_GRID, TRAINING_GRID, -1)
    table = sum(row_weights[:, tap, None, None] * table[rows[:, tap]] for tap in range(4))
    table = sum(column_weights[:, tap, None] * table[:, columns[:, tap]] for tap in range(4))
    return torch.cat([class_row, table.flatten(0, 1)[None]], dim=1).to(stored.dtype)


def _grid_taps(grid_height: int, grid_width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Which four stored rows each grid row blends and how, (grid_height, 4) each; the same for the columns."""
    height = torch.full((1,), grid_height, dtype=torch.float32, device=device)
    width = torch.full((1,), grid_width, dtype=torch.float32, device=device)
    # The network was trained with grids a tenth of a patch too long, all but the training grid itself; the result
    # depends on it. Tensors instead of `if`, so that an exported graph decides at run time; tenths of a patch, so that
    # the lengths are exact.
    tenth = ((height != TRAINING_GRID) | (width != TRAINING_GRID)).float()
    rows = _cubic_taps(torch.arange(grid_height, device=device), 10 * TRAINING_GRID / (10 * height + tenth))
    columns = _cubic_taps(torch.arange(grid_width, device=device), 10 * TRAINING_GRID / (10 * width + tenth))
    return *rows, *columns


@lru_cache(maxsize=32)
def _cached_grid_taps(grid_height: int, grid_width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    with torch.inference_mode(False):  # a tensor made in inference mode could not be used outside of it
        return _grid_taps(grid_height, grid_width, device)


def _cubic_taps(index: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """The four of the 37 stored samples that output `index[i]`, `scale` samples long, blends, and their weights."""
    position = (index + 0.5) * scale - 0.5
    first = position.floor()
    t = position - first
    samples = first.long()[:, None] + torch.arange(-1, 3, device=index.device)
    weights = torch.stack([_outer(1 + t), _inner(t), _inner(1 - t), _outer(2 - t)], dim=1)
    return samples.clamp(0, TRAINING_GRID - 1), weights  # edge samples repeat


def _inner(distance: Tensor) -> Tensor:
    """Cubic weight (a = -0.75) of a sample at most 1 away."""
    return (1.25 * distance - 2.25) * distance * distance + 1


def _outer(distance: Tensor) -> Tensor:
    """Cubic weight (a = -0.75) of a sample 1 to 2 away."""
    return ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
