"""npz:FILE: what is taken, and what is refused with which message."""

import io
import zipfile

import numpy as np
import pytest

from pga_tf.core import memory
from pga_tf.core.checks import InputError
from pga_tf.data import DataOptions, load, random_access


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
    monkeypatch.setattr(random_access, "LIMIT_BYTES", 0)
    monkeypatch.setattr(random_access, "held", None)
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
    monkeypatch.setattr(random_access, "LIMIT_BYTES", 0)
    source = load(DataOptions(dataset=f"npz:{tmp_path / 'x.npz'}"))
    for split, members in (("train", ~test), ("test", test)):
        np.testing.assert_array_equal(source.examples(split, len(images)), images[members])
        np.testing.assert_array_equal(source.readers[split].rows(2, 5), images[members][2:5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda x: x * (300 / 255),
            r"expected float values in \[0, 1\] or \[-1, 1\].*received values in \[0, 300\].*--value_range=0,511",
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
        (lambda x: x.astype(np.int64), r"received dtype int64 with values in \[0, 255\].*--value_range=0,255.*astype"),
        (lambda x: x.astype(np.complex64), "expected real numbers, received dtype complex64"),
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
    with pytest.raises(InputError, match=r"of numbers, received arrays x, y, and none called images"):
        load(DataOptions(dataset=f"npz:{tmp_path / 'other.npz'}"))
    good = (tmp_path / "good.npz", images)
    np.savez(good[0], images=images)
    (tmp_path / "cut.npz").write_bytes(good[0].read_bytes()[:-200])
    with pytest.raises(InputError, match=r"expected an .npz or .npy file of numbers"):
        load(DataOptions(dataset=f"npz:{tmp_path / 'cut.npz'}"))


@pytest.mark.parametrize(("low", "high"), [(-1e-9, 1.0000001), (-1e-7, 0.9), (-1.0000001, 1.0)])
def test_values_a_rounding_outside_their_range_are_clipped_and_counted(tmp_path, images, low, high):
    floats = images.astype(np.float64) / 255 * (0.5 if high < 1 else 1) - (0.5 if low < -0.5 else 0)
    floats[3, 0, 0, 0], floats[7, 0, 0, 0] = low, high
    source = load(DataOptions(dataset=save(tmp_path, floats)))
    assert source.value_range == ((-1.0, 1.0) if low < -0.5 else (0.0, 1.0))
    values = stored(source)
    assert values.min() >= source.value_range[0]
    assert values.max() <= source.value_range[1]
    outside = (low < source.value_range[0]) + (high > source.value_range[1])
    assert f"were clipped in {outside} images; they reach from {low:.9g} to {high:.9g}" in source.told()[0]


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int64, np.float32, bool])
def test_any_numbers_are_taken_with_their_range(tmp_path, images, monkeypatch, dtype, mapped):
    if mapped:
        monkeypatch.setattr(random_access, "LIMIT_BYTES", 0)
    values = (images % 2 if dtype is bool else images % 200).astype(dtype)
    low, high = (0, 1) if dtype is bool else (10, 150)
    source = load(DataOptions(dataset=save(tmp_path, values, "x.npy"), value_range=f"{low},{high}"))
    assert (source.dtype, source.value_range) == (np.float32, (low, high))
    expected = np.clip(values.astype(np.float32), low, high)
    np.testing.assert_array_equal(np.unique(stored(source), axis=0), np.unique(expected, axis=0))
    clipped = int(((values < low) | (values > high)).any((1, 2, 3)).sum())
    told = f"warning: values outside [10, 150] were clipped in {clipped} images; they reach from 0 to 199"
    assert source.told() == ([] if dtype is bool else [told])


def header_of(shape, dtype="<u1"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize("shape", [(2**37, 1, 1, 1), (2**20, 2**13, 2**13, 3)])
@pytest.mark.parametrize("key", ["images", "test"])
def test_a_size_is_not_believed_before_it_is_looked_at(tmp_path, images, shape, key):
    buffer = io.BytesIO()
    np.save(buffer, images)
    arrays = {"images": buffer.getvalue(), key: header_of(shape) + bytes(100)}
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    with pytest.raises(InputError, match=rf"array {key} of [\d,]+ bytes by its header, and 100 in the file"):
        load(DataOptions(dataset=f"npz:{tmp_path / 'x.npz'}"))
    (tmp_path / "x.npy").write_bytes(header_of(shape) + bytes(100))
    with pytest.raises(InputError, match=r"expected an .npz or .npy file of numbers"):
        load(DataOptions(dataset=f"npz:{tmp_path / 'x.npy'}"))


def test_a_bomb_is_held_against_memory_before_it_is_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", images=np.zeros((40, 64, 64, 3), np.uint8))
    monkeypatch.setattr(memory, "available", lambda: 2**18)
    with pytest.raises(InputError, match=r"fits in the 256 KiB of memory that are free, received what takes 480 KiB"):
        load(DataOptions(dataset=f"npz:{tmp_path / 'x.npz'}"))


def test_made_up_images_are_held_against_memory():
    with pytest.raises(InputError, match=r"--dataset=fake:100000x100000x3: expected what fits .* takes 34.92 TiB"):
        load(DataOptions(dataset="fake:100000x100000x3"))


@pytest.mark.parametrize("damage", ["encrypted", "method", "checksum", "empty", "folder"])
def test_archives_that_cannot_be_unpacked_are_refused(tmp_path, images, damage):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, images=images)
    content = bytearray(path.read_bytes())
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        central = content.index(b"PK\x01\x02")
        for place, value in {"encrypted": ((6, 1), (central + 8, 1)), "method": ((8, 97), (central + 10, 97)),
                             "checksum": ((len(content) // 2, content[len(content) // 2] ^ 255),)}[damage]:  # fmt: skip
            content[place] = value
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"--dataset=npz:.*expected (an .npz or .npy file|a file).*, received"):
        load(DataOptions(dataset=f"npz:{path}"))


def test_a_file_is_known_again_and_another_one_is_not(tmp_path, images):
    for name in ("x.npz", "x.npy"):
        first = load(DataOptions(dataset=save(tmp_path, images, name))).identity
        (tmp_path / "moved").mkdir(exist_ok=True)
        moved = load(DataOptions(dataset=save(tmp_path / "moved", images, name))).identity
        assert (first.count, first.digest) == (moved.count, moved.digest)
        assert first.path == str(tmp_path / name)
        changed = images.copy()
        changed[11, 0, 0, 0] ^= 1
        assert load(DataOptions(dataset=save(tmp_path, changed, name))).identity.digest != first.digest


@pytest.mark.parametrize(("failures", "taken"), [(1, True), (99, False)])
def test_an_interpreter_that_fails_to_parse_a_header_is_asked_again(tmp_path, images, monkeypatch, failures, taken):
    """Python 3.11.7 mistakes its own depth while two threads parse: seen once in a pipeline, on a whole file."""
    dataset, real, left = save(tmp_path, images), np.load, [failures]

    def confused(*args, **kwargs):
        left[0] -= 1
        if left[0] >= 0:
            raise SystemError("AST constructor recursion depth mismatch (before=54, after=42)")
        return real(*args, **kwargs)

    monkeypatch.setattr(np, "load", confused)
    if taken:
        found = stored(load(DataOptions(dataset=dataset)))
        np.testing.assert_array_equal(np.sort(found, axis=None), np.sort(images, axis=None))
    else:
        with pytest.raises(InputError, match="depth mismatch"):
            load(DataOptions(dataset=dataset))
