# SPDX-License-Identifier: Apache-2.0
"""The encoder: a DINOv2 vision transformer that hands out four of its block outputs.

Attribute names are those of the published weight files.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vizion3d.errors import InputError
from vizion3d.lifting.models.depth_anything.config import PATCH, TRAINING_GRID, DepthAnythingConfig
from vizion3d.lifting.models.depth_anything.position import position_table

# Normalisation kernels compute in float32 for half-precision inputs too, so LayerNorm needs no casts of its own.
NORM_EPS = 1e-6


class Backbone(nn.Module):
    """Picture to four maps of tokens.

    Args:
        config: the widths and depths.
    """

    def __init__(self, config: DepthAnythingConfig) -> None:
        super().__init__()
        self.taps = config.taps
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + TRAINING_GRID**2, config.width))
        if config.unused_tensors:
            self.mask_token = nn.Parameter(torch.zeros(1, config.width))  # used in training only
        self.patch_embed = PatchEmbed(config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width, eps=config.final_norm_eps)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode a picture.

        Args:
            x: (B, 3, h, w), normalised; h and w are multiples of 14.

        Returns:
            Four normalised maps (B, width, h / 14, w / 14), from the first tap to the last.

        Raises:
            InputError: h or w is not a multiple of 14.
        """
        height, width = x.shape[-2:]
        if height % PATCH or width % PATCH:
            raise InputError(
                f"the network input is {height} x {width} px; height and width must be multiples of {PATCH}: "
                "prepare the picture with network_size and prepare_image"
            )
        patches = self.patch_embed(x)
        grid = patches.shape[-2:]
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + position_table(self.pos_embed, *grid)
        maps = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in self.taps:
                maps.append(self.norm(tokens)[:, 1:].transpose(1, 2).unflatten(2, grid))
        return maps


class PatchEmbed(nn.Module):
    """Each 14 x 14 patch to one token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class Block(nn.Module):
    """Attention, then feed-forward, each on normalised tokens and added with a learned scale."""

    def __init__(self, config: DepthAnythingConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.attn = Attention(config.width, config.heads)
        self.ls1 = LayerScale(config.width)
        self.norm2 = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.mlp = SwiGLU(config.width) if config.swiglu else Mlp(config.width)
        self.ls2 = LayerScale(config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Attention(nn.Module):
    """Every token attends to every token."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(2, (3, self.heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Feed-forward layer of the small, base and large network."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SwiGLU(nn.Module):
    """Gated feed-forward layer of the giant network."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = -(-(4 * width * 2 // 3) // 8) * 8  # two thirds of the plain layer, up to the next multiple of 8
        self.w12 = nn.Linear(width, 2 * inner)
        self.w3 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class LayerScale(nn.Module):
    """One learned factor per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma
