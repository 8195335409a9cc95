# SPDX-License-Identifier: Apache-2.0
"""The transport: who chooses it, what is told of it, and the removal of what dead processes left."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from ros_harness import ENVIRONMENT, StereoSource, make_header
from sensor_msgs.msg import Image

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.synthetic import default_scene, render_stereo
from vizion3d_ros import conversions, fast_dds
from vizion3d_ros.demo.domains import reserved_domain

TRANSPORT = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch, tmp_path):
    for name in (*TRANSPORT, "ROS_DISCOVERY_SERVER", fast_dds.SIZE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fast_dds.segment_bytes.cache_clear()
    yield
    fast_dds.segment_bytes.cache_clear()


def test_a_process_gets_16_mb_unless_one_word_says_otherwise(monkeypatch):
    fast_dds.use()
    assert fast_dds.segment_bytes() == 16 << 20
    for name in TRANSPORT:
        monkeypatch.delenv(name, raising=False)
    fast_dds.segment_bytes.cache_clear()
    monkeypatch.setenv(fast_dds.SIZE_VARIABLE, "64")
    fast_dds.use()
    assert fast_dds.segment_bytes() == 64 << 20


@pytest.mark.parametrize("name", [*TRANSPORT, "ROS_DISCOVERY_SERVER"])
def test_what_the_user_chose_stays(monkeypatch, name):
    monkeypatch.setenv(name, "/of/the/user")
    before = dict(os.environ)
    fast_dds.use()
    assert dict(os.environ) == before


def test_a_profile_in_the_working_directory_stays_too(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("DEFAULT_FASTDDS_PROFILES.xml").write_text("<profiles/>")
    before = dict(os.environ)
    fast_dds.use()
    assert dict(os.environ) == before


def test_another_rclpy_first_on_the_path_gets_both_variables(tmp_path):
    (tmp_path / "rclpy").mkdir()
    (tmp_path / "rclpy" / "__init__.py").touch()
    command = [sys.executable, "-m", "vizion3d_ros.fast_dds"]
    paths = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    out = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=True).stdout
    assert out == "".join(f"export {name}={fast_dds.PROFILE}\n" for name in TRANSPORT[:2])


@pytest.mark.parametrize("size", ["0", "4096", "-1", "1.5", "big"])
def test_impossible_sizes_are_named(monkeypatch, size):
    monkeypatch.setenv(fast_dds.SIZE_VARIABLE, size)
    with pytest.raises(InputError, match=f"is '{size}'; it must be a whole number of megabytes from 1 to 4095"):
        fast_dds.environment()


def test_large_messages_get_advice_that_holds(monkeypatch):
    fast_dds.use()
    assert fast_dds.message_problem("/points2", (16 << 20) // 3) is None
    problem = fast_dds.message_problem("/points2", 8 << 20)
    assert "/points2 has 8 MB a message and the shared memory of this process 16 MB" in problem
    assert problem.endswith(f"{fast_dds.SIZE_VARIABLE}=32")
    for name in TRANSPORT:
        monkeypatch.delenv(name, raising=False)
    fast_dds.segment_bytes.cache_clear()
    monkeypatch.setenv(fast_dds.SIZE_VARIABLE, "32")
    fast_dds.use()
    assert fast_dds.message_problem("/points2", 8 << 20) is None


def test_clean_takes_what_nobody_holds_and_nothing_else(tmp_path):
    def make(*names: str) -> list[Path]:
        for name in names:
            (tmp_path / name).write_bytes(b"x")
        return [tmp_path / name for name in names]

    dead = make("fastdds_dead", "fastdds_dead_el", "fastrtps_port7", "fastrtps_port7_el", "sem.fastrtps_port7_mutex")
    live = make("fastdds_live", "fastdds_live_el")
    shared = make("fastdds_port9", "fastdds_port9_el", "fastdds_port9_sl", "sem.fastdds_port9_mutex")
    other = make("fastpath_el", "fastpath", "something_el")
    with live[1].open() as owner, shared[2].open() as reader:
        fcntl.flock(owner, fcntl.LOCK_EX)
        fcntl.flock(reader, fcntl.LOCK_SH)
        assert sorted(fast_dds.clean(tmp_path)) == sorted(dead)
    assert sorted(tmp_path.iterdir()) == sorted(live + shared + other + [tmp_path / "cache"] * (tmp_path / "cache").exists())


@pytest.mark.skipif(not fast_dds.SHARED_MEMORY.is_dir(), reason="no /dev/shm")
def test_a_killed_node_leaves_shared_memory_that_clean_removes_and_a_running_one_keeps_its_own():
    def segments() -> set[str]:
        return {path.name for path in fast_dds.SHARED_MEMORY.glob("fast*_*") if "port" not in path.name}

    def segments_of(process: subprocess.Popen[bytes]) -> set[str]:  # others start and end meanwhile
        files = Path(f"/proc/{process.pid}")
        held = [os.path.realpath(link) for link in (files / "fd").iterdir()]
        mapped = [line.split()[-1] for line in (files / "maps").read_text().splitlines()]
        return {Path(name).name for name in (*held, *mapped) if name.startswith(str(fast_dds.SHARED_MEMORY))} & segments()

    script = "import rclpy, time; rclpy.init(); node = rclpy.create_node('n'); print(1, flush=True); time.sleep(60)"
    with reserved_domain() as domain:
        environment = {**os.environ, **ENVIRONMENT, "ROS_DOMAIN_ID": str(domain)}

        def start() -> tuple[subprocess.Popen[bytes], set[str]]:
            process = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE)
            process.stdout.readline()
            return process, segments_of(process)

        running, kept = start()
        killed, held = start()
        left = held - kept  # who has heard the other holds that one's segment, too
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        try:
            assert kept and left and left <= segments()
            removed = {path.name for path in fast_dds.clean()}
            assert left <= removed and not kept & removed
            assert kept <= segments()
        finally:
            running.send_signal(signal.SIGKILL)
            running.wait()
            fast_dds.clean()


def test_nodes_hear_each_other_with_nothing_set(ros, monkeypatch):
    """Three terminals of a new user: each program chooses its transport itself. 0.9 MB images, best effort."""
    for name in TRANSPORT:
        monkeypatch.setitem(ENVIRONMENT, name, "")
    ros.start("demo.synthetic_camera_node")
    ros.start_stereo_node()
    depths = ros.listen("depth/image_rect", Image)
    ros.wait_for(lambda: len(depths) >= 5, "depth of five pairs")


def test_lost_images_are_not_blamed_on_stamps(ros):
    """CameraInfo of every pair arrives, of the images one side or the other and never both."""
    rig = StereoRig(PinholeCamera(160, 120, 130.0, 130.0, 79.5, 59.5), baseline_m=0.12)
    frame = render_stereo(default_scene(), rig)
    node = ros.start_stereo_node()
    ros.listen("depth/image_rect", Image)
    source = StereoSource(ros)
    source.wait_for_subscribers()
    for i in range(200):
        header = make_header((1_700_000_000 + i) * 10**9)
        source.publishers["left/camera_info"].publish(conversions.camera_info(rig.left, header))
        source.publishers["right/camera_info"].publish(conversions.camera_info(rig.right, header, rig.baseline_m))
        if i % 4 == 0:
            topic = ("left/image_rect", "right/image_rect")[i // 4 % 2]
            source.publishers[topic].publish(conversions.image_from_array(frame.left, "rgb8", header))
        ros.spin_for(0.05)
        if "images get lost in the transport" in node.log:
            break
    assert "arrived on /left/image_rect" in node.log and 'eval "$(python -m vizion3d_ros.fast_dds)"' in node.log
    assert "approximate_sync" not in node.log
