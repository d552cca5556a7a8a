"""One file to one array: modes, transparency, orientation, 16 bits, animation, large JPEGs."""

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
    with pytest.raises(ValueError, match="float pixels, whose range is not known"):
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
