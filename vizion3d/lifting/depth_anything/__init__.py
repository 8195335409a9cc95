# SPDX-License-Identifier: Apache-2.0
"""Depth Anything V2 in PyTorch: a vision transformer with a convolutional decoder, depth from one picture.

model = load_depth_anything("depth_anything_v2_vits.pth").to(device)
size = network_size(height, width)
depth = resize_depth(model(prepare_image(image, size)), (height, width))
"""

from .checkpoint import load_depth_anything
from .config import CONFIGS, DepthAnythingConfig
from .model import DepthAnythingV2
from .preprocess import network_size, prepare_image, resize_depth

__all__ = [
    "CONFIGS",
    "DepthAnythingConfig",
    "DepthAnythingV2",
    "load_depth_anything",
    "network_size",
    "prepare_image",
    "resize_depth",
]
