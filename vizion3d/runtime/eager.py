# SPDX-License-Identifier: Apache-2.0
"""The engine "eager": torch runs the network as it is written."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class EagerNetwork:
    """A network on its device, in its precision; see `vizion3d.runtime.load`."""

    built_size_wh: tuple[int, int] | None = None

    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self.network = network.to(device, dtype)
        self._on_cpu = device.type == "cpu"
        if self._on_cpu:
            # The order that convolutions of a processor want; otherwise each brings its input into it, and back.
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """Run the network."""
        if not self._on_cpu:
            return self.network(*inputs)
        with _PointwiseAsProducts():
            return self.network(*inputs)

    def describe(self) -> str:
        """Device and precision in a few words."""
        text = f"{self.device}, {str(self.dtype).removeprefix('torch.')}"
        # What torch does unless the program says otherwise; not ours to switch for everybody.
        in_tf32 = self.device.type == "cuda" and self.dtype == torch.float32 and torch.backends.cudnn.allow_tf32
        return f"{text} (convolutions in TF32)" if in_tf32 else text


class _PointwiseAsProducts(TorchFunctionMode):
    """Computes 1x1 convolutions as products of matrices, which takes S2M2-S a twentieth less time on a processor.

    Here and not in the networks, whose graphs, those that engines are built from, stay convolutions.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.conv2d and len(args) == 7:  # as nn.Conv2d calls it
            image, weight, bias, stride, padding, _, groups = args
            if weight.shape[2:] == (1, 1) and (stride, padding, groups) == ((1, 1), (0, 0), 1):
                return F.linear(image.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)
        return func(*args, **(kwargs or {}))
