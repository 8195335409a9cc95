# SPDX-License-Identifier: Apache-2.0
"""vizion3d mono IMAGE...: depth PNG, coloured PNG and point cloud of single pictures."""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vizion3d.cli.flags import add_option_flags, in_flags, read_options
from vizion3d.options import RobotMonoOptions
from vizion3d.runtime.threads import set_threads

if TYPE_CHECKING:
    from vizion3d.camera import Calibration
    from vizion3d.lifting import MonoDepthEstimator

_LOG = logging.getLogger(__name__)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("mono", help="depth of single pictures", description=__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="pictures")
    add_option_flags(parser, RobotMonoOptions)
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        "--calib",
        metavar="FILE",
        help="calibration in any format that `vizion3d calib` reads; without any of these three the field of view is guessed, "
        "and models that take their metres from it are refused",
    )
    camera.add_argument("--fov", type=float, metavar="DEGREES", help="horizontal field of view of the pictures, undistorted")
    camera.add_argument("--focal", choices=("exif",), help="exif: the focal length that the camera wrote into each picture")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the results (default: this one)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Estimate each picture and write its files; 1 if one of several pictures failed."""
    from vizion3d.calibration_files import load_calibration
    from vizion3d.errors import InputError, Vizion3dError
    from vizion3d.lifting import MonoDepthEstimator

    options = read_options(arguments, RobotMonoOptions)
    set_threads(options.threads)
    calibration = load_calibration(arguments.calib) if arguments.calib else None
    if arguments.fov is not None and not 0 < arguments.fov < 180:
        raise InputError(f"--fov is {arguments.fov:g}; it must be between 0 and 180 degrees")
    estimator = MonoDepthEstimator.open(options.model, options, max_depth_m=options.max_depth or None)
    if calibration is None and arguments.fov is None and arguments.focal is None:
        estimator.require_camera(None, "give --calib FILE, --fov DEGREES or --focal exif")
    print(estimator.describe())
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    stems: set[str] = set()
    for number, image in enumerate(arguments.images, 1):
        show_progress(number - 1, len(arguments.images))
        try:
            shot = _Shot(image, calibration, arguments.fov, arguments.focal == "exif")
            line = _estimate_one(shot, estimator, options, arguments.out / _unused_stem(image, stems))
        except Vizion3dError as error:
            if len(arguments.images) == 1:
                raise
            failed += 1
            line = f"{image}: skipped: {in_flags(str(error))}"
        show_progress(None, 0)
        print(line)
    return 1 if failed else 0


def _unused_stem(image: str, stems: set[str]) -> str:
    """The name of a picture without its ending, numbered if another one has it."""
    stem, number = Path(image).stem, 1
    while stem in stems:
        number += 1
        stem = f"{Path(image).stem}_{number}"
    stems.add(stem)
    return stem


@dataclass(frozen=True)
class _Shot:
    """A picture and what was said of its camera.

    Attributes:
        image: path of the picture.
        calibration: of the camera, None if there is none.
        fov_deg: horizontal field of view instead, None if there is none.
        by_exif: the picture itself says its focal length.
    """

    image: str
    calibration: Calibration | None
    fov_deg: float | None
    by_exif: bool

    def camera(self, size_wh: tuple[int, int]) -> tuple[Calibration | None, str]:
        """The camera of the picture of this size, None if nothing was said; and words about where its focal length is from."""
        from vizion3d import exif
        from vizion3d.lifting import DepthEstimationAdvanceConfig

        if self.calibration or not (self.fov_deg or self.by_exif):
            return self.calibration, ""
        if self.by_exif:
            focal_px, source = exif.focal_px(self.image, size_wh), "EXIF"
        else:
            assert self.fov_deg
            focal_px, source = size_wh[0] / 2 / math.tan(math.radians(self.fov_deg) / 2), f"{self.fov_deg:g} degrees"
        calibration = DepthEstimationAdvanceConfig(fx=focal_px, fy=focal_px).calibration(*size_wh)
        return calibration, f", focal length {focal_px:.1f} px by {source}"


def _estimate_one(shot: _Shot, estimator: MonoDepthEstimator, options: RobotMonoOptions, out: Path) -> str:
    """Write the files of a picture, whose names begin with `out`; a line that says what was found."""
    import numpy as np

    from vizion3d.cli.files import write_depth_png, write_pictures
    from vizion3d.images import load_rgb
    from vizion3d.lens_rays import kept_rays, pinhole_part, wide_lens_trouble
    from vizion3d.lifting import DepthEstimationAdvanceConfig
    from vizion3d.visualize import album

    rgb = load_rgb(shot.image, shot.image, options)
    height, width = rgb.shape[:2]
    calibration, focal = shot.camera((width, height))
    raw = calibration and estimator.needs_camera and not options.rectified
    if raw and (trouble := wide_lens_trouble(calibration, (width, height))):
        _LOG.warning("%s: %s", shot.image, trouble)
    start = time.perf_counter()
    camera = pinhole_part(calibration, (width, height), rectified=options.rectified) if calibration else None
    prediction = estimator.estimate(rgb, camera)
    depth_m = prediction.depth_m.cpu().numpy()
    seconds = time.perf_counter() - start

    assumed = DepthEstimationAdvanceConfig().calibration(width, height)
    rays = kept_rays(calibration or assumed, (width, height), options.rectified)
    write_depth_png(Path(f"{out}_depth.png"), depth_m)
    cloud = prediction.point_cloud(rgb, rays)
    cloud.write_ply(f"{out}_cloud.ply")
    dense = cloud.dense()
    pictures = album(rgb, depth_m=depth_m, cloud=(dense.points, dense.colors), metric=prediction.is_metric)
    write_pictures(out.parent, out.name, pictures)
    found = "the same depth everywhere"
    if np.isfinite(depth_m).any():
        unit = "m" if prediction.is_metric else "pseudo-metres"
        found = f"{np.nanmin(depth_m):.2f} to {np.nanmax(depth_m):.2f} {unit}"
    return f"{shot.image}: {width}x{height}{focal}, {found}, {1e3 * seconds:.0f} ms -> {out}_*"


def show_progress(done: int | None, total: int) -> None:
    """A progress bar on standard error, if that is a terminal and there is more than one thing to do; None wipes it."""
    if not sys.stderr.isatty():
        return
    if done is None:
        sys.stderr.write("\r\033[K")
    elif total > 1:
        bar = "#" * round(30 * done / total)
        sys.stderr.write(f"\r[{bar:30}] {done}/{total}")
    sys.stderr.flush()
