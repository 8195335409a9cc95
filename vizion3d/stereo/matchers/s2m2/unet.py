# SPDX-License-Identifier: Apache-2.0
"""The U-net that S2M2 uses as feature pyramid and inside both refiners."""

from torch import Tensor, nn

from vizion3d.stereo.matchers.s2m2.attention import GlobalBlock, PositionalGlobalBlock, PositionalGlobalBlocks
from vizion3d.stereo.matchers.s2m2.blocks import Down, Fuse, Mix, Up

_HEADS = 8


class Unet(nn.Module):
    """Three levels of convolutions with global self-attention at the coarsest, fourth one.

    Args:
        channels: channels of the finest level, of the next, and of the two coarsest.
        depth: attention blocks on the way in, and as many on the way out.
        positional: whether the blocks on the way in know relative positions.
    """

    def __init__(self, channels: tuple[int, int, int], depth: int, positional: bool = False) -> None:
        super().__init__()
        d0, d1, d2 = channels
        self.enc0, self.enc1, self.enc2 = Mix(d0), Mix(d1), Mix(d2)
        self.down_conv0, self.down_conv1, self.down_conv2 = Down(d0, d1), Down(d1, d2), Down(d2, d2)
        self.enc3s: nn.Sequential
        if positional:
            self.enc3s = PositionalGlobalBlocks(*(PositionalGlobalBlock(d2, _HEADS) for _ in range(depth)))
        else:
            self.enc3s = nn.Sequential(*(GlobalBlock(d2, _HEADS) for _ in range(depth)))
        self.dec3s = nn.Sequential(*(GlobalBlock(d2, _HEADS) for _ in range(depth)))
        self.up_conv2, self.up_conv1, self.up_conv0 = Up(d2, d2), Up(d2, d1), Up(d1, d0)
        self.concat_conv2, self.concat_conv1, self.concat_conv0 = Fuse(d2), Fuse(d1), Fuse(d0)
        self.dec2, self.dec1, self.dec0 = Mix(d2), Mix(d1), Mix(d0)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map (n, d0, r, c), r and c multiples of 8, to four maps of 1, 1/2, 1/4 and 1/8 the size."""
        e0 = self.enc0(z)
        e1 = self.enc1(self.down_conv0(e0))
        e2 = self.enc2(self.down_conv1(e1))
        y3 = self.dec3s(self.enc3s(self.down_conv2(e2)))
        y2 = self.dec2(self.concat_conv2(e2, self.up_conv2(y3)))
        y1 = self.dec1(self.concat_conv1(e1, self.up_conv1(y2)))
        y0 = self.dec0(self.concat_conv0(e0, self.up_conv0(y1)))
        return y0, y1, y2, y3
