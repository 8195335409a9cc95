# SPDX-License-Identifier: Apache-2.0
"""depth_viewer_node: true latencies in a looped bag, millimetres as well as metres, and no word against who is only slow."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
import torch

pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from ros_harness import make_header
from sensor_msgs.msg import Image, PointCloud2

from vizion3d.errors import InputError
from vizion3d_ros import conversions
from vizion3d_ros.demo.image_arrivals import ImageArrivals
from vizion3d_ros.demo.report import FrameReport, write_results

STAMP_NS = 1_700_000_000_000_000_000
MONO = {"depth/image_raw": Image, "points2": PointCloud2, "inverse_depth": Image}


def latencies(stamps: int, period_s: float, work_s: float, frames: int = 12) -> tuple[list[float], list[float]]:
    """(what is measured, what is true) with a node that takes `work_s` a frame, of a bag of so many stamps that loops."""
    arrivals, now_s, number, waiting = ImageArrivals(), 0.0, 0, None
    done_s, in_work = None, None  # of the frame in work: when it is done, and its (stamp, arrival)
    measured, true = [], []
    while len(true) < frames:
        next_s = number * period_s
        if done_s is not None and done_s <= next_s:
            now_s = done_s
            found = arrivals.take(in_work[0])
            measured.append(now_s - found.time_s)
            true.append(now_s - in_work[1])
            in_work, waiting = waiting, None
            done_s = now_s + work_s if in_work else None
            continue
        now_s = next_s
        image = (number % stamps, now_s)
        arrivals.add(*image[:1], None, now_s)
        number += 1
        if in_work is None:
            in_work, done_s = image, now_s + work_s
        else:
            waiting = image
    return measured, true


@pytest.mark.parametrize("work_s", [0.03, 0.17, 0.61, 4.9, 33.0])
@pytest.mark.parametrize("stamps", [1, 3, 6, 1000])
def test_latency_is_of_the_own_pass_of_a_stamp(stamps, work_s):
    measured, true = latencies(stamps, 0.1, work_s)
    np.testing.assert_allclose(measured, true)
    assert min(true) >= work_s - 1e-9


def test_an_image_that_was_not_seen_has_no_latency():
    arrivals = ImageArrivals()
    arrivals.add(1, None, 0.0)
    assert arrivals.take(2) is None and arrivals.take(1).time_s == 0.0


def test_depth_images_in_metres_and_millimetres():
    header = make_header(STAMP_NS)
    millimetres = conversions.image_from_array(np.array([[0, 1500], [65535, 1]], np.uint16), "16UC1", header)
    np.testing.assert_allclose(conversions.depth_from_image(millimetres), [[np.nan, 1.5], [65.535, 0.001]])
    metres = conversions.image_from_array(np.array([[np.nan, 1.5]], ">f4"), "32FC1", header)
    metres.is_bigendian = 1
    np.testing.assert_array_equal(conversions.depth_from_image(metres), np.float32([[np.nan, 1.5]]))
    with pytest.raises(InputError, match='a depth image has encoding "mono8"; it must be 32FC1 or 16UC1'):
        conversions.depth_from_image(conversions.image_from_array(np.zeros((2, 2), np.uint8), "mono8", header))


def test_the_report_tells_model_rate_range_and_stages_and_relative_depth_is_not_in_metres(tmp_path):
    header = make_header(STAMP_NS)
    image = conversions.image_from_array(np.full((48, 64, 3), 90, np.uint8), "rgb8", header)
    depth_m = torch.linspace(1, 4, 64 * 48).reshape(48, 64)
    points = torch.stack([depth_m, depth_m, -depth_m], dim=-1)
    cloud = conversions.point_cloud(points, np.full((48, 64, 3), 90, np.uint8), header)
    messages = image, conversions.depth_image(depth_m, "32FC1", header), cloud, conversions.map_image(1 / depth_m, header)
    node = {"runs as": "sgbm on cpu", "rate out (Hz)": "9.50", "estimate p50/p95/max (ms)": "20.0 / 30.0 / 40.0"}
    write_results(tmp_path, messages, [FrameReport(12.5, 0.9)] * 3, node)
    report = (tmp_path / "report.md").read_text()
    assert "Model: sgbm on cpu. Rate: 9.50 Hz." in report and "1.00 to 4.00, median 2.50 m." in report
    assert "| estimate | 20.0 / 30.0 / 40.0 |" in report and "no truth" in report
    names = {"image", "depth", "inverse_depth", "cloud", "overview"}
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.png" for name in names} | {"cloud.ply", "report.md"}
    write_results(tmp_path, messages, [FrameReport(12.5, 0.9)], {"depth is": "RELATIVE, not metres"})
    assert "median 2.50 pseudo-metres" in (tmp_path / "report.md").read_text()


def test_the_demo_in_millimetres_without_an_accusation(ros, tmp_path):
    ros.start("demo.synthetic_camera_node", parameters={"width": 320, "height": 240, "focal_length": 260.0})
    viewer = ros.start("demo.depth_viewer_node", parameters={"frames": 4, "out": str(tmp_path)})
    node = ros.start_stereo_node(depth_encoding="16UC1")
    assert node.is_alive and viewer.wait() == 0
    errors = [float(text) for text in re.findall(r"median error ([0-9.]+)%", viewer.log)]
    assert len(errors) == 4 and max(errors) < 2, viewer.log
    assert "WARN" not in viewer.log and (tmp_path / "depth.png").stat().st_size > 1000


class MonoNode:
    """The outputs of a mono node and what it says of itself, from the test's process."""

    def __init__(self, ros) -> None:
        self.ros = ros
        self.publishers = {topic: ros.node.create_publisher(kind, topic, 5) for topic, kind in MONO.items()}
        self.images = ros.node.create_publisher(Image, "image_raw", 5)
        self.diagnostics = ros.node.create_publisher(DiagnosticArray, "/diagnostics", 5)
        self.frames = 0

    def tell(self, level: bytes = DiagnosticStatus.OK, message: str = "running") -> None:
        values = [KeyValue(key="frames published", value=str(self.frames))]
        status = DiagnosticStatus(name="test_probe: depth", level=level, message=message, values=values)
        self.diagnostics.publish(DiagnosticArray(status=[status]))

    def publish(self, *topics: str) -> None:
        """One frame, of which some outputs arrive."""
        self.frames += 1
        header = make_header(STAMP_NS + self.frames)
        self.images.publish(conversions.image_from_array(np.zeros((4, 4), np.uint8), "mono8", header))
        for topic in topics:
            if MONO[topic] is Image:
                message = conversions.image_from_array(np.ones((4, 4), np.float32), "32FC1", header)
            else:
                message = PointCloud2(header=header)
            self.publishers[topic].publish(message)

    def run(self, seconds: float, period_s: float, *topics: str, **status) -> None:
        """Publish a frame every so often and tell of it every half second."""
        begin_s = time.monotonic()
        before = self.frames
        while (elapsed_s := time.monotonic() - begin_s) < seconds:
            if self.frames - before < elapsed_s / period_s:
                self.publish(*topics)
            self.tell(**status)
            self.ros.spin_for(0.25)


def start_viewer(ros):
    node = MonoNode(ros)
    viewer = ros.start("demo.depth_viewer_node", parameters={"kind": "mono", "truth": False, "frames": 1000})
    ros.wait_for(lambda: all(p.get_subscription_count() for p in node.publishers.values()), "the viewer")
    return node, viewer


def test_a_slow_node_is_not_accused_and_is_waited_for_with_one_line(ros):
    node, viewer = start_viewer(ros)
    node.run(8.0, 100.0)  # nothing published but the count
    node.frames = 0
    for _ in range(3):
        node.run(4.0, 3.9, *MONO)
    assert "WARN" not in viewer.log and "transport" not in viewer.log and "fast_dds" not in viewer.log
    assert viewer.log.count("waiting for the depth node, which has published no frame meanwhile") <= 1
    assert viewer.log.count("\n") <= 2 + len(re.findall("frame +[0-9]", viewer.log)), viewer.log


def test_a_loss_is_told_with_its_topic_and_a_failing_node_by_its_own_words(ros):
    node, viewer = start_viewer(ros)
    node.run(11.0, 0.2, "depth/image_raw", "inverse_depth")  # points2 gets lost
    assert re.search(r"\d+ frames were published but nothing arrived on /points2: start the sender after: eval", viewer.log)
    node.run(7.0, 100.0, level=DiagnosticStatus.ERROR, message="fx differs")
    assert viewer.log.count("the depth node says: fx differs") == 1
