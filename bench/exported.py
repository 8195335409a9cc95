# SPDX-License-Identifier: Apache-2.0
"""S2M2-S by OpenVINO beside torch, as `bench.networks` has it of smaller networks. Exporting it takes minutes."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from bench.networks import Measured, cached_weights, can_build, of_network
from bench.target import Target
from vizion3d.stereo.matchers import s2m2

ONLY_IF_NAMED = True


def targets() -> Iterator[Target]:
    """The rows of `bench.networks.of_network`, if the engine is installed."""
    if not can_build():
        return
    torch.set_num_threads(1)
    one = Measured("S2M2-S", s2m2.S2M2(128, 1), (640, 480), 62.0, 0.75)
    with cached_weights(one.network) as file:
        yield from of_network(one, file)
