# SPDX-License-Identifier: Apache-2.0
"""Convolutional blocks that several parts of LAS2 share. All maps are (batch, channels, rows, columns).

No convolution here has a bias, since most are followed by a norm. Batch norms are used with their running statistics,
and `fold_norms` takes them away in what a matcher runs.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


def instance_norm(z: Tensor) -> Tensor:
    """Each channel of each image with mean 0 and variance 1; in float32, where float16 has no 1e-5 to add."""
    return F.instance_norm(z.float()).to(z.dtype)


class Layer(nn.Module):
    """A convolution and, if there is one, its batch norm; what is done to the result afterwards is said where it is used."""

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d, normed: bool = True) -> None:
        super().__init__()
        self.block = nn.Sequential(convolution, *([nn.BatchNorm2d(convolution.out_channels)] if normed else []))

    def forward(self, z: Tensor) -> Tensor:
        return self.block(z)


def conv3(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution that keeps the size, or divides it by the stride."""
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)


def double(channels_in: int, channels_out: int) -> nn.ConvTranspose2d:
    """4x4 transposed convolution that doubles the size."""
    return nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False)


def fold_norms(network: nn.Module) -> None:
    """Multiply each batch norm into the convolution before it, in place. In all blocks it follows that one as a child."""
    for block in [*network.modules()]:
        for (name, child), (norm_name, norm) in pairwise([*block.named_children()]):
            if isinstance(norm, nn.BatchNorm2d) and isinstance(child, (nn.Conv2d, nn.ConvTranspose2d)):
                setattr(block, name, fuse_conv_bn_eval(child, norm, transpose=isinstance(child, nn.ConvTranspose2d)))
                setattr(block, norm_name, nn.Identity())


class PartialConv(nn.Module):
    """3x3 convolution of the first quarter of the channels; the others pass."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.partial_conv3 = conv3(channels // 4, channels // 4)

    def forward(self, z: Tensor) -> Tensor:
        quarter = self.partial_conv3.in_channels
        return torch.cat((self.partial_conv3(z[:, :quarter]), z[:, quarter:]), 1)


class FasterBlock(nn.Module):
    """The block of FasterNet: a partial convolution, then two layers on each pixel, with a shortcut around all of it.

    Args:
        channels: a multiple of 4.
        expansion: how many times as many channels lie between the two layers.
    """

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * channels
        self.spatial_mixing = PartialConv(channels)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.GELU(),
            nn.Conv2d(inner, channels, 1, bias=False),
        )

    def forward(self, z: Tensor) -> Tensor:
        return z + self.mlp(self.spatial_mixing(z))


class Up(nn.Module):
    """Double a coarse map and join it with a finer one: (n, a, r, c) and (n, b, 2r, 2c) to (n, b, 2r, 2c)."""

    def __init__(self, coarse_channels: int, channels: int) -> None:
        super().__init__()
        self.deconv = Layer(double(coarse_channels, channels))
        self.conv = Layer(conv3(2 * channels, channels))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        doubled = F.leaky_relu(self.deconv(coarse), 0.2)
        return F.leaky_relu(self.conv(torch.cat((fine, doubled), 1)), 0.2)
