# SPDX-License-Identifier: Apache-2.0
"""S2M2: disparity, visibility and confidence from a rectified stereo pair."""

import torch
from torch import Tensor, nn

from vizion3d.errors import InputError
from vizion3d.stereo.matchers.blending import blend_neighbours
from vizion3d.stereo.matchers.framing import check_images, check_precision
from vizion3d.stereo.matchers.s2m2.blocks import Fuse
from vizion3d.stereo.matchers.s2m2.encoder import Encoder
from vizion3d.stereo.matchers.s2m2.lookup import cost_levels
from vizion3d.stereo.matchers.s2m2.matching import Matching
from vizion3d.stereo.matchers.s2m2.refiner import GlobalRefiner, LocalRefiner
from vizion3d.stereo.matchers.s2m2.transformer import TransformerStack
from vizion3d.stereo.matchers.s2m2.unet import Unet
from vizion3d.stereo.matchers.s2m2.upsample import EdgeWeights, UpsampleWeights


class S2M2(nn.Module):
    """The network. Its weights decide the precision: `model.half()` runs convolutions and attention in float16.

    Whatever carries pixel positions or probabilities (matching, cost lookup, the maps between iterations, upsampling)
    is float32 in either case. On float16 weights expect the disparity to move by a few hundredths of a pixel.

    Args:
        channels: feature channels, a multiple of 8: 128 (S), 192 (M), 256 (L), 384 (XL).
        transformers: number of stacked transformers: 1 (S), 2 (M), 3 (L, XL).
        positivity: never give a negative disparity. Switch off for pairs whose rectification leaves some.
        refine_iterations: steps of the local refiner, 0 or more.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(self, channels: int, transformers: int, positivity: bool = True, refine_iterations: int = 3) -> None:
        super().__init__()
        if channels < 8 or channels % 8:
            raise InputError(f"channels={channels}: must be a positive multiple of 8; the published sizes are 128 to 384")
        if transformers < 1:
            raise InputError(f"transformers={transformers}: must be at least 1; the published sizes have 1 to 3")
        if refine_iterations < 0:
            raise InputError(f"refine_iterations={refine_iterations}: must be 0 or more; the default is 3")
        self.positivity = positivity
        self.refine_iterations = refine_iterations
        self.cnn_backbone = Encoder(channels)
        self.feat_pyramid = Unet((channels, channels, 2 * channels), depth=2 * transformers, positional=True)
        self.transformer = TransformerStack(channels, transformers)
        self.disp_init = Matching(channels)
        self.upsample_mask_1x = EdgeWeights(channels)
        self.upsample_mask_4x_refine = UpsampleWeights(channels)
        self.global_refiner = GlobalRefiner(channels)
        self.feat_fusion_layer = Fuse(channels, kernel=3)
        self.refiner = LocalRefiner(channels)
        self.ctx_feat = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.GELU(), nn.Conv2d(channels, channels, 1))

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights, and with them of convolutions and attention."""
        return self.disp_init.layer_norm.weight.dtype

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Match a rectified pair.

        Args:
            left: RGB images (B, 3, H, W) of range 0..255, H and W multiples of 32 (`padding.pad` makes them so).
            right: likewise, the same shape.

        Returns:
            disparity: x_left - x_right in pixels, (B, 1, H, W) float32, for the left view.
            visibility: near 1 where the right camera sees the point too, near 0 where it does not. The network's
                authors call it occlusion.
            confidence: probability that the disparity is right.

        Raises:
            InputError: the images do not fit, or the weights are in a format the network does not run in.
        """
        check_images(left, right, "S2M2")
        check_precision(self.dtype, "S2M2")
        images = 2 * (torch.cat((left, right)).float() / 255 - 0.5)
        quarter, half = self.cnn_backbone(images.to(self.dtype))
        left_half = half.chunk(2)[0].clone()
        del half  # whose right part, as large as all maps of the pyramid, nobody needs
        pyramid = self.feat_pyramid(quarter)
        features = self.transformer(pyramid)
        disparity, confidence, visibility, cost = self.disp_init(features, self.positivity)
        if cost.dtype != torch.float32:
            raise InputError("S2M2 under torch.autocast: it would match in half precision; use model.half() instead")

        left_features, left_fine, left_image = (z.chunk(2)[0] for z in (features, pyramid[0], images))
        disparity = self.limit(self.global_refiner(left_features, disparity, confidence))
        context = self.ctx_feat(self.feat_fusion_layer(left_features, left_fine))
        hidden = context.tanh()
        costs = cost_levels(cost)
        for _ in range(self.refine_iterations):
            hidden, disparity, confidence, visibility = self.refiner(hidden, context, disparity, confidence, visibility, costs)
            disparity = self.limit(disparity)
            visibility = visibility * match_in_image(disparity)

        maps = torch.cat((4 * disparity, visibility, confidence), 1)
        maps = blend_neighbours(maps, self.upsample_mask_4x_refine(hidden, left_half))
        maps = blend_neighbours(maps, self.upsample_mask_1x(maps[:, :1], left_image, left_half))
        disparity, visibility, confidence = maps.chunk(3, 1)
        return disparity, visibility, confidence

    def limit(self, disparity: Tensor) -> Tensor:
        """Raise negative disparities to 0 if `positivity` is on."""
        return disparity.clamp(min=0) if self.positivity else disparity


def match_in_image(disparity: Tensor) -> Tensor:
    """Whether the match of a pixel lies right of the left image border, column 0 included; same shape, bool."""
    return torch.arange(disparity.shape[-1], device=disparity.device) >= disparity
