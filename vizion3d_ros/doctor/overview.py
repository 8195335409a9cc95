# SPDX-License-Identifier: Apache-2.0
"""What is in a recording for depth: its cameras, what is wrong with them, how large the results will be, the command to run."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from vizion3d.calibration_files import camera_yaml
from vizion3d.errors import InputError, Vizion3dError
from vizion3d_ros import mono_frames, stereo_frames
from vizion3d_ros.bag.job import bytes_a_frame
from vizion3d_ros.bag.plan import INFO, Plan, images_of, make_plan
from vizion3d_ros.bag.prepare import choose_cameras
from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.bag.serialized import deserialize
from vizion3d_ros.camera_topics import CameraTopics, all_cameras, all_pairs
from vizion3d_ros.conversions import calibration_from_camera_info, image_size_wh
from vizion3d_ros.doctor.bag import collect
from vizion3d_ros.doctor.page import Parameter, page
from vizion3d_ros.settings import MonoFrameSettings, StereoFrameSettings

_SECONDS = 10.0  # that the doctor looks at
# Parameters of the node as flags of the command; what is not here says nothing to it.
_FLAGS = {"rectify": "--rectify yes", "approximate_sync_tolerance_seconds": "--tolerance {}", "z_near": "--z-near {}"}


def overview(paths: Sequence[Path], stereo: Sequence[str], mono: Sequence[str], calib_out: Path | None) -> str:
    """One page about a recording.

    Args:
        paths: the recording.
        stereo, mono: topics as for `choose_cameras`; without any, all pairs and cameras are looked at.
        calib_out: folder for the calibrations as camera_calibration YAML; None writes none.

    Raises:
        InputError: there is no recording, or no camera in it.
    """
    where = " ".join(map(str, paths))
    with closing(BagReader(*paths)) as bag:
        parts = [f"{where}: {max(0, bag.end_ns - bag.begin_ns) / 1e9:.1f} s, {len(bag.topics)} topics"]
        for cameras in _chosen(bag, stereo, mono, where):
            parts.append(_camera_text(paths, bag, *cameras) if len(cameras) == 1 else _pair_text(paths, bag, cameras))
            if calib_out is not None:
                parts.append(_write_calibrations(bag, cameras, calib_out))
    return "\n\n".join(parts)


def _chosen(bag: BagReader, stereo: Sequence[str], mono: Sequence[str], where: str) -> list[tuple[CameraTopics, ...]]:
    cameras = all_cameras({name: topic.type_name for name, topic in bag.topics.items()})
    if stereo or mono or not cameras:
        return [choose_cameras(bag, stereo, mono, where)]
    pairs = all_pairs(cameras)
    paired = {name for pair in pairs for name in pair}
    return [(cameras[left], cameras[right]) for left, right in pairs] + [
        (camera,) for name, camera in cameras.items() if name not in paired
    ]


def _pair_text(paths: Sequence[Path], bag: BagReader, cameras: tuple[CameraTopics, ...]) -> str:
    """The doctor's page with the command instead of a parameter file."""
    facts = collect(paths, cameras[0].image, cameras[1].image, _SECONDS)
    flags: list[str] = []

    def command(_: object, parameters: list[Parameter]) -> str:
        flags.extend(_FLAGS[one.name].format(one.value) for one in parameters if one.name in _FLAGS)
        return _command(paths, f"--stereo {' '.join(map(_as_given, cameras))}", flags)

    text = page(facts, command).text
    tolerance_s = next((float(flag.split()[1]) for flag in flags if flag.startswith("--tolerance")), 0.0)
    try:
        plan = make_plan(bag, cameras, tolerance_ns=round(tolerance_s * 1e9))
    except Vizion3dError as error:
        return f"{text}\n\nframes: {error}"
    outputs = dict.fromkeys(stereo_frames.OUTPUTS, "")
    return f"{text}\n{_frames_text(bag, cameras, plan, outputs, StereoFrameSettings())}"


def _camera_text(paths: Sequence[Path], bag: BagReader, camera: CameraTopics) -> str:
    """A camera of its own."""
    try:
        plan = make_plan(bag, [camera])
    except Vizion3dError as error:
        return f"{camera.image}: {error}"
    at = int(plan.frames[-1, 0, INFO])
    calibration = calibration_from_camera_info(plan.info_messages()[at]) if at >= 0 else None
    lens = f"{calibration.distortion_model or 'no lens model'}, f {calibration.K[0]:.6g} px" if calibration else "no CameraInfo"
    outputs = dict.fromkeys(mono_frames.OUTPUTS, "")
    frames = _frames_text(bag, (camera,), plan, outputs, MonoFrameSettings())
    return f"{camera.image}: {lens}\n{_command(paths, f'--mono {_as_given(camera)}', [])}\n{frames}"


def _frames_text(
    bag: BagReader,
    cameras: Sequence[CameraTopics],
    plan: Plan,
    outputs: dict[str, str],
    settings: StereoFrameSettings | MonoFrameSettings,
) -> str:
    """How many frames there are, and how large results are."""
    count = len(plan.frames)
    span_s = (int(plan.frames[-1, 0, 0]) - int(plan.frames[0, 0, 0])) / 1e9
    rate = f", {(count - 1) / span_s:.1f} a second" if span_s else ""
    left_out = f"; {len(plan.skipped)} images without use, the first at {plan.skipped[0]}" if plan.skipped else ""
    _, images = next(images_of(bag, cameras, plan.frames[:1]))
    size_wh = image_size_wh(deserialize(images[0], bag.topics[cameras[0].image].type_name))
    text = f"# {count} frames{rate}{left_out}"
    if plan.damage:
        text += f"\n# it can be read no further than this: {plan.damage}"
    if size_wh is None:
        return text
    sizes = bytes_a_frame(outputs, settings, size_wh)
    depth = next(size for topic, size in sizes.items() if topic.startswith("depth/image"))
    whole, alone = (f"{count * size / 1e9:.3g} GB" for size in (sum(sizes.values()), depth))
    return f"{text}\n# {size_wh[0]}x{size_wh[1]}: results are {whole} in all, {alone} as depth alone"


def _write_calibrations(bag: BagReader, cameras: Sequence[CameraTopics], folder: Path) -> str:
    """Write the last CameraInfo of each camera; what was written."""
    newest = {}
    with suppress(InputError):  # of a damaged recording, which was told
        for topic, _, cdr in bag.recorded({camera.info for camera in cameras if camera.info}):
            newest[topic] = cdr
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for topic, cdr in sorted(newest.items()):
        name = posixpath.dirname(topic).strip("/").replace("/", "_") or "camera"
        calibration = calibration_from_camera_info(deserialize(cdr, bag.topics[topic].type_name))
        (folder / f"{name}.yaml").write_text(camera_yaml(calibration, name), encoding="utf-8")
        written.append(str(folder / f"{name}.yaml"))
    return f"calibration: {', '.join(written) or 'none is in the recording'}"


def _as_given(camera: CameraTopics) -> str:
    """The namespace if that finds it, else image and CameraInfo."""
    return posixpath.dirname(camera.image) if camera.info.startswith(posixpath.dirname(camera.image) + "/") else camera.image


def _command(paths: Sequence[Path], cameras: str, flags: Sequence[str]) -> str:
    return " ".join(("vizion3d bag", *(shlex.quote(str(path)) for path in paths), cameras, *flags, "--out DIR"))
