# SPDX-License-Identifier: Apache-2.0
"""Facts about a rig from a recording. Needs rosbags, no ROS."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from vizion3d.errors import InputError
from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.bag.serialized import deserialize
from vizion3d_ros.camera_topics import find_camera
from vizion3d_ros.doctor.facts import RigFacts, Traffic


def collect(paths: Sequence[Path], left: str, right: str, seconds: float) -> RigFacts:
    """Look at the first seconds of a recording.

    Args:
        paths: of the recording.
        left, right: namespaces, or image topics, of the cameras.
        seconds: how much of it.

    Raises:
        InputError: there is no recording, or no such topic.
    """
    path = paths[0]
    with closing(BagReader(*paths)) as bag:
        types = {name: topic.type_name for name, topic in bag.topics.items()}
        traffic = Traffic(*(find_camera(types, namespace, str(path), compressed=True) for namespace in (left, right)))
        first_ns = last_ns = None
        try:
            for name, log_ns, cdr in bag.messages(traffic.names):
                first_ns = log_ns if first_ns is None else first_ns
                if log_ns - first_ns > seconds * 1e9:
                    break
                last_ns = log_ns
                traffic.add(name, log_ns, cdr)
        except InputError:
            if first_ns is None:
                raise
        qos = {name: (topic.qos, 0) for name, topic in bag.topics.items()}
    span_s = ((last_ns or 0) - (first_ns or 0)) / 1e9
    return traffic.facts(f"{path}, {span_s:.1f} s of it", False, types, qos, deserialize)
