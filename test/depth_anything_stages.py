# SPDX-License-Identifier: Apache-2.0
"""What flows between the modules of the Depth Anything networks, and its comparison with golden vectors."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from golden_vectors import relative_error
from torch import Tensor

from vizion3d.lifting.models.depth_anything.backbone import Backbone
from vizion3d.lifting.models.depth_anything.head import DepthHead
from vizion3d.lifting.models.depth_anything.position import position_table

GOLDEN = Path(__file__).parent / "golden"


def golden_shapes(keys: dict[str, Any], blocks: str) -> dict[str, tuple[int, ...]]:
    """Every key and shape of a weights file; the stored copy holds the transformer block once, `blocks` is before its keys."""
    shapes = dict(keys["rest"])
    for index in range(keys["blocks"]):
        shapes |= {f"{blocks}.{index}.{key}": shape for key, shape in keys["block"].items()}
    return {key: tuple(shape) for key, shape in shapes.items()}


@contextmanager
def watched(encoder: Backbone, decoder: DepthHead) -> Iterator[dict[str, Tensor]]:
    """A record of what flows between the modules of a network while it runs; see `stages`."""
    seen: dict[str, Tensor] = {}
    hooks = []

    def watch(name, module):
        hooks.append(module.register_forward_hook(lambda _module, _args, output: seen.update({name: output})))

    def watch_input(name, module):
        hooks.append(module.register_forward_pre_hook(lambda _module, args: seen.update({name: args[0]})))

    scratch = decoder.scratch
    watch("patch_tokens", encoder.patch_embed)
    watch_input("tokens_in", encoder.blocks[0])
    for index, block in enumerate(encoder.blocks):
        watch(f"block_{index}", block)
    for tap in range(4):
        watch_input(f"feat_{tap}", decoder.projects[tap])
        watch(f"proj_{tap}", decoder.projects[tap])
        watch(f"resized_{tap}", decoder.resize_layers[tap])
        watch(f"rn_{tap + 1}", scratch.get_submodule(f"layer{tap + 1}_rn"))
        watch(f"path_{tap + 1}", scratch.get_submodule(f"refinenet{tap + 1}"))
    watch("head_conv1", scratch.output_conv1)
    watch_input("head_up", scratch.output_conv2)
    watch("pre_act", scratch.output_conv2)
    if scratch.sky_output_conv2 is not None:
        watch("sky_pre", scratch.sky_output_conv2)
    yield seen
    for hook in hooks:
        hook.remove()


def stages(seen: dict[str, Tensor], encoder: Backbone) -> dict[str, Tensor]:
    """A record of `watched` in the shapes of the golden vectors."""
    tokens = {name: seen[name].flatten(2).transpose(1, 2) for name in ("patch_tokens", "feat_0", "feat_1", "feat_2", "feat_3")}
    return seen | tokens | {"pos_embed_used": position_table(encoder.pos_embed, *seen["patch_tokens"].shape[-2:])}


def check_all(
    golden: Any, found: dict[str, Tensor], record_property: Any, limit: float = 2e-5, without: Collection[str] = ()
) -> None:
    """Compare every array of a golden file; _s7 ends the name of every 7th row and column, _c4 that of every 4th channel."""
    errors = {}
    for name in set(golden.files) - {"image", "wide_image", "meta"} - set(without):
        base, kind, step = re.fullmatch(r"(.+?)(?:_([sc])(\d+))?", name).groups()
        array = found[base]
        if kind:
            array = array[..., :: int(step)] if kind == "c" else array[..., :: int(step), :: int(step)]
        errors[name] = relative_error(array, golden[name])
        record_property(name, errors[name])
    assert {name: value for name, value in errors.items() if not value <= limit} == {}


def prefixed(prefix: str, arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """The arrays under longer names."""
    return {f"{prefix}_{name}": array for name, array in arrays.items()}


def rule_image(height: int, width: int) -> np.ndarray:
    """The picture the golden vectors were made with."""
    turn = 2 * np.pi
    y, x = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    red = 0.5 + 0.25 * np.sin(turn * (3 * x + 2 * y)) + 0.15 * np.cos(turn * (7 * x - 5 * y))
    green = 0.5 + 0.25 * np.cos(turn * (2 * x - 4 * y) + 0.7) + 0.15 * np.sin(turn * (11 * x + 9 * y))
    blue = 0.5 + 0.30 * np.sin(turn * 6 * x * y + 0.3) + 0.10 * np.cos(turn * (17 * x + 13 * y))
    return np.clip(np.floor(255 * np.stack([red, green, blue], axis=-1) + 0.5), 0, 255).astype(np.uint8)
