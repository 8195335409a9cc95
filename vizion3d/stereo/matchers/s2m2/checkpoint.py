# SPDX-License-Identifier: Apache-2.0
"""Loading S2M2 weights, strictly: each tensor must be there, with its shape, and nothing else."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vizion3d.errors import WeightsError
from vizion3d.stereo.matchers.s2m2.model import S2M2
from vizion3d.weights.architectures import require
from vizion3d.weights.checkpoint import fill, read_state_dict

_log = logging.getLogger(__name__)

_WIDTH_KEY = "cnn_backbone.norm1.weight"
_TRANSFORMER_KEY = re.compile(r"transformer\.uformer_list\.(\d+)\.")
_UPSAMPLER = "upsample_mask_4x_refine."
_UPSAMPLER_ALIAS = "upsample_mask_4x."


def load_s2m2(path: str | Path, *, positivity: bool = True, refine_iterations: int = 3) -> S2M2:
    """Build the network that a checkpoint fits and fill it, on the CPU, in float32, for inference.

    Args:
        path: file written by `torch.save`: the tensors by name, or a dict that holds them as "state_dict".
        positivity: see `S2M2`.
        refine_iterations: see `S2M2`.

    Raises:
        WeightsError: the file cannot be read, or is not an S2M2 checkpoint that fits in every tensor.
    """
    path = Path(path)
    tensors = read_state_dict(path)
    channels, transformers = network_size(tensors, path)
    with torch.device("meta"):
        model = S2M2(channels, transformers, positivity, refine_iterations)
    shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
    tensors = rename_upsampler(tensors, shapes)
    fill(model, tensors, path, "S2M2")
    return model


def network_size(tensors: Mapping[str, Tensor], path: Path) -> tuple[int, int]:
    """Channels and number of transformers of the network a checkpoint belongs to.

    Raises:
        WeightsError: the tensors are those of another network.
    """
    require(("s2m2",), tensors, path)
    width = tensors.get(_WIDTH_KEY)
    transformers = {match[1] for key in tensors if (match := _TRANSFORMER_KEY.match(key))}
    if width is None or width.ndim != 1 or not transformers:
        raise WeightsError(f"{path} does not fit S2M2: {_WIDTH_KEY} or transformer.uformer_list.* is missing")
    channels = width.shape[0]
    if channels < 8 or channels % 8:
        raise WeightsError(f"{path}: {_WIDTH_KEY} has {channels} values, S2M2 needs a multiple of 8")
    return channels, len(transformers)


def rename_upsampler(tensors: dict[str, Tensor], shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Give the 4x upsampler the name of the published checkpoints if it has vizion3d 1's and fits in every shape."""
    renamed = {key.replace(_UPSAMPLER_ALIAS, _UPSAMPLER, 1): t for key, t in tensors.items() if _is_alias(key)}
    expected = {key: shape for key, shape in shapes.items() if key.startswith(_UPSAMPLER)}
    if {key: tensor.shape for key, tensor in renamed.items()} != expected or expected.keys() & tensors.keys():
        return tensors
    _log.info("read the tensors %s* as %s*", _UPSAMPLER_ALIAS, _UPSAMPLER)
    return {key: tensor for key, tensor in tensors.items() if not _is_alias(key)} | renamed


def _is_alias(key: str) -> bool:
    return key.startswith(_UPSAMPLER_ALIAS)
