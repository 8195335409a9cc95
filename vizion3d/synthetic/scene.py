# SPDX-License-Identifier: Apache-2.0
"""What there is to see: a scene, and a ready-made one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vizion3d.errors import InputError
from vizion3d.synthetic.primitives import Box, Plane, Primitive, Sphere, Vector, check_vector
from vizion3d.synthetic.texture import Texture


@dataclass(frozen=True)
class Scene:
    """Bodies and a lamp, in the optical frame of the left camera.

    Attributes:
        static: bodies that stay where they are from frame to frame; their picture is kept between frames.
        moving: bodies that are drawn afresh in every frame.
        lamp_m: place of the lamp, which lights what it sees; everything else gets the ambient light only.

    Raises:
        InputError: static or moving is not a tuple, or holds something else than a Plane, Box or Sphere, or lamp_m is
            not three finite numbers.
    """

    static: tuple[Primitive, ...]
    moving: tuple[Primitive, ...] = ()
    lamp_m: Vector = (-0.8, -1.1, 0.8)

    def __post_init__(self) -> None:
        check_vector("lamp_m of a Scene", self.lamp_m)
        for name in ("static", "moving"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(body, (Plane, Box, Sphere)) for body in value):
                raise InputError(f"{name} is {value!r}; it must be a tuple of Plane, Box and Sphere")


_FLOOR_Y_M, _CEILING_Y_M = 1.0, -1.7

_ROOM = (
    Plane((0, _FLOOR_Y_M, 0), (0, -1, 0), Texture((196, 164, 128), (172, 138, 104), grain=0.1, tile_m=0.6)),
    Plane((0, _CEILING_Y_M, 0), (0, 1, 0), Texture((236, 232, 222), (214, 216, 214), grain=0.09)),
    Plane((0, 0, 8), (0, 0, -1), Texture((112, 158, 190), (150, 184, 198), grain=0.1)),
    Plane((-3, 0, 0), (1, 0, 0), Texture((224, 190, 124), (206, 166, 108), grain=0.1)),
    Plane((3.4, 0, 0), (-1, 0, 0), Texture((156, 186, 148), (126, 162, 130), grain=0.1)),
    Plane((0, 0, -3), (0, 0, 1), Texture((190, 190, 190), (160, 160, 160))),
)


def _standing_box(x_m: float, z_m: float, size_m: Vector, texture: Texture, yaw_rad: float = 0.0) -> Box:
    return Box((x_m, _FLOOR_Y_M - size_m[1] / 2, z_m), size_m, texture, yaw_rad)


_FURNITURE = (
    _standing_box(-1.25, 3.0, (0.75, 0.7, 0.75), Texture((190, 110, 52), (222, 150, 84)), 0.5),
    _standing_box(-1.2, 3.0, (0.45, 1.1, 0.4), Texture((58, 104, 168), (92, 142, 196)), 0.15),
    _standing_box(2.3, 4.6, (0.9, 1.9, 0.7), Texture((134, 62, 70), (168, 92, 84)), -0.25),
    _standing_box(1.15, 2.6, (0.6, 0.45, 0.5), Texture((70, 142, 104), (116, 178, 122)), -0.45),
    _standing_box(-2.3, 6.4, (0.5, 2.7, 0.5), Texture((206, 200, 190), (176, 172, 166)), 0.3),
    _standing_box(0.5, 7.0, (1.5, 0.8, 0.6), Texture((96, 84, 142), (128, 112, 172)), 0.1),
    Sphere((1.15, 0.33, 2.6), 0.22, Texture((228, 190, 62), (236, 148, 48))),
    Sphere((-0.25, 0.6, 4.6), 0.4, Texture((196, 66, 58), (226, 112, 82))),
    Sphere((0.22, -0.33, 1.2), 0.11, Texture((236, 120, 150), (206, 82, 130))),
)


def default_scene(time_s: float = 0.0) -> Scene:
    """A room with boxes and balls from 1 to 8 m, seen from 1 m above the floor; every pixel sees something.

    A ball bounces across and a cart drives to and fro, so that a live camera has something to show.

    Raises:
        InputError: time_s is not finite.
    """
    if not math.isfinite(time_s):
        raise InputError(f"time_s is {time_s}; it must be a finite number of seconds")
    ball = Sphere(
        (0.55 + 0.5 * math.sin(0.8 * time_s), 0.8 - 0.5 * abs(math.cos(2.4 * time_s)), 3.3),
        0.2,
        Texture((70, 196, 196), (44, 138, 172)),
    )
    cart = _standing_box(
        0.8 + 0.6 * math.cos(0.5 * time_s),
        5.35 + 0.8 * math.sin(0.5 * time_s),
        (0.8, 0.5, 0.5),
        Texture((236, 204, 84), (216, 168, 54)),
        yaw_rad=0.5 * time_s,
    )
    return Scene(static=_ROOM + _FURNITURE, moving=(ball, cart))
