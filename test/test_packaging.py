# SPDX-License-Identifier: Apache-2.0
"""The two ways to install agree, and the files that are derived from the code are up to date."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import vizion3d

ROOT = Path(__file__).parents[1]


def test_versions_agree():
    in_xml = ElementTree.parse(ROOT / "package.xml").findtext("version")
    in_setup = re.search(r'version="(.+?)"', (ROOT / "setup.py").read_text())[1]
    in_changelog = re.search(r"^(\d+\.\d+\.\d+|Forthcoming)", (ROOT / "CHANGELOG.rst").read_text(), re.MULTILINE)[1]
    assert in_xml == in_setup == vizion3d.__version__
    assert in_changelog in ("Forthcoming", in_xml)


def test_yaml_files_hold_the_defaults_of_the_code():
    from vizion3d_ros.parameters import to_yaml
    from vizion3d_ros.settings import YAML_FILES

    for name, settings_type in YAML_FILES.items():
        assert (ROOT / "config" / name).read_text(encoding="utf-8") == to_yaml(settings_type), "run: make config"


@pytest.mark.parametrize("options", [[], ["--symlink-install"]], ids=["copied", "symlinked"])
def test_colcon_builds_an_ament_package(tmp_path, options):
    colcon = shutil.which("colcon", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not colcon:
        pytest.skip("colcon is not installed")
    source = tmp_path / "src" / "vizion3d"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "test", "build", "install", "log", "demo_out"))
    subprocess.run([colcon, "build", *options], cwd=tmp_path, check=True)
    prefix = tmp_path / "install" / "vizion3d"
    assert (prefix / "share/ament_index/resource_index/packages/vizion3d").exists()
    for name in (
        "package.xml",
        "launch/stereo.launch.py",
        "launch/mono.launch.py",
        "config/stereo.yaml",
        "config/mono.yaml",
        "rviz/mono.rviz",
    ):
        assert (prefix / "share/vizion3d" / name).exists(), name
    for name in (
        "stereo_depth_node",
        "mono_depth_node",
        "synthetic_camera_node",
        "depth_viewer_node",
        "bag_player",
        "vizion3d",
    ):
        script = prefix / "lib/vizion3d" / name
        assert os.access(script, os.X_OK), name
        if not options:
            assert script.read_text().startswith("#!/usr/bin/env python3"), name
