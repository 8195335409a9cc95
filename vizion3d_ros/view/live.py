# SPDX-License-Identifier: Apache-2.0
"""Show what runs: each topic of the ROS graph is offered to viewers, and subscribed to while one looks at it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription

from vizion3d_ros import fast_dds, program
from vizion3d_ros.graph import LATCHED_QOS, find_message_type, is_latched
from vizion3d_ros.view.server import OFFERS_AT_ONCE, ViewServer, definition_of

_LOG = logging.getLogger(__name__)
_GRAPH_PERIOD_S = 1.0
_POLL_S = 0.1
# Best effort: a viewer that is slow, or a lost message, is nothing that the publisher should hear of.
_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)


def show(server: ViewServer, on_change: Callable[[], None]) -> None:
    """Show what runs in this process's ROS domain until KeyboardInterrupt.

    Args:
        server: to its viewers.
        on_change: called whenever other topics than before are offered.
    """
    fast_dds.use()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("vizion3d_view", start_parameter_services=False)
    try:
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        view = _LiveView(node, server, on_change)
        while rclpy.ok():
            view.follow()
            executor.spin_once(timeout_sec=_POLL_S)
    except ExternalShutdownException:
        pass
    finally:
        program.end(node)


class _LiveView:
    """Between the graph and the viewers."""

    def __init__(self, node: Node, server: ViewServer, on_change: Callable[[], None]) -> None:
        self._node, self._server, self._on_change = node, server, on_change
        self._subscriptions: dict[str, Subscription[Any]] = {}
        self._graph_read_s = -_GRAPH_PERIOD_S
        self._not_shown: set[str] = set()

    def follow(self) -> None:
        """Offer what is new, withdraw what is gone, subscribe to what is looked at and to nothing else."""
        if time.monotonic() - self._graph_read_s >= _GRAPH_PERIOD_S:
            self._graph_read_s = time.monotonic()
            self._follow_graph()
        wanted = self._server.wanted
        # A viewer that comes later wants the latched messages that the first one has got.
        for topic in self._server.take_asked() & self._subscriptions.keys():
            if is_latched(self._node, topic):
                self._unsubscribe(topic)
        for topic in self._subscriptions.keys() - wanted:
            self._unsubscribe(topic)
        for topic in wanted - self._subscriptions.keys():
            qos = LATCHED_QOS if is_latched(self._node, topic) else _QOS
            kind: Any = find_message_type(self._server.offered[topic])
            send = partial(self._send, topic)
            self._subscriptions[topic] = self._node.create_subscription(kind, topic, send, qos, raw=True)

    def _follow_graph(self) -> None:
        there = {
            topic: types[0] for topic, types in self._node.get_topic_names_and_types() if self._node.count_publishers(topic)
        }
        before = self._server.offered
        for topic in [topic for topic, kind in before.items() if there.get(topic) != kind]:
            if topic in self._subscriptions:
                self._unsubscribe(topic)
            self._server.withdraw(topic)
        new = (topic for topic in sorted(there) if before.get(topic) != there[topic] and there[topic] not in self._not_shown)
        for topic in islice(new, OFFERS_AT_ONCE):
            kind = there[topic]
            definition = definition_of(kind)
            if definition is None or find_message_type(kind) is None:
                self._not_shown.add(kind)
                _LOG.warning(f"{topic} is not shown: its type {kind} is not known here")
                continue
            self._server.offer(topic, kind, definition)
        if self._server.offered != before:
            self._on_change()

    def _send(self, topic: str, cdr: bytes) -> None:
        self._server.send(topic, cdr, self._node.get_clock().now().nanoseconds)

    def _unsubscribe(self, topic: str) -> None:
        self._node.destroy_subscription(self._subscriptions.pop(topic))
