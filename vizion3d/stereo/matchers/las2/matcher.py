# SPDX-License-Identifier: Apache-2.0
"""The LAS2 network as a stereo matcher: weights, device, precision, padding, and the check from the right image."""

from __future__ import annotations

import torch

from vizion3d import runtime
from vizion3d.options import LAS2Options, StereoOptions
from vizion3d.runtime import LoadedNetwork
from vizion3d.stereo.matchers import Matches
from vizion3d.stereo.matchers.agreement import visibility
from vizion3d.stereo.matchers.framing import STRIDE, crop
from vizion3d.stereo.matchers.las2.blocks import fold_norms
from vizion3d.stereo.matchers.las2.checkpoint import load_las2
from vizion3d.stereo.matchers.las2.model import MAX_DISPARITY
from vizion3d.stereo.matchers.las2.padding import pad
from vizion3d.weights import LocatedWeights


class LAS2Matcher:
    """LAS2, with larger pairs than `LAS2Options.max_size` matched at reduced size unless a scale is asked for.

    The network answers for every pixel, also where the true disparity is beyond its range or hidden from the right camera,
    and its confidence does not tell that. What tells is `left_right_check`: the pair is matched a second time, mirrored and
    exchanged, and visibility falls where the two answers differ.

    Args:
        network: the network.
        name: what to call it.
        options: of this matcher.
    """

    architecture = "las2"
    has_confidence = has_visibility = True
    min_side = STRIDE
    image_dtype = torch.float32
    searched_part_of_width: float | None = None  # its range is in its weights

    def __init__(self, network: LoadedNetwork, name: str, options: LAS2Options | None = None) -> None:
        options = options or LAS2Options()
        self.name = name
        self.device = network.device
        self.built_size_wh = network.built_size_wh
        self.max_size: tuple[int, int] | None = options.max_size
        self._network = network
        self._checks = options.left_right_check

    def describe(self) -> str:
        """See `StereoMatcher.describe`."""
        how = "checked from the right image, which takes as long again" if self._checks else "without left-right check"
        return f"{self.name} on {self._network.describe()}, {how}"

    def match(self, left: torch.Tensor, right: torch.Tensor, max_disparity: float | None = None) -> Matches:
        """See `StereoMatcher.match`."""
        disparity, confidence = self._run(left, right)
        # Not a batch of two, which would take twice the memory. A mirrored pair, exchanged, is a left and a right image again.
        of_right = self._run(right.flip(-1), left.flip(-1))[0].flip(-1) if self._checks else None
        # The output is continuous; float32 resolves its largest value to this step.
        step = MAX_DISPARITY * torch.finfo(torch.float32).eps
        return Matches(disparity, confidence, visibility(disparity, of_right), max_disparity=MAX_DISPARITY, step=step)

    def _run(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Disparity and confidence of the left image."""
        disparity, confidence = self._network(pad(left), pad(right))
        return crop(disparity, *left.shape[-2:]), crop(confidence, *left.shape[-2:])


def load(located: LocatedWeights, options: StereoOptions) -> LAS2Matcher:
    """A matcher with the weights in a file; see `open_matcher`."""
    name = str(located.path)
    model = load_las2(located.path)
    fold_norms(model)
    network = runtime.load(model, options.device, options.precision, options.engine, name)
    return LAS2Matcher(network, name, options.las2)
