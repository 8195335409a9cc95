# SPDX-License-Identifier: Apache-2.0
"""Stands in for a trained LAS2: scores from a census of the images instead of a network, everything after them as it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizion3d.stereo.matchers.las2.model import answer, correlation

_SHARPNESS = 40
_REACH = 2


class CensusNetwork(nn.Module):
    """In and out as `LAS2`: compares which neighbours within two pixels are brighter, at quarter size."""

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        volume = correlation(*(census(F.avg_pool2d(image.mean(1, keepdim=True), 4)) for image in (left, right)))
        scores = _SHARPNESS * F.avg_pool2d(volume, 5, 1, _REACH, count_include_pad=False)
        blend_logits = torch.zeros(1, 9, *left.shape[-2:])
        blend_logits[:, 4] = 3
        return answer(scores, blend_logits)


def census(image: Tensor) -> Tensor:
    """(B, 1, h, w) -> (B, 24, h, w), for each neighbour 1 if it is brighter and -1 if it is darker."""
    height, width = image.shape[-2:]
    padded = F.pad(image, [_REACH] * 4, mode="replicate")
    shifts = [(dy, dx) for dy in range(5) for dx in range(5) if (dy, dx) != (_REACH, _REACH)]
    return torch.cat([(padded[..., dy : dy + height, dx : dx + width] - image).sign() for dy, dx in shifts], 1)
