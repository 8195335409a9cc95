# SPDX-License-Identifier: Apache-2.0
"""A program that uses the public API and is strict about types."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vizion3d.calibration_files import load_calibrations
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import Vizion3dError
from vizion3d.lifting import (
    DepthEstimation,
    DepthEstimationAdvanceConfig,
    DepthEstimationCommand,
    DepthEstimationResult,
    MonoDepthEstimator,
)
from vizion3d.options import RobotStereoOptions
from vizion3d.rectify import RectifiedPair, Rectifier
from vizion3d.stereo import StereoDepth, StereoDepthAdvancedConfig, StereoDepthCommand, StereoDepthEstimator, StereoDepthResult


def stereo(left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    rectifier = Rectifier.from_calibrations(*load_calibrations(["left.yaml", "right.yaml"]))
    pair: RectifiedPair = rectifier(left, right)
    prediction = StereoDepthEstimator("sgbm").estimate(*pair)
    limits = RobotStereoOptions(z_far=20.0)
    print(prediction.valid(limits).float().mean().item(), prediction.depth_m.shape, prediction.rig.baseline_m)
    config = StereoDepthAdvancedConfig.from_rig(StereoRig(PinholeCamera(640, 480, 500.0, 500.0, 319.5, 239.5), 0.1))
    result: StereoDepthResult = StereoDepth().run(StereoDepthCommand(left, right, model_backend="sgbm", advanced_config=config))
    if result.cloud is not None:
        result.cloud.write_ply("cloud.ply")
    for finding in result.check.faults:
        print(finding.what, finding.level)
    depth: npt.NDArray[np.float32] = np.where(result.valid, result.depth, np.float32(np.nan))
    return depth


def mono(path: str) -> float:
    try:
        result: DepthEstimationResult = DepthEstimation().run(
            DepthEstimationCommand(path, advanced_config=DepthEstimationAdvanceConfig(fx=500.0, fy=500.0))
        )
        rgb = np.zeros((4, 4, 3), np.uint8)
        print(MonoDepthEstimator().estimate(rgb).depth_m)
    except Vizion3dError as error:
        print(error)
        return 0.0
    return result.max_depth
