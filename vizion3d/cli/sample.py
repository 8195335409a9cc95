# SPDX-License-Identifier: Apache-2.0
"""The files of `vizion3d sample`: a drawn stereo pair, raw and rectified, in the forms in which people have theirs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizion3d.camera import Calibration, StereoRig

_LENS = "raw-plumb_bob"
_DEEP_BITS = 12


def write_sample(folder: Path) -> tuple[StereoRig, dict[str, str]]:
    """Draw a room and write it into a folder, which is made if need be.

    Returns:
        The rig of the rectified pair; and what was written: file names, with a few words each.

    Raises:
        InputError: the folder cannot be written.
    """
    import numpy as np

    from vizion3d.calibration_files import camera_yaml
    from vizion3d.cli.files import write_depth_png, write_pfm, write_pixels, write_rgb_png
    from vizion3d.synthetic import default_scene, render_stereo
    from vizion3d.synthetic.benchmark import draw

    raw = draw(_LENS)
    assert raw.rig and raw.raw
    frame, deep = (render_stereo(default_scene(), raw.rig, bits=bits) for bits in (8, _DEEP_BITS))
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"left.png": frame.left, "right.png": frame.right, "left_raw.png": raw.left, "right_raw.png": raw.right}
    for name, rgb in pictures.items():
        write_rgb_png(folder / name, rgb)
    for name, levels in (("l16.png", deep.left), ("r16.png", deep.right)):
        write_pixels(folder / name, levels[..., ::-1])
    write_rgb_png(folder / "room.jpg", frame.left)
    write_pfm(folder / "disp.pfm", np.where(np.isfinite(frame.disparity_px), frame.disparity_px, np.inf))
    write_depth_png(folder / "depth.png", frame.depth_m)
    texts = {
        "calib.txt": _middlebury(raw.rig),
        "camchain.yaml": _kalibr(*raw.raw, raw.rig.baseline_m),
        **{f"{side}.yaml": camera_yaml(camera, side) for side, camera in zip(("left", "right"), raw.raw, strict=True)},
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return raw.rig, {
        "left.png right.png": "a rectified pair",
        "left_raw.png right_raw.png": "the same through lenses, not rectified",
        "l16.png r16.png": f"the rectified pair with {_DEEP_BITS} bits",
        "calib.txt": "calibration of the rectified pair (Middlebury)",
        "left.yaml right.yaml": "calibration of either pair (camera_calibration)",
        "camchain.yaml": "calibration of the raw pair (Kalibr)",
        "disp.pfm": "true disparity of the rectified pair, pixels",
        "depth.png": "its true depth, 16-bit millimetres, 0 = none",
        "room.jpg": "the left picture, for vizion3d mono",
    }


def _middlebury(rig: StereoRig) -> str:
    left, right = (f"[{camera.fx!r} 0 {camera.cx!r}; 0 {camera.fy!r} {camera.cy!r}; 0 0 1]" for camera in (rig.left, rig.right))
    size = f"width={rig.left.width}\nheight={rig.left.height}"
    return f"cam0={left}\ncam1={right}\ndoffs={rig.doffs_px!r}\nbaseline={1000 * rig.baseline_m!r}\n{size}\n"


def _kalibr(left: Calibration, right: Calibration, baseline_m: float) -> str:
    """The chain of two cameras whose R turn their points to the rectified frames, which the baseline is between."""
    import numpy as np

    to_left, to_right = (np.reshape(camera.R, (3, 3)) for camera in (left, right))
    step = np.eye(4)  # of points: from the left to the right camera
    step[:3, :3] = to_right.T @ to_left
    step[:3, 3] = to_right.T @ (-baseline_m, 0, 0)
    lines = []
    for number, camera in enumerate((left, right)):
        fx, _, cx, _, fy, cy, *_ = camera.K
        lines += [f"cam{number}:", "  camera_model: pinhole", f"  intrinsics: {[fx, fy, cx, cy]}"]
        lines += ["  distortion_model: radtan", f"  distortion_coeffs: {list(camera.D[:4])}"]
        lines += [f"  resolution: [{camera.width}, {camera.height}]"]
    return "\n".join([*lines, "  T_cn_cnm1:", *(f"  - {row}" for row in step.tolist())]) + "\n"
