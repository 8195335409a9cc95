# SPDX-License-Identifier: Apache-2.0
"""A third stereo matcher, as it would lie in `vizion3d.stereo.matchers`: one disparity everywhere, certainty unknown."""

from __future__ import annotations

import torch

from vizion3d.options import StereoOptions
from vizion3d.stereo.matchers import Matches
from vizion3d.weights import LocatedWeights, read_state_dict


class ToyMatcher:
    """Finds the disparity that its weights hold."""

    architecture = "toy_stereo"
    has_confidence = has_visibility = False
    device = torch.device("cpu")
    max_size: tuple[int, int] | None = None
    min_side = 1
    image_dtype = torch.float32
    searched_part_of_width: float | None = None

    def __init__(self, disparity: float, name: str) -> None:
        self.name = name
        self._disparity = disparity

    def describe(self) -> str:
        return "toy on cpu"

    def match(self, left: torch.Tensor, right: torch.Tensor, max_disparity: float | None = None) -> Matches:
        return Matches(torch.full_like(left[:, :1], self._disparity), None, None, max_disparity=None, step=1.0)


def load(located: LocatedWeights, options: StereoOptions) -> ToyMatcher:
    return ToyMatcher(read_state_dict(located.path)["toy_stereo.disparity"].item(), str(located.path))
