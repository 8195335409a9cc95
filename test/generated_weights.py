# SPDX-License-Identifier: Apache-2.0
"""Weights that anyone can draw again by rule, so that golden vectors and node tests need no trained files."""

import hashlib
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch


def depth_anything_state_dict(shapes: Mapping[str, Iterable[int]], embed_gain: float = 1.0) -> dict[str, torch.Tensor]:
    """Weights for a Depth Anything V2 network; each tensor depends only on its key, its shape and `embed_gain`."""
    return {key: torch.from_numpy(_depth_anything_tensor(key, tuple(shapes[key]), embed_gain)) for key in shapes}


def _depth_anything_tensor(key: str, shape: tuple[int, ...], embed_gain: float) -> np.ndarray:
    noise = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)
    kind = key.rsplit(".", 1)[-1]
    if kind == "gamma":
        value = 0.3 + 0.06 * noise
    elif key == "depth_head.scratch.output_conv2.2.bias":
        value = 2 + 0.05 * noise
    elif kind in ("cls_token", "pos_embed", "mask_token"):
        value = (0.5 * embed_gain) * noise
    elif kind == "bias":
        value = 0.05 * noise
    elif len(shape) == 1:
        value = 1 + 0.1 * noise
    else:
        transposed = key in ("depth_head.resize_layers.0.weight", "depth_head.resize_layers.1.weight")
        fan_in = shape[0] if transposed else math.prod(shape[1:])
        value = noise * (1 / np.sqrt(fan_in))
    if key.startswith("pretrained.patch_embed.proj."):
        value = value * embed_gain
    return value.astype(np.float32)


def depth_anything_3_state_dict(shapes: Mapping[str, Sequence[int]], gain: float = 1.0) -> dict[str, torch.Tensor]:
    """Weights for a Depth Anything 3 network, by its keys in the file; `gain` is that of embedding and layer scales."""
    return {key: torch.from_numpy(_depth_anything_3_tensor(key, tuple(shape), gain)) for key, shape in shapes.items()}


def _depth_anything_3_tensor(key: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    noise = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)
    kind = key.rsplit(".", 1)[-1]
    if kind == "gamma":
        value = gain * (0.3 + 0.06 * noise)
    elif key == "model.head.scratch.output_conv2.2.bias":
        value = 0.5 + 0.05 * noise
    elif key == "model.head.scratch.sky_output_conv2.2.bias":
        value = -0.4 + 0.05 * noise
    elif kind in ("cls_token", "pos_embed"):
        value = (0.5 * gain) * noise
    elif kind == "bias":
        value = 0.05 * noise
    elif len(shape) == 1:
        value = 1 + 0.1 * noise
    else:
        transposed = key.endswith(("resize_layers.0.weight", "resize_layers.1.weight"))
        fan_in = shape[0] if transposed else math.prod(shape[1:])
        value = noise * (1 / np.sqrt(fan_in)) * (0.5 if key.endswith("output_conv2.2.weight") else 1)
    if ".patch_embed.proj." in key:
        value = value * gain
    return value.astype(np.float32)


def sha256(state_dict: Mapping[str, torch.Tensor]) -> str:
    """Hash of all tensors as little-endian float32, keys in sorted order."""
    digest = hashlib.sha256()
    for key in sorted(state_dict):
        digest.update(state_dict[key].numpy().astype("<f4").tobytes())
    return digest.hexdigest()


_S2M2_GAINS = (  # the first line that fits counts: start of the key, its ends, gain
    ("", (".q.weight", ".k.weight"), 3.0),
    ("", (".feature_gate.2.weight",), 4.0),
    ("transformer.", (".proj.weight", ".ffn.2.weight"), 0.25),
    ("transformer.", (".feature_fusion.2.weight",), 0.5),
    ("global_refiner.out_feat.0.weight", ("",), 0.06),
    ("refiner.disp_update.2.weight", ("",), 4.0),
    ("refiner.conf_occ_update.2.weight", ("",), 2.0),
    ("", ("",), 1.0),
)


def s2m2_state_dict(shapes: Mapping[str, Sequence[int]], salt: str) -> dict[str, torch.Tensor]:
    """Float32 tensors for every key of an S2M2 model.

    Their sizes are such that a signal passes through the network without fading or blowing up, and that the matching
    has an opinion.
    """
    channels = shapes["disp_init.layer_norm.weight"][0]
    return {key: torch.from_numpy(_s2m2_tensor(key, tuple(shape), salt, channels)) for key, shape in shapes.items()}


def weights_crc32(tensors: Mapping[str, torch.Tensor]) -> int:
    """CRC-32 over the little-endian float32 bytes of all tensors but counters, keys in sorted order."""
    crc = 0
    for key in sorted(key for key, tensor in tensors.items() if tensor.is_floating_point()):
        crc = zlib.crc32(tensors[key].numpy().astype("<f4").tobytes(), crc)
    return crc


def _s2m2_tensor(key: str, shape: tuple[int, ...], salt: str, channels: int) -> np.ndarray:
    seed = zlib.crc32(f"{salt}:{key}".encode())
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)
    if len(shape) > 1:
        gain = next(gain for start, ends, gain in _S2M2_GAINS if key.startswith(start) and key.endswith(ends))
        values = gain * noise / math.sqrt(math.prod(shape[1:]))
    elif key == "cnn_backbone.norm1.weight":
        values = 1 + 0.1 * noise
    elif key == "disp_init.layer_norm.weight":
        values = (1 + 0.1 * noise) * math.sqrt(18 / channels)
    elif key == "global_refiner.out_feat.0.bias":
        values = 0.06 + 0.05 * noise
    else:
        values = 0.1 * noise
    return values.astype(np.float32)


_LAS2_TRANSPOSED = ("cost_agg.conv5.", "cost_agg.conv6.", "refine_3.")
_LAS2_FAINT = ("cost_agg.att2.conv3.", "cost_agg.att4.conv3.")


def las2_state_dict(shapes: Mapping[str, Sequence[int]]) -> dict[str, torch.Tensor]:
    """Tensors for every key of a LAS2 network, float32 but for its counters.

    The gains let the correlation through to the scores, so that the network really matches, after a fashion.
    """
    return {key: torch.from_numpy(_las2_tensor(key, tuple(shape))) for key, shape in shapes.items()}


def _las2_tensor(key: str, shape: tuple[int, ...]) -> np.ndarray:
    noise = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)
    if key.endswith(".num_batches_tracked"):
        return np.array(0)
    if key.endswith(".running_mean"):
        values = 0.1 * noise
    elif key.endswith(".running_var"):
        values = np.exp(0.25 * noise)
    elif key == "cost_agg.att0.conv3.bias":
        values = 14 + 1.4 * noise
    elif key.startswith(_LAS2_FAINT) and key.endswith(".bias"):
        values = 1 + 0.1 * noise
    elif key == "cost_agg.conv6.1.weight":
        values = 0.2 * (1 + 0.1 * noise)
    elif key.endswith(".bias"):
        values = 0.1 * noise
    elif len(shape) == 1:
        values = 1 + 0.1 * noise
    else:
        transposed = ".deconv." in key or key.startswith(_LAS2_TRANSPOSED)
        fan_in = shape[0] * shape[2] * shape[3] / 4 if transposed else math.prod(shape[1:])
        values = _las2_gain(key) * noise / math.sqrt(fan_in)
    return values.astype(np.float32)


def _las2_gain(key: str) -> float:
    if key.endswith(".mlp.3.weight"):
        return 0.25 if key.startswith("cost_agg.") else 0.7
    if key.startswith(_LAS2_FAINT):
        return 0.3
    return 2 if key == "refine_3.block.0.weight" else 1
