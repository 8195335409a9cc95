# SPDX-License-Identifier: Apache-2.0
"""The import rules: the core knows no ROS, its parts do not know each other, and importing it is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROS_PACKAGES = {
    "rclpy",
    "sensor_msgs",
    "stereo_msgs",
    "std_msgs",
    "diagnostic_msgs",
    "builtin_interfaces",
    "vizion3d_ros",
}
FORBIDDEN = {
    "lifting": ("vizion3d.stereo",),
    "stereo": ("vizion3d.lifting",),
    **dict.fromkeys(
        ("runtime", "weights", "geometry.py", "camera.py", "resize.py", "pointcloud.py", "images.py"),
        ("vizion3d.stereo", "vizion3d.lifting"),
    ),
}


def imported_names(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def sources(*parts: str) -> list[Path]:
    path = ROOT.joinpath(*parts)
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def test_the_core_imports_nothing_from_ros():
    for path in sources("vizion3d"):
        assert not {name.split(".")[0] for name in imported_names(path)} & ROS_PACKAGES, path


@pytest.mark.parametrize("part", FORBIDDEN)
def test_parts_do_not_reach_sideways(part):
    for path in sources("vizion3d", part):
        for name in imported_names(path):
            assert not name.startswith(FORBIDDEN[part]), f"{path} imports {name}"


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
    ]:
        assert path.read_text(encoding="utf-8").startswith("# SPDX-License-Identifier: Apache-2.0\n"), path
