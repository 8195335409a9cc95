# SPDX-License-Identifier: Apache-2.0
"""What the networks of the Depth Anything family differ in, and the four published sizes of version 2."""

from dataclasses import dataclass

PATCH = 14
"""Side of one patch in px; network inputs are multiples of it."""

TRAINING_GRID = 37
"""Patches per side of the training picture (518 px), and so of the stored position table."""


@dataclass(frozen=True)
class DepthAnythingConfig:
    """Widths and depths of one network.

    Attributes:
        width: channels of a token.
        blocks: number of transformer blocks.
        heads: attention heads; `width` is a multiple of it.
        taps: the four blocks (counted from 0, ascending) whose outputs the decoder reads.
        decoder_width: channels of the decoder's fusion path.
        reassemble_widths: channels of the four taps when they enter the decoder, finest map first.
        swiglu: gated feed-forward layers instead of plain ones.
        final_norm_eps: of the layer norm after the tapped blocks.
        sky: there is a second output, which tells the sky.
        unused_tensors: hold what the files of version 2 carry although nothing evaluates it.
    """

    width: int
    blocks: int
    heads: int
    taps: tuple[int, int, int, int]
    decoder_width: int
    reassemble_widths: tuple[int, int, int, int]
    swiglu: bool = False
    final_norm_eps: float = 1e-6
    sky: bool = False
    unused_tensors: bool = True


CONFIGS = {
    "vits": DepthAnythingConfig(384, 12, 6, (2, 5, 8, 11), 64, (48, 96, 192, 384)),
    "vitb": DepthAnythingConfig(768, 12, 12, (2, 5, 8, 11), 128, (96, 192, 384, 768)),
    "vitl": DepthAnythingConfig(1024, 24, 16, (4, 11, 17, 23), 256, (256, 512, 1024, 1024)),
    "vitg": DepthAnythingConfig(1536, 40, 24, (9, 19, 29, 39), 384, (1536, 1536, 1536, 1536), swiglu=True),
}
