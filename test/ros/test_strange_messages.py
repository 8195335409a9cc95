# SPDX-License-Identifier: Apache-2.0
"""Whatever comes: no node ends, nothing is lost without a word, and the next good frame becomes depth."""

from __future__ import annotations

import time
from collections import Counter

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

import torch
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from strange_messages import StrangeMessages

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import Vizion3dError
from vizion3d.lifting import MonoDepthEstimator
from vizion3d.lifting.models import DepthKind, MonoMap
from vizion3d.synthetic import default_scene, render_stereo
from vizion3d_ros.conversions import stamp_ns
from vizion3d_ros.mono_depth_node import MonoDepthNode
from vizion3d_ros.stereo_depth_node import StereoDepthNode

# What numpy warns of reaches no user's eyes as a sentence; a number that overflows is to be refused before.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
RIG = StereoRig(PinholeCamera(64, 48, 52.0, 52.0, 31.5, 23.5), baseline_m=0.12)
START_NS = 1_700_000_000_000_000_000
DOORS = {
    "stereo": {},
    "stereo, raw": {"rectify": True},
    "stereo, compressed": {"image_transport": "compressed"},
    "mono": {},
    "mono, compressed": {"image_transport": "compressed"},
}


class Brightness:
    """A network for one picture: brightness is distance."""

    name, kind, device = "brightness", DepthKind.METRES, torch.device("cpu")
    needs_camera = False

    def describe(self) -> str:
        return self.name

    def predict(self, rgb, camera):
        brightness = rgb.float().mean(dim=-1)
        return MonoMap(brightness, self.kind, brightness > 0)


class _Told:
    """A node that remembers why frames were refused."""

    def __init__(self, **arguments) -> None:
        self.errors: list[Exception] = []
        super().__init__(**arguments)

    def _on_error(self, error: Exception) -> None:
        self.errors.append(error)
        super()._on_error(error)


class ToldStereo(_Told, StereoDepthNode):
    pass


class ToldMono(_Told, MonoDepthNode):
    pass


def make_node(door: str, context) -> _Told:
    parameters = {"lazy": False, "rectification_check_period": 0.0} | DOORS[door]
    if door.startswith("mono"):
        del parameters["rectification_check_period"]
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    if door.startswith("mono"):
        estimator = MonoDepthEstimator(Brightness())
        return ToldMono(estimator=estimator, context=context, parameter_overrides=overrides)
    return ToldStereo(context=context, parameter_overrides=overrides)


def wait(node) -> None:
    deadline = time.monotonic() + 60
    while node._slot.pending and time.monotonic() < deadline:
        time.sleep(0.0002)
    assert not node._slot.pending


def go_through(node, messages: StrangeMessages, count: int) -> Counter[str]:
    """Strange messages, this many, with a good frame after each set; what came of the sets, by fault."""
    came_of: Counter[str] = Counter()
    stamp, sent = START_NS, 0
    while sent < count:
        frame, faults = messages.strange(stamp := stamp + 100_000_000)
        before = node.diagnostics.frames, len(node.errors)
        for topic, message in frame:
            node._inputs._on_message(topic, message)
            wait(node)
        check_words(node.errors[before[1] :], faults)
        sent += len(frame)
        came = "depth" if node.diagnostics.frames > before[0] else "refused" if len(node.errors) > before[1] else "no pair"
        came_of.update(f"{fault}: {came}" for fault in faults)
        frames = node.diagnostics.frames
        good = messages.good(stamp := stamp + 100_000_000)
        for topic, message in good.items():
            node._inputs._on_message(topic, message)
        wait(node)
        assert node.diagnostics.frames > frames, f"no depth of a good frame after {faults}: {node.errors[-1:]}"
        assert not node.diagnostics.error
    return came_of


def check_accounts(node) -> None:
    """Every message that came is somewhere."""
    inputs, diagnostics = node._inputs, node.diagnostics
    inputs.unsubscribe()  # drops what waits
    pairing = inputs.pairing
    for topic in pairing.topics:
        dropped = sum(count for reason, count in pairing.dropped.items() if reason.startswith(f"{topic} "))
        assert inputs.received[topic] == pairing.matched + dropped
    assert pairing.matched == inputs.frames + sum(inputs.dropped.values()) - sum(pairing.dropped.values())
    ended = diagnostics.frames + diagnostics.failed + sum(diagnostics.skipped.values()) + node._slot.replaced
    assert inputs.frames == ended and diagnostics.failed == len(node.errors)


def check_words(errors, faults) -> None:
    """One sentence each, for a user."""
    for error in errors:
        text = str(error)
        assert isinstance(error, Vizion3dError), (repr(error), faults)
        assert text and "\n" not in text and not text.endswith("."), text


def run(ros, frame, door: str, count: int, seed: int) -> Counter[str]:
    node = make_node(door, ros.node.context)
    kind, compressed, raw = door.partition(",")[0], "compressed" in door, "raw" in door
    try:
        came_of = go_through(node, StrangeMessages(kind, frame, RIG, seed, compressed=compressed, raw=raw), count)
        check_accounts(node)
    finally:
        node.destroy_node()
    return came_of


@pytest.fixture(scope="module")
def small_frame():
    return render_stereo(default_scene(), RIG)


@pytest.mark.parametrize("door", DOORS)
def test_a_hundred_strange_messages(ros, small_frame, door):
    run(ros, small_frame, door, 100, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_thousands_of_strange_messages(ros, small_frame, door):
    """20 000 with those of all doors."""
    for fault, count in sorted(run(ros, small_frame, door, 4000, seed=2).items()):
        print(f"{count:5d}  {fault}")


@pytest.mark.slow
@pytest.mark.parametrize("door", ["stereo", "stereo, compressed"])
def test_hundreds_of_strange_messages_over_dds(ros, small_frame, door):
    """1 000 with those of both doors."""
    messages = StrangeMessages("stereo", small_frame, RIG, seed=3, compressed="compressed" in door)
    node = ros.start_stereo_node(**DOORS[door])
    depths, statuses = ros.listen("depth/image_rect", Image), ros.listen("/diagnostics", DiagnosticArray, 1)
    publishers = {
        topic: ros.node.create_publisher(type(message), f"{topic}/compressed" if hasattr(message, "format") else topic, 20)
        for topic, message in messages.good(START_NS).items()
    }
    ros.wait_for(lambda: all(one.get_subscription_count() for one in publishers.values()), "subscriptions of the node")
    stamp, sent = START_NS, 0

    def send_good() -> None:
        for topic, message in messages.good(stamp).items():
            publishers[topic].publish(message)

    def good_came() -> bool:
        return bool(depths) and stamp_ns(depths[-1].header.stamp) == stamp

    while sent < 500:
        frame, faults = messages.strange(stamp := stamp + 100_000_000)
        for topic, message in frame:
            publishers[topic].publish(message)
        sent += len(frame)
        stamp += 100_000_000
        ros.send(send_good)
        ros.wait_for(good_came, f"depth of a good frame after {faults}")
        assert node.is_alive, node.log
    statuses.clear()
    values = {
        value.key: value.value for value in ros.wait_for(lambda: statuses and statuses[-1].status[0].values, "diagnostics")
    }

    def count(*beginnings: str) -> int:
        return sum(int(value) for key, value in values.items() if key.startswith(beginnings))

    ended = "frames published", "frames failed", "frames replaced", "frames skipped", "frames waiting"
    assert count("frames received") == count(*ended)
    for side in ("left", "right"):  # nothing waits: the last frame was complete
        topic = f"{side}/image_rect"
        assert count(f"received {topic}") == count("frames received", f"dropped {topic} ", "dropped image ")
    assert "Traceback" not in node.log and "unexpected" not in node.log, node.log
    assert "frame skipped: " in node.log
