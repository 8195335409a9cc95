# SPDX-License-Identifier: Apache-2.0
"""What is computed fast is, bit for bit, what the plain formula says, on random maps and on every number that is a nuisance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.geometry import depth_from_disparity, unproject
from vizion3d.options import ValidityLimits
from vizion3d.stereo import Reason, StereoPrediction
from vizion3d.stereo.flying_pixels import remove_flying_pixels

HEIGHT, WIDTH = 41, 67
LIMITS = ValidityLimits(z_near=0.7, z_far=9.0, conf_threshold=0.3, occ_threshold=0.6)
NUISANCES = (math.nan, -math.nan, math.inf, -math.inf, 0.0, -0.0, -3.0, 1e-45, 1e-38, 3e38, 0.3, 0.6, 0.7, 9.0)


def numbers(seed: int, low: float, high: float) -> torch.Tensor:
    """Even seeds: smooth between the limits, with noise. Odd ones: half of all are nuisances."""
    rng = np.random.default_rng(seed)
    values = np.linspace(low, high, WIDTH) + rng.normal(0, 0.02 * (high - low), (HEIGHT, WIDTH))
    if seed % 2:
        values = np.where(rng.random(values.shape) < 0.5, rng.choice(NUISANCES, values.shape), values)
    return torch.from_numpy(values.astype(np.float32))


def prediction_of(seed: int, doffs_px: float, *, certain: bool) -> StereoPrediction:
    rig = StereoRig(PinholeCamera(WIDTH, HEIGHT, 50, 51, 33.5, 20.0), 0.1, doffs_px)
    certainties = [numbers(seed + 2 * i, 0, 1).flip(1) for i in (1, 2)] if certain else [None, None]
    unmatched = torch.from_numpy(np.random.default_rng(seed).integers(0, 7, (HEIGHT, WIDTH), dtype=np.uint8))
    return StereoPrediction(
        numbers(seed, 0.2, 30), *certainties, rig, 6.5 if certain else None, 0.1, unmatched if certain else None
    )


def same_bytes(ours: torch.Tensor, plain: torch.Tensor) -> None:
    assert (ours.shape, ours.dtype) == (plain.shape, plain.dtype)
    assert ours.contiguous().numpy().tobytes() == plain.contiguous().numpy().tobytes()


def plain_depth(disparity_px: torch.Tensor, rig: StereoRig) -> torch.Tensor:
    corrected = disparity_px + rig.doffs_px
    depth_m = rig.left.fx * rig.baseline_m / corrected
    return torch.where((corrected > 0) & torch.isfinite(corrected) & torch.isfinite(depth_m), depth_m, torch.nan)


def plain_sure(p: StereoPrediction) -> torch.Tensor:
    return torch.isfinite(p.disparity_px) & (p.confidence is None or p.confidence >= LIMITS.conf_threshold)


def plain_valid(p: StereoPrediction) -> torch.Tensor:
    depth_m = plain_depth(p.disparity_px, p.rig)
    valid = plain_sure(p) & (depth_m >= LIMITS.z_near) & (depth_m < LIMITS.z_far)
    if p.max_disparity_px is not None:
        valid &= p.disparity_px <= p.max_disparity_px
    return valid if p.visibility is None else valid & (p.visibility >= LIMITS.occ_threshold)


def plain_reason(p: StereoPrediction) -> torch.Tensor:
    reason = torch.full(p.disparity_px.shape, int(Reason.LOW_CONFIDENCE), dtype=torch.uint8)
    if p.unmatched is not None:
        seen = torch.zeros_like(p.disparity_px) if p.visibility is None else p.visibility
        known = (p.unmatched == Reason.NO_TEXTURE) | ((p.unmatched == Reason.BORDER) & (seen == 0))
        reason[known] = p.unmatched[known]
    sure = plain_sure(p)
    reason[sure] = int(Reason.TOO_FAR)
    reason[sure & (plain_depth(p.disparity_px, p.rig) < p.nearest_m(LIMITS))] = int(Reason.TOO_NEAR)
    if p.visibility is not None:
        not_seen = p.visibility < LIMITS.occ_threshold
        outside = (p.unmatched == Reason.BORDER) | (torch.arange(WIDTH) - p.disparity_px < 0)
        reason[not_seen] = int(Reason.HIDDEN)
        reason[not_seen & outside] = int(Reason.BORDER)
    reason[plain_valid(p)] = int(Reason.VALID)
    return reason


def plain_flying(depth_m: torch.Tensor, dim: int) -> torch.Tensor:
    """By the words of `remove_flying_pixels`, along one dimension."""
    inverse = F.pad(depth_m.reciprocal()[None], (6,) * 4, mode="replicate")[0]

    def at(offset: int) -> torch.Tensor:
        v, u = (offset, 0) if dim == 0 else (0, offset)
        return inverse[6 + v : 6 + v + depth_m.shape[0], 6 + u : 6 + u + depth_m.shape[1]]

    before, after = at(0) - at(-1), at(1) - at(0)
    step = (before > 0.02 * at(-1)) & (after > 0.02 * at(0)) | (before < -0.02 * at(-1)) & (after < -0.02 * at(0))
    carried = torch.zeros_like(step)
    for side in (-3, 3):
        carried |= ((at(side + 3) - at(side)) - (at(side) - at(side - 3))).abs() <= 0.04 * at(side)
    return step & ~carried


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("doffs_px", [0.0, -2.5, 3.0])
@pytest.mark.parametrize("certain", [True, False])
def test_depth_masks_and_reasons(seed, doffs_px, certain):
    prediction = prediction_of(seed, doffs_px, certain=certain)
    depth_m = plain_depth(prediction.disparity_px, prediction.rig)
    same_bytes(depth_from_disparity(prediction.disparity_px, prediction.rig), depth_m)
    valid = plain_valid(prediction)
    assert 0 < valid.sum() < valid.numel()
    same_bytes(prediction.valid(LIMITS), valid)
    same_bytes(prediction.masked_depth(LIMITS), torch.where(valid, depth_m, torch.nan))
    same_bytes(prediction.reason(LIMITS), plain_reason(prediction))
    sure = plain_sure(prediction)
    same_bytes(prediction.sure(LIMITS), sure if not certain else sure & (prediction.visibility >= LIMITS.occ_threshold))


@pytest.mark.parametrize("seed", range(6))
def test_flying_pixels(seed):
    depth_m = numbers(seed, 0.7, 9)
    flying = plain_flying(depth_m, 0) | plain_flying(depth_m, 1)
    assert flying.any()
    same_bytes(remove_flying_pixels(depth_m), depth_m.masked_fill(flying, torch.nan))


@pytest.mark.parametrize("seed", range(4))
def test_points(seed):
    camera, depth_m = PinholeCamera(WIDTH, HEIGHT, 50, 51, 33.5, 20.0), numbers(seed, 0.7, 9)
    right = (torch.arange(WIDTH, dtype=torch.float32) - camera.cx) / camera.fx
    up = (camera.cy - torch.arange(HEIGHT, dtype=torch.float32)[:, None]) / camera.fy
    same_bytes(unproject(depth_m, camera), torch.stack((right * depth_m, up * depth_m, -depth_m), dim=-1))


def test_a_mask_that_is_written_to_changes_no_other():
    prediction = prediction_of(0, 0.0, certain=True)
    prediction.valid(LIMITS).fill_(False)
    same_bytes(prediction.valid(LIMITS), plain_valid(prediction))


def test_depth_keeps_its_gradient():
    disparity_px = torch.tensor([2.0, -1.0], requires_grad=True)
    depth_from_disparity(disparity_px, prediction_of(0, 0.0, certain=True).rig).nansum().backward()
    assert disparity_px.grad.tolist() == [-5 / 4, 0]
