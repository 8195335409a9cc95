# SPDX-License-Identifier: Apache-2.0
"""What networks that halve their maps five times ask of images, and how images of any size come to it."""

from __future__ import annotations

import torch
from torch import Tensor

from vizion3d.errors import InputError

STRIDE = 32
"""Both sides must be multiples of this."""


def margins(height: int, width: int) -> tuple[int, int, int, int]:
    """Columns left and right, rows above and below, as `torch.nn.functional.pad` takes them, that centre an image of this
    size on a canvas whose sides are the next multiples of 32."""
    rows, columns = -height % STRIDE, -width % STRIDE
    return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2


def crop(maps: Tensor, height: int, width: int) -> Tensor:
    """Cut from maps (..., padded height, padded width) the part that shows an image of `height` x `width` pixels."""
    top, left = (maps.shape[-2] - height) // 2, (maps.shape[-1] - width) // 2
    return maps[..., top : top + height, left : left + width]


def check_images(left: Tensor, right: Tensor, network: str) -> None:
    """Raise InputError unless the two are RGB images of one size that the network of that name takes."""
    if left.shape != right.shape:
        raise InputError(f"left image {tuple(left.shape)} and right image {tuple(right.shape)} differ in shape")
    if left.ndim != 4 or left.shape[1] != 3:
        raise InputError(f"images of shape {tuple(left.shape)}: {network} takes (batch, 3, height, width), RGB")
    height, width = left.shape[2:]
    if height < STRIDE or width < STRIDE or height % STRIDE or width % STRIDE:
        raise InputError(f"images of {width} x {height} pixels: {network} takes multiples of {STRIDE}; use `pad` and `crop`")


def check_precision(dtype: torch.dtype, network: str) -> None:
    """Raise InputError unless the network runs in this number format: float32 or float16."""
    if dtype not in (torch.float32, torch.float16):
        raise InputError(
            f"{network} with {dtype} weights: it runs in torch.float32 or, after model.half(), in torch.float16. bfloat16 "
            "is left out because it moves the disparity five times as far as float16, or more"
        )
