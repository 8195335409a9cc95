# SPDX-License-Identifier: Apache-2.0
"""A point cloud from the front and from above, to scale."""

from __future__ import annotations

import numpy as np

from vizion3d.errors import InputError
from vizion3d.visualize.figures import INK, TEXT_PT, new_figure, to_rgb

# Percent of the points at either end of each axis that need not be in the picture.
_OUTLIERS_PERCENT = 1.0
_CANVAS_PX = 640  # the longer side of a view, before it is fitted into the picture
_CAMERA = "#c02020"
# Lines of the grid are 1 m apart, or so many metres where there would be more than this many lines.
_GRID_M, _MOST_LINES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000), 16
_FINE_GRID_M = 0.1, 0.2, 0.5  # for what is small


def cloud_views(
    points_opengl: np.ndarray, colors: np.ndarray, size: tuple[int, int] = (1400, 620), *, metric: bool = True
) -> np.ndarray:
    """A cloud as the camera sees it, without perspective, and from above, with axes in metres.

    From above, what is nearest to the camera's height is on top: a ceiling hides nothing. The grid has 1 m, more in a large
    scene and less in a small one; all of the cloud but a few outliers is shown.

    Args:
        points_opengl: (N, 3) in metres, x right, y up, z backward; points that are not finite are left out.
        colors: (N, 3) uint8 RGB.
        size: (width, height) of the picture.
        metric: False for a cloud whose metres are so in name only.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        InputError: points or colours have the wrong shape or dtype.
        DependencyError: matplotlib is not installed.
    """
    points_opengl, colors = np.asarray(points_opengl), np.asarray(colors)
    if (
        points_opengl.ndim != 2
        or points_opengl.shape[1] != 3
        or colors.shape != points_opengl.shape
        or colors.dtype != np.uint8
    ):
        raise InputError(
            f"points_opengl is {points_opengl.shape} and colors is {colors.shape} {colors.dtype}; (N, 3) and uint8 are needed"
        )
    finite = np.isfinite(points_opengl).all(axis=1)
    right, up, backward = points_opengl[finite].T
    colors, ahead = colors[finite], -backward
    unit = "m" if metric else "relative, not metres"
    front, top = _box(right, up), _box(right, ahead)
    if top[2] < top[3] - top[2]:  # near enough for the camera to be in the picture without making the rest small
        top = min(top[0], -0.05 * top[3]), max(top[1], 0.05 * top[3]), -0.05 * top[3], top[3]
    figure = new_figure(*size)
    shapes = [np.clip((box[1] - box[0]) / (box[3] - box[2]), 0.5, 2) for box in (front, top)]
    axes_front, axes_top = figure.subplots(1, 2, gridspec_kw={"width_ratios": shapes})
    _view(axes_front, front, (right, up), colors, np.argsort(-ahead, kind="stable"), f"front: right and up, {unit}")
    _view(axes_top, top, (right, ahead), colors, np.argsort(-np.abs(up), kind="stable"), f"top: right and ahead, {unit}")
    if top[2] < 0:
        axes_top.plot(0, 0, marker="^", color=_CAMERA, markersize=9)
        axes_top.annotate("camera", (0, 0), (8, 0), textcoords="offset points", size=TEXT_PT, color=_CAMERA)
    figure.tight_layout()
    return to_rgb(figure)


def _box(across: np.ndarray, along: np.ndarray) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) around nearly all points, with a margin."""
    box: list[float] = []
    for values in (across, along):
        low, high = np.percentile(values, (_OUTLIERS_PERCENT, 100 - _OUTLIERS_PERCENT)) if values.size else (-1.0, 1.0)
        margin = max(0.04 * (high - low), 0.01 * abs(high), 1e-3)
        box += [float(low - margin), float(high + margin)]
    return box[0], box[1], box[2], box[3]


def _view(axes, box: tuple[float, float, float, float], at: tuple[np.ndarray, np.ndarray], colors, order, title: str) -> None:
    """Draw what is in the box, in the order given, with a grid."""
    left, right, bottom, top = box
    extent = max(right - left, top - bottom)
    scale = _CANVAS_PX / extent
    height, width = int(np.ceil(scale * (top - bottom))), int(np.ceil(scale * (right - left)))
    canvas = np.zeros((height, width, 4), np.uint8)
    u, v = (np.floor(scale * (values[order] - low)) for values, low in zip(at, (left, bottom), strict=True))
    dv, du = (offsets.ravel() for offsets in np.mgrid[-1:2, -1:2])
    u, v = u[:, None] + du, v[:, None] + dv
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    # Of several values assigned to one pixel the last one stays.
    canvas[v[inside].astype(int), u[inside].astype(int), :3] = np.repeat(colors[order], inside.sum(axis=1), axis=0)
    canvas[v[inside].astype(int), u[inside].astype(int), 3] = 255
    axes.imshow(canvas, extent=(left, left + width / scale, bottom, bottom + height / scale), origin="lower", zorder=2)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    step = _grid_step(extent)
    for axis, low, high in ((axes.xaxis, left, right), (axes.yaxis, bottom, top)):
        axis.set_ticks(np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step)
        axis.set_major_formatter(lambda value, _: f"{round(value / step) * step:.4g}")
    axes.grid(color="#c8c8c8", linewidth=0.6, zorder=1)
    axes.set_axisbelow(True)
    axes.set_title(title, size=TEXT_PT + 2, color=INK)
    axes.tick_params(labelsize=TEXT_PT, labelcolor=INK)


def _grid_step(extent: float) -> float:
    """1 m, or what suits a scene of another size."""
    if extent < 2:
        return next((step for step in _FINE_GRID_M if extent / step <= _MOST_LINES), 0.1)
    return float(next((step for step in _GRID_M if extent / step <= _MOST_LINES), 10 ** np.floor(np.log10(extent))))
