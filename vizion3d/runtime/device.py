# SPDX-License-Identifier: Apache-2.0
"""The torch device that a user's word stands for."""

from __future__ import annotations

import re

import torch

from vizion3d.errors import InputError


def select_device(name: str = "auto") -> torch.device:
    """Turn "auto", "cpu", "mps", "cuda" or "cuda:N" into a device that is really there.

    "auto" takes CUDA, then Apple's MPS, then the CPU. A device that was asked for by name is never silently replaced.

    Raises:
        InputError: no such device, or this torch cannot use it.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", str(name)):
        raise InputError(f'device is "{name}"; it must be auto, cpu, mps, cuda or cuda:N')
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f'device is "{name}" but torch {torch.__version__} sees no CUDA GPU. Install a CUDA build of torch and a driver, '
            "or use device=cpu"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f'device is "{name}" but there are only {torch.cuda.device_count()} CUDA GPUs, counted from 0')
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(f'device is "{name}" but this machine has no Apple GPU that torch can use')
    return device


def select_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Turn "auto", "float32" or "float16" into the format of a network's weights on this device.

    "auto" is float16 on CUDA, where it halves time and memory, and float32 elsewhere. bfloat16 is not offered: its 8 bits
    are too coarse for S2M2, which then gives bad results.

    Raises:
        InputError: no such precision.
    """
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if precision == "bfloat16":
        raise InputError("precision is bfloat16, which is known to give bad disparities; use float16 or float32")
    if precision not in ("float16", "float32"):
        raise InputError(f'precision is "{precision}"; it must be auto, float32 or float16')
    return getattr(torch, precision)
