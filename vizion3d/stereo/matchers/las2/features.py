# SPDX-License-Identifier: Apache-2.0
"""Features of one image: the FasterNet-T0 backbone down to 1/32 of its size, and a pyramid back up to 1/4."""

from __future__ import annotations

from torch import Tensor, nn

from vizion3d.stereo.matchers.las2.blocks import FasterBlock, Layer, Up, instance_norm

CHANNELS = (40, 80, 160, 320)
"""Of the features at 1/4, 1/8, 1/16 and 1/32 of the image size."""
_BLOCKS = (1, 2, 8, 2)


class Features(nn.Module):
    """Backbone and pyramid."""

    def __init__(self) -> None:
        super().__init__()
        quarter, eighth, sixteenth, smallest = CHANNELS
        self.backbone = Backbone()
        self.fpn_layer4 = Up(smallest, sixteenth)
        self.fpn_layer3 = Up(sixteenth, eighth)
        self.fpn_layer2 = Up(eighth, quarter)
        edge = nn.Conv2d(quarter, quarter, 3, padding=1, padding_mode="replicate", bias=False)
        self.out_conv = Layer(edge, normed=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised images (n, 3, H, W) to features (n, C, H/k, W/k) for k = 4, 8, 16 and C = 40, 80, 160."""
        c2, c3, c4, c5 = self.backbone(images)
        p4 = self.fpn_layer4(c5, c4)
        p3 = self.fpn_layer3(p4, c3)
        p2 = self.fpn_layer2(p3, c2)
        return instance_norm(self.out_conv(p2)), p3, p4


class Backbone(nn.Module):
    """FasterNet-T0 without its classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = Embed(3, CHANNELS[0], size=4)
        before = (None, *CHANNELS[:-1])
        for i, (channels_in, channels, blocks) in enumerate(zip(before, CHANNELS, _BLOCKS, strict=True)):
            setattr(self, f"stages_{i}", Stage(channels_in, channels, blocks))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (n, 3, H, W) to features of all four sizes, the finest first."""
        z, found = self.patch_embed(images), []
        for i in range(len(CHANNELS)):
            z = getattr(self, f"stages_{i}")(z)
            found.append(z)
        return found


class Embed(nn.Module):
    """Patches of 4x4 pixels to vectors, normed."""

    def __init__(self, channels_in: int, channels: int, size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels_in, channels, size, size, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.proj(images))


class Downsample(nn.Module):
    """Squares of 2x2 positions to one, normed."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Conv2d(channels_in, channels, 2, 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, z: Tensor) -> Tensor:
        return self.norm(self.reduction(z))


class Stage(nn.Module):
    """Blocks at one size, which is half of that before unless `channels_in` is None."""

    def __init__(self, channels_in: int | None, channels: int, blocks: int) -> None:
        super().__init__()
        self.downsample = nn.Identity() if channels_in is None else Downsample(channels_in, channels)
        self.blocks = nn.Sequential(*(FasterBlock(channels, expansion=2) for _ in range(blocks)))

    def forward(self, z: Tensor) -> Tensor:
        return self.blocks(self.downsample(z))
