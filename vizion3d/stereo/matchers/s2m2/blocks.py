# SPDX-License-Identifier: Apache-2.0
"""Convolutional blocks that several parts of S2M2 share. All maps are (batch, channels, rows, columns)."""

import torch
from torch import Tensor, nn


class Fuse(nn.Module):
    """Gated fusion of two maps: learned mix plus gated blend, `mix + gate * own + (1 - gate) * other`."""

    def __init__(self, channels: int, kernel: int = 1) -> None:
        super().__init__()
        both = 2 * channels
        self.feature_gate = nn.Sequential(
            nn.Conv2d(both, channels, kernel, padding=kernel // 2), nn.GELU(), nn.Conv2d(channels, channels, 1)
        )
        self.feature_fusion = nn.Sequential(
            nn.Conv2d(both, both, kernel, padding=kernel // 2), nn.GELU(), nn.Conv2d(both, channels, 1)
        )

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """Fuse the level's own map with the one that arrives from another level, both (n, channels, r, c)."""
        both = torch.cat((own, other), 1)
        gate = self.feature_gate(both).sigmoid().clamp(0.01, 0.99)
        return self.feature_fusion(both) + gate * own + (1 - gate) * other


class Mix(nn.Module):
    """Two parallel branches, 3x3 with GELU and 1x1 with ReLU, summed; there is no shortcut around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.GELU(), nn.Conv2d(channels, channels, 3, padding=1)
        )
        self.convs_1x = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, channels, 1))

    def forward(self, z: Tensor) -> Tensor:
        """Map (n, channels, r, c) to the same shape."""
        return self.convs(z) + self.convs_1x(z)


class Down(nn.Sequential):
    """Halve the size by averaging, then change the channels: (n, a, r, c) to (n, b, r/2, c/2)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(nn.AvgPool2d(2), nn.Conv2d(channels_in, channels_out, 1))


class Up(nn.Sequential):
    """Double the size bilinearly and change the channels: (n, a, r, c) to (n, b, 2r, 2c)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(channels_in, channels_out, 1))

    def forward(self, z: Tensor) -> Tensor:
        # The two steps commute, since interpolation weights sum to one. At the small size the convolution costs a
        # quarter; the checkpoint numbers the steps the other way round.
        upsample, convolve = self
        return upsample(convolve(z))


def clamped_logit(probability: Tensor, margin: float) -> Tensor:
    """Log-odds in float32 of a probability kept `margin` away from 0 and 1."""
    return torch.logit(probability.float().clamp(margin, 1 - margin))
