# SPDX-License-Identifier: Apache-2.0
"""How a network is executed: on which device, in which precision, by which engine. One file an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from vizion3d.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

ENGINES = ("eager",)


class LoadedNetwork(Protocol):
    """A network that is ready to run."""

    device: torch.device
    """Where its inputs must be and its outputs are."""
    dtype: torch.dtype
    """The format of its weights."""

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """Run it."""
        ...

    def describe(self) -> str:
        """Device and precision in a few words."""
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


def load(network: nn.Module, device: str = "auto", precision: str = "auto", engine: str = "eager") -> LoadedNetwork:
    """Make a network ready to run.

    float32 on a CUDA device means what torch makes of it: convolutions in TF32, unless the program has switched that off
    in `torch.backends.cudnn`; `describe` says so.

    Args:
        network: with its weights in float32, on the CPU; it must not be used for anything else afterwards.
        device: see `select_device`.
        precision: see `select_dtype`.
        engine: one of `ENGINES`.

    Raises:
        InputError: there is no such device, precision or engine.
    """
    from vizion3d.runtime.eager import EagerNetwork

    return EagerNetwork(network, *check(device, precision, engine))
