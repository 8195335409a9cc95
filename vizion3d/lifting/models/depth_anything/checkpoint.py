# SPDX-License-Identifier: Apache-2.0
"""Reading a Depth Anything V2 weights file (`.pth`)."""

import os
from pathlib import Path

import torch
from torch import Tensor

from vizion3d.errors import WeightsError
from vizion3d.lifting.models.depth_anything.config import CONFIGS, DepthAnythingConfig
from vizion3d.lifting.models.depth_anything.model import DepthAnythingV2
from vizion3d.weights.architectures import require
from vizion3d.weights.checkpoint import fill, read_state_dict
from vizion3d.weights.registry import METRIC

# Only training needs it, so that fine-tuned files may lack it.
_UNUSED = "pretrained.mask_token"

_METRIC_DEPTHS_M = {training_set.lower(): depth_m for training_set, depth_m in METRIC.values()}


def load_depth_anything(path: str | os.PathLike[str], max_depth_m: float | None = None) -> DepthAnythingV2:
    """Load a published weights file, or one with the same keys and shapes.

    The network's size is read from the tensors. Relative and metric files hold the same keys, so nothing in the file
    tells them apart: the caller says so with `max_depth_m`.

    Args:
        path: the file.
        max_depth_m: 20 for a Hypersim (indoor) file, 80 for a Virtual KITTI (outdoor) file, None for a relative one.

    Returns:
        The network on the CPU, float32, for inference.

    Raises:
        InputError: `max_depth_m` is not a positive number.
        WeightsError: the file cannot be read, is not a Depth Anything V2 file, or is a metric file by its name and
            `max_depth_m` is None.
    """
    path = Path(path)
    _check_name(path.name, max_depth_m)
    weights = read_state_dict(path)
    config = _find_config(path, weights)
    weights.setdefault(_UNUSED, torch.zeros(1, config.width))
    with torch.device("meta"):
        model = DepthAnythingV2(config, max_depth_m)
    fill(model, weights, path, "Depth Anything V2")
    return model


def _check_name(name: str, max_depth_m: float | None) -> None:
    """Refuse what only the name gives away, because the tensors would load and give wrong depth."""
    lower = name.lower()
    if "depth_anything_vit" in lower and "v2" not in lower:
        raise WeightsError(
            f"{name} is named like Depth Anything V1, whose files have the tensors of V2 but give wrong depth: "
            "use a depth_anything_v2_*.pth file"
        )
    if max_depth_m is None and any(word in lower for word in ("metric", *_METRIC_DEPTHS_M)):
        known = {data: depth for data, depth in _METRIC_DEPTHS_M.items() if data in lower} or _METRIC_DEPTHS_M
        choices = " or ".join(f"max_depth_m={depth:g} ({data})" for data, depth in known.items())
        raise WeightsError(f"{name} is named like a metric network, whose file does not hold its range: pass {choices}")


def _find_config(path: Path, weights: dict[str, Tensor]) -> DepthAnythingConfig:
    require(("depth_anything_v2",), weights, path)
    token = weights.get("pretrained.cls_token")
    if token is None:
        raise WeightsError(f"{path} does not fit Depth Anything V2: pretrained.cls_token is missing")
    shape = tuple(token.shape)
    for config in CONFIGS.values():
        if shape == (1, 1, config.width):
            return config
    known = ", ".join(f"{config.width} ({name})" for name, config in CONFIGS.items())
    raise WeightsError(f"{path} has a class token of shape {shape}; it must be (1, 1, width) with width {known}")
