# SPDX-License-Identifier: Apache-2.0
"""Pictures of more than 8 bits -> 8 bits a channel, all pictures of one moment by the same range.

Cameras send 10, 12 or 14 bits in containers of 16, and thermal ones a narrow band somewhere in them; the upper byte alone
would be dark, black or flat. 8-bit pictures pass through untouched.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vizion3d.errors import InputError
from vizion3d.options import ImageOptions

_LOG = logging.getLogger(__name__)

_USUAL_BITS = 8, 10, 12, 14, 16
# Values beyond these percentiles are dead or hot pixels and glints.
_PERCENTILES = 0.1, 99.9
_SAMPLES = 1 << 14
# A picture that uses less than this part of its bits is stretched, if it has the bits to be stretched without being torn:
# a thermal camera's, not the dark wall of a machine vision camera.
_NARROW = 1 / 8
_MIN_BITS_STRETCHED = 14
# Stretched ranges end at an eighth of their span, so that a scene that drifts seldom widens them.
_STEPS_PER_SPAN = 8


@dataclass(frozen=True)
class LevelRange:
    """The values that become 0 to 255.

    Attributes:
        low, high: smallest and largest of them.
        step: between two values: 1 for whole numbers, of which the last is a level of its own; 0 for floats.
    """

    low: float
    high: float
    step: float = 1.0

    def __or__(self, other: LevelRange) -> LevelRange:
        return LevelRange(min(self.low, other.low), max(self.high, other.high), self.step)

    def __str__(self) -> str:
        bits = math.log2(self.high + 1)
        if self.low == 0 and self.step and bits in range(8, 17):
            return f"{bits:.0f} bits, 0 to {self.high:g} (to fix that: image_bits {bits:.0f})"
        return f"{self.low:.6g} to {self.high:.6g} (to fix that: image_range [{self.low:.6g}, {self.high:.6g}])"

    def to_8_bit(self, pixels: np.ndarray) -> np.ndarray:
        """Any shape and type of number -> uint8; what is outside becomes 0 or 255."""
        return np.take(self._table, pixels) if pixels.dtype.kind + str(pixels.itemsize) == "u2" else self._convert(pixels)

    @cached_property
    def _table(self) -> np.ndarray:
        return self._convert(np.arange(1 << 16))

    def _convert(self, values: np.ndarray) -> np.ndarray:
        scaled = (np.nan_to_num(values.astype(np.float64), nan=self.low) - self.low) * (
            256 / (self.high + self.step - self.low)
        )
        return scaled.clip(0, 255).astype(np.uint8)


class Levels:
    """The range of a stream of pictures: chosen at the first ones, only ever widened, and told when it changes.

    Args:
        options: what the user says; None leaves it to the pictures.

    Attributes:
        range: the one so far; None before there was a picture that tells it.
    """

    def __init__(self, options: ImageOptions | None = None) -> None:
        self._options = options or ImageOptions()
        self.range: LevelRange | None = None

    def under(self, options: ImageOptions) -> Levels:
        """These levels if they were chosen under the same options, else new ones."""
        same = (options.image_bits, options.image_range) == (self._options.image_bits, self._options.image_range)
        return self if same else Levels(options)

    def to_8_bit(self, *pictures: np.ndarray) -> list[np.ndarray]:
        """The pictures of one moment (one, or a pair) as uint8, all by one range.

        Args:
            pictures: any shape; uint8, which pass through, uint16, int32 or floats.

        Raises:
            InputError: floats that are not from 0 to 1, or whole numbers beyond 16 bits, and the user gives no range.
        """
        deep = [picture for picture in pictures if picture.dtype != np.uint8]
        if not deep:
            return list(pictures)
        is_float = any(picture.dtype.kind == "f" for picture in deep)
        used = _given_range(self._options, is_float) or self._widened(deep, is_float)
        return [picture if picture.dtype == np.uint8 else used.to_8_bit(picture) for picture in pictures]

    def _widened(self, pictures: Sequence[np.ndarray], is_float: bool) -> LevelRange:
        """The range so far, widened by what is in these pictures; those of one value tell nothing."""
        samples = np.concatenate([_sampled(picture) for picture in pictures])
        samples = samples[np.isfinite(samples)]
        if not samples.size:
            raise InputError("the picture holds no finite value; give one with pixels")
        found = _found_range(samples, is_float)
        if not np.ptp(samples):
            return self.range or found
        used = found | self.range if self.range else found
        if used != self.range:
            _LOG.warning("images of more than 8 bits %s %s", "widened to" if self.range else "taken as", used)
        self.range = used
        return used


def _given_range(options: ImageOptions, is_float: bool) -> LevelRange | None:
    """The range that the user gives, None for auto."""
    if any(options.image_range):
        return LevelRange(*options.image_range, 0.0 if is_float else 1.0)
    return None if options.image_bits == "auto" else LevelRange(0, 2 ** int(options.image_bits) - 1)


def _found_range(samples: np.ndarray, is_float: bool) -> LevelRange:
    """The range of pictures by some of their values."""
    least, most = samples.min(), samples.max()
    if least < 0 or most > (1 if is_float else 0xFFFF):
        raise InputError(
            f"the picture holds {'floats' if is_float else 'whole numbers'} from {least:g} to {most:g}; "
            f"{'0 to 1' if is_float else '0 to 65535'} is taken as it is, for others say image_range: [darkest, brightest], "
            "and if these are disparities or depths, they are no picture"
        )
    places = [round(percentile / 100 * (samples.size - 1)) for percentile in _PERCENTILES]
    low, high = np.partition(samples, places)[places].tolist()
    if is_float:
        return LevelRange(low, high, 0.0) if 0 < high - low < _NARROW else LevelRange(0.0, 1.0, 0.0)
    bits = next(bits for bits in _USUAL_BITS if high < 1 << bits)
    if bits < _MIN_BITS_STRETCHED or high - low >= _NARROW * (1 << bits):
        return LevelRange(0, (1 << bits) - 1)
    step = 1 << math.ceil(math.log2(max(256, high - low + 1) / _STEPS_PER_SPAN))
    first, last = low // step * step, (high // step + 1) * step - 1
    return LevelRange(first, max(last, first + 255))


def _sampled(picture: np.ndarray) -> np.ndarray:
    """Some thousand values all over the picture; every odd pixel, so that no colour of a mosaic is missed."""
    step = math.ceil(math.sqrt(picture.shape[0] * picture.shape[1] / _SAMPLES)) | 1
    return picture[::step, ::step].ravel()
