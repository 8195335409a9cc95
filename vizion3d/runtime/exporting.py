# SPDX-License-Identifier: Apache-2.0
"""A network as an ONNX file, for engines that read it."""

from __future__ import annotations

import logging
import warnings
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

    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # it tells of torchvision
    try:
        with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter("ignore")
            copies = tuple(one.clone() for one in inputs)
            program = torch.onnx.export(network, copies, dynamo=True, opset_version=_OPSET, verbose=False)
        assert program is not None
        program.save(file)  # the function above, given the name, would write two files
    finally:
        log.setLevel(level)
