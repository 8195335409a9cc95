# SPDX-License-Identifier: Apache-2.0
"""A node as a program: one clear line for a user's mistake, exit status 0 after Ctrl-C, and a prompt end."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.utilities import try_shutdown

from vizion3d.errors import Vizion3dError


def run(make_node: Callable[[], Node], args: list[str] | None = None) -> int:
    """Make a node and spin it until it is interrupted.

    Returns:
        Exit status: 0 after SIGINT or an outside shutdown, 1 if the node could not be made.
    """
    rclpy.init(args=args)
    node = None
    try:
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Vizion3dError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Exception:
        if rclpy.ok():
            raise  # otherwise the shutdown came from outside, in the middle of something
    finally:
        if node is not None:
            node.destroy_node()
        try_shutdown()
    if threading.active_count() > 1:
        # A frame is still in native code. Waiting for it would hold up the end, tearing it down could crash.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0
