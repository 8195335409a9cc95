# SPDX-License-Identifier: Apache-2.0
"""Domains for demos and tests: nobody else is in them, be it on this host alone."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

import rclpy
import ros_harness  # noqa: F401  # keeps participants to this host
from rclpy.context import Context
from rclpy.node import Node

from vizion3d_ros.demo import domains


def test_a_domain_in_which_somebody_is_left_is_not_taken():
    with domains.reserved_domain() as domain:
        contexts, nodes = [Context(), Context()], []
        for number, context in enumerate(contexts):
            rclpy.init(context=context, domain_id=domain)
            nodes.append(Node(f"node_{number}", context=context))
        for node, context in zip(nodes, contexts, strict=True):
            assert domains._has_participants(domain)
            node.destroy_node()
            rclpy.shutdown(context=context)
        assert not domains._has_participants(domain)
