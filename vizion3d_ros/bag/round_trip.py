# SPDX-License-Identifier: Apache-2.0
"""Know that listeners have got what was sent, where DDS has no word for it: best effort owes nobody an answer."""

from __future__ import annotations

import time
from collections.abc import Collection

from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future

_ANSWERS_AGAIN_S = 0.05
_SERVICE_TIMEOUT_S = 1.0
_SETTLE_S = 0.5


def round_trip(node: Node, topics: Collection[str], timeout_s: float) -> list[str]:
    """Wait until the nodes that subscribe to these topics know this node's publishers and have received what they sent.

    Each of them is asked for something, by a service that nearly every ROS node has. Announcements are received in order,
    and so is what comes over one channel: when the answer is here, everything from before the question has arrived there.
    Nodes that have no such service are given half a second.

    Args:
        node: of the publishers; it must not be spinning elsewhere.
        topics: names, remapped already.
        timeout_s: how long to wait for the slowest answer.

    Returns:
        The names of nodes that have the service and did not answer in time.
    """
    infos = [info for topic in topics for info in node.get_subscriptions_info_by_topic(topic)]
    names = {f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos}
    clients: dict[str, Client] = {name: node.create_client(GetParameters, f"{name}/get_parameters") for name in sorted(names)}
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    begin_s = time.monotonic()
    futures: dict[str, Future] = {}
    try:
        while (waited_s := time.monotonic() - begin_s) < timeout_s:
            for name in clients.keys() - futures.keys():
                if clients[name].service_is_ready():
                    futures[name] = clients[name].call_async(GetParameters.Request())
            without_service = clients.keys() - futures.keys()
            if all(future.done() for future in futures.values()) and (not without_service or waited_s > _SERVICE_TIMEOUT_S):
                break
            executor.spin_once(timeout_sec=_ANSWERS_AGAIN_S)
    finally:
        executor.remove_node(node)
        executor.shutdown()
        for client in clients.values():
            node.destroy_client(client)
    if without_service:
        time.sleep(_SETTLE_S)
    return [name for name, future in futures.items() if not future.done()]
