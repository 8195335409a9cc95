# SPDX-License-Identifier: Apache-2.0
"""multi_depth_node: the depth nodes of several rigs in one process, with one thread of work and one copy of each model."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports, for Ctrl-C to be quiet during them
    from vizion3d_ros import program

    program.multi_depth_node()

import sys
from collections.abc import Hashable, MutableMapping
from typing import Any
from weakref import WeakValueDictionary

from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.utilities import remove_ros_args

from vizion3d.errors import InputError, Vizion3dError
from vizion3d.runtime.threads import set_threads
from vizion3d_ros.depth_node import DepthNode
from vizion3d_ros.mono_depth_node import MonoDepthNode
from vizion3d_ros.program import check_arguments, run_nodes
from vizion3d_ros.rigs import Rig, read_rigs
from vizion3d_ros.stereo_depth_node import StereoDepthNode
from vizion3d_ros.worker import Worker

_NODES: dict[str, type[DepthNode]] = {"stereo": StereoDepthNode, "mono": MonoDepthNode}


def make_node(rig: Rig, worker: Worker, estimators: MutableMapping[Hashable, Any], **node_arguments: Any) -> DepthNode:
    """The node of a rig, as it would be alone but for what it shares.

    Args:
        rig: which.
        worker: on whose thread it works.
        estimators: those of the nodes before, see `DepthNode`.
        node_arguments: further ones of rclpy's `Node`.

    Raises:
        Vizion3dError: the node cannot be made; the text begins with the rig's name.
    """
    # As arguments of the node: they win over those of the process, which are for all nodes.
    names = {"__ns": rig.namespace, "__node": rig.node_name, **rig.remappings}
    words = [word for source, target in names.items() for word in ("-r", f"{source}:={target}")]
    overrides = [Parameter(name, value=value) for name, value in rig.parameters.items()]
    try:
        return _NODES[rig.kind](
            worker=worker,
            estimators=estimators,
            cli_args=["--ros-args", *words],
            parameter_overrides=overrides,
            **node_arguments,
        )
    except Vizion3dError as error:
        raise type(error)(f"rig {rig.name}: {error}") from None


def main(args: list[str] | None = None) -> int:
    """Console script multi_depth_node."""
    args = sys.argv if args is None else args
    check_arguments(args)
    words = remove_ros_args(args)[1:]
    if len(words) != 1:
        what = f"{len(words)} were given: {' '.join(words)}" if words else "none was given"
        raise InputError(f"one file of rigs is needed and {what}. Usage: multi_depth_node RIGS.yaml [--ros-args ...]")
    file = read_rigs(words[0])
    set_threads(file.threads)
    worker = Worker()
    estimators: MutableMapping[Hashable, Any] = WeakValueDictionary()

    def make_nodes(nodes: list[Node]) -> None:
        for rig in file.rigs:
            nodes.append(make_node(rig, worker, estimators))

    try:
        return run_nodes(make_nodes, args, by_events=True)
    finally:
        worker.stop(0.0)
