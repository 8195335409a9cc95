# SPDX-License-Identifier: Apache-2.0
"""`vizion3d bag`: every frame of a recording, however it is stored, whoever works on it, however often it is interrupted."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("rosbags")

from rosbags import rosbag1, rosbag2
from rosbags.convert.converter import LATCH
from rosbags.typesys import Stores, get_typestore

from vizion3d.calibration_files import load_calibration, load_calibrations
from vizion3d.camera import PinholeCamera
from vizion3d.cli import main
from vizion3d.errors import InputError
from vizion3d.stereo import StereoDepthEstimator
from vizion3d_ros import conversions, stereo_frames
from vizion3d_ros.bag.pipelines import open_pipeline
from vizion3d_ros.bag.plan import make_plan
from vizion3d_ros.bag.progress import Progress
from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.bag.serialized import deserialize, serialize, stamp_of
from vizion3d_ros.bag.work import Output
from vizion3d_ros.camera_topics import CameraTopics
from vizion3d_ros.messages import CompressedImage, DisparityImage, Header, Time, type_name
from vizion3d_ros.settings import MonoFrameSettings, StereoFrameSettings

ROOT = Path(__file__).parents[2]
BEGIN_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
CAMERA, BASELINE_M, SHIFT_PX = PinholeCamera(128, 64, 100.0, 100.0, 63.5, 31.5), 0.1, 6
IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
CAMERAS = [CameraTopics(f"/rig/{side}/image_rect", f"/rig/{side}/camera_info", False) for side in ("left", "right")]

Recorded = tuple[str, int, Any]  # topic, log stamp, message or its bytes


def header(index: int, frame_id: str = "optical") -> Any:
    return Header(stamp=Time(sec=0, nanosec=0), frame_id=frame_id) if index < 0 else header_at(index * STEP_NS, frame_id)


def header_at(offset_ns: int, frame_id: str = "optical") -> Any:
    sec, nanosec = divmod(BEGIN_NS + offset_ns, 10**9)
    return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame_id)


def pixels(index: int) -> list[np.ndarray]:
    """A left and a right image of a wall."""
    noise = np.random.default_rng(index).integers(0, 255, (32, 80), np.uint8)
    wide = cv2.resize(noise, (160, 64), interpolation=cv2.INTER_CUBIC)
    return [wide[:, :128], wide[:, SHIFT_PX : 128 + SHIFT_PX]]


def pair(index: int, encode: Any = lambda gray, header: conversions.image_from_array(gray, "mono8", header)) -> list[Recorded]:
    """Images and CameraInfo of both cameras at one moment, the log 5 ms after the stamp."""
    log_ns = BEGIN_NS + index * STEP_NS + 5_000_000
    messages = []
    for camera, gray, baseline_m in zip(CAMERAS, pixels(index), (0.0, BASELINE_M), strict=True):
        image = encode(gray, header(index))
        name = camera.image + "/compressed" * (type_name(type(image)) != IMAGE)
        messages += [(camera.info, log_ns, conversions.camera_info(CAMERA, header(index), baseline_m)), (name, log_ns, image)]
    return messages


def pairs(count: int, **options: Any) -> list[Recorded]:
    return [message for index in range(count) for message in pair(index, **options)]


def write(
    path: Path,
    messages: list[Recorded],
    storage: str = "MCAP",
    compression: rosbag2.CompressionMode = rosbag2.CompressionMode.NONE,
    types: dict[str, str] | None = None,
    latched: str = "",
) -> Path:
    """A rosbag2 recording; bytes are written as they are, as images unless `types` says otherwise, and of a type no message."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    with_writer = rosbag2.Writer(path, version=8, storage_plugin=rosbag2.StoragePlugin[storage])
    with_writer.set_compression(compression, rosbag2.CompressionFormat.ZSTD)
    with with_writer as writer:
        connections: dict[str, Any] = {}
        for topic, log_ns, message in messages:
            is_bytes = isinstance(message, bytes)
            is_type = isinstance(message, type)
            kind = (types or {}).get(topic, IMAGE) if is_bytes else type_name(message if is_type else type(message))
            if topic not in connections:
                qos = LATCH if topic == latched else ()
                connections[topic] = writer.add_connection(topic, kind, typestore=store, offered_qos_profiles=qos)
            if not is_type:
                writer.write(connections[topic], log_ns, message if is_bytes else bytes(serialize(message, kind)))
    return path


def write_ros1(path: Path, messages: list[Recorded]) -> Path:
    store = get_typestore(Stores.ROS1_NOETIC)
    two = get_typestore(Stores.ROS2_HUMBLE)
    with rosbag1.Writer(path) as writer:
        connections: dict[str, Any] = {}
        for topic, log_ns, message in messages:
            kind = type_name(type(message))
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], log_ns, bytes(two.cdr_to_ros1(bytes(serialize(message, kind)), kind)))
    return path


def run(*arguments: object) -> int:
    return main(["bag", *map(str, arguments)])


def read(path: Path, topics: tuple[str, ...] = ()) -> list[tuple[str, int, bytes]]:
    with closing(BagReader(path)) as bag:
        return [(topic, log_ns, bytes(cdr)) for topic, log_ns, cdr in bag.recorded(topics or bag.topics)]


def files(folder: Path) -> dict[str, bytes]:
    """What must be equal whoever wrote it: the files with messages, and metadata.yaml."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".mcap", ".db3", ".yaml")}


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    """Six pairs."""
    return write(tmp_path_factory.mktemp("recording") / "bag", pairs(6))


@pytest.fixture(scope="module")
def whole(bag, tmp_path_factory) -> Path:
    """What is made of these pairs, two a file."""
    out = tmp_path_factory.mktemp("recording") / "whole"
    assert run(bag, "--out", out, "--segment", 2) == 0
    return out


def test_every_pair_becomes_what_the_frame_functions_make_of_it(bag, whole):
    estimator, settings = StereoDepthEstimator(), StereoFrameSettings()
    made = read(whole)
    assert len(made) == 6 * len(stereo_frames.OUTPUTS)
    for index in range(6):
        messages = [message for _, _, message in pair(index)]
        frame = stereo_frames.decode([messages[at] for at in (1, 0, 3, 2)])
        prediction = estimator.estimate(frame.left, frame.right, frame.rig, **settings.matching())
        makers = stereo_frames.outputs(prediction, frame, settings)
        for topic, kind in stereo_frames.OUTPUTS.items():
            expected = bytes(serialize(makers[topic](), type_name(kind)))
            assert (f"/rig/{topic}", BEGIN_NS + index * STEP_NS + 5_000_000, expected) in made, topic
    depth = [deserialize(cdr, IMAGE) for topic, _, cdr in made if topic == "/rig/depth/image_rect"]
    assert [stamp_of(cdr) for topic, _, cdr in made if topic == "/rig/points2"] == [BEGIN_NS + i * STEP_NS for i in range(6)]
    true_m = CAMERA.fx * BASELINE_M / SHIFT_PX
    assert np.nanmedian(conversions.depth_from_image(depth[0])) == pytest.approx(true_m, rel=0.02)


@pytest.mark.parametrize(("storage", "compress"), [("mcap", False), ("mcap", True), ("sqlite3", False), ("sqlite3", True)])
def test_what_is_written_has_all_that_players_and_viewers_ask_for(bag, whole, tmp_path, storage, compress):
    options = ["--storage", storage, "--segment", 4, *(["--compress", "zstd"] if compress else [])]
    assert run(bag, "--out", tmp_path / "out", *options) == 0
    assert read(tmp_path / "out") == read(whole)
    assert len([name for name in files(tmp_path / "out") if name != "metadata.yaml"]) == 2
    store = get_typestore(Stores.ROS2_JAZZY)
    with rosbag2.Reader(tmp_path / "out") as reader:
        assert reader.message_count == 6 * len(stereo_frames.OUTPUTS)
        assert (reader.start_time, reader.duration) == (BEGIN_NS + 5_000_000, 5 * STEP_NS + 1)
        for connection in reader.connections:
            assert connection.msgdef.data == store.generate_msgdef(connection.msgtype, ros_version=2)[0]
            assert connection.digest == store.hash_rihs01(connection.msgtype)
            (qos,) = connection.ext.offered_qos_profiles
            assert (qos.reliability.name, qos.durability.name, qos.depth) == ("RELIABLE", "VOLATILE", 1)


def as_png(gray: np.ndarray, header: Any) -> Any:
    return CompressedImage(header=header, format="mono8; png compressed ", data=cv2.imencode(".png", gray)[1].tobytes())


@pytest.mark.parametrize("form", ["sqlite3", "file", "message", "split", "no metadata", "png", "ros1", "two recordings"])
def test_whatever_the_recording_is_stored_in(whole, tmp_path, form):
    path = tmp_path / "bag"
    inputs = [path]
    modes = rosbag2.CompressionMode
    if form in ("sqlite3", "file", "message"):
        mode = {"file": modes.FILE, "message": modes.MESSAGE}.get(form, modes.NONE)
        write(path, pairs(6), "SQLITE3", mode)
    elif form == "png":
        write(path, pairs(6, encode=as_png))
    elif form == "ros1":
        inputs = [write_ros1(tmp_path / "old.bag", pairs(6))]
    else:
        first, second = (write(tmp_path / name, pairs(6)[part]) for name, part in (("a", slice(12)), ("b", slice(12, None))))
        inputs = [first, second]
        if form != "two recordings":
            path.mkdir()
            for file in (first / "a.mcap", second / "b.mcap"):
                file.rename(path / file.name)
            (path / "c.mcap").touch()  # as a recorder leaves it that was killed at the split
            if form == "split":
                text = (first / "metadata.yaml").read_text()
                (path / "metadata.yaml").write_text(text.replace("  - a.mcap\n", "  - a.mcap\n  - b.mcap\n", 1))
            inputs = [path]
    assert run(*inputs, "--out", tmp_path / "out", "--segment", 2) == 0
    assert files(tmp_path / "out") == files(whole)


def test_what_has_no_partner_and_what_cannot_be_read_is_left_out_and_named(tmp_path, capsys):
    messages = pairs(6)
    late = BEGIN_NS + 3 * STEP_NS + 5_000_000
    messages = [one for one in messages if one[:2] != (CAMERAS[1].image, late)]  # a right image is lost
    at = next(i for i, one in enumerate(messages) if one[0] == CAMERAS[0].image and one[1] == BEGIN_NS + STEP_NS + 5_000_000)
    cdr = bytearray(serialize(messages[at][2], IMAGE))
    cdr[40:48] = b"\xff" * 8
    messages[at] = (*messages[at][:2], bytes(cdr))
    messages.append((CAMERAS[0].image, BEGIN_NS + 6 * STEP_NS, b"\x00\x01\x00\x00"))
    messages.append((CAMERAS[0].info, BEGIN_NS + 6 * STEP_NS, bytes(serialize(messages[0][2], INFO))[:40]))
    path = write(tmp_path / "bag", messages)
    assert run(path, "--out", tmp_path / "out", "--only", "depth") == 0
    out = capsys.readouterr().out
    assert "4 frames in" in out and "left out: 4" in out
    assert "/rig/left/camera_info: the bytes of a CameraInfo are no message" in out
    assert "/rig/left/image_rect has no partner on /rig/right/image_rect: the nearest stamp is 100 ms" in out
    assert "0.100 s: " in out and "no message" in out
    stamps = [stamp_of(cdr) for _, _, cdr in read(tmp_path / "out", ("/rig/depth/image_rect",))]
    assert stamps == [BEGIN_NS + i * STEP_NS for i in (0, 2, 4, 5)]


def test_a_stretch_of_it(bag, tmp_path):
    options = ["--start", 0.1, "--end", 0.55, "--every", 2, "--only", "reason,depth", "--namespace", "/new", "--copy-inputs"]
    assert run(bag, "--out", tmp_path / "out", *options) == 0
    made = read(tmp_path / "out")
    names = {"/new/reason", "/new/depth/image_rect", "/new/depth/camera_info"}
    assert {topic for topic, _, _ in made} - names == {topic for topic, _, _ in read(bag)}
    assert [stamp_of(cdr) - BEGIN_NS for topic, _, cdr in made if topic == "/new/reason"] == [STEP_NS, 3 * STEP_NS, 5 * STEP_NS]
    copied = [stamp_of(cdr) - BEGIN_NS for topic, _, cdr in made if topic == CAMERAS[0].image]
    assert copied == [i * STEP_NS for i in range(1, 6)]


def test_what_was_said_once_is_copied_into_a_stretch(tmp_path):
    messages = [("/tf_static", BEGIN_NS, bytes(serialize(header(0), "std_msgs/msg/Header"))), *pairs(6)]
    bag = write(tmp_path / "bag", messages, types={"/tf_static": "std_msgs/msg/Header"}, latched="/tf_static")
    for name, jobs in (("a", ("--segment", 1)), ("b", ())):
        assert run(bag, "--out", tmp_path / name, "--start", 0.3, "--copy-inputs", "--only", "reason", *jobs) == 0
    made = read(tmp_path / "a")
    assert made[0] == ("/tf_static", BEGIN_NS + 300_000_000, messages[0][2])  # where a player begins
    assert len([one for one in made if one[0] == "/tf_static"]) == 1 and sorted(made) == sorted(read(tmp_path / "b"))


def test_copies_are_what_was_recorded_in_whatever_files(bag, tmp_path):
    extra = [("/text", BEGIN_NS + i * STEP_NS // 2, bytes(serialize(header(i), "std_msgs/msg/Header"))) for i in range(-1, 13)]
    path = write(tmp_path / "bag", pairs(6) + extra, types={"/text": "std_msgs/msg/Header"})
    assert run(path, "--out", tmp_path / "out", "--copy-inputs", "--segment", 2) == 0
    copied = [message for message in read(tmp_path / "out") if message[0] in {topic for topic, _, _ in read(path)}]
    assert sorted(copied) == sorted(read(path))


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run(*arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    return line


def test_mistakes_are_told_in_one_line(bag, whole, tmp_path, capsys):
    out = ("--out", tmp_path / "out")
    assert "has no sensor_msgs/msg/Image or CompressedImage in /left; namespaces that have one: /rig/left, /rig/right" in told(
        capsys, bag, *out, "--stereo", "left", "right"
    )
    assert (
        "has no sensor_msgs/msg/CameraInfo of the name /no; those that are: /rig/left/camera_info, /rig/right/camera_info"
        in told(capsys, bag, *out, "--mono", "/rig/left/image_rect", "/no")
    )
    assert "is given as left and as right image" in told(capsys, bag, *out, "--stereo", "/rig/left", "/rig/left")
    assert "there are depth, disparity, points, confidence, occlusion, reason" in told(capsys, bag, *out, "--only", "cloud")
    assert "is there already; give another folder, or --resume" in told(capsys, bag, "--out", whole)
    assert "--input-size is an option for one camera" in told(capsys, bag, *out, "--input-size", 70)
    assert "it must be at least 1" in told(capsys, bag, *out, "--every", 0)
    assert "--start is inf; it must be at least 0, and 1e+09 at most" in told(capsys, bag, *out, "--start", "inf")
    assert "it must be the later one, and 1e+09 at most" in told(capsys, bag, *out, "--end", "inf")
    assert '--namespace is "a b"; it must be of letters' in told(capsys, bag, *out, "--namespace", "a b")
    assert "--calib-out writes what --list has found" in told(capsys, bag, *out, "--calib-out", tmp_path / "calib")
    assert "--rate is for pictures and films" in told(capsys, bag, *out, "--rate", 5)
    assert "--cameras is for pictures and films" in told(capsys, bag, *out, "--cameras", 0, 1)
    assert "--as png is of depth, which --only leaves out" in told(capsys, bag, *out, "--as", "png", "--only", "reason")
    assert "--compress is for a recording; it does not go with --as" in told(
        capsys, bag, *out, "--as", "png", "--compress", "zstd"
    )
    assert "give --out DIR" in told(capsys, "merge", whole, "--list")
    assert "no frame to work on in this time" in told(capsys, bag, *out, "--start", 100)
    assert "has no depth.json" in told(capsys, bag, *out, "--resume")
    assert "differ in settings, --z-far 50.0 and 3.0; begin in another folder" in told(
        capsys, bag, "--out", whole, "--resume", "--segment", 2, "--z-far", 3
    )
    assert "/rig/depth/image_rect is in the recording already; give --namespace" in told(
        capsys, bag, whole, *out, "--stereo", "/rig/left", "/rig/right", "--copy-inputs", "--only", "depth"
    )
    cut = tmp_path / "cut.mcap"
    cut.write_bytes((bag / "bag.mcap").read_bytes()[:400])
    assert f"{cut} was cut off before the first message was whole" in told(capsys, cut, *out)
    assert not (tmp_path / "out").exists()


def test_a_recording_that_is_damaged_further_on_is_used_up_to_there(tmp_path, capsys):
    bag = write(tmp_path / "bag", pairs(200))
    content = bytearray((bag / "bag.mcap").read_bytes())
    middle = content.index(b"optical", len(content) // 2)
    content[middle - 60 : middle] = b"\xff" * 60
    (bag / "bag.mcap").write_bytes(content)
    assert run(bag, "--out", tmp_path / "out", "--only", "reason", "--every", 10) == 1
    assert "can be read no further than this" in capsys.readouterr().err
    assert 5 < len(read(tmp_path / "out")) < 15


def test_a_recording_that_was_cut_off_is_used_up_to_there(tmp_path, capsys):
    """As a recorder leaves it that lost power: no end, no index, half a message."""
    pytest.importorskip("mcap")
    recorded = pairs(140)
    bag = write(tmp_path / "bag", recorded)
    file = bag / "bag.mcap"
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 8 // 10])
    out = tmp_path / "out"
    assert run(bag, "--out", out, "--only", "reason", "--every", 10, "--segment", 4, "--copy-inputs") == 1
    error = capsys.readouterr().err
    assert "can be read no further than this" in error and "no whole record" in error
    made = read(out)
    frames = [log_ns for topic, log_ns, _ in made if topic == "/rig/reason"]
    assert frames == [BEGIN_NS + 5_000_000 + index * 10 * STEP_NS for index in range(len(frames))] and 4 < len(frames) < 12
    copied = [one for one in made if one[0] != "/rig/reason"]
    whole = [(topic, log_ns, bytes(serialize(message, type_name(type(message))))) for topic, log_ns, message in recorded]
    assert len(copied) > 4 * (10 * len(frames) - 10) and sorted(copied) == sorted(whole[: len(copied)])
    assert run(bag, "--list") == 0
    assert "# it can be read no further than this" in capsys.readouterr().out
    (bag / "metadata.yaml").unlink()
    for path in (bag, file):
        with closing(BagReader(path)) as reader:
            assert sum(topic.message_count for topic in reader.topics.values()) == len(copied)
            assert reader.topics[CAMERAS[0].image].qos == BagReader(out).topics[CAMERAS[0].image].qos
            with pytest.raises(InputError, match=f"{file} was cut off while it was recorded, .* s from its beginning"):
                list(reader.recorded(reader.topics))


def test_a_file_that_was_cut_off_before_its_first_message_costs_no_other(bag, whole, tmp_path, capsys):
    """As a recorder leaves it that was killed just after it began the next file."""
    pytest.importorskip("mcap")
    path = tmp_path / "bag"
    path.mkdir()
    content = (bag / "bag.mcap").read_bytes()
    (path / "a.mcap").write_bytes(content[:400])
    (path / "b.mcap").write_bytes(content)
    assert run(path, "--out", tmp_path / "out", "--segment", 2) == 1
    assert f"{path / 'a.mcap'} was cut off before the first message was whole" in capsys.readouterr().err
    assert files(tmp_path / "out") == files(whole)


@pytest.mark.parametrize(("mode", "told_so"), [("MESSAGE", "compression_mode: MESSAGE"), ("FILE", "unpack bag.db3.zstd")])
def test_a_compressed_recording_needs_its_metadata(tmp_path, capsys, mode, told_so):
    bag = write(tmp_path / "bag", pairs(1), "SQLITE3", rosbag2.CompressionMode[mode])
    (bag / "metadata.yaml").unlink()
    assert told_so in told(capsys, bag, "--out", tmp_path / "out")


@pytest.mark.parametrize("limit", [100_000, 3_000], ids=["in the middle", "at the first byte"])
def test_a_disc_that_is_full_costs_the_file_at_work(bag, tmp_path, capsys, limit):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        line = told(capsys, bag, "--out", tmp_path / "out", "--only", "depth", "--copy-inputs", "--segment", 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"cannot write to {tmp_path / 'out'}: " in line and "--resume" in line
    assert not list((tmp_path / "out").glob("*.mcap"))


def test_interrupted_work_goes_on_and_ends_as_if_it_had_not_been(bag, whole, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    add = Progress.add

    def interrupt(self: Progress, frames: int) -> None:
        add(self, frames)
        if self._done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Progress, "add", interrupt)
    assert run(bag, "--out", out, "--segment", 2) == 130
    assert "interrupted after 3 of 6 frames; go on with --resume" in capsys.readouterr().err
    assert len(read(out, ("/rig/reason",))) == 3  # the file at work, too, can be read
    monkeypatch.undo()
    assert run(bag, "--out", out, "--segment", 2, "--resume") == 0
    assert files(out) == files(whole)
    assert run(bag, "--out", out, "--segment", 2, "--resume") == 0  # which finds nothing to do
    assert files(out) == files(whole)


def test_killed_work_leaves_a_recording_and_goes_on_and_no_ros_is_needed_and_changes_no_byte(bag, whole, tmp_path):
    script = (
        "import os, signal, sys\n"
        "for name in ('rclpy', 'sensor_msgs', 'std_msgs', 'stereo_msgs', 'builtin_interfaces', 'rcl_interfaces'):\n"
        "    sys.modules[name] = None\n"
        "from vizion3d.cli import main\n"
        "from vizion3d_ros.bag.progress import Progress\n"
        "add = Progress.add\n"
        "def kill(self, frames):\n"
        "    add(self, frames)\n"
        "    if self._done == 5:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "Progress.add = kill\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-c", script, "bag", str(bag), "--out", str(out), "--segment", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(read(out, ("/rig/depth/image_rect",))) == 4 and (out / ".unfinished").exists()
    assert run(bag, "--out", out, "--segment", 2, "--resume") == 0
    assert files(out) == files(whole) and not (out / ".unfinished").exists()


def test_several_processes_write_the_same_and_do_again_what_a_killed_one_was_at(bag, tmp_path, monkeypatch, caplog):
    options = ("--segment", 1, "--only", "depth")
    add = Output.add

    def add_and_kill(self: Output, index: int, report: Any) -> None:
        if not self.segments:  # five more to go, so that the death of any process is noticed
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        add(self, index, report)

    assert run(bag, "--out", tmp_path / "one", *options) == 0
    monkeypatch.setattr(Output, "add", add_and_kill)
    assert run(bag, "--out", tmp_path / "two", *options, "--jobs", 2) == 0
    assert "a process was killed; what it was at is done again" in caplog.text
    assert files(tmp_path / "two") == files(tmp_path / "one")


@pytest.mark.slow  # two processes more that import everything
def test_ctrl_c_while_processes_start_is_no_death(bag, tmp_path, capsys, caplog):
    before = {*multiprocessing.active_children()}  # of other tests

    def interrupt() -> None:
        wait_s = time.monotonic() + 60
        while not (children := {*multiprocessing.active_children()} - before) and time.monotonic() < wait_s:
            time.sleep(0.001)
        for pid in (*(child.pid for child in children), os.getpid()):  # as a terminal does
            os.kill(pid, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    options = ("--segment", 3, "--only", "depth")
    assert run(bag, "--out", tmp_path / "out", *options, "--jobs", 2) == 130
    thread.join()
    assert "was killed" not in caplog.text and "go on with --resume" in capsys.readouterr().err
    assert 0 < len(read(tmp_path / "out", ("/rig/depth/image_rect",))) < 6


def test_a_file_that_is_gone_is_made_again_and_missed_by_merge(bag, whole, tmp_path, capsys):
    out = tmp_path / "out"
    options = ("--segment", 2, "--only", "depth")
    assert run(bag, "--out", out, *options) == 0
    before = files(out)
    (out / "depth_00001.mcap").unlink()
    assert "those of the files 1 are missing" in told(capsys, "merge", out, "--out", tmp_path / "merged")
    assert run(bag, "--out", out, *options, "--resume") == 0
    assert files(out) == before
    for text, why in (("{", "is damaged"), ("[]", "is not what this version writes"), ('{"segments": {"0": {}}}', "KeyError")):
        (out / "depth.json").write_text(text)
        assert why in told(capsys, bag, "--out", out, *options, "--resume")


@pytest.mark.slow
def test_a_ray_cluster_writes_the_same_and_does_again_what_a_killed_process_was_at(bag, whole, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # otherwise it writes a token into the home
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    killed: list[int] = []

    def kill_one() -> None:
        deadline_s = time.monotonic() + 120
        while not killed and time.monotonic() < deadline_s:
            time.sleep(0.01)
            for pid in descendants(os.getpid()):
                with suppress(OSError):
                    if Path(f"/proc/{pid}/cmdline").read_text().startswith("ray::_make"):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
                        break

    killer = threading.Thread(target=kill_one)
    killer.start()
    assert run(bag, "--out", tmp_path / "out", "--segment", 2, "--ray", "local") == 0
    killer.join()
    assert len(killed) == 1 and not ray.is_initialized()
    assert files(tmp_path / "out") == files(whole)


def descendants(pid: int) -> list[int]:
    children = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += [int(child) for child in (task / "children").read_text().split()]
    return children + [one for child in children for one in descendants(child)]


def test_shards_are_merged_to_the_same(bag, whole, tmp_path, capsys):
    shards = [tmp_path / f"shard{index}" for index in (1, 2)]
    for index, folder in enumerate(shards, 1):
        assert run(bag, "--out", folder, "--segment", 2, "--shard", f"{index}/2") == 0
    assert "of 6 frames in files of 2 those of the files 1, 2 are missing" in told(
        capsys, "merge", shards[0], "--out", tmp_path / "out"
    )
    assert run("merge", *reversed(shards), "--out", tmp_path / "out") == 0
    assert files(tmp_path / "out") == files(whole)
    state = json.loads((tmp_path / "out/depth.json").read_text())
    assert sum(report["frames"] for report in state["segments"].values()) == 6


# --- what is decided once for a recording ---


def plan_of(tmp_path: Path, messages: list[Recorded], **options: Any) -> tuple[Any, list[float]]:
    """The plan, and the focal length that each left image has by it."""
    with closing(BagReader(write(tmp_path / "bag", messages))) as bag:
        plan = make_plan(bag, CAMERAS, **options)
    infos = plan.info_messages()
    return plan, [infos[at].p[0] for at in plan.frames[:, 0, 2]]


def infos_of(messages: list[Recorded], focal_px: Any, log_ns: Any, index_of: Any) -> list[Recorded]:
    """The same recording with other CameraInfo."""
    images = [one for one in messages if not one[0].endswith("info")]
    infos = []
    for at, camera in ((at, camera) for at in range(6) for camera in CAMERAS):
        if (focal := focal_px(at)) is not None:
            model = PinholeCamera(128, 64, focal, focal, 63.5, 31.5)
            baseline_m = BASELINE_M * (camera is CAMERAS[1])
            infos.append((camera.info, log_ns(at), conversions.camera_info(model, header(index_of(at)), baseline_m)))
    return sorted(images + infos, key=lambda one: one[1])


def test_a_camera_info_of_its_own_is_an_images_however_late_it_comes(tmp_path):
    late = infos_of(pairs(6), lambda at: 100.0 + at, lambda at: BEGIN_NS + at * STEP_NS + 350_000_000, lambda at: at)
    plan, focal = plan_of(tmp_path, late)
    assert focal == [100.0, 101.0, 102.0, 103.0, 104.0, 105.0]
    assert not plan.skipped


@pytest.mark.parametrize("stamp", [-1, 0, 2], ids=["without a stamp", "before", "between"])
def test_a_camera_info_that_came_once_is_that_of_all_images(tmp_path, stamp):
    once = infos_of(pairs(6), lambda at: 100.0 if at == 2 else None, lambda at: BEGIN_NS + at * STEP_NS, lambda at: stamp)
    plan, focal = plan_of(tmp_path, once)
    assert focal == [100.0] * 6
    assert len(plan.infos) == 2


def test_one_that_differs_counts_from_its_stamp_on(tmp_path):
    focal = {0: 100.0, 3: 200.0}
    changed = infos_of(pairs(6), focal.get, lambda at: BEGIN_NS + at * STEP_NS, lambda at: at)
    assert plan_of(tmp_path, changed)[1] == [100.0] * 3 + [200.0] * 3


def test_a_new_size_without_its_camera_info_is_refused(tmp_path):
    messages = infos_of(pairs(6), lambda at: 100.0 if at == 0 else None, lambda at: BEGIN_NS, lambda at: 0)
    for at, (topic, log_ns, message) in enumerate(messages):
        if topic.endswith("image_rect") and log_ns > BEGIN_NS + 4 * STEP_NS:
            gray = np.zeros((48, 96), np.uint8)
            messages[at] = (topic, log_ns, conversions.image_from_array(gray, "mono8", message.header))
    plan, focal = plan_of(tmp_path, messages)
    assert len(focal) == 4
    assert {one.at_s for one in plan.skipped} == {0.405, 0.505}
    assert "the image is 96x48 now but no CameraInfo for this size came" in plan.skipped[0].why


def test_stamps_that_differ(tmp_path, capsys):
    messages = [
        (topic, log_ns, conversions.image_from_array(pixels(0)[0], "mono8", header_at(log_ns - BEGIN_NS)))
        if topic == CAMERAS[1].image
        else (topic, log_ns, message)
        for topic, log_ns, message in pairs(6)
    ]
    bag = write(tmp_path / "bag2", messages)
    assert "of the first the nearest stamp is 5 ms later): give --tolerance" in told(capsys, bag, "--out", tmp_path / "out")
    plan, _ = plan_of(tmp_path, messages, tolerance_ns=6_000_000)
    assert len(plan.frames) == 6


def test_frames_with_equal_stamps_and_equal_log_stamps_are_all_there(tmp_path, capsys):
    """As tools convert recordings that had no clock."""
    once = [(topic, BEGIN_NS, message) for topic, _, message in pairs(3)]
    for _, _, message in once:
        message.header.stamp = header(0).stamp
    lonely = (CAMERAS[0].image, BEGIN_NS, pair(7)[1][2])
    bag = write(tmp_path / "bag", [*once, lonely])
    assert run(bag, "--out", tmp_path / "out", "--only", "depth", "--segment", 2) == 0
    assert "left out: 1" in capsys.readouterr().out
    depth = [cdr for _, _, cdr in read(tmp_path / "out", ("/rig/depth/image_rect",))]
    assert len(depth) == 3 and depth[0] != depth[1]
    assert "3 frames have 1 log stamps, by which their files would be named" in told(
        capsys, bag, "--out", tmp_path / "png", "--as", "png"
    )


def test_topics_on_which_nothing_came(tmp_path, capsys):
    def without(name: str, part: str) -> Path:
        """All topics, but no message of some."""
        messages = [(topic, log_ns, type(message) if part in topic else message) for topic, log_ns, message in pairs(3)]
        return write(tmp_path / name, messages)

    infos, images, everything = without("infos", "info"), without("images", "image"), without("nothing", "/")
    out = ("--out", tmp_path / "out")
    assert "has no CameraInfo of /rig/left/image_rect: nothing came on /rig/left/camera_info" in told(capsys, infos, *out)
    assert "images are 0 on /rig/left/image_rect, 0 on /rig/right/image_rect" in told(capsys, images, *out)
    assert run(everything, "--list", "--mono", "/rig/left") == 0
    assert ": 0.0 s, " in (page := capsys.readouterr().out) and "images are 0 on /rig/left/image_rect" in page


def test_the_range_of_deep_images_is_that_of_the_whole_recording(tmp_path):
    """The first images use 10 bits, later ones 12: no frame is brighter for being the first of its file."""

    def deep(gray: np.ndarray, header: Any) -> Any:
        bits = 2 if stamp_of(serialize(header, "std_msgs/msg/Header")) < BEGIN_NS + 3 * STEP_NS else 4
        return conversions.image_from_array(gray.astype(np.uint16) << bits, "mono16", header)

    bag = write(tmp_path / "bag", pairs(6, encode=deep))
    for name, segment in (("a", 2), ("b", 6)):
        assert run(bag, "--out", tmp_path / name, "--segment", segment, "--only", "depth") == 0
        assert json.loads((tmp_path / name / "depth.json").read_text())["job"]["settings"]["image_range"] == [0, 4095]
    assert read(tmp_path / "a") == read(tmp_path / "b")


def test_raw_images_are_rectified_if_their_rows_say_so(data, tmp_path, caplog):
    caplog.set_level("INFO")
    assert run(data / "bags/euroc_v1_01_raw", "--out", tmp_path / "out", "--only", "depth", "--every", 5) == 0
    assert "raw, and are rectified, by how their rows line up" in caplog.text
    depth = [deserialize(cdr, IMAGE) for _, _, cdr in read(tmp_path / "out", ("/stereo/depth/image_rect",))]
    assert len(depth) == 2
    assert 2.0 < np.nanmedian(conversions.depth_from_image(depth[0])) < 2.4


def test_rectified_images_need_no_more_than_p(whole, tmp_path, capsys):
    """Drivers of rectified images often leave K, D and R at zero."""
    messages = pairs(2)
    for _, _, message in messages:
        if type_name(type(message)) == INFO:
            message.k, message.r = [0.0] * 9, [0.0] * 9
    bag = write(tmp_path / "bag", messages)
    assert run(bag, "--out", tmp_path / "out") == 0
    assert read(tmp_path / "out") == read(whole)[: 2 * len(stereo_frames.OUTPUTS)]
    assert "R is [0.0," in told(capsys, bag, "--out", tmp_path / "raw", "--rectify", "yes")


def test_one_camera_with_and_without_camera_info(bag, tmp_path, vits_file, capsys):
    model = ("--model", vits_file, "--input-size", 70, "--every", 3)
    assert run(bag, "--out", tmp_path / "a", "--mono", "/rig/left", *model) == 0
    topics = {topic for topic, _, _ in read(tmp_path / "a")}
    assert topics == {f"/rig/left/{name}" for name in ("depth/image_raw", "depth/camera_info", "inverse_depth", "points2")}
    alone = write(tmp_path / "bag", [one for one in pairs(6) if one[0] == CAMERAS[0].image])
    assert run(alone, "--out", tmp_path / "b", "--mono", "/rig/left", *model) == 0
    assert {topic for topic, _, _ in read(tmp_path / "b")} == {"/rig/left/depth/image_raw", "/rig/left/inverse_depth"}
    assert "there is no CameraInfo: depth alone" in capsys.readouterr().out


def test_cameras_are_found_where_only_one_answer_is_possible(bag, tmp_path, capsys):
    other = [(topic.replace("/rig/", "/other/"), log_ns, message) for topic, log_ns, message in pairs(2)]
    two = write(tmp_path / "two", pairs(2) + other)
    assert "say which: --stereo /other/left /other/right, --stereo /rig/left /rig/right, --mono /other/left" in told(
        capsys, two, "--out", tmp_path / "out"
    )
    infra = [(topic.replace("left", "infra1").replace("right", "infra2"), log, message) for topic, log, message in pairs(2)]
    assert run(write(tmp_path / "infra", infra), "--out", tmp_path / "out", "--only", "depth") == 0
    assert "/rig/infra1/image_rect, /rig/infra2/image_rect" in capsys.readouterr().out


def test_the_list_says_what_to_run(data, tmp_path, capsys):
    assert run(data / "bags/euroc_v1_01_raw", "--list", "--calib-out", tmp_path) == 0
    out = capsys.readouterr().out
    assert f"vizion3d bag {data / 'bags/euroc_v1_01_raw'} --stereo /stereo/left /stereo/right --rectify yes --out DIR" in out
    assert "10 of 10 left images have a right one with the same stamp" in out
    assert "# 10 frames, 10.0 a second" in out and "results are 0.134 GB in all, 0.0144 GB as depth alone" in out
    left, right = load_calibrations([tmp_path / f"stereo_{side}.yaml" for side in ("left", "right")])
    assert right.P[3] == pytest.approx(-48.021, abs=0.001) and left.distortion_model == "plumb_bob"
    assert run(data / "bags/kitti_rect", "--list", "--mono", "/stereo/left") == 0
    assert "--mono /stereo/left --out DIR\n# 6 frames, 10.0 a second" in capsys.readouterr().out


# --- pictures and films ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The six pairs as pictures, with their calibration."""
    path = tmp_path_factory.mktemp("pictures")
    for side in ("left", "right"):
        (path / side).mkdir()
    for index in range(6):
        for side, gray in zip(("left", "right"), pixels(index), strict=True):
            cv2.imwrite(str(path / side / f"{BEGIN_NS + index * STEP_NS}.png"), gray)
    numbers = f"cam0=[{CAMERA.fx} 0 {CAMERA.cx}; 0 {CAMERA.fy} {CAMERA.cy}; 0 0 1]\nbaseline={BASELINE_M * 1000}\ndoffs=0\n"
    (path / "calib.txt").write_text(numbers)
    return path


def test_a_folder_of_pairs_gives_what_the_recording_of_them_gives(folder, whole, tmp_path):
    calib = ("--calib", folder / "calib.txt")
    assert run(folder, "--out", tmp_path / "bag", "--only", "disparity", *calib) == 0
    numbers = {stamp_of(cdr): cdr for topic, _, cdr in read(whole) if topic == "/rig/disparity"}
    made = {stamp_of(cdr): cdr for _, _, cdr in read(tmp_path / "bag")}
    assert made.keys() == numbers.keys()
    kind = "stereo_msgs/msg/DisparityImage"
    for stamp, cdr in made.items():
        image, expected = (deserialize(one, kind).image for one in (cdr, numbers[stamp]))
        np.testing.assert_array_equal(image.data, expected.data)

    assert run(folder, "--out", tmp_path / "files", "--as", "png,ply,npz", "--segment", 4, *calib) == 0
    depth = {stamp_of(cdr): deserialize(cdr, IMAGE) for topic, _, cdr in read(whole) if topic == "/rig/depth/image_rect"}
    for stamp, message in depth.items():
        depth_m = conversions.depth_from_image(message)
        millimetres = cv2.imread(str(tmp_path / f"files/{stamp}_depth.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(millimetres, np.nan_to_num(depth_m * 1000).round().clip(0, 65535).astype(np.uint16))
        arrays = np.load(tmp_path / f"files/{stamp}.npz")
        np.testing.assert_array_equal(arrays["depth_m"], depth_m)
        assert {*arrays} == {"depth_m", "sigma_m", "disparity", "points", "colors", "confidence", "occlusion", "reason"}
        assert f"element vertex {len(arrays['points'])}\n".encode() in (tmp_path / f"files/{stamp}_cloud.ply").read_bytes()
    assert len(list((tmp_path / "files").iterdir())) == 6 * 3 + 1


def test_pictures_without_a_partner_are_named(folder, tmp_path, caplog):
    pictures = shutil.copytree(folder, tmp_path / "pictures")
    (pictures / f"right/{BEGIN_NS}.png").unlink()
    assert run(pictures, "--calib", folder / "calib.txt", "--out", tmp_path / "out", "--only", "reason") == 0
    assert f"pictures without a partner, 1, are left out: left/{BEGIN_NS}.png" in caplog.text
    assert len(read(tmp_path / "out")) == 5


def test_files_are_resumed_and_merged_too(folder, tmp_path):
    options = (folder, "--calib", folder / "calib.txt", "--as", "png", "--segment", 2)
    for index in (1, 2):
        assert run(*options, "--out", tmp_path / str(index), "--shard", f"{index}/2") == 0
    assert run("merge", tmp_path / "1", tmp_path / "2", "--out", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").glob("*_depth.png"))) == 6
    assert run(*options, "--out", tmp_path / "1", "--resume") == 0
    assert len(list((tmp_path / "1").glob("*_depth.png"))) == 6


def test_a_film_is_entered_anywhere(tmp_path, vits_file, capsys):
    film = cv2.VideoWriter(str(tmp_path / "film.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 20.0, (128, 64))
    for index in range(30):
        film.write(cv2.cvtColor(pixels(index)[0], cv2.COLOR_GRAY2BGR))
    film.release()
    model = ("--model", vits_file, "--input-size", 70, "--every", 6, "--only", "inverse_depth", "--segment", 1)
    assert run(tmp_path / "film.mp4", "--out", tmp_path / "whole", *model) == 0
    assert [log_ns for _, log_ns, _ in read(tmp_path / "whole")] == [10**9 + index * 300_000_000 for index in range(5)]
    assert run(tmp_path / "film.mp4", "--out", tmp_path / "part", "--shard", "2/2", *model) == 0
    assert read(tmp_path / "part") == read(tmp_path / "whole")[2:]
    capsys.readouterr()
    assert "OpenCV cannot read the film" in told(capsys, empty(tmp_path / "no.mp4"), "--out", tmp_path / "out", *model)


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def test_mistakes_about_pictures(bag, folder, tmp_path, capsys):
    out = ("--out", tmp_path / "out")
    assert "give --calib FILE" in told(capsys, folder, *out)
    assert "--calib is for pictures and films" in told(capsys, bag, *out, "--calib", folder / "calib.txt")
    assert "there are png, ply and npz" in told(capsys, bag, *out, "--as", "jpg")
    assert "is pictures or a film, and --list is for recordings" in told(capsys, folder, "--list")
    assert "--rate is 1e-12; it must be at least 0.001" in told(capsys, folder, *out, "--rate", 1e-12)
    assert "does not go with --as" in told(capsys, bag, *out, "--as", "png", "--copy-inputs")


def test_help_fits_and_names_the_options_of_both_kinds(capsys):
    with pytest.raises(SystemExit):
        run("--help")
    out = io.StringIO(capsys.readouterr().out).getvalue()
    assert "(default: sgbm or depth-anything-v2-small)" in " ".join(out.split())


def test_metres_without_a_camera_and_of_a_wide_lens_are_told(da3_metric_file, data):
    pipeline = open_pipeline(MonoFrameSettings(model=str(da3_metric_file)))
    rgb = np.random.default_rng(0).integers(0, 256, (80, 128, 3), dtype=np.uint8)
    image = conversions.image_from_array(rgb, "rgb8", header(0))
    with pytest.raises(InputError, match="only with the focal length of the camera; there is no CameraInfo$"):
        pipeline.estimate(pipeline.decode([image, None]))
    wide = load_calibration(data / "camera_info/equidistant_1280x800.json")
    messages = [image, conversions.camera_info_from_calibration(wide, header(0))]
    frame = pipeline.decode(messages)
    (fault,) = pipeline.faults(messages, frame, pipeline.estimate(frame))
    assert fault.what == "lens" and "rectify it first" in str(fault)


# --- how right it is ---


def with_truth(count: int, shape: str) -> list[Recorded]:
    """Pairs of a wall, and for all but the first its depth."""
    depth_m = np.full((64, 128), CAMERA.fx * BASELINE_M / SHIFT_PX, np.float32)
    depth_m[:10] = np.nan
    messages = pairs(count)
    for index in range(1, count):
        if shape == "disparity":
            image = conversions.image_from_array(np.nan_to_num(CAMERA.fx * BASELINE_M / depth_m), "32FC1", header(index))
            true: Any = DisparityImage(header=header(index), image=image, f=CAMERA.fx, t=BASELINE_M, min_disparity=1.0)
        else:
            true = conversions.depth_image(torch.from_numpy(depth_m), shape, header(index))
        messages.append(("/depth_truth", BEGIN_NS + index * STEP_NS + 9_000_000, true))
    return messages


@pytest.mark.parametrize("shape", ["32FC1", "16UC1", "disparity"])
def test_a_recording_is_judged_by_the_truth_in_it(tmp_path, shape):
    path = str(write(tmp_path / "bag", with_truth(4, shape)))
    assert main(["eval", path, "--truth", "/depth_truth", "--every", "2", "--out", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out/eval.json").read_text())["results"]
    assert [result["case"] for result in results] == ["0.100 s", "0.300 s"]
    for result in results:
        assert result["calibrated"] and result["all"]["truth_pixels"] == 54 * 128
        assert result["all"]["median_px"] < 0.01 and result["all"]["bad_1"] < 1  # the wall is where the truth says


def test_frames_whose_truth_is_no_use_are_left_out_and_told(tmp_path, capsys, caplog):
    messages = with_truth(6, "32FC1")
    for at, (topic, log_ns, message) in enumerate(messages):
        index = (log_ns - BEGIN_NS) // STEP_NS
        if topic == "/depth_truth":
            depth_m = {2: torch.full((64, 128), torch.nan), 3: torch.ones(32, 128)}.get(index)
            if depth_m is not None:
                messages[at] = (topic, log_ns, conversions.depth_image(depth_m, "32FC1", message.header))
        elif topic == CAMERAS[0].image and index == 4:
            messages[at] = (topic, log_ns, bytes(serialize(message, IMAGE))[:60])
        if topic.startswith("/rig/right"):
            message.header.stamp.nanosec += 1_000_000
    command = ["eval", str(write(tmp_path / "bag", messages)), "--truth", "/depth_truth", "--tolerance", "0.002"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out/eval.json").read_text())["results"]
    assert [result["case"] for result in results] == ["0.100 s", "0.500 s"]
    assert "left out: 1, the first at 0.200 s: /depth_truth has no known depth" in caplog.text
    assert "0.300 s: /depth_truth is 128x32 but the rectified left image 128x64" in caplog.text
    assert "0.400 s: the bytes of an image are no message" in caplog.text
    assert main([*command[:-1], "2"]) == 2 and "--tolerance is 2; it must be from 0 to 1 s" in capsys.readouterr().err


def test_mistakes_about_recorded_truth(bag, tmp_path, capsys):
    def refused(*options: str) -> str:
        assert main(["eval", str(bag), *options]) == 2
        return capsys.readouterr().err

    assert "has no sensor_msgs/msg/Image or stereo_msgs/msg/DisparityImage /truth; those that are: /rig/left" in refused(
        "--truth", "/truth"
    )
    assert "give --truth and the topic of" in refused()
    assert "are for files; a recording says it itself" in refused("--truth", "/truth", "--encoding", "depth")
    assert "is an image of the camera and given as its truth" in refused("--truth", "/rig/left/image_rect")
    mono = ("--truth", "/rig/right/image_rect", "--mono", "/rig/left")
    assert "one picture needs one mono model" in refused(*mono)
    assert "--stereo is for pairs, and --mono for one camera" in refused(*mono, "--stereo", "/rig/left", "/rig/right")


def test_a_mono_model_is_judged_by_the_truth_in_a_recording(tmp_path, vits_file, da3_metric_file, capsys):
    """The same numbers as of the picture and the truth in files; a metric model is taken as it is."""
    path = str(write(tmp_path / "bag", with_truth(2, "32FC1")))
    cv2.imwrite(str(tmp_path / "left.png"), pixels(1)[0])
    _, _, true = with_truth(2, "32FC1")[-1]
    np.save(tmp_path / "true.npy", conversions.depth_from_image(true))
    (tmp_path / "calib.txt").write_text(f"cam0=[100 0 63.5; 0 100 31.5; 0 0 1]\nbaseline={BASELINE_M * 1000}\ndoffs=0\n")
    picture = [str(tmp_path / "left.png"), "--truth", str(tmp_path / "true.npy"), "--encoding", "depth"]
    picture += ["--calib", str(tmp_path / "calib.txt")]
    for model, is_metric in ((vits_file, False), (da3_metric_file, True)):
        results = []
        for inputs in ([path, "--truth", "/depth_truth", "--mono", "/rig/left"], picture):
            command = [*inputs, "--model", str(model), "--input-size", "70", "--out", str(tmp_path / "out")]
            assert main(["eval", *command]) == 0
            assert ("scaled and shifted to fit the truth" in capsys.readouterr().out) is not is_metric
            (result,) = json.loads((tmp_path / "out/eval.json").read_text())["results"]
            results.append(result)
        assert results[0]["all"] == results[1]["all"] and results[0]["all"]["truth_pixels"] == 54 * 128
    uncalibrated = [message for message in with_truth(2, "32FC1") if not message[0].endswith("info")]
    path = str(write(tmp_path / "bare", uncalibrated))
    command = [path, "--truth", "/depth_truth", "--mono", "/rig/left", "--model", str(da3_metric_file)]
    assert main(["eval", *command]) == 2
    assert "only with the focal length of the camera; there is no CameraInfo" in capsys.readouterr().err
