# SPDX-License-Identifier: Apache-2.0
"""What all tests share: the folder of real data, synthetic frames, and ROS processes in a domain of their own."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.synthetic import StereoFrame, default_scene, render_stereo

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import the helpers beside this file

_DATA = Path(os.environ.get("VIZION3D_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
_used_domains: set[int] = set()


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real images, calibrations and bags; tests that need it are skipped where it is absent."""
    if not _DATA.is_dir():
        pytest.skip(f"no test data at {_DATA}; set VIZION3D_TEST_DATA")
    return _DATA


@pytest.fixture(scope="session")
def rig() -> StereoRig:
    """A rig with 640x480 images."""
    return StereoRig(PinholeCamera(640, 480, 525.0, 525.0, 319.5, 239.5), baseline_m=0.12)


@pytest.fixture(scope="session")
def frame(rig: StereoRig) -> StereoFrame:
    """A synthetic pair with exact depth, disparity and visibility."""
    return render_stereo(default_scene(), rig)


@pytest.fixture
def ros():
    """ROS nodes in processes of their own and one in this process, all in a domain that nobody else uses."""
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    from ros_harness import RosHarness

    with RosHarness(_new_domain()) as harness:
        yield harness


def _new_domain() -> int:
    domain = random.choice([d for d in range(1, 100) if d not in _used_domains])
    _used_domains.add(domain)
    return domain
