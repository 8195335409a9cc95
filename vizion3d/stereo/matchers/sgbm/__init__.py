# SPDX-License-Identifier: Apache-2.0
"""OpenCV's semi-global block matching with certainty of its own: no weights, runs anywhere, the default for robots."""

from vizion3d.stereo.matchers.sgbm.matcher import SgbmMatcher, load

__all__ = ["SgbmMatcher", "load"]
