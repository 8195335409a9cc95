# SPDX-License-Identifier: Apache-2.0
"""The convolutional encoder: images to features of half and of quarter resolution."""

from torch import Tensor, nn


class Encoder(nn.Module):
    """Seven convolutions with one group normalisation and one shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(nn.Conv2d(3, 16, 1), nn.GELU(), nn.Conv2d(16, 16, 1))
        self.conv1_down = nn.Sequential(
            nn.Conv2d(16, 64, 5, stride=2, padding=2), nn.GELU(), nn.Conv2d(64, channels, 3, padding=1)
        )
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.GELU(), nn.Conv2d(channels, channels, 3, padding=1)
        )
        self.conv2_down = nn.Sequential(nn.Conv2d(channels, channels, 3, stride=2, padding=1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images (n, 3, H, W) of range -1..1.

        Returns:
            Features of quarter resolution (n, C, H/4, W/4) and of half resolution (n, C, H/2, W/2).
        """
        z = self.norm1(self.conv1_down(self.conv0(images)))
        half = z + self.conv2(z)
        return self.conv2_down(half), half
