# SPDX-License-Identifier: Apache-2.0
"""A stereo node whose network costs nothing, to measure all that is around it: python -m bench.oracle SECONDS."""

from __future__ import annotations

import sys
import time

import torch

from vizion3d.stereo import StereoDepthEstimator
from vizion3d.stereo.matchers import Matches


class OracleMatcher:
    """Knows one disparity and takes its time asleep, as a network on a GPU leaves the processor to others."""

    name = architecture = "oracle"
    device = torch.device("cpu")
    image_dtype = torch.float32
    has_confidence = has_visibility = False
    max_size: tuple[int, int] | None = None
    min_side = 1
    searched_part_of_width: float | None = None

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds

    def describe(self) -> str:
        """See `StereoMatcher.describe`."""
        return f"oracle, {1e3 * self._seconds:g} ms a frame"

    def match(self, left: torch.Tensor, right: torch.Tensor, max_disparity: float | None = None) -> Matches:
        """See `StereoMatcher.match`."""
        time.sleep(self._seconds)
        return Matches(torch.full_like(left[:, :1], 8.0), None, None, max_disparity=None, step=1.0)


def main() -> int:
    """A node until it is interrupted."""
    from vizion3d_ros import fast_dds, program

    fast_dds.use()
    from vizion3d_ros.stereo_depth_node import StereoDepthNode

    program.interrupt_on_signals()
    estimator = StereoDepthEstimator(OracleMatcher(float(sys.argv[1])))
    return program.run(lambda: StereoDepthNode(estimator=estimator), sys.argv, by_events=True)


if __name__ == "__main__":
    sys.exit(main())
