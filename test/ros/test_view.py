# SPDX-License-Identifier: Apache-2.0
"""`vizion3d view` as a viewer sees it: a WebSocket client that reads what a real process sends."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("foxglove")
pytest.importorskip("rosbags")
client = pytest.importorskip("websockets.sync.client")
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from ros_harness import RosHarness, make_header  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from vizion3d.cli import main as vizion3d  # noqa: E402
from vizion3d_ros import conversions  # noqa: E402
from vizion3d_ros.bag.reader import BagReader  # noqa: E402
from vizion3d_ros.bag.serialized import deserialize  # noqa: E402
from vizion3d_ros.demo.domains import reserved_domain  # noqa: E402
from vizion3d_ros.view.layout import layout, node_types  # noqa: E402
from vizion3d_ros.view.layout import main as write_layouts  # noqa: E402

TIMEOUT_S = 40.0


class Viewer:
    """A viewer that subscribes to topics and keeps what it is sent: (stamp in ns, CDR) by topic."""

    def __init__(self, socket) -> None:
        self._socket = socket
        self.channels: dict[str, dict] = {}
        self.messages: dict[str, list[tuple[int, bytes]]] = {}
        self.sessions: list[str] = []
        self._numbers: dict[int, str] = {}

    def read(self) -> None:
        """Take what has come, waiting a moment for it."""
        try:
            while True:
                self._take(self._socket.recv(timeout=0.02))
        except TimeoutError:
            pass

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            if message[0] == 1:
                _, number, time_ns = struct.unpack_from("<BIQ", message)
                self.messages[self._numbers[number]].append((time_ns, message[13:]))
            return
        told = json.loads(message)
        if told["op"] == "serverInfo":
            self.sessions.append(told["sessionId"])
        for channel in told.get("channels", []) if told["op"] == "advertise" else []:
            self.channels[channel["topic"]] = channel

    def subscribe(self, topic: str) -> None:
        number = len(self._numbers)
        self._numbers[number] = topic
        self.messages[topic] = []
        wish = {"id": number, "channelId": self.channels[topic]["id"]}
        self._socket.send(json.dumps({"op": "subscribe", "subscriptions": [wish]}))

    def unsubscribe(self, topic: str) -> None:
        number = next(number for number, name in self._numbers.items() if name == topic)
        self._socket.send(json.dumps({"op": "unsubscribe", "subscriptionIds": [number]}))


@contextmanager
def viewing(address: str):
    with client.connect(address, subprotocols=["foxglove.sdk.v1"], max_size=None) as socket:
        yield Viewer(socket)


@contextmanager
def view(tmp_path, *arguments):
    """The command as a process, and a viewer of it."""
    log = tmp_path / "view.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "vizion3d_ros.view", *map(str, arguments), "--port", "0"], stdout=file, stderr=file
        )
    try:
        wait_for(lambda: "serving" in log.read_text() or process.poll() is not None, log.read_text)
        with viewing(address_in(log.read_text())) as viewer:
            yield viewer
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


def address_in(log: str) -> str:
    return re.search(r"ws://127\.0\.0\.1:\d+", log)[0]


def wait_for(condition, what):
    end = time.monotonic() + TIMEOUT_S
    while not (result := condition()):
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.02)
    return result


@pytest.fixture
def ros():
    with reserved_domain() as domain, RosHarness(domain) as harness:
        yield harness


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    vizion3d(["sample", str(folder)])
    return folder


def test_topics_that_run_are_subscribed_to_only_while_somebody_looks(ros):
    images = ros.node.create_publisher(Image, "/depth/image_rect", QoSProfile(depth=2))
    process = ros.start("view", "--port", "0")
    ros.wait_for(lambda: "serving" in process.log, "the server")
    with viewing(address_in(process.log)) as viewer:
        ros.wait_for(lambda: viewer.read() or "/depth/image_rect" in viewer.channels, "the offer")
        channel = viewer.channels["/depth/image_rect"]
        assert channel["schemaName"] == "sensor_msgs/msg/Image" and channel["encoding"] == "cdr"
        assert "uint32 step" in channel["schema"] and "MSG: std_msgs/Header" in channel["schema"]
        assert not images.get_subscription_count()
        viewer.subscribe("/depth/image_rect")
        ros.wait_for(images.get_subscription_count, "a subscription")
        depth = np.arange(6, dtype=np.float32).reshape(2, 3)
        sent = conversions.image_from_array(depth, "32FC1", make_header(5, "left"))
        ros.send(lambda: images.publish(sent))
        ros.wait_for(lambda: viewer.read() or viewer.messages["/depth/image_rect"], "the image")
        image = deserialize(viewer.messages["/depth/image_rect"][0][1], "sensor_msgs/msg/Image")
        assert image.header.frame_id == "left" and image.header.stamp.nanosec == 5
        np.testing.assert_array_equal(image.data.view("<f4").reshape(2, 3), depth)
        viewer.unsubscribe("/depth/image_rect")
        ros.wait_for(lambda: not images.get_subscription_count(), "the end of the subscription")
    process.interrupt()
    assert process.wait() in (0, 130) and "Traceback" not in process.log


def test_each_viewer_gets_what_was_latched(ros):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ros.node.create_publisher(Header, "/kept", latched).publish(Header(frame_id="base"))
    process = ros.start("view", "--port", "0")
    ros.wait_for(lambda: "serving" in process.log, "the server")
    with viewing(address_in(process.log)) as first, viewing(address_in(process.log)) as second:
        for viewer in (first, second):
            ros.wait_for(lambda viewer=viewer: viewer.read() or "/kept" in viewer.channels, "the offer")
            viewer.subscribe("/kept")
            ros.wait_for(lambda viewer=viewer: viewer.read() or viewer.messages["/kept"], "what was latched")


def test_a_recording_is_shown_in_its_order_and_again(tmp_path, sample):
    image, info = "/stereo/left/image_rect", "/stereo/left/camera_info"
    recorded = {image: [], info: []}
    bag = BagReader(sample / "bag")
    for topic, stamp_ns, cdr in bag.messages(recorded):
        recorded[topic].append((stamp_ns, bytes(cdr)))
    bag.close()
    with view(tmp_path, sample / "bag", "--rate", 4) as viewer:
        wait_for(lambda: viewer.read() or len(viewer.channels) == len(bag.topics), "the offers")
        viewer.subscribe(image)
        wait_for(lambda: viewer.read() or viewer.messages[image], "images")
        viewer.subscribe(info)
        wait_for(lambda: viewer.read() or len(viewer.messages[image]) > 2 * len(recorded[image]), "the second pass")
    assert len(viewer.sessions) > 1  # or a viewer would not see time jump back
    images, infos = viewer.messages[image], viewer.messages[info]
    assert images[: len(recorded[image])] == recorded[image]
    assert len(infos) >= len(recorded[info]) and set(infos) == set(recorded[info])


def test_a_pair_of_pictures_is_shown_as_a_cloud(tmp_path, sample, capsys):
    pair = [sample / "left.png", sample / "right.png"]
    assert vizion3d(["view", *map(str, pair)]) == 2
    assert "give --calib FILE" in capsys.readouterr().err
    plan = tmp_path / "layout.json"
    with view(tmp_path, *pair, "--calib", sample / "calib.txt", "--layout", plan) as viewer:
        wait_for(lambda: viewer.read() or "/points2" in viewer.channels, "the offers")
        viewer.subscribe("/points2")
        viewer.subscribe("/left/image/compressed")
        wait_for(lambda: viewer.read() or all(viewer.messages.values()), "cloud and picture")
        cloud = deserialize(viewer.messages["/points2"][0][1], "sensor_msgs/msg/PointCloud2")
        points = cloud.data.reshape(-1, cloud.point_step)[:, :12].copy().view("<f4")
        assert np.isfinite(points).all(axis=1).mean() > 0.7
    panels = json.loads(plan.read_text())["configById"]
    assert list(panels) == ["3D!clouds", "Image!/depth/image_rect", "Image!/left/image/compressed"]


def test_the_demo_can_be_seen_live(ros, tmp_path):
    process = ros.start("demo", "--view", "--port", "0", "--out", str(tmp_path))
    ros.wait_for(lambda: "serving" in process.log, "the server")
    with viewing(address_in(process.log)) as viewer:
        for topic in ("/points2", "/diagnostics"):
            ros.wait_for(lambda topic=topic: viewer.read() or topic in viewer.channels, topic)
            viewer.subscribe(topic)
        ros.wait_for(lambda: viewer.read() or all(viewer.messages.values()), "a cloud and diagnostics")
    assert "Image!/depth/image_rect" in json.loads((tmp_path / "layout.json").read_text())["configById"]
    process.interrupt()
    assert process.wait() == 130 and "Traceback" not in process.log


@pytest.mark.parametrize(("kind", "depth"), [("stereo", "/depth/image_rect"), ("mono", "/depth/image_raw")])
def test_a_layout_shows_what_a_node_publishes(kind, depth):
    plan = layout(node_types(kind))
    assert plan["configById"]["3D!clouds"]["topics"].keys() == {"/points2"}
    shown = {panel.partition("!")[2] for panel in plan["configById"]}
    assert {depth, "/diagnostics"} < shown and not any("right" in topic for topic in shown)

    def leaves(part):
        return [part] if isinstance(part, str) else [*leaves(part["first"]), *leaves(part["second"])]

    assert leaves(plan["layout"]) == list(plan["configById"])


def test_the_layouts_beside_the_code_are_those_of_today(tmp_path, monkeypatch):
    root = Path(__file__).parents[2]
    for folder in ("config", "layouts"):
        (tmp_path / folder).mkdir()
    shutil.copy(root / "config/rigs.yaml", tmp_path / "config")
    monkeypatch.setattr(sys, "argv", ["layout", str(tmp_path)])
    write_layouts()
    for name in ("mono", "stereo", "multi"):
        assert (root / f"layouts/{name}.json").read_text() == (tmp_path / f"layouts/{name}.json").read_text(), "make config"


def test_rviz_opens_in_the_frame_of_the_camera(ros, tmp_path, monkeypatch):
    (tmp_path / "rviz2").write_text('#!/bin/sh\necho RViz: "$@"\n')
    (tmp_path / "rviz2").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    infos = ros.node.create_publisher(CameraInfo, "/depth/camera_info", QoSProfile(depth=1))
    process = ros.start("rviz", "-d", "view.rviz")
    ros.wait_for(infos.get_subscription_count, "its subscription")
    ros.send(lambda: infos.publish(CameraInfo(header=make_header(1, "front_optical"))))
    ros.wait_for(lambda: not process.is_alive, "its end")
    assert process.log.endswith("RViz: -d view.rviz -f front_optical\n")
