# SPDX-License-Identifier: Apache-2.0
"""Matching by optimal transport: every left pixel is assigned a right pixel of its row, or none.

All in float32: column numbers of up to a few hundred are multiplied with probabilities, and half precision cannot tell
neighbouring sub-pixel positions apart there.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SINKHORN_ROUNDS = 3
_WINDOW = 2


class Matching(nn.Module):
    """First disparity, confidence and visibility from the features of both views."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(channels)

    def forward(self, features: Tensor, positivity: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Match features (2B, C, h, w).

        Args:
            features: left views, then right views.
            positivity: forbid matches to the right of the left pixel, that is, negative disparities.

        Returns:
            Disparity in pixels of this grid, confidence and visibility, each (B, 1, h, w), and the cost volume
            (B, h, w, w) without the prohibition. All float32.
        """
        cost = self.cost_volume(features)
        matches = read_matches(transport(forbid_negative(cost) if positivity else cost))
        return *matches, cost

    def cost_volume(self, features: Tensor) -> Tensor:
        """Products of all left and right features of a row: (2B, C, h, w) to (B, h, left column, right column).

        It takes 4·B·h·w² bytes, 31 MB for an image of 960 x 544, and the transport a few times that for a moment.
        """
        norm = self.layer_norm
        tokens = features.permute(0, 2, 3, 1).float()
        tokens = F.layer_norm(tokens, norm.normalized_shape, norm.weight.float(), norm.bias.float(), norm.eps)
        left, right = tokens.chunk(2)
        return left @ right.transpose(-1, -2)


def forbid_negative(cost: Tensor) -> Tensor:
    """Rule out, in a copy, every right column that lies beyond the left one."""
    beyond = torch.ones(cost.shape[-2:], dtype=torch.bool, device=cost.device).triu(1)
    return cost.masked_fill(beyond, -math.inf)


def transport(scores: Tensor) -> Tensor:
    """Entropic optimal transport between the pixels of a left and a right row, by Sinkhorn's iteration.

    A pixel may also go to a dustbin of score 0, which can hold as much as all pixels together. The left side is
    balanced last: a row of the result and its share of the dustbin sum to 1, the columns nearly so.

    Args:
        scores: (B, h, w, w) float32, left before right; minus infinity forbids a match.

    Returns:
        Probability of each match, same shape.
    """
    width = scores.shape[-1]
    scores = F.pad(scores, (0, 1, 0, 1))
    log_mass = F.pad(scores.new_full((width,), -math.log(2 * width)), (0, 1), value=-math.log(2))
    row_shift = torch.zeros_like(scores[..., :1])
    for _ in range(_SINKHORN_ROUNDS):
        column_shift = log_mass - torch.logsumexp(scores + row_shift, -2, keepdim=True)
        row_shift = log_mass[:, None] - torch.logsumexp(scores + column_shift, -1, keepdim=True)
    plan = scores + row_shift + column_shift + math.log(2 * width)
    return plan[..., :width, :width].exp()


def read_matches(probability: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sub-pixel matches from a transport plan (B, h, left column, right column).

    Returns:
        Disparity (left minus right column), confidence (mass within two columns of the best match) and visibility
        (mass of all matches), each (B, 1, h, w).
    """
    width = probability.shape[-1]
    window = torch.arange(-_WINDOW, _WINDOW + 1, device=probability.device)
    columns = probability.argmax(-1, keepdim=True) + window
    mass = F.pad(probability, (_WINDOW, _WINDOW)).gather(-1, columns + _WINDOW)
    confidence = mass.sum(-1)
    right_column = ((mass * columns).sum(-1) + 1e-4) / (confidence + 1e-4)
    disparity = torch.arange(width, device=probability.device) - right_column
    visibility = probability.sum(-1)
    return disparity.unsqueeze(1), confidence.unsqueeze(1), visibility.unsqueeze(1)
