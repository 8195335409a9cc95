# SPDX-License-Identifier: Apache-2.0
"""vizion3d sample DIR: draw a stereo pair, its calibration files, its truth and a short bag, to try everything with.

The bag, bag/, is rosbag2 with images and camera_info of /stereo/left and /stereo/right, rectified, for `make demo BAG=...`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizion3d.cli.sample import write_sample

if TYPE_CHECKING:
    from vizion3d.camera import PinholeCamera, StereoRig

_FRAMES, _RATE_HZ, _SCALE = 10, 10, 0.5
_FRAME_ID = "stereo_left_optical"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("sample", help="draw a stereo pair with calibration and truth to try", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to; made if need be")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Draw, write, say what was written."""
    folder: Path = arguments.folder
    rig, written = write_sample(folder)
    written["bag"] = _bag(folder / "bag", rig.scaled(_SCALE, _SCALE))
    print(f"in {folder}:")
    for names, text in written.items():
        print(f"  {names:28}{text}")
    print("next: vizion3d stereo left.png right.png --calib calib.txt --out results")
    return 0


def _bag(path: Path, rig: StereoRig) -> str:
    """Write the bag, unless there is one; what there is to say about it."""
    try:
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.typesys import Stores, get_typestore
    except ImportError:
        return "left out: writing it needs pip install rosbags"
    if path.exists():
        return "left as it is, since it was there"
    store = get_typestore(Stores.ROS2_HUMBLE)
    with Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connections: dict[str, Any] = {}
        for topic, stamp_ns, message in _messages(rig, store.types):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=store)
            writer.write(connections[topic], stamp_ns, store.serialize_cdr(message, message.__msgtype__))
    return f"a recording of {_FRAMES} pairs: make demo BAG=... LEFT=/stereo/left RIGHT=/stereo/right"


def _messages(rig: StereoRig, types: dict[str, Any]) -> Iterator[tuple[str, int, Any]]:
    """Topic, stamp in ns and message, in their order."""
    from vizion3d.synthetic import default_scene, render_stereo

    for index in range(_FRAMES):
        time_ns = (1 + index) * 10**9 // _RATE_HZ
        stamp = types["builtin_interfaces/msg/Time"](*divmod(time_ns, 10**9))
        header = types["std_msgs/msg/Header"](stamp, _FRAME_ID)
        frame = render_stereo(default_scene(index / _RATE_HZ), rig)
        for side, rgb, camera, baseline_m in (
            ("left", frame.left, rig.left, 0.0),
            ("right", frame.right, rig.right, rig.baseline_m),
        ):
            height, width = rgb.shape[:2]
            image = types["sensor_msgs/msg/Image"](header, height, width, "rgb8", 0, 3 * width, rgb.reshape(-1))
            yield f"/stereo/{side}/camera_info", time_ns, _camera_info(types, header, camera, baseline_m)
            yield f"/stereo/{side}/image_rect", time_ns, image


def _camera_info(types: dict[str, Any], header: Any, camera: PinholeCamera, baseline_m: float) -> Any:
    import numpy as np

    K = np.array([camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1], float)
    P = np.insert(K, (3, 6, 9), (-camera.fx * baseline_m, 0, 0))
    roi = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    info = types["sensor_msgs/msg/CameraInfo"]
    D, R = np.zeros(5), np.eye(3).ravel()
    return info(header, camera.height, camera.width, "plumb_bob", D, K, R, P, 0, 0, roi)
