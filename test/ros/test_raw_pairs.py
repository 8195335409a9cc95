# SPDX-License-Identifier: Apache-2.0
"""Raw pairs: a real recording, and what of a rectified image no raw pixel shows, as messages."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("rosbags", reason="rosbags is not installed")

from rclpy.serialization import deserialize_message
from ros_harness import float_map, make_header
from sensor_msgs.msg import CameraInfo, Image

from vizion3d.calibration_files import load_calibrations
from vizion3d.camera import Calibration
from vizion3d.options import ValidityLimits
from vizion3d.rectify import Rectifier
from vizion3d.stereo import Reason, StereoDepthEstimator
from vizion3d.stereo.row_check import measure_rows
from vizion3d.synthetic.benchmark import draw
from vizion3d_ros import conversions, stereo_frames
from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.settings import StereoFrameSettings

LIMITS = ValidityLimits()


@pytest.fixture(scope="module")
def recording(data) -> list[tuple]:
    """The frames of the raw recording: a message of each raw input."""
    topics = [f"/stereo/{topic}" for topic in stereo_frames.RAW_INPUTS]
    messages = {topic: [] for topic in topics}
    reader = BagReader(data / "bags/euroc_v1_01_raw")
    for topic, _, cdr in reader.messages(topics):
        messages[topic].append(deserialize_message(bytes(cdr), CameraInfo if topic.endswith("info") else Image))
    reader.close()
    return list(zip(*messages.values(), strict=True))


def depth_of(pair) -> np.ndarray:
    prediction = StereoDepthEstimator("sgbm").estimate(pair.left, pair.right, pair.rig, pair.shown)
    return prediction.masked_depth(LIMITS).numpy()


def test_rows_and_depth_of_a_real_recording(recording):
    assert len(recording) == 10
    depths = []
    for messages in recording:
        raw, rectified = (measure_rows(*stereo_frames.decode(messages, rectify=rectify)[:2]) for rectify in (False, True))
        assert raw.offset_px > 11
        assert abs(rectified.offset_px) <= 0.15 and abs(rectified.roll_deg) <= 0.1
    for messages in recording[::3]:
        depth_m = depth_of(stereo_frames.decode(messages, rectify=True))
        assert np.isfinite(depth_m).mean() > 0.75
        depths.append(depth_m[np.isfinite(depth_m)])
    np.testing.assert_allclose(np.percentile(np.concatenate(depths), (5, 50, 95)), (1.2, 2.2, 3.0), atol=0.1)


def test_rounded_numbers_in_files_give_the_same_depth(recording, data):
    files = [data / f"camera_info/euroc_{side}.yaml" for side in ("left", "right")]
    rectify = Rectifier.from_calibrations(*load_calibrations(files))
    for messages in recording[::3]:
        by_message = stereo_frames.decode(messages, rectify=True)
        by_file = rectify(*stereo_frames.decode(messages)[:2])
        depth_m, same_m = depth_of(by_message), depth_of(by_file)
        np.testing.assert_allclose(same_m, depth_m, rtol=1e-5)


def rows_finding(messages: tuple, rectify: bool):
    """What the check of the node says of the row offset."""
    settings = StereoFrameSettings(rectify=rectify)
    pair = stereo_frames.decode(messages, rectify=rectify)
    prediction = StereoDepthEstimator("sgbm").estimate(pair.left, pair.right, pair.rig, pair.shown)
    findings = stereo_frames.check(messages, pair, prediction, settings).findings
    return next(finding for finding in findings if finding.what == "row offset")


def test_the_check_says_what_mends_raw_images_and_is_content_with_rectified_ones(recording):
    left_image, left_info, right_image, right_info = recording[0]
    found = rows_finding(recording[0], False)
    assert found.level == "error"
    told = re.fullmatch(
        r"the images look raw: set rectify:=true, which brings a usual point from (.*) to (.*) px of its row", found.advice
    )
    assert float(told[1]) > 12 and float(told[2]) < 0.3
    assert rows_finding(recording[0], True).level == "ok"

    moved = np.roll(np.frombuffer(right_image.data, np.uint8).reshape(480, 752), 8, axis=0)
    moved_image = conversions.image_from_array(moved, "mono8", right_image.header)
    found = rows_finding((left_image, left_info, moved_image, right_info), True)
    assert found.level == "error"
    assert found.advice.startswith("the images were rectified with this calibration, so a camera has moved")


def info_of(calibration: Calibration, zoom: float) -> CameraInfo:
    """The camera with another focal length of the rectified image."""
    P = [value * (zoom if index in (0, 3, 5) else 1) for index, value in enumerate(calibration.P)]
    info = CameraInfo(width=calibration.width, height=calibration.height, distortion_model=calibration.distortion_model)
    info.k, info.d, info.r, info.p = list(calibration.K), list(calibration.D), list(calibration.R), P
    return info


def test_border_in_messages():
    case = draw("raw-plumb_bob")
    images = [conversions.image_from_array(image, "rgb8", make_header(0)) for image in (case.left, case.right)]
    infos = [info_of(calibration, 0.7) for calibration in case.raw]
    pair = stereo_frames.decode((images[0], infos[0], images[1], infos[1]), rectify=True)
    prediction = StereoDepthEstimator("sgbm").estimate(pair.left, pair.right, pair.rig, pair.shown)
    made = stereo_frames.outputs(prediction, pair, StereoFrameSettings(rectify=True))

    shown = pair.shown.left
    window = made["disparity"]().valid_window
    x, y, width, height = window.x_offset, window.y_offset, window.width, window.height
    assert x > 0 and y > 0 and x + width < 640 and y + height < 480
    inside = shown[y : y + height, x : x + width]
    assert inside.sum() == shown.sum() and all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
    reason = np.frombuffer(made["reason"]().data, np.uint8).reshape(480, 640)
    assert (reason[~shown] == Reason.BORDER).all()
    assert not float_map(made["occlusion"]())[~shown].any() and not float_map(made["confidence"]())[~shown].any()
    depth_m = float_map(made["depth/image_rect"]())
    assert np.isnan(depth_m[~shown]).all() and np.isfinite(depth_m[shown]).mean() > 0.8
    camera = made["depth/camera_info"]()
    assert camera.k[0] == pytest.approx(0.7 * case.raw[0].P[0])
