# SPDX-License-Identifier: Apache-2.0
"""The import rules: the core knows no ROS, its parts do not know each other, and importing it is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each part may import besides the standard library and itself. A part is a module or folder of a package. To widen a
# line is a decision about the design, so it belongs in the commit that needs it, with its reason.
CORE = {
    "__init__": "",
    "__main__": "cli",
    # leaves: values and arithmetic
    "errors": "",
    "option_records": "errors",
    "options": "errors option_records",
    "records": "",
    "camera": "errors numpy",
    "calibration_files": "camera errors cv2 numpy yaml",
    "lens_rays": "camera errors numpy",
    "rectify": "camera errors lens_rays records cv2 numpy",
    "geometry": "camera torch",
    "bit_depth": "errors options numpy",
    "exif": "errors PIL",
    "images": "bit_depth errors options cv2 numpy PIL torch",
    "pointcloud": "errors option_records records numpy open3d",
    "results": "pointcloud records numpy open3d",
    # what networks need
    "runtime": "__version__ errors options weights cv2 onnxruntime onnxscript openvino torch",
    "weights": "__version__ errors safetensors torch",
    # the two tasks, which never know each other
    "lifting": "camera errors geometry images lens_rays option_records options pointcloud records results runtime weights "
    "cv2 numpy torch",
    "stereo": "camera errors geometry images option_records options pointcloud records rectify results runtime "
    "weights cv2 numpy torch",
    # around them
    "evaluate": "__version__ calibration_files camera errors images options rectify stereo cv2 numpy yaml",
    "networks": "camera errors lifting option_records options stereo synthetic weights torch",
    "bench": "__version__ networks options runtime stereo cv2 numpy torch",
    "synthetic": "camera errors evaluate lens_rays records rectify numpy",
    "visualize": "errors cv2 matplotlib numpy",
    "cli": "__version__ calibration_files camera errors evaluate exif images lens_rays lifting networks option_records "
    "options rectify runtime stereo synthetic visualize weights cv2 numpy bench",
}
MESSAGES = "builtin_interfaces sensor_msgs std_msgs stereo_msgs"
ROS = {
    "__init__": "",
    # no rclpy: for every door that speaks in messages
    "messages": f"{MESSAGES} rosbags",
    "conversions": "core.bit_depth core.camera core.errors core.options core.pointcloud core.stereo core.visualize "
    "compressed_images encodings messages cv2 numpy torch",
    "compressed_images": "core.errors encodings messages cv2 numpy PIL",
    "compressed_depth": "encodings messages cv2 numpy",
    "encodings": "core.errors messages cv2 cv_bridge numpy",
    "pairing": "",
    "pairing_filter": "conversions pairing",
    "camera_infos": "core.errors conversions",
    "camera_topics": "core.errors",
    "settings": "core.option_records core.options parameters",
    "stereo_frames": "core.bit_depth core.camera core.rectify core.stereo compressed_depth compressed_images "
    "conversions messages settings numpy",
    "mono_frames": "core.bit_depth core.camera core.errors core.lens_rays core.lifting compressed_depth "
    "compressed_images conversions messages settings "
    "numpy torch",
    # the recording door, without rclpy but for the player
    "bag": "core.bit_depth core.calibration_files core.camera core.cli core.errors core.evaluate core.lifting core.rectify "
    "core.runtime core.stereo camera_infos camera_topics conversions messages mono_frames pairing settings stereo_frames cv2 "
    "mcap numpy ray rosbags yaml",
    "bag.player": "core.errors bag bag.round_trip camera_topics compressed_images fast_dds graph program builtin_interfaces "
    "rclpy rosgraph_msgs sensor_msgs",
    "bag.round_trip": "rcl_interfaces rclpy",
    # subcommands of `vizion3d`, and the doctor for robots and recordings
    "commands": "core.camera core.cli core.errors core.option_records core.runtime core.synthetic core.weights bag doctor "
    "parameters program settings view rosbags numpy",
    "doctor": "core.bit_depth core.calibration_files core.camera core.errors core.options core.rectify core.stereo bag "
    "camera_topics conversions fast_dds graph mono_frames program settings stereo_frames numpy rclpy sensor_msgs",
    "commands.bench": "core.errors core.option_records core.options core.stereo core.weights conversions demo fast_dds "
    "diagnostic_msgs sensor_msgs rclpy",
    # plain Python of the live door
    "worker": "",
    "pair_watch": "core.stereo",
    "event_rate": "",
    "diagnostics": "event_rate",
    "logs": "",
    "arrivals": "event_rate",
    "rate_limit": "",
    "model_facts": "core.options core.runtime core.stereo core.weights",
    # the live door
    "parameters": "core.errors core.option_records rcl_interfaces rclpy",
    "fast_dds": "core.errors rclpy",
    "graph": "messages sensor_msgs rclpy",
    "input_watch": "arrivals camera_topics graph pairing sensor_msgs rclpy",
    "inputs": "core.errors camera_infos camera_topics conversions graph input_watch pairing sensor_msgs rclpy",
    "program": "core.errors core.runtime fast_dds rclpy",
    "lifecycle": "core.errors lifecycle_msgs rclpy",
    "depth_node": "core.errors core.runtime conversions diagnostics fast_dds inputs lifecycle logs parameters rate_limit "
    "settings worker diagnostic_msgs rcl_interfaces rclpy torch",
    "stereo_depth_node": "core.bit_depth core.errors core.option_records core.options core.stereo depth_node model_facts "
    "pair_watch program settings stereo_frames worker diagnostic_msgs",
    "mono_depth_node": "core.bit_depth core.errors core.lifting core.option_records core.options depth_node model_facts "
    "mono_frames program settings worker",
    # several rigs in one process
    "rigs": "core.errors core.option_records core.options mono_frames parameters settings stereo_frames yaml",
    "multi": "core.errors core.runtime depth_node mono_depth_node program rigs stereo_depth_node worker rclpy",
    "launching": "core.option_records parameters launch launch_ros yaml",
    # `vizion3d view`; only its `live` needs rclpy
    "view": "core.cli core.errors bag camera_topics fast_dds graph messages mono_frames program rigs stereo_frames foxglove "
    "rclpy rosbags",
    "rviz": "core.errors program rclpy sensor_msgs",
    # stand-ins for those without a robot
    "demo": f"core.__version__ core.camera core.evaluate core.images core.option_records core.stereo core.synthetic "
    f"core.visualize conversions inputs pairing parameters program {MESSAGES} diagnostic_msgs cv2 numpy rclpy",
}
PACKAGES = {"vizion3d": CORE, "vizion3d_ros": ROS}


def imported_names(path: Path) -> set[str]:
    """Everything that a file imports, anywhere in it, by full name; "vizion3d" alone is its `__version__`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {f"{alias.name}.__version__" if alias.name in PACKAGES else alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            assert node.module
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}


def sources(*parts: str) -> list[Path]:
    path = ROOT.joinpath(*parts)
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def part_of(package: str, path: Path) -> str:
    return part_named(package, ".".join(path.relative_to(ROOT / package).with_suffix("").parts))


def part_named(package: str, name: str) -> str:
    """The part to which a module or something in it belongs: the table's longest name that fits, or the first word."""
    words = name.split(".")
    names = [".".join(words[:count]) for count in range(len(words), 0, -1)]
    return next((known for known in names if known in PACKAGES[package]), names[-1])


def as_written(package: str, name: str) -> str:
    """An imported name in the words of the tables: the part, "core." before it from outside, or the package."""
    top, _, rest = name.partition(".")
    if top not in PACKAGES:
        return top
    return part_named(top, rest) if top == package else f"{'core' if top == 'vizion3d' else top}.{rest.partition('.')[0]}"


@pytest.mark.parametrize("package", PACKAGES)
def test_each_part_imports_only_what_it_may(package):
    for path in sources(package):
        part = part_of(package, path)
        assert part in PACKAGES[package], f"{path} belongs to no part: say in {__file__} what it may import"
        used = {as_written(package, name) for name in imported_names(path)}
        excess = used - {*PACKAGES[package][part].split(), part}
        assert not excess, f"{path} imports {', '.join(sorted(excess))}, which {part} may not"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_table_says_no_more_than_is_so(package):
    used: dict[str, set[str]] = {part: set() for part in PACKAGES[package]}
    for path in sources(package):
        used[part_of(package, path)] |= {as_written(package, name) for name in imported_names(path)}
    for part, words in PACKAGES[package].items():
        unused = set(words.split()) - used[part] - set(MESSAGES.split())
        assert not unused, f"{part} no longer imports {', '.join(sorted(unused))}"


def test_the_guard_sees_what_the_old_one_did_not(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    package = tmp_path / "vizion3d"
    package.mkdir()
    for name, line in (("options", "from vizion3d import lifting"), ("lens_rays", "def f():\n    import vizion3d.stereo.api")):
        (package / f"{name}.py").write_text(line)
        with pytest.raises(AssertionError, match=f"which {name} may not"):
            test_each_part_imports_only_what_it_may("vizion3d")
        (package / f"{name}.py").unlink()
    (package / "novelty.py").write_text("")
    with pytest.raises(AssertionError, match="belongs to no part"):
        test_each_part_imports_only_what_it_may("vizion3d")


def test_frames_need_no_rclpy():
    pytest.importorskip("sensor_msgs", reason="no ROS messages are installed")
    script = (
        "import sys; sys.modules['rclpy'] = None\n"
        "import vizion3d_ros.stereo_frames, vizion3d_ros.mono_frames, vizion3d_ros.pairing, vizion3d_ros.commands.params\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@pytest.mark.parametrize("module", ["vizion3d", "vizion3d.cli", "vizion3d_ros"])
def test_importing_is_cheap_and_changes_nothing(module):
    script = (
        "import logging, os, sys\n"
        "environment, handlers = dict(os.environ), list(logging.root.handlers)\n"
        f"import {module}\n"
        "heavy = {'torch', 'open3d', 'cv2', 'rclpy'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
        "assert dict(os.environ) == environment and logging.root.handlers == handlers\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_every_source_file_names_its_licence():
    for path in [
        *sources("vizion3d"),
        *sources("vizion3d_ros"),
        *sources("test"),
        *sources("bench"),
        *sources("launch"),
        *sources("examples"),
    ]:
        assert path.read_text(encoding="utf-8").startswith("# SPDX-License-Identifier: Apache-2.0\n"), path
