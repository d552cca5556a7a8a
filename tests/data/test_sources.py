"""The sources that need no files: digits, toy2d, fake; and how `load` reads --dataset."""

import numpy as np
import pytest

from pga_tf.core.checks import InputError
from pga_tf.data import DataOptions, load, toy2d
from pga_tf.settings.data import TOYS


def test_digits_are_the_scans_of_scikit_learn():
    from sklearn.datasets import load_digits

    source = load(DataOptions(dataset="digits"))
    assert (source.image_shape, source.dtype, source.value_range) == ((8, 8, 1), np.uint8, (0.0, 255.0))
    assert source.counts == {"train": 1500, "test": 297}
    both = np.concatenate([source.examples("train", 1500), source.examples("test", 297)])[..., 0]
    np.testing.assert_allclose(both * (16 / 255), load_digits().images, atol=0.5 * 16 / 255)
    assert (both.min(), both.max()) == (0, 255)
    labels = np.concatenate([source.labels.read("train", 2000), source.labels.read("test", 297)])
    np.testing.assert_array_equal(labels, load_digits().target)
    np.testing.assert_array_equal(source.labels.read("test", 5), load_digits().target[1500:1505])


@pytest.mark.parametrize("shape", TOYS)
def test_toys_lie_within_their_range_with_a_margin(shape):
    source = load(DataOptions(dataset=f"toy2d:{shape}"))
    assert (source.image_shape, source.dtype, source.value_range) == ((1, 1, 2), np.float32, (-1.0, 1.0))
    assert source.counts == {"train": 5000, "test": 1000}
    points = np.concatenate([source.examples("train", 5000), source.examples("test", 1000)])
    assert 0.7 < np.abs(points).max() < 0.97
    assert np.all(points.max((0, 1, 2)) - points.min((0, 1, 2)) > 0.9)
    assert len(np.unique(points, axis=0)) == 6000


def test_eight_gaussians_are_eight_and_equally_likely():
    points = toy2d.points_of("eight_gaussians", 4000, seed=0)
    angle = np.arctan2(points[:, 1], points[:, 0])
    which = np.round(angle / (np.pi / 4)).astype(int) % 8
    assert np.bincount(which, minlength=8) == pytest.approx(500, abs=4 * np.sqrt(500))
    assert np.abs(np.linalg.norm(points, axis=1) - 0.7).max() < 0.05 * 5


def test_toys_take_no_picture_options():
    with pytest.raises(InputError, match=r"toy2d:moons: expected no --image_size.*received --image_size=8"):
        load(DataOptions(dataset="toy2d:moons", image_size=8))


def test_fake_images_have_the_shape_asked_for_and_structure():
    source = load(DataOptions(dataset="fake:12x16x3"))
    images = source.examples("train", 64).astype(float)
    assert images.shape == (64, 12, 16, 3)
    assert len(np.unique(images, axis=0)) == 64
    # Neighbours are alike, as they are not in noise.
    assert np.abs(np.diff(images, axis=2)).mean() < 0.3 * images.std()


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("mnist", r"expected one of digits, tfds:NAME.*received 'mnist'.*did you mean 'tfds:mnist'"),
        ("digit", "did you mean 'digits'"),
        ("digits:8", "did you mean 'digits'"),
        ("folder:", "did you mean 'folder:PATH'"),
        ("toy2d", "expected one of digits"),
        ("toy2d:swiss_rol", "did you mean 'swiss_roll'"),
        ("fake:28x28", "expected fake:HxWxC with C 1 or 3, received 28x28"),
        ("fake:0x28x1", "expected fake:HxWxC"),
        ("", "expected one of digits"),
    ],
)
def test_unknown_datasets_are_refused_with_the_nearest_name(dataset, message):
    with pytest.raises(InputError, match=message):
        load(DataOptions(dataset=dataset))


def test_options_out_of_range_are_refused():
    with pytest.raises(InputError, match="--image_size: expected a value >= 0 and <= 16384, received -1"):
        load(DataOptions(image_size=-1))
    with pytest.raises(InputError, match="--colour: expected one of auto, grey, rgb, received 'gray'"):
        load(DataOptions(colour="gray"))
    with pytest.raises(InputError, match=r"--crop=9: expected at most the shorter side.*8 x 8.*--crop=8 or less"):
        load(DataOptions(crop=9))


def test_arrays_are_cropped_resized_and_coloured():
    source = load(DataOptions(dataset="fake:12x16x3"))
    images = source.examples("train", 8)
    cropped = load(DataOptions(dataset="fake:12x16x3", crop=6)).examples("train", 8)
    np.testing.assert_array_equal(cropped, images[:, 3:9, 5:11])
    small = load(DataOptions(dataset="fake:12x16x3", image_size=6))
    assert small.image_shape == (6, 6, 3)
    square = images[:, :, 2:14].astype(float).reshape(8, 6, 2, 6, 2, 3).mean((2, 4))
    assert np.abs(small.examples("train", 8) - square).max() < 12
    grey = load(DataOptions(dataset="fake:12x16x3", colour="grey")).examples("train", 8)
    np.testing.assert_allclose(grey[..., 0], images @ [0.299, 0.587, 0.114], atol=1)
    rgb = load(DataOptions(dataset="digits", colour="rgb")).examples("train", 8)
    np.testing.assert_array_equal(rgb, np.repeat(load(DataOptions()).examples("train", 8), 3, axis=-1))


def test_resizing_tensors_agrees_with_pil():
    from PIL import Image

    images = load(DataOptions(dataset="fake:12x16x3", crop=12)).examples("train", 8)
    ours = load(DataOptions(dataset="fake:12x16x3", crop=12, image_size=5)).examples("train", 8)
    pil = [np.asarray(Image.fromarray(i).resize((5, 5), Image.Resampling.BICUBIC)) for i in images]
    # PIL rounds between its two passes, and in fixed point.
    assert np.abs(ours.astype(int) - np.stack(pil)).max() <= 1
