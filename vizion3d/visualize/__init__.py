# SPDX-License-Identifier: Apache-2.0
"""Pictures of depth, disparity and point clouds for people to look at. All of them are (H, W, 3) uint8 RGB."""

from vizion3d.visualize.cloud import render_cloud
from vizion3d.visualize.colors import colorize_depth, colorize_disparity
from vizion3d.visualize.labels import colorize_labels
from vizion3d.visualize.tiles import side_by_side

__all__ = ["colorize_depth", "colorize_disparity", "colorize_labels", "render_cloud", "side_by_side"]
