# SPDX-License-Identifier: Apache-2.0
"""Pictures of depth, disparity and point clouds for people to look at. All of them are (H, W, 3) uint8 RGB.

Those with scales and axes need matplotlib (the extra ``plots``); the others do not.
"""

from vizion3d.visualize.album import album
from vizion3d.visualize.cloud import render_cloud
from vizion3d.visualize.cloud_views import cloud_views
from vizion3d.visualize.colors import colorize_depth, colorize_disparity
from vizion3d.visualize.labels import Labels, colorize_labels
from vizion3d.visualize.legends import depth_with_scale, disparity_with_scale
from vizion3d.visualize.tiles import overview, side_by_side

__all__ = [
    "Labels",
    "album",
    "cloud_views",
    "colorize_depth",
    "colorize_disparity",
    "colorize_labels",
    "depth_with_scale",
    "disparity_with_scale",
    "overview",
    "render_cloud",
    "side_by_side",
]
