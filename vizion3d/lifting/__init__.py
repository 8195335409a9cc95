# SPDX-License-Identifier: Apache-2.0
"""One image in, depth out: relative, or metric with a metric checkpoint.

`DepthEstimation().run(command)` takes pictures in any form and gives maps, clouds and Open3D objects.
`MonoDepthEstimator` is the exact door under it: an array in, tensors out, for robots.
"""

from vizion3d.lifting.api import (
    DepthEstimation,
    DepthEstimationAdvanceConfig,
    DepthEstimationCommand,
    DepthEstimationResult,
)
from vizion3d.lifting.estimator import MonoDepthEstimator
from vizion3d.lifting.models import DepthKind
from vizion3d.lifting.prediction import MonoPrediction

__all__ = [
    "DepthEstimation",
    "DepthEstimationAdvanceConfig",
    "DepthEstimationCommand",
    "DepthEstimationResult",
    "DepthKind",
    "MonoDepthEstimator",
    "MonoPrediction",
]
