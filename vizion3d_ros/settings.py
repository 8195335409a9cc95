# SPDX-License-Identifier: Apache-2.0
"""The parameters of the nodes with their defaults: all options of the core, and what only ROS has.

ROS parameters, config/*.yaml and docs/options.md are derived from here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from vizion3d.option_records import Options, option
from vizion3d.options import ProgramOptions, RobotMonoOptions, RobotStereoOptions
from vizion3d_ros.parameters import to_markdown, to_yaml


@dataclass(frozen=True)
class MessageSettings(Options):
    """How outputs look as messages, published or recorded."""

    frame_id: str = option("", "frame of all outputs; empty is the frame of the image")
    depth_encoding: str = option(
        "32FC1", "depth image: metres with NaN, or millimetres with 0 for invalid", choices=("32FC1", "16UC1")
    )
    beyond: str = option(
        "nan",
        "what a 32FC1 depth image holds where something was surely matched beyond z_far, or a network sees sky: NaN, or +Inf "
        "(REP 117), by which costmaps clear what is in between. What was not matched is NaN always",
        choices=("nan", "inf"),
    )
    cloud_organized: bool = option(True, "point cloud with the rows and columns of the image, NaN where invalid")
    cloud_decimation: int = option(1, "keep every n-th row and column of the point cloud", limits=(1, 64))
    cloud_voxel: float = option(
        0.0,
        "one point in each cube of this size, the mean of those in it, as a plain list in place of the rows of the image; 0 is "
        "every point",
        unit="metres",
        limits=(0.0, 10.0),
    )


@dataclass(frozen=True)
class CommonSettings(MessageSettings, ProgramOptions):
    """Parameters that every depth node has."""

    autostart: bool = option(
        True, "load the model and begin at once; false: wait for a lifecycle manager to configure and activate", read_only=True
    )
    lazy: bool = option(True, "subscribe and compute only while somebody listens")
    max_rate: float = option(
        0.0,
        "frames a second to work on at most; others are skipped before they are decoded. 0 is all",
        unit="Hz",
        limits=(0.0, 1000.0),
    )
    points_rate: float = option(
        0.0, "point clouds a second to publish at most; 0 is one for each frame", unit="Hz", limits=(0.0, 1000.0)
    )
    image_transport: str = option(
        "raw",
        "images as they are, or as JPEG or PNG on the topic IMAGE/compressed",
        choices=("raw", "compressed"),
        read_only=True,
    )
    approximate_sync: bool = option(False, "match messages whose stamps are close instead of equal")
    approximate_sync_tolerance_seconds: float = option(
        0.01, "largest difference of stamps that still match, with approximate_sync", limits=(0.0, 1.0)
    )
    sync_queue_seconds: float = option(
        1.0, "how much later than its partner an image may arrive; so much of each camera is kept", limits=(0.01, 60.0)
    )
    queue_size: int = option(100, "images a topic may have waiting for their partners, at most", limits=(1, 1000))


@dataclass(frozen=True)
class StereoFrameSettings(MessageSettings, RobotStereoOptions):
    """What a stereo frame becomes."""

    rectify: bool = option(
        False,
        "true: take left/image_raw and right/image_raw and rectify them by K, D, R and P of their CameraInfo; false: take "
        "left/image_rect and right/image_rect",
        read_only=True,
    )


@dataclass(frozen=True)
class StereoSettings(CommonSettings, StereoFrameSettings):
    """Parameters of stereo_depth_node."""

    rectification_check_period: float = option(
        5.0,
        "seconds between checks of the pair: rows, order, exposure, range and what else ruins depth; 0 is never",
        limits=(0.0, 3600.0),
    )
    hold_when_wrong: bool = option(
        False, "publish nothing while the check finds every pixel wrong: images exchanged, unrectified or of one camera"
    )


@dataclass(frozen=True)
class MonoFrameSettings(MessageSettings, RobotMonoOptions):
    """What a mono frame becomes."""


@dataclass(frozen=True)
class MonoSettings(CommonSettings, MonoFrameSettings):
    """Parameters of mono_depth_node."""


YAML_FILES: dict[str, type[Options]] = {"mono.yaml": MonoSettings, "stereo.yaml": StereoSettings}


def options_page() -> str:
    """The text of docs/options.md."""
    return (
        "# Options\n\n"
        "Generated from the code: `make config`. The parameters of the nodes; those with a flag are also options of the\n"
        "command `vizion3d` and, by the same names, of `StereoDepthAdvancedConfig` and `DepthEstimationAdvanceConfig`.\n"
        "An option of a model that is not running has no effect, and the log says so.\n"
        f"\n## stereo\n\n{to_markdown(StereoSettings, RobotStereoOptions)}"
        f"\n## mono\n\n{to_markdown(MonoSettings, RobotMonoOptions)}"
    )


def main() -> None:
    """Write config/*.yaml and docs/options.md: ``python -m vizion3d_ros.settings``, in the folder of the repository."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, settings_type in YAML_FILES.items():
        (root / "config" / name).write_text(to_yaml(settings_type), encoding="utf-8")
    (root / "docs" / "options.md").write_text(options_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
