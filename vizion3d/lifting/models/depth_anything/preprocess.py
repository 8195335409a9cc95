# SPDX-License-Identifier: Apache-2.0
"""Picture to network input and depth back to the picture, on the device that holds the picture."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vizion3d.errors import InputError
from vizion3d.lifting.models.depth_anything.config import PATCH
from vizion3d.lifting.models.depth_anything.head import resize_corners

MEAN_RGB = (0.485, 0.456, 0.406)
STD_RGB = (0.229, 0.224, 0.225)

# The rule bounds only the shorter side, so a strip of a picture would grow without limit. This many patches admit
# nearly 12:1 at input_size 518 and 4:3 at 1540, and let the largest decoder hold its maps in some 10 GB in float32.
MAX_PATCHES = 16384


def network_size(height: int, width: int, input_size: int = 518) -> tuple[int, int]:
    """The size at which the network looks at a picture.

    The shorter side becomes `input_size` (up to a multiple of 14), the longer one follows, rounded to a multiple of 14.

    Args:
        height: picture height in px.
        width: picture width in px.
        input_size: wanted length of the shorter side in px. Larger sees finer structures and takes longer.

    Returns:
        Network height and width in px.

    Raises:
        InputError: the picture is empty, `input_size` is not positive, or the picture is so long that the network
            input would have more than 16384 patches.
    """
    if height < 1 or width < 1:
        raise InputError(f"the picture is {height} x {width} px; height and width must be at least 1")
    if input_size < 1:
        raise InputError(f"input_size is {input_size}; it must be a positive number of px, for example 518")
    size_hw = _unbounded_size(height, width, input_size)
    if _patches(size_hw) > MAX_PATCHES:
        smaller = range((input_size - 1) // PATCH * PATCH, 0, -PATCH)
        fitting = next((s for s in smaller if _patches(_unbounded_size(height, width, s)) <= MAX_PATCHES), None)
        advice = "crop the picture" if fitting is None else f"crop the picture or use input_size={fitting} or less"
        raise InputError(
            f"a picture of {height} x {width} px at input_size={input_size} needs a network input of "
            f"{size_hw[0]} x {size_hw[1]} px, {_patches(size_hw)} patches; at most {MAX_PATCHES} are allowed: {advice}"
        )
    return size_hw


def prepare_image(image: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize and normalise a picture.

    Args:
        image: (H, W, 3) uint8, RGB. Move it to the device first: bytes are a quarter of the floats.
        size_hw: network height and width from `network_size`.

    Returns:
        (1, 3, h, w) float32 on the device of `image`.

    Raises:
        InputError: `image` has another shape or dtype.
    """
    check_picture(image)
    x = as_floats(image)
    # Neither antialiased nor clamped, even when shrinking: the network was trained on pictures resized like this.
    # On Apple's GPUs older torch has no bicubic resizing.
    source = x.cpu() if x.device.type == "mps" else x
    x = F.interpolate(source, size_hw, mode="bicubic", align_corners=False, antialias=False).to(x.device)
    return normalised(x)


def check_picture(image: Tensor) -> None:
    """Raise `InputError` unless this is a (H, W, 3) uint8 tensor with pixels."""
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.numel() == 0:
        raise InputError(
            f"the picture is {tuple(image.shape)} {str(image.dtype).removeprefix('torch.')}; "
            "it must be a non-empty (H, W, 3) uint8 tensor in RGB order"
        )


def as_floats(image: Tensor) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 from 0 to 1."""
    return image.permute(2, 0, 1)[None].float() / 255


def normalised(x: Tensor) -> Tensor:
    """(B, 3, h, w) from 0 to 1 -> the same in the mean and spread of the training pictures."""
    mean, std = _mean_and_deviation(x.device)
    return (x - mean) / std


@lru_cache(maxsize=4)
def _mean_and_deviation(device: torch.device) -> tuple[Tensor, Tensor]:
    """(3, 1, 1) each, brought to a device once: to bring them there would make it wait in each frame."""
    with torch.inference_mode(False):  # tensors made in inference mode could not be used outside of it
        mean, deviation = (torch.tensor(values, device=device).view(3, 1, 1) for values in (MEAN_RGB, STD_RGB))
    return mean, deviation


def resize_depth(depth: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Bring depth maps from network size to picture size.

    Args:
        depth: (B, h, w), the network's output.
        size_hw: picture height and width.

    Returns:
        (B, H, W) float32 on the device of `depth`.
    """
    return resize_corners(depth.float()[:, None], size_hw)[:, 0]


def _unbounded_size(height: int, width: int, input_size: int) -> tuple[int, int]:
    scale = max(input_size / height, input_size / width)

    def side(length: int) -> int:
        scaled = scale * length
        nearest = PATCH * round(scaled / PATCH)
        return nearest if nearest >= input_size else PATCH * math.ceil(scaled / PATCH)

    return side(height), side(width)


def _patches(size_hw: tuple[int, int]) -> int:
    return (size_hw[0] // PATCH) * (size_hw[1] // PATCH)
