# SPDX-License-Identifier: Apache-2.0
"""Does this calibration belong to these images? Checks for what goes wrong with stereo cameras in the field.

Each check gives a `Finding`. A calibration that is impossible is refused when its `StereoRig` is made; these checks
find what is possible but unlikely, or contradicts the images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vizion3d.camera import Calibration, StereoRig
from vizion3d.stereo.rectification import RectificationReport, SwapReport, match_features

Level = Literal["ok", "warning", "error"]

_PLAUSIBLE_BASELINE_M = (0.01, 1.0)
_PLAUSIBLE_FIELD_OF_VIEW_DEG = (15.0, 140.0)
_PLAUSIBLE_MEDIAN_DEPTH_M = (0.05, 200.0)
# Distance of the principal point from the image centre, as a part of the image size.
_MAX_CENTRE_OFFSET = 0.25
# On Middlebury pairs block matching loses a tenth of its pixels at 1.5 rows and more than half at 3.
_WARN_ROWS_PX, _ERROR_ROWS_PX = 1.5, 3.0
_MAX_SHARE_BEHIND = 0.9

_CALIBRATE = "calibrate the pair anew, or load the calibration that belongs to these cameras"


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        level: "ok", "warning" (unlikely, or results suffer) or "error" (results are wrong).
        what: what was checked.
        value: what was found, with its unit.
        advice: what to do about it; "" if nothing.
    """

    level: Level
    what: str
    value: str
    advice: str = ""


def check_calibrated_size(calibration: Calibration, image_size: tuple[int, int]) -> Finding:
    """Compare the size that a calibration announces with that of the images, (width, height)."""
    (width, height), announced = image_size, calibration.as_read_out(image_size).image_size
    if 0 in announced or announced == image_size:
        return Finding("ok", "image size", f"{width}x{height}")
    return Finding(
        "warning",
        "image size",
        f"{width}x{height}, calibrated at {announced[0]}x{announced[1]}",
        "taken as the whole image resized; if it is a crop or another mode, calibrate this mode or set roi and binning",
    )


def check_rig(rig: StereoRig) -> list[Finding]:
    """Find what no usual stereo camera has: its field of view, principal point and baseline."""
    camera = rig.left
    field_of_view_deg = 2 * math.degrees(math.atan(camera.width / 2 / camera.fx))
    columns, row = (camera.cx / camera.width, rig.right.cx / camera.width), camera.cy / camera.height
    off_centre = max(abs(part - 0.5) for part in (*columns, row))
    return [
        _judge(
            _within(field_of_view_deg, _PLAUSIBLE_FIELD_OF_VIEW_DEG),
            "focal length",
            f"{camera.fx:.6g} px, horizontal field of view {field_of_view_deg:.0f} deg",
            f"the focal length seems to be for another image size: {_CALIBRATE}",
        ),
        _judge(
            off_centre <= _MAX_CENTRE_OFFSET,
            "principal point",
            f"{off_centre:.0%} of the image size from the centre",
            f"the calibration seems to be for another image size or crop: {_CALIBRATE}",
        ),
        _judge(
            _within(rig.baseline_m, _PLAUSIBLE_BASELINE_M),
            "baseline",
            f"{rig.baseline_m:.4g} m",
            "measure the distance of the lenses; if it is another, the calibration used a wrong size of the squares "
            "(metres are needed) or belongs to another pair",
        ),
    ]


def check_pair(left_rgb: np.ndarray, right_rgb: np.ndarray, rig: StereoRig | None = None) -> list[Finding]:
    """Compare the two images with each other and with the rig.

    Args:
        left_rgb, right_rgb: (H, W, 3) uint8.
        rig: of these images; None if it is unknown.
    """
    if left_rgb.shape != right_rgb.shape:
        sizes = " and ".join(f"{image.shape[1]}x{image.shape[0]}" for image in (left_rgb, right_rgb))
        return [Finding("error", "pair", f"sizes {sizes}", "set both cameras to one resolution")]
    if np.array_equal(left_rgb, right_rgb):
        return [Finding("error", "pair", "both images are the same", "check that left and right are two cameras")]
    matches = match_features(left_rgb, right_rgb)
    rows = RectificationReport.from_matches(matches)
    if not rows.enough:
        value = f"only {len(matches)} matches, too few to compare the images"
        return [Finding("warning", "texture", value, "check light, focus and lens caps, and show a scene with texture")]
    order = SwapReport.from_matches(matches)
    explained = rig is not None and _in_front(matches, rig)
    findings = [
        Finding("ok", "texture", f"{len(matches)} matches"),
        *_check_rows(rows, left_rgb.shape[1], left_rgb.shape[0]),
        _check_order(order, explained),
    ]
    return findings if rig is None or (order.swapped and not explained) else [*findings, _check_depth(matches, rig)]


def _check_rows(rows: RectificationReport, width: int, height: int) -> list[Finding]:
    # What roll and scale make of the rows at the edge of the image; the median offset does not show them.
    slant_px = max(
        abs(math.tan(math.radians(rows.roll_deg))) * width / 2,
        abs(rows.vertical_scale - 1) * height / 2,
    )
    slant = f"roll {rows.roll_deg:+.2f} deg, scale {rows.vertical_scale:.4f}: {slant_px:.1f} px at the image edge"
    direction = "lower" if rows.offset_px > 0 else "higher"
    advice = (
        "rectify the images with this calibration if they are raw; otherwise a camera has moved or the lenses changed: "
        "calibrate the pair anew"
    )
    return [
        _judge_rows(abs(rows.offset_px), "row offset", f"the right image is {abs(rows.offset_px):.2f} px {direction}", advice),
        _judge_rows(slant_px, "row slant", slant, advice),
    ]


def _judge_rows(rows_px: float, what: str, value: str, advice: str) -> Finding:
    return _judge(rows_px <= _WARN_ROWS_PX, what, value, advice, "warning" if rows_px <= _ERROR_ROWS_PX else "error")


def _in_front(matches: np.ndarray, rig: StereoRig) -> bool:
    """Whether the matches lie in front of the cameras as the rig has it."""
    return float((matches[:, 0] - matches[:, 2] + rig.doffs_px > 0).mean()) > _MAX_SHARE_BEHIND


def _check_order(order: SwapReport, explained: bool) -> Finding:
    """`explained`: the rig has points in front of the cameras where the disparities are."""
    if math.isnan(order.positive_share):
        return Finding("ok", "order", "cannot be told: the scene is too far away to shift between the images")
    value = f"{order.positive_share:.0%} of {order.decided} disparities are positive"
    if order.swapped is None:
        return Finding("warning", "order", value, "all should be: check that both images are of one moment and rectified")
    if order.swapped and explained:
        advice = (
            "doffs allows that, but it would look the same if left and right were swapped: if near comes out far, exchange them"
        )
        return Finding("warning", "order", value, advice)
    return _judge(not order.swapped, "order", value, "left and right are swapped: exchange the two images", "error")


def _check_depth(matches: np.ndarray, rig: StereoRig) -> Finding:
    corrected = matches[:, 0] - matches[:, 2] + rig.doffs_px
    behind = float((corrected <= 0).mean())
    if behind > _MAX_SHARE_BEHIND:
        value = f"disparity + doffs is not positive for {behind:.0%} of the matches (doffs {rig.doffs_px:.6g} px)"
        return Finding("error", "depth", value, f"doffs = cx_right - cx_left is wrong: {_CALIBRATE}")
    depth_m = rig.left.fx * rig.baseline_m / float(np.median(corrected[corrected > 0]))
    return _judge(
        _within(depth_m, _PLAUSIBLE_MEDIAN_DEPTH_M),
        "depth",
        f"median {depth_m:.3g} m",
        f"if the scene is not at that distance, baseline or focal length are wrong: {_CALIBRATE}",
    )


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def _judge(fine: bool, what: str, value: str, advice: str, level: Level = "warning") -> Finding:
    return Finding("ok", what, value) if fine else Finding(level, what, value, advice)
