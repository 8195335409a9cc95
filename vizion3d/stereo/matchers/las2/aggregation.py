# SPDX-License-Identifier: Apache-2.0
"""Aggregation: an hourglass of 2-D convolutions over the volume, whose channels are the disparities.

The left features weigh the volume at each of its three sizes.
"""

from __future__ import annotations

from torch import Tensor, nn

from vizion3d.stereo.matchers.las2.blocks import FasterBlock, conv3
from vizion3d.stereo.matchers.las2.features import CHANNELS

HYPOTHESES = 48
"""Disparities 0 to 47, in pixels of 1/4 size."""
_REACHES = (7, 11, 21)


class Aggregation(nn.Module):
    """The hourglass.

    Args:
        blocks: how many at 1/4, 1/8 and 1/16 size, the one that follows each reduction included.
        expansion: of these blocks.
    """

    def __init__(self, blocks: tuple[int, int, int], expansion: int) -> None:
        super().__init__()
        c0, c2, c4 = HYPOTHESES, 2 * HYPOTHESES, 4 * HYPOTHESES
        n0, n2, n4 = blocks
        self.conv0 = nn.Sequential(*(AggregationBlock(c0, expansion) for _ in range(n0)))
        self.att0 = FeatureAttention(CHANNELS[0], c0)
        self.conv1 = AggregationDown(c0, c2, expansion)
        self.conv2 = nn.Sequential(*(AggregationBlock(c2, expansion) for _ in range(n2 - 1)))
        self.att2 = FeatureAttention(CHANNELS[1], c2)
        self.conv3 = AggregationDown(c2, c4, expansion)
        self.conv4 = nn.Sequential(*(AggregationBlock(c4, expansion) for _ in range(n4 - 1)))
        self.att4 = FeatureAttention(CHANNELS[2], c4)
        self.conv5 = _up(c4, c2)
        self.redir2 = AggregationBlock(c2, expansion)
        self.conv6 = _up(c2, c0)
        self.redir1 = AggregationBlock(c0, expansion)

    def forward(self, volume: Tensor, p2: Tensor, p3: Tensor, p4: Tensor) -> Tensor:
        """Volume (B, 48, h, w) and left features at 1/4, 1/8 and 1/16 size to scores (B, 48, h, w), >= 0."""
        x0 = self.att0(self.conv0(volume), p2)
        x2 = self.att2(self.conv2(self.conv1(x0)), p3)
        x4 = self.att4(self.conv4(self.conv3(x2)), p4)
        y2 = (self.conv5(x4) + self.redir2(x2)).relu()
        return (self.conv6(y2) + self.redir1(x0)).relu()


class AggregationBlock(nn.Module):
    """A `FasterBlock` under the name that the checkpoints give it."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        self.block = FasterBlock(channels, expansion)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class AggregationDown(nn.Module):
    """Halve the size, normed, then a block."""

    def __init__(self, channels_in: int, channels: int, expansion: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(conv3(channels_in, channels, stride=2), nn.BatchNorm2d(channels))
        self.block = FasterBlock(channels, expansion)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.proj(x))


class FeatureAttention(nn.Module):
    """Multiply the volume by what left features say of each disparity, seen over three reaches along row and column."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(features, channels, 1)
        for i, reach in enumerate(_REACHES):
            along_row, along_column = (
                nn.Conv2d(channels, channels, kernel, padding=(kernel[0] // 2, kernel[1] // 2), groups=channels)
                for kernel in ((1, reach), (reach, 1))
            )
            setattr(self, f"conv{i}_1", along_row)
            setattr(self, f"conv{i}_2", along_column)
        self.conv3 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        seen = self.conv0(features)
        total = seen
        for i in range(len(_REACHES)):
            along_row, along_column = getattr(self, f"conv{i}_1"), getattr(self, f"conv{i}_2")
            total = total + along_column(along_row(seen))
        return x * self.conv3(total)


def _up(channels_in: int, channels: int) -> nn.Sequential:
    """Double the size, normed."""
    deconvolution = nn.ConvTranspose2d(channels_in, channels, 3, 2, padding=1, output_padding=1, bias=False)
    return nn.Sequential(deconvolution, nn.BatchNorm2d(channels))
