# SPDX-License-Identifier: Apache-2.0
"""The decoder: four maps of the encoder fused from coarse to fine into one value per pixel (DPT).

Attribute names are those of the published weight files.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vizion3d.lifting.models.depth_anything.config import PATCH, DepthAnythingConfig


class DepthHead(nn.Module):
    """Four encoder maps to the raw depth value of every pixel.

    Args:
        config: the widths and depths.
    """

    def __init__(self, config: DepthAnythingConfig) -> None:
        super().__init__()
        c1, c2, c3, c4 = config.reassemble_widths
        self.projects = nn.ModuleList(nn.Conv2d(config.width, c, 1) for c in (c1, c2, c3, c4))
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(c1, c1, 4, 4),
                nn.ConvTranspose2d(c2, c2, 2, 2),
                nn.Identity(),
                nn.Conv2d(c4, c4, 3, 2, 1),
            ]
        )
        self.scratch = Fusion(config)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Decode.

        Args:
            maps: four encoder maps (B, width, h / 14, w / 14).

        Returns:
            (B, 1, h, w), before the activation that makes it a depth; with the raw value of the sky (B, 2, h, w).
        """
        pyramid = [self.resize_layers[tap](self.projects[tap](feature)) for tap, feature in enumerate(maps)]
        height, width = maps[0].shape[-2:]
        return self.scratch(pyramid, (PATCH * height, PATCH * width))


class Fusion(nn.Module):
    """The path from the coarsest map to the picture."""

    def __init__(self, config: DepthAnythingConfig) -> None:
        super().__init__()
        width = config.decoder_width
        c1, c2, c3, c4 = config.reassemble_widths
        self.layer1_rn = nn.Conv2d(c1, width, 3, padding=1, bias=False)
        self.layer2_rn = nn.Conv2d(c2, width, 3, padding=1, bias=False)
        self.layer3_rn = nn.Conv2d(c3, width, 3, padding=1, bias=False)
        self.layer4_rn = nn.Conv2d(c4, width, 3, padding=1, bias=False)
        self.refinenet1 = FusionBlock(width)
        self.refinenet2 = FusionBlock(width)
        self.refinenet3 = FusionBlock(width)
        self.refinenet4 = FusionBlock(width, has_finer=config.unused_tensors)
        self.output_conv1 = nn.Conv2d(width, width // 2, 3, padding=1)
        self.output_conv2 = _output(width // 2)
        self.sky_output_conv2 = _output(width // 2) if config.sky else None

    def forward(self, pyramid: list[Tensor], size_hw: tuple[int, int]) -> Tensor:
        map1 = self.layer1_rn(pyramid[0])
        map2 = self.layer2_rn(pyramid[1])
        map3 = self.layer3_rn(pyramid[2])
        map4 = self.layer4_rn(pyramid[3])
        height, width = map1.shape[-2:]
        path = self.refinenet4(map4, None, map3.shape[-2:])
        path = self.refinenet3(path, map3, map2.shape[-2:])
        path = self.refinenet2(path, map2, map1.shape[-2:])
        path = self.refinenet1(path, map1, (2 * height, 2 * width))
        features = resize_corners(self.output_conv1(path), size_hw)
        value = self.output_conv2(features)
        return value if self.sky_output_conv2 is None else torch.cat([value, self.sky_output_conv2(features)], dim=1)


class FusionBlock(nn.Module):
    """Adds a finer map to the path and enlarges the sum."""

    def __init__(self, width: int, *, has_finer: bool = True) -> None:
        super().__init__()
        if has_finer:  # the files of version 2 hold it also where there is none
            self.resConfUnit1 = ResidualUnit(width)
        self.resConfUnit2 = ResidualUnit(width)
        self.out_conv = nn.Conv2d(width, width, 1)

    def forward(self, path: Tensor, finer: Tensor | None, size_hw: tuple[int, int]) -> Tensor:
        if finer is not None:
            path = path + self.resConfUnit1(finer)
        # The 1 x 1 convolution and the resizing commute; on the smaller map it costs a quarter.
        return resize_corners(self.out_conv(self.resConfUnit2(path)), size_hw)


class ResidualUnit(nn.Module):
    """Two convolutions added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


def _output(width: int) -> nn.Sequential:
    """The last layers: features to one value per pixel."""
    return nn.Sequential(nn.Conv2d(width, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, 1))


def resize_corners(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Bilinear resizing of (B, C, h, w) that keeps the centres of the corner pixels in place."""
    return F.interpolate(x, size_hw, mode="bilinear", align_corners=True)
