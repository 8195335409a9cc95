# SPDX-License-Identifier: Apache-2.0
"""Weights that bring the maps from quarter to full resolution and then sharpen them along image edges.

Both modules give logits (B, 9, H, W) for `blend_neighbours`.
"""

import torch
from torch import Tensor, nn


class UpsampleWeights(nn.Module):
    """Weights for upsampling by 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_x = nn.ConvTranspose2d(channels, 64, 2, stride=2)
        self.conv_y = nn.Conv2d(channels, 64, 3, padding=1)
        self.conv_concat = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(128, 9, 2, stride=2))

    def forward(self, hidden: Tensor, half: Tensor) -> Tensor:
        """Weights from the hidden state (B, C, H/4, W/4) and the encoder's left features (B, C, H/2, W/2)."""
        return self.conv_concat(torch.cat((self.conv_x(hidden), self.conv_y(half)), 1))


class EdgeWeights(nn.Module):
    """Weights for the edge-guided filter at full resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_disp = nn.Sequential(nn.ConvTranspose2d(1, 16, 3, padding=1), nn.ReLU())
        self.conv_rgb = nn.Sequential(nn.ConvTranspose2d(3, 16, 3, padding=1), nn.ReLU())
        self.conv_ctx = nn.ConvTranspose2d(channels, 16, 2, stride=2)
        # In place, since at full resolution each of these maps takes as much memory as the whole network before.
        self.conv_concat = nn.Sequential(nn.Conv2d(48, 48, 3, padding=1), nn.ReLU(inplace=True), nn.ConvTranspose2d(48, 9, 1))

    def forward(self, disparity: Tensor, image: Tensor, half: Tensor) -> Tensor:
        """Make the weights.

        Args:
            disparity: (B, 1, H, W) in pixels.
            image: left image (B, 3, H, W) of range -1..1.
            half: the encoder's left features (B, C, H/2, W/2).
        """
        dtype = half.dtype
        return self.conv_concat(
            torch.cat((self.conv_disp(disparity.to(dtype)), self.conv_rgb(image.to(dtype)), self.conv_ctx(half)), 1)
        )
