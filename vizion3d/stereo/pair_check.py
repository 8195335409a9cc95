# SPDX-License-Identifier: Apache-2.0
"""What ruins the depth of a pair, found in milliseconds: the one check of doctor, command, Python and node.

It looks at the images, and with them at their rig and at what was matched, as far as these are known. "error" is what makes
every pixel wrong; "warning" what costs some, or is unlikely.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vizion3d.camera import Calibration, StereoRig
from vizion3d.options import ValidityLimits
from vizion3d.stereo.findings import LEVELS, Finding, Level, judge, within
from vizion3d.stereo.order import OrderReport, far_strips_share
from vizion3d.stereo.prediction import StereoPrediction
from vizion3d.stereo.rig_check import CALIBRATE, check_rig
from vizion3d.stereo.row_check import RowReport, match_features, rectified_matches

MAX_ROWS_PX = 1.5
"""Rows that left and right may be apart, in pixels of the images: where sgbm has lost a tenth of its pixels (9 to 13 % on four
real pairs; at 3 rows 36 to 76 %). S2M2 is made for less than 2."""
# There three quarters and more of the right answers are lost (76 to 95 % on these pairs), and of what is answered a quarter to
# two thirds is wrong.
_UNRECTIFIED_ROWS_PX = 6.0
# Slopes of the rows must be larger than so many of their standard errors.
_SURE = 3.0
# One camera's picture by the other's in brightness, beyond which matchers that compare grey values suffer.
_MAX_BRIGHTNESS_RATIO = 1.5
_DARK, _BRIGHT = 12.0, 243.0
# Where nearly all is at one place in both images, and the grey values at corners are those of one picture but for its noise.
_SAME_PLACE_PX, _SAME_PLACE_SHARE, _SAME_GREY = 0.5, 0.9, 4.0
_PLAUSIBLE_MEDIAN_DEPTH_M = (0.05, 200.0)
# On whole frames of real pairs 0 to 1.3 % of the matches are beyond the range; on windows of them that are too near, 5 to 98 %.
_MAX_NEARER_SHARE = 0.03
_RANGE_STEP_PX = 32
_MAX_TOO_FAR_SHARE = 0.5
_MIN_VALID_SHARE = 0.1
_ENDLESS_M = 100000.0  # the largest z_far that there is
# Shares are taken of about so many pixels.
_SAMPLED_PIXELS = 20000
_UNKNOWN_ROWS = RowReport(0)


@dataclass(frozen=True)
class PairCheck:
    """What was found about a pair. Numbers are NaN where they could not be had.

    Attributes:
        findings: one for each thing that was looked at; what could not be looked at is not among them.
        rows: how the rows line up; without `rows.enough` there were too few matches to compare the images.
        brightness_ratio: mean grey value of the right image by that of the left one.
        in_front_share: part of the matches that are in front of the cameras, as all should be.
        nearer_share: part of the matches that are nearer than what counts as measured.
        median_depth_m: of the matches.
        valid_share: part of the pixels that have a depth.
        too_far_share: part of what was measured that z_far cuts off.
    """

    findings: tuple[Finding, ...]
    rows: RowReport = _UNKNOWN_ROWS
    brightness_ratio: float = math.nan
    in_front_share: float = math.nan
    nearer_share: float = math.nan
    median_depth_m: float = math.nan
    valid_share: float = math.nan
    too_far_share: float = math.nan

    @property
    def level(self) -> Level:
        """The worst of the findings; "ok" if there is none."""
        return max((finding.level for finding in self.findings), key=LEVELS.index, default="ok")

    @property
    def faults(self) -> tuple[Finding, ...]:
        """What is wrong, the worst first."""
        faults = [finding for finding in self.findings if finding.is_fault]
        return tuple(sorted(faults, key=lambda finding: -LEVELS.index(finding.level)))


def check_pair(
    left_rgb: np.ndarray,
    right_rgb: np.ndarray,
    rig: StereoRig | None = None,
    *,
    prediction: StereoPrediction | None = None,
    limits: ValidityLimits | None = None,
    calibrations: tuple[Calibration, Calibration] | None = None,
    rectify_by: str | None = "rectify them with this calibration",
) -> PairCheck:
    """Compare the two images with each other, with their rig and with what was matched.

    Args:
        left_rgb, right_rgb: (H, W, 3) uint8.
        rig: of these images; None if it is unknown.
        prediction: of these images; None if they were not matched. Then nothing is said about the range and valid pixels.
        limits: which pixels are valid; None is the default.
        calibrations: what the rig was made of, as published with the images; they tell whether raw images are the cause of
            rows that do not line up.
        rectify_by: what to do at this door about raw images; None if it has rectified these.
    """
    findings = [] if rig is None else check_rig(rig)
    if left_rgb.shape != right_rgb.shape:
        sizes = " and ".join(f"{image.shape[1]}x{image.shape[0]}" for image in (left_rgb, right_rgb))
        return PairCheck((*findings, Finding("error", "pair", f"sizes {sizes}", "set both cameras to one resolution")))
    matches = match_features(left_rgb, right_rgb)
    greys = _mean_grey(left_rgb), _mean_grey(right_rgb)
    rows = RowReport.from_matches(matches)
    ratio = max(greys[1], 1.0) / max(greys[0], 1.0)  # of black images as well
    check = PairCheck((*findings, _check_exposure(ratio)), rows, brightness_ratio=ratio)
    if not rows.enough:
        return _with(check, _no_matches(len(matches), *greys))
    check = _with(check, Finding("ok", "texture", f"{len(matches)} matches"))
    one_camera = _check_one_camera(left_rgb, right_rgb, matches)
    if one_camera.level == "error":
        return _with(check, one_camera)
    size_wh = left_rgb.shape[1], left_rgb.shape[0]
    row_findings = _check_rows(rows, size_wh)
    if any(finding.is_fault for finding in row_findings):
        advice = _advice_on_rows(rows, matches, calibrations, size_wh, rectify_by)
        row_findings = [dataclasses.replace(finding, advice=advice if finding.is_fault else "") for finding in row_findings]
    check = _with(check, one_camera, *row_findings)
    limits = limits or ValidityLimits()
    check = _with_order(check, matches, left_rgb, rig, prediction, limits)
    if check.findings[-1].level == "error":
        return check  # what follows would be its consequences
    if rig is not None:
        check = _with_depth(check, matches, rig)
    return check if prediction is None else _with_range(check, matches, prediction, limits, rig)


def _with(check: PairCheck, *findings: Finding, **numbers: Any) -> PairCheck:
    return dataclasses.replace(check, findings=(*check.findings, *findings), **numbers)


def _mean_grey(rgb: np.ndarray) -> float:
    return float(np.mean(cv2.mean(rgb[::4])[:3]))


def _check_exposure(ratio: float) -> Finding:
    return judge(
        within(ratio, (1 / _MAX_BRIGHTNESS_RATIO, _MAX_BRIGHTNESS_RATIO)),
        "exposure",
        f"the right image is {ratio:.2f} times as bright as the left one",
        "give both cameras one exposure and gain, and look for a covered lens",
        passing=True,
    )


def _no_matches(count: int, left_grey: float, right_grey: float) -> Finding:
    value = f"only {count} matches, too few to compare the images"
    for grey, name in ((left_grey, "left"), (right_grey, "right")):
        if not within(grey, (_DARK, _BRIGHT)):
            value += f"; the {name} one is {'black' if grey < _DARK else 'white'} (mean {grey:.0f} of 255)"
    advice = "check light, exposure, focus and lens caps, that both cameras see one scene, and that it has texture"
    return Finding("warning", "texture", value, advice, passing=True)


def _check_one_camera(left_rgb: np.ndarray, right_rgb: np.ndarray, matches: np.ndarray) -> Finding:
    """Whether both images are of one camera: everything is at the same place in both, down to the grey values at corners."""
    same_place = np.abs(matches[:, :2] - matches[:, 2:]).max(axis=1) <= _SAME_PLACE_PX
    share = float(same_place.mean())
    if share < _SAME_PLACE_SHARE:
        return Finding("ok", "cameras", f"{1 - share:.0%} of the matches shift between the images")
    x, y = matches[same_place, :2].round().astype(int).T
    difference = float(np.median(np.abs(left_rgb[y, x].mean(axis=1) - right_rgb[y, x].mean(axis=1))))
    value = f"{share:.0%} of {len(matches)} matches are at the same place in both images"
    if difference <= _SAME_GREY:
        advice = "both images are the same: they are of one camera; check the topics, files or device numbers of left and right"
        return Finding("error", "cameras", value, advice)
    advice = "both are of one camera, or everything is too far away for this baseline: check left and right"
    return Finding("warning", "cameras", value, advice, passing=True)


def _check_rows(rows: RowReport, size_wh: tuple[int, int]) -> list[Finding]:
    """What offset, turn and scale make of the rows, the latter two at the edge of an image of this (width, height)."""
    level: Level = "error" if rows.typical_px > _UNRECTIFIED_ROWS_PX else "warning"
    offset_px = abs(rows.offset_px)
    roll_px = abs(math.tan(math.radians(rows.roll_deg))) * size_wh[0] / 2
    scale_px = abs(rows.vertical_scale - 1) * size_wh[1] / 2
    certain = abs(rows.roll_deg) > _SURE * rows.roll_error_deg, abs(rows.vertical_scale - 1) > _SURE * rows.scale_error
    offset = f"the right image is {offset_px:.2f} px {'lower' if rows.offset_px > 0 else 'higher'}"
    roll = f"the right image is turned by {rows.roll_deg:+.2f} deg, {roll_px:.1f} px at the edge"
    scale = f"things are {rows.vertical_scale:.4f} times as high in the right image, {scale_px:.1f} px at the edge"
    return [
        judge(offset_px <= MAX_ROWS_PX, "row offset", offset, "", level),
        judge(roll_px <= MAX_ROWS_PX or not certain[0], "roll", roll, "", level),
        judge(scale_px <= MAX_ROWS_PX or not certain[1], "vertical scale", scale, "", level),
    ]


def _advice_on_rows(
    rows: RowReport,
    matches: np.ndarray,
    calibrations: tuple[Calibration, Calibration] | None,
    size_wh: tuple[int, int],
    rectify_by: str | None,
) -> str:
    """What to do about rows that do not line up: rectify raw images, or calibrate cameras that have moved."""
    moved = "a camera has moved or a lens has changed: calibrate the pair anew"
    if rectify_by is None:
        return f"the images were rectified with this calibration, so {moved}"
    if calibrations is None:
        return f"rectify the images with this calibration if they are raw; otherwise {moved}"
    after = rectified_matches(matches, calibrations, size_wh)
    if after is None:
        return f"rectify the images if they are raw, with the calibration of their lenses; otherwise {moved}"
    after_px = RowReport.from_matches(after).typical_px
    if after_px < min(MAX_ROWS_PX, rows.typical_px / 2):
        return (
            f"the images look raw: {rectify_by}, which brings a usual point from {rows.typical_px:.1f} to {after_px:.2f} px "
            "of its row"
        )
    return f"rectifying the images with this calibration does not help (a usual point stays {after_px:.1f} px off), so {moved}"


def _with_order(
    check: PairCheck,
    matches: np.ndarray,
    left_rgb: np.ndarray,
    rig: StereoRig | None,
    prediction: StereoPrediction | None,
    limits: ValidityLimits,
) -> PairCheck:
    doffs_px = 0.0 if rig is None else rig.doffs_px
    order = OrderReport.from_matches(matches, doffs_px)
    far_strips = math.nan
    if prediction is not None and order.proper_is_possible and order.exchanged_is_possible:
        far_strips = far_strips_share(left_rgb, prediction, limits)
    return _with(check, order.finding(doffs_px, far_strips), in_front_share=order.in_front_share)


def _with_depth(check: PairCheck, matches: np.ndarray, rig: StereoRig) -> PairCheck:
    corrected_px = matches[:, 0] - matches[:, 2] + rig.doffs_px
    if not (corrected_px > 0).any():
        return check
    one_px_m = rig.left.fx * rig.baseline_m
    median_m = one_px_m / float(np.median(corrected_px[corrected_px > 0]))
    finding = judge(
        within(median_m, _PLAUSIBLE_MEDIAN_DEPTH_M),
        "depth",
        f"median {median_m:.3g} m; at {one_px_m:.3g} m one pixel of disparity is left",
        f"if the scene is not at that distance, baseline (metres, not millimetres) or focal length are wrong: {CALIBRATE}",
    )
    return _with(check, finding, median_depth_m=median_m)


def _with_range(
    check: PairCheck, matches: np.ndarray, prediction: StereoPrediction, limits: ValidityLimits, rig: StereoRig | None
) -> PairCheck:
    """Add what the range of depths cuts off at both ends, and what is left."""
    step = math.ceil(math.sqrt(prediction.disparity_px.numel() / _SAMPLED_PIXELS))
    thin = prediction.thinned(step, step)
    valid_share, measured_share = (
        float(thin.valid(limit).float().mean()) for limit in (limits, dataclasses.replace(limits, z_far=_ENDLESS_M))
    )
    too_far_share = 1 - valid_share / measured_share if measured_share else 0.0
    disparity_px = matches[:, 0] - matches[:, 2]
    nearer_share = float((disparity_px > prediction.reach_px(limits)).mean())
    return _with(
        check,
        _check_nearest(nearer_share, disparity_px, prediction, limits, rig),
        judge(
            too_far_share <= _MAX_TOO_FAR_SHARE,
            "z_far",
            f"{too_far_share:.0%} of what is measured lies beyond z_far = {limits.z_far:g} m",
            "raise z_far, or look whether baseline and focal length are right",
            passing=True,
        ),
        judge(
            valid_share >= _MIN_VALID_SHARE,
            "valid pixels",
            f"{valid_share:.0%} of the pixels have a depth",
            "the reason map says why the others have none; look at light, texture and the range",
            passing=True,
        ),
        nearer_share=nearer_share,
        valid_share=valid_share,
        too_far_share=too_far_share,
    )


def _check_nearest(
    nearer_share: float,
    disparity_px: np.ndarray,
    prediction: StereoPrediction,
    limits: ValidityLimits,
    rig: StereoRig | None,
) -> Finding:
    needed_px = _RANGE_STEP_PX * math.ceil(np.percentile(disparity_px, 99) / _RANGE_STEP_PX)
    advice = f"set sgbm.max_disparity to {needed_px}"
    if rig is None:
        value = f"{nearer_share:.0%} of the matches are beyond the search range of {prediction.reach_px(limits):.0f} px"
    else:
        value = f"{nearer_share:.0%} of the matches are nearer than {prediction.nearest_m(limits):.2f} m, where depth begins"
        z_near_m = rig.left.fx * rig.baseline_m / max(needed_px + rig.doffs_px, 1.0)
        lower = f"z_near to {z_near_m:.2g}"
        advice = f"{advice}, or {lower}" if prediction.max_disparity_px else f"set {lower}"
    if prediction.nearest_set_by(limits) == "scale_factor" and prediction.max_disparity_px:
        advice = f"match at {prediction.max_disparity_px / needed_px:.0%} of the size (scale_factor)"
    return judge(nearer_share <= _MAX_NEARER_SHARE, "search range", value, advice, passing=True)
