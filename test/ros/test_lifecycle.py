# SPDX-License-Identifier: Apache-2.0
"""The depth nodes under a lifecycle manager: each transition does what it says, and what fails says why and changes nothing."""

from __future__ import annotations

import gc
import itertools
import weakref

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_manager import Manager
from lifecycle_msgs.msg import State, Transition
from ros_harness import make_header
from sensor_msgs.msg import Image

from vizion3d_ros import conversions
from vizion3d_ros.multi import make_node
from vizion3d_ros.rigs import Rig
from vizion3d_ros.worker import Worker

PICTURE = np.random.default_rng(3).integers(0, 255, (90, 120, 3), dtype=np.uint8)


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    return {one.key: one.value for one in status.values}


def become_of_frames(values: dict[str, str]) -> int:
    """All that a received frame can have become."""
    keys = ("published", "failed", "replaced by a newer one", "waiting or in work")
    skipped = sum(int(value) for key, value in values.items() if key.startswith("frames skipped by"))
    return sum(int(values[f"frames {key}"]) for key in keys) + skipped


def test_a_life_from_a_bad_path_to_shutdown(ros, vits_file):
    process = ros.start(
        "mono_depth_node", parameters={"autostart": False, "model": "absent.pth", "input_size": 126, "device": "cpu"}
    )
    manager, camera, depths = (
        Manager(ros, "/mono_depth_node"),
        ros.node.create_publisher(Image, "image_raw", 5),
        ros.listen("depth/image_raw", Image),
    )
    stamps = itertools.count(1_700_000_000_000_000_000, 10**8)

    def send() -> None:
        camera.publish(conversions.image_from_array(PICTURE, "rgb8", make_header(next(stamps))))

    def depths_come() -> bool:
        count = len(depths)
        send()
        ros.spin_for(0.05)
        return len(depths) > count

    # Not before somebody says so.
    assert manager.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert "ready (" not in process.log and ros.node.count_publishers("depth/image_raw") == 0

    # What cannot be is refused with the reason, and leaves the state.
    assert not manager.change(Transition.TRANSITION_ACTIVATE)
    assert "transition 3 is not possible while unconfigured; there are: configure (1), shutdown (5)" in process.log
    assert not manager.change(Transition.TRANSITION_CONFIGURE)
    assert manager.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert "configure failed: " in process.log and "absent.pth" in process.log
    status = manager.next_status()
    assert status.level == DiagnosticStatus.ERROR and status.message.startswith("configure failed: ")

    assert manager.set("device", "tpu") == "" and not manager.change(Transition.TRANSITION_CONFIGURE)
    assert "tpu" in process.log and manager.set("device", "cpu") == ""

    # With a good path.
    assert manager.set("model", str(vits_file)) == ""
    assert manager.change(Transition.TRANSITION_CONFIGURE) and manager.state() == State.PRIMARY_STATE_INACTIVE
    ros.wait_for(lambda: ros.node.count_publishers("depth/image_raw"), "the topic")
    assert camera.get_subscription_count() == 0
    assert "is set at start, or while the node is unconfigured, and it is inactive" in manager.set("model", "other.pth")
    assert manager.change(Transition.TRANSITION_ACTIVATE)
    ros.wait_for(depths_come, "depth")

    # Frames that were on their way when it was deactivated are accounted for.
    for _ in range(8):
        send()
    assert manager.change(Transition.TRANSITION_DEACTIVATE)
    ros.spin_for(0.3)  # what was published before
    count = len(depths)
    values = values_of(manager.next_status())
    assert values["lifecycle"] == "inactive" and values["frames waiting or in work"] == "0"
    assert int(values["frames received"]) == become_of_frames(values) > 0
    dropped = sum(int(value) for key, value in values.items() if key.startswith("dropped image"))
    assert int(values["received image_raw"]) == int(values["frames received"]) + dropped
    assert float(values["rate in, image_raw (Hz)"]) > 0 < float(values["rate out (Hz)"])
    assert camera.get_subscription_count() == 0 and len(depths) == count
    assert manager.change(Transition.TRANSITION_ACTIVATE)
    ros.wait_for(depths_come, "depth again")

    # The weights go, and come again.
    loaded = process.resident_bytes
    assert manager.change(Transition.TRANSITION_DEACTIVATE) and manager.change(Transition.TRANSITION_CLEANUP)
    assert loaded - process.resident_bytes > 0.8 * vits_file.stat().st_size
    assert values_of(manager.next_status())["runs as"] == "nothing is loaded"
    ros.wait_for(lambda: ros.node.count_publishers("depth/image_raw") == 0, "the end of the topic")
    assert manager.change(Transition.TRANSITION_CONFIGURE) and manager.change(Transition.TRANSITION_ACTIVATE)
    ros.wait_for(depths_come, "depth after a second configure")
    assert manager.change(Transition.TRANSITION_ACTIVE_SHUTDOWN) and manager.state() == State.PRIMARY_STATE_FINALIZED
    assert process.is_alive
    process.interrupt()
    assert process.wait() == 0 and "Traceback" not in process.log, process.log


def test_the_last_rig_that_holds_a_model_frees_it(ros, s2m2_file):
    worker, estimators, nodes = Worker(), weakref.WeakValueDictionary(), []
    try:
        for name in ("front", "rear"):
            rig = Rig(name, "stereo", f"/{name}", {}, {"model": str(s2m2_file)})
            nodes.append(make_node(rig, worker, estimators, context=ros.node.context))
        assert [node.state for node in nodes] == ["active", "active"] and nodes[0].estimator is nodes[1].estimator
        held = weakref.ref(nodes[0].estimator)
        for node, is_held in zip(nodes, (True, False), strict=True):
            node.trigger_deactivate()
            node.trigger_cleanup()
            gc.collect()
            assert node.state == "unconfigured" and (held() is not None) == is_held and len(estimators) == is_held
    finally:
        for node in nodes:
            node.destroy_node()
        assert worker.stop(5)
