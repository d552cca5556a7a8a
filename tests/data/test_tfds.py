"""tfds:NAME, on a small dataset written here: in memory, streamed, held out, and what is refused."""

import os

import numpy as np
import pytest

from pga_tf.core.checks import InputError
from pga_tf.data import DataOptions, format_report, inspect, load, random_access, records, whole
from pga_tf.data import tfds as tfds_source
from tests.data import transcribed

BYTES = (0.0, 255.0)
COUNT = 50
NOISE = np.random.default_rng(0).integers(0, 256, (14, 10, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Datasets on disk, of images 10x8x3.

    `tiny` (train and test), `tiny_split` (and validation), `tiny_train` (train alone, several sizes), `tiny_text` (no
    image).
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    root = tmp_path_factory.mktemp("tfds")
    image = tfds.features.Image(shape=(10, 8, 3), encoding_format="png")

    def build(name, features, **splits):
        data = {
            split: tf.data.Dataset.from_generator(
                lambda items=items: iter(items),
                output_signature={k: tf.TensorSpec(f.shape, f.tf_dtype) for k, f in features.items()},
            )
            for split, items in splits.items()
        }
        tfds.dataset_builders.TfDataBuilder(
            name=name,
            version="1.0.0",
            features=tfds.features.FeaturesDict(features),
            split_datasets=data,
            data_dir=root,
            description=name,
        ).download_and_prepare()

    def images(start, count, sizes=((10, 8),)):
        return [np.full((*sizes[i % len(sizes)], 3), start + i, np.uint8) for i in range(count)]

    noise = {"train": NOISE[:8], "validation": NOISE[8:11], "test": NOISE[11:]}
    label = tfds.features.ClassLabel(num_classes=2)
    labelled = [{"image": i, "label": i[0, 0, 0] % 2} for i in images(0, COUNT)]
    build(
        "tiny",
        {"image": image, "label": label},
        train=labelled,
        test=[{"image": i, "label": 0} for i in images(90, 7)],
    )
    several = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
    build("tiny_train", {"image": several}, train=[{"image": i} for i in images(0, 20, ((10, 8), (12, 16)))])
    build("tiny_split", {"image": image}, **{s: [{"image": i} for i in noise[s]] for s in noise})
    build("tiny_text", {"label": label}, train=[{"label": 0}, {"label": 1}])
    return root


@pytest.fixture(params=["memory", "streamed"])
def storage(request, data_dir, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    if request.param == "streamed":
        monkeypatch.setattr(random_access, "LIMIT_BYTES", 0)
        monkeypatch.setattr(records, "WINDOW_RECORDS", 16)
    return request.param


def stream(source, steps, *, seed=0, start_step=0, batch_size=6, rows=None):
    batches = source.batches("train", batch_size, seed=seed, start_step=start_step, value_range=BYTES, rows=rows)
    return np.stack(list(batches.take(steps).as_numpy_iterator()))[..., 0, 0, 0].astype(int)


def test_every_epoch_is_a_permutation_and_resume_is_exact(storage):
    source = load(DataOptions(dataset="tfds:tiny"))
    assert isinstance(source.readers["train"], records.Records) == (storage == "streamed")
    assert (source.image_shape, source.counts) == ((10, 8, 3), {"train": COUNT, "test": 7})
    whole = stream(source, 25)
    epochs = whole.reshape(3, COUNT)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(COUNT), (3, 1)))
    assert len({tuple(epoch) for epoch in epochs}) == 3
    for start in (1, 3, 8, 9, 20):  # inside a window, at a later one, across and after the border of an epoch
        np.testing.assert_array_equal(stream(source, 25 - start, start_step=start), whole[start:])
    rows = np.array([1, 2, 5])  # a worker's own
    np.testing.assert_array_equal(stream(source, 22, start_step=3, rows=rows), whole[3:, rows])
    np.testing.assert_array_equal(stream(load(DataOptions(dataset="tfds:tiny:1.0.0")), 25), whole)
    assert not np.array_equal(stream(source, 25, seed=1), whole)


def test_stored_order_is_read_in_full(storage):
    source = load(DataOptions(dataset="tfds:tiny"))
    values = source.examples("train", 1000)[:, 0, 0, 0]
    assert sorted(values) == list(range(COUNT))
    assert sorted(source.examples("test", 1000)[:, 0, 0, 0]) == list(range(90, 97))
    assert [len(b) for b in source.ordered("train", 20)] == [20, 20, 10]
    for limit, sizes in ((30, [20, 10]), (1000, [20, 20, 10])):
        chosen = list(source.readers["train"].chosen(limit, 20))
        assert [len(batch) for batch in chosen] == sizes
        np.testing.assert_array_equal(np.concatenate(chosen), source.readers["train"].sample(limit)[1])
    both = whole(source).readers["all"]
    for limit in (5, 11, 1000):
        chosen = list(both.chosen(limit, 4))
        assert max(map(len, chosen)) <= 4
        np.testing.assert_array_equal(np.concatenate(chosen), both.sample(limit)[1])
    report = inspect(source, limit=30)
    assert (report.count, report.looked_at, report.repeated) == (COUNT, 30, ())
    assert "warning: 30 of 30 images looked at are near constant" in format_report(report, (0.0, 1.0))


def test_labels_are_those_of_the_images_and_nothing_else_knows_of_them(storage, monkeypatch):
    source = load(DataOptions(dataset="tfds:tiny"))
    assert source.labels.names == ("0", "1")
    for count in (4, COUNT, 1000):
        labels = source.labels.read("train", count)
        np.testing.assert_array_equal(labels, source.examples("train", count)[:, 0, 0, 0] % 2)
    assert labels.dtype == np.int64
    assert source.labels.read("test", 1000).tolist() == [0] * 7
    monkeypatch.setattr(tfds_source, "_labels", lambda builder, splits: None)
    without = load(DataOptions(dataset="tfds:tiny"))
    assert without.labels is None
    assert without.identity == source.identity
    np.testing.assert_array_equal(stream(without, 10), stream(source, 10))
    assert whole(source).labels is None
    assert load(DataOptions(dataset="tfds:tiny_train", image_size=6)).labels is None


def test_a_test_split_is_held_out_where_there_is_none(storage):
    source = load(DataOptions(dataset="tfds:tiny_train", image_size=6, colour="grey", test_fraction=0.25))
    assert (source.image_shape, source.counts) == ((6, 6, 1), {"train": 15, "test": 5})
    values = [v for split in ("train", "test") for v in source.examples(split, 20)[:, 0, 0, 0]]
    assert sorted(values) == list(range(20))
    assert sorted(stream(source, 3, batch_size=5).reshape(-1)) == sorted(values[:15])


def test_every_split_is_trained_on_where_that_is_asked_for(storage):
    wanted = [transcribed.as_bytes(image[2:8, 1:7], 4) for image in NOISE]
    asked = {"dataset": "tfds:tiny_split", "crop": 6, "image_size": 4, "resize": "tf1_bicubic"}
    apart, every = (load(DataOptions(train_on=what, **asked)) for what in ("train", "all"))
    assert (apart.counts, every.counts) == ({"train": 8, "test": 3}, {"train": 14, "test": 3})
    assert every.identity.count == 14
    assert every.identity.digest != apart.identity.digest

    def members(images):
        assert all(min(np.abs(image.astype(int) - w).max() for w in wanted) <= 1 for image in images)
        return sorted(int(np.argmin([np.abs(image.astype(int) - w).sum() for w in wanted])) for image in images)

    assert members(every.examples("train", 20)) == list(range(14))
    assert members(next(iter(every.batches("train", 14, seed=1, value_range=BYTES))).numpy()) == list(range(14))
    assert members(apart.examples("train", 20)) == list(range(8))
    assert members(every.examples("test", 20)) == members(apart.examples("test", 20)) == [11, 12, 13]
    assert "the 3 images of the test split are trained on too" in every.notes[0]
    whole = load(DataOptions(dataset="tfds:tiny_train", image_size=6, test_fraction=0.25, train_on="all"))
    assert whole.counts == {"train": 20, "test": 5}


def test_images_of_several_sizes_need_image_size(data_dir, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    with pytest.raises(InputError, match=r"expected one size, received images of several sizes.*--image_size=64"):
        load(DataOptions(dataset="tfds:tiny_train"))


def test_a_dataset_without_images_is_refused(data_dir, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    with pytest.raises(InputError, match=r"expected a feature 'image' of uint8.*received features label"):
        load(DataOptions(dataset="tfds:tiny_text"))


def test_absent_data_is_refused_with_the_command_that_gets_it(tmp_path, monkeypatch):
    import socket

    def unreachable(*_):
        raise OSError("Name or service not known")

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    for proxy in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.raises(InputError, match=r"Name or service not known.*TFDS_DATA_DIR=DIR python -c .*load\('mnist'\)"):
        load(DataOptions(dataset="tfds:mnist"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", "did you mean tfds:mnist"),
        ("mnist:9.9.9", "Remedy: correct the name"),
        ("mnist/nothing", "Remedy: correct the name"),
        ("a b", "expected tfds:NAME, tfds:NAME/CONFIG or tfds:NAME:VERSION"),
    ],
)
def test_wrong_names_are_refused(tmp_path, monkeypatch, name, message):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match=message):
        load(DataOptions(dataset=f"tfds:{name}"))


@pytest.mark.skipif(
    not os.path.isdir(os.path.join(os.environ.get("TFDS_DATA_DIR", ""), "mnist")),
    reason="TFDS_DATA_DIR has no mnist",
)
def test_mnist_is_mnist():
    source = load(DataOptions(dataset="tfds:mnist"))
    assert (source.image_shape, source.counts) == ((28, 28, 1), {"train": 60000, "test": 10000})
    images = source.examples("test", 10000)
    assert images.mean() / 255 == pytest.approx(0.1325, abs=5e-4)  # known of the test set


def test_images_come_as_they_are_stored_with_their_labels(data_dir, monkeypatch):
    """What a pipeline's examples are made of: no decoding, the dataset's own split or none."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    from pipelines import examples, sources

    parts = sources.parts("tfds:tiny")
    assert [path.startswith(str(data_dir)) for path in sources.places("tfds:tiny")] == [True] * len(parts)
    with monkeypatch.context() as elsewhere:  # on a worker
        elsewhere.delenv("TFDS_DATA_DIR")
        elsewhere.setenv("HOME", str(data_dir / "none"))
        items = [item for part in parts for item in sources.read(part)]
    assert [item.index for item in items] == list(range(COUNT + 7))
    assert [item.split for item in items] == ["train"] * COUNT + ["eval"] * 7
    assert items[0].encoded.startswith(b"\x89PNG")
    source = load(DataOptions(dataset="tfds:tiny"))
    assert [item.label for item in items] == [*(source.examples("train", COUNT)[:, 0, 0, 0] % 2), *([0] * 7)]
    decoded = np.stack([examples.decode(item.encoded) for item in items])
    np.testing.assert_array_equal(decoded[:COUNT], source.examples("train", COUNT))
    without = [item for part in sources.parts("tfds:tiny_train") for item in sources.read(part)]
    assert {(item.split, item.label) for item in without} == {("", None)}
    with pytest.raises(InputError, match="expected a feature 'image'"):
        sources.parts("tfds:tiny_text")
