# SPDX-License-Identifier: Apache-2.0
"""The S2M2 network as a stereo matcher: weights, device, precision, padding."""

from __future__ import annotations

import os

import torch
from torch import nn

from vizion3d import weights
from vizion3d.runtime.device import select_device, select_dtype
from vizion3d.stereo.matcher import Matches
from vizion3d.stereo.s2m2 import crop, load_s2m2, pad


class S2M2Matcher:
    """S2M2, with larger pairs than 960x540 matched at reduced size unless a scale is asked for, and none enlarged.

    Args:
        network: the network, on the device and in the precision it shall run in.
        name: what to call it.
        device: where the network is.
    """

    max_size: tuple[int, int] | None = (960, 540)
    multiple = 32
    min_side = 32

    def __init__(self, network: nn.Module, name: str, device: torch.device) -> None:
        self.name = name
        self.device = device
        self._network = network

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str],
        device: str = "auto",
        precision: str = "auto",
        *,
        positivity: bool = True,
        refine_iterations: int = 3,
    ) -> S2M2Matcher:
        """A matcher with the weights of a registry name, a path or an address.

        Args:
            model: names the weights.
            device: see `select_device`.
            precision: "auto" (float16 on CUDA, else float32), "float32" or "float16".
            positivity: never give a negative disparity; switch off for pairs whose rectification leaves some.
            refine_iterations: steps of the local refiner; fewer are quicker and coarser.

        Raises:
            InputError: no such device or precision, or a number out of range.
            WeightsError: the weights cannot be had, or are not S2M2's.
        """
        place = select_device(device)
        dtype = select_dtype(precision, place)
        path = weights.resolve(model)
        network = load_s2m2(path, positivity=positivity, refine_iterations=refine_iterations)
        return cls(network.to(place, dtype), str(path), place)

    def match(self, left: torch.Tensor, right: torch.Tensor) -> Matches:
        """See `StereoMatcher.match`."""
        height, width = left.shape[-2:]
        maps = self._network(pad(left), pad(right))
        disparity, visibility, confidence = (crop(m, height, width) for m in maps)
        # The output is continuous; float32 resolves disparities of a full row to this step.
        step = width * torch.finfo(torch.float32).eps
        return Matches(disparity, confidence, visibility, max_disparity=None, step=step)
