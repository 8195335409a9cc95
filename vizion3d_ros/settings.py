# SPDX-License-Identifier: Apache-2.0
"""The parameters of the nodes with their defaults. ROS parameters and config/*.yaml are derived from here."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from vizion3d_ros.parameters import parameter, to_yaml


@dataclass(frozen=True)
class CommonSettings:
    """Parameters that every depth node has."""

    device: str = parameter("auto", "where to compute: auto, cpu, mps, cuda or cuda:N", read_only=True)
    threads: int = parameter(
        0, "processor threads that torch and OpenCV may use; 0 is their own default", limits=(0, 1024), read_only=True
    )
    lazy: bool = parameter(True, "subscribe and compute only while somebody listens")
    approximate_sync: bool = parameter(False, "match messages whose stamps are close instead of equal")
    approximate_sync_tolerance_seconds: float = parameter(
        0.01, "largest difference of stamps that still match, with approximate_sync", limits=(0.0, 1.0)
    )
    queue_size: int = parameter(10, "messages a topic may have waiting for their partners", limits=(1, 1000))
    frame_id: str = parameter("", "frame of all outputs; empty is the frame of the image")
    depth_encoding: str = parameter(
        "32FC1", "depth image: metres with NaN, or millimetres with 0 for invalid", choices=("32FC1", "16UC1")
    )
    cloud_organized: bool = parameter(True, "point cloud with the rows and columns of the image, NaN where invalid")
    cloud_decimation: int = parameter(1, "keep every n-th row and column of the point cloud", limits=(1, 64))


@dataclass(frozen=True)
class StereoSettings(CommonSettings):
    """Parameters of stereo_depth_node."""

    model: str = parameter(
        "sgbm",
        "sgbm, which needs no weights and no GPU, or S2M2 weights: s2m2-s, s2m2-m, s2m2-l, s2m2-xl, a path or an address",
        read_only=True,
    )
    precision: str = parameter(
        "auto",
        "of a network: auto is float16 on CUDA, else float32",
        choices=("auto", "float32", "float16"),
        read_only=True,
    )
    z_far: float = parameter(50.0, "depth from which on pixels are invalid, metres", limits=(0.1, 100000.0))
    conf_threshold: float = parameter(0.1, "smallest confidence of a valid pixel", limits=(0.0, 1.0))
    occ_threshold: float = parameter(
        0.5, "smallest visibility of a valid pixel; near 1 is seen by both cameras, 0 is occluded", limits=(0.0, 1.0)
    )
    cloud_edge_filter: bool = parameter(True, "leave pixels that hang between two surfaces out of the point cloud")
    rectification_check_period: float = parameter(
        5.0, "seconds between checks that rows of left and right are aligned; 0 is never", limits=(0.0, 3600.0)
    )


@dataclass(frozen=True)
class MonoSettings(CommonSettings):
    """Parameters of mono_depth_node."""

    model: str = parameter(
        "depth-anything-v2-small",
        "Depth Anything V2 weights: a name from `vizion3d weights list`, a path or an address. Depth is relative (not metres) "
        "unless these are metric weights",
        read_only=True,
    )
    max_depth: float = parameter(
        0.0,
        "range in metres of metric weights that are not in the registry; 0 takes the registry's, or relative depth",
        limits=(0.0, 1000.0),
        read_only=True,
    )
    precision: str = parameter(
        "auto", "auto is float16 on CUDA, else float32", choices=("auto", "float32", "float16"), read_only=True
    )
    input_size: int = parameter(
        518, "shorter side of the image in the network, pixels; larger is finer and slower", limits=(14, 4096), read_only=True
    )
    rectified: bool = parameter(False, "the image is rectified: use P of its CameraInfo instead of K and D")


YAML_FILES = {"mono.yaml": MonoSettings, "stereo.yaml": StereoSettings}


def main() -> None:
    """Write config/*.yaml: ``python -m vizion3d_ros.settings config``."""
    folder = Path(sys.argv[1])
    for name, settings_type in YAML_FILES.items():
        (folder / name).write_text(to_yaml(settings_type), encoding="utf-8")


if __name__ == "__main__":
    main()
