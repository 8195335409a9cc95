# SPDX-License-Identifier: Apache-2.0
"""Bringing images to a size the network takes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from vizion3d.stereo.matchers.framing import margins


def pad(images: Tensor) -> Tensor:
    """Centre images (B, 3, H, W) on a canvas whose sides are multiples of 32, where their border continues; float32."""
    return F.pad(images.float(), margins(*images.shape[-2:]), mode="replicate")
