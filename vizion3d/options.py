# SPDX-License-Identifier: Apache-2.0
"""What a user may choose: every option with its default, range, unit and meaning, once for all doors. Knows no torch.

From these records derive the fields of the Python configurations, the ROS parameters and their YAML files
(`vizion3d_ros.parameters`), the flags of the command (`vizion3d.cli.flags`) and docs/options.md. Options of one matcher or
network form a group named like it: the field ``sgbm`` here, ``sgbm.max_disparity`` as a parameter, ``--sgbm-max-disparity``
as a flag.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from vizion3d.errors import InputError
from vizion3d.option_records import Options, option

# What `StereoDepthCommand` takes: the network of the page that it keeps compatible with, in its smallest size.
PAGE_STEREO_MODEL = "s2m2-s"
# What every other door takes: a robot must start without a download, a GPU or a licence that forbids selling it.
ROBOT_STEREO_MODEL = "sgbm"
# The only size of Depth Anything V2 that anyone may use for anything; the page's and the robot's.
MONO_MODEL = "depth-anything-v2-small"
# What can run a network. All but the first are built ahead, for one size of images.
ENGINES = ("eager", "openvino", "compile", "onnx")


@dataclass(frozen=True)
class ValidityLimits(Options):
    """Which pixels count as measured."""

    z_far: float = option(50.0, "depth from which on pixels are invalid", unit="metres", limits=(0.001, 100000.0))
    conf_threshold: float = option(0.1, "smallest confidence of a valid pixel", limits=(0.0, 1.0))
    occ_threshold: float = option(
        0.5, "smallest visibility of a valid pixel; near 1 is seen by both cameras, 0 is occluded", limits=(0.0, 1.0)
    )
    _: KW_ONLY  # the page's configuration has the others in this order
    z_near: float = option(
        0.0,
        "depth below which pixels are invalid; sgbm searches as near as that. 0 is as near as the search reaches",
        unit="metres",
        limits=(0.0, 20.0),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.z_near >= self.z_far:
            raise InputError(f"z_near is {self.z_near:g} m and z_far is {self.z_far:g} m; z_near must be the smaller one")


@dataclass(frozen=True)
class ImageOptions(Options):
    """How images of more than 8 bits are brought to 8 bits, see `vizion3d.bit_depth`.

    Raises:
        InputError: a value is not legal, or the range is empty.
    """

    image_bits: str = option(
        "auto",
        "how many of their bits images of 10 to 16 bits use; auto goes by what is in the first ones, and only ever widens",
        choices=("auto", *map(str, range(8, 17))),
    )
    image_range: tuple[float, float] = option(
        (0.0, 0.0), "values of images of more than 8 bits that become black and white; 0 and 0 leave it to image_bits"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.image_range
        if high <= low and (low or high):
            raise InputError(
                f"image_range is {self.image_range}; it must be the value that becomes black, then a larger one for white"
            )


@dataclass(frozen=True)
class RunOptions(Options):
    """How a network is executed."""

    device: str = option("auto", "where to compute: auto, cpu, mps, cuda or cuda:N", read_only=True)
    precision: str = option(
        "auto",
        "of a network: auto is float16 on CUDA, else float32",
        choices=("auto", "float32", "float16"),
        read_only=True,
    )
    engine: str = option(
        "eager",
        "what runs a network: torch as it is, or what `vizion3d engine build` has built for the size of the images; where "
        "that is missing or fails, torch as it is",
        choices=ENGINES,
        read_only=True,
    )


@dataclass(frozen=True)
class ProgramOptions(Options):
    """What a process of its own may choose."""

    threads: int = option(
        0, "processor threads that torch and OpenCV may use; 0 is their own default", limits=(0, 1024), read_only=True
    )


@dataclass(frozen=True)
class MonoOptions(ImageOptions, RunOptions):
    """What may be chosen about a single picture at every door, but for the model."""

    input_size: int = option(
        518,
        "shorter side of the image in Depth Anything V2; larger is finer and slower",
        unit="pixels",
        limits=(14, 4096),
        read_only=True,
    )


@dataclass(frozen=True)
class _MonoModel(Options):
    model: str = option(
        MONO_MODEL,
        "weights of Depth Anything V2 or 3: a name from `vizion3d weights list`, a path or an address. Depth is relative (not "
        "metres) unless these are metric weights",
        read_only=True,
    )
    max_depth: float = option(
        0.0,
        "range of metric weights that are not in the registry; 0 takes the registry's, or relative depth",
        unit="metres",
        limits=(0.0, 1000.0),
        read_only=True,
    )


@dataclass(frozen=True)
class RobotMonoOptions(MonoOptions, ProgramOptions, _MonoModel):
    """What may be chosen about a single picture in the command, a node and a recording."""

    rectified: bool = option(False, "the image is rectified: use P of its calibration instead of K and D")


@dataclass(frozen=True)
class SgbmOptions(Options):
    """Options of OpenCV's semi-global matching."""

    max_disparity: int = option(
        0,
        "largest disparity that counts; 0 follows z_near, or is a sixth of the image width",
        unit="pixels",
        limits=(0, 4096),
    )


@dataclass(frozen=True)
class S2M2Options(Options):
    """Options of the S2M2 network."""

    max_size: tuple[int, int] = option(
        (960, 540),
        "width and height to which larger images are reduced, unless scale_factor is set",
        unit="pixels",
        limits=(32, 8192),
        read_only=True,
    )
    refine_iterations: int = option(
        3, "steps of the local refiner; fewer are quicker and coarser", limits=(0, 20), read_only=True
    )
    positivity: bool = option(
        True, "never give a negative disparity; switch off for pairs whose rectification leaves some", read_only=True
    )


@dataclass(frozen=True)
class LAS2Options(Options):
    """Options of the network Lite Any Stereo V2."""

    max_size: tuple[int, int] = option(
        (960, 540),
        "width and height to which larger images are reduced, unless scale_factor is set; smaller measures nearer",
        unit="pixels",
        limits=(32, 8192),
        read_only=True,
    )
    left_right_check: bool = option(
        True,
        "match from the right image too and believe what agrees, in twice the time; without it things that are too near, or "
        "hidden from the right camera, come out wrong unnoticed",
        read_only=True,
    )


@dataclass(frozen=True)
class ScaleOptions(Options):
    """At which size a pair is matched."""

    scale_factor: float = option(
        0.0, "size to match at, as a part of the image size; 0 is as large as the model likes", limits=(0.0, 8.0)
    )


@dataclass(frozen=True)
class StereoOptions(ImageOptions, RunOptions, ScaleOptions, ValidityLimits):
    """What may be chosen about stereo at every door, but for the model."""

    cloud_edge_filter: bool = option(True, "leave pixels that hang between two surfaces out of the point cloud")
    sgbm: SgbmOptions = SgbmOptions()
    s2m2: S2M2Options = S2M2Options()
    las2: LAS2Options = LAS2Options()

    def matching(self) -> dict[str, float | None]:
        """What of this `StereoDepthEstimator.estimate` takes with each pair."""
        return {
            "scale_factor": self.scale_factor or None,
            "max_disparity_px": self.sgbm.max_disparity or None,
            "z_near_m": self.z_near or None,
        }


@dataclass(frozen=True)
class _StereoModel(Options):
    model: str = option(
        ROBOT_STEREO_MODEL,
        "sgbm, which needs no weights and no GPU; or weights of LAS2 (las2-s, las2-m, las2-l) or S2M2 (s2m2-s to s2m2-xl), by "
        "name, path or address",
        read_only=True,
    )


@dataclass(frozen=True)
class RobotStereoOptions(StereoOptions, ProgramOptions, _StereoModel):
    """What may be chosen about stereo in the command, a node and a recording."""
