# SPDX-License-Identifier: Apache-2.0
"""The doctor's page about a recording and, over real DDS, about a robot; and what it makes of facts that are wrong."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("sensor_msgs", reason="no ROS messages are installed")

from vizion3d.camera import Calibration, PinholeCamera, StereoRig
from vizion3d.cli import main
from vizion3d.evaluate import find_pairs
from vizion3d.option_records import build
from vizion3d.synthetic import StereoFrame
from vizion3d_ros.camera_topics import CameraTopics
from vizion3d_ros.doctor.facts import CameraFacts, RigFacts, TopicFacts
from vizion3d_ros.doctor.page import page
from vizion3d_ros.doctor.timing import StampOffset
from vizion3d_ros.settings import StereoSettings

PERIOD_NS = 50_000_000


def topic(name: str, kind: str, count: int = 100, later_ns: int = 0, delay_ns: int = 8_000_000) -> TopicFacts:
    stamps = tuple(1_000_000_000_000 + i * PERIOD_NS + later_ns for i in range(count))
    arrivals = tuple(stamp + delay_ns for stamp in stamps)
    return TopicFacts(name, f"sensor_msgs/msg/{kind}", "reliable, volatile", 1, stamps, arrivals, 900_000)


def camera(side: str, rig: StereoRig, **of_image: int) -> CameraFacts:
    pinhole, tx = (rig.left, 0.0) if side == "left" else (rig.right, -rig.left.fx * rig.baseline_m)
    P = (pinhole.fx, 0.0, pinhole.cx, tx, 0.0, pinhole.fy, pinhole.cy, 0.0, 0.0, 0.0, 1.0, 0.0)
    image, info = f"/rig/{side}/image_rect", f"/rig/{side}/camera_info"
    return CameraFacts(
        CameraTopics(image, info, False),
        topic(image, "Image", **of_image),
        topic(info, "CameraInfo", later_ns=of_image.get("later_ns", 0)),
        "optical",
        "optical",
        Calibration.rectified(pinhole.width, pinhole.height, P),
    )


@pytest.fixture
def sound(rig: StereoRig, frame: StereoFrame) -> RigFacts:
    return RigFacts("a rig", True, camera("left", rig), camera("right", rig), (frame.left, frame.right))


def parameters_of(text: str) -> dict:
    """The parameters of the page's file; all are legal ones of the node."""
    parameters = yaml.safe_load(text[text.index("# in stereo.yaml") :])["/**"]["ros__parameters"]
    build(StereoSettings, parameters)
    return parameters


def faults(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("WARN", "ERROR"))]


def test_page_of_a_sound_rig(sound: RigFacts, rig: StereoRig) -> None:
    text, is_wrong = page(sound)
    assert not is_wrong
    assert faults(text) == []
    assert parameters_of(text) == {}
    assert "/rig/left/image_rect    sensor_msgs/msg/Image        100  20.0  18.0  reliable, volatile" in text
    assert "100 of 100 left images have a right one with the same stamp" in text
    nearest_m = rig.left.fx * rig.baseline_m / (640 / 6)
    assert f"nearest depth {nearest_m:.2f} m" in text
    step_mm = 1e3 * 2**2 / (rig.left.fx * rig.baseline_m) / 16
    assert f"2 m: {step_mm:.3g} mm" in text
    assert "left_namespace:=/rig/left right_namespace:=/rig/right params_file:=stereo.yaml" in text


def test_stamps_that_differ_become_parameters(sound: RigFacts, rig: StereoRig) -> None:
    later = dataclasses.replace(sound, right=camera("right", rig, later_ns=6_500_000))
    text, is_wrong = page(later)
    assert not is_wrong
    (fault,) = faults(text)
    assert "0 of 100 left images have a right one with the same stamp; right is 6.5 ms later" in fault
    parameters = parameters_of(text)
    assert parameters["approximate_sync"] is True
    assert 0.0065 < parameters["approximate_sync_tolerance_seconds"] < PERIOD_NS / 2e9


def test_cameras_that_run_free_are_an_error(sound: RigFacts, rig: StereoRig) -> None:
    text, is_wrong = page(dataclasses.replace(sound, right=camera("right", rig, later_ns=PERIOD_NS * 48 // 100)))
    assert is_wrong
    assert "trigger the cameras together" in faults(text)[0]
    assert parameters_of(text) == {}


def test_one_lost_image_is_no_offset(sound: RigFacts) -> None:
    right = sound.right.image._replace(stamps_ns=sound.right.image.stamps_ns[1:], arrivals_ns=sound.right.image.arrivals_ns[1:])
    offset = StampOffset.between(sound.left.image, right)
    assert (offset.equal, offset.is_exact, offset.tolerance_s) == (99, True, 0.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: dataclasses.replace(c, image=topic(c.image.name, "Image", count=0)), "nothing came"),
        (lambda c: dataclasses.replace(c, info=None, calibration=None), "there is no such topic"),
        (lambda c: dataclasses.replace(c, image=topic(c.image.name, "Image", count=40)), "40 images came with 100 camera_info"),
        (
            lambda c: dataclasses.replace(c, info_frame="other"),
            "frame_id of the image is 'optical', of its camera_info 'other'",
        ),
        (lambda c: dataclasses.replace(c, image=c.image._replace(publishers=2)), "2 publishers"),
        (lambda c: dataclasses.replace(c, image=topic(c.image.name, "Image", delay_ns=500_000_000)), "500 ms (left) and 8 ms"),
        (lambda c: dataclasses.replace(c, image=topic(c.image.name, "Image", delay_ns=-(10**13))), "s before the clock"),
        (lambda c: dataclasses.replace(c, image=c.image._replace(stamps_ns=(0,) * 100)), "all stamps are 0"),
        (lambda c: dataclasses.replace(c, calibration=dataclasses.replace(c.calibration, P=(0.0,) * 12)), "not calibrated"),
    ],
)
def test_each_fault_is_named(change, words: str, sound: RigFacts) -> None:
    text, _ = page(dataclasses.replace(sound, left=change(sound.left)))
    assert any(words in line for line in faults(text)), text


def test_faults_of_the_images_are_named(sound: RigFacts, frame: StereoFrame) -> None:
    text, is_wrong = page(dataclasses.replace(sound, pair=(frame.right, frame.left)))
    assert is_wrong
    assert any("ERROR order" in line for line in faults(text))
    text, is_wrong = page(dataclasses.replace(sound, pair=None, problem='image encoding "odd" is not supported'))
    assert is_wrong
    assert 'ERROR images: image encoding "odd" is not supported' in text


def test_near_things_set_the_range(sound: RigFacts, data: Path) -> None:
    (files,) = find_pairs(data / "stereo/wood2")
    whole = dataclasses.replace(files.load(), rig=StereoRig(PinholeCamera(653, 555, 1870, 1870, 326, 277), 0.16))
    case = whole.window(2)  # a sixth of its width ends before the near things begin
    assert case.rig
    left, right = (camera(side, case.rig) for side in ("left", "right"))
    text, _ = page(dataclasses.replace(sound, left=left, right=right, pair=(case.left, case.right)))
    fault = next(line for line in faults(text) if "search range" in line)
    z_near = parameters_of(text)["z_near"]
    assert f"z_near to {z_near:g}" in fault
    focal_baseline = case.rig.left.fx * case.rig.baseline_m
    assert focal_baseline / (case.rig.left.width / 6) > z_near
    assert focal_baseline / np.nanmax(case.truth_px) == pytest.approx(z_near, rel=0.5)


@pytest.mark.parametrize(("bag", "parameters"), [("euroc_v1_01_raw", {"rectify": True}), ("kitti_rect", {})])
def test_recordings(bag: str, parameters: dict, data: Path, capsys) -> None:
    pytest.importorskip("rosbags")
    command = ["doctor", "--bag", str(data / "bags" / bag), "--left", "/stereo/left", "--right", "/stereo/right"]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert faults(text) == []
    assert parameters_of(text) == parameters
    assert "  10.0  " in text
    assert "left images have a right one with the same stamp" in text


@pytest.mark.parametrize(
    ("missing", "arguments", "status"), [("rclpy", [], 0), ("rclpy", ["--live"], 2), ("sensor_msgs", [], 0)]
)
def test_recordings_need_no_ros(missing: str, arguments: list[str], status: int, data: Path) -> None:
    pytest.importorskip("rosbags")
    arguments = arguments or ["--bag", str(data / "bags/kitti_rect"), "--left", "/stereo/left", "--right", "/stereo/right"]
    script = (
        f"import sys; sys.modules[{missing!r}] = None; from vizion3d.cli import main; sys.exit(main(['doctor', *sys.argv[1:]]))"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    if status:
        assert "source the setup file of a ROS 2 installation" in done.stderr
        assert "Traceback" not in done.stderr


def test_wrong_usage(data: Path, capsys) -> None:
    pytest.importorskip("rosbags")
    bag = str(data / "bags/kitti_rect")
    for command, message in (
        (["--bag", bag], "in /left; namespaces that have one: /stereo/left, /stereo/right"),
        (["--bag", bag, "--live"], "three things to look at; give one"),
        (["--bag", bag, "--seconds", "0"], "--seconds is 0"),
        ([], "nothing to look at"),
    ):
        assert main(["doctor", *command]) == 2
        assert message in capsys.readouterr().err


def run_live(ros, *arguments: str) -> tuple[int, str]:
    from ros_harness import ENVIRONMENT

    done = subprocess.run(
        [sys.executable, "-m", "vizion3d", "doctor", "--live", *arguments],
        env={**os.environ, **ENVIRONMENT, "ROS_DOMAIN_ID": str(ros.domain)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def test_live_robot(ros) -> None:
    camera_process = ros.start(
        "demo.synthetic_camera_node", parameters={"width": 320, "height": 240, "focal_length": 262.0, "rate": 5.0}
    )
    ros.wait_for(lambda: ros.node.count_publishers("left/image_rect"), "the camera")
    status, text = run_live(ros, "--seconds", "4")
    assert camera_process.is_alive
    assert status == 0, text
    assert "/left/image_rect    sensor_msgs/msg/Image" in text
    assert "reliable, volatile" in text
    assert "left images have a right one with the same stamp" in text
    assert not [line for line in faults(text) if line.startswith("ERROR")]
    assert "nearest depth" in text
    parameters_of(text)

    status, text = run_live(ros, "--left", "/cam/left", "--right", "/right")
    assert status == 2
    assert "has no sensor_msgs/msg/Image in /cam/left; namespaces that have one: /left, /right" in text
