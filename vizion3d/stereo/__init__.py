# SPDX-License-Identifier: Apache-2.0
"""Two rectified images in, metric depth out.

`StereoDepth().run(command)` takes pictures in any form and gives maps, clouds and Open3D objects. `StereoDepthEstimator`
is the exact door under it: arrays and a `StereoRig` in, tensors out, for robots.
"""

from vizion3d.stereo.api import StereoDepth, StereoDepthAdvancedConfig, StereoDepthCommand, StereoDepthResult
from vizion3d.stereo.estimator import StereoDepthEstimator
from vizion3d.stereo.prediction import StereoPrediction
from vizion3d.stereo.reasons import Reason

__all__ = [
    "Reason",
    "StereoDepth",
    "StereoDepthAdvancedConfig",
    "StereoDepthCommand",
    "StereoDepthEstimator",
    "StereoDepthResult",
    "StereoPrediction",
]
