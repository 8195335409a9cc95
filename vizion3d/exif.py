# SPDX-License-Identifier: Apache-2.0
"""What a camera writes into its pictures about their focal length."""

from __future__ import annotations

import math
import os

from vizion3d.errors import InputError

_EXIF, _FOCAL_LENGTH_IN_35MM_FILM = 0x8769, 0xA405
_FILM_MM = math.hypot(36, 24)


def focal_px(path: str | os.PathLike[str], size_wh: tuple[int, int]) -> float:
    """The focal length of a picture in pixels, by its equivalent on 35 mm film, which sees as far, corner to corner.

    Right as long as nobody has cropped the picture.

    Args:
        path: of the picture.
        size_wh: its width and height in pixels, in any order.

    Raises:
        InputError: it does not say.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            film_mm = float(picture.getexif().get_ifd(_EXIF).get(_FOCAL_LENGTH_IN_35MM_FILM) or 0)
    except (OSError, TypeError, ValueError):
        film_mm = 0.0
    if film_mm <= 0:
        raise InputError(
            f"{os.fspath(path)} has no focal length (FocalLengthIn35mmFilm) in its EXIF data; give --calib or --fov"
        )
    return film_mm * math.hypot(*size_wh) / _FILM_MM
