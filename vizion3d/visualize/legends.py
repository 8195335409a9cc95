# SPDX-License-Identifier: Apache-2.0
"""Pictures of depth and disparity with their scale beside them, and why a pixel has no value below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vizion3d.errors import InputError
from vizion3d.visualize.colors import (
    INVALID_RGB,
    ColorMap,
    colorize_depth,
    colorize_disparity,
    depth_range,
    disparity_range,
    table_of,
)
from vizion3d.visualize.figures import INK, TEXT_PT, new_figure, to_rgb
from vizion3d.visualize.labels import LABEL_RGB, Labels

# Small images are enlarged to this width; large ones reduced, so that no picture with scale and margins exceeds 1600.
_SMALLEST_WIDTH_PX, _LARGEST_SIDE_PX = 640, 1400
_SHORTEST_PX = 160  # of the bar, and for a line of the legend
_MARGIN_PX, _SCALE_PX, _BAR_PX, _ROW_PX, _ENTRY_PX = 12, 110, 20, 24, 160
# What stands beside the bar: the coarsest of these in each power of ten that gives enough numbers.
_ROUND_NUMBERS = (
    (1, 2, 5),
    (1, 1.5, 2, 3, 4, 5, 7),
    np.arange(10, 100, 5) / 10,
    np.arange(10, 100, 2) / 10,
    np.arange(10, 100) / 10,
)
_ENOUGH_NUMBERS = 5


def depth_with_scale(
    depth_m: np.ndarray,
    reasons: Labels | None = None,
    near_m: float | None = None,
    far_m: float | None = None,
    *,
    metric: bool = True,
) -> np.ndarray:
    """`colorize_depth` with a bar that tells metres.

    Args:
        depth_m: (H, W); NaN, infinite, 0 and negative values are invalid.
        reasons: why a pixel is invalid, (H, W); its colours then stand for the dark grey, and its legend below.
        near_m, far_m: as in `colorize_depth`.
        metric: False for depth that is known in order but not in scale; the bar then says so, and no numbers.

    Returns:
        (height, width, 3) uint8 RGB, at most 1600 wide.

    Raises:
        InputError: as `colorize_depth`, or reasons are of another size.
        DependencyError: matplotlib is not installed.
    """
    near_m, far_m = depth_range(depth_m, near_m, far_m)
    if metric:
        scale = _Scale(ColorMap.DEPTH, near_m, far_m, "depth in metres", logarithmic=True)
    else:
        scale = _Scale(ColorMap.DEPTH, near_m, far_m, "relative depth, not metres", logarithmic=True, ends=("near", "far"))
    valid = np.isfinite(depth_m) & (depth_m > 0)
    return _draw(colorize_depth(depth_m, near_m, far_m), valid, scale, reasons)


def disparity_with_scale(
    disparity_px: np.ndarray,
    reasons: Labels | None = None,
    min_px: float | None = None,
    max_px: float | None = None,
    *,
    in_pixels: bool = True,
) -> np.ndarray:
    """`colorize_disparity` with a bar that tells pixels.

    Args:
        disparity_px: (H, W); NaN and infinite values are invalid.
        reasons: as in `depth_with_scale`.
        min_px, max_px: as in `colorize_disparity`.
        in_pixels: False for inverse depth of unknown scale.

    Returns, Raises:
        As `depth_with_scale`.
    """
    min_px, max_px = disparity_range(disparity_px, min_px, max_px)
    if in_pixels:
        scale = _Scale(ColorMap.DISPARITY, min_px, max_px, "disparity in pixels")
    else:
        scale = _Scale(ColorMap.DISPARITY, min_px, max_px, "inverse depth, no unit", ends=("far", "near"))
    return _draw(colorize_disparity(disparity_px, min_px, max_px), np.isfinite(disparity_px), scale, reasons)


@dataclass(frozen=True)
class _Scale:
    """What stands beside a picture.

    Attributes:
        color_map: the colours; depth runs from the nearest to the farthest, disparity the other way.
        low, high: the values of the two ends of the colours; what lies beyond has their colour.
        title: what is told, in which unit.
        logarithmic: of the colours and the bar.
        ends: words at low and high in place of numbers.
    """

    color_map: ColorMap
    low: float
    high: float
    title: str
    logarithmic: bool = False
    ends: tuple[str, str] | None = None

    def ticks(self) -> tuple[list[float], list[str]]:
        """Values and what to write at them."""
        if self.ends:
            return [self.low, self.high], list(self.ends)
        if self.logarithmic:
            tens = 10.0 ** np.arange(np.floor(np.log10(self.low)), np.ceil(np.log10(self.high)) + 1)
            for numbers in _ROUND_NUMBERS:
                values = np.outer(tens, numbers).ravel()
                values = values[(values >= self.low) & (values <= self.high)]
                if len(values) >= _ENOUGH_NUMBERS:
                    break
        else:
            from matplotlib.ticker import MaxNLocator

            values = np.array(MaxNLocator(7, steps=[1, 2, 5, 10]).tick_values(self.low, self.high))
            values = values[(values >= self.low) & (values <= self.high)]
        if len(values) < 2:  # hardly any range
            values = np.array([self.low, self.high])
        return list(values), [f"{value:.4g}" for value in values]


def _draw(image: np.ndarray, valid: np.ndarray, scale: _Scale, reasons: Labels | None) -> np.ndarray:
    """The picture, its bar to the right and the legend of its gaps below."""
    entries: list[tuple[tuple[int, int, int], str]] = (
        [(INVALID_RGB, f"no value {np.mean(~valid):.0%}")] if not valid.all() else []
    )
    if reasons is not None:
        if reasons.indices.shape != valid.shape:
            raise InputError(f"the reasons are {reasons.indices.shape} and the map is {valid.shape}; they must be of one size")
        image[~valid] = LABEL_RGB[reasons.indices[~valid]]
        entries = reasons.entries(~valid)
    height, width = image.shape[:2]
    factor = min(max(1, _SMALLEST_WIDTH_PX / max(1, width)), _LARGEST_SIDE_PX / max(1, width, height))
    shown_width, shown_height = max(1, round(width * factor)), max(1, round(height * factor))
    inner_width, inner_height = max(shown_width, _SHORTEST_PX), max(shown_height, _SHORTEST_PX)
    columns = max(1, inner_width // _ENTRY_PX)
    below = _ROW_PX * -(-len(entries) // columns)
    full_width = _MARGIN_PX + inner_width + _SCALE_PX
    full_height = 2 * _MARGIN_PX + inner_height + below
    figure = new_figure(full_width, full_height)

    def place(left: float, top: float, width: float, height: float):
        """Axes at pixels of the figure, from the top."""
        bottom = full_height - top - height
        return figure.add_axes((left / full_width, bottom / full_height, width / full_width, height / full_height))

    picture = place(_MARGIN_PX, _MARGIN_PX, shown_width, shown_height)
    picture.imshow(image, interpolation="nearest" if factor >= 1 else "antialiased", aspect="auto")
    picture.set_axis_off()
    _add_bar(place(_MARGIN_PX + inner_width + 12, _MARGIN_PX + 12, _BAR_PX, inner_height - 24), scale)
    for number, (color, text) in enumerate(entries):
        row, column = divmod(number, columns)
        x, y = _MARGIN_PX + _ENTRY_PX * column, full_height - _MARGIN_PX / 2 - below + _ROW_PX * row
        patch = place(x, y + 5, 14, 14)
        patch.imshow(np.full((1, 1, 3), color, np.uint8), aspect="auto")
        patch.set(xticks=[], yticks=[])
        figure.text((x + 20) / full_width, 1 - (y + 12) / full_height, text, size=TEXT_PT, color=INK, va="center")
    return to_rgb(figure)


def _add_bar(axes, scale: _Scale) -> None:
    """Draw the bar, the nearest end below as the ground of a picture is."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, LogNorm, Normalize

    near_last = scale.color_map is ColorMap.DISPARITY
    colors = table_of(scale.color_map)[:: 1 if near_last else -1] / 255
    norm = (LogNorm if scale.logarithmic else Normalize)(scale.low, scale.high)
    bar = axes.figure.colorbar(ScalarMappable(norm, ListedColormap(colors)), cax=axes)
    values, texts = scale.ticks()
    bar.set_ticks(values, labels=texts)
    bar.minorticks_off()
    axes.tick_params(labelsize=TEXT_PT, labelcolor=INK)
    bar.set_label(scale.title, size=TEXT_PT + 1, color=INK)
    if near_last:
        axes.invert_yaxis()
