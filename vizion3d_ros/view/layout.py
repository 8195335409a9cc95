# SPDX-License-Identifier: Apache-2.0
"""Layouts of Foxglove and Lichtblick: which panels show which topics. Theirs is a file of JSON that they import."""

from __future__ import annotations

import json
import posixpath
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vizion3d_ros import mono_frames, stereo_frames
from vizion3d_ros.camera_topics import COMPRESSED, COMPRESSED_TYPE, IMAGE_TYPE
from vizion3d_ros.messages import type_name
from vizion3d_ros.rigs import read_rigs

_CLOUD_TYPE = "sensor_msgs/msg/PointCloud2"
_DIAGNOSTICS_TYPE = "diagnostic_msgs/msg/DiagnosticArray"
_DEPTH_NAMES = ("depth/image_rect", "depth/image_raw")
# Images whose numbers are nothing to look at, and those of the other camera of a pair, which look as the first ones do.
_LEFT_OUT = ("confidence", "occlusion", "reason", "inverse_depth", "sigma")
_MOST_IMAGES = 8
_FAR_M = 10.0  # where the colours of depth end
# Behind the camera and a little above it, looking where it looks: x right, y down, z forward.
_CAMERA = {"distance": 6, "perspective": True, "phi": 165, "thetaOffset": 0, "targetOffset": [0, 0, 3], "fovy": 45}


def write_layout(path: Path, types: Mapping[str, str]) -> None:
    """Write the layout for topics, given with their types, as a file that viewers import."""
    path.write_text(json.dumps(layout(types), indent=2) + "\n", encoding="utf-8")


def layout(types: Mapping[str, str]) -> dict[str, Any]:
    """Clouds on the left, images on the right, diagnostics below them; see `write_layout`.

    No frame is named: viewers take that of the cloud, which is the camera's.
    """
    clouds = _of_type(types, _CLOUD_TYPE)
    raw = _of_type(types, IMAGE_TYPE)
    only_compressed = [topic for topic in _of_type(types, COMPRESSED_TYPE) if topic.removesuffix(COMPRESSED) not in raw]
    images = [topic for topic in sorted(raw + only_compressed) if _is_worth_a_panel(topic)]
    panels: dict[str, Any] = {}
    if clouds:
        shown = {topic: {"visible": True, "colorMode": "rgb", "pointSize": 2} for topic in clouds}
        panels["3D!clouds"] = {"cameraState": _CAMERA, "followMode": "follow-pose", "topics": shown}
    panels |= {f"Image!{topic}": _image_panel(topic) for topic in images[:_MOST_IMAGES]}
    panels |= {f"DiagnosticSummary!{topic}": {"topicToRender": topic} for topic in _of_type(types, _DIAGNOSTICS_TYPE)[:1]}
    beside = _stacked([name for name in panels if not name.startswith("3D!")])
    return {
        "configById": panels,
        "globalVariables": {},
        "userNodes": {},
        "playbackConfig": {"speed": 1},
        "layout": _split("row", "3D!clouds", beside, 60) if clouds and beside else beside or "3D!clouds",
    }


def _of_type(types: Mapping[str, str], kind: str) -> list[str]:
    return sorted(topic for topic, its_kind in types.items() if its_kind == kind)


def _is_worth_a_panel(topic: str) -> bool:
    return posixpath.basename(topic) not in _LEFT_OUT and "right" not in topic.split("/")


def _image_panel(topic: str) -> dict[str, Any]:
    mode: dict[str, Any] = {"imageTopic": topic}
    if topic.endswith(_DEPTH_NAMES):
        mode |= {"colorMode": "colormap", "colorMap": "turbo", "minValue": 0, "maxValue": _FAR_M}
    return {"imageMode": mode}


def _stacked(panels: Sequence[str]) -> Any:
    """Panels of equal size one below the other; None of none."""
    if len(panels) < 2:
        return next(iter(panels), None)
    return _split("column", panels[0], _stacked(panels[1:]), round(100 / len(panels)))


def _split(direction: str, first: Any, second: Any, percentage: int) -> dict[str, Any]:
    return {"direction": direction, "first": first, "second": second, "splitPercentage": percentage}


def node_types(kind: str, namespace: str = "", rectify: bool = False) -> dict[str, str]:
    """The topics of a depth node with their types.

    Args:
        kind: "stereo" or "mono".
        namespace: of the node.
        rectify: its images are raw.
    """
    inputs, outputs = {
        "stereo": (stereo_frames.RAW_INPUTS if rectify else stereo_frames.INPUTS, stereo_frames.OUTPUTS),
        "mono": (mono_frames.INPUTS, mono_frames.OUTPUTS),
    }[kind]
    topics = {name: type_name(kind) for name, kind in (inputs | outputs).items()}
    return {posixpath.join("/", namespace, name): kind for name, kind in topics.items()} | {"/diagnostics": _DIAGNOSTICS_TYPE}


def main() -> None:
    """Write layouts/*.json: ``python -m vizion3d_ros.view.layout``, in the folder of the repository."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    rigs = read_rigs(root / "config" / "rigs.yaml").rigs
    several = [node_types(rig.kind, rig.namespace, rig.parameters.get("rectify", False)) for rig in rigs]
    for name, types in {
        "stereo": node_types("stereo"),
        "mono": node_types("mono"),
        "multi": {topic: kind for one in several for topic, kind in one.items()},
    }.items():
        write_layout(root / "layouts" / f"{name}.json", types)


if __name__ == "__main__":
    main()
