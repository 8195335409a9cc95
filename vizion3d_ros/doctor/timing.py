# SPDX-License-Identifier: Apache-2.0
"""Do the topics of a rig fit together in time? Findings about stamps, arrivals, loss and names."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from vizion3d.stereo.findings import Finding, judge
from vizion3d_ros.doctor.facts import CameraFacts, RigFacts, TopicFacts

# Neighbouring frames are mixed by a tolerance of more than half a frame period.
_MAX_PART_OF_PERIOD = 0.5
_ARRIVED_SHARE = 0.9
_OTHER_TIME_NS = 1_000_000_000


class StampOffset(NamedTuple):
    """How the stamps of the right images lie against those of the left ones."""

    equal: int
    """Left images that have a right one with the same stamp."""
    of_images: int
    median_ms: float
    """From the left stamp to the nearest right one; NaN without images."""
    largest_ms: float
    period_ms: float
    """Of the frames; 0 if it cannot be told."""

    @classmethod
    def between(cls, left: TopicFacts, right: TopicFacts) -> StampOffset:
        """Measure it."""
        period_ms = max(left.period_ns, right.period_ns) / 1e6
        if not (left.stamps_ns and right.stamps_ns):
            return cls(0, len(left.stamps_ns), math.nan, math.nan, period_ms)
        others = np.sort(right.stamps_ns)
        offsets = []
        for stamp in left.stamps_ns:
            place = np.searchsorted(others, stamp)
            near = others[max(0, place - 1) : place + 1] - stamp
            offsets.append(near[np.abs(near).argmin()] / 1e6)
        absolute = np.abs(offsets)
        # The first and the last image may have lost their partner to the beginning and the end.
        largest = np.sort(absolute)[: max(1, len(absolute) - 2)].max()
        return cls(int((absolute == 0).sum()), len(absolute), float(np.median(offsets)), float(largest), period_ms)

    @property
    def is_exact(self) -> bool:
        """Whether images can be matched by equal stamps: all but the first and the last."""
        return self.equal >= max(1, self.of_images - 2)

    @property
    def tolerance_s(self) -> float:
        """For approximate_sync; 0 if it is not needed, NaN if none would do without mixing frames."""
        if self.is_exact:
            return 0.0
        tolerance_ms = math.ceil(1.2 * self.largest_ms) if self.largest_ms == self.largest_ms else math.nan
        return tolerance_ms / 1e3 if tolerance_ms < _MAX_PART_OF_PERIOD * self.period_ms else math.nan


def check_topics(facts: RigFacts) -> list[Finding]:
    """All findings about the topics, but for the calibration and the images."""
    findings = [finding for camera in (facts.left, facts.right) for finding in _check_camera(camera)]
    if facts.left.image.stamps_ns and facts.right.image.stamps_ns:
        findings += [_check_stamps(facts), *_check_arrival(facts)]
    return findings


def _check_camera(camera: CameraFacts) -> list[Finding]:
    findings = []
    image, info = camera.image, camera.info
    if not image.stamps_ns:
        advice = "look whether the camera runs, and at its QoS and the size of its messages (docs/transport.md)"
        findings.append(Finding("error", image.name, "nothing came", advice))
    elif not any(image.stamps_ns):
        findings.append(Finding("error", image.name, "all stamps are 0", "let the driver stamp its images"))
    if image.publishers > 1:
        findings.append(
            Finding("error", image.name, f"{image.publishers} publishers", "one camera must publish it, end the other")
        )
    if info is None or not info.stamps_ns:
        advice = "without CameraInfo there is no depth; load a calibration in the driver"
        name = info.name if info else f"camera_info beside {image.name}"
        findings.append(Finding("error", name, "nothing came" if info else "there is no such topic", advice))
        return findings
    lost = 1 - len(image.stamps_ns) / len(info.stamps_ns)
    if image.stamps_ns and lost > 1 - _ARRIVED_SHARE and set(image.stamps_ns) & set(info.stamps_ns):
        advice = 'start the camera after: eval "$(python -m vizion3d_ros.fast_dds)"'
        value = f"{len(image.stamps_ns)} images came with {len(info.stamps_ns)} camera_info: images get lost"
        findings.append(Finding("warning", image.name, value, advice))
    if camera.image_frame != camera.info_frame and camera.image_frame:
        value = f"frame_id of the image is {camera.image_frame!r}, of its camera_info {camera.info_frame!r}"
        findings.append(Finding("warning", image.name, value, "both must be of one camera; look at topics and driver"))
    return findings


def _check_stamps(facts: RigFacts) -> Finding:
    offset = StampOffset.between(facts.left.image, facts.right.image)
    value = f"{offset.equal} of {offset.of_images} left images have a right one with the same stamp"
    if offset.is_exact:
        return Finding("ok", "stamps", value)
    direction = "later" if offset.median_ms > 0 else "earlier"
    value += (
        f"; right is {abs(offset.median_ms):.3g} ms {direction} (median; up to {offset.largest_ms:.3g} ms), "
        f"the frame period is {offset.period_ms:.3g} ms"
    )
    if math.isnan(offset.tolerance_s):
        return Finding(
            "error", "stamps", value, "no tolerance matches them without mixing frames: trigger the cameras together"
        )
    advice = f"set approximate_sync with a tolerance of {offset.tolerance_s:.3g} s; what moves comes out at a wrong depth"
    return Finding("warning", "stamps", value, advice)


def _check_arrival(facts: RigFacts) -> list[Finding]:
    left, right = facts.left.image, facts.right.image
    where = "arrive" if facts.is_live else "were recorded"
    if max(abs(left.delay_ns), abs(right.delay_ns)) > _OTHER_TIME_NS:
        value = f"stamps are {max(left.delay_ns, right.delay_ns, key=abs) / 1e9:.4g} s before the clock"
        advice = "of a recording: set use_sim_time where there is /clock; of a camera: synchronise the clocks (chrony, PTP)"
        return [judge(not facts.is_live, "clock", value, advice)]
    apart_ms = (right.delay_ns - left.delay_ns) / 1e6
    period_ms = max(left.period_ns, right.period_ns) / 1e6
    value = f"images {where} {left.delay_ns / 1e6:.3g} ms (left) and {right.delay_ns / 1e6:.3g} ms (right) after their stamps"
    advice = "the later image decides when a pair is complete; raise queue_size above the frames between them"
    return [judge(abs(apart_ms) <= max(period_ms, 1.0), "arrival", value, advice)]
