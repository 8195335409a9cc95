# SPDX-License-Identifier: Apache-2.0
"""A picture of where a map is wrong, which way, and how far, with a legend that says how much of it there is."""

from __future__ import annotations

import math

import cv2
import numpy as np

from vizion3d.evaluate.scores import Errors

_PIXEL_STEPS = (1.0, 2.0, 5.0)
_RELATIVE_STEPS = (0.02, 0.05, 0.2)
# From much too far over right to much too near: what lets a robot drive into something is red.
_COLORS = (
    (165, 0, 38), (244, 109, 67), (254, 224, 144), (242, 242, 236), (171, 217, 233), (90, 150, 200), (49, 54, 149),
)  # fmt: skip
_UNANSWERED, _NOT_VALID, _UNKNOWN = (112, 112, 112), (78, 78, 78), (0, 0, 0)
_INK = (40, 40, 40)


def error_picture(errors: Errors, valid: np.ndarray | None = None) -> np.ndarray:
    """Signed error of each pixel in classes, and a legend below with the share of each, of the pixels with truth.

    The error is in pixels of disparity, where there is none in percent of the depth.

    Args:
        errors: of the map.
        valid: (H, W) bool, answers that the model stands by; the others are shown as not valid. None is all.

    Returns:
        (H + legend, W, 3) uint8 RGB; at least 320 pixels wide, for small maps each pixel is drawn larger.
    """
    classes = _classes(errors, errors.answered if valid is None else errors.answered & valid)
    height, width = errors.truth.shape
    picture = np.zeros((height, width, 3), np.uint8)
    entries = []
    for label, color, inside in classes:
        picture[inside] = color
        share = inside[errors.truth].mean() if label != "no truth" else inside.mean()
        entries.append((f"{label}  {100 * share:.1f} %" + (" of the image" if label == "no truth" else ""), color))
    zoom = max(1, math.ceil(320 / width))
    picture = np.repeat(np.repeat(picture, zoom, axis=0), zoom, axis=1)
    return np.vstack([picture, _legend(entries, picture.shape[1])])


def _classes(errors: Errors, valid: np.ndarray) -> list[tuple[str, tuple[int, int, int], np.ndarray]]:
    """(label, colour, (H, W) bool) of each class; every pixel is in one."""
    # A larger disparity is nearer; too far is positive here.
    nearer, steps, unit, factor = (
        (errors.px, _PIXEL_STEPS, "px", 1.0) if errors.px is not None else (1 - errors.ratio, _RELATIVE_STEPS, "%", 100.0)
    )
    compared = errors.truth & valid
    off = np.where(compared, nearer, 0.0)
    index = len(steps) + np.sign(off) * (np.abs(off)[..., None] > steps).sum(axis=-1)
    low, middle, high = (f"{step * factor:g}" for step in steps)
    labels = (
        f"> {high} {unit} too far", f"> {middle} {unit} too far", f"> {low} {unit} too far", f"within {low} {unit}",
        f"> {low} {unit} too near", f"> {middle} {unit} too near", f"> {high} {unit} too near",
    )  # fmt: skip
    classes = [(label, color, compared & (index == i)) for i, (label, color) in enumerate(zip(labels, _COLORS, strict=True))]
    unanswered = errors.truth & ~errors.answered
    not_valid = errors.truth & errors.answered & ~valid
    others = [
        ("no answer", _UNANSWERED, unanswered),
        ("not valid", _NOT_VALID, not_valid),
        ("no truth", _UNKNOWN, ~errors.truth),
    ]
    return classes + [entry for entry in others if entry[2].any()]


def _legend(entries: list[tuple[str, tuple[int, int, int]]], width: int) -> np.ndarray:
    """(h, width, 3): a box and a text for each entry, in as many columns as fit."""
    font, scale, line = cv2.FONT_HERSHEY_SIMPLEX, 0.4, 18
    widest = max(cv2.getTextSize(text, font, scale, 1)[0][0] for text, _ in entries) + 34
    columns = max(1, width // widest)
    rows = math.ceil(len(entries) / columns)
    legend = np.full((rows * line + 8, width, 3), 255, np.uint8)
    for number, (text, color) in enumerate(entries):
        x, y = number // rows * widest + 8, number % rows * line + 4
        cv2.rectangle(legend, (x, y + 3), (x + 14, y + 14), color, -1)
        cv2.rectangle(legend, (x, y + 3), (x + 14, y + 14), _INK, 1)
        cv2.putText(legend, text, (x + 21, y + 13), font, scale, _INK, 1, cv2.LINE_AA)
    return legend
