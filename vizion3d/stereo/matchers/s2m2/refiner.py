# SPDX-License-Identifier: Apache-2.0
"""The two refiners: one fills in what matching could not tell, one corrects the disparity in small steps.

Disparity, confidence and visibility stay float32 in both; only what enters the convolutions takes their format.
"""

import torch
from torch import Tensor, nn

from vizion3d.stereo.matchers.s2m2.blocks import clamped_logit
from vizion3d.stereo.matchers.s2m2.lookup import costs_near
from vizion3d.stereo.matchers.s2m2.unet import Unet


class GlobalRefiner(nn.Module):
    """Keep the disparity where it can be trusted and infer the rest from the features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.init_feat = nn.Sequential(
            nn.Conv2d(channels + 2, channels, 3, padding=1), nn.GELU(), nn.Conv2d(channels, channels, 1)
        )
        self.refine_unet = Unet((channels, channels, channels), depth=1)
        self.out_feat = nn.Sequential(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, features: Tensor, disparity: Tensor, confidence: Tensor) -> Tensor:
        """Refine a disparity (B, 1, h, w) with left features (B, C, h, w)."""
        trusted = confidence > 0.2
        hints = torch.cat((trusted * disparity / 100, clamped_logit(trusted * confidence, 0.1)), 1)
        z = self.init_feat(torch.cat((hints.to(features.dtype), features), 1))
        inferred = 100 * self.out_feat(self.refine_unet(z)[0]).float()
        return torch.where(trusted, disparity, inferred)


class ConvGru(nn.Module):
    """Gated recurrent unit on maps: one pass with vertical kernels, one with horizontal kernels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        both = 2 * channels
        self.convz1, self.convr1, self.convq1 = (nn.Conv2d(both, channels, (3, 1), padding=(1, 0)) for _ in range(3))
        self.convz2, self.convr2, self.convq2 = (nn.Conv2d(both, channels, (1, 3), padding=(0, 1)) for _ in range(3))

    def forward(self, hidden: Tensor, update: Tensor) -> Tensor:
        """Update a hidden state (B, C, h, w) with a map of the same shape."""
        passes = ((self.convz1, self.convr1, self.convq1), (self.convz2, self.convr2, self.convq2))
        for convz, convr, convq in passes:
            both = torch.cat((hidden, update), 1)
            change, reset = convz(both).sigmoid(), convr(both).sigmoid()
            candidate = convq(torch.cat((reset * hidden, update), 1)).tanh()
            hidden = (1 - change) * hidden + change * candidate
        return hidden


class LocalRefiner(nn.Module):
    """One step of recurrent refinement: look at the costs near the match and correct all three maps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels
        self.disp_feat = nn.Sequential(nn.Conv2d(1, 96, 3, padding=1), nn.GELU(), nn.Conv2d(96, 96, 3, padding=1))
        self.corr_feat1 = nn.Sequential(nn.Conv2d(9, 96, 1), nn.GELU(), nn.Conv2d(96, 64, 1))
        self.corr_feat2 = nn.Sequential(nn.Conv2d(9, 96, 1), nn.GELU(), nn.Conv2d(96, 64, 1))
        self.conf_occ_feat = nn.Sequential(nn.Conv2d(2, 64, 3, padding=1), nn.GELU(), nn.Conv2d(64, 32, 1))
        self.disp_corr_ctx_cat = nn.Sequential(nn.Conv2d(256 + c, 2 * c, 1), nn.GELU(), nn.Conv2d(2 * c, c, 3, padding=1))
        self.refine_unet = Unet((c, c, 2 * c), depth=1)
        self.gru = ConvGru(c)
        self.disp_update = nn.Sequential(nn.Conv2d(c, c, 3, padding=1), nn.GELU(), nn.Conv2d(c, 1, 3, padding=1, bias=False))
        self.conf_occ_update = nn.Sequential(
            nn.Conv2d(c, c, 3, padding=1), nn.GELU(), nn.Conv2d(c, 2, 3, padding=1, bias=False)
        )

    def forward(
        self,
        hidden: Tensor,
        context: Tensor,
        disparity: Tensor,
        confidence: Tensor,
        visibility: Tensor,
        costs: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Take one step.

        Args:
            hidden: state of the recurrence, (B, C, h, w).
            context: what the left view shows, (B, C, h, w), the same in every step.
            disparity: (B, 1, h, w) float32, like the next two.
            confidence: 0..1.
            visibility: 0..1.
            costs: the two levels of `lookup.cost_levels`.

        Returns:
            The new hidden state, disparity, confidence and visibility.
        """
        fine, coarse = costs_near(costs, disparity)
        odds = clamped_logit(torch.cat((confidence, visibility), 1), 0.01)
        dtype = hidden.dtype
        seen = torch.cat(
            (
                self.disp_feat((disparity / 100).to(dtype)),
                self.corr_feat1((fine / 16).to(dtype)),
                self.corr_feat2((coarse / 16).to(dtype)),
                context,
                self.conf_occ_feat(odds.to(dtype)),
            ),
            1,
        )
        hidden = self.gru(hidden, self.refine_unet(self.disp_corr_ctx_cat(seen))[0])
        disparity = disparity + self.disp_update(hidden).float()
        confidence, visibility = (odds + self.conf_occ_update(hidden).float()).sigmoid().chunk(2, 1)
        return hidden, disparity, confidence, visibility
