# SPDX-License-Identifier: Apache-2.0
"""Pictures next to each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from vizion3d.errors import InputError

_WHITE = (255, 255, 255)
_MAX_WIDTH_PX, _PAGE_SHAPE = 1600, 4 / 3


def overview(images: Sequence[np.ndarray], titles: Sequence[str]) -> np.ndarray:
    """Pictures with their titles in rows, as near to the shape of a page as they can be, at most 1600 wide.

    Args:
        images: as in `side_by_side`; those of a row have one height.
        titles: one for each image, ASCII.

    Raises:
        InputError: as `side_by_side`.
    """
    counts = range(1, max(1, len(images)) + 1)
    return min((_wrapped(images, titles, count) for count in counts), key=lambda sheet: sheet[1])[0]


def _wrapped(images: Sequence[np.ndarray], titles: Sequence[str], columns: int) -> tuple[np.ndarray, float]:
    """The sheet with so many pictures in a row, and how unlike a page and how much reduced it is."""
    rows = []
    for start in range(0, max(1, len(images)), columns):
        chosen = images[start : start + columns]
        rows.append(side_by_side(chosen, titles[start : start + columns], max((len(image) for image in chosen), default=None)))
    scales = [min(1.0, _MAX_WIDTH_PX / row.shape[1]) for row in rows]
    rows = [
        row if scale == 1 else cv2.resize(row, (_MAX_WIDTH_PX, max(1, round(len(row) * scale))), interpolation=cv2.INTER_AREA)
        for row, scale in zip(rows, scales, strict=True)
    ]
    width = max(row.shape[1] for row in rows)
    sheet = np.vstack([cv2.copyMakeBorder(r, 0, 0, 0, width - r.shape[1], cv2.BORDER_CONSTANT, value=_WHITE) for r in rows])
    return sheet, abs(math.log(width / len(sheet) / _PAGE_SHAPE)) - math.log(min(scales))


def side_by_side(images: Sequence[np.ndarray], titles: Sequence[str], height: int | None = None) -> np.ndarray:
    """One row of pictures of equal height, each with its title below.

    Args:
        images: (H, W, 3) or (H, W), uint8 or bool.
        titles: one for each image, ASCII.
        height: to which all are resized; None is that of the first.

    Raises:
        InputError: no images, another number of titles, or an image of another kind.
    """
    if not images or len(images) != len(titles):
        raise InputError(f"got {len(images)} images and {len(titles)} titles; give one title for each image")
    height = height or images[0].shape[0]
    margin = max(4, height // 60)
    tiles = [_tile(image, title, height) for image, title in zip(images, titles, strict=True)]
    framed = [cv2.copyMakeBorder(t, margin, 0, margin, 0, cv2.BORDER_CONSTANT, value=_WHITE) for t in tiles]
    return cv2.copyMakeBorder(np.hstack(framed), 0, 0, 0, margin, cv2.BORDER_CONSTANT, value=_WHITE)


def _tile(image: np.ndarray, title: str, height: int) -> np.ndarray:
    if image.dtype == bool:
        image = image.astype(np.uint8) * 255
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise InputError(
            f'image "{title}" has shape {image.shape} and dtype {image.dtype}; it must be (H, W, 3) or (H, W), uint8 or bool'
        )
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    scale = height / image.shape[0]
    if scale != 1:
        size = max(1, round(image.shape[1] * scale)), height
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.vstack([image, _caption(title, image.shape[1], max(12, height // 14))])


def _caption(title: str, width: int, height: int) -> np.ndarray:
    """A strip with the title in its middle, made smaller if it is too long."""
    strip = np.full((height, width, 3), 255, dtype=np.uint8)
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, height // 24)
    (text_width, text_height), _ = cv2.getTextSize(title, font, 1.0, thickness)
    scale = min(0.5 * height / max(1, text_height), 0.96 * width / max(1, text_width))
    corner = round((width - scale * text_width) / 2), round((height + scale * text_height) / 2)
    return cv2.putText(strip, title, corner, font, scale, (40, 40, 40), thickness, cv2.LINE_AA)
