"""folder:PATH: finding, splitting, exact resume, corrupt files, and what is refused."""

import shutil

import numpy as np
import pytest
from PIL import Image

from pga_tf.core.checks import InputError
from pga_tf.data import DataOptions, format_report, inspect, load

BYTES = (0.0, 255.0)


def write(path, seed, size=(8, 8), mode="RGB"):
    """A file whose every pixel is a grey that only `seed` has, so that a batch tells which files it holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (seed, seed, seed)).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    """24 images in two folders, with things between them that are no images."""
    for i in range(24):
        write(tmp_path / ("a" if i % 2 else "b/c") / f"{i:02}.{'png' if i % 3 else 'bmp'}", seed=10 * i)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "a" / "._01.png").write_text("a shadow that another system leaves")
    return tmp_path


def options(folder, **kwargs):
    return DataOptions(dataset=f"folder:{folder}", **kwargs)


def stream(source, steps, *, split="train", seed=0, start_step=0, batch_size=5, rows=None):
    batches = source.batches(split, batch_size, seed=seed, start_step=start_step, value_range=BYTES, rows=rows)
    return np.stack(list(batches.take(steps).as_numpy_iterator()))[..., 0, 0, 0].astype(int)


def damage(folder, *names):
    """Cuts off, empties, and replaces by text, in turn."""
    for i, name in enumerate(names):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes([data[: len(data) // 2], b"", b"hello, this is text"][i % 3])


def file_at(folder, value):
    return next(p for p in folder.rglob(f"{value // 10:02}.*"))


def test_every_file_is_in_one_split_and_every_epoch_is_a_permutation(folder):
    source = load(options(folder))
    train, test = (source.examples(s, 100)[:, 0, 0, 0].astype(int) for s in ("train", "test"))
    assert sorted([*train, *test]) == list(range(0, 240, 10))
    assert (source.image_shape, source.dtype, source.value_range) == ((8, 8, 3), np.uint8, BYTES)
    n = source.counts["train"]
    epochs = stream(source, 3 * n, batch_size=5).reshape(-1)[: 3 * n].reshape(3, n)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.sort(train), (3, 1)))
    assert not np.array_equal(epochs[0], epochs[1])


def test_a_split_stays_when_files_are_added(folder):
    before = load(options(folder, test_fraction=0.3)).examples("test", 100)[:, 0, 0, 0]
    for i in range(20):
        write(folder / "more" / f"{i}.png", seed=241 + i % 10)
    after = load(options(folder, test_fraction=0.3)).examples("test", 100)[:, 0, 0, 0]
    assert set(before[before > 0]) <= set(after)


def test_resume_is_exact_and_order_depends_on_the_seed(folder):
    source = load(options(folder))
    whole = stream(source, 12)
    np.testing.assert_array_equal(stream(source, 5, start_step=7), whole[7:])
    np.testing.assert_array_equal(stream(load(options(folder)), 12), whole)
    rows = np.array([0, 3])  # a worker's own
    np.testing.assert_array_equal(stream(source, 5, start_step=7, rows=rows), whole[7:, rows])
    assert not np.array_equal(stream(source, 12, seed=1), whole)


def test_corrupt_files_are_named_and_counted_and_training_goes_on(folder):
    whole = stream(load(options(folder)), 12)
    train = load(options(folder)).examples("train", 100)[:, 0, 0, 0].astype(int)
    bad = [file_at(folder, v).relative_to(folder) for v in train[[2, 3, 9]]]
    damage(folder, *bad)
    source = load(options(folder))
    received = stream(source, 12)
    stands_in = {train[2]: train[4], train[3]: train[4], train[9]: train[10]}
    np.testing.assert_array_equal(received, np.vectorize(lambda v: stands_in.get(v, v))(whole))
    np.testing.assert_array_equal(stream(source, 5, start_step=7), received[7:])
    report = inspect(source)
    chosen = list(source.readers["train"].chosen(100, 3))
    np.testing.assert_array_equal(np.concatenate(chosen), source.readers["train"].sample(100)[1])
    assert max(map(len, chosen)) <= 3
    assert set(report.corrupt) == set(map(str, bad))
    assert (report.count, report.looked_at) == (len(train), len(train))
    text = format_report(report, (0.0, 1.0))
    assert "warning: 3 of the files looked at are corrupt" in text
    assert all(str(name) in text for name in bad)


def test_a_truncated_jpeg_among_good_ones_is_found(folder):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for i in range(4):
        Image.fromarray(noise).save(folder / f"{i}.jpg")
    cut = folder / "2.jpg"
    cut.write_bytes(cut.read_bytes()[:-1500])
    with pytest.raises(InputError, match=r"received 1 of 28 that do not \(2.jpg: .*truncated"):
        load(options(folder, image_size=8, strict_data=True))


def test_strict_data_stops_and_names_the_files(folder):
    load(options(folder, strict_data=True))
    damage(folder, "a/01.png", "a/07.png")
    with pytest.raises(InputError, match=r"files that decode, received 2 of 24 that do not \(a/01.png: .*; a/07"):
        load(options(folder, strict_data=True))


def test_missing_empty_and_wholly_corrupt_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected a folder, received no folder"):
        load(options(tmp_path / "nowhere"))
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(InputError, match=r"end in .jpg, .*, received none; 1 passed over, no pictures"):
        load(options(tmp_path))
    for i in range(3):
        (tmp_path / f"{i}.png").write_text("not an image either")
    with pytest.raises(InputError, match="expected files that decode, received 3 of 3 that do not"):
        load(options(tmp_path))
    with pytest.raises(InputError, match="expected files that decode, received"):
        load(options(tmp_path, image_size=8, colour="rgb"))


def test_one_image_is_too_few(tmp_path):
    write(tmp_path / "one.png", 5)
    with pytest.raises(InputError, match=r"at least 2 images that decode, one to .* received 1 image and"):
        load(options(tmp_path))


def test_two_images_make_two_splits(tmp_path):
    write(tmp_path / "one.png", 5)
    write(tmp_path / "two.png", 6)
    assert load(options(tmp_path)).counts == {"train": 1, "test": 1}


def test_mixed_sizes_need_image_size(folder):
    write(folder / "z.png", 5, size=(9, 12))
    with pytest.raises(InputError, match=r"of 8 x 8 and z.png of 9 x 12 pixels.*--image_size=64"):
        load(options(folder))
    source = load(options(folder, image_size=4))
    assert source.image_shape[:2] == (4, 4)
    assert stream(source, 2).shape == (2, 5)
    assert load(options(folder, crop=6)).image_shape[:2] == (6, 6)


def test_a_picture_smaller_than_the_crop_counts_as_unusable(folder):
    write(folder / "z.png", 5, size=(9, 4))
    with pytest.raises(InputError, match=r"1 of 25 that do not \(z.png: 9 x 4 pixels, smaller than --crop=6"):
        load(options(folder, crop=6, strict_data=True))


def test_colour_is_the_files_own_or_as_asked(tmp_path):
    for i in range(4):
        write(tmp_path / f"{i}.png", 9 * i, mode="L")
    assert load(options(tmp_path)).image_shape == (8, 8, 1)
    assert load(options(tmp_path, colour="rgb")).image_shape == (8, 8, 3)
    write(tmp_path / "x.png", 9, mode="RGB")
    assert load(options(tmp_path)).image_shape == (8, 8, 3)
    assert load(options(tmp_path, colour="grey", image_size=8)).image_shape == (8, 8, 1)


def test_hidden_pictures_are_not_trained_on_and_told(folder):
    counts = load(options(folder)).counts
    for i in range(9):
        write(folder / "a" / ".thumbnails" / f"{i}.png", seed=i)
    source = load(options(folder))
    assert source.counts == counts
    text = format_report(inspect(source), (0.0, 1.0))
    assert "warning: 9 passed over, pictures in hidden folders" in text
    assert "1 passed over, no pictures: .txt 1" in text


def test_folders_for_train_and_test_are_the_splits(tmp_path):
    for i in range(6):
        write(tmp_path / "train" / f"{i}.png", seed=i)
        write(tmp_path / "test" / f"{i}.png", seed=100 + i)
    write(tmp_path / "val" / "0.png", seed=200)
    source = load(options(tmp_path, test_fraction=0.5))
    assert sorted(source.examples("train", 9)[:, 0, 0, 0]) == list(range(6))
    assert sorted(source.examples("test", 9)[:, 0, 0, 0]) == list(range(100, 106))
    text = format_report(inspect(source), (0.0, 1.0))
    assert "the folder's own splits: 6 to train, 6 to test" in text
    assert "warning: 1 passed over, pictures outside the folders to train" in text


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_small_folder_does_without_a_damaged_file_whichever_split_it_falls_into(tmp_path, split):
    for i in range(6):
        write(tmp_path / f"{i}.png", seed=i)
    source = load(options(tmp_path))
    (lost,) = source.examples(split, 1)[:1, 0, 0, 0]
    while load(options(tmp_path)).examples(split, 1)[0, 0, 0, 0] == lost:  # all that this split had
        (tmp_path / f"{lost}.png").write_text("no image")
        source = load(options(tmp_path))
    assert len(source.examples("test", 1)) == len(source.examples("train", 1)) == 1
    lost_files = sum(path.read_bytes() == b"no image" for path in tmp_path.iterdir())
    assert len(source.readers[split].corrupt) == lost_files >= 1


def test_what_was_made_of_the_pictures_is_counted(tmp_path):
    write(tmp_path / "plain.png", 5, mode="L")
    for i, high in enumerate((900, 4095)):
        Image.fromarray(np.full((8, 8), high, np.uint16)).save(tmp_path / f"deep{i}.png")
    Image.new("LA", (8, 8), (9, 90)).save(tmp_path / "glass.png")
    Image.new("L", (8, 8)).save(tmp_path / "moves.gif", save_all=True, append_images=[Image.new("L", (8, 8), 50)])
    frames = [Image.new("LA", (8, 8), (9, 90)), Image.new("LA", (8, 8), (50, 255))]
    frames[0].save(tmp_path / "glass_moves.png", save_all=True, append_images=frames[1:])
    source = load(options(tmp_path, test_fraction=0.01))
    for split in source.readers:
        inspect(source, split)
        source.examples(split, 9)  # read again, without counting frames
    assert source.told() == [
        "warning: more than 8 bits in 2, values in [900, 4095], [0, 65535] became [0, 255]: deep0.png, "
        "deep1.png; was another range meant? Pass --value_range=0,4095",
        "transparency was put on white in 2: glass.png, glass_moves.png",
        "of several frames or pages the first was taken in 2: glass_moves.png, moves.gif",
    ]
    chosen = load(options(tmp_path, value_range="900,4095", strict_data=True))
    images = np.concatenate([chosen.examples(split, 9) for split in ("train", "test")])
    assert sorted(images[:, 0, 0, 0])[-1] == 255
    assert chosen.told()[0].startswith("more than 8 bits in 2, values in [900, 4095], [900, 4095] became")


@pytest.mark.parametrize("text", ["4095", "5,5", "9,2", "a,b", "0,inf", "1,2,3"])
def test_a_range_of_values_is_two_numbers_in_order(folder, text):
    with pytest.raises(InputError, match=r"--value_range: expected two numbers LOW,HIGH, the lower one first"):
        load(options(folder, value_range=text))


def test_a_range_of_values_is_for_files(folder):
    with pytest.raises(InputError, match="--value_range: expected a dataset whose stored values are not known"):
        load(DataOptions(value_range="0,9"))


def test_a_folder_is_known_again_wherever_it_lies_and_another_one_is_not(folder, tmp_path_factory):
    here, elsewhere = load(options(folder)).identity, tmp_path_factory.mktemp("moved") / "x"
    shutil.copytree(folder, elsewhere)
    moved = load(options(elsewhere)).identity
    assert (here.count, here.digest) == (moved.count, moved.digest)
    assert (here.path, moved.path) == (str(folder), str(elsewhere))
    next(elsewhere.glob("a/0*.png")).unlink()
    assert load(options(elsewhere)).identity.digest != here.digest
