# SPDX-License-Identifier: Apache-2.0
"""A network as an ONNX file, for engines that read it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

_OPSET = 18  # ONNX Runtime, OpenVINO and TensorRT read it


def write_onnx(network: nn.Module, inputs: tuple[torch.Tensor, ...], file: Path) -> None:
    """Write a network for inputs of exactly these shapes, weights and all in one file.

    Never for free sides: S2M2 would come out right at the size of the inputs and wrong at others, and nobody would notice.

    Raises:
        ImportError: onnx or onnxscript is not installed.
    """
    import onnxscript  # noqa: F401  torch asks for it late, and in more words

    with _quiet(), torch.inference_mode(False), torch.no_grad():
        copies = tuple(one.clone() for one in inputs)  # not made in inference mode, which exporting refuses
        program = torch.onnx.export(network, copies, dynamo=True, opset_version=_OPSET, verbose=False)
        assert program is not None
        program.save(file)  # the function above, given the name, would write two files


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the hundreds of lines and warnings of exporters, about packages that are not there and every step they take."""
    logs = {log: log.level for log in map(logging.getLogger, ("torch.onnx", "onnxscript", "onnx_ir"))}
    try:
        for log in logs:
            log.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in logs.items():
            log.setLevel(level)
