# SPDX-License-Identifier: Apache-2.0
"""Depth Anything V2 in PyTorch: a vision transformer with a convolutional decoder, depth from one picture.

model = load_depth_anything("depth_anything_v2_vits.pth").to(device)
size = network_size(height, width)
depth = resize_depth(model(prepare_image(image, size)), (height, width))
"""

from vizion3d.lifting.models.depth_anything.adapter import DepthAnythingModel, load
from vizion3d.lifting.models.depth_anything.checkpoint import load_depth_anything
from vizion3d.lifting.models.depth_anything.config import CONFIGS, DepthAnythingConfig
from vizion3d.lifting.models.depth_anything.model import DepthAnythingV2
from vizion3d.lifting.models.depth_anything.preprocess import network_size, prepare_image, resize_depth

__all__ = [
    "CONFIGS",
    "DepthAnythingConfig",
    "DepthAnythingModel",
    "DepthAnythingV2",
    "load",
    "load_depth_anything",
    "network_size",
    "prepare_image",
    "resize_depth",
]
