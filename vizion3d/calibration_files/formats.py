# SPDX-License-Identifier: Apache-2.0
"""What all formats of calibration files share: what is asked of them, and words for what is none of them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import Any

from vizion3d.errors import CalibrationError

PathLike = str | os.PathLike[str]

FORMS = (
    "camera_calibration YAML or ost.ini, CameraInfo as JSON or from ros2 topic echo, OpenCV FileStorage (M1 D1 M2 D2 R T), "
    "Kalibr camchain, Middlebury calib.txt, KITTI calib.txt or calib_cam_to_cam.txt (vizion3d calib convert makes YAML of them)"
)
# Files that people have beside their images, by what is in them, and what would do instead.
_OTHERS = (
    (r"^\s*T_BS\s*:", "an EuRoC sensor.yaml, which knows its body and no other camera; give a Kalibr camchain of both"),
    (r"\[STEREO\]", "a ZED factory calibration; record camera_info of the ZED node (ros2 topic echo --once) for both cameras"),
    (r'"cameraData"\s*:', "a DepthAI EEPROM calibration; record camera_info of the OAK node for both cameras"),
    (r"^\s*#?\s*CAMERA_ID, MODEL", "a COLMAP cameras.txt, which has no baseline; calibrate the pair"),
    (r"^\s*Camera\.type\s*:", "an ORB-SLAM settings file; give the calibration that it was written from"),
    (r"<robot\b", "a URDF; give the calibration of the cameras"),
    (r"^\s*calib_time:(?![\s\S]*P_rect)", "a KITTI calibration between sensors; give calib_cam_to_cam.txt"),
)
_LIKE_YAML = re.compile(r"^\s*(camera_matrix|projection_matrix|distortion_model|intrinsics)\s*:", re.MULTILINE)


@dataclass(frozen=True)
class Request:
    """What is known about the wanted cameras beside the file.

    Attributes:
        image_size: (width, height) of the images.
        images: where the left and the right image are.
        cameras: numbers of the left and the right camera.
    """

    image_size: tuple[int, int] | None = None
    images: tuple[PathLike, PathLike] | None = None
    cameras: tuple[int, int] | None = None

    def known_size(self) -> tuple[int, int]:
        """The size of the images, for files that do not say it.

        Raises:
            CalibrationError: it is not known.
        """
        if self.image_size is None:
            raise CalibrationError(
                "it does not say the size of its images; make YAML of it with vizion3d calib convert --size W H"
            )
        return self.image_size


def what_else(text: str) -> str:
    """What a text is that no format recognises."""
    if not text.strip():
        return "empty"
    named = next((name for sign, name in _OTHERS if re.search(sign, text, re.MULTILINE)), "no known calibration")
    return f"YAML with a mistake ({mistake})" if (mistake := _yaml_mistake(text)) and _LIKE_YAML.search(text) else named


def yaml_documents(text: str) -> list[dict[str, Any]]:
    """The mappings in a text of YAML documents, or of JSON; none if it is neither."""
    import yaml

    try:
        documents = [json.loads(text)]
    except ValueError:
        try:
            documents = list(yaml.safe_load_all(text))
        except yaml.YAMLError:
            return []
    return [document for document in documents if isinstance(document, dict)]


def _yaml_mistake(text: str) -> str:
    import yaml

    try:
        list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:
        return f"line {error.problem_mark.line + 1}: {error.problem}" if error.problem_mark else str(error.problem)
    except yaml.YAMLError as error:
        return str(error)
    return ""


def numbers(values: Any, name: str, counts: tuple[int, ...] = ()) -> tuple[float, ...]:
    """A sequence of numbers, or of rows of them.

    Args:
        values: as a file has them.
        name: what to call them in messages.
        counts: how many there may be; empty is any.

    Raises:
        CalibrationError: these are no numbers, or not as many.
    """
    try:
        flat = [number for row in values for number in (row if isinstance(row, (list, tuple)) else [row])]
        found = tuple(float(number) for number in flat)
    except (TypeError, ValueError):
        raise CalibrationError(f"{name} is {values!r}; numbers are needed") from None
    if counts and len(found) not in counts:
        raise CalibrationError(f"{name} has {len(found)} numbers; {' or '.join(map(str, counts))} are needed")
    return found
