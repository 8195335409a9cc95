# SPDX-License-Identifier: Apache-2.0
"""What all pictures with numbers beside them need of matplotlib, which is optional: the extra ``plots``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vizion3d.errors import DependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100
TEXT_PT = 9
INK = "#282828"


def new_figure(width_px: int, height_px: int) -> Figure:
    """An empty white figure that needs no display and leaves matplotlib's state as it is.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError(
            "matplotlib is needed for legends, scales and axes in pictures: pip install matplotlib. Plain pictures need none"
        ) from error
    figure = Figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def to_rgb(figure: Figure) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a figure from `new_figure`."""
    canvas = figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
