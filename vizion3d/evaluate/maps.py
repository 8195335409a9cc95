# SPDX-License-Identifier: Apache-2.0
"""Files of disparity and depth -> arrays: 8- and 16-bit PNG, PFM, npy.

What the numbers of a file mean is its encoding: ``disparity`` (pixels) or ``depth`` (metres), with the number by which the
file's values must be divided: ``disparity/256`` is KITTI's. Common ones have names, see `ENCODINGS`.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vizion3d.camera import StereoRig
from vizion3d.errors import InputError, MissingImageError

PathLike = str | os.PathLike[str]

# Ranks that correlate worse than this are of opposite quantities; of so many pixels, of no fewer than this.
_OPPOSITE = -0.7
_MAX_COMPARED, _MIN_COMPARED = 20_000, 100

ENCODINGS = {
    "kitti": "disparity/256",
    "sceneflow": "disparity",
    "middlebury": "disparity",
    "tum": "depth/5000",
    "nyu": "depth/1000",
    "millimetres": "depth/1000",
}


@dataclass(frozen=True)
class Encoding:
    """How a file says disparity or depth.

    Attributes:
        kind: "disparity" in pixels or "depth" in metres.
        divisor: the file's value of one pixel or one metre.
    """

    kind: str
    divisor: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Encoding:
        """``disparity``, ``depth``, either with ``/NUMBER``, or a name of `ENCODINGS`.

        Raises:
            InputError: it is none of these.
        """
        match = re.fullmatch(r"(disparity|depth)(?:/([0-9.eE+-]+))?", ENCODINGS.get(text, text))
        try:
            divisor = float(match[2] or 1) if match else math.nan
        except ValueError:
            divisor = math.nan
        if match is None or not (math.isfinite(divisor) and divisor > 0):
            raise InputError(
                f"the encoding is {text!r}; known are disparity and depth, with a divisor as in disparity/4 (Middlebury's "
                f"8-bit files), and {', '.join(f'{name} = {meaning}' for name, meaning in ENCODINGS.items())}"
            )
        return cls(match[1], divisor)

    def __str__(self) -> str:
        return self.kind if self.divisor == 1 else f"{self.kind}/{self.divisor:g}"


def read_map(path: PathLike, encoding: Encoding | None = None) -> tuple[np.ndarray, Encoding]:
    """Read a map.

    Args:
        path: PNG of 8 or 16 bits (0 = unknown), PFM or npy (NaN and infinite = unknown).
        encoding: what the values mean; None is allowed for floats, which are taken for disparities in pixels.

    Returns:
        (H, W) float64 pixels or metres, NaN where unknown; and the encoding.

    Raises:
        MissingImageError: there is no such file.
        InputError: it cannot be read, holds no map, or holds whole numbers, whose unit only the encoding says.
    """
    values = read_values(path)
    encoding = encoding or _encoding_of_floats(path, values)
    if values.dtype.kind == "f":
        numbers = values.astype(np.float64)
        numbers[~np.isfinite(numbers)] = np.nan
    else:
        numbers = np.where(values == 0, np.nan, values.astype(np.float64))
    return numbers / encoding.divisor, encoding


def _encoding_of_floats(path: PathLike, values: np.ndarray) -> Encoding:
    if values.dtype.kind == "f":
        return Encoding("disparity")
    raise InputError(
        f"{path} holds {values.dtype.itemsize * 8}-bit numbers, whose unit is not in the file; give its encoding: "
        f"disparity/4 (Middlebury's 8-bit files), {', '.join(f'{name} ({meaning})' for name, meaning in ENCODINGS.items())}"
    )


def check_same_sense(values: np.ndarray, truth: np.ndarray, name: str, truth_name: str) -> None:
    """Tell a disparity that was taken for a depth, or the other way round: one rises where the other falls.

    Args:
        values, truth: (H, W), both of the same kind, NaN where unknown.
        name, truth_name: what to call them, with the encoding that they were read with.

    Raises:
        InputError: they clearly run against each other.
    """
    both = np.flatnonzero(np.isfinite(values) & np.isfinite(truth))
    if both.size < _MIN_COMPARED:
        return
    some = both[:: max(1, both.size // _MAX_COMPARED)]
    rank, true_rank = (np.unique(numbers.ravel()[some], return_inverse=True)[1] for numbers in (values, truth))
    if rank.any() and true_rank.any() and np.corrcoef(rank, true_rank)[0, 1] < _OPPOSITE:
        raise InputError(
            f"{name} falls where {truth_name} rises: one of them is a disparity and the other a depth; give their encodings"
        )


def disparity_from_depth(depth_m: np.ndarray, rig: StereoRig | None, path: PathLike) -> np.ndarray:
    """(H, W) metres, NaN where unknown -> pixels.

    Raises:
        InputError: there is no rig to do it with.
    """
    if rig is None:
        raise InputError(f"{path} is read as depth; a calibration is needed to know its disparity, give --calib")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(depth_m > 0, rig.left.fx * rig.baseline_m / depth_m - rig.doffs_px, np.nan)


def read_values(path: PathLike) -> np.ndarray:
    """The numbers of a map file as they are, (H, W), the first row on top; see `read_map`."""
    file = Path(path)
    if not file.is_file():
        raise MissingImageError(f"there is no file {path}")
    suffix = file.suffix.lower()
    if suffix == ".pfm":
        return _read_pfm(file)
    if suffix == ".npy":
        return _one_channel(path, _read_npy(file))
    pixels = cv2.imdecode(np.frombuffer(file.read_bytes() or b"\0", np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise InputError(f"{path} cannot be read as a map; PNG of 8 or 16 bits, PFM and npy can")
    return _one_channel(path, pixels)


def _one_channel(path: PathLike, values: np.ndarray) -> np.ndarray:
    """A grey map; one that was saved in colour is taken if its channels are equal."""
    if values.ndim == 3:
        first, rest = values[..., :1], values[..., 1:3]
        if np.array_equal(np.broadcast_to(first, rest.shape), rest, equal_nan=True):
            values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in "uif" or 0 in values.shape:
        raise InputError(f"{path} holds {values.shape} {values.dtype}; a map has one number a pixel, (H, W)")
    return values


def _read_npy(file: Path) -> np.ndarray:
    try:
        return np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{file} cannot be read as npy: {error}") from None


def _read_pfm(file: Path) -> np.ndarray:
    """Portable float map, rows from bottom to top; blanks at the ends of the header lines are let pass.

    Of the scale only the sign means something, the byte order: Middlebury writes 1/255 and does not mean it.
    """
    data = file.read_bytes()
    header = re.match(rb"(P[fF])\s+(\d+)\s+(\d+)\s+([-+.\deE]+)[ \t\r]*\n", data)
    if header is None:
        raise InputError(f"{file} has no PFM header; it begins with {data[:16]!r} but should with 'Pf', width, height, scale")
    channels = 3 if header[1] == b"PF" else 1
    width, height, order = int(header[2]), int(header[3]), "<f4" if float(header[4]) < 0 else ">f4"
    body, size = data[header.end() :], 4 * channels * width * height
    if len(body) < size:
        raise InputError(f"{file} is cut off: {width}x{height} pixels need {size} bytes, there are {len(body)}")
    values = np.frombuffer(body, order, channels * width * height).reshape(height, width, channels)[::-1]
    return _one_channel(file, values.astype(np.float32))
