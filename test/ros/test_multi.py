# SPDX-License-Identifier: Apache-2.0
"""Several rigs in one process: the numbers of single nodes, one copy of a model, and no harm to the others from one."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from frame_door import fields_of
from lifecycle_manager import Manager
from lifecycle_msgs.msg import Transition
from rclpy.executors import SingleThreadedExecutor
from ros_harness import make_header
from sensor_msgs.msg import CameraInfo, Image

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError, WeightsError
from vizion3d.synthetic import default_scene, render_stereo
from vizion3d_ros import conversions, stereo_frames
from vizion3d_ros.conversions import stamp_ns
from vizion3d_ros.multi import main, make_node
from vizion3d_ros.rigs import Rig, read_rigs
from vizion3d_ros.worker import Worker

START_NS = 1_700_000_000_000_000_000
RIGS = {
    "front": StereoRig(PinholeCamera(160, 120, 130.0, 130.0, 79.5, 59.5), baseline_m=0.12),
    "rear": StereoRig(PinholeCamera(200, 100, 150.0, 150.0, 95.0, 52.0), baseline_m=0.2),
}
FILE = """
threads: 1
rigs:
  front:
    kind: stereo
    parameters: {z_far: 7, cloud_decimation: 2}
  rear:
    kind: stereo
    namespace: /base/back
    remappings: {left/image_rect: /rear/left/image_rect, left/camera_info: /rear/left/camera_info,
                 right/image_rect: /rear/right/image_rect, right/camera_info: /rear/right/camera_info}
    parameters: {sgbm: {max_disparity: 30}, depth_encoding: 16UC1}
"""


class DrawnCamera:
    """Publishes drawn pairs on /NAME/left/image_rect and so on."""

    def __init__(self, ros, name: str) -> None:
        self._rig, self._frame = RIGS[name], render_stereo(default_scene(), RIGS[name])
        topics = stereo_frames.INPUTS.items()
        self._publishers = [ros.node.create_publisher(kind, f"/{name}/{topic}", 5) for topic, kind in topics]

    def listeners(self) -> int:
        return min(publisher.get_subscription_count() for publisher in self._publishers)

    def send(self, stamp: int, calibrated: bool = True) -> None:
        header = make_header(stamp)
        infos = [
            conversions.camera_info(self._rig.left, header),
            conversions.camera_info(self._rig.right, header, self._rig.baseline_m),
        ]
        if not calibrated:
            infos = [CameraInfo(header=header, width=info.width, height=info.height) for info in infos]
        images = (conversions.image_from_array(image, "rgb8", header) for image in (self._frame.left, self._frame.right))
        messages = (message for pair in zip(images, infos, strict=True) for message in pair)
        for publisher, message in zip(self._publishers, messages, strict=True):
            publisher.publish(message)


def test_results_are_those_of_single_nodes_and_a_refused_rig_disturbs_nobody(ros, tmp_path):
    path = tmp_path / "rigs.yaml"
    path.write_text(FILE)
    multi = ros.start("multi", str(path))
    cameras = {name: DrawnCamera(ros, name) for name in RIGS}
    # The same rigs by nodes with a worker and an estimator of their own, in this process.
    front, rear = read_rigs(path).rigs
    inputs = {topic: f"/front/{topic}" for topic in stereo_frames.INPUTS}
    single = [
        make_node(
            Rig("one", rig.kind, f"/alone{rig.namespace}", remappings, rig.parameters), Worker(), {}, context=ros.node.context
        )
        for rig, remappings in ((front, inputs), (rear, rear.remappings))
    ]
    received = {
        topic: {
            side: {
                name: ros.listen(f"{side}{space}/{topic}", kind)
                for name, space in (("front", "/front"), ("rear", "/base/back"))
            }
            for side in ("", "/alone")
        }
        for topic, kind in stereo_frames.OUTPUTS.items()
    }
    statuses: dict[str, DiagnosticStatus] = {}
    ros.node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda message: statuses.update({one.name: one for one in message.status}), 20
    )
    executor = SingleThreadedExecutor(context=ros.node.context)
    for node in single:
        executor.add_node(node)
    done = threading.Event()

    def spin() -> None:
        while not done.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        ros.wait_for(lambda: all(camera.listeners() == 2 for camera in cameras.values()), "subscriptions of all nodes")
        depths = received["depth/image_rect"]
        ros.send(lambda: [camera.send(START_NS) for camera in cameras.values()])
        ros.wait_for(
            lambda: all(messages for sides in received.values() for side in sides.values() for messages in side.values()),
            "all outputs of all nodes",
        )
        for sides in received.values():
            for name in RIGS:
                assert fields_of(sides[""][name][0]) == fields_of(sides["/alone"][name][0])
        assert depths[""]["front"][0].encoding == "32FC1" and depths[""]["rear"][0].encoding == "16UC1"

        before, stamp = len(depths[""]["rear"]), START_NS

        def refused_and_well() -> bool:
            nonlocal stamp
            stamp += 100_000_000
            cameras["rear"].send(stamp, calibrated=False)
            cameras["front"].send(stamp)
            levels = [
                one.level for space in ("front", "base/back") if (one := statuses.get(f"{space}/stereo_depth_node: depth"))
            ]
            return levels == [DiagnosticStatus.OK, DiagnosticStatus.ERROR]

        ros.wait_for(refused_and_well, "an error of rear alone")
        assert len(depths[""]["rear"]) == before
        ros.wait_for(lambda: stamp_ns(depths[""]["front"][-1].header.stamp) > START_NS + 10**8, "depth of front")
        assert multi.log.count("frame skipped: ") == 1 and multi.is_alive, multi.log
    finally:
        done.set()
        thread.join(20)
        executor.shutdown()
        for node in single:
            node.destroy_node()
    multi.interrupt()
    assert multi.wait() == 0, multi.log


def test_rigs_with_one_model_share_it(ros, s2m2_file, tmp_path, monkeypatch):
    worker, estimators, nodes = Worker(), {}, []
    parameters = {"model": str(s2m2_file), "z_far": 7.0}
    others = {"finer": {"s2m2.refine_iterations": 4}, "plain": {"model": "sgbm"}}
    try:
        for name in ("front", "rear", *others):
            rig = Rig(name, "stereo", f"/{name}", {}, parameters | others.get(name, {}) | {"z_near": 0.1 * len(nodes)})
            nodes.append(make_node(rig, worker, estimators, context=ros.node.context))
        front, rear, finer, plain = (node.estimator for node in nodes)
        assert front is rear and len({id(one) for one in (front, finer, plain)}) == 3 == len(estimators)
        assert [node.settings.z_near for node in nodes] == pytest.approx([0, 0.1, 0.2, 0.3])
        monkeypatch.setenv("VIZION3D_OFFLINE", "1")
        monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
        with pytest.raises(WeightsError, match="^rig arm: .*"):
            make_node(Rig("arm", "stereo", "/arm", {}, {"model": "s2m2-s"}), worker, estimators, context=ros.node.context)
    finally:
        for node in nodes:
            node.destroy_node()
        assert worker.stop(5)


def test_a_rig_is_managed_alone(ros, tmp_path):
    path = tmp_path / "rigs.yaml"
    absent = "parameters: {autostart: false, model: absent.pth}"
    path.write_text(f"rigs:\n  front: {{kind: stereo}}\n  rear:\n    kind: stereo\n    {absent}\n")
    multi, manager, stamp = ros.start("multi", str(path)), Manager(ros, "/rear/stereo_depth_node"), START_NS
    cameras = {name: DrawnCamera(ros, name) for name in RIGS}
    depths = {name: ros.listen(f"/{name}/depth/image_rect", Image) for name in RIGS}

    def depth_comes(name: str) -> bool:
        nonlocal stamp
        stamp += 10**8
        count = len(depths[name])
        for camera in cameras.values():
            camera.send(stamp)
        ros.spin_for(0.05)
        return len(depths[name]) > count

    assert not manager.change(Transition.TRANSITION_CONFIGURE) and "configure failed: " in multi.log
    ros.wait_for(lambda: depth_comes("front"), "depth of front")
    assert manager.set("model", "sgbm") == "" and manager.change(Transition.TRANSITION_CONFIGURE)
    assert manager.change(Transition.TRANSITION_ACTIVATE)
    ros.wait_for(lambda: depth_comes("rear"), "depth of rear")
    assert manager.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    ros.spin_for(0.3)
    count = len(depths["rear"])
    ros.wait_for(lambda: depth_comes("front"), "depth of front, still")
    assert len(depths["rear"]) == count and multi.is_alive


def test_a_mistake_ends_the_program_with_one_line():
    done = subprocess.run([sys.executable, "-m", "vizion3d_ros.multi", "absent.yaml"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: absent.yaml cannot be read: No such file or directory")


@pytest.mark.parametrize(("words", "given"), [([], "none was given"), (["a.yaml", "b.yaml"], "2 were given: a.yaml b.yaml")])
def test_one_file_is_needed(words, given):
    with pytest.raises(InputError, match=rf"one file of rigs is needed and {given}. Usage: multi_depth_node RIGS.yaml"):
        main(["multi_depth_node", *words])
