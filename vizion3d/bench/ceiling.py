# SPDX-License-Identifier: Apache-2.0
"""What a machine can do at most: a large product of matrices, and a copy of memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

_SIDE, _GPU_SIDE = 2048, 8192
_COPIED_BYTES, _GPU_COPIED_BYTES = 16 << 20, 256 << 20


@dataclass(frozen=True)
class Ceiling:
    """Something that nothing else can be faster than, and how much of it one run does.

    Attributes:
        name: what it is.
        run: does it once.
        amount: floating-point operations, or bytes copied.
        unit: FLOP or B.
    """

    name: str
    run: Callable[[], Any]
    amount: float
    unit: str


def ceilings(device: torch.device) -> dict[str, Ceiling]:
    """The ceilings of a device: "mm" for arithmetic, in half precision on a GPU, and "memcpy" for memory."""
    on_gpu = device.type == "cuda"
    side, dtype = (_GPU_SIDE, torch.float16) if on_gpu else (_SIDE, torch.float32)
    first, second, product = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(3))
    source = torch.ones(_GPU_COPIED_BYTES if on_gpu else _COPIED_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    found = (
        Ceiling("mm", lambda: torch.mm(first, second, out=product), 2 * side**3, "FLOP"),
        Ceiling("memcpy", lambda: target.copy_(source), source.numel(), "B"),
    )
    return {one.name: one for one in found}
