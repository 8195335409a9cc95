# SPDX-License-Identifier: Apache-2.0
"""Pictures of more than 8 bits lose nothing that can be seen, whatever their container."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest

from vizion3d.bit_depth import LevelRange, Levels
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.images import load_rgb, load_rgb_pair
from vizion3d.options import ImageOptions, StereoOptions
from vizion3d.stereo import StereoDepthEstimator

EIGHT_BITS = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)


def deepened(pixels: np.ndarray, bits: int) -> np.ndarray:
    """The same picture from a camera of more bits, whose additional ones are noise."""
    noise = np.random.default_rng(1).integers(0, 1 << (bits - 8), pixels.shape)
    return ((pixels.astype(np.uint16) << (bits - 8)) + noise).astype(np.uint16)


def encoded(pixels: np.ndarray, ending: str = ".png") -> bytes:
    """A picture file from grey, RGB or RGBA of any depth."""
    if pixels.dtype == np.int32:  # which older OpenCV does not write
        PIL.Image.fromarray(pixels).save(file := io.BytesIO(), ending[1:])
        return file.getvalue()
    lossless = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if ending == ".tiff" else []  # older OpenCV's own choice for floats is not
    ok, data = cv2.imencode(ending, pixels[..., [2, 1, 0, 3][: pixels.shape[2]]] if pixels.ndim == 3 else pixels, lossless)
    assert ok
    return data.tobytes()


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_bits_that_are_used_are_found(bits, caplog):
    levels = Levels()
    (found,) = levels.to_8_bit(deepened(EIGHT_BITS, bits))
    np.testing.assert_array_equal(found, EIGHT_BITS)
    assert f"{bits} bits, 0 to {2**bits - 1} (to fix that: image_bits {bits})" in caplog.text


@pytest.mark.parametrize("bits", range(8, 17))
def test_the_bits_that_the_user_says_are_taken(bits):
    for given in (bits, str(bits)):
        (found,) = Levels(ImageOptions(given)).to_8_bit(deepened(EIGHT_BITS // 4, bits))
        np.testing.assert_array_equal(found, EIGHT_BITS // 4)


def test_8_bit_pictures_are_left_alone():
    levels = Levels(ImageOptions(12, (3, 7)))
    assert levels.to_8_bit(EIGHT_BITS)[0] is EIGHT_BITS
    assert levels.range is None


def test_a_thermal_picture_keeps_its_levels():
    scene = np.linspace(21000, 22500, 60 * 80).reshape(60, 80).astype(np.uint16)
    (found,) = Levels().to_8_bit(scene)
    assert len(np.unique(found)) > 200
    assert (np.diff(found.ravel().astype(int)) >= 0).all()  # nothing wraps around
    (given,) = Levels(ImageOptions(image_range=(21000, 22500))).to_8_bit(scene)
    assert (given.min(), given.max(), len(np.unique(given))) == (0, 255, 256)


def test_what_is_outside_of_a_range_is_black_or_white():
    pixels = np.array([[0, 99, 100, 355, 356, 65535]], np.uint16)
    np.testing.assert_array_equal(LevelRange(100, 355).to_8_bit(pixels), [[0, 0, 0, 255, 255, 255]])
    np.testing.assert_array_equal(LevelRange(0, 4095).to_8_bit(np.array([[4095, 4096, 65535]], ">u2")), [[255, 255, 255]])


def test_some_dead_pixels_do_not_spoil_a_picture():
    pixels = deepened(EIGHT_BITS, 12)
    pixels[17, 22], pixels[40, 3] = 65535, 0
    (found,) = Levels().to_8_bit(pixels)
    assert (found != EIGHT_BITS).sum() <= 2


def test_both_pictures_of_a_pair_get_one_range():
    bright, dark = deepened(EIGHT_BITS, 12), deepened(EIGHT_BITS // 4, 12)
    for pair in ((bright, dark), (dark, bright)):
        found = Levels().to_8_bit(*pair)
        for pixels, original in zip(found, pair, strict=True):
            np.testing.assert_array_equal(pixels, original >> 4)
    left, right = load_rgb_pair(encoded(dark), encoded(bright))
    np.testing.assert_array_equal(left[..., 0], dark >> 4)
    np.testing.assert_array_equal(right[..., 0], bright >> 4)


def test_a_stream_only_ever_widens_and_says_so(caplog):
    levels = Levels()
    dark, bright = deepened(EIGHT_BITS // 4, 12), deepened(EIGHT_BITS, 12)
    levels.to_8_bit(dark)
    assert levels.range == LevelRange(0, 1023)
    np.testing.assert_array_equal(levels.to_8_bit(bright)[0], EIGHT_BITS)
    np.testing.assert_array_equal(levels.to_8_bit(dark)[0], EIGHT_BITS // 4)
    assert [record.getMessage() for record in caplog.records] == [
        "images of more than 8 bits taken as 10 bits, 0 to 1023 (to fix that: image_bits 10)",
        "images of more than 8 bits widened to 12 bits, 0 to 4095 (to fix that: image_bits 12)",
    ]


def test_a_stream_begins_anew_under_other_options():
    levels = Levels()
    levels.to_8_bit(deepened(EIGHT_BITS, 12))
    assert levels.under(ImageOptions()) is levels
    assert levels.under(StereoOptions(z_far=3.0)) is levels
    assert levels.under(ImageOptions(14)).range is None


def test_a_thermal_stream_that_drifts_seldom_widens(caplog):
    levels = Levels()
    scene = np.linspace(0, 1500, 60 * 80).reshape(60, 80)
    for moment in range(100):
        found = levels.to_8_bit((21000 + 5 * moment + scene).astype(np.uint16))[0]
    assert len(caplog.records) <= 4
    assert found.max() <= 255 and len(np.unique(found)) > 150


def test_a_covered_lens_decides_nothing():
    levels = Levels()
    for covered in (np.zeros((60, 80), np.uint16), np.full((60, 80), 30000, np.uint16)):
        levels.to_8_bit(covered)
        assert levels.range is None
    levels.to_8_bit(np.linspace(21000, 22500, 60 * 80).reshape(60, 80).astype(np.uint16))
    narrow = levels.range
    levels.to_8_bit(np.zeros((60, 80), np.uint16))
    assert levels.range == narrow


@pytest.mark.parametrize("bits", [7, 17, "12 bits", None, -8])
def test_impossible_bits_are_refused(bits):
    with pytest.raises(InputError, match="image_bits is .*; it must be"):
        ImageOptions(bits)


@pytest.mark.parametrize("wrong", [(5, 5), (7, 3), (1,), (1, 2, 3), (0, float("nan")), ("a", "b"), 4])
def test_impossible_ranges_are_refused(wrong):
    with pytest.raises(InputError, match="image_range is .*; it must be"):
        ImageOptions(image_range=wrong)


# --- files ---

RGB = np.random.default_rng(2).integers(0, 256, (60, 80, 3), dtype=np.uint8)


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_files_of_all_kinds(ending, bits, tmp_path):
    for pixels in (EIGHT_BITS, RGB):
        data = encoded(deepened(pixels, bits), ending)
        (tmp_path / f"deep{ending}").write_bytes(data)
        for form in (data, tmp_path / f"deep{ending}", PIL.Image.open(io.BytesIO(data))):
            np.testing.assert_array_equal(load_rgb(form), load_rgb(pixels))


@pytest.mark.skipif(not hasattr(PIL.Image, "Resampling"), reason="this Pillow reads portable maps of 8 bits alone")
def test_deep_portable_pixmaps():
    np.testing.assert_array_equal(load_rgb(encoded(deepened(RGB, 16), ".ppm")), RGB)
    data = b"P6\n80 60\n100\n" + (RGB.astype(int) * 100 // 255).astype(np.uint8).tobytes()
    assert np.abs(load_rgb(data).astype(int) - RGB).max() <= 3


def test_alpha_of_deep_colour_is_dropped():
    deep = deepened(RGB, 12)
    alpha = np.full_like(deep[..., :1], 65535)
    np.testing.assert_array_equal(load_rgb(encoded(np.dstack((deep, alpha)))), RGB)


def test_deep_colour_is_turned_upright():
    data = encoded(deepened(RGB, 12))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    chunk = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    after_header = 33
    turned = data[:after_header] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    np.testing.assert_array_equal(load_rgb(turned + data[after_header:]), np.rot90(RGB, -1))


def test_float_pictures_from_0_to_1_are_scaled():
    floats = EIGHT_BITS.astype(np.float32) / 255
    for data in (encoded(floats, ".tiff"), encoded(floats.astype(np.float64), ".tiff"), PIL.Image.fromarray(floats)):
        np.testing.assert_array_equal(load_rgb(data)[..., 0], EIGHT_BITS)
    np.testing.assert_array_equal(load_rgb(encoded(RGB.astype(np.float32) / 255, ".tiff")), RGB)


def test_dim_float_pictures_are_not_black():
    dim = load_rgb(encoded(EIGHT_BITS.astype(np.float32) / 255 / 100, ".tiff"))[..., 0]
    assert np.abs(dim.astype(int) - EIGHT_BITS).max() <= 2


def test_other_numbers_are_refused_unless_their_range_is_given():
    floats, words = EIGHT_BITS.astype(np.float32) * 3 - 20, EIGHT_BITS.astype(np.int32) * 1000
    for pixels, what in ((floats, "floats from -20 to 745"), (words, "whole numbers from 0 to 255000")):
        with pytest.raises(InputError, match=f"left: the picture holds {what}; .*image_range"):
            load_rgb(encoded(pixels, ".tiff"), "left")
    found = load_rgb(encoded(floats, ".tiff"), options=ImageOptions(image_range=(-20, 745)))
    assert np.abs(found[..., 0].astype(int) - EIGHT_BITS).max() <= 1
    found = load_rgb(encoded(words, ".tiff"), options=ImageOptions(image_range=(0, 255000)))
    np.testing.assert_array_equal(found[..., 0], EIGHT_BITS)


def test_32_bit_pictures_of_16_bits_are_scaled():
    for bits in (12, 16):
        data = encoded(deepened(EIGHT_BITS, bits).astype(np.int32), ".tiff")
        np.testing.assert_array_equal(load_rgb(data)[..., 0], EIGHT_BITS)


def test_floats_without_a_number_are_refused():
    with pytest.raises(InputError, match="no finite value"):
        load_rgb(encoded(np.full((6, 8), np.nan, np.float32), ".tiff"))


def test_a_disparity_map_is_no_picture(tmp_path):
    path = tmp_path / "disp0.pfm"
    cv2.imwrite(str(path), EIGHT_BITS.astype(np.float32))
    for form in (path, path.read_bytes()):
        with pytest.raises(InputError, match="left: .*PFM file, a map of disparities or depths"):
            load_rgb(form, "left")


def test_the_real_disparity_map_is_no_picture(data):
    with pytest.raises(InputError, match=r"disp_left\.pfm .*PFM file, a map of disparities"):
        load_rgb(data / "stereo/sceneflow_0/disp_left.pfm")


# --- depth ---


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_real_pairs_match_as_well_as_with_8_bits(data, bits):
    folder = data / "stereo/wood2"
    views = [cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE) for name in ("view1.png", "view5.png")]
    truth = cv2.imread(str(folder / "disp1.png"), cv2.IMREAD_UNCHANGED) / 2.0
    height, width = truth.shape
    rig = StereoRig(PinholeCamera(width, height, 1870, 1870, width / 2, height / 2), 0.16)

    def bad_2_percent(left: np.ndarray, right: np.ndarray) -> float:
        disparity_px = StereoDepthEstimator("sgbm").estimate(left, right, rig).disparity_px.numpy()
        answered = np.isfinite(disparity_px) & (truth > 0)
        assert answered.mean() > 0.7
        return 100 * (np.abs(disparity_px - truth)[answered] > 2).mean()

    usual = bad_2_percent(*load_rgb_pair(*views))
    deep = bad_2_percent(*load_rgb_pair(*(encoded(deepened(view, bits)) for view in views)))
    assert abs(deep - usual) < 0.3
