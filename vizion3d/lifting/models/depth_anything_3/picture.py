# SPDX-License-Identifier: Apache-2.0
"""Picture to network input, and what the network says back to the picture and its camera."""

from __future__ import annotations

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from vizion3d.camera import PinholeCamera
from vizion3d.errors import InputError
from vizion3d.lifting.models.depth_anything.config import PATCH
from vizion3d.lifting.models.depth_anything.preprocess import as_floats, check_picture, normalised

LONG_SIDE = 504
"""Of the picture in the network, px. Metres are right at this one: they change with it."""

CANONICAL_FOCAL_PX = 300.0
"""Focal length of the camera whose depth METRIC gives."""

SKY_FROM = 0.3
"""Sky values from here on are sky."""


def network_size(height: int, width: int, long_side: int = LONG_SIDE) -> tuple[int, int]:
    """Height and width of the picture in the network.

    Raises:
        InputError: the picture is too long and thin.
    """
    return _sizes(height, width, long_side)[1]


def prepare_image(image: Tensor, long_side: int = LONG_SIDE) -> Tensor:
    """Resize and normalise a picture.

    Resized on the CPU and twice, to bytes each time, because the network was trained on pictures resized like this.

    Args:
        image: (H, W, 3) uint8, RGB.
        long_side: length that the longer side gets, px, before both become multiples of 14.

    Returns:
        (1, 3, h, w) float32 on the device of `image`.

    Raises:
        InputError: it is not such a tensor, or the picture is too long and thin.
    """
    check_picture(image)
    pixels = image.cpu().numpy()
    for height, width in _sizes(image.shape[0], image.shape[1], long_side):
        if (height, width) != pixels.shape[:2]:
            grows = height > pixels.shape[0] or width > pixels.shape[1]
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)
    return normalised(as_floats(torch.from_numpy(pixels).to(image.device)))


def resize_maps(maps: tuple[Tensor, ...], size_hw: tuple[int, int]) -> tuple[Tensor, ...]:
    """Bring (B, h, w) maps to picture size (B, H, W), by the areas of pixels as the picture was."""
    return F.interpolate(torch.stack(maps, dim=1), size_hw, mode="bilinear", align_corners=False).unbind(1)


def network_focal_px(camera: PinholeCamera, size_hw: tuple[int, int]) -> float:
    """The focal length of a camera in the pixels of the network, which sees the picture at this (height, width)."""
    inside = camera.scaled(size_hw[1] / camera.width, size_hw[0] / camera.height)
    return (inside.fx + inside.fy) / 2


def _sizes(height: int, width: int, long_side: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width after the first and after the second resizing."""
    scale = long_side / max(height, width)
    first = max(1, round(height * scale)), max(1, round(width * scale))
    second = _to_patches(first[0]), _to_patches(first[1])
    if 0 in second:
        raise InputError(
            f"a picture of {height} x {width} px is {first[0]} x {first[1]} px in the network, whose patches are {PATCH} px: "
            f"crop the picture to at most {long_side // (PATCH // 2)} times as long as it is thin"
        )
    return first, second


def _to_patches(side: int) -> int:
    """The nearest multiple of a patch; of two, the larger one."""
    return (side + PATCH // 2) // PATCH * PATCH
