# SPDX-License-Identifier: Apache-2.0
"""OpenCV's FileStorage (YAML, XML or JSON) with the names of its stereo sample: M1 D1 M2 D2, R T, R1 R2 P1 P2."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from vizion3d.calibration_files.extrinsics import check_length, with_rectification
from vizion3d.calibration_files.formats import Request, numbers
from vizion3d.camera import Calibration
from vizion3d.errors import CalibrationError

# What the same thing is called.
_NAMES = {
    "M1": ("M1", "K1", "cameraMatrix1", "camera_matrix_1", "camera_matrix_left"),
    "M2": ("M2", "K2", "cameraMatrix2", "camera_matrix_2", "camera_matrix_right"),
    "D1": ("D1", "distCoeffs1", "dist_coeffs_1", "distortion_coefficients_left"),
    "D2": ("D2", "distCoeffs2", "dist_coeffs_2", "distortion_coefficients_right"),
    "M": ("camera_matrix", "Camera_Matrix", "cameraMatrix", "M", "K"),
    "D": ("distortion_coefficients", "Distortion_Coefficients", "distCoeffs", "D"),
}
_KNOWN = re.compile(rf"""^\s*["<]?({"|".join((*sum(_NAMES.values(), ()), "R", "T", "P1", "P2"))})\b""", re.MULTILINE)
_SIZES = ("image_size", "imageSize", "size", "image_Size")
_SIDES = (("image_width", "image_height"), ("image_Width", "image_Height"), ("width", "height"))
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def recognises(text: str) -> bool:
    """Whether the text is a FileStorage with one of these names."""
    return "opencv-matrix" in text and _KNOWN.search(text) is not None


def parse(text: str, request: Request) -> list[Calibration]:
    """The pair, or the camera, of one file. See `parse_together`."""
    return parse_together([text], request)


def parse_together(texts: list[str], request: Request) -> list[Calibration]:
    """The pair that one file, or that of the intrinsics and that of the extrinsics, describes; or single cameras.

    Raises:
        CalibrationError: something is missing, no number, or not in metres.
    """
    storages = [_entries(text) for text in texts]
    single = [storage for storage in storages if _get(storage, "M") is not None]
    if single:
        return [_camera(storage, "M", "D", request) for storage in single]
    entries = {name: value for storage in storages for name, value in storage.items()}
    left, right = (_camera(entries, f"M{i}", f"D{i}", request, i) for i in (1, 2))
    if all(name in entries for name in ("R1", "R2", "P1", "P2")):
        return [left, right]
    missing = [name for name in ("R", "T") if name not in entries]
    if missing:
        raise CalibrationError(f"{missing[0]} is missing: R and T, or R1 R2 P1 P2, say where the cameras are")
    rotation = np.reshape(numbers(entries["R"], "R", (9,)), (3, 3))
    return with_rectification(left, right, rotation, np.array(numbers(entries["T"], "T", (3,))))


def _camera(entries: dict[str, Any], matrix: str, distortion: str, request: Request, number: int = 0) -> Calibration:
    K = _get(entries, matrix)
    if K is None:
        raise CalibrationError(f"{matrix} is missing; M1 D1 M2 D2 and R T, or camera_matrix of one camera, are needed")
    K = numbers(K, matrix, (9,))
    D = numbers(_get(entries, distortion) or (), distortion)
    R: tuple[float, ...] = _IDENTITY
    P: tuple[float, ...] = (*K[0:3], 0.0, *K[3:6], 0.0, *K[6:9], 0.0)
    if f"P{number}" in entries and f"R{number}" in entries:
        R, P = numbers(entries[f"R{number}"], f"R{number}", (9,)), numbers(entries[f"P{number}"], f"P{number}", (12,))
        check_length(abs(P[3] / P[0]) if P[0] else 0.0)
    width, height = _size(entries) or request.known_size()
    return Calibration(width, height, K, D, R, P, "plumb_bob" if len(D) <= 5 else "rational_polynomial")


def _size(entries: dict[str, Any]) -> tuple[int, int] | None:
    for name in _SIZES:
        if name in entries:
            width, height = numbers(entries[name], name, (2,))
            return int(width), int(height)
    for sides in _SIDES:
        if all(side in entries for side in sides):
            return int(entries[sides[0]]), int(entries[sides[1]])
    return None


def _get(entries: dict[str, Any], name: str) -> Any:
    return next((entries[alias] for alias in _NAMES[name] if alias in entries), None)


def _entries(text: str) -> dict[str, Any]:
    """Matrices and sequences as lists, single values as numbers or text."""
    import cv2

    try:
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        root = storage.root()
        return {name: _value(root.getNode(name)) for name in root.keys()}  # noqa: SIM118 - it is no mapping
    except cv2.error as error:
        raise CalibrationError(f"OpenCV cannot read its FileStorage ({' '.join(str(error).split())[-120:]})") from None


def _value(node: Any) -> Any:
    if node.isMap():
        matrix = node.mat()
        return None if matrix is None else matrix.ravel().tolist()
    if node.isSeq():
        return [node.at(i).real() for i in range(node.size())]
    return node.string() if node.isString() else node.real()
