# SPDX-License-Identifier: Apache-2.0
"""Two nodes in one process: names of their own, one estimator, one worker; both are served and nothing stays behind."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref

import pytest
from plain_matcher import PlainMatcher

pytest.importorskip("rclpy", reason="rclpy is not installed")

import torch
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from ros_harness import RosHarness, make_header
from sensor_msgs.msg import Image

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError, WeightsError
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.synthetic import StereoFrame, default_scene, render_stereo
from vizion3d_ros import conversions, stereo_frames
from vizion3d_ros.logs import RosLogHandler
from vizion3d_ros.stereo_depth_node import StereoDepthNode
from vizion3d_ros.worker import Worker

START_NS = 1_700_000_000_000_000_000
RIG = StereoRig(PinholeCamera(160, 120, 130.0, 130.0, 79.5, 59.5), baseline_m=0.12)


@pytest.fixture(scope="module")
def frame() -> StereoFrame:
    return render_stereo(default_scene(), RIG)


@pytest.fixture
def one_torch_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Camera:
    """A stereo camera in a namespace, and a listener to the depth of its node."""

    def __init__(self, ros: RosHarness, namespace: str, rate_hz: float) -> None:
        topics = stereo_frames.INPUTS.items()
        self.publishers = [ros.node.create_publisher(kind, f"{namespace}/{topic}", 5) for topic, kind in topics]
        self.depths = ros.listen(f"{namespace}/depth/image_rect", Image)
        self.period_s, self.sent, self._due_s = 1 / rate_hz, 0, 0.0

    @property
    def answered(self) -> list[int]:
        """Numbers of the frames that depth came of."""
        return [conversions.stamp_ns(depth.header.stamp) - START_NS for depth in self.depths]

    @property
    def has_listener(self) -> bool:
        return all(publisher.get_subscription_count() for publisher in self.publishers)

    def send_if_due(self, frame: StereoFrame) -> None:
        if time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + self.period_s
        header = make_header(START_NS + self.sent)
        self.sent += 1
        messages = (
            conversions.image_from_array(frame.left, "rgb8", header),
            conversions.camera_info(RIG.left, header),
            conversions.image_from_array(frame.right, "rgb8", header),
            conversions.camera_info(RIG.right, header, RIG.baseline_m),
        )
        for publisher, message in zip(self.publishers, messages, strict=True):
            publisher.publish(message)


class Spinner:
    """Spins nodes on a thread of its own. A context manager."""

    def __init__(self, context, nodes) -> None:
        self._executor = SingleThreadedExecutor(context=context)
        for node in nodes:
            self._executor.add_node(node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join(20)


def workers() -> int:
    return sum(thread.name == "vizion3d-worker" for thread in threading.enumerate())


@pytest.mark.parametrize("shared_worker", [True, False], ids=["one worker", "two workers"])
def test_two_cameras_with_one_estimator(ros, frame, one_torch_thread, capfd, shared_worker):
    handlers, threads = list(logging.getLogger("vizion3d").handlers), workers()
    estimator = StereoDepthEstimator("sgbm")
    worker = Worker() if shared_worker else None
    nodes = [
        StereoDepthNode(f"{name}_depth", namespace=name, context=ros.node.context, estimator=estimator, worker=worker)
        for name in ("front", "rear")
    ]
    assert [node.get_fully_qualified_name() for node in nodes] == ["/front/front_depth", "/rear/rear_depth"]
    fast, slow = cameras = [Camera(ros, "/front", 10.0), Camera(ros, "/rear", 3.0)]
    with Spinner(ros.node.context, nodes):
        ros.wait_for(lambda: all(camera.has_listener for camera in cameras), "subscriptions")

        def enough() -> bool:
            for camera in cameras:
                camera.send_if_due(frame)
            return len(slow.depths) >= 6 and len(fast.depths) >= 12

        ros.wait_for(enough, "depth of both cameras", 60)
    for camera in cameras:
        assert camera.answered == sorted(set(camera.answered))  # in order, none twice

    logging.getLogger("vizion3d.test").error("a line of the core")
    with nodes[1]._core_log.speaking():
        logging.getLogger("vizion3d.test").error("a line about the rear")
    told = capfd.readouterr().err.splitlines()
    (line,) = (line for line in told if "a line of the core" in line)
    assert "[front.front_depth]" in line
    (line,) = (line for line in told if "a line about the rear" in line)
    assert "[rear.rear_depth]" in line

    gone = [weakref.ref(node) for node in nodes]
    while nodes:
        nodes.pop().destroy_node()
    if worker is not None:
        assert worker.stop(timeout_s=5)
    assert logging.getLogger("vizion3d").handlers == handlers
    assert workers() == threads
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_a_node_that_cannot_be_made_leaves_nothing_behind(ros, tmp_path, monkeypatch):
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    handlers, threads = list(logging.getLogger("vizion3d").handlers), workers()

    def make(**parameters: object) -> StereoDepthNode:
        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in parameters.items()]
        return StereoDepthNode(context=ros.node.context, parameter_overrides=overrides)

    with pytest.raises(WeightsError, match="model:=sgbm needs no weights"):
        make(model="s2m2-s")
    with pytest.raises(InputError, match="parameter sgbm.max_disparity"):
        make(sgbm__max_disparity=-1)
    assert logging.getLogger("vizion3d").handlers == handlers
    assert workers() == threads
    assert not any(isinstance(handler, RosLogHandler) for handler in handlers)


def test_a_model_without_certainty_is_told_and_its_topics_are_not_advertised(ros, frame, capfd):
    node = StereoDepthNode(context=ros.node.context, estimator=StereoDepthEstimator(PlainMatcher()))
    camera = Camera(ros, "", 5.0)
    with Spinner(ros.node.context, [node]):
        ros.wait_for(lambda: camera.has_listener, "subscriptions")
        ros.wait_for(lambda: camera.send_if_due(frame) or camera.depths, "depth")
        assert ros.node.count_publishers("/depth/image_rect") == 1
        assert ros.node.count_publishers("/confidence") == ros.node.count_publishers("/occlusion") == 0
    told = capfd.readouterr().err
    assert told.count("plain gives no confidence: conf_threshold has no effect") == 1
    assert told.count("plain gives no visibility: occ_threshold has no effect") == 1
    node.destroy_node()
