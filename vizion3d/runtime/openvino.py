# SPDX-License-Identifier: Apache-2.0
"""The engine "openvino": Intel's OpenVINO on the CPU, in float32 whatever else the CPU could do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vizion3d.errors import EngineError
from vizion3d.runtime.exporting import write_onnx

_FILE = "network.blob"


def version() -> str:
    """Name and version; ImportError where it is not installed."""
    import openvino

    return f"openvino {openvino.__version__}"


def _settings() -> dict[str, Any]:
    return {
        # Left alone it computes in bfloat16 on some CPUs: other numbers on another robot, and S2M2 ruined.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),  # which follows the option `threads`
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # two nodes on one machine would be pinned to the same cores
    }


def build(network: nn.Module, inputs: tuple[torch.Tensor, ...], folder: Path) -> None:
    """Write `network.blob`, compiled for this machine, into the folder."""
    import openvino

    weight = next(network.parameters())
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        raise EngineError(f"openvino runs on the CPU in float32, not on {weight.device} in {weight.dtype}; use another engine")
    core = openvino.Core()
    with tempfile.TemporaryDirectory() as draft:
        file = Path(draft) / "network.onnx"
        write_onnx(network, inputs, file)
        compiled = core.compile_model(core.read_model(file), "CPU", _settings())
    (folder / _FILE).write_bytes(compiled.export_model().getvalue())


def open_built(folder: Path, device: torch.device) -> Callable[..., list[torch.Tensor]]:
    """What was built, ready to run."""
    import openvino

    compiled = openvino.Core().import_model((folder / _FILE).read_bytes(), "CPU", _settings())
    request = compiled.create_infer_request()
    count = len(compiled.outputs)

    def run(*inputs: torch.Tensor) -> list[torch.Tensor]:
        found = request.infer([one.contiguous().numpy() for one in inputs], share_inputs=True)  # outputs are copies
        return [torch.from_numpy(found[index]) for index in range(count)]

    return run
