# SPDX-License-Identifier: Apache-2.0
"""stereo_depth_node with networks over real DDS, on generated weights."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ros_harness import StereoSource, float_map
from sensor_msgs.msg import Image
from stereo_msgs.msg import DisparityImage

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.synthetic import default_scene, render_stereo
from vizion3d.weights import cache_path

STAMP_NS = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def odd_rig() -> StereoRig:
    """Neither side is a multiple of 32."""
    return StereoRig(PinholeCamera(250, 170, 200.0, 200.0, 124.5, 84.5), baseline_m=0.12)


@pytest.fixture(scope="module")
def odd_frame(odd_rig):
    return render_stereo(default_scene(), odd_rig)


@pytest.mark.parametrize("weights", ["s2m2_file", "las2_file"])
def test_outputs_are_the_networks_and_gated_by_both_thresholds(ros, request, weights, odd_rig, odd_frame):
    file = request.getfixturevalue(weights)
    thresholds = {"conf_threshold": 0.3, "occ_threshold": 0.6}
    node = ros.start_stereo_node(model=file, **thresholds)
    assert f"{file} on cpu" in node.log
    names = ("depth/image_rect", "confidence", "occlusion")
    received = {name: ros.listen(name, Image) for name in names} | {"disparity": ros.listen("disparity", DisparityImage)}
    source = StereoSource(ros)
    source.wait_for_subscribers()
    source.publish(odd_frame.left, odd_frame.right, odd_rig, STAMP_NS)
    ros.wait_for(lambda: all(received.values()), "all outputs")

    expected = StereoDepthEstimator(file, "cpu").estimate(odd_frame.left, odd_frame.right, odd_rig)
    confidence, occlusion = (float_map(received[name][0]) for name in ("confidence", "occlusion"))
    np.testing.assert_allclose(confidence, expected.confidence.numpy(), atol=1e-3)
    np.testing.assert_allclose(occlusion, expected.visibility.numpy(), atol=1e-3)
    depth = float_map(received["depth/image_rect"][0])
    valid = np.isfinite(depth)
    trusted = (confidence >= 0.3) & (occlusion >= 0.6)
    assert 0 < valid.sum() < valid.size and trusted[valid].all() and not trusted.all()
    message = received["disparity"][0]
    disparity = float_map(message.image)
    np.testing.assert_array_equal(disparity >= message.min_disparity, valid)
    assert disparity[valid].max() <= message.max_disparity
    np.testing.assert_allclose(message.f * message.t / disparity[valid], depth[valid], rtol=1e-5)


def test_terms_and_range_of_published_weights_are_told_once(ros, las2_file, tmp_path, monkeypatch, odd_rig, odd_frame):
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    place = cache_path("las2-s")
    place.parent.mkdir()
    os.link(las2_file, place)
    node = ros.start_stereo_node(model="las2-s")
    depths = ros.listen("depth/image_rect", Image)
    source = StereoSource(ros)
    source.wait_for_subscribers()
    for i in range(2):
        source.publish(odd_frame.left, odd_frame.right, odd_rig, STAMP_NS + i)
        ros.wait_for(lambda i=i: len(depths) > i, "depth")
    told = "loading las2-s: these weights are licensed MIT, commercial use is UNCLEAR: the authors' page tags the weights MIT"
    assert node.log.count(told) == 1
    assert "checked from the right image, which takes as long again" in node.log
    nearest_m = 200 * 0.12 / (188 - 32)
    assert node.log.count(f"nearest depth {nearest_m:.2f} m, set by scale_factor") == 1


def test_missing_weights_end_the_start_and_name_the_way_out(ros, tmp_path, monkeypatch):
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    node = ros.start("stereo_depth_node", parameters={"model": "s2m2-s"})
    assert node.wait() == 1
    assert "vizion3d weights get s2m2-s" in node.log
    assert "model:=sgbm needs no weights" in node.log
    assert "Traceback" not in node.log


def test_misaligned_rows_are_told_once_and_in_diagnostics(ros, rig, frame):
    node = ros.start_stereo_node(rectification_check_period=0.1)
    diagnostics = ros.listen("/diagnostics", DiagnosticArray)
    depths = ros.listen("depth/image_rect", Image)
    source = StereoSource(ros)
    source.wait_for_subscribers()
    source.publish(frame.left, frame.right, rig, STAMP_NS)
    ros.wait_for(lambda: depths, "depth")
    ros.wait_for(lambda: abs(offset(diagnostics)) < 0.3, "an offset near 0 in the diagnostics")
    assert "row offset" not in node.log
    lower = np.roll(frame.right, 4, axis=0)
    source.publish(frame.left, lower, rig, STAMP_NS + 1)
    ros.wait_for(lambda: re.search(r"WARN.*row offset: the right image is [34]\.\d+ px lower -> ", node.log), "the warning")
    ros.wait_for(lambda: abs(offset(diagnostics) - 4) < 0.3, "an offset of 4 in the diagnostics")
    ros.wait_for(lambda: diagnostics[-1].status[0].level == DiagnosticStatus.WARN, "a warning in the diagnostics")
    assert "row offset: the right image is" in diagnostics[-1].status[0].message


def offset(diagnostics: list[DiagnosticArray]) -> float:
    """The reported vertical offset, NaN if it is not known."""
    values = {v.key: v.value for v in diagnostics[-1].status[0].values} if diagnostics else {}
    text = values.get("vertical offset of right against left (px)", "unknown")
    return float("nan") if text == "unknown" else float(text)
