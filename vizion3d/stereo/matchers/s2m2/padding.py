# SPDX-License-Identifier: Apache-2.0
"""Bringing images to a size the network takes, and its maps back."""

from torch import Tensor
from torch.nn import functional as F

from vizion3d.errors import InputError

STRIDE = 32


def padded_size(height: int, width: int) -> tuple[int, int]:
    """The next multiples of 32.

    Raises:
        InputError: a side is shorter than 32 pixels.
    """
    if min(height, width) < STRIDE:
        raise InputError(f"image of {width} x {height} pixels: S2M2 needs at least {STRIDE} x {STRIDE}; use a larger image")
    return -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE


def pad(images: Tensor) -> Tensor:
    """Centre images (B, 3, H, W) on a canvas whose sides are multiples of 32.

    The border shows a very blurred copy of the image that darkens outwards, as in training.

    Returns:
        (B, 3, height, width) float32.

    Raises:
        InputError: a side is shorter than 32 pixels.
    """
    images = images.float()
    rows, columns = images.shape[-2:]
    height, width = padded_size(rows, columns)
    if (height, width) == (rows, columns):
        return images
    top, left = (height - rows) // 2, (width - columns) // 2
    framed = F.pad(images, (left, width - columns - left, top, height - rows - top))
    blurred = F.adaptive_avg_pool2d(framed, (rows // STRIDE, columns // STRIDE))
    canvas = F.interpolate(blurred, size=(height, width), mode="bilinear", align_corners=False)
    canvas[..., top : top + rows, left : left + columns] = images
    return canvas


def crop(maps: Tensor, height: int, width: int) -> Tensor:
    """Cut from maps (..., padded height, padded width) the part that shows an image of `height` x `width` pixels."""
    top, left = (maps.shape[-2] - height) // 2, (maps.shape[-1] - width) // 2
    return maps[..., top : top + height, left : left + width]
