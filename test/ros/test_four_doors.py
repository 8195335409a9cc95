# SPDX-License-Identifier: Apache-2.0
"""One frame, all doors: Python, command, frames without rclpy, live node, recording. Equal bytes for what two doors share.

The condition is equal device, engine and number of threads, which is one here.
"""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

import torch
from frame_door import fields_of
from rclpy.serialization import deserialize_message
from ros_harness import RosHarness, StereoSource, by_stamp, make_header
from sensor_msgs.msg import CameraInfo, Image

from vizion3d.calibration_files import load_stereo_rig
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.cli import main
from vizion3d.images import load_rgb
from vizion3d.lifting import DepthEstimation, DepthEstimationAdvanceConfig, DepthEstimationCommand
from vizion3d.option_records import flag_of
from vizion3d.options import SgbmOptions
from vizion3d.rectify import Rectifier
from vizion3d.stereo import StereoDepth, StereoDepthAdvancedConfig, StereoDepthCommand, StereoDepthEstimator
from vizion3d.synthetic import default_scene, render_stereo
from vizion3d_ros import conversions, mono_frames, stereo_frames
from vizion3d_ros.messages import type_name

ROOT = Path(__file__).parents[2]
STAMP_NS = 1_700_000_000_000_000_000
FLIP = np.array((1, -1, -1), np.float32)
FRAMES = {"stereo": stereo_frames, "mono": mono_frames}
ALL = {kind: frames.OUTPUTS | frames.VIEWS for kind, frames in FRAMES.items()}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass
class Outputs:
    """The messages of one frame as fields."""

    topics: dict[str, Any]

    def map(self, topic: str) -> np.ndarray:
        """(H, W) float32 of an image, or of the image in a DisparityImage."""
        image = self.topics[topic]
        image = image.get("image", image)
        return np.frombuffer(image["data"], "<f4").reshape(image["height"], image["width"])

    @property
    def points(self) -> np.ndarray:
        """(H, W, 3) in the optical frame."""
        return self._cloud()["xyz"]

    @property
    def colors(self) -> np.ndarray:
        """(H, W, 3) RGB."""
        return self._cloud()["bgr0"][..., 2::-1]

    def _cloud(self) -> np.ndarray:
        cloud = self.topics["points2"]
        fields = np.dtype([("xyz", "<f4", 3), ("bgr0", "u1", 4)])
        return np.frombuffer(cloud["data"], fields).reshape(cloud["height"], cloud["width"])


@pytest.fixture(scope="module")
def frame_door():
    """The frame functions in a process that has no rclpy: kind, messages and options in, outputs out."""
    command, environment = [sys.executable, ROOT / "test/frame_door.py"], {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:

        def outputs_of(*question: Any) -> Outputs:
            pickle.dump(question, process.stdin)
            process.stdin.flush()
            return Outputs(pickle.load(process.stdout))

        yield outputs_of
        process.stdin.close()


def from_node(ros: RosHarness, kind: str, messages: list[Any], options: dict[str, Any]) -> Outputs:
    """What the live node publishes."""
    node = ros.start(f"{kind}_depth_node", parameters=options)
    ros.wait_for(lambda: "ready (" in node.log or not node.is_alive, "the node to be ready")
    assert node.is_alive, node.log
    received = {topic: ros.listen(topic, type_) for topic, type_ in made_of(kind, options).items()}
    inputs = stereo_frames.RAW_INPUTS if options.get("rectify") else FRAMES[kind].INPUTS
    publishers = [ros.node.create_publisher(type_, topic, 5) for topic, type_ in inputs.items()]
    ros.wait_for(lambda: all(publisher.get_subscription_count() for publisher in publishers), "subscriptions")
    ros.send(lambda: [p.publish(m) for p, m in zip(publishers, messages, strict=True)])
    ros.wait_for(lambda: all(received.values()), "all outputs")
    return Outputs({topic: fields_of(collected[0]) for topic, collected in received.items()})


def from_recording(kind: str, messages: list[Any], options: dict[str, Any], folder: Path) -> Outputs:
    """What `vizion3d bag` makes of a recording of these messages."""
    rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="rosbags is not installed")
    from vizion3d_ros.bag.serialized import serialize, typestore

    topics = stereo_frames.RAW_INPUTS if options.get("rectify") else FRAMES[kind].INPUTS
    with rosbag2.Writer(folder / "bag", version=8, storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
        for (topic, class_), message in zip(topics.items(), messages, strict=True):
            connection = writer.add_connection(f"/camera/{topic}", type_name(class_), typestore=typestore())
            writer.write(connection, STAMP_NS, serialize(message, type_name(class_)))
    chosen = ["--stereo", "/camera/left", "/camera/right"] if kind == "stereo" else ["--mono", "/camera/image_raw"]
    flags = ["--rectify", "yes" if options.get("rectify") else "no", "--only", ",".join(map(in_only, made_of(kind, options)))]
    for name, value in options.items():
        if isinstance(value, bool):
            flags += [flag_of(name if value else f"no_{name}")] if name != "rectify" else []
        else:
            flags += [flag_of(name), str(value)]
    assert main(["bag", str(folder / "bag"), "--out", str(folder / "made"), *chosen, *flags]) == 0
    return Outputs({topic: fields_of(made[0]) for topic, made in recorded(folder / "made", kind, "/camera/").items()})


def made_of(kind: str, options: dict[str, Any]) -> dict[str, type]:
    """What there will be with these options."""
    without = {"depth/sigma"} if kind == "stereo" and options.get("model", "sgbm") != "sgbm" else {}
    return {topic: type_ for topic, type_ in ALL[kind].items() if topic not in without}


def in_only(topic: str) -> str:
    """What --only calls an output."""
    from vizion3d_ros.bag.prepare import short_name

    return topic if topic in stereo_frames.VIEWS | mono_frames.VIEWS else short_name(topic)


def recorded(folder: Path, kind: str, namespace: str) -> dict[str, list[Any]]:
    """The messages of a recording that `vizion3d bag` made, by topic."""
    from vizion3d_ros.bag.reader import BagReader

    made: dict[str, list[Any]] = {}
    reader = BagReader(folder)
    for name, _, cdr in reader.messages(reader.topics):
        topic = name.removeprefix(namespace)
        made.setdefault(topic, []).append(deserialize_message(bytes(cdr), ALL[kind][topic]))
    reader.close()
    return made


def from_command(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def read_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Points and colours."""
    vertices = np.frombuffer(path.read_bytes().partition(b"end_header\n")[2], [("xyz", "<f4", 3), ("rgb", "u1", 3)])
    return vertices["xyz"], vertices["rgb"]


def millimetres(depth_m: np.ndarray) -> np.ndarray:
    """As the depth picture of the command holds them."""
    return np.nan_to_num(depth_m * 1000).round().clip(0, 65535).astype(np.uint16)


def assert_same(actual: np.ndarray, expected: np.ndarray) -> None:
    """Equal values, NaN in the same places; of one type, so equal bytes but for the sign of a zero."""
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


def bag_messages(folder: Path, topics: list[str]) -> list[Any]:
    """The first message of each topic."""
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    from vizion3d_ros.bag.reader import BagReader

    reader, found = BagReader(folder), {}
    for topic, _, cdr in reader.messages(topics):
        found.setdefault(topic, deserialize_message(bytes(cdr), CameraInfo if topic.endswith("info") else Image))
    reader.close()
    return [found[topic] for topic in topics]


# --- stereo ---


def stereo_messages(left: np.ndarray, right: np.ndarray, rig: StereoRig) -> list[Any]:
    header = make_header(STAMP_NS)
    return [
        conversions.image_from_array(left, "rgb8", header),
        conversions.camera_info(rig.left, header),
        conversions.image_from_array(right, "rgb8", header),
        conversions.camera_info(rig.right, header, rig.baseline_m),
    ]


def stereo_case(name: str, request: pytest.FixtureRequest) -> list[Any]:
    if name == "kitti":
        folder = request.getfixturevalue("data") / "bags/kitti_rect"
        return bag_messages(folder, [f"/stereo/{topic}" for topic in stereo_frames.INPUTS])
    if name == "teddy":
        folder = request.getfixturevalue("data") / "stereo/teddy"
        left, right = (load_rgb(folder / file) for file in ("im2.png", "im6.png"))
        return stereo_messages(left, right, load_stereo_rig([folder / "calib.txt"], (left.shape[1], left.shape[0])))
    rig = StereoRig(PinholeCamera(320, 240, 262.0, 262.0, 150.0, 125.0), baseline_m=0.2, doffs_px=4.0)
    frame = render_stereo(default_scene(), rig)
    return stereo_messages(frame.left, frame.right, rig)


# The filter comes after the matcher, whichever that is: sgbm is compared with it and without, the others once.
@pytest.mark.parametrize(
    ("name", "model", "edge_filter"),
    [
        ("kitti", "sgbm", True),
        ("teddy", "sgbm", False),
        ("drawn", "sgbm", True),
        ("drawn", "sgbm", False),
        ("drawn", "las2_file", True),
        ("drawn", "s2m2_file", False),
    ],
)
def test_stereo(ros, frame_door, request, tmp_path, name, model, edge_filter):
    messages = stereo_case(name, request)
    left, right, rig, *_ = stereo_frames.decode(messages)
    trained = model == "sgbm"  # the others have generated weights
    model = model if trained else str(request.getfixturevalue(model))
    options = {"model": model, "z_far": 40.0, "sgbm.max_disparity": 80, "cloud_edge_filter": edge_filter}

    frames = frame_door("stereo", messages, options)
    node = from_node(ros, "stereo", messages, options)
    recording = from_recording("stereo", messages, options, tmp_path)
    assert recording.topics.keys() == node.topics.keys() == frames.topics.keys() == made_of("stereo", options).keys()
    for topic, fields in frames.topics.items():
        assert node.topics[topic] == fields, topic
        assert recording.topics[topic] == fields, topic

    reach = SgbmOptions(max_disparity=80)
    config = replace(StereoDepthAdvancedConfig.from_rig(rig), z_far=40, cloud_edge_filter=edge_filter, sgbm=reach)
    api = StereoDepth().run(StereoDepthCommand(left, right, model, return_point_cloud=True, advanced_config=config))
    depth_m = np.where(api.valid, api.depth, np.float32(np.nan))
    assert (0.3 if trained else 0.01) < api.valid.mean() < 1
    assert_same(frames.map("depth/image_rect"), depth_m)
    assert_same(frames.map("confidence"), api.confidence)
    assert_same(frames.map("occlusion"), api.occlusion)
    if model == "sgbm":
        estimate = StereoDepthEstimator.open("sgbm", config).estimate(left, right, rig, **config.matching())
        assert_same(frames.map("depth/sigma"), estimate.sigma_m(config).numpy())
        assert (np.isfinite(frames.map("depth/sigma")) == api.valid).all()
    disparity = frames.map("disparity")
    assert_same(disparity[api.valid], (api.disparity + np.float32(rig.doffs_px))[api.valid])
    (smallest,) = struct.unpack("f", frames.topics["disparity"]["min_disparity"])
    assert (disparity[~api.valid] < smallest).all()
    assert_same(frames.points, api.cloud.points * FLIP)
    assert_same(frames.colors, api.cloud.colors)
    kept = np.isfinite(frames.points[..., 2])
    assert edge_filter or kept.sum() == api.valid.sum()  # sgbm leaves hardly any flying pixels valid
    assert not (kept & ~api.valid).any()

    camera = frames.topics["depth/camera_info"]
    K = np.frombuffer(camera["k"], np.float64).reshape(3, 3)
    pixels = frames.points[kept].astype(np.float64) @ K.T
    v, u = np.nonzero(kept)
    assert np.abs(pixels[:, :2] / pixels[:, 2:] - np.stack((u, v), axis=-1)).max() < 1e-3

    for side, pixels in (("left", left), ("right", right)):
        PIL.Image.fromarray(pixels).save(tmp_path / f"{side}.png")
    c = rig.left
    fx, fy, cx, cy, mm, doffs = map(float, (c.fx, c.fy, c.cx, c.cy, rig.baseline_m * 1000, rig.doffs_px))
    calib = f"cam0=[{fx} 0 {cx}; 0 {fy} {cy}; 0 0 1]\nbaseline={mm}\ndoffs={doffs}\n"
    (tmp_path / "calib.txt").write_text(calib)
    pair = (tmp_path / "left.png", tmp_path / "right.png", "--calib", tmp_path / "calib.txt")
    flags = (
        "--model",
        model,
        "--z-far",
        40,
        "--sgbm-max-disparity",
        80,
        "--cloud-edge-filter" if edge_filter else "--no-cloud-edge-filter",
    )
    from_command("stereo", *pair, "--out", tmp_path, *flags)
    points, colors = read_ply(tmp_path / "left_cloud.ply")
    dense = api.cloud.dense()
    assert_same(points, dense.points)
    assert_same(colors, dense.colors)
    assert_same(cv2.imread(str(tmp_path / "left_depth.png"), cv2.IMREAD_UNCHANGED), millimetres(depth_m))


def test_raw_stereo(ros, frame_door, data, tmp_path):
    messages = bag_messages(data / "bags/euroc_v1_01_raw", [f"/stereo/{topic}" for topic in stereo_frames.RAW_INPUTS])
    options = {"rectify": True, "cloud_edge_filter": False}
    frames = frame_door("stereo", messages, options)
    node = from_node(ros, "stereo", messages, options)
    recording = from_recording("stereo", messages, options, tmp_path)
    assert recording.topics.keys() == node.topics.keys() == frames.topics.keys() == made_of("stereo", options).keys()
    for topic, fields in frames.topics.items():
        assert node.topics[topic] == fields, topic
        assert recording.topics[topic] == fields, topic

    left, right = (conversions.rgb_from_image(message) for message in messages[::2])
    cameras = [conversions.calibration_from_camera_info(message) for message in messages[1::2]]
    pair = Rectifier.from_calibrations(*cameras)(left, right)
    config = replace(StereoDepthAdvancedConfig.from_rig(pair.rig), cloud_edge_filter=False)
    command = StereoDepthCommand(
        pair.left, pair.right, "sgbm", return_point_cloud=True, advanced_config=config, shown=pair.shown
    )
    api = StereoDepth().run(command)
    depth_m = np.where(api.valid, api.depth, np.float32(np.nan))
    assert 0.7 < api.valid.mean() < 1
    assert_same(frames.map("depth/image_rect"), depth_m)
    assert_same(frames.map("confidence"), api.confidence)
    assert_same(frames.map("occlusion"), api.occlusion)
    assert_same(frames.points, api.cloud.points * FLIP)
    assert_same(frames.colors, pair.left)

    for side, pixels, info in (("left", left, messages[1]), ("right", right, messages[3])):
        PIL.Image.fromarray(pixels).save(tmp_path / f"{side}.png")
        (tmp_path / f"{side}.yaml").write_text(camera_yaml(info))
    left_png, right_png, *yaml = (tmp_path / f"{side}.{ending}" for ending in ("png", "yaml") for side in ("left", "right"))
    from_command("stereo", left_png, right_png, "--calib", *yaml, "--out", tmp_path)  # raw by its rows
    assert_same(cv2.imread(str(tmp_path / "left_depth.png"), cv2.IMREAD_UNCHANGED), millimetres(depth_m))


def test_a_recording_played_slowly(ros, data, tmp_path):
    """The node gets to every frame, and publishes what the recording holds."""
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    bag = data / "bags/kitti_rect"
    assert main(["bag", str(bag), "--out", str(tmp_path / "made"), "--only", "depth,disparity"]) == 0
    made = {topic: by_stamp(messages) for topic, messages in recorded(tmp_path / "made", "stereo", "/stereo/").items()}
    ros.start_stereo_node()
    received = {topic: ros.listen(topic, stereo_frames.OUTPUTS[topic]) for topic in made}
    source = StereoSource(ros)
    source.wait_for_subscribers()
    stamps = source.send_recording(bag, "/stereo", [*received.values()])
    assert [messages.keys() for messages in made.values()] == [stamps] * 3 and len(stamps) == 6
    assert {topic: by_stamp(messages) for topic, messages in received.items()} == made


# --- mono ---


def camera_yaml(info: CameraInfo) -> str:
    def matrix(values: Any) -> str:
        return f"{{data: {[float(value) for value in values]}}}"

    return (
        f"image_width: {info.width}\nimage_height: {info.height}\ncamera_matrix: {matrix(info.k)}\n"
        f"distortion_model: {info.distortion_model}\ndistortion_coefficients: {matrix(info.d)}\n"
        f"rectification_matrix: {matrix(info.r)}\nprojection_matrix: {matrix(info.p)}\n"
    )


@pytest.mark.parametrize(
    ("weights", "max_depth"),
    [("vits_file", 0.0), ("vits_file", 20.0), ("da3_metric_file", 0.0)],
    ids=["relative", "metric", "by focal length"],
)
def test_mono(ros, frame_door, request, data, tmp_path, weights, max_depth):
    model = request.getfixturevalue(weights)
    messages = bag_messages(data / "bags/euroc_v1_01_raw", [f"/stereo/left/{t}" for t in ("image_raw", "camera_info")])
    rgb, info = conversions.rgb_from_image(messages[0]), messages[1]
    options = {"model": str(model), "input_size": 126, "max_depth": max_depth}

    frames = frame_door("mono", messages, options)
    node = from_node(ros, "mono", messages, options)
    recording = from_recording("mono", messages, options, tmp_path)
    assert recording.topics.keys() == node.topics.keys() == frames.topics.keys() == ALL["mono"].keys()
    for topic, fields in frames.topics.items():
        assert node.topics[topic] == fields, topic
        assert recording.topics[topic] == fields, topic

    fx, _, cx, _, fy, cy, *_ = map(float, info.k)
    lens = {"distortion": tuple(info.d), "distortion_model": info.distortion_model}
    config = DepthEstimationAdvanceConfig(fx, fy, cx, cy, **lens, max_depth_m=max_depth or None, input_size=126)
    command = DepthEstimationCommand(rgb, model, return_point_cloud=True, advanced_config=config)
    api = DepthEstimation().run(command)
    assert api.is_metric == (bool(max_depth) or weights == "da3_metric_file") and np.ptp(api.depth[np.isfinite(api.depth)]) > 0
    assert np.isnan(api.depth).any() == (weights == "da3_metric_file")  # its sky
    depth_m = frames.map("depth/image_raw")
    in_cloud = np.isfinite(frames.points).all(axis=-1)
    assert_same(frames.colors, rgb)
    if api.is_metric:
        assert_same(depth_m, api.depth)
        assert_same(frames.points[in_cloud], api.cloud.points * FLIP)
        assert_same(rgb[in_cloud], api.cloud.colors)
    else:
        assert_same(frames.map("inverse_depth"), api.depth)
        # The page's cloud has its depth in steps, and not its farthest pixels.
        assert len(api.cloud.points) < in_cloud.sum() == (np.isfinite(depth_m) & in_cloud).sum()

    K, D = np.frombuffer(info.k.tobytes()).reshape(3, 3), np.array(info.d)
    pixels, _ = cv2.projectPoints(frames.points[in_cloud].astype(np.float64), np.zeros(3), np.zeros(3), K, D)
    v, u = np.nonzero(in_cloud)
    assert np.abs(pixels[:, 0] - np.stack((u, v), axis=-1)).max() < 0.01

    PIL.Image.fromarray(rgb).save(tmp_path / "view.png")
    (tmp_path / "camera.yaml").write_text(camera_yaml(info))
    flags = ("--model", model, "--input-size", 126, "--max-depth", max_depth)
    from_command("mono", tmp_path / "view.png", "--calib", tmp_path / "camera.yaml", "--out", tmp_path, *flags)
    points, colors = read_ply(tmp_path / "view_cloud.ply")
    assert_same(points, frames.points[in_cloud] * FLIP)
    assert_same(colors, rgb[in_cloud])
    assert_same(cv2.imread(str(tmp_path / "view_depth.png"), cv2.IMREAD_UNCHANGED), millimetres(depth_m))
