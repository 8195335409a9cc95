# SPDX-License-Identifier: Apache-2.0
"""The engine "eager": torch runs the network as it is written."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class EagerNetwork:
    """A network on its device, in its precision; see `vizion3d.runtime.load`."""

    built_size_wh: tuple[int, int] | None = None

    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self.network = network.to(device, dtype)

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """Run the network."""
        return self.network(*inputs)

    def describe(self) -> str:
        """Device and precision in a few words."""
        text = f"{self.device}, {str(self.dtype).removeprefix('torch.')}"
        # What torch does unless the program says otherwise; not ours to switch for everybody.
        in_tf32 = self.device.type == "cuda" and self.dtype == torch.float32 and torch.backends.cudnn.allow_tf32
        return f"{text} (convolutions in TF32)" if in_tf32 else text
