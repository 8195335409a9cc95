# SPDX-License-Identifier: Apache-2.0
"""Pairs with truth on disk -> `StereoCase`: single files, the folders of the usual benchmarks, lists in YAML."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vizion3d.calibration_files import load_stereo_rig
from vizion3d.camera import StereoRig
from vizion3d.errors import InputError
from vizion3d.evaluate.cases import StereoCase
from vizion3d.evaluate.maps import Encoding, disparity_from_depth, read_map, read_values
from vizion3d.evaluate.visibility import left_right_check
from vizion3d.images import load_rgb

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class PairFiles:
    """The files of a pair and its truth.

    Attributes:
        name: short, for tables.
        left, right: rectified images.
        truth: map of the left image.
        encoding: of the maps; None where the file says it all.
        truth_right: map of the right image, from which follows what both cameras see.
        mask: 8-bit picture whose brightest pixels are those that both cameras see (Middlebury's and ETH3D's mask0nocc.png),
            or a map of 16 bits or floats with the truth of just those (KITTI's disp_noc).
        calib: calibration files, see `load_stereo_rig`; empty if there are none.
    """

    name: str
    left: PathLike
    right: PathLike
    truth: PathLike
    encoding: Encoding | None = None
    truth_right: PathLike | None = None
    mask: PathLike | None = None
    calib: tuple[PathLike, ...] = ()

    def load(self) -> StereoCase:
        """Read the files.

        Raises:
            InputError: a file is missing or cannot be read, or sizes differ.
            CalibrationError: the calibration is not one of the pair.
        """
        left, right = load_rgb(self.left, "LEFT"), load_rgb(self.right, "RIGHT")
        height, width = left.shape[:2]
        _check_size(self.right, right, self.left, left)
        rig = load_stereo_rig([*self.calib], (width, height)) if self.calib else None
        truth_px = self._disparity(self.truth, rig)
        _check_size(self.truth, truth_px, self.left, left)
        return StereoCase(self.name, left, right, truth_px, self._visible(truth_px, rig), rig)

    def _disparity(self, path: PathLike, rig: StereoRig | None) -> np.ndarray:
        values, encoding = read_map(path, self.encoding)
        return values if encoding.kind == "disparity" else disparity_from_depth(values, rig, path)

    def _visible(self, truth_px: np.ndarray, rig: StereoRig | None) -> np.ndarray | None:
        if self.mask is not None:
            mask = read_values(self.mask)
            _check_size(self.mask, mask, self.truth, truth_px)
            return mask == mask.max() if mask.dtype == np.uint8 else np.isfinite(mask) & (mask > 0)
        if self.truth_right is None:
            return None
        right_px = self._disparity(self.truth_right, rig)
        _check_size(self.truth_right, right_px, self.truth, truth_px)
        return left_right_check(truth_px, right_px)


@dataclass(frozen=True)
class _Layout:
    """How a data set names the files of a pair in a folder of its own.

    Attributes:
        full_height: of the data set's full-size images if its maps have 8 bits: they hold the disparity of the full size.
    """

    left: str
    right: str
    truth: str
    truth_right: str = ""
    mask: str = ""
    full_height: int | None = None


_LAYOUTS = (
    _Layout("im0.png", "im1.png", "disp0GT.pfm", mask="mask0nocc.png"),  # Middlebury 2014 for evaluation, ETH3D
    _Layout("im0.png", "im1.png", "disp0.pfm", "disp1.pfm"),  # Middlebury 2014, 2021
    _Layout("im2.png", "im6.png", "disp2.png", "disp6.png", full_height=1500),  # Middlebury 2003
    _Layout("view1.png", "view5.png", "disp1.png", "disp5.png", full_height=1110),  # Middlebury 2005, 2006
    _Layout("aloeL.jpg", "aloeR.jpg", "aloeGT.png", full_height=1110),  # one of them, as OpenCV brings it
    _Layout("left.png", "right.png", "disp_left.pfm", "disp_right.pfm"),
)
# KITTI 2015 and 2012: one folder a kind of file, all files of one name.
_KITTI = (("image_2", "image_3", "disp_occ_0", "disp_noc_0"), ("colored_0", "colored_1", "disp_occ", "disp_noc"))


def find_pairs(path: PathLike) -> list[PairFiles]:
    """The pairs of a folder (of one pair, of folders of pairs, or KITTI's) or of a YAML list, sorted by name.

    A list is a sequence of entries with the fields of `PairFiles`, of which name and all after truth may be missing; paths
    are relative to the list.

    Raises:
        InputError: there is no pair with truth.
    """
    place = Path(path)
    if place.suffix.lower() in (".yaml", ".yml"):
        return _listed_pairs(place)
    if not place.is_dir():
        raise InputError(f"{path} is no folder and no YAML list of pairs")
    pairs = _kitti_pairs(place) or [pair for folder in [place, *sorted(place.iterdir())] for pair in _pair_of(folder)]
    if not pairs:
        names = "; ".join(f"{layout.left} {layout.right} {layout.truth}" for layout in _LAYOUTS)
        raise InputError(
            f"{path} holds no pair with truth; known are folders with {names}; or KITTI's {' '.join(_KITTI[0])}. "
            "Name other files in a YAML list (left, right, truth, encoding)"
        )
    return pairs


def _pair_of(folder: Path) -> list[PairFiles]:
    for layout in _LAYOUTS:
        if not all((folder / name).is_file() for name in (layout.left, layout.right, layout.truth)):
            continue
        truth_right, mask, calib = (_existing(folder, name) for name in (layout.truth_right, layout.mask, "calib.txt"))
        encoding = None
        if layout.full_height:
            divisor = round(layout.full_height / read_values(folder / layout.truth).shape[0])
            encoding = Encoding("disparity", max(1, divisor))
        files = (folder / layout.left, folder / layout.right, folder / layout.truth)
        return [PairFiles(folder.resolve().name, *files, encoding, truth_right, mask, (calib,) if calib else ())]
    return []


def _existing(folder: Path, name: str) -> Path | None:
    return folder / name if name and (folder / name).is_file() else None


def _kitti_pairs(folder: Path) -> list[PairFiles]:
    for left, right, truth, mask in _KITTI:
        if all((folder / name).is_dir() for name in (left, right, truth)):
            return [
                PairFiles(
                    file.stem,
                    folder / left / file.name,
                    folder / right / file.name,
                    file,
                    Encoding("disparity", 256),
                    mask=_existing(folder / mask, file.name),
                )
                for file in sorted((folder / truth).glob("*.png"))
            ]
    return []


def _listed_pairs(file: Path) -> list[PairFiles]:
    import yaml

    try:
        entries = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"the list {file} cannot be read: {error}".replace("\n", " ")) from None
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{file} is no list of pairs; each entry needs left, right and truth")
    return [_listed_pair(file, number, entry) for number, entry in enumerate(entries, 1)]


def _listed_pair(file: Path, number: int, entry: Any) -> PairFiles:
    known = PairFiles.__dataclass_fields__
    if not isinstance(entry, dict) or not {"left", "right", "truth"} <= entry.keys() <= known.keys():
        raise InputError(
            f"entry {number} of {file} is {entry!r}; it needs left, right and truth, and may have {', '.join(known)}"
        )
    encoding, calib = entry.pop("encoding", None), entry.pop("calib", [])
    name = entry.pop("name", Path(entry["left"]).parent.name or Path(entry["left"]).stem)
    paths = {key: file.parent / value for key, value in entry.items()}
    calib_paths: Sequence[PathLike] = [file.parent / path for path in ([calib] if isinstance(calib, str) else calib)]
    return PairFiles(str(name), **paths, encoding=Encoding.parse(str(encoding)) if encoding else None, calib=tuple(calib_paths))


def _check_size(path: PathLike, pixels: np.ndarray, reference: PathLike, reference_pixels: np.ndarray) -> None:
    (height, width), (reference_height, reference_width) = pixels.shape[:2], reference_pixels.shape[:2]
    if (height, width) != (reference_height, reference_width):
        raise InputError(
            f"{path} is {width}x{height} but {reference} is {reference_width}x{reference_height}; they must be equal"
        )
