# SPDX-License-Identifier: Apache-2.0
import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from vizion3d.errors import InputError, MissingImageError
from vizion3d.images import load_rgb

RGB = np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8)
GRAY = RGB[..., 0]
EXIF_ORIENTATION = 0x0112


def encode(image: PIL.Image.Image, file_format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


PNG = encode(PIL.Image.fromarray(RGB))


@pytest.fixture
def png(tmp_path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(PNG)
    return path


def test_every_form_of_a_picture_gives_the_same_array(png):
    forms = [png, str(png), PNG, bytearray(PNG), memoryview(PNG), RGB, PIL.Image.fromarray(RGB), PIL.Image.open(png)]
    for form in forms:
        loaded = load_rgb(form)
        assert loaded.dtype == np.uint8
        assert loaded.flags.c_contiguous
        np.testing.assert_array_equal(loaded, RGB)


def test_gray_is_repeated_and_alpha_dropped():
    gray = np.repeat(GRAY[..., None], 3, axis=2)
    alpha = np.dstack((RGB, np.full_like(GRAY, 7)))
    for form in (GRAY, GRAY[..., None], PIL.Image.fromarray(GRAY), encode(PIL.Image.fromarray(GRAY))):
        np.testing.assert_array_equal(load_rgb(form), gray)
    for form in (alpha, PIL.Image.fromarray(alpha), encode(PIL.Image.fromarray(alpha))):
        np.testing.assert_array_equal(load_rgb(form), RGB)


def test_palettes_are_resolved():
    two_colors = np.array([[0, 0, 255], [255, 0, 0]], dtype=np.uint8)[(GRAY > 128).astype(int)]
    palette = PIL.Image.fromarray(two_colors).quantize(2)
    np.testing.assert_array_equal(load_rgb(encode(palette)), two_colors)


def test_16_bits_keep_their_upper_8():
    deep = np.array([[0, 255, 256], [0x1234, 0x8000, 0xFFFF]], dtype=np.uint16)
    upper = np.repeat(np.array([[0, 0, 1], [0x12, 0x80, 0xFF]], dtype=np.uint8)[..., None], 3, axis=2)
    for form in (
        deep,
        PIL.Image.fromarray(deep),
        encode(PIL.Image.fromarray(deep)),
        encode(PIL.Image.fromarray(deep), "TIFF"),
    ):
        np.testing.assert_array_equal(load_rgb(form), upper)
    color = np.dstack((deep, deep, deep + np.uint16(256)))
    np.testing.assert_array_equal(load_rgb(color), color // 256)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].swapaxes(0, 1)),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_exif_orientation_is_applied(orientation, upright):
    exif = PIL.Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    turned = encode(PIL.Image.fromarray(RGB), exif=exif)
    for form in (turned, PIL.Image.open(io.BytesIO(turned))):
        loaded = load_rgb(form)
        np.testing.assert_array_equal(loaded, upright(RGB))
        assert loaded.flags.c_contiguous


def test_views_are_read_right():
    np.testing.assert_array_equal(load_rgb(RGB[::2, ::-1]), RGB[::2, ::-1])
    np.testing.assert_array_equal(load_rgb(np.asfortranarray(RGB)), RGB)


def test_missing_files_are_told_by_name(tmp_path):
    for path in (tmp_path / "nowhere.png", str(tmp_path / "nowhere.png")):
        with pytest.raises(MissingImageError, match=r"left_image: there is no file .*nowhere\.png") as info:
            load_rgb(path, "left_image")
        assert isinstance(info.value, FileNotFoundError) and isinstance(info.value, ValueError)


def test_files_that_are_no_pictures_are_told_by_name(tmp_path):
    (tmp_path / "notes.png").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    for path in (tmp_path / "notes.png", tmp_path / "empty.png", tmp_path):
        with pytest.raises(InputError, match=f"right: .*{path.name} cannot be decoded as a picture"):
            load_rgb(path, "right")
    for raw in (b"", b"not a picture", memoryview(b"abc")):
        with pytest.raises(InputError, match=f"image: {len(raw)} bytes cannot be decoded as a picture"):
            load_rgb(raw)


@pytest.mark.parametrize("wrong", ["x" * 5000, "a\0b"], ids=["too long", "null byte"])
def test_text_that_is_no_path_is_refused(wrong):
    # A common mistake: the base64 text of a picture.
    with pytest.raises(InputError, match="image: "):
        load_rgb(wrong)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP"])
def test_damaged_files_are_refused_or_read_whatever_the_damage(file_format):
    PIL.Image.init()
    if file_format not in PIL.Image.SAVE:
        pytest.skip(f"this Pillow writes no {file_format}")
    whole = encode(PIL.Image.fromarray(RGB), file_format)
    rng = np.random.default_rng(1)
    refused = 0
    for attempt in range(60):
        damaged = bytearray(whole[: rng.integers(1, len(whole))] if attempt % 2 else whole)
        for place in rng.integers(0, min(len(damaged), 300), rng.integers(1, 6)):
            damaged[place] = rng.integers(256)
        try:
            assert load_rgb(bytes(damaged)).shape[2] == 3
        except InputError:
            refused += 1
    assert refused > 0


def test_decoders_that_give_up_are_reported_as_bad_input():
    dds = bytearray(encode(PIL.Image.fromarray(RGB), "DDS"))
    dds[80:84] = bytes(4)  # no pixel format: Pillow raises NotImplementedError
    with pytest.raises(InputError, match=r"cannot be decoded as a picture \(.*pixel format"):
        load_rgb(bytes(dds))


def test_truncated_pil_images_are_refused():
    large = encode(PIL.Image.fromarray(np.random.default_rng(2).integers(0, 256, (60, 60, 3), dtype=np.uint8)))
    with pytest.raises(InputError, match=r"left: .*truncated"):
        load_rgb(PIL.Image.open(io.BytesIO(large[:4000])), "left")


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_empty_pil_images_are_refused(size):
    with pytest.raises(InputError, match="^left(:| is)"):
        load_rgb(PIL.Image.new("RGB", size), "left")


@pytest.mark.parametrize("wrong", [None, 7, 1.5, [[1, 2], [3, 4]], object()])
def test_things_that_are_no_pictures_are_refused(wrong):
    with pytest.raises(InputError, match=f"left_image is a {type(wrong).__name__}; a path, the bytes of a picture file"):
        load_rgb(wrong, "left_image")


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((5, 5), np.float32),
        ((5, 5, 3), np.int32),
        ((5, 5), bool),
        ((5, 5, 2), np.uint8),
        ((5, 5, 5), np.uint8),
        ((5,), np.uint8),
        ((1, 5, 5, 3), np.uint8),
        ((0, 5, 3), np.uint8),
        ((5, 0), np.uint16),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(shape, dtype):
    with pytest.raises(InputError, match=r"left is an array of shape \(.*\) and type .*; \(H, W\), \(H, W, 3\) RGB or"):
        load_rgb(np.zeros(shape, dtype), "left")


def test_a_very_large_picture_is_refused_with_a_way_out():
    picture = encode(PIL.Image.new("1", (14000, 14000)))
    with pytest.raises(InputError, match=r"left: .* too large \(.*196000000.*\); scale it down, or decode it and"):
        load_rgb(picture, "left")
