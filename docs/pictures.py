# SPDX-License-Identifier: Apache-2.0
"""Draws the pictures of README and docs, from drawn scenes: ``make pictures``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import torch

from vizion3d.cli.files import write_rgb_png
from vizion3d.lifting.prediction import DepthKind, MonoPrediction
from vizion3d.options import StereoOptions
from vizion3d.stereo import Reason, StereoDepthEstimator
from vizion3d.synthetic import benchmark, default_scene, render_stereo
from vizion3d.visualize import Labels, side_by_side
from vizion3d.visualize.legends import depth_with_scale, disparity_with_scale

IMAGES = Path(__file__).parent / "images"
LIMITS = StereoOptions()
RIG = benchmark.RIG


def drawn_room() -> np.ndarray:
    """What stereo makes of the room, beside the truth."""
    frame = render_stereo(default_scene(), RIG)
    depth_m, reasons, _ = stereo(frame.left, frame.right)
    scale = {"near_m": 1.2, "far_m": 8.0}
    pictures = [frame.left, depth_with_scale(depth_m, reasons, **scale), depth_with_scale(frame.depth_m, **scale)]
    return side_by_side(pictures, ["left image of a drawn pair", "depth by sgbm", "the truth"])


def two_rooms() -> np.ndarray:
    """One image, two rooms: of a room built twice as large, from twice as far, one camera sees the same; two do not.

    The large room and its 0.12 m between the cameras are the small one and 0.06 m, drawn at another scale.
    """
    pictures = []
    for times in (1, 2):
        frame = render_stereo(default_scene(), dataclasses.replace(RIG, baseline_m=RIG.baseline_m / times))
        depth_m, reasons, _ = stereo(frame.left, frame.right)
        pictures.append(depth_with_scale(depth_m, reasons, near_m=1.2, far_m=16.0))
    titles = ["what one camera sees of both", "depth by two cameras", "of the room twice as large"]
    return side_by_side([frame.left, *pictures], titles)


def relative() -> np.ndarray:
    """The best that relative weights can give of the room: the truth up to scale and shift, and what topics make of it."""
    truth_m = render_stereo(default_scene(), RIG).depth_m
    prediction = MonoPrediction(torch.from_numpy((3.0 / truth_m + 0.5).astype(np.float32)), DepthKind.INVERSE)
    pictures = [
        depth_with_scale(truth_m),
        disparity_with_scale(prediction.inverse_depth.numpy(), in_pixels=False),
        depth_with_scale(prediction.depth_m.numpy(), metric=False),
    ]
    return side_by_side(pictures, ["the truth", "relative: inverse depth", "spread over 0.5 to 10 pseudo-metres"])


def what_a_pixel_says() -> np.ndarray:
    """Depth with the reasons of its gaps, and confidence, of a room with a box that is too near."""
    case = benchmark.draw("near-0.5")
    depth_m, reasons, confidence = stereo(case.left, case.right)
    grey = np.repeat(np.round(255 * confidence).astype(np.uint8)[..., None], 3, axis=2)
    return side_by_side(
        [case.left, depth_with_scale(depth_m, reasons), grey], ["left image", "depth, and why there is none", "confidence"]
    )


def stereo(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, Labels, np.ndarray]:
    """Depth in metres, NaN where it is not valid; why; and confidence, by sgbm."""
    prediction = StereoDepthEstimator("sgbm").estimate(left, right, RIG, **LIMITS.matching())
    depth_m = np.where(prediction.valid(LIMITS).numpy(), prediction.depth_m.numpy(), np.nan)
    return depth_m, Labels(prediction.reason(LIMITS).numpy(), [reason.text for reason in Reason]), prediction.confidence.numpy()


if __name__ == "__main__":
    for draw in (drawn_room, two_rooms, relative, what_a_pixel_says):
        picture = draw()
        size = 1000, round(len(picture) * 1000 / picture.shape[1])
        write_rgb_png(IMAGES / f"{draw.__name__}.png", cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
