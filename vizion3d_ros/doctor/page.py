# SPDX-License-Identifier: Apache-2.0
"""Facts about a rig -> one page: topics, findings, range and precision of depth, and the parameters to set."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vizion3d.camera import Calibration, StereoRig
from vizion3d.errors import CalibrationError
from vizion3d.options import ValidityLimits
from vizion3d.rectify import RectifiedPair, Rectifier
from vizion3d.stereo import StereoDepthEstimator, StereoPrediction
from vizion3d.stereo.findings import Finding
from vizion3d.stereo.pair_check import PairCheck, check_pair
from vizion3d.stereo.rig_check import check_calibrated_size
from vizion3d.stereo.row_check import match_features
from vizion3d_ros.doctor.facts import RigFacts, TopicFacts
from vizion3d_ros.doctor.timing import StampOffset, check_topics

_MARKS = {"ok": "ok   ", "unknown": "?    ", "warning": "WARN ", "error": "ERROR"}
_DEPTHS_M = (1, 2, 5, 10)
_PERCENTILES = (5, 50, 95)
_RANGE_STEP_PX = 32  # as the advice of the pair check has it


class Page(NamedTuple):
    """What the doctor says."""

    text: str
    is_wrong: bool
    """There is an error among the findings."""


class Parameter(NamedTuple):
    """A parameter of stereo_depth_node to set."""

    name: str
    value: str
    why: str


def page(facts: RigFacts, ending: Callable[[RigFacts, list[Parameter]], str] | None = None) -> Page:
    """Look at the facts and write all down. The images are matched with sgbm at its defaults.

    Args:
        facts: what was seen.
        ending: what to do with the parameters that should be set; None is a parameter file for the node.
    """
    timing = check_topics(facts)
    calibration, pair = _rectified(facts)
    images: list[Finding] = []
    prediction, check = None, PairCheck(())
    if facts.pair is None:
        images.append(Finding("error", "images", facts.problem, "nothing can be compared"))
    elif pair is not None:
        prediction = StereoDepthEstimator("sgbm").estimate(*pair)
        check = check_pair(pair.left, pair.right, pair.rig, prediction=prediction, calibrations=_calibrations(facts))
    else:
        check = check_pair(*facts.pair)
    images += check.findings
    findings = [*timing, *calibration, *images]
    parts = [
        f"vizion3d doctor: {facts.source}\n\n{_topic_table(facts)}",
        *(
            f"{title}\n{_lines(found)}"
            for title, found in (("time", timing), ("calibration", calibration), ("images", images))
            if found
        ),
    ]
    if prediction is not None:
        parts.append(f"depth\n{_depth_lines(prediction)}")
    parts.append((ending or _parameter_file)(facts, _parameters(facts, check, pair)))
    return Page("\n\n".join(parts), any(finding.level == "error" for finding in findings))


def _calibrations(facts: RigFacts) -> tuple[Calibration, Calibration] | None:
    """Of images that come rectified by their name: what tells whether they are not."""
    left, right = facts.left.calibration, facts.right.calibration
    return None if facts.left.topics.is_raw or left is None or right is None else (left, right)


def _rectified(facts: RigFacts) -> tuple[list[Finding], RectifiedPair | None]:
    """What there is to say about the calibration, and the pair with its rig, rectified if it is raw by its name."""
    left, right = facts.left.calibration, facts.right.calibration
    if left is None or right is None:
        return [], None
    size = None if facts.pair is None else (facts.pair[0].shape[1], facts.pair[0].shape[0])
    try:
        rig = StereoRig.from_calibrations(left, right, size)
        rectifier = Rectifier.from_calibrations(left, right, size) if facts.left.topics.is_raw else None
    except CalibrationError as error:
        return [Finding("error", "calibration", str(error))], None
    camera = rig.left
    value = (
        f"{camera.width}x{camera.height}, f {camera.fx:.6g} px, baseline {rig.baseline_m:.4g} m, doffs {rig.doffs_px:.4g} px"
    )
    findings = [Finding("ok", "rig", value)]
    if facts.pair is None or size is None or facts.pair[0].shape != facts.pair[1].shape:
        return findings, None
    findings.append(check_calibrated_size(left, size))
    if rectifier is None:
        return findings, RectifiedPair(*facts.pair, rig)
    findings.append(Finding("ok", "rectification", f"{facts.left.image.name} is raw: rectified here with its camera_info"))
    return findings, rectifier(*facts.pair)


def _topic_table(facts: RigFacts) -> str:
    topics = [topic for camera in (facts.left, facts.right) for topic in (camera.image, camera.info) if topic]
    rows = [("topic", "type", "came", "Hz", "MB/s", "QoS of its publisher"), *map(_cells, topics)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 2 <= i <= 4 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _cells(topic: TopicFacts) -> tuple[str, ...]:
    rate = f"{topic.rate_hz:.1f}" if topic.rate_hz else "-"
    traffic = f"{topic.rate_hz * topic.mean_bytes / 1e6:.1f}" if topic.rate_hz else "-"
    return topic.name, topic.type_name, str(len(topic.stamps_ns)), rate, traffic, topic.qos or "not recorded"


def _lines(findings: list[Finding]) -> str:
    return "\n".join(f"{_MARKS[finding.level]} {finding}" for finding in findings)


def _depth_lines(prediction: StereoPrediction) -> str:
    limits = ValidityLimits()
    rig, step_px = prediction.rig, prediction.disparity_step_px
    depth_m = prediction.masked_depth(limits).numpy()
    depth_m = depth_m[np.isfinite(depth_m)]
    nearest_m = prediction.nearest_m(limits)
    lines = [f"nearest depth {nearest_m:.2f} m, with sgbm and its default range of {prediction.reach_px(limits):.0f} px"]
    if len(depth_m):
        near, middle, far = np.percentile(depth_m, _PERCENTILES)
        share = len(depth_m) / prediction.disparity_px.numel()
        lines.append(
            f"{share:.0%} of the pixels have a depth; 5, 50, 95 % of them are nearer than {near:.2f}, {middle:.2f}, {far:.2f} m"
        )
    steps = (f"{z} m: {1e3 * z**2 / (rig.left.fx * rig.baseline_m) * step_px:.3g} mm" for z in _DEPTHS_M if z >= nearest_m)
    lines.append(f"depth step, of {step_px:g} px of disparity, at " + ", ".join(steps))
    return "\n".join(lines)


def _parameters(facts: RigFacts, check: PairCheck, pair: RectifiedPair | None) -> list[Parameter]:
    parameters = []
    if facts.left.topics.is_raw:
        parameters.append(Parameter("rectify", "true", f"{facts.left.image.name} is raw"))
    tolerance_s = StampOffset.between(facts.left.image, facts.right.image).tolerance_s
    if tolerance_s > 0:
        parameters += [
            Parameter("approximate_sync", "true", "the stamps of left and right differ"),
            Parameter("approximate_sync_tolerance_seconds", f"{tolerance_s:g}", "covers what was seen, mixes no frames"),
        ]
    if pair is not None and any(fault.what == "search range" for fault in check.faults):
        z_near_m = _needed_z_near(pair)
        why = f"{check.nearer_share:.0%} of what could be matched is nearer than the default range"
        parameters.append(Parameter("z_near", f"{z_near_m:.2g}", why))
    return parameters


def _needed_z_near(pair: RectifiedPair) -> float:
    """Metres, so that nearly all that can be matched is farther."""
    matches, rig = match_features(pair.left, pair.right), pair.rig
    needed_px = _RANGE_STEP_PX * math.ceil(np.percentile(matches[:, 0] - matches[:, 2], 99) / _RANGE_STEP_PX)
    return rig.left.fx * rig.baseline_m / max(needed_px + rig.doffs_px, 1.0)


def _parameter_file(facts: RigFacts, parameters: list[Parameter]) -> str:
    """A parameter file for the node, with the line that starts it."""
    lines = [f"# in stereo.yaml, for: {_start_line(facts)}", "/**:"]
    lines.append("  ros__parameters:" if parameters else "  ros__parameters: {}  # the defaults will do")
    lines += [f"    {parameter.name}: {parameter.value}  # {parameter.why}" for parameter in parameters]
    return "\n".join(lines)


def _start_line(facts: RigFacts) -> str:
    cameras = {"left": facts.left.topics, "right": facts.right.topics}
    if all(posixpath.basename(camera.image) in ("image_rect", "image_raw") for camera in cameras.values()):
        places = (f"{side}_namespace:={posixpath.dirname(camera.image)}" for side, camera in cameras.items())
        return f"ros2 launch vizion3d stereo.launch.py {' '.join(places)} params_file:=stereo.yaml"
    inputs = (
        f"-r {side}/{'image_raw' if camera.is_raw else 'image_rect'}:={camera.image} -r {side}/camera_info:={camera.info}"
        for side, camera in cameras.items()
    )
    return f"stereo_depth_node --ros-args {' '.join(inputs)} --params-file stereo.yaml"
