# SPDX-License-Identifier: Apache-2.0
"""The networks that weights belong to, and how a file of one is told from a file of another: by the names of its tensors.

This is the row that a new network adds; its code is a folder in `vizion3d.lifting.models` or `vizion3d.stereo.matchers`.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from vizion3d.errors import WeightsError

Task = Literal["mono", "stereo"]

_TAKES = {"mono": "one picture", "stereo": "a rectified pair"}


@dataclass(frozen=True)
class Architecture:
    """A network family.

    Attributes:
        task: "mono" (one picture) or "stereo" (a rectified pair).
        folder: where its code is.
        title: what people call it.
        telltale: how the name of a tensor begins that only its files have.
        example: name of a file that fits.
        authors: and their paper.
    """

    task: Task
    folder: str
    title: str
    telltale: str
    example: str
    authors: str


ARCHITECTURES = {
    "depth_anything_v2": Architecture(
        "mono",
        "depth_anything",
        "Depth Anything V2",
        "pretrained.",
        "depth_anything_v2_vits.pth",
        "Yang et al., *Depth Anything V2*, 2024",
    ),
    "depth_anything_3": Architecture(
        "mono",
        "depth_anything_3",
        "Depth Anything 3",
        "head.scratch.sky_output_conv2.",
        "depth-anything-3-metric-large",
        "Lin et al., *Depth Anything 3*, 2025",
    ),
    "s2m2": Architecture(
        "stereo",
        "s2m2",
        "S2M2",
        "cnn_backbone.",
        "CH128NTR1.pth",
        "Min et al., *S2M2: Scalable Stereo Matching Model*, 2025",
    ),
    "las2": Architecture(
        "stereo",
        "las2",
        "LAS2",
        "fnet.backbone.",
        "LAS2_S.pth",
        "Jing et al., *Lite Any Stereo V2*, 2026, arXiv 2606.24457",
    ),
}
# What is met although nothing here takes it, by the same telltale.
_FOREIGN = {
    "backbone.encoder.": "a transformers conversion ('-hf'), which names and splits its tensors differently",
    "backbone.pretrained.camera_token": "an any-view network of Depth Anything 3 (DA3-SMALL to -GIANT), which is not read here",
    "head.scratch.output_conv2_additional.": "a training checkpoint of Depth Anything 3, which names its tensors differently",
}


def of_task(task: Task) -> list[str]:
    """The names of the architectures for a task."""
    return [name for name, architecture in ARCHITECTURES.items() if architecture.task == task]


def require(wanted: Collection[str], keys: Collection[str], path: str | os.PathLike[str]) -> str:
    """Which of the wanted architectures a file belongs to.

    Args:
        wanted: names from `ARCHITECTURES`.
        keys: the names of the tensors in the file.
        path: of the file, for the message.

    Raises:
        WeightsError: none of them; the message says what it is instead.
    """
    found = next((name for name, a in ARCHITECTURES.items() if _any_starts(keys, a.telltale)), None)
    if found is not None and found in wanted:
        return found
    if found is not None:
        raise refusal(path, found, wanted)
    foreign = next((text for telltale, text in _FOREIGN.items() if _any_starts(keys, telltale)), None)
    raise _refusal(path, foreign or f"a file with tensors named {some(keys)}", wanted)


def refusal(source: str | os.PathLike[str], found: str, wanted: Collection[str]) -> WeightsError:
    """The error about weights of one architecture where others are wanted."""
    architecture = ARCHITECTURES[found]
    return _refusal(source, f"{architecture.title}, which takes {_TAKES[architecture.task]}", wanted)


def _refusal(source: str | os.PathLike[str], what: str, wanted: Collection[str]) -> WeightsError:
    titles, examples = (
        " or ".join(getattr(ARCHITECTURES[name], attribute) for name in wanted) for attribute in ("title", "example")
    )
    return WeightsError(f"{os.fspath(source)} is not {titles}: it is {what}; give weights such as {examples}")


def some(names: Collection[str], limit: int = 3) -> str:
    """The first few of many names."""
    return ", ".join(list(names)[:limit]) + (", ..." if len(names) > limit else "")


def _any_starts(keys: Collection[str], start: str) -> bool:
    return any(key.startswith(start) for key in keys)
