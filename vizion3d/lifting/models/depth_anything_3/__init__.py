# SPDX-License-Identifier: Apache-2.0
"""Depth Anything 3 for single pictures: encoder and decoder of version 2, a depth that may become metres, and the sky.

model = load_depth_anything_3("DA3METRIC-LARGE/model.safetensors").to(device)
x = prepare_image(image)
depth, sky = resize_maps(model(x), image.shape[:2])
depth_m = depth * network_focal_px(camera, x.shape[-2:]) / CANONICAL_FOCAL_PX
"""

from vizion3d.lifting.models.depth_anything_3.adapter import DepthAnything3Model, load
from vizion3d.lifting.models.depth_anything_3.checkpoint import load_depth_anything_3
from vizion3d.lifting.models.depth_anything_3.model import CONFIGS, DepthAnything3
from vizion3d.lifting.models.depth_anything_3.picture import (
    CANONICAL_FOCAL_PX,
    SKY_FROM,
    network_focal_px,
    network_size,
    prepare_image,
    resize_maps,
)

__all__ = [
    "CANONICAL_FOCAL_PX",
    "CONFIGS",
    "SKY_FROM",
    "DepthAnything3",
    "DepthAnything3Model",
    "load",
    "load_depth_anything_3",
    "network_focal_px",
    "network_size",
    "prepare_image",
    "resize_maps",
]
