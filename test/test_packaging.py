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
from vizion3d.weights import RECORDS, terms

ROOT = Path(__file__).parents[1]


def test_versions_agree():
    in_xml = ElementTree.parse(ROOT / "package.xml").findtext("version")
    in_setup = re.search(r'version="(.+?)"', (ROOT / "setup.py").read_text())[1]
    in_changelog = re.search(r"^(\d+\.\d+\.\d+|Forthcoming)", (ROOT / "CHANGELOG.rst").read_text(), re.MULTILINE)[1]
    assert in_xml == in_setup == vizion3d.__version__
    assert in_changelog in ("Forthcoming", in_xml)


def test_yaml_files_and_docs_hold_the_defaults_of_the_code():
    from vizion3d_ros.parameters import to_yaml
    from vizion3d_ros.settings import YAML_FILES, options_page

    for name, settings_type in YAML_FILES.items():
        assert (ROOT / "config" / name).read_text(encoding="utf-8") == to_yaml(settings_type), "run: make config"
    assert (ROOT / "docs/options.md").read_text(encoding="utf-8") == options_page(), "run: make config"


def test_the_terms_of_all_weights_are_written_down():
    page = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    assert page == terms.written_into(page), "run: make config"
    assert all(f"`{record.name}`" in page and record.basis in page for record in RECORDS)


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
        "launch/multi.launch.py",
        "config/rigs.yaml",
        "config/stereo.yaml",
        "config/mono.yaml",
        "rviz/mono.rviz",
        "layouts/stereo.json",
    ):
        assert (prefix / "share/vizion3d" / name).exists(), name
    for name in (
        "stereo_depth_node",
        "mono_depth_node",
        "multi_depth_node",
        "synthetic_camera_node",
        "depth_viewer_node",
        "bag_player",
        "rviz_in_camera_frame",
        "vizion3d",
    ):
        script = prefix / "lib/vizion3d" / name
        assert os.access(script, os.X_OK), name
        if not options:
            assert script.read_text().startswith("#!/usr/bin/env python3"), name


def test_the_command_finds_subcommands_of_other_packages(tmp_path):
    (tmp_path / "greeting.py").write_text(
        "def add_parser(subparsers):\n"
        "    subparsers.add_parser('greet', help='say hello').set_defaults(run=lambda arguments: print('hello') or 0)\n"
    )
    metadata = tmp_path / "greeting-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[vizion3d.commands]\ngreet = greeting\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    done = subprocess.run([sys.executable, "-m", "vizion3d", "greet"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr


def test_the_command_prints_the_parameter_file_of_a_node(capsys):
    from vizion3d.cli import main

    assert main(["params", "stereo"]) == 0
    assert capsys.readouterr().out == (ROOT / "config/stereo.yaml").read_text(encoding="utf-8")
