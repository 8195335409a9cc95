# SPDX-License-Identifier: Apache-2.0
"""Maps of labels as colours with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vizion3d.errors import InputError

# Pale green and greys, which neither the colours of depth nor those of disparity have.
LABEL_RGB = np.array(
    [(176, 212, 168), (20, 20, 24), (255, 255, 255), (208, 208, 216), (84, 84, 92), (230, 214, 190), (150, 144, 140)], np.uint8
)
_INK, _PAPER = (40, 40, 40), 255
_MIN_WIDTH_OF_LEGEND = 320


@dataclass(frozen=True)
class Labels:
    """A map of labels.

    Attributes:
        indices: (H, W) integers, indices into names.
        names: at most seven, ASCII.
    """

    indices: np.ndarray
    names: Sequence[str]

    def __post_init__(self) -> None:
        labels, names = self.indices, self.names
        if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
            raise InputError(f"labels are {labels.shape} {labels.dtype}; (H, W) integers are needed")
        if len(names) > len(LABEL_RGB) or (labels.size and not 0 <= labels.min() <= labels.max() < len(names)):
            raise InputError(
                f"labels are {labels.min()} to {labels.max()} and {len(names)} of at most {len(LABEL_RGB)} names are given"
            )

    def entries(self, among: np.ndarray | None = None) -> list[tuple[tuple[int, int, int], str]]:
        """Colour, and name with its share of all pixels, of each label that occurs (in the pixels of a mask)."""
        chosen = self.indices if among is None else self.indices[among]
        shares = np.bincount(chosen.ravel(), minlength=len(self.names)) / max(1, self.indices.size)
        return [(tuple(LABEL_RGB[i].tolist()), f"{self.names[int(i)]} {shares[i]:.0%}") for i in np.flatnonzero(shares)]


def colorize_labels(labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """A colour for each label, with a legend of those that occur and their shares below.

    Args:
        labels: (H, W) integers, indices into names.
        names: at most seven, ASCII.

    Returns:
        (H + legend, W, 3) uint8 RGB, W at least 320.

    Raises:
        InputError: labels are not (H, W), or not all have a name.
    """
    legend = Labels(labels, names).entries()
    picture = LABEL_RGB[labels]
    missing = _MIN_WIDTH_OF_LEGEND - picture.shape[1]
    if missing > 0:
        picture = cv2.copyMakeBorder(picture, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=(_PAPER,) * 3)
    entries = [_entry(*entry) for entry in legend]
    return np.vstack((picture, *_rows(entries, picture.shape[1])))


def _entry(color: tuple[int, int, int], text: str) -> np.ndarray:
    """A patch of the colour and the text beside it."""
    (text_width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
    entry = np.full((20, 32 + text_width, 3), _PAPER, np.uint8)
    entry[4:16, 6:18] = _INK
    entry[5:15, 7:17] = color
    return cv2.putText(entry, text, (22, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)


def _rows(entries: list[np.ndarray], width: int) -> list[np.ndarray]:
    """The entries side by side, in as many rows as they need."""
    rows: list[np.ndarray] = []
    x = width
    for entry in entries:
        if x + entry.shape[1] > width:
            rows.append(np.full((entry.shape[0], width, 3), _PAPER, np.uint8))
            x = 0
        rows[-1][:, x : x + entry.shape[1]] = entry
        x += entry.shape[1]
    return rows
