"""One file to one array: modes, transparency, orientation, 16 bits, animation, large JPEGs."""

import struct

import numpy as np
import pytest
from PIL import Image

from pga_tf.core import photo

RED_LEFT = np.zeros((8, 8, 3), np.uint8)
RED_LEFT[:, :4] = (200, 40, 40)
RED_LEFT[:, 4:] = (40, 40, 200)


def decode(image, path, shape=(8, 8, 3), crop=0, **save):
    image.save(path, **save)
    return photo.decode(path, shape, crop=crop)


HOLDS = {
    "jpg": "RGB CMYK L",
    "png": "RGB P RGBA L 1",
    "tif": "RGB P RGBA L 1 CMYK",
    "bmp": "RGB P L 1",
    "gif": "RGB P L 1",
    "webp": "RGB RGBA L",
}


@pytest.mark.parametrize(("extension", "mode"), [(e, m) for e, modes in HOLDS.items() for m in modes.split()])
def test_formats_and_modes(tmp_path, extension, mode):
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(extension, {})
    picture = Image.fromarray(RED_LEFT).convert(mode)
    decoded = decode(picture, tmp_path / f"x.{extension}", **options)
    assert decoded.shape == (8, 8, 3)
    assert decoded.dtype == np.uint8
    # JPEG rounds, in all four channels of CMYK.
    np.testing.assert_allclose(decoded.astype(int), np.asarray(picture.convert("RGB")).astype(int), atol=3)


def test_transparency_is_put_on_white(tmp_path):
    rgba = np.concatenate([RED_LEFT, np.full((8, 8, 1), 255, np.uint8)], axis=2)
    rgba[:, 4:, 3] = 0
    rgba[0, :4, 3] = 128
    decoded = decode(Image.fromarray(rgba), tmp_path / "x.png")
    assert np.all(decoded[:, 4:] == 255)
    assert np.all(decoded[1:, :4] == (200, 40, 40))
    np.testing.assert_allclose(decoded[0, :4], np.tile([227, 147, 147], (4, 1)), atol=1)
    grey = decode(Image.fromarray(rgba).convert("LA"), tmp_path / "y.png", shape=(8, 8, 1))
    assert np.all(grey[:, 4:] == 255)
    palette = Image.fromarray(np.repeat(np.uint8([[0, 1]]), 8, 0).repeat(4, 1), "P")
    palette.putpalette([200, 40, 40, 0, 0, 0])
    decoded = decode(palette, tmp_path / "z.png", transparency=1)
    assert np.all(decoded[:, 4:] == 255)
    assert np.all(decoded[:, :4] == (200, 40, 40))


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, extension):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    decoded = decode(Image.fromarray(ramp), tmp_path / f"x.{extension}", shape=(8, 8, 1))
    np.testing.assert_allclose(decoded[..., 0], ramp / 257, atol=0.5)
    assert photo.header(tmp_path / f"x.{extension}") == ((8, 8), False)


def test_float_pixels_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"float values in \[0, 0\], whose range is not known; pass --value_range=0,1"):
        decode(Image.fromarray(np.zeros((8, 8), np.float32)), tmp_path / "x.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_upright_whatever_the_camera_s_orientation(tmp_path, orientation):
    upright = np.zeros((4, 6, 3), np.uint8)
    upright[0], upright[:, 0] = 250, 120
    rotated = {  # what the sensor stores when "turn by EXIF" gives `upright`
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(rotated))
    np.testing.assert_array_equal(decode(image, tmp_path / "x.png", shape=(4, 6, 3), exif=exif), upright)
    assert photo.header(tmp_path / "x.png") == ((4, 6), True)


def test_animations_give_their_first_frame(tmp_path):
    frames = [Image.fromarray(RED_LEFT), Image.new("RGB", (8, 8), "green")]
    decoded = decode(frames[0], tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(decoded.astype(int), RED_LEFT, atol=3)


def test_the_centre_is_cropped_and_resized(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    picture, path = Image.fromarray(image), tmp_path / "x.png"
    np.testing.assert_array_equal(decode(picture, path, (10, 10, 3), crop=10), image[5:15, 10:20])
    np.testing.assert_array_equal(decode(picture, path, (20, 20, 3)), image[:, 5:25])
    np.testing.assert_array_equal(decode(picture, path, (20, 30, 3)), image)
    resized = np.asarray(picture.crop((5, 0, 25, 20)).resize((7, 7), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(decode(picture, path, (7, 7, 3)), resized)
    with pytest.raises(ValueError, match="20 x 30 pixels, smaller than --crop=21"):
        photo.decode(path, (8, 8, 3), crop=21)


def test_a_large_jpeg_decoded_at_reduced_scale_differs_little(tmp_path):
    y, x = np.mgrid[:640, :800] / 100
    image = np.stack([np.sin(x * y), np.sin(3 * x), np.cos(2 * y)], -1)
    picture = Image.fromarray((127 + 120 * image).astype(np.uint8))
    reduced = decode(picture, tmp_path / "x.jpg", (32, 32, 3), quality=95).astype(int)
    with Image.open(tmp_path / "x.jpg") as whole:
        full = whole.crop((80, 0, 720, 640)).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.abs(reduced - np.asarray(full)).max() <= 8


def tiff(path, bands, extra=None):
    """Writes a 4-band TIFF of 8 bits with the tag ExtraSamples as given, as no library that we depend on does."""
    height, width, count = bands.shape
    values = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [8] * count), (259, 3, [1]), (262, 3, [2]), (273, 4, [8]),
        (277, 3, [count]), (278, 4, [height]), (279, 4, [bands.size]),
    ]  # fmt: skip
    values += [] if extra is None else [(338, 3, [extra])]
    start = 8 + bands.size
    beyond, entries = b"", b""
    for tag, kind, numbers in values:
        packed = b"".join(struct.pack("<H" if kind == 3 else "<I", number) for number in numbers)
        if len(packed) > 4:
            place = start + 2 + 12 * len(values) + 4 + len(beyond)
            beyond += packed
            packed = struct.pack("<I", place)
        entries += struct.pack("<HHI", tag, kind, len(numbers)) + packed.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<I", start)
    path.write_bytes(head + bands.tobytes() + struct.pack("<H", len(values)) + entries + struct.pack("<I", 0) + beyond)
    return path


@pytest.mark.parametrize(("extra", "bright"), [(None, False), (None, True), (0, False), (0, True), (2, False)])
def test_a_fourth_band_that_is_no_transparency_is_left_out(tmp_path, extra, bright):
    bands = np.random.default_rng(0).integers(20, 90, (8, 8, 4), np.uint8)
    if bright:  # as clouds and meadows are in near infrared: as transparency would be, which the file does not say
        bands[:4, :, 3], bands[4:, :, 3] = 255, 0
    picture = photo.read(tiff(tmp_path / "x.tif", bands, extra), (8, 8, 3), crop=0)
    np.testing.assert_array_equal(picture.pixels, bands[..., :3])
    assert not picture.transparent
    assert picture.left_out == (extra != 0)  # Pillow itself leaves out a band that is said to be neither


def test_the_transparency_of_a_tiff_is_still_that(tmp_path):
    bands = np.random.default_rng(0).integers(20, 90, (8, 8, 4), np.uint8)
    bands[..., 3] = 255
    bands[:2, :, 3] = 0
    picture = photo.read(tiff(tmp_path / "x.tif", bands, 2), (8, 8, 3), crop=0)
    assert np.all(picture.pixels[:2] == 255)
    np.testing.assert_array_equal(picture.pixels[2:], bands[2:, :, :3])
    assert (picture.transparent, picture.left_out) == (True, 0)


def deep(path, values):
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize(
    ("values", "value_range", "unit"),
    [
        (np.uint16([[0, 1000], [2000, 4095]]), (0, 4095), [[0, 1000 / 4095], [2000 / 4095, 1]]),
        (np.uint16([[0, 1000], [2000, 9000]]), (1000, 4000), [[0, 0], [1 / 3, 1]]),
        (np.int32([[-1000, 0], [1000, 3000]]), (-1000, 3000), [[0, 0.25], [0.5, 1]]),
        (np.int32([[0, 100000], [300000, 400000]]), (0, 400000), [[0, 0.25], [0.75, 1]]),
        (np.float32([[-0.5, 0.0], [0.5, 1.5]]), (-0.5, 1.5), [[0, 0.25], [0.5, 1]]),
    ],
)
def test_deep_pictures_are_mapped_from_the_range_that_is_asked_for(tmp_path, values, value_range, unit):
    picture = photo.read(deep(tmp_path / "x.tif", values), (2, 2, 1), crop=0, value_range=value_range)
    np.testing.assert_allclose(picture.pixels[..., 0], 255 * np.array(unit), atol=0.5)
    assert picture.deep == (values.min(), values.max(), value_range)
    assert picture.clipped == (values.min() < value_range[0] or values.max() > value_range[1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.int32([[0, 65536]]), r"values in \[0, 65536\], beyond those of 16 bits; pass --value_range=0,131071"),
        (np.int32([[-1, 60]]), r"values in \[-1, 60\], beyond"),
        (np.float32([[0, np.nan]]), "NaN or infinity among its values"),
    ],
)
def test_deep_values_whose_range_is_not_known_are_refused(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        photo.decode(deep(tmp_path / "x.tif", values), (1, 2, 1), crop=0)


def test_unsigned_values_of_32_bits_do_not_wrap(tmp_path):
    path = deep(tmp_path / "x.tif", np.uint32([[0, 2**31], [3 * 2**30, 2**32 - 1]]).view(np.int32))
    data = path.read_bytes()
    signed = struct.pack("<HHIHH", 339, 3, 1, 2, 0)
    assert data.count(signed) == 1
    path.write_bytes(data.replace(signed, struct.pack("<HHIHH", 339, 3, 1, 1, 0)))
    picture = photo.read(path, (2, 2, 1), crop=0, value_range=(0, 2**32 - 1))
    np.testing.assert_allclose(picture.pixels[..., 0], [[0, 127.5], [191.25, 255]], atol=0.6)


def test_a_picture_for_which_there_is_no_memory_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    Image.new("RGB", (600, 400)).save(tmp_path / "x.png")
    monkeypatch.setattr(photo, "_LARGE", 0)
    monkeypatch.setattr(photo.memory, "available", lambda: 600 * 400 * 3)
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(ValueError, match=r"400 x 600 pixels, which take 2.06 MiB of memory, and 703.1 KiB are free"):
        photo.decode(tmp_path / "x.png", (8, 8, 3), crop=0)


def test_a_large_scene_is_no_attack(tmp_path):
    Image.new("1", (20_000, 9_200)).save(tmp_path / "scene.png")  # beyond twice Pillow's limit
    assert photo.header(tmp_path / "scene.png")[0] == (9_200, 20_000)
    assert photo.decode(tmp_path / "scene.png", (8, 8, 1), crop=0).shape == (8, 8, 1)


def test_damaged_exif_costs_no_picture(tmp_path):
    Image.fromarray(RED_LEFT).save(tmp_path / "x.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(photo.decode(tmp_path / "x.png", (8, 8, 3), crop=0), RED_LEFT)


def test_frames_are_counted_where_that_is_asked_for(tmp_path):
    frames = [Image.fromarray(RED_LEFT), Image.new("RGB", (8, 8), "green"), Image.new("RGB", (8, 8), "blue")]
    for extension in ("gif", "tif", "webp", "png"):
        path = tmp_path / f"x.{extension}"
        frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
        picture = photo.read(path, (8, 8, 3), crop=0, frames=True)
        assert picture.frames == 3
        np.testing.assert_allclose(picture.pixels.astype(int), RED_LEFT, atol=3)


def test_pictures_of_16_bits_in_colour_are_told_and_not_mapped_from_another_range(tmp_path):
    import tensorflow as tf

    values = np.random.default_rng(0).integers(0, 2**16, (8, 8, 3), np.uint16)
    path = tmp_path / "x.png"
    path.write_bytes(tf.io.encode_png(values).numpy())
    picture = photo.read(path, (8, 8, 3), crop=0)
    np.testing.assert_allclose(picture.pixels, values / 257, atol=1)
    assert picture.deep[2] == (0, 65535)
    assert abs(picture.deep[1] - int(values.max())) <= 257
    with pytest.raises(ValueError, match=r"16 bits in colour.*npz"):
        photo.decode(path, (8, 8, 3), crop=0, value_range=(0, 4095))
