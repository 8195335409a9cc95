# SPDX-License-Identifier: Apache-2.0
"""How far a matcher looks, and from which disparity on a match is too near.

What is nearer than a matcher looks does not come out empty: it is matched with something far, and confidently, since both
images show that other thing too. So a matcher looks further than is promised, and what it finds there is too near.
"""

from __future__ import annotations

import math

from vizion3d.camera import StereoRig
from vizion3d.errors import InputError

# In windows cut from real pairs, 7 to 50 % of what was beyond the range came out valid and too far; with this, 0 to 3 %.
BEYOND_PX = 32
"""How much further than promised a matcher looks, in pixels of the images it matches."""


def wanted_disparity(rig: StereoRig, max_disparity_px: float | None, z_near_m: float | None) -> float | None:
    """Largest disparity that counts, in pixels of the rig's images.

    Args:
        rig: of the images.
        max_disparity_px: what the user asks for, if anything.
        z_near_m: nearest depth that the user asks for, if any.

    Returns:
        max_disparity_px if it is given, else the disparity of z_near_m; None if neither is given.

    Raises:
        InputError: max_disparity_px does not reach z_near_m, or reaches nothing at all.
    """
    focal_baseline = rig.left.fx * rig.baseline_m
    of_z_near = None if z_near_m is None else focal_baseline / z_near_m - rig.doffs_px
    if max_disparity_px is None:
        return of_z_near
    corrected = max_disparity_px + rig.doffs_px
    if corrected <= 0:
        raise InputError(
            f"max_disparity is {max_disparity_px:g} px, but with this rig a point at infinity has {-rig.doffs_px:g} px; "
            "it must be more, or 0 for the default"
        )
    if z_near_m is not None and of_z_near is not None and of_z_near > max_disparity_px:
        raise InputError(
            f"z_near is {z_near_m:g} m, but a max_disparity of {max_disparity_px:g} px ends at "
            f"{focal_baseline / corrected:.3g} m; use max_disparity {math.ceil(of_z_near)}, or 0 to follow z_near"
        )
    return max_disparity_px
