# SPDX-License-Identifier: Apache-2.0
"""Solid textures: a colour for every point of space, with detail at every distance and no finer than a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vizion3d.errors import InputError

_TABLE_SIZE = 64
# Wavelengths of the noise in table cells. Linear interpolation is faithful above about 4 cells per wave.
_SHORTEST_WAVE, _LONGEST_WAVE = 4.0, 9.0
# Cell of the coarse noise that mixes the two colours of a texture: patches of about a metre.
_PATCH_CELL_M = 0.16
# Size in pixels of the finest cell of the grain, whose shortest waves then have 2.4 to 5 pixels.
_FINEST_CELL_PX = 0.6
# Each octave of the detail reads the table somewhere else, or all octaves would be copies of one.
_OCTAVE_SHIFT = np.array([[17.3], [41.7], [29.1]], dtype=np.float32)


@dataclass(frozen=True)
class Texture:
    """Two colours mixed in patches, with a fine grain, and squares if wanted.

    Attributes:
        color, color2: RGB, 0 to 255.
        grain: standard deviation of the grain relative to the brightness.
        tile_m: edge of alternating lighter and darker squares; 0 for none.

    Raises:
        InputError: a colour is not a tuple of 3 numbers in 0 to 255, or grain or tile_m is negative.
    """

    color: tuple[int, int, int]
    color2: tuple[int, int, int]
    grain: float = 0.12
    tile_m: float = 0.0

    def __post_init__(self) -> None:
        for name in ("color", "color2"):
            value = getattr(self, name)
            if not (isinstance(value, tuple) and len(value) == 3 and all(0 <= c <= 255 for c in value)):
                raise InputError(f"{name} is {value!r}; it must be a tuple of three numbers from 0 to 255 (red, green, blue)")
        for name in ("grain", "tile_m"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}; it must be 0 or more")

    def evaluate(self, points_m: np.ndarray, footprint_m: np.ndarray) -> np.ndarray:
        """Colour of points.

        Args:
            points_m: (3, n) float32 in the frame of the textured body.
            footprint_m: (n,) float32, size of a pixel at each point; nothing finer is drawn.

        Returns:
            (3, n) float32 RGB, 0 to 255 and a little beyond.
        """
        mix = np.clip(0.5 + 0.5 * _noise(points_m / np.float32(_PATCH_CELL_M)), 0, 1)
        color, color2 = (np.array(c, dtype=np.float32)[:, None] for c in (self.color, self.color2))
        brightness = 1 + np.float32(self.grain) * _grain(points_m, footprint_m)
        if self.tile_m:
            brightness *= 1 + np.float32(0.16) * _squares(points_m, footprint_m, self.tile_m)
        return (color + mix * (color2 - color)) * brightness


@lru_cache(maxsize=1)
def _noise_table() -> np.ndarray:
    """Periodic band-limited noise of unit variance, (64**3, 8) float32: each row has the 8 corners of one cell.

    The corners are kept together because reading them at 8 places of memory takes most of the time of a lookup.
    """
    white = np.random.default_rng(0).standard_normal((_TABLE_SIZE,) * 3)
    f = np.fft.fftfreq(_TABLE_SIZE)
    frequency = np.sqrt(f[:, None, None] ** 2 + f[:, None] ** 2 + f**2)
    band = (frequency >= 1 / _LONGEST_WAVE) & (frequency <= 1 / _SHORTEST_WAVE)
    noise = np.fft.ifftn(np.fft.fftn(white) * band).real
    noise = (noise / noise.std()).astype(np.float32)
    corners = [np.roll(noise, (-x, -y, -z), axis=(0, 1, 2)) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    return np.stack([corner.ravel() for corner in corners], axis=1)


def _noise(cells: np.ndarray) -> np.ndarray:
    """Noise at positions (3, n) float32 given in table cells; (n,) float32, trilinear."""
    floor = np.floor(cells)
    x, y, z = cells - floor
    i, j, k = floor.astype(np.int32) & (_TABLE_SIZE - 1)
    corners = _noise_table()[(i * _TABLE_SIZE + j) * _TABLE_SIZE + k].T
    corners = corners[:4] + x * (corners[4:] - corners[:4])
    corners = corners[:2] + y * (corners[2:] - corners[:2])
    return corners[0] + z * (corners[1] - corners[0])


def _grain(points_m: np.ndarray, footprint_m: np.ndarray) -> np.ndarray:
    """Noise with waves of about 3 to 40 pixels wherever it is looked at; (n,) float32 of about unit variance.

    Octaves have cells of 2**k metres. Of the four in use at a point the finest fades in and the coarsest fades out as
    the pixel gets smaller, so that none appears suddenly.
    """
    level = np.log2(np.float32(_FINEST_CELL_PX) * footprint_m)
    finest = np.ceil(level)
    fade = finest - level
    total = np.zeros_like(level)
    for octave, weight in enumerate((fade, 1.0, 1.0, 1.0 - fade)):
        exponent = finest + np.float32(octave)
        total += weight * _noise(points_m * np.exp2(-exponent) + exponent * _OCTAVE_SHIFT)
    return total * np.float32(3**-0.5)


def _squares(points_m: np.ndarray, footprint_m: np.ndarray, tile_m: float) -> np.ndarray:
    """Chessboard in three dimensions, -1 to 1, with edges one pixel wide; (n,) float32."""
    edge = footprint_m / np.float32(tile_m)
    # A cell border that lies in a flat surface would flicker with rounding; a third of a cell off, none does.
    cells = points_m / np.float32(tile_m) + np.float32(1 / 3)
    distance_to_edge = np.abs(cells % 2 - 1) - np.float32(0.5)
    return np.prod(np.clip(distance_to_edge / edge, -1, 1), axis=0)
