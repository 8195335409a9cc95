# SPDX-License-Identifier: Apache-2.0
"""Engines that were built ahead: where they lie, and a network that runs by them or, where there is none, in eager.

An engine is a module of this package that is named like it, with

    version()                          name and version of what runs it; ImportError where that is not installed
    build(network, inputs, folder)     write into the folder what `open_built` needs
    open_built(folder, device)         a function from the network's inputs to the list of its outputs

The cache of weights has a folder for each network, precision, device and version, and in it one for each size:

    <cache>/engines/openvino-3f2a..-float32-cpu-9c1e../640x480/
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import platform
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from vizion3d import __version__
from vizion3d.runtime.eager import EagerNetwork
from vizion3d.weights import cache_dir

_LOG = logging.getLogger(__name__)
RECORD = "engine.json"

Run = Callable[..., Sequence[torch.Tensor]]


class EngineNetwork:
    """A network that an engine runs at the sizes which that was built for, and torch at all others; see `runtime.load`.

    Args:
        eager: the network.
        engine: its name.
        model: what `vizion3d engine build` knows the network by.
    """

    def __init__(self, eager: EagerNetwork, engine: str, model: str) -> None:
        self.device, self.dtype = eager.device, eager.dtype
        self.built_size_wh: tuple[int, int] | None = None
        self._eager, self._engine, self._model = eager, engine, model
        self._built: dict[str, Path] = {}
        self._opened: dict[str, Run | None] = {}
        self._told: set[str] = set()
        self._lock = threading.Lock()  # an engine runs one picture at a time
        try:
            folder = engine_folder(engine, eager.network)
        except ImportError as error:
            self._tell(f"is not installed ({error}): pip install {_PACKAGES[engine]}")
            return
        self._built = {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{RECORD}"))}
        if not self._built:
            self._tell(f"has not been built here for {model}", "WIDTHxHEIGHT of the images")
        if len(self._built) == 1:  # usual; of several the frames decide
            size = next(iter(self._built))
            if self._open(size) and (found := re.fullmatch(r"(\d+)x(\d+)", size)):
                self.built_size_wh = int(found[1]), int(found[2])

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """Run the network."""
        size = size_of(inputs)
        with self._lock:
            if run := self._open(size):
                try:
                    return run(*inputs)
                except Exception as error:
                    self._opened[size] = None
                    self._tell(f"has failed at {size} ({_first_line(error)})", size)
        return self._eager(*inputs)

    def describe(self) -> str:
        """Device, precision and engine in a few words."""
        sizes = [size for size in self._built if self._opened.get(size, True)]
        return f"{self._eager.describe()}, {f'{self._engine} at ' + ', '.join(sizes) if sizes else 'eager'}"

    def _open(self, size: str) -> Run | None:
        """What runs inputs of that size, None for eager."""
        if size not in self._opened:
            self._opened[size] = None
            if folder := self._built.get(size):
                try:
                    self._opened[size] = open_folder(self._engine, folder, self.device)
                except Exception as error:
                    self._tell(f"cannot be loaded from {folder} ({_first_line(error)})", size)
            elif self._built:
                self._tell(f"has been built for {', '.join(self._built)}, not for {size}", size)
        return self._opened[size]

    def _tell(self, what: str, size: str = "") -> None:
        """Log one line, once, about an engine that does not run; how it is built if a size is given."""
        cure = f"vizion3d engine build {self._model} --engine {self._engine} --size {size}"
        advice = f". It is built, once, by: {cure}, with the options that this runs with" if size else ""
        text = f"engine {self._engine} {what}; torch runs the network instead{advice}"
        if text not in self._told:
            self._told.add(text)
            _LOG.warning(text)


# What brings each engine; torch brings "compile". Building takes the packages of the extra of that name.
_PACKAGES = {"openvino": "openvino onnx onnxscript", "onnx": "onnxruntime onnx onnxscript"}


def engine_module(engine: str) -> ModuleType:
    """The module of an engine."""
    return importlib.import_module(f"vizion3d.runtime.{engine}")


def open_folder(engine: str, folder: Path, device: torch.device) -> Callable[..., Any]:
    """What was built into a folder, with outputs like the network's: a tensor or a tuple of them."""
    run: Run = engine_module(engine).open_built(folder, device)
    if json.loads((folder / RECORD).read_text(encoding="utf-8"))["one_output"]:
        return lambda *inputs: run(*inputs)[0]
    return lambda *inputs: tuple(run(*inputs))


def engine_folder(engine: str, network: nn.Module) -> Path:
    """Where engines of that kind for this network lie, a folder for each size.

    Args:
        engine: its name.
        network: on its device, in its precision.

    Raises:
        ImportError: what runs the engine is not installed.
    """
    weight = next(network.parameters())
    machine = [platform.system(), platform.machine(), torch.backends.cpu.get_cpu_capability()]
    if weight.is_cuda:
        machine.append(torch.cuda.get_device_name(weight.device))
    versions = [f"vizion3d {__version__}", engine_module(engine).version(), *machine]
    digest = hashlib.sha256("\n".join(versions).encode()).hexdigest()
    dtype = str(weight.dtype).removeprefix("torch.")
    return cache_dir() / "engines" / f"{engine}-{fingerprint(network)[:16]}-{dtype}-{weight.device.type}-{digest[:8]}"


def fingerprint(network: nn.Module) -> str:
    """SHA-256 of what a network's answers depend on: its weights, and the plain settings of its modules."""
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        settings = {key: value for key, value in vars(module).items() if isinstance(value, (bool, int, float, str, tuple))}
        digest.update(repr((name, type(module).__qualname__, sorted(settings.items()))).encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def size_of(inputs: Sequence[torch.Tensor]) -> str:
    """Width and height of a network's inputs as in "640x480", with more before it if that is no single picture or pair."""
    *batch, height, width = inputs[0].shape
    others = "" if batch == [1, 3] else "-".join(map(str, batch)) + "-"
    return f"{others}{width}x{height}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
