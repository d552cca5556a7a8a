"""--resize: each way against its definition, alike for files, arrays and records; --train_on."""

import numpy as np
import pytest
from PIL import Image

from pga_tf.core import photo, tf1_bicubic
from pga_tf.core.checks import InputError
from pga_tf.data import DataOptions, format_report, inspect, load
from pga_tf.data.prepare import prepare_array
from tests.data import transcribed

BYTES = (0.0, 255.0)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(("stored", "side"), [(27, 16), (11, 20), (17, 5), (9, 9)])
def test_tf1_bicubic_is_that_of_tensorflow_1(stored, side):
    image = noise(stored, stored, 3)
    wanted = transcribed.tf1_bicubic(image, side, side)
    np.testing.assert_allclose(tf1_bicubic.resize(image, (side, side)), wanted, atol=1e-3)
    options = DataOptions(image_size=side, resize="tf1_bicubic")
    prepared = prepare_array(image[None], (side, side, 3), options, value_range=BYTES)[0]
    # Single precision may round a half to the other side.
    np.testing.assert_allclose(prepared.astype(int), transcribed.as_bytes(image, side).astype(int), atol=1)
    assert np.mean(prepared != transcribed.as_bytes(image, side)) < 1e-3
    floats = prepare_array(image[None] / np.float32(255), (side, side, 3), options, value_range=(0.0, 1.0))[0]
    np.testing.assert_allclose(floats, np.clip(wanted / 255, 0, 1), atol=1e-5)


def test_height_and_width_have_scales_of_their_own():
    image = noise(9, 14, 1)
    np.testing.assert_allclose(tf1_bicubic.resize(image, (6, 10)), transcribed.tf1_bicubic(image, 6, 10), atol=1e-3)


@pytest.mark.parametrize(("crop", "channels"), [(0, 3), (18, 1)])
@pytest.mark.parametrize("resize", photo.RESIZES)
def test_files_and_arrays_are_resized_alike(tmp_path, resize, crop, channels):
    photos = noise(6, 24, 20, channels)
    for i, image in enumerate(photos):
        Image.fromarray(image[..., 0] if channels == 1 else image).save(tmp_path / f"{i}.png")
    np.savez(tmp_path / "images.npz", images=photos)
    asked = {"crop": crop, "image_size": 7, "resize": resize}
    sources = [load(DataOptions(dataset=d, **asked)) for d in (f"folder:{tmp_path}", f"npz:{tmp_path}/images.npz")]
    held = [np.concatenate([s.examples(split, 9) for split in ("train", "test")]).astype(int) for s in sources]
    side = crop or 20
    centres = [image[(24 - side) // 2 :][:side, (20 - side) // 2 :][:, :side] for image in photos]
    if resize == "tf1_bicubic":
        wanted = [transcribed.as_bytes(image, 7) for image in centres]
    else:
        method = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[resize]
        wanted = [
            np.stack([np.asarray(Image.fromarray(c).resize((7, 7), method)) for c in np.moveaxis(image, 2, 0)], 2)
            for image in centres
        ]
    for images in held:  # splits differ, and so does the order
        order = [np.argmin([np.abs(image - w).max() for w in wanted]) for image in images]
        assert sorted(order) == list(range(6))
        assert max(np.abs(image - wanted[i]).max() for image, i in zip(images, order, strict=True)) <= 1


def test_a_large_jpeg_is_not_made_smaller_before_tf1_bicubic(tmp_path):
    rows = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 256, 1) % 2 * 255  # which an average turns grey
    Image.fromarray(rows).save(tmp_path / "x.jpg", quality=100)
    stored = np.asarray(Image.open(tmp_path / "x.jpg"))[..., None]
    read = photo.decode(tmp_path / "x.jpg", (16, 16, 1), crop=0, resize="tf1_bicubic")
    np.testing.assert_allclose(read.astype(int), transcribed.as_bytes(stored, 16).astype(int), atol=1)
    assert np.ptp(photo.decode(tmp_path / "x.jpg", (16, 16, 1), crop=0)) < 60 < abs(int(read.mean()) - 127)


def test_a_resize_without_a_size_is_refused():
    with pytest.raises(
        InputError, match=r"--resize=tf1_bicubic: expected --image_size.*received none.*--image_size=64"
    ):
        load(DataOptions(resize="tf1_bicubic", crop=6))
    with pytest.raises(
        InputError, match=r"--resize: expected one of bicubic, bilinear, tf1_bicubic, received 'lanczos'"
    ):
        load(DataOptions(resize="lanczos", image_size=6))


@pytest.mark.parametrize("dataset", ["folder:{}", "npz:{}/images.npz", "digits", "toy2d:moons"])
def test_all_images_are_trained_on_and_it_is_said(tmp_path, dataset):
    for i, image in enumerate(noise(20, 8, 8, 3)):
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    np.savez(tmp_path / "images.npz", images=noise(20, 8, 8, 3), test=np.arange(20) < 4)
    apart, every = (load(DataOptions(dataset=dataset.format(tmp_path), train_on=what)) for what in ("train", "all"))
    total = sum(apart.counts.values())
    assert every.counts == {"train": total, "test": apart.counts["test"]}
    assert every.identity == apart.identity  # the same images, as far as a run is concerned
    np.testing.assert_array_equal(every.examples("test", 9), apart.examples("test", 9))

    def rows(images):
        return sorted(image.tobytes() for image in images.astype(every.dtype))

    wanted = np.concatenate([apart.examples(split, total) for split in ("train", "test")])
    (batch,) = every.batches("train", total, seed=0, value_range=every.value_range).take(1).as_numpy_iterator()
    assert rows(every.examples("train", total)) == rows(batch) == rows(wanted)
    assert (every.held_out, apart.held_out) == (False, True)
    note = f"the {apart.counts['test']:,} images of the test split are trained on too"
    assert note in " ".join(every.told())
    assert note not in " ".join(apart.told())
    assert "that are trained on" not in format_report(inspect(every), (0.0, 1.0))
