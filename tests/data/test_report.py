"""The data report: its numbers, its warnings, its refusals."""

import dataclasses
import functools

import numpy as np
import pytest

from pga_tf.core.checks import InputError
from pga_tf.data import DataOptions, Source, format_report, inspect, load, random_access


def source_of(images, value_range=(0.0, 255.0)):
    reader = random_access.RandomAccess(len(images), functools.partial(random_access.held, images))
    return Source("made up", images.shape[1:], images.dtype.type, value_range, {"train": reader})


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (30, 4, 4, 3), np.uint8)


def test_numbers_are_those_of_the_images(images):
    report = inspect(source_of(images))
    assert (report.count, report.looked_at, report.shape, report.dtype) == (30, 30, (4, 4, 3), "uint8")
    assert (report.minimum, report.maximum) == (images.min(), images.max())
    np.testing.assert_allclose(report.mean, images.mean((0, 1, 2)))
    np.testing.assert_allclose(report.std, images.std((0, 1, 2)))
    assert (report.near_constant, report.repeated, report.shared, report.corrupt) == ((), (), (), {})
    assert "warning" not in format_report(report, (-1.0, 1.0))


def test_near_constant_and_repeated_images_are_counted(images):
    images[4] = 77
    images[9] = 200
    images[9, 0, 0, 0] = 202
    images[20:23] = images[1]
    report = inspect(source_of(images))
    assert report.near_constant == ("image 4", "image 9")
    assert report.repeated == (("image 20", "image 1"), ("image 21", "image 1"), ("image 22", "image 1"))
    text = format_report(report, (-1.0, 1.0))
    assert "warning: 2 of 30 images looked at are near constant: image 4, image 9" in text
    assert "warning: 3 of 30 images looked at repeat another one exactly: image 20 is image 1, image 21 is" in text


def test_held_out_images_that_are_trained_on_are_named(images):
    readers = {
        "train": source_of(images).readers["train"],
        "test": source_of(np.concatenate([images[5:7], images[:3] // 2, images[:3] // 2])).readers["train"],
    }
    report = inspect(dataclasses.replace(source_of(images), readers=readers))
    assert report.shared == (("image 0", "image 5"), ("image 1", "image 6"))
    assert (
        "warning: 2 of 8 held-out images looked at are among those 30 that are trained on: image 0 is image 5"
        in format_report(report, (0.0, 1.0))
    )


def test_a_limit_looks_at_evenly_spaced_images(images):
    images[::3] = 5
    report = inspect(source_of(images), limit=10)
    assert (report.count, report.looked_at, report.maximum, len(report.repeated)) == (30, 10, 5, 9)


def test_values_in_a_small_part_of_the_range_are_warned_of(images):
    text = format_report(inspect(source_of(images // 255)), (-1.0, 1.0))
    assert "values    [0, 1] of [0, 255]" in text
    assert "warning: the values fill only [-1, -0.992] of the decoder's range" in text


@pytest.mark.parametrize(("bad", "message"), [(np.nan, "NaN or infinity in 1 of the 30"), (300.0, r"in \[0, 300\]")])
def test_values_that_cannot_be_are_refused(images, bad, message):
    floats = images.astype(np.float32)
    floats[7, 1, 1, 1] = bad
    with pytest.raises(InputError, match=message):
        inspect(source_of(floats))


def test_points_are_not_called_constant():
    report = inspect(load(DataOptions(dataset="toy2d:swiss_roll")))
    assert report.near_constant == ()
    assert len(report.mean) == 2
