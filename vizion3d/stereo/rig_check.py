# SPDX-License-Identifier: Apache-2.0
"""Is this the calibration of a usual stereo camera? Without looking at the images.

A calibration that is impossible is refused when its `StereoRig` is made; these checks find what is possible but unlikely.
"""

from __future__ import annotations

import math

from vizion3d.camera import Calibration, StereoRig
from vizion3d.stereo.findings import Finding, judge, within

_PLAUSIBLE_BASELINE_M = (0.01, 1.0)
_PLAUSIBLE_FIELD_OF_VIEW_DEG = (15.0, 140.0)
# Distance of the principal point from the image centre, as a part of the image size. P that is divided by a binning of 2 once
# too often has it at 0.25.
_MAX_CENTRE_OFFSET = 0.2
_BINNED_TWICE = (0.2, 0.3)

CALIBRATE = "calibrate the pair anew, or load the calibration that belongs to these cameras"


def check_calibrated_size(calibration: Calibration, image_size: tuple[int, int]) -> Finding:
    """Compare the size that a calibration announces with that of the images, (width, height)."""
    (width, height), announced = image_size, calibration.as_read_out(image_size).image_size
    if 0 in announced or announced == image_size:
        return Finding("ok", "image size", f"{width}x{height}")
    return Finding(
        "warning",
        "image size",
        f"{width}x{height}, calibrated at {announced[0]}x{announced[1]}",
        "taken as the whole image resized; if it is a crop or another mode, calibrate this mode or set roi and binning",
    )


def check_rig(rig: StereoRig) -> list[Finding]:
    """Find what no usual stereo camera has: its field of view, principal point and baseline."""
    camera = rig.left
    field_of_view_deg = 2 * math.degrees(math.atan(camera.width / 2 / camera.fx))
    return [
        judge(
            within(field_of_view_deg, _PLAUSIBLE_FIELD_OF_VIEW_DEG),
            "focal length",
            f"{camera.fx:.6g} px, horizontal field of view {field_of_view_deg:.0f} deg",
            f"the focal length seems to be for another image size: {CALIBRATE}",
        ),
        _check_principal_point(rig),
        judge(
            within(rig.baseline_m, _PLAUSIBLE_BASELINE_M),
            "baseline",
            f"{rig.baseline_m:.4g} m",
            "measure the distance of the lenses; if it is another, the calibration used a wrong unit or size of the squares "
            "(metres are needed, not millimetres) or belongs to another pair",
        ),
    ]


def _check_principal_point(rig: StereoRig) -> Finding:
    camera = rig.left
    across, down = (camera.cx + rig.right.cx) / 2 / camera.width, camera.cy / camera.height
    farthest = max(abs(part - 0.5) for part in (camera.cx / camera.width, rig.right.cx / camera.width, down))
    advice = f"the calibration seems to be for another image size or crop: {CALIBRATE}"
    if within(across, _BINNED_TWICE) and within(down, _BINNED_TWICE):
        advice = (
            "P seems to be divided by the binning twice: P and binning_x, binning_y of CameraInfo must both be of the full "
            "image, or P of the binned one and the binning 0"
        )
    value = f"{farthest:.0%} of the image size from the centre"
    return judge(farthest <= _MAX_CENTRE_OFFSET, "principal point", value, advice)
