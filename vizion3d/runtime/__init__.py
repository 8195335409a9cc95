# SPDX-License-Identifier: Apache-2.0
"""How a network is executed: on which device, in which precision, by which engine. One file an engine.

"eager" runs any network as it is. The others are built ahead for one network and one size (`building`) and only looked up when
a network is loaded (`built`): what is not there is never built unasked, and runs in eager.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from vizion3d.errors import InputError
from vizion3d.options import ENGINES

if TYPE_CHECKING:
    import torch
    from torch import nn


class LoadedNetwork(Protocol):
    """A network that is ready to run."""

    device: torch.device
    """Where its inputs must be and its outputs are."""
    dtype: torch.dtype
    """The format of its weights."""
    built_size_wh: tuple[int, int] | None
    """Width and height of the inputs that it is built for; None if it takes all alike."""

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """Run it."""
        ...

    def describe(self) -> str:
        """Device, precision and engine in a few words."""
        ...


def check(device: str, precision: str, engine: str = "eager") -> tuple[torch.device, torch.dtype]:
    """The device and the format of the weights that these words stand for; for refusing them before a long load.

    Raises:
        InputError: there is no such device, precision or engine.
    """
    from vizion3d.runtime.device import select_device, select_dtype

    if engine not in ENGINES:
        raise InputError(f'engine is "{engine}"; it must be one of: {", ".join(ENGINES)}')
    place = select_device(device)
    return place, select_dtype(precision, place)


def load(
    network: nn.Module, device: str = "auto", precision: str = "auto", engine: str = "eager", model: str = "MODEL"
) -> LoadedNetwork:
    """Make a network ready to run.

    float32 on a CUDA device means what torch makes of it: convolutions in TF32, unless the program has switched that off
    in `torch.backends.cudnn`; `describe` says so.

    Args:
        network: with its weights in float32, on the CPU; it must not be used for anything else afterwards.
        device: see `select_device`.
        precision: see `select_dtype`.
        engine: one of `ENGINES`; where it has not been built or fails, a line is logged and eager takes its place.
        model: what `vizion3d engine build` knows the network by, for that line.

    Raises:
        InputError: there is no such device, precision or engine.
    """
    from vizion3d.runtime.eager import EagerNetwork

    eager = EagerNetwork(network, *check(device, precision, engine))
    if engine == "eager":
        return eager
    from vizion3d.runtime.built import EngineNetwork

    return EngineNetwork(eager, engine, model)
