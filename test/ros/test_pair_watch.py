# SPDX-License-Identifier: Apache-2.0
"""What stands of one pair check after another, and what a node says of it: without rclpy, then over DDS."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sensor_msgs", reason="no ROS messages are installed")

from hypothesis import given
from hypothesis import strategies as st
from pair_faults import FAULTS, PARAMETERS, load_pair
from std_msgs.msg import Header

from vizion3d.camera import StereoRig
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.stereo.findings import Finding
from vizion3d.stereo.pair_check import PairCheck
from vizion3d_ros import conversions, stereo_frames
from vizion3d_ros.pair_watch import PairWatch
from vizion3d_ros.settings import StereoFrameSettings

DIM = Finding("warning", "texture", "only 3 matches", "look at the light", passing=True)
BRIGHT = Finding("ok", "texture", "300 matches")
LOW = Finding("warning", "row offset", "3 px lower", "calibrate")
ALIGNED = Finding("ok", "row offset", "0 px lower")
SWAPPED = Finding("error", "order", "all are behind", "exchange")


def taken(watch: PairWatch, *findings: Finding) -> list[Finding]:
    return watch.take(PairCheck(findings))


def test_what_may_pass_counts_after_three_checks_in_a_row_and_clears_itself():
    watch = PairWatch()
    assert [taken(watch, DIM) for _ in range(2)] == [[], []] and not watch.faults
    assert taken(watch, BRIGHT) == []
    assert [taken(watch, DIM) for _ in range(3)] == [[], [], [DIM]]
    assert watch.faults == (DIM,) and watch.wrong == ""
    assert taken(watch, BRIGHT) == [BRIGHT] and not watch.faults


def test_other_faults_count_at_once_are_said_once_and_the_worst_comes_first():
    watch = PairWatch()
    assert taken(watch, LOW, SWAPPED) == [LOW, SWAPPED]
    assert watch.faults == (SWAPPED, LOW) and watch.wrong == str(SWAPPED)
    assert taken(watch, dataclasses.replace(LOW, value="3.1 px lower"), SWAPPED) == []
    assert watch.faults[1].value == "3.1 px lower"


def test_what_cannot_be_judged_stays_as_it_was():
    watch = PairWatch()
    taken(watch, SWAPPED, LOW)
    assert taken(watch, DIM, Finding("unknown", "order", "too far away")) == []
    assert watch.faults == (SWAPPED, LOW)
    assert taken(watch, ALIGNED) == [ALIGNED]
    assert watch.faults == (SWAPPED,)


def test_checks_come_by_the_period_and_a_waiting_frame_puts_them_off_but_not_for_ever(monkeypatch):
    now_s = 1000.0
    monkeypatch.setattr("vizion3d_ros.pair_watch.time.monotonic", lambda: now_s)
    watch = PairWatch()
    assert not watch.due(0.0, frame_waits=False)
    assert not watch.due(5.0, frame_waits=True)
    assert watch.due(5.0, frame_waits=False) and not watch.due(5.0, frame_waits=False)
    now_s += 5.1
    assert not watch.due(5.0, frame_waits=True)
    assert watch.due(5.0, frame_waits=False)
    now_s += 9.9
    assert not watch.due(5.0, frame_waits=True)
    now_s += 0.2
    assert watch.due(5.0, frame_waits=True)


@given(st.floats(1e-3, 1e6), st.floats(0.01, 3600.0))
def test_the_first_check_is_due_at_once_whatever_the_time(now_s, period_s):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vizion3d_ros.pair_watch.time.monotonic", lambda: now_s)
        watch = PairWatch()
        assert watch.due(period_s, frame_waits=False) and not watch.due(period_s, frame_waits=False)


def messages(left: np.ndarray, right: np.ndarray, rig: StereoRig) -> tuple:
    header = Header(frame_id="optical")
    return (
        conversions.image_from_array(left, "rgb8", header),
        conversions.camera_info(rig.left, header),
        conversions.image_from_array(right, "rgb8", header),
        conversions.camera_info(rig.right, header, rig.baseline_m),
    )


def checked(frame: tuple) -> PairCheck:
    settings = StereoFrameSettings()
    pair = stereo_frames.decode(frame)
    prediction = StereoDepthEstimator("sgbm").estimate(pair.left, pair.right, pair.rig, **settings.matching())
    return stereo_frames.check(frame, pair, prediction, settings)


@pytest.mark.parametrize("name", PARAMETERS)
def test_messages_of_real_pairs_give_no_alarm_and_each_fault_is_named(name: str, data: Path):
    left, right, rig = load_pair(name, data)
    watch = PairWatch()
    assert not watch.take(checked(messages(left, right, rig)))
    for fault, (change, what, level) in FAULTS.items():
        watch, check = PairWatch(), checked(messages(*change(left, right), rig))
        news = [watch.take(check) for _ in range(3)][-1 if only(check, what).passing else 0]
        assert [finding for finding in news if (finding.what, finding.level) == (what, level)], f"{name}, {fault}: {news}"
        assert bool(watch.wrong) == (level == "error")


def only(check: PairCheck, what: str) -> Finding:
    (finding,) = [finding for finding in check.findings if finding.what == what]
    return finding


def test_frames_that_contradict_each_other_are_named(frame, rig):
    given = messages(frame.left, frame.right, rig)
    given[3].header = Header(frame_id="other_optical")
    check = checked(given)
    assert [fault.what for fault in check.faults] == ["right frame_id"]
    assert 'the image is in "optical" and its camera_info in "other_optical"' in check.faults[0].value


def test_the_node_names_exchanged_images_holds_them_back_and_recovers(ros, frame, rig):
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
    from ros_harness import StereoSource
    from sensor_msgs.msg import Image

    node = ros.start_stereo_node(rectification_check_period=0.1, hold_when_wrong=True)
    diagnostics, depths = ros.listen("/diagnostics", DiagnosticArray), ros.listen("depth/image_rect", Image)
    source = StereoSource(ros)
    source.wait_for_subscribers()

    def status() -> DiagnosticStatus:
        return diagnostics[-1].status[0] if diagnostics else DiagnosticStatus()

    source.publish(frame.right, frame.left, rig, 10**9)
    ros.wait_for(lambda: re.search("ERROR.* order: .* -> left and right are swapped: exchange the two", node.log), "the error")
    ros.wait_for(lambda: status().level == DiagnosticStatus.ERROR, "an error in the diagnostics")
    assert "left and right are swapped" in status().message
    ros.wait_for(lambda: "held back, as hold_when_wrong has it: order: " in node.log, "why nothing came")
    assert not depths
    source.publish(frame.left, frame.right, rig, 2 * 10**9)
    ros.wait_for(lambda: depths, "depth of a proper pair")
    assert [depth.header.stamp.sec for depth in depths] == [2]
    ros.wait_for(lambda: status().level == DiagnosticStatus.OK, "diagnostics without an error")
    assert "order is fine again: 100% of " in node.log
    values = {value.key: value.value for value in status().values}
    assert values["pair check: order"].startswith("ok, 100% of ")
