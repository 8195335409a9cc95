# SPDX-License-Identifier: Apache-2.0
"""The engine "onnx": ONNX Runtime, by the best of its providers that is installed; on NVIDIA GPUs TensorRT, then CUDA."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vizion3d.runtime.exporting import write_onnx

_FILE = "network.onnx"


def version() -> str:
    """Name and version; ImportError where it is not installed."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__} {' '.join(onnxruntime.get_available_providers())}"


def build(network: nn.Module, inputs: tuple[torch.Tensor, ...], folder: Path) -> None:
    """Write `network.onnx` into the folder, and what its provider makes of it."""
    write_onnx(network, inputs, folder / _FILE)


def open_built(folder: Path, device: torch.device) -> Callable[..., list[torch.Tensor]]:
    """What was built, ready to run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # which follows the option `threads`
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder / _FILE, options, _providers(folder, device))
    return _Session(session, device)


def _providers(folder: Path, device: torch.device) -> list[Any]:
    if device.type != "cuda":
        return ["CPUExecutionProvider"]
    import onnxruntime

    place = {"device_id": device.index or 0}
    wanted: list[tuple[str, dict[str, Any]]] = [
        # What TensorRT makes, in minutes, is made when the engine is built and compared, and found here ever after.
        ("TensorrtExecutionProvider", {**place, "trt_engine_cache_enable": True, "trt_engine_cache_path": str(folder)}),
        ("CUDAExecutionProvider", {**place, "use_tf32": 0}),
    ]
    available = onnxruntime.get_available_providers()
    found = [provider for provider in wanted if provider[0] in available]
    if not found:
        raise ImportError(f"onnxruntime has no provider for {device}; install onnxruntime-gpu")
    return found


class _Session:
    """Runs a session on tensors where they are, without a copy."""

    def __init__(self, session: Any, device: torch.device) -> None:
        self._session = session
        self._device = device
        self._outputs = [(node.name, tuple(node.shape), _dtype(node.type)) for node in session.get_outputs()]
        self._inputs = [(node.name, _dtype(node.type)) for node in session.get_inputs()]

    def __call__(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        outputs = [torch.empty(shape, dtype=dtype, device=self._device) for _, shape, dtype in self._outputs]
        given = [one.to(dtype).contiguous() for one, (_, dtype) in zip(inputs, self._inputs, strict=True)]
        binding = self._session.io_binding()
        for (name, *_), one in zip(self._inputs, given, strict=True):
            binding.bind_input(name, *_place(one))
        for (name, *_), one in zip(self._outputs, outputs, strict=True):
            binding.bind_output(name, *_place(one))
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()  # the session has a stream of its own
        self._session.run_with_iobinding(binding)
        return outputs


def _place(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Device, format, shape and address, as bindings take them."""
    dtype = torch.empty(0, dtype=tensor.dtype).numpy().dtype.type
    return tensor.device.type, tensor.device.index or 0, dtype, tuple(tensor.shape), tensor.data_ptr()


def _dtype(name: str) -> torch.dtype:
    """ "tensor(float)" -> torch.float32."""
    known = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16}
    return known[name]
