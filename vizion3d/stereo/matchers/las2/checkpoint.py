# SPDX-License-Identifier: Apache-2.0
"""Loading LAS2 weights, strictly: each tensor must be there, with its shape, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vizion3d.errors import WeightsError
from vizion3d.stereo.matchers.las2.aggregation import HYPOTHESES
from vizion3d.stereo.matchers.las2.model import LAS2
from vizion3d.weights.architectures import require
from vizion3d.weights.checkpoint import fill, read_state_dict

_BLOCK = re.compile(r"cost_agg\.(conv[024])\.(\d+)\.")
_EXPANDED = "cost_agg.redir1.block.mlp.0.weight"
_RECURRENT = "update_block."


def load_las2(path: str | Path) -> LAS2:
    """Build the network that a checkpoint fits and fill it, on the CPU, in float32, for inference.

    Args:
        path: file written by `torch.save`, see `read_state_dict`.

    Raises:
        WeightsError: the file cannot be read, or is not a LAS2 checkpoint that fits in every tensor.
    """
    path = Path(path)
    tensors = read_state_dict(path)
    blocks, expansion = network_size(tensors, path)
    with torch.device("meta"):
        model = LAS2(blocks, expansion)
    fill(model, tensors, path, "LAS2")
    return model


def network_size(tensors: Mapping[str, Tensor], path: Path) -> tuple[tuple[int, int, int], int]:
    """Blocks and expansion of the network a checkpoint belongs to.

    Raises:
        WeightsError: the tensors are those of another network.
    """
    require(("las2",), tensors, path)
    if any(key.startswith(_RECURRENT) for key in tensors):
        raise WeightsError(
            f"{path} is LAS2-H, whose recurrent refinement is not built in; give LAS2_S.pth, LAS2_M.pth or LAS2_L.pth"
        )
    found = {match.groups() for key in tensors if (match := _BLOCK.match(key))}
    n0, n2, n4 = (sum(name == stage for name, _ in found) for stage in ("conv0", "conv2", "conv4"))
    expanded = tensors.get(_EXPANDED)
    if not n0 or expanded is None or expanded.ndim != 4:
        raise WeightsError(f"{path} does not fit LAS2: cost_agg.conv0.* or {_EXPANDED} is missing")
    # The block that follows each reduction has a name of its own.
    return (n0, n2 + 1, n4 + 1), expanded.shape[0] // HYPOTHESES
