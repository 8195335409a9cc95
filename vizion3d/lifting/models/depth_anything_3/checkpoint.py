# SPDX-License-Identifier: Apache-2.0
"""Reading a weights file of Depth Anything 3 for single pictures, and telling METRIC from MONO."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import torch

from vizion3d.errors import WeightsError
from vizion3d.lifting.models.depth_anything_3.model import CONFIGS, DepthAnything3
from vizion3d.weights import LocatedWeights
from vizion3d.weights.architectures import require
from vizion3d.weights.checkpoint import fill, read_state_dict

# What others' tools may leave in a file, and nothing evaluates.
_HARMLESS = re.compile(r"backbone\.pretrained\.mask_token|head\.scratch\.refinenet4\.resConfUnit1\..*")
_VARIANT = re.compile(r"(?:da|depth-anything-)3-?(metric|mono)")


def load_depth_anything_3(path: str | os.PathLike[str]) -> DepthAnything3:
    """Load a published METRIC or MONO file, whose tensors have the same names and shapes.

    Args:
        path: of the file.

    Returns:
        The network on the CPU, float32, for inference.

    Raises:
        WeightsError: the file cannot be read or is another network's.
        DependencyError: it is a safetensors file and that library is not installed.
    """
    path = Path(path)
    tensors = read_state_dict(path)
    require(("depth_anything_3",), tensors, path)
    tensors = {key: tensor for key, tensor in tensors.items() if not _HARMLESS.fullmatch(key)}
    token = tensors.get("backbone.pretrained.cls_token")
    width = None if token is None else token.shape[-1]
    config = next((config for config in CONFIGS.values() if config.width == width), CONFIGS["large"])
    with torch.device("meta"):
        network = DepthAnything3(config)
    fill(network, tensors, path, "Depth Anything 3")
    return network


def is_metric(located: LocatedWeights) -> bool:
    """Whether a file is METRIC: by the registry, by the config.json published with it, or by its and its folders' names.

    Raises:
        WeightsError: none of them tells.
    """
    if located.record is not None:
        return located.record.size.startswith("metric")
    path = located.path
    for text in (_model_name(path.with_name("config.json")), *map(str.lower, reversed(path.absolute().parts))):
        variants = set(_VARIANT.findall(text.replace("_", "-")))
        if len(variants) == 1:
            return variants == {"metric"}
    raise WeightsError(
        f"{path} may be DA3METRIC-LARGE or DA3MONO-LARGE, whose tensors look alike: keep the config.json of its publisher "
        "beside it, or name it depth-anything-3-metric-large.safetensors or depth-anything-3-mono-large.safetensors"
    )


def _model_name(config: Path) -> str:
    """What a publisher's config.json calls the model, in lower case; "" if there is none."""
    try:
        return str(json.loads(config.read_text(encoding="utf-8"))["model_name"]).lower()
    except (OSError, ValueError, KeyError, TypeError):
        return ""
