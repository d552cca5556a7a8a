"""npz:FILE: what is taken, and what is refused with which message."""

import numpy as np
import pytest

from pga_tf.core.checks import InputError
from pga_tf.data import DataOptions, load, memory


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), np.uint8)


def save(tmp_path, images, name="x.npz"):
    path = tmp_path / name
    np.save(path, images) if name.endswith(".npy") else np.savez(path, images=images)
    return f"npz:{path}"


def stored(source):
    return np.concatenate([source.examples("train", 1000), source.examples("test", 1000)])


@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
def test_every_image_is_in_one_split(tmp_path, images, name):
    source = load(DataOptions(dataset=save(tmp_path, images, name), test_fraction=0.25))
    assert (source.image_shape, source.dtype, source.value_range) == ((6, 5, 3), np.uint8, (0.0, 255.0))
    assert source.counts == {"train": 15, "test": 5}
    np.testing.assert_array_equal(np.unique(stored(source), axis=0), np.unique(images, axis=0))


def test_a_file_may_say_which_images_are_held_out(tmp_path, images):
    test = np.arange(20) % 7 == 3
    np.savez(tmp_path / "x.npz", images=images, test=test)
    source = load(DataOptions(dataset=f"npz:{tmp_path / 'x.npz'}"))
    np.testing.assert_array_equal(source.examples("train", 20), images[~test])
    np.testing.assert_array_equal(source.examples("test", 20), images[test])


@pytest.mark.parametrize("test", [np.zeros(20, bool), np.ones(20, bool), np.arange(20), np.arange(19) == 3])
def test_what_cannot_be_held_out_is_refused(tmp_path, images, test):
    np.savez(tmp_path / "x.npz", images=images, test=test)
    with pytest.raises(InputError, match=r"Array test of .*expected bool \[20\] with images on either side"):
        load(DataOptions(dataset=f"npz:{tmp_path / 'x.npz'}"))


def test_grey_images_need_no_channel_axis(tmp_path, images):
    assert load(DataOptions(dataset=save(tmp_path, images[..., 0]))).image_shape == (6, 5, 1)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_floats_keep_their_range(tmp_path, images, low, high, dtype):
    source = load(DataOptions(dataset=save(tmp_path, (images / 255 * (high - low) + low).astype(dtype))))
    assert (source.dtype, source.value_range) == (np.float32, (low, high))
    batch = next(iter(source.batches("train", 20, seed=0, value_range=(0.0, 255.0)))).numpy()
    nearest = np.abs(batch[:, None] - images[None]).max((2, 3, 4)).min(1)
    assert nearest.max() < (0.5 if dtype == np.float16 else 1e-3)


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_a_large_array_stays_on_disk_and_resumes_exactly(tmp_path, images, monkeypatch, name):
    monkeypatch.setattr(memory, "LIMIT_BYTES", 0)
    monkeypatch.setattr(memory, "held", None)
    source = load(DataOptions(dataset=save(tmp_path, images, name)))
    whole = list(source.batches("train", 7, seed=1, value_range=(0.0, 255.0)).take(8).as_numpy_iterator())
    tail = source.batches("train", 7, seed=1, start_step=5, value_range=(0.0, 255.0)).take(3)
    np.testing.assert_array_equal(np.stack(list(tail.as_numpy_iterator())), np.stack(whole[5:]))
    np.testing.assert_array_equal(np.unique(stored(source), axis=0), np.unique(images, axis=0))


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_npz_is_read_as_a_small_one(tmp_path, images, monkeypatch, write, order):
    test = np.arange(len(images)) % 3 == 0
    write(tmp_path / "x.npz", test=test, images=np.asarray(images, order=order))
    monkeypatch.setattr(memory, "LIMIT_BYTES", 0)
    source = load(DataOptions(dataset=f"npz:{tmp_path / 'x.npz'}"))
    for split, members in (("train", ~test), ("test", test)):
        np.testing.assert_array_equal(source.examples(split, len(images)), images[members])
        np.testing.assert_array_equal(source.readers[split].rows(2, 5), images[members][2:5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda x: x * (300 / 255),
            r"expected float values in \[0, 1\] or \[-1, 1\], received values in \[0, 300\]",
        ),
        (lambda x: x / -100, r"received values in \[-2.55, -?0\]"),
        (
            lambda x: np.where(x == x[7, 0, 0, 0], np.nan, x / 255),
            "expected finite values, received NaN or infinity",
        ),
        (lambda x: np.concatenate([x, x[..., :2]], -1), r"1 or 3 channels, received shape \[20, 6, 5, 5\]"),
        (lambda x: np.moveaxis(x, -1, 1), r"received shape \[20, 3, 6, 5\].*np.moveaxis\(images, 1, -1\)"),
        (lambda x: x[0, 0], r"expected shape \[N, H, W\].*received shape \[5, 3\]"),
        (lambda x: x[:0], r"received shape \[0, 6, 5, 3\]"),
        (lambda x: x[:1], "at least 2 images, one to train and one to test on, received 1"),
        (lambda x: x.astype(np.int64), "received dtype int64.*astype"),
        (lambda x: x.astype(object), "expected an .npz or .npy file of numbers"),
    ],
)
def test_unusable_arrays_are_refused(tmp_path, images, change, message):
    with pytest.raises(InputError, match=message):
        load(DataOptions(dataset=save(tmp_path, change(images))))


def test_the_first_bad_image_is_named(tmp_path, images):
    floats = images / 255
    floats[13, 2, 2, 0] = np.inf
    with pytest.raises(InputError, match="first in image 13"):
        load(DataOptions(dataset=save(tmp_path, floats)))


def test_unusable_files_are_refused(tmp_path, images):
    with pytest.raises(InputError, match="expected a file, received no file"):
        load(DataOptions(dataset=f"npz:{tmp_path / 'none.npz'}"))
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match=r"expected an .npz or .npy file of numbers"):
        load(DataOptions(dataset=f"npz:{tmp_path / 'text.npz'}"))
    np.savez(tmp_path / "other.npz", x=images, y=images)
    with pytest.raises(InputError, match="expected an array called images, received arrays x, y"):
        load(DataOptions(dataset=f"npz:{tmp_path / 'other.npz'}"))
    good = (tmp_path / "good.npz", images)
    np.savez(good[0], images=images)
    (tmp_path / "cut.npz").write_bytes(good[0].read_bytes()[:-200])
    with pytest.raises(InputError, match=r"expected an .npz or .npy file of numbers"):
        load(DataOptions(dataset=f"npz:{tmp_path / 'cut.npz'}"))
