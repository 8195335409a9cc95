# SPDX-License-Identifier: Apache-2.0
"""Lite Any Stereo V2 (LAS2): disparity and its confidence from a rectified stereo pair, by 2-D convolutions alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizion3d.stereo.matchers.blending import blend_neighbours
from vizion3d.stereo.matchers.framing import check_images, check_precision
from vizion3d.stereo.matchers.las2.aggregation import HYPOTHESES, Aggregation
from vizion3d.stereo.matchers.las2.blocks import Layer, Up, conv3, double, instance_norm
from vizion3d.stereo.matchers.las2.features import CHANNELS, Features

MAX_DISPARITY = 4.0 * (HYPOTHESES - 1)
"""Largest disparity that the network can answer, in pixels of the images it is given; what has more comes out wrong."""
SIZES = {"S": ((1, 2, 4), 4), "M": ((4, 8, 16), 4), "L": ((8, 16, 32), 8)}
"""Blocks and expansion of the published networks."""

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class LAS2(nn.Module):
    """The network. Its weights decide the precision: `model.half()` runs convolutions in float16.

    What tells sub-pixel positions apart (scores to disparity, upsampling) and norms over a whole image are float32 in
    either case. On float16 weights expect the disparity to move by a few hundredths of a pixel.

    Args:
        blocks: of the aggregation at its three sizes, see `SIZES`.
        expansion: of these blocks.
    """

    def __init__(self, blocks: tuple[int, int, int], expansion: int) -> None:
        super().__init__()
        fine = CHANNELS[0]
        self.fnet = Features()
        self.cost_agg = Aggregation(blocks, expansion)
        self.refine_1 = nn.Sequential(*(Layer(conv3(fine, fine), normed=False) for _ in range(2)))
        self.stem_2 = nn.Sequential(Layer(conv3(3, 16, stride=2)), Layer(conv3(16, 16)))
        self.refine_2 = Up(fine, 16)
        self.refine_3 = Layer(double(16, 9), normed=False)

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights, and with them of convolutions."""
        return next(self.parameters()).dtype

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Match a rectified pair.

        Args:
            left: RGB images (B, 3, H, W) of range 0..255, H and W multiples of 32 (`padding.pad` makes them so).
            right: likewise, the same shape.

        Returns:
            disparity: x_left - x_right in pixels, (B, 1, H, W) float32, 0 to `MAX_DISPARITY`, for the left view.
            confidence: 0..1, the mass of the scores around the answer; not of the authors' making, see `read_scores`.

        Raises:
            InputError: the images do not fit, or the weights are in a format the network does not run in.
        """
        check_images(left, right, "LAS2")
        check_precision(self.dtype, "LAS2")
        images = normalise(torch.cat((left, right)).float()).to(self.dtype)
        (p2, p2_right), (p3, _), (p4, _) = (features.chunk(2) for features in self.fnet(images))
        scores = self.cost_agg(correlation(p2, p2_right), p2, p3, p4)
        return answer(scores, self.blend_logits(p2, images.chunk(2)[0]))

    def blend_logits(self, p2: Tensor, image: Tensor) -> Tensor:
        """Weights of upsampling (B, 9, H, W) from left features (B, 40, H/4, W/4) and the normalised left image."""
        first, second = self.refine_1
        coarse = instance_norm(second(F.leaky_relu(instance_norm(first(p2)), 0.01))).relu()
        first, second = self.stem_2
        fine = second(F.leaky_relu(first(image), 0.01)).relu()
        return self.refine_3(self.refine_2(coarse, fine))


def normalise(images: Tensor) -> Tensor:
    """RGB images of range 0..255 in the means and deviations of ImageNet."""
    # Channel by channel with plain numbers: a tensor of the three would be brought to the device in each frame.
    channels = zip(images.split(1, 1), _MEAN, _STD, strict=True)
    return torch.cat([(channel / 255 - mean) / deviation for channel, mean, deviation in channels], 1)


def correlation(left: Tensor, right: Tensor) -> Tensor:
    """Mean product of left and right features (B, C, h, w) at disparities 0 to 47: (B, 48, h, w), 0 outside the right image."""
    batch, channels, height, width = left.shape
    # Rows as products of matrices: all x of the left image, and one more, by all of the right one, nearest hypothesis first.
    rows = F.pad(left / channels, (0, 1)).permute(0, 2, 3, 1)
    columns = F.pad(right, (HYPOTHESES - 1, 0)).permute(0, 2, 1, 3)
    products = (rows @ columns).flatten(2)
    # Read with rows longer by one, each begins one column later: at the largest disparity of its x.
    skewed = products[..., : width * (columns.shape[-1] + 1)].reshape(batch, height, width, -1)
    return skewed[..., :HYPOTHESES].flip(-1).permute(0, 3, 1, 2)


def read_scores(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Disparity and confidence from the scores of the hypotheses, (B, 48, h, w).

    Returns:
        The expected disparity in pixels of 1/4 size, and the probability within one such pixel of it, fading to none at
        two, both (B, 1, h, w) float32. Where all hypotheses are alike it is 3/48; where two far ones share the
        probability, whose mean is right for neither, about 0.
    """
    probability = scores.float().softmax(1)
    hypotheses = torch.arange(HYPOTHESES, dtype=torch.float32, device=scores.device).reshape(-1, 1, 1)
    disparity = (probability * hypotheses).sum(1, keepdim=True)
    near = (2 - (hypotheses - disparity).abs()).clamp(0, 1)
    return disparity, (probability * near).sum(1, keepdim=True)


def answer(scores: Tensor, blend_logits: Tensor) -> tuple[Tensor, Tensor]:
    """Disparity in pixels and confidence (B, 1, H, W) from scores (B, 48, H/4, W/4) and weights of upsampling (B, 9, H, W)."""
    disparity, confidence = read_scores(scores)
    maps = blend_neighbours(torch.cat((4 * disparity, confidence), 1), blend_logits, beyond="constant")
    return maps[:, :1], maps[:, 1:].clamp(0, 1)
