# SPDX-License-Identifier: Apache-2.0
"""Stacked multi-resolution transformers: the two views exchange what they see, at four resolutions."""

from torch import Tensor, nn

from vizion3d.stereo.matchers.s2m2.attention import GlobalCrossBlock, RowBlock
from vizion3d.stereo.matchers.s2m2.blocks import Down, Fuse, Up

Pyramid = tuple[Tensor, Tensor, Tensor, Tensor]


class MultiResolutionTransformer(nn.Module):
    """One pass from the finest map down to the coarsest and up again; takes and gives (z0, z1, z2, z3).

    The maps have C, C, 2C, 2C channels and 1/4, 1/8, 1/16, 1/32 of the image size. The three finer ones attend along
    image rows, where the match of a rectified pair lies; the coarsest attends everywhere.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        c, wide = channels, 2 * channels
        self.enc_attn0, self.enc_attn1, self.enc_attn2 = RowBlock(c, 1), RowBlock(c, 2), RowBlock(wide, 4)
        self.down_conv0, self.down_conv1, self.down_conv2 = Down(c, c), Down(c, wide), Down(wide, wide)
        self.down_concat1, self.down_concat2, self.down_concat3 = Fuse(c), Fuse(wide), Fuse(wide)
        self.enc_attn3s = nn.Sequential(GlobalCrossBlock(wide, 8), GlobalCrossBlock(wide, 8))
        self.dec_attn3s = nn.Sequential(GlobalCrossBlock(wide, 8), GlobalCrossBlock(wide, 8))
        self.up_conv2, self.up_conv1, self.up_conv0 = Up(wide, wide), Up(wide, c), Up(c, c)
        self.up_concat2, self.up_concat1, self.up_concat0 = Fuse(wide), Fuse(c), Fuse(c)
        self.dec_attn2, self.dec_attn1, self.dec_attn0 = RowBlock(wide, 4), RowBlock(c, 2), RowBlock(c, 1)

    def forward(self, pyramid: Pyramid) -> Pyramid:
        z0, z1, z2, z3 = pyramid
        z0 = self.enc_attn0(z0)
        z1 = self.enc_attn1(self.down_concat1(z1, self.down_conv0(z0)))
        z2 = self.enc_attn2(self.down_concat2(z2, self.down_conv1(z1)))
        z3 = self.down_concat3(z3, self.down_conv2(z2))
        z3 = self.dec_attn3s(self.enc_attn3s(z3))
        z2 = self.dec_attn2(self.up_concat2(z2, self.up_conv2(z3)))
        z1 = self.dec_attn1(self.up_concat1(z1, self.up_conv1(z2)))
        z0 = self.dec_attn0(self.up_concat0(z0, self.up_conv0(z1)))
        return z0, z1, z2, z3


class TransformerStack(nn.Module):
    """Several transformers in turn, all four maps handed from each to the next."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.uformer_list = nn.Sequential(*(MultiResolutionTransformer(channels) for _ in range(count)))

    def forward(self, pyramid: Pyramid) -> Tensor:
        """Map a pyramid of both views to the finest output of the last transformer, (2B, C, H/4, W/4)."""
        return self.uformer_list(pyramid)[0]
