# SPDX-License-Identifier: Apache-2.0
"""Flying pixels of blurred edges go, surfaces stay: steep ones, curved ones, thin ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from vizion3d.camera import PinholeCamera
from vizion3d.stereo.flying_pixels import remove_flying_pixels
from vizion3d.synthetic import Box, Plane, Scene, Sphere, Texture, default_scene, render

CAMERA = PinholeCamera(320, 240, 262.5, 262.5, 159.5, 119.5)
GREY = Texture((128, 128, 128), (128, 128, 128))
WALL = Plane((0, 0, 5), (0, 0, -1), GREY)
POLES = tuple(Box((x, 0, 2), (width, 4, 0.005), GREY) for x, width in ((-0.8, 0.008), (0, 0.016), (0.8, 0.024)))
GRAZING = (
    Plane((0, 0.25, 0), (0, -1, 0), GREY),
    Plane((2, 0, 0), (-1, 0, 0.02), GREY),
    Plane((0, 0, 40), (0, 0, -1), GREY),
)
SCENES = {
    "room": default_scene(),
    "sphere": Scene((WALL, Sphere((0, 0, 1.5), 0.4, GREY))),
    "box": Scene((*GRAZING, Box((0, 0, 2), (0.6, 0.5, 0.6), GREY, 0.4))),
}


def true_depth(scene: Scene) -> torch.Tensor:
    return torch.from_numpy(render(scene, CAMERA).depth_m).float()


def box_blurred(image: torch.Tensor, size: int) -> torch.Tensor:
    padded = F.pad(image[None], (size // 2,) * 4, mode="replicate")
    return F.avg_pool2d(padded, size, stride=1)[0]


def upsampled(image: torch.Tensor, factor: int) -> torch.Tensor:
    small = image[None, None, factor // 2 :: factor, factor // 2 :: factor]
    return F.interpolate(small, size=image.shape, mode="bilinear")[0, 0]


def relative_error_to_nearby_surfaces(depth_m: torch.Tensor, truth_m: torch.Tensor, radius: int = 4) -> torch.Tensor:
    """Smallest relative distance of each depth from any true depth around it."""
    size = 2 * radius + 1
    around = F.unfold(F.pad(truth_m[None, None], (radius,) * 4, mode="replicate"), size).view(-1, *truth_m.shape)
    return (around / depth_m - 1).abs().amin(dim=0)


DAMAGE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "depth blurred over 3": lambda depth_m: box_blurred(depth_m, 3),
    "depth blurred over 5": lambda depth_m: box_blurred(depth_m, 5),
    "disparity blurred over 3": lambda depth_m: 1 / box_blurred(1 / depth_m, 3),
    "disparity blurred over 5": lambda depth_m: 1 / box_blurred(1 / depth_m, 5),
    "disparity upsampled 4 times": lambda depth_m: 1 / upsampled(1 / depth_m, 4),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("scene", ["room", "sphere"])
def test_flying_pixels_go_and_true_ones_stay(scene: str, damage: str) -> None:
    truth_m = true_depth(SCENES[scene])
    depth_m = DAMAGE[damage](truth_m)
    flying = relative_error_to_nearby_surfaces(depth_m, truth_m) > 0.05
    true = (depth_m / truth_m - 1).abs() < 0.01
    assert flying.sum() > 500
    removed = remove_flying_pixels(depth_m).isnan()
    assert removed[flying].float().mean() > 0.9
    assert removed[true].float().mean() < 0.01


@pytest.mark.parametrize(("scene", "share"), [("room", 0.01), ("sphere", 0), ("box", 0)])
def test_sharp_scenes_are_left_alone(scene: str, share: float) -> None:
    # The room has slanted sides of boxes that are 3 pixels wide, which are no different from a blurred edge.
    removed = remove_flying_pixels(true_depth(SCENES[scene])).isnan()
    assert removed.float().mean() <= share


def test_grazing_planes_are_left_alone_up_to_the_horizon() -> None:
    depth_m = true_depth(Scene(GRAZING))
    assert depth_m.max() / depth_m.min() > 30
    assert not remove_flying_pixels(depth_m).isnan().any()


@pytest.mark.parametrize("transposed", [False, True])
def test_poles_of_one_to_three_pixels_stay(transposed: bool) -> None:
    depth_m = true_depth(Scene((WALL, *POLES)))
    depth_m = depth_m.T if transposed else depth_m
    pole = depth_m < 3
    assert pole.sum() >= 6 * 240
    assert not remove_flying_pixels(depth_m).isnan().any()


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("mirrored", [False, True])
def test_ramps_between_two_walls_are_removed_and_nothing_else(width: int, mirrored: bool) -> None:
    inverse = torch.full((20, 40), 0.5)
    inverse[:, 20:] = 0.25
    inverse[:, 20 : 20 + width] = torch.linspace(0.5, 0.25, width + 2)[1:-1]
    inverse = inverse.flip(1) if mirrored else inverse
    on_ramp = (inverse != 0.5) & (inverse != 0.25)
    assert torch.equal(remove_flying_pixels(1 / inverse).isnan(), on_ramp)
    assert torch.equal(remove_flying_pixels(1 / inverse.T).isnan(), on_ramp.T)


def test_scale_does_not_matter() -> None:
    depth_m = box_blurred(true_depth(SCENES["sphere"]), 3)
    assert torch.equal(remove_flying_pixels(depth_m).isnan(), remove_flying_pixels(64 * depth_m).isnan())


def test_the_rest_is_unchanged_and_the_input_untouched() -> None:
    depth_m = box_blurred(true_depth(SCENES["sphere"]), 3)
    depth_m[:, :50] = torch.nan
    before = depth_m.clone()
    cleaned = remove_flying_pixels(depth_m)
    kept = ~cleaned.isnan()
    assert torch.equal(cleaned[kept], depth_m[kept])
    assert cleaned[:, :50].isnan().all()
    assert torch.equal(depth_m.nan_to_num(), before.nan_to_num())


def test_surface_with_holes_is_kept() -> None:
    depth_m = true_depth(Scene(GRAZING))
    holes = torch.rand(depth_m.shape, generator=torch.Generator().manual_seed(0)) < 0.05
    depth_m[holes] = torch.nan
    assert (remove_flying_pixels(depth_m).isnan() & ~holes).float().mean() < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (3, 5)])
def test_small_maps(shape: tuple[int, int]) -> None:
    assert torch.equal(remove_flying_pixels(torch.ones(shape)), torch.ones(shape))
