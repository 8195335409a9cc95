# SPDX-License-Identifier: Apache-2.0
"""Networks that something else than torch's eager mode runs must answer the same."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_vectors import relative_error
from torch import Tensor, nn

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="the inductor backend needs a C++ compiler")
needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")),
    reason="needs the packages onnx, onnxruntime and onnxscript",
)


def assert_outputs_equal(actual: Any, expected: Any, tolerance: float) -> None:
    errors = [relative_error(a, e) for a, e in zip(actual, expected, strict=True)]
    print(f"\nworst difference {max(errors):.1e}")
    assert max(errors) < tolerance


def run_by_onnx(model: nn.Module, pair: tuple[Tensor, Tensor], folder: Path) -> Any:
    """What ONNX Runtime makes of a pair with the network as an ONNX file in this folder."""
    import onnxruntime

    program = torch.onnx.export(model, pair, dynamo=True, opset_version=18, verbose=False)
    assert program is not None
    program.save(folder / "network.onnx")
    session = onnxruntime.InferenceSession(folder / "network.onnx")
    feed = {node.name: image.numpy() for node, image in zip(session.get_inputs(), pair, strict=True)}
    return session.run(None, feed)
