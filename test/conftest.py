# SPDX-License-Identifier: Apache-2.0
"""What all tests share: the folder of real data, synthetic frames, and ROS processes in a domain of their own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.runtime.threads import wait_passively
from vizion3d.synthetic import StereoFrame, default_scene, render_stereo

wait_passively()  # as our programs do; before torch comes in. Two processes that spin at barriers take many times as long

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import the helpers beside this file

_DATA = Path(os.environ.get("VIZION3D_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")

# No example fails because the machine is busy.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# Programs that tests start must end at a hangup, also where the suite was started by nohup, which they would inherit: what is
# ignored stays ignored in a child, a handler does not.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


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


@pytest.fixture(scope="session")
def vits_file(tmp_path_factory) -> Path:
    """Generated weights of Depth Anything V2 Small."""
    import torch
    from generated_weights import depth_anything_state_dict

    from vizion3d.lifting.models.depth_anything import CONFIGS, DepthAnythingV2

    with torch.device("meta"):
        network = DepthAnythingV2(CONFIGS["vits"])
    path = tmp_path_factory.mktemp("weights") / "generated_vits.pth"
    torch.save(depth_anything_state_dict({key: tensor.shape for key, tensor in network.state_dict().items()}), path)
    return path


@pytest.fixture(scope="session")
def da3_metric_file(tmp_path_factory) -> Path:
    """Generated weights of a very small Depth Anything 3, metric by its name, in safetensors."""
    save_file = pytest.importorskip("safetensors.torch", reason="safetensors is not installed").save_file
    import torch
    from generated_weights import depth_anything_3_state_dict

    from vizion3d.lifting.models.depth_anything_3 import CONFIGS, DepthAnything3

    with torch.device("meta"):
        network = DepthAnything3(CONFIGS["tiny"])
    path = tmp_path_factory.mktemp("weights") / "depth-anything-3-metric-tiny.safetensors"
    shapes = {f"model.{key}": tensor.shape for key, tensor in network.state_dict().items()}
    save_file(depth_anything_3_state_dict(shapes), path)
    return path


@pytest.fixture(scope="session")
def s2m2_file(tmp_path_factory) -> Path:
    """Generated weights of a very small S2M2."""
    import torch
    from generated_weights import s2m2_state_dict

    from vizion3d.stereo.matchers.s2m2 import S2M2

    with torch.device("meta"):
        network = S2M2(channels=8, transformers=1)
    path = tmp_path_factory.mktemp("weights") / "CH8NTR1.pth"
    shapes = {key: tensor.shape for key, tensor in network.state_dict().items()}
    torch.save({"state_dict": s2m2_state_dict(shapes, salt="tests")}, path)
    return path


@pytest.fixture(scope="session")
def las2_file(tmp_path_factory) -> Path:
    """Generated weights of LAS2-S."""
    import torch
    from generated_weights import las2_state_dict

    from vizion3d.stereo.matchers.las2 import LAS2, SIZES

    with torch.device("meta"):
        network = LAS2(*SIZES["S"])
    path = tmp_path_factory.mktemp("weights") / "generated_las2.pth"
    torch.save({"model": las2_state_dict({key: tensor.shape for key, tensor in network.state_dict().items()})}, path)
    return path


@pytest.fixture
def ros():
    """ROS nodes in processes of their own and one in this process, all in a domain that nobody else uses."""
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    from ros_harness import RosHarness

    from vizion3d_ros.demo.domains import reserved_domain

    with reserved_domain() as domain, RosHarness(domain) as harness:
        yield harness
