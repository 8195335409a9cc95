# SPDX-License-Identifier: Apache-2.0
"""Sizes, resizing and normalisation around the Depth Anything V2 network."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vizion3d.errors import InputError
from vizion3d.lifting.models.depth_anything import network_size, prepare_image, resize_depth

SIZES = [
    ((480, 640), 518, (518, 686)),
    ((640, 480), 518, (686, 518)),
    ((720, 1280), 518, (518, 924)),
    ((1080, 1920), 518, (518, 924)),
    ((2160, 3840), 518, (518, 924)),
    ((518, 518), 518, (518, 518)),
    ((100, 100), 518, (518, 518)),
    ((1, 1), 518, (518, 518)),
    ((240, 320), 518, (518, 686)),
    ((376, 1241), 518, (518, 1708)),
    ((1242, 2208), 518, (518, 924)),
    ((518, 525), 518, (518, 532)),  # 37.5 and 38.5 patches: halves round to even
    ((518, 539), 518, (518, 532)),
    ((517, 519), 518, (518, 518)),
    ((480, 640), 392, (392, 518)),
    ((480, 640), 1036, (1036, 1386)),
    ((480, 640), 505, (518, 672)),
    ((480, 640), 511, (518, 686)),
    ((480, 640), 512, (518, 686)),
    ((60, 83), 70, (70, 98)),
]


@pytest.mark.parametrize(("size", "input_size", "expected"), SIZES)
def test_network_size(size, input_size, expected):
    assert network_size(*size, input_size) == expected


@given(height=st.integers(1, 5000), width=st.integers(1, 5000), input_size=st.integers(1, 1100))
def test_network_size_is_on_the_patch_grid_and_bounded_on_both_sides(height, width, input_size):
    try:
        size = network_size(height, width, input_size)
    except InputError:
        assert max(height, width) / min(height, width) > 2  # only strips are refused at these input sizes
        return
    assert all(side % 14 == 0 for side in size)
    assert input_size <= min(size) < input_size + 14
    assert size[0] * size[1] <= 16384 * 14 * 14


@pytest.mark.parametrize("size", [(0, 640), (480, 0), (-1, 5)])
def test_empty_picture_is_refused(size):
    with pytest.raises(InputError, match=rf"picture is {size[0]} x {size[1]} px.*at least 1"):
        network_size(*size)


@pytest.mark.parametrize("input_size", [0, -518])
def test_impossible_input_size_is_refused(input_size):
    with pytest.raises(InputError, match=rf"input_size is {input_size}; .*positive"):
        network_size(480, 640, input_size)


def test_strip_is_refused_and_the_advised_input_size_is_the_largest_that_works():
    with pytest.raises(InputError, match=r"518 x 10360 px, 27380 patches.*crop.*input_size=392 or less"):
        network_size(100, 2000)
    assert network_size(100, 2000, 392) == (392, 7840)
    with pytest.raises(InputError):
        network_size(100, 2000, 406)


def test_picture_too_long_at_any_input_size_is_to_be_cropped():
    with pytest.raises(InputError, match=r"are allowed: crop the picture$"):
        network_size(1, 20000)


@pytest.mark.parametrize(("size", "input_size"), [((90, 120), 140), ((300, 400), 140), ((140, 140), 140)])
def test_prepared_picture_is_the_cubic_resize_of_the_float_picture(size, input_size):
    """White noise overshoots [0, 1], so clamping, antialiasing or resizing the bytes would all be seen."""
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    height, width = network_size(*size, input_size)
    expected = cv2.resize(image / 255, (width, height), interpolation=cv2.INTER_CUBIC)
    expected = (expected - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    found = prepare_image(torch.from_numpy(image), (height, width))
    assert found.shape == (1, 3, height, width)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), expected, atol=1e-3)


def test_one_pixel_becomes_a_constant_picture():
    found = prepare_image(torch.tensor([[[0, 128, 255]]], dtype=torch.uint8), (28, 28))
    expected = (np.array([0, 128, 255]) / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), np.broadcast_to(expected, (1, 28, 28, 3)), atol=1e-5)


@pytest.mark.parametrize(
    ("image", "described"),
    [
        (torch.zeros(4, 5, 3), r"\(4, 5, 3\) float32"),
        (torch.zeros(4, 5, dtype=torch.uint8), r"\(4, 5\) uint8"),
        (torch.zeros(4, 5, 4, dtype=torch.uint8), r"\(4, 5, 4\) uint8"),
        (torch.zeros(1, 4, 5, 3, dtype=torch.uint8), r"\(1, 4, 5, 3\) uint8"),
        (torch.zeros(0, 5, 3, dtype=torch.uint8), r"\(0, 5, 3\) uint8"),
    ],
)
def test_unusable_picture_is_refused(image, described):
    with pytest.raises(InputError, match=rf"picture is {described}; .*\(H, W, 3\) uint8"):
        prepare_image(image, (28, 28))


def test_depth_keeps_its_corners_and_is_linear_between_them():
    depth = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]], dtype=torch.float16)
    found = resize_depth(depth, (3, 5))
    assert found.dtype == torch.float32
    expected = 2 * torch.linspace(0, 1, 3)[:, None] + torch.linspace(0, 1, 5)
    torch.testing.assert_close(found, expected[None])


def test_depth_of_picture_size_is_unchanged():
    depth = torch.rand(2, 14, 28, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resize_depth(depth, (14, 28)), depth)
