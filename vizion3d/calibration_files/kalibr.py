# SPDX-License-Identifier: Apache-2.0
"""Kalibr's camchain: ``cam0``, ``cam1``, ... with intrinsics, and the way from each camera to the next."""

from __future__ import annotations

from typing import Any

import numpy as np

from vizion3d.calibration_files.extrinsics import with_rectification
from vizion3d.calibration_files.formats import Request, numbers, yaml_documents
from vizion3d.camera import Calibration
from vizion3d.errors import CalibrationError

# Kalibr's name -> ROS's, and how many coefficients it has.
_MODELS = {"radtan": ("plumb_bob", 4), "equidistant": ("equidistant", 4), "none": ("", 0)}
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def recognises(text: str) -> bool:
    """Whether the text looks like one."""
    return any(map(_is_chain, yaml_documents(text)))


def parse(text: str, request: Request) -> list[Calibration]:
    """Left and right camera of the chain, cam0 and cam1 unless others are asked for; of a chain of one that one.

    Raises:
        CalibrationError: something is missing, no number, or of a lens that is not known.
    """
    entries = next(filter(_is_chain, yaml_documents(text)))
    chain = [entries[f"cam{i}"] for i in range(len(entries)) if isinstance(entries.get(f"cam{i}"), dict)]
    cameras = [_camera(f"cam{i}", camera) for i, camera in enumerate(chain)]
    if len(chain) == 1:
        return cameras
    first, second = request.cameras or (0, 1)
    if not {first, second} <= set(range(len(chain))):
        raise CalibrationError(f"there are no cameras {first} and {second}; there are 0 to {len(chain) - 1} (--cameras 0 1)")
    poses = [np.eye(4)]  # of each camera: from cam0 to it
    for i, camera in enumerate(chain[1:], 1):
        step = np.reshape(numbers(camera.get("T_cn_cnm1"), f"T_cn_cnm1 of cam{i}", (16,)), (4, 4))
        poses.append(step @ poses[-1])
    right_from_left = poses[second] @ np.linalg.inv(poses[first])
    return with_rectification(cameras[first], cameras[second], right_from_left[:3, :3], right_from_left[:3, 3])


def _is_chain(entries: dict[str, Any]) -> bool:
    return isinstance(entries.get("cam0"), dict) and "intrinsics" in entries["cam0"]


def _camera(name: str, entries: dict[str, Any]) -> Calibration:
    projection, distortion = entries.get("camera_model", "pinhole"), entries.get("distortion_model", "none")
    if projection != "pinhole" or distortion not in _MODELS:
        raise CalibrationError(
            f"{name} is {projection}-{distortion}; pinhole with {', '.join(_MODELS)} is read. Calibrate with pinhole-radtan "
            "or pinhole-equi"
        )
    model, count = _MODELS[distortion]
    fx, fy, cx, cy = numbers(entries["intrinsics"], f"intrinsics of {name}", (4,))
    D = numbers(entries.get("distortion_coeffs", ()), f"distortion_coeffs of {name}", (count,))
    width, height = numbers(entries.get("resolution"), f"resolution of {name}", (2,))
    K = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
    P = (fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0)
    return Calibration(int(width), int(height), K, D, _IDENTITY, P, model)
