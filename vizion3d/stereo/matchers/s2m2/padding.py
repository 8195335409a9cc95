# SPDX-License-Identifier: Apache-2.0
"""Bringing images to a size the network takes."""

from functools import lru_cache

import torch
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
    height, width = framed.shape[-2:]
    blurred = averages(height, rows // STRIDE, framed.device) @ framed @ averages(width, columns // STRIDE, framed.device).T
    canvas = F.interpolate(blurred, size=(height, width), mode="bilinear", align_corners=False)
    canvas[..., top : top + rows, left : left + columns] = images
    return canvas


@lru_cache(maxsize=16)
def averages(length: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """The (count, length) matrix that averages a side of `length` pixels to `count`, each over the pixels that it touches.

    `adaptive_avg_pool2d` for one side: that of torch refuses, on Apple's GPUs, sides that are not multiples of each other.
    """
    with torch.inference_mode(False):  # a tensor made in inference mode could not be used outside of it
        matrix = torch.zeros(count, length)
        for i in range(count):
            first, end = i * length // count, -(-(i + 1) * length // count)
            matrix[i, first:end] = 1 / (end - first)
        return matrix.to(device)
