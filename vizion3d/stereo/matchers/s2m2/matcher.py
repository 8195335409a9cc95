# SPDX-License-Identifier: Apache-2.0
"""The S2M2 network as a stereo matcher: weights, device, precision, padding."""

from __future__ import annotations

import torch

from vizion3d import runtime
from vizion3d.options import S2M2Options, StereoOptions
from vizion3d.runtime import LoadedNetwork
from vizion3d.stereo.matchers import Matches
from vizion3d.stereo.matchers.framing import crop
from vizion3d.stereo.matchers.s2m2.checkpoint import load_s2m2
from vizion3d.stereo.matchers.s2m2.padding import pad
from vizion3d.weights import LocatedWeights


class S2M2Matcher:
    """S2M2, with larger pairs than `S2M2Options.max_size` matched at reduced size unless a scale is asked for.

    Args:
        network: the network.
        name: what to call it.
        options: of which the network has its share already.
    """

    architecture = "s2m2"
    has_confidence = has_visibility = True
    min_side = 32
    image_dtype = torch.float32
    searched_part_of_width: float | None = None  # it always looks at whole rows

    def __init__(self, network: LoadedNetwork, name: str, options: S2M2Options | None = None) -> None:
        self.name = name
        self.device = network.device
        self.built_size_wh = network.built_size_wh
        self.max_size: tuple[int, int] | None = (options or S2M2Options()).max_size
        self._network = network

    def describe(self) -> str:
        """See `StereoMatcher.describe`."""
        return f"{self.name} on {self._network.describe()}"

    def match(self, left: torch.Tensor, right: torch.Tensor, max_disparity: float | None = None) -> Matches:
        """See `StereoMatcher.match`."""
        height, width = left.shape[-2:]
        maps = self._network(pad(left), pad(right))
        disparity, visibility, confidence = (crop(m, height, width) for m in maps)
        # The output is continuous; float32 resolves disparities of a full row to this step.
        step = width * torch.finfo(torch.float32).eps
        return Matches(disparity, confidence, visibility, max_disparity=None, step=step)


def load(located: LocatedWeights, options: StereoOptions) -> S2M2Matcher:
    """A matcher with the weights in a file; see `open_matcher`."""
    own = options.s2m2
    network = load_s2m2(located.path, positivity=own.positivity, refine_iterations=own.refine_iterations)
    loaded = runtime.load(network, options.device, options.precision, options.engine, str(located.path))
    return S2M2Matcher(loaded, str(located.path), own)
