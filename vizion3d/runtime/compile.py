# SPDX-License-Identifier: Apache-2.0
"""The engine "compile": torch.compile's kernels, made ahead. Building needs a C++ compiler, running does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

_FILE = "network.pt2"


def version() -> str:
    """Name and version."""
    return f"torch {torch.__version__}"


def build(network: nn.Module, inputs: tuple[torch.Tensor, ...], folder: Path) -> None:
    """Write `network.pt2` into the folder, in a minute or more."""
    import torch._inductor

    program = torch.export.export(network, inputs)
    torch._inductor.aoti_compile_and_package(program, package_path=str(folder / _FILE))


def open_built(folder: Path, device: torch.device) -> Callable[..., list[torch.Tensor]]:
    """What was built, ready to run."""
    import torch._inductor

    network = torch._inductor.aoti_load_package(str(folder / _FILE))
    return lambda *inputs: tree_leaves(network(*inputs))
