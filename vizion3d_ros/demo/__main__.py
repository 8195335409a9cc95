# SPDX-License-Identifier: Apache-2.0
"""The whole road in one command: a camera, a depth node and a viewer, three processes that talk over DDS.

python -m vizion3d_ros.demo                                       the synthetic stereo camera
python -m vizion3d_ros.demo --bag DIR --left /cam0 --right /cam1    a stereo recording (rosbag2), --rectify if it is raw
python -m vizion3d_ros.demo --mono WEIGHTS --image FILE             one picture, Depth Anything V2
python -m vizion3d_ros.demo --mono WEIGHTS --bag DIR --left /cam0   a recording of one camera

With --view it goes on until Ctrl-C, and `vizion3d view` is the third process: see it in Foxglove or Lichtblick.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from vizion3d_ros.demo.domains import reserved_domain
from vizion3d_ros.demo.processes import ros_args, running
from vizion3d_ros.program import interrupt_on_signals


def main(args: list[str] | None = None) -> int:
    """Run the demo; the exit status is the viewer's."""
    options = _parse(args)
    remaps = _topics(options)
    if options.bag:
        wait = ["--wait-for-subscribers", *remaps.values()]
        camera = ["bag.player", options.bag, "--loop", "--rate", options.rate, *wait]
    elif options.mono:
        remaps = {}
        camera = ["demo.picture_camera_node", *ros_args({"image": options.image}, remaps)]
    else:
        remaps = {}
        camera = ["demo.synthetic_camera_node"]
    kind = "mono" if options.mono else "stereo"
    parameters: dict[str, object] = {"model": options.mono or options.model}
    if options.rectify:
        parameters["rectify"] = True
    node = [f"{kind}_depth_node", *ros_args(parameters, remaps)]
    if options.view:
        Path(options.out).mkdir(parents=True, exist_ok=True)
        return _run([camera, node, ["view", "--port", options.port, "--layout", str(Path(options.out) / "layout.json")]])
    watched = {
        "kind": kind,
        "frames": options.frames or (30 if kind == "stereo" and not options.bag else 6),
        "truth": camera[0] == "demo.synthetic_camera_node",
        "out": options.out,
    }
    # The viewer knows the left image by one name, whatever it is.
    seen = {topic.replace("left/image_raw", "left/image_rect"): name for topic, name in remaps.items()}
    return _run([camera, node, ["demo.depth_viewer_node", *ros_args(watched, seen)]])


def _topics(options: argparse.Namespace) -> dict[str, str]:
    """The topics of the nodes and where they are in the recording."""
    image = "image_raw" if options.mono or options.rectify else "image_rect"
    given = vars(options)
    return {
        f"{'' if options.mono else f'{side}/'}{topic}": given[f"{side}_{word}"] or f"{given[side].rstrip('/')}/{topic}"
        for side in _sides(options)
        for topic, word in ((image, "image"), ("camera_info", "info"))
    }


def _sides(options: argparse.Namespace) -> tuple[str, ...]:
    return ("left",) if options.mono else ("left", "right")


def _parse(args: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m vizion3d_ros.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--bag", help="rosbag2 folder to play instead of the synthetic camera")
    parser.add_argument("--left", default="", help="namespace of the image and camera_info of the (left) camera in the bag")
    parser.add_argument("--right", default="", help="the same of the right camera")
    for side in ("left", "right"):
        parser.add_argument(f"--{side}-image", default="", help=f"topic of the {side} image, if it is not in that namespace")
        parser.add_argument(f"--{side}-info", default="", help=f"topic of the {side} CameraInfo, likewise")
    parser.add_argument(
        "--rectify", action="store_true", help="the images of the bag are raw: image_raw, rectified by the node"
    )
    parser.add_argument("--rate", default="1.0", help="speed of the bag")
    parser.add_argument("--mono", metavar="WEIGHTS", help="run the mono node: registry name, path or address of weights")
    parser.add_argument("--image", help="picture for the mono node")
    parser.add_argument("--model", default="sgbm", help="stereo matcher")
    parser.add_argument("--frames", default="", help="frames to watch")
    parser.add_argument(
        "--view", action="store_true", help="show it live instead, until Ctrl-C; OUT/layout.json is for the viewer"
    )
    parser.add_argument("--port", default="8765", help="of the live view")
    parser.add_argument("--out", default="demo_out", help="folder for the results")
    options = parser.parse_args(args)
    if options.mono and not (options.image or options.bag):
        parser.error("--mono needs --image or --bag")
    given = vars(options)
    known = (given[side] or (given[f"{side}_image"] and given[f"{side}_info"]) for side in _sides(options))
    if options.bag and not all(known):
        parser.error(
            "--bag needs --left, and for stereo --right: the namespaces of its cameras; or their topics, --left-image and so on"
        )
    return options


def _run(commands: list[list[str]]) -> int:
    """Run modules of this package side by side until the last one ends; its exit status."""
    with reserved_domain() as domain:
        own = {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        return _run_in(own | os.environ, commands)


def _run_in(environment: dict[str, str], commands: list[list[str]]) -> int:
    try:
        with running(commands, environment) as processes:
            while all(process.poll() is None for process in processes):
                time.sleep(0.1)
            if processes[-1].poll() is None:
                print("error: the camera or the depth node ended early; see above", file=sys.stderr)
                return 1
            return processes[-1].returncode
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    interrupt_on_signals()
    sys.exit(main())
