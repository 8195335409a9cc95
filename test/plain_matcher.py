# SPDX-License-Identifier: Apache-2.0
"""A matcher of the fewest words, and base of those that tests make."""

from __future__ import annotations

import torch

from vizion3d.stereo.matchers import Matches


class PlainMatcher:
    """Finds one disparity everywhere and says nothing about its certainty; keeps how far it was asked to search."""

    name = architecture = "plain"
    device = torch.device("cpu")
    has_confidence = has_visibility = False
    max_size: tuple[int, int] | None = None
    min_side = 1
    image_dtype = torch.float32
    searched_part_of_width: float | None = 1 / 6
    searched: float | None = None

    def match(self, left: torch.Tensor, right: torch.Tensor, max_disparity: float | None = None) -> Matches:
        self.searched = max_disparity
        return Matches(torch.full_like(left[:, :1], 8.0), None, None, max_disparity=None, step=1.0)

    def describe(self) -> str:
        return f"{self.name} on cpu"
