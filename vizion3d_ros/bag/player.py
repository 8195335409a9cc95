# SPDX-License-Identifier: Apache-2.0
"""Play a rosbag2 recording where there is no `ros2 bag`: `bag_player BAG [options] [--ros-args -r FROM:=TO ...]`.

Timing. A message is due when its log stamp, counted from the first message of the pass and divided by the rate, has
elapsed on the monotonic clock. Due times are absolute, so the small lateness of single messages does not add up. A
message that is late by less than `MAX_LAG_NS` goes out at once, and the next ones are on time again. After a longer
stall (a suspended process, a slow disc, an unattainable rate) playback resumes where it stopped and everything later
moves back by the lost time: no burst follows, and a warning tells it. Messages with equal stamps go out together.

Header stamps are those of the recording. With `--clock`, /clock shows every new log stamp right before its message and
advances between messages; at each new pass of a loop it jumps back.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports, for Ctrl-C to be quiet during them
    from vizion3d_ros import program

    program.bag_player()

import argparse
import math
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from vizion3d.errors import DependencyError, InputError
from vizion3d_ros import compressed_images, fast_dds
from vizion3d_ros.bag.reader import BagReader, BagTopic
from vizion3d_ros.bag.round_trip import round_trip
from vizion3d_ros.camera_topics import IMAGE_TYPE
from vizion3d_ros.graph import LATCHED_QOS, find_message_type
from vizion3d_ros.program import check_arguments, end

MAX_LAG_NS = 100_000_000
CLOCK_PERIOD_NS = 25_000_000  # of wall time, whatever the rate
LOOP_GAP_S = 0.1  # keeps the last message of a pass and the first of the next from colliding
ACK_TIMEOUT_S = 5.0
POLL_S = 0.02


class BagPlayer:
    """Publishes the chosen topics of an open bag from a node, under their recorded names (remappable as usual).

    A topic whose message package is not installed is left out with a warning.

    Args:
        topics: names to play; None for all.
        rate: bag seconds per second.
        is_reliable: reliable publishers, or best-effort ones for all topics but the latched.
        has_clock: publish /clock too; a recorded /clock is left out.
        compressed: publish images as this kind of picture, on their topic with "/compressed" behind it; "" as they are.

    Raises:
        InputError: a topic is not in the bag, or no message is left to play.
    """

    def __init__(
        self,
        node: Node,
        bag: BagReader,
        topics: Collection[str] | None = None,
        rate: float = 1.0,
        is_reliable: bool = True,
        has_clock: bool = False,
        compressed: str = "",
    ) -> None:
        self._node, self._logger, self._bag, self._rate = node, node.get_logger(), bag, rate
        self._reliability = ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT
        chosen = set(bag.topics if topics is None else topics)
        check_known(chosen, bag.topics, f"{bag.path} has no topic")
        self._publishers: dict[str, Publisher[Any]] = {}
        self._compressed = compressed
        for name in sorted(chosen - {"/clock"} if has_clock else chosen):
            self._add_publisher(node, name, bag.topics[name])
        self._played = list(self._publishers)
        message_count = sum(bag.topics[name].message_count for name in self._played)
        if message_count == 0:
            raise InputError(f"{bag.path} has no message to play on {', '.join(sorted(chosen)) or 'any topic'}")
        self._logger.info(f"{bag.path}: {message_count} messages of {len(self._played)} topics at rate {rate:g}")
        self._advised: set[str] = set()
        self._has_clock, self._clock_ns = has_clock, 0
        if has_clock:
            self._publishers["/clock"] = node.create_publisher(Clock, "/clock", 10)

    def _add_publisher(self, node: Node, name: str, topic: BagTopic) -> None:
        message_type = find_message_type(topic.type_name)
        if message_type is None:
            self._logger.warning(f"not playing {name}: its message type {topic.type_name} is not installed")
            return
        qos = LATCHED_QOS if topic.is_latched else QoSProfile(depth=10, reliability=self._reliability)
        if self._compressed and topic.type_name == IMAGE_TYPE:
            self._publishers[name] = node.create_publisher(CompressedImage, f"{name}/compressed", qos)
        else:
            self._publishers[name] = node.create_publisher(message_type, name, qos)

    def wait_for_subscribers(self, topics: Collection[str], timeout_s: float) -> None:
        """Block until each of the played `topics` has a subscription that will not miss the first message.

        Raises:
            InputError: a topic is not played.
            TimeoutError: after `timeout_s`; names the topics without one.
        """
        check_known(topics, self._publishers, "cannot wait for subscribers of")
        self._logger.info(f"waiting up to {timeout_s:g} s for subscribers of {', '.join(topics)}")
        begin_s = time.monotonic()
        while missing := [name for name in topics if not self._publishers[name].get_subscription_count()]:
            if time.monotonic() - begin_s > timeout_s:
                names = ", ".join(self._publishers[name].topic_name for name in missing)
                raise TimeoutError(
                    f"no subscriber of {names} after {timeout_s:g} s; check that it runs, that its ROS_DOMAIN_ID and "
                    "remapped topic are the same, and that its QoS is compatible"
                )
            time.sleep(POLL_S)
        self._await_listeners(topics)  # which are known here, but may not know the publishers yet

    def play_once(self) -> None:
        """Play the bag from its first to its last message."""
        origin_ns: int | None = None  # the monotonic time at which bag time was 0
        for name, stamp_ns, cdr in self._bag.messages(self._played):
            elapsed_ns = round(stamp_ns / self._rate)
            if origin_ns is None:
                origin_ns = time.monotonic_ns() - elapsed_ns
            due_ns = origin_ns + elapsed_ns
            self._sleep_until(due_ns, stamp_ns)
            if (lag_ns := time.monotonic_ns() - due_ns) > MAX_LAG_NS:
                origin_ns += lag_ns
                self._logger.warning(f"playback stalled for {lag_ns / 1e9:.2f} s", throttle_duration_sec=5.0)
            self._publish_clock(stamp_ns)
            message: Any = cdr
            if self._compressed and self._bag.topics[name].type_name == IMAGE_TYPE:
                message = compressed_images.compress(deserialize_message(cdr, Image), self._compressed)
            self._publishers[name].publish(message)
            if name not in self._advised:
                self._advised.add(name)
                if problem := fast_dds.message_problem(name, len(cdr)):
                    self._logger.warning(problem)

    def _sleep_until(self, due_ns: int, stamp_ns: int) -> None:
        """Let /clock run up to `stamp_ns`, which it reaches at the monotonic time `due_ns`."""
        while due_ns - time.monotonic_ns() > CLOCK_PERIOD_NS:
            time.sleep(CLOCK_PERIOD_NS / 1e9)
            self._publish_clock(stamp_ns - int(max(0, due_ns - time.monotonic_ns()) * self._rate))
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)

    def _publish_clock(self, now_ns: int) -> None:
        if self._has_clock and now_ns != self._clock_ns:
            self._clock_ns = now_ns
            sec, nanosec = divmod(now_ns, 1_000_000_000)
            self._publishers["/clock"].publish(Clock(clock=Time(sec=sec, nanosec=nanosec)))

    def flush(self) -> None:
        """Wait until subscribers, reliable or not, have received everything, for `ACK_TIMEOUT_S` at most."""
        deadline_s = time.monotonic() + ACK_TIMEOUT_S
        for name, publisher in self._publishers.items():
            while not publisher.wait_for_all_acked(Duration(seconds=POLL_S)):  # short waits, for SIGINT to get through
                if time.monotonic() > deadline_s:
                    self._logger.warning(f"a subscriber of {name} has not acknowledged the last messages")
                    break
        self._await_listeners(self._publishers)

    def _await_listeners(self, topics: Collection[str]) -> None:
        names = [self._publishers[name].topic_name for name in topics]
        if silent := round_trip(self._node, names, ACK_TIMEOUT_S):
            self._logger.warning(f"{', '.join(silent)} did not answer in {ACK_TIMEOUT_S:g} s and may miss messages")


def check_known(names: Collection[str], known: Collection[str], problem: str) -> None:
    """Raise InputError if one of `names` is not among the `known` topics."""
    if unknown := sorted(set(names) - set(known)):
        raise InputError(f"{problem} {', '.join(unknown)}; available: {', '.join(sorted(known)) or 'none'}")


def positive(text: str) -> float:
    """An argument that is a finite number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


def build_parser() -> argparse.ArgumentParser:
    """The options of the command line, without those after --ros-args."""
    parser = argparse.ArgumentParser(
        "bag_player",
        usage="%(prog)s BAG [options] [--ros-args -r FROM:=TO ...]",
        description="Play a rosbag2 recording (sqlite3 or mcap) without the ros2 command line tools.",
    )
    parser.add_argument("bag", metavar="BAG", type=Path, help="directory of the bag, or its .db3 or .mcap file")
    parser.add_argument("-r", "--rate", type=positive, default=1.0, help="speed; 1 is that of the recording")
    parser.add_argument(
        "-l",
        "--loop",
        metavar="N",
        type=positive,
        nargs="?",
        const=math.inf,
        default=1,
        help="play N times; without N, forever",
    )
    parser.add_argument("--topics", metavar="TOPIC", nargs="+", help="play only these (recorded names)")
    parser.add_argument("--clock", action="store_true", help="publish /clock, for nodes with use_sim_time")
    parser.add_argument(
        "--compressed",
        choices=compressed_images.KINDS,
        default="",
        help="publish images so, on TOPIC/compressed, for nodes with image_transport:=compressed",
    )
    parser.add_argument("--best-effort", action="store_true", help="publish best-effort instead of reliable")
    parser.add_argument(
        "--wait-for-subscribers", metavar="TOPIC", nargs="+", help="start once these (recorded names) have a subscriber"
    )
    parser.add_argument(
        "--wait-timeout", metavar="S", type=positive, default=30.0, help="give up waiting after this (default 30)"
    )
    return parser


def play(bag: BagReader, options: argparse.Namespace) -> None:
    """Play an open bag as the command line's options say."""
    # Nothing spins this node, so it offers no services that would never answer.
    node = Node("bag_player", start_parameter_services=False)
    try:
        player = BagPlayer(node, bag, options.topics, options.rate, not options.best_effort, options.clock, options.compressed)
        if options.wait_for_subscribers:
            player.wait_for_subscribers(options.wait_for_subscribers, options.wait_timeout)
        passes = 0
        while passes < options.loop:
            if passes:
                time.sleep(LOOP_GAP_S)
            player.play_once()
            passes += 1
        player.flush()
    finally:
        end(node)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point; 0 at the end or when interrupted, 1 if subscribers are missing, 2 for a wrong argument or bag."""
    argv = list(sys.argv[1:] if args is None else args)
    check_arguments(argv)
    options = build_parser().parse_args(remove_ros_args(argv))
    try:
        with closing(BagReader(options.bag)) as bag:
            # rclpy's handlers would invalidate the publishers in the middle of playback; a KeyboardInterrupt is enough.
            rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
            play(bag, options)
    except KeyboardInterrupt:
        return 0
    except (InputError, DependencyError, TimeoutError) as error:
        print(f"bag_player: {error}", file=sys.stderr)
        return 1 if isinstance(error, TimeoutError) else 2
    return 0
