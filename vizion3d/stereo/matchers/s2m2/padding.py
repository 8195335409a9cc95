# SPDX-License-Identifier: Apache-2.0
"""Bringing images to a size the network takes."""

from torch import Tensor
from torch.nn import functional as F

from vizion3d.errors import InputError
from vizion3d.stereo.matchers.framing import STRIDE, margins


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
    if min(rows, columns) < STRIDE:
        raise InputError(f"image of {columns} x {rows} pixels: S2M2 needs at least {STRIDE} x {STRIDE}; use a larger image")
    border = margins(rows, columns)
    if not any(border):
        return images
    left, _, top, _ = border
    framed = F.pad(images, border)
    blurred = F.adaptive_avg_pool2d(framed, (rows // STRIDE, columns // STRIDE))
    canvas = F.interpolate(blurred, size=framed.shape[-2:], mode="bilinear", align_corners=False)
    canvas[..., top : top + rows, left : left + columns] = images
    return canvas
