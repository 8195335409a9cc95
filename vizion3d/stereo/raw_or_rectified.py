# SPDX-License-Identifier: Apache-2.0
"""Are the images of a pair raw or rectified? Measured both ways, for doors that may ask and stop; never guessed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vizion3d.errors import InputError
from vizion3d.rectify import Rectifier
from vizion3d.stereo.row_check import RowReport, measure_rows

# Rows that a usual point may be off: one way must be this good, the other this bad, and so many times worse, each by so many
# matches.
_GOOD_ROWS, _BAD_ROWS = 0.5, 1.0
_TIMES_WORSE = 3
_MIN_MATCHES = 50


@dataclass(frozen=True)
class BothWays:
    """The same pair as it is, and rectified by its calibration."""

    as_it_is: RowReport
    rectified: RowReport

    @classmethod
    def measure(cls, left_rgb: np.ndarray, right_rgb: np.ndarray, rectifier: Rectifier) -> BothWays:
        """Of two (H, W, 3) uint8 images and the rectifier of their calibrations."""
        left, right, *_ = rectifier(left_rgb, right_rgb)
        return cls(measure_rows(left_rgb, right_rgb), measure_rows(left, right))

    @property
    def is_raw(self) -> bool | None:
        """Whether the images are raw; None if that is not beyond doubt."""
        ways = self.as_it_is, self.rectified
        better, worse = sorted(ways, key=lambda way: way.typical_px)
        limit_px = max(_BAD_ROWS, _TIMES_WORSE * better.typical_px)
        clear = better.typical_px <= _GOOD_ROWS and worse.typical_px >= limit_px
        return better is self.rectified if clear and min(way.matches for way in ways) >= _MIN_MATCHES else None


def is_raw(left_rgb: np.ndarray, right_rgb: np.ndarray, rectifier: Rectifier) -> bool:
    """Whether the images of a pair are raw.

    Args:
        left_rgb, right_rgb: (H, W, 3) uint8.
        rectifier: of their calibrations. One that changes nothing makes the question idle: False.

    Raises:
        InputError: the images do not tell; the message names the flags that do.
    """
    if rectifier.is_identity:
        return False
    both = BothWays.measure(left_rgb, right_rgb, rectifier)
    if both.is_raw is None:
        raise InputError(
            f"it cannot be told whether the images are raw: as they are, they are {_rows_off(both.as_it_is)}; rectified by the "
            f"calibration, {_rows_off(both.rectified)}. Say --rectify yes if they are raw, --rectify no if they are rectified"
        )
    return both.is_raw


def _rows_off(rows: RowReport) -> str:
    return f"{rows.typical_px:.2f} rows off ({rows.matches} matches)"
