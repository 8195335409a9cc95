# SPDX-License-Identifier: Apache-2.0
"""The S2M2 network as a stereo matcher: weights, device, precision, padding."""

from __future__ import annotations

import os

import torch
from torch import nn

from vizion3d import weights
from vizion3d.options import S2M2Options, StereoOptions
from vizion3d.runtime.device import select_device, select_dtype
from vizion3d.stereo.matchers import Matches
from vizion3d.stereo.matchers.s2m2 import crop, load_s2m2, pad


class S2M2Matcher:
    """S2M2, with larger pairs than `S2M2Options.max_size` matched at reduced size unless a scale is asked for.

    Args:
        network: the network, on the device and in the precision it shall run in.
        name: what to call it.
        device: where the network is.
        options: of which the network has its share already.
    """

    architecture = "s2m2"
    has_confidence = has_visibility = True
    multiple = 32
    min_side = 32

    def __init__(self, network: nn.Module, name: str, device: torch.device, options: S2M2Options | None = None) -> None:
        self.name = name
        self.device = device
        self.max_size: tuple[int, int] | None = (options or S2M2Options()).max_size
        self._network = network

    def describe(self) -> str:
        """See `StereoMatcher.describe`."""
        return f"{self.name} on {self.device}"

    def match(self, left: torch.Tensor, right: torch.Tensor, max_disparity: float | None = None) -> Matches:
        """See `StereoMatcher.match`."""
        height, width = left.shape[-2:]
        maps = self._network(pad(left), pad(right))
        disparity, visibility, confidence = (crop(m, height, width) for m in maps)
        # The output is continuous; float32 resolves disparities of a full row to this step.
        step = width * torch.finfo(torch.float32).eps
        return Matches(disparity, confidence, visibility, max_disparity=None, step=step)


def load(model: str | os.PathLike[str], options: StereoOptions) -> S2M2Matcher:
    """A matcher with the weights of a registry name, a path or an address; see `open_matcher`."""
    place = select_device(options.device)
    dtype = select_dtype(options.precision, place)
    path = weights.resolve(model)
    own = options.s2m2
    network = load_s2m2(path, positivity=own.positivity, refine_iterations=own.refine_iterations)
    return S2M2Matcher(network.to(place, dtype), str(path), place, own)
