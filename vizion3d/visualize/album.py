# SPDX-License-Identifier: Apache-2.0
"""The pictures of one frame that every door writes: with scales where matplotlib is installed, else plain."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from vizion3d.errors import DependencyError
from vizion3d.visualize.cloud import render_cloud
from vizion3d.visualize.cloud_views import cloud_views
from vizion3d.visualize.colors import colorize_depth, colorize_disparity
from vizion3d.visualize.labels import Labels
from vizion3d.visualize.legends import depth_with_scale, disparity_with_scale
from vizion3d.visualize.tiles import overview

_LOG = logging.getLogger(__name__)


def album(
    rgb: np.ndarray,
    *,
    depth_m: np.ndarray | None = None,
    disparity_px: np.ndarray | None = None,
    inverse_depth: np.ndarray | None = None,
    cloud: tuple[np.ndarray, np.ndarray] | None = None,
    reasons: Labels | None = None,
    metric: bool = True,
) -> dict[str, np.ndarray]:
    """Pictures of what is known of a frame, and an overview of them all.

    Args:
        rgb: (H, W, 3) uint8, the image.
        depth_m, disparity_px, inverse_depth: (H, W), NaN where there is none.
        cloud: (N, 3) points in OpenGL camera space and (N, 3) uint8 colours.
        reasons: why a pixel has no value.
        metric: whether depth and cloud are in metres.

    Returns:
        (height, width, 3) uint8 RGB, by name: image, depth, disparity, inverse_depth and cloud, as far as given; overview, at
        most 1600 wide.
    """
    pictures = {"image": rgb}
    if depth_m is not None:
        pictures["depth"] = _drawn(partial(depth_with_scale, depth_m, reasons, metric=metric), partial(colorize_depth, depth_m))
    if disparity_px is not None:
        pictures["disparity"] = _drawn(
            partial(disparity_with_scale, disparity_px, reasons), partial(colorize_disparity, disparity_px)
        )
    if inverse_depth is not None:
        pictures["inverse_depth"] = _drawn(
            partial(disparity_with_scale, inverse_depth, reasons, in_pixels=False), partial(colorize_disparity, inverse_depth)
        )
    if cloud is not None:
        pictures["cloud"] = _drawn(partial(cloud_views, *cloud, metric=metric), partial(render_cloud, *cloud))
    return {**pictures, "overview": overview(list(pictures.values()), [name.replace("_", " ") for name in pictures])}


def _drawn(with_scale: Callable[[], np.ndarray], plain: Callable[[], np.ndarray]) -> np.ndarray:
    """The picture with its scale, or the plain one and, once, a sentence."""
    try:
        return with_scale()
    except DependencyError as error:
        _tell_once(str(error))
        return plain()


@lru_cache(maxsize=1)
def _tell_once(sentence: str) -> None:
    _LOG.warning("%s", sentence)
