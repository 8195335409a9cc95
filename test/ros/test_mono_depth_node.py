# SPDX-License-Identifier: Apache-2.0
"""mono_depth_node in its own process over real DDS, with generated weights of the Small network."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ros_harness import float_map, make_header
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from vizion3d.camera import PinholeCamera
from vizion3d.images import load_rgb
from vizion3d.lifting import MonoDepthEstimator
from vizion3d_ros import conversions

INPUT_SIZE = 126  # small, so that a frame takes a fraction of a second
STAMP_NS = 1_700_000_000_000_000_000
OUTPUTS = {"depth/image_raw": Image, "depth/camera_info": CameraInfo, "inverse_depth": Image, "points2": PointCloud2}


@pytest.fixture(scope="module")
def picture():
    """A picture with edges and gradients, taller than wide in no way."""
    v, u = np.mgrid[:120, :160]
    return np.stack((u, v * 2, (u // 20 + v // 20) % 2 * 200), axis=-1).astype(np.uint8)


def start(ros, weights, **parameters):
    node = ros.start("mono_depth_node", parameters={"model": weights, "input_size": INPUT_SIZE, **parameters})
    ros.wait_for(lambda: "ready (" in node.log or not node.is_alive, "the node to be ready")
    assert node.is_alive, node.log
    return node


def raw_camera_info(header, D=(0.1, -0.05, 0.001, -0.002, 0.0), model="plumb_bob") -> CameraInfo:
    K = [130.0, 0.0, 82.0, 0.0, 128.0, 58.0, 0.0, 0.0, 1.0]
    P = [120.0, 0.0, 80.0, 0.0, 0.0, 120.0, 60.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    R = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    return CameraInfo(header=header, width=160, height=120, distortion_model=model, d=list(D), k=K, r=R, p=P)


class Camera:
    """Publishes images, with CameraInfo or without."""

    def __init__(self, ros) -> None:
        self.ros = ros
        self.images = ros.node.create_publisher(Image, "image_raw", 5)
        self.infos = ros.node.create_publisher(CameraInfo, "camera_info", 5)

    def wait_for_subscribers(self) -> None:
        self.ros.wait_for(lambda: self.images.get_subscription_count() and self.infos.get_subscription_count(), "subscriptions")

    def publish(self, rgb, stamp_ns, info=True) -> None:
        header = make_header(stamp_ns, "camera_optical")
        self.send(conversions.image_from_array(rgb, "rgb8", header), raw_camera_info(header) if info else None)

    def send(self, image: Image, info: CameraInfo | None) -> None:
        """Publish these messages."""
        self.ros.send(lambda: (self.images.publish(image), info and self.infos.publish(info)))


def xyz(cloud: PointCloud2) -> np.ndarray:
    return np.frombuffer(cloud.data, "<f4").reshape(cloud.height, cloud.width, 4)[..., :3]


def test_outputs_of_a_raw_image_with_distortion(ros, vits_file, picture):
    node = start(ros, vits_file)
    received = {topic: ros.listen(topic, kind) for topic, kind in OUTPUTS.items()}
    camera = Camera(ros)
    camera.wait_for_subscribers()
    camera.publish(picture, STAMP_NS)
    ros.wait_for(lambda: all(received.values()), "all outputs")
    depth_message, info, inverse_message, cloud = (messages[0] for messages in received.values())
    for message in (depth_message, info, inverse_message, cloud):
        assert conversions.stamp_ns(message.header.stamp) == STAMP_NS
        assert message.header.frame_id == "camera_optical"

    prediction = MonoDepthEstimator(vits_file, "cpu", input_size=INPUT_SIZE).estimate(picture)
    inverse, depth = float_map(inverse_message), float_map(depth_message)
    np.testing.assert_allclose(inverse, prediction.output.numpy(), rtol=1e-4, atol=1e-4)
    low, high = inverse.min(), inverse.max()
    np.testing.assert_allclose(depth, 0.5 + (1 - (inverse - low) / (high - low)) * 9.5, rtol=1e-4)

    expected = raw_camera_info(info.header)
    assert (info.k == expected.k).all() and (info.p == expected.p).all() and list(info.d) == list(expected.d)
    assert (info.width, info.height, info.distortion_model) == (160, 120, "plumb_bob")

    points = xyz(cloud).astype(np.float64)
    np.testing.assert_allclose(points[..., 2], depth, rtol=1e-6)
    K, D = np.array(expected.k).reshape(3, 3), np.array(expected.d)
    pixels, _ = cv2.projectPoints(points.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), K, D)
    v, u = np.mgrid[:120, :160]
    assert np.abs(pixels.reshape(120, 160, 2) - np.stack((u, v), axis=-1)).max() < 0.05

    assert "depth is RELATIVE" in node.log and "relative inverse depth, NOT metres" in node.log


def test_metric_weights_give_metres_and_a_rectified_image_uses_P(ros, vits_file, picture):
    node = start(ros, vits_file, max_depth=20.0, rectified=True)
    depths, clouds = ros.listen("depth/image_raw", Image), ros.listen("points2", PointCloud2)
    camera = Camera(ros)
    camera.wait_for_subscribers()
    camera.publish(picture, STAMP_NS)
    ros.wait_for(lambda: depths and clouds, "depth and cloud")
    depth, points = float_map(depths[0]), xyz(clouds[0])
    assert depth.min() > 0 and depth.max() < 20
    v, u = np.mgrid[:120, :160]
    np.testing.assert_allclose(points[..., 0], (u - 80) / 120 * depth, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(points[..., 1], (v - 60) / 120 * depth, rtol=1e-4, atol=1e-5)
    assert "metric up to 20 m" in node.log and "RELATIVE" not in node.log


def test_depth_flows_without_camera_info_and_the_cloud_says_why_it_waits(ros, vits_file, picture):
    node = start(ros, vits_file)
    depths, inverses = ros.listen("depth/image_raw", Image), ros.listen("inverse_depth", Image)
    clouds = ros.listen("points2", PointCloud2)
    camera = Camera(ros)
    camera.wait_for_subscribers()
    for i in range(3):
        camera.publish(picture, STAMP_NS + i, info=False)
        ros.wait_for(lambda i=i: min(len(depths), len(inverses)) > i, "depth without CameraInfo", 20)
    assert not clouds
    assert "no CameraInfo with the stamp of the image on /camera_info: depth goes on, points2" in node.log
    for i in range(3, 10):  # it comes after all
        camera.publish(picture, STAMP_NS + i)
        ros.spin_for(0.5)
        if clouds:
            break
    assert clouds


def test_a_lens_that_cannot_be_inverted_everywhere_leaves_pixels_out_and_an_unknown_one_is_named(ros, vits_file, picture):
    node = start(ros, vits_file)
    clouds = ros.listen("points2", PointCloud2)
    camera = Camera(ros)
    camera.wait_for_subscribers()

    def publish(stamp_ns, **changes):
        header = make_header(stamp_ns)
        camera.send(conversions.image_from_array(picture, "rgb8", header), raw_camera_info(header, **changes))

    publish(STAMP_NS, model="kannala")
    ros.wait_for(lambda: "distortion model is 'kannala'; known are plumb_bob" in node.log, "the refusal")
    publish(STAMP_NS + 1, D=(-0.9, 0.0, 0.0, 0.0, 0.0))
    ros.wait_for(lambda: clouds, "a cloud")
    valid = np.isfinite(xyz(clouds[0])).all(axis=-1)
    assert 0.2 < valid.mean() < 0.99
    assert valid[58, 82] and not valid[0, 0]


@pytest.mark.parametrize("fx", [0.0, float("nan")])
def test_a_broken_K_holds_back_what_needs_it_and_frames_are_counted_truly(ros, vits_file, picture, fx):
    node = start(ros, vits_file)
    received = {topic: ros.listen(topic, kind) for topic, kind in OUTPUTS.items()}
    diagnostics = ros.listen("/diagnostics", DiagnosticArray)
    camera = Camera(ros)
    camera.wait_for_subscribers()
    for i in range(5):
        header = make_header(STAMP_NS + i)
        info = raw_camera_info(header)
        info.k[0] = info.p[0] = fx
        camera.send(conversions.image_from_array(picture, "rgb8", header), info)
        ros.wait_for(lambda i=i: len(received["depth/image_raw"]) > i and len(received["inverse_depth"]) > i, f"depth {i}")
    assert not received["points2"] and not received["depth/camera_info"]

    def counts() -> tuple[int, int]:
        values = {value.key: value.value for value in diagnostics[-1].status[0].values} if diagnostics else {}
        return int(values.get("frames published", 0)), int(values.get("frames failed", 0))

    ros.wait_for(lambda: counts()[0] >= 5, "diagnostics")
    assert counts()[1] == 0 and diagnostics[-1].status[0].level == DiagnosticStatus.OK
    assert "; depth goes on, points2 and depth/camera_info wait for a good CameraInfo" in node.log
    assert "np." not in node.log and "frame skipped" not in node.log


@pytest.mark.parametrize("name", ["tum_fr2_desk/rgb.png", "nyu_basement/rgb.jpg"])
def test_real_frames(ros, vits_file, data, name):
    path = data / "rgbd" / name
    numbers = json.loads((path.parent / "intrinsics.json").read_text())
    rgb = load_rgb(path)
    start(ros, vits_file)
    depths, clouds = ros.listen("depth/image_raw", Image), ros.listen("points2", PointCloud2)
    camera = Camera(ros)
    camera.wait_for_subscribers()
    header = make_header(STAMP_NS)
    info = raw_camera_info(header, D=())
    info.width, info.height = 640, 480
    info.k = [numbers["fx"], 0.0, numbers["cx"], 0.0, numbers["fy"], numbers["cy"], 0.0, 0.0, 1.0]
    camera.send(conversions.image_from_array(rgb[..., ::-1], "bgr8", header), info)
    ros.wait_for(lambda: depths and clouds, "depth and cloud")
    depth = float_map(depths[0])
    assert depth.shape == (480, 640) and depth.min() == pytest.approx(0.5) and depth.max() == pytest.approx(10)
    assert depth.std() > 0.1
    np.testing.assert_allclose(xyz(clouds[0])[100, 200, 0], (200 - numbers["cx"]) / numbers["fx"] * depth[100, 200], rtol=1e-5)


def test_raw_recording(ros, vits_file, data):
    """What a busy node leaves out is its own choice; the newest image, here the last, is never left out."""
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    remaps = ["image_raw:=/stereo/left/image_raw", "camera_info:=/stereo/left/camera_info"]
    words = [word for remap in remaps for word in ("-r", remap)]
    settings = ("-p", f"model:={vits_file}", "-p", f"input_size:={INPUT_SIZE}")
    node = ros.start("mono_depth_node", "--ros-args", *settings, *words)
    depths, clouds = ros.listen("depth/image_raw", Image), ros.listen("points2", PointCloud2)
    ros.wait_for(lambda: "ready (" in node.log, "the node")
    topics = [remap.partition(":=")[2] for remap in remaps]
    bag = str(data / "bags/euroc_v1_01_raw")
    player = ros.start("bag.player", bag, "--topics", *topics, "--wait-for-subscribers", *topics)
    last_ns = 1_403_715_274_162_142_976
    ros.wait_for(lambda: last_ns in {conversions.stamp_ns(depth.header.stamp) for depth in depths}, "depth of the last image")
    assert player.wait() == 0
    assert 1 <= len(clouds) <= len(depths) <= 10
    assert all(np.isfinite(xyz(cloud)).all(axis=-1).mean() > 0.9 for cloud in clouds)


def test_metric_weights_without_their_range_are_refused_in_words_of_this_door(ros, vits_file, tmp_path):
    file = tmp_path / "my_metric_hypersim.pth"
    file.symlink_to(vits_file)
    node = ros.start("mono_depth_node", parameters={"model": file})
    assert node.wait() == 1
    assert "pass max_depth:=20 (hypersim)" in node.log and "max_depth_m" not in node.log


def test_missing_weights_end_it_with_the_command_that_gets_them(ros, tmp_path, monkeypatch):
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    node = ros.start("mono_depth_node")
    assert node.wait() == 1
    assert "vizion3d weights get depth-anything-v2-small" in node.log
    assert "Traceback" not in node.log


def test_metres_by_the_focal_length_wait_for_it(ros, da3_metric_file, picture):
    node = start(ros, da3_metric_file)
    depths, clouds = ros.listen("depth/image_raw", Image), ros.listen("points2", PointCloud2)
    camera = Camera(ros)
    camera.wait_for_subscribers()
    camera.publish(picture, STAMP_NS, info=False)
    why = "gives metres only with the focal length of the camera; no CameraInfo with the stamp of the image on /camera_info"
    ros.wait_for(lambda: why in node.log, "the reason")
    assert "frame skipped: " in node.log and not depths
    for i in range(1, 8):
        camera.publish(picture, STAMP_NS + i)
        ros.spin_for(0.5)
        if depths and clouds:
            break
    depth = float_map(depths[0])
    lens = PinholeCamera(160, 120, 130.0, 128.0, 82.0, 58.0)
    expected = MonoDepthEstimator(da3_metric_file, "cpu").estimate(picture, lens).depth_m.numpy()
    np.testing.assert_allclose(depth, expected, rtol=1e-4)
    assert 0.01 < np.isnan(depth).mean() < 0.99
    assert "RELATIVE" not in node.log and "metres by the focal length" in node.log
