# SPDX-License-Identifier: Apache-2.0
"""Golden vectors of networks, and what a test compares with them."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

GOLDEN = Path(__file__).parent / "golden"


def load(name: str) -> dict[str, Any]:
    """The arrays of a file, and what it says of itself under "meta"."""
    with np.load(GOLDEN / name) as file:
        arrays = {key: file[key] for key in file.files}
    return arrays | {"meta": json.loads(str(arrays["meta"]))}


def relative_error(actual: Any, expected: Any) -> float:
    """Largest difference, as a part of the largest value expected."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def record_calls(model: nn.Module, left: Tensor, right: Tensor) -> dict[str, list[tuple[tuple, tuple]]]:
    """Run the model once; arguments and results of every call of every module, by module name."""
    calls: dict[str, list[tuple[tuple, tuple]]] = {}

    def record(name: str, _: Any, args: tuple, result: Any) -> None:
        calls.setdefault(name, []).append((args, result if isinstance(result, tuple) else (result,)))

    hooks = [m.register_forward_hook(functools.partial(record, name)) for name, m in model.named_modules()]
    model(left, right)
    for hook in hooks:
        hook.remove()
    return calls
