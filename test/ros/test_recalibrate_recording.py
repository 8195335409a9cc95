# SPDX-License-Identifier: Apache-2.0
"""A recording as the pairs of `vizion3d recalibrate`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags")

from vizion3d.calibration_files import camera_yaml
from vizion3d.cli import main
from vizion3d.errors import InputError
from vizion3d_ros.bag.pairs import read_pairs
from vizion3d_ros.camera_topics import find_camera

IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"


def test_pairs_of_a_raw_recording(data: Path) -> None:
    recorded = read_pairs(data / "bags/euroc_v1_01_raw", "/stereo/left", "stereo/right/", most=3)
    assert recorded.is_raw
    assert [image.shape for pair in recorded.pairs for image in pair] == [(480, 752, 3)] * 6
    assert recorded.calibrations
    assert recorded.calibrations[1].P[3] == pytest.approx(-48.021, abs=0.001)
    means = [left.mean() for left, _ in recorded.pairs]
    assert len(set(means)) == 3  # of different moments


def test_knocked_raw_recording_is_mended(data: Path, tmp_path: Path, capsys) -> None:
    """The calibration is falsified instead of the images: the former R of the right camera is off by a known turn."""
    import cv2

    recorded = read_pairs(data / "bags/euroc_v1_01_raw", "/stereo/left", "/stereo/right", most=1)
    assert recorded.calibrations
    left, right = recorded.calibrations
    turn = cv2.Rodrigues(np.radians([0.5, 0.0, -0.8]))[0]
    false = (turn @ np.reshape(right.R, (3, 3))).ravel().tolist()
    import dataclasses

    for name, camera in (("left", left), ("right", dataclasses.replace(right, R=tuple(false)))):
        (tmp_path / f"{name}.yaml").write_text(camera_yaml(camera, name))
    bag, new = str(data / "bags/euroc_v1_01_raw"), tmp_path / "new.yaml"
    topics = ["--left", "/stereo/left", "--right", "/stereo/right", "--pairs", "4"]
    calib = ["--calib", str(tmp_path / "left.yaml"), str(tmp_path / "right.yaml")]
    assert main(["recalibrate", bag, *topics, *calib, "--out", str(new)]) == 0
    assert "in 4 pairs" in capsys.readouterr().out
    from vizion3d.calibration_files import load_calibration

    remaining = np.reshape(load_calibration(new).R, (3, 3)) @ np.reshape(right.R, (3, 3)).T
    assert np.degrees(cv2.Rodrigues(remaining)[0].ravel())[[0, 2]] == pytest.approx([0, 0], abs=0.04)


def test_wrong_names_of_topics_and_recordings(data: Path, tmp_path: Path, capsys) -> None:
    bag = str(data / "bags/kitti_rect")
    assert main(["recalibrate", bag, "--out", str(tmp_path / "new.yaml")]) == 2
    assert (
        "has no sensor_msgs/msg/Image or CompressedImage in /left; namespaces that have one: /stereo/left, /stereo/right"
        in capsys.readouterr().err
    )
    assert main(["recalibrate", bag, bag, "--out", str(tmp_path / "new.yaml")]) == 2
    assert "give one recording" in capsys.readouterr().err


def test_camera_is_found_by_namespace_or_image() -> None:
    topics = {"/cam/image_raw": IMAGE, "/cam/image_rect": IMAGE, "/cam/camera_info": INFO, "/odd/pixels": IMAGE}
    assert find_camera(topics, "cam", "it") == ("/cam/image_rect", "/cam/camera_info", False)
    assert find_camera(topics, "/cam/image_raw", "it") == ("/cam/image_raw", "/cam/camera_info", True)
    assert find_camera(topics, "/odd/pixels", "it") == ("/odd/pixels", "", True)
    with pytest.raises(InputError, match="it has no sensor_msgs/msg/Image in /lost; namespaces that have one: /cam$"):
        find_camera(topics, "/lost", "it")
    with pytest.raises(InputError, match="nothing there is one; its topics are /cam/camera_info$"):
        find_camera({"/cam/camera_info": INFO}, "/cam", "it")
