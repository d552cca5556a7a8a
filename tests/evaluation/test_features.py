"""Feature networks: what ships, what loads, what is refused; Inception by stand-ins of the same signature."""

import dataclasses
import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pga_tf.core.checks import InputError
from pga_tf.evaluation import features

RNG = np.random.default_rng(0)
LARGEST_FILE = {"cifar10": 4e6, "imagenet": 7e6}
LEAST_ACCURACY = {"cifar10": 0.85, "fashion_mnist": 0.92}


def images(count, shape=(8, 8, 1)):
    return RNG.integers(0, 256, (count, *shape), np.uint8)


def stand_in(x):
    """2048 numbers that depend on every pixel: `[B, 299, 299, 3]` to `[B, 1, 1, 2048]`."""
    means = tf.reduce_mean(x, axis=[1, 2], keepdims=True)
    return tf.pad(means, [[0, 0], [0, 0], [0, 0], [0, 2045]])


class Module(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 299, 299, 3], tf.float32)])
    def __call__(self, x):
        return {"pool_3": stand_in(x), "logits": tf.zeros([tf.shape(x)[0], 1008])}


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("inception")
    tf.saved_model.save(Module(), str(path))
    return path


@pytest.fixture(scope="module")
def frozen_graph(tmp_path_factory):
    """A graph with the 2015-12-05 one's nodes: one image in, scaled at `Mul`, `pool_3` out."""
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [1, 299, 299, 3], name="ResizeBilinear")
        centred = tf.subtract(image, 128.0, name="Sub")
        scaled = tf.multiply(centred, 1 / 128.0, name="Mul")
        tf.identity(stand_in(scaled), name="pool_3")
    path = tmp_path_factory.mktemp("graph") / "classify_image_graph_def.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


@pytest.mark.parametrize("name", features.shipped())
def test_a_shipped_network_is_the_one_on_record_and_tells_images_apart(name):
    network, entry = features.load(name), features.shipped()[name]
    assert network.dimensions == entry["features"]
    assert (features.SHIPPED / f"{name}.keras").stat().st_size == entry["bytes"] < LARGEST_FILE.get(name, 1e6)
    if name != "imagenet":
        assert entry["test_accuracy"] > LEAST_ACCURACY.get(name, 0.97)
        assert f"--dataset={name}" in entry["command"]
    found = network.extractor()(images(6, network.input_shape))
    assert found.shape == (6, entry["features"])
    assert found.std(axis=0).max() > 0


def test_the_digits_network_reads_digits_as_accurately_as_recorded():
    from sklearn.datasets import load_digits

    held_out = slice(-features.shipped()["digits"]["test_images"], None)
    data = load_digits()
    scans = np.round(data.images[held_out] * (255.0 / 16.0)).astype(np.uint8)[..., None]
    model = keras.saving.load_model(features.SHIPPED / "digits.keras", compile=False)
    accuracy = (model.predict(scans / 255.0, verbose=0).argmax(1) == data.target[held_out]).mean()
    assert accuracy == pytest.approx(features.shipped()["digits"]["test_accuracy"], abs=1e-3)


def test_features_do_not_depend_on_the_batch():
    extract, x = features.load("digits").extractor(), images(features.BATCH + 3)
    np.testing.assert_allclose(extract(x)[:7], extract(x[:7]), rtol=1e-4, atol=1e-5)


def test_another_file_under_a_shipped_name_is_refused(tmp_path, monkeypatch):
    for file in features.SHIPPED.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "digits.keras").write_bytes((features.SHIPPED / "mnist.keras").read_bytes())
    monkeypatch.setattr(features, "SHIPPED", tmp_path)
    with pytest.raises(InputError, match="sha256"):
        features.load("digits")


def test_only_inception_gives_a_fid(saved_model):
    assert features.load("inception", inception_path=str(saved_model)).distance_name == "FID"
    assert features.load("digits").distance_name == "Frechet distance (digits features)"


def test_both_forms_of_inception_load_and_see_the_image(saved_model, frozen_graph):
    x = images(3, (20, 20, 3))
    as_model = features.load("inception", inception_path=str(saved_model)).extractor()(x)
    as_graph = features.load("inception", inception_path=str(frozen_graph)).extractor()(x)
    assert as_model.shape == as_graph.shape == (3, 2048)
    resized = tf.image.resize(tf.cast(x, tf.float32), (299, 299), method="bicubic", antialias=True)
    mean = tf.reduce_mean(tf.clip_by_value(resized, 0.0, 255.0), axis=[1, 2])
    np.testing.assert_allclose(as_model[:, :3], mean / 127.5 - 1.0, atol=1e-4)
    np.testing.assert_allclose(as_graph[:, :3], mean / 128.0 - 1.0, atol=1e-4)


@pytest.mark.parametrize("shape", [(40, 64, 1), (19, 23, 3)])
def test_images_shrink_as_pillow_shrinks_them(shape):
    x = images(4, shape)
    network = features.FeatureNetwork("any", "none", (16, 16, shape[-1]), None, lambda y: tf.reshape(y, [len(x), -1]))
    channels = x.astype(np.float32).transpose(0, 3, 1, 2).reshape(-1, *shape[:2])
    resized = [np.asarray(Image.fromarray(c).resize((16, 16), Image.Resampling.BICUBIC)) for c in channels]
    expected = np.clip(resized, 0.0, 255.0).reshape(4, shape[-1], 16, 16).transpose(0, 2, 3, 1)
    # float32 against Pillow's float64 weights; without antialiasing such noise is off by 50 and more
    np.testing.assert_allclose(network.extractor()(x).reshape(expected.shape), expected, atol=0.02)


def test_grey_becomes_rgb_by_repetition(saved_model):
    extract = features.load("inception", inception_path=str(saved_model)).extractor()
    grey = images(2, (16, 16, 1))
    np.testing.assert_allclose(extract(grey), extract(grey.repeat(3, axis=-1)), atol=1e-6)


def test_a_missing_or_foreign_inception_says_where_to_put_it(tmp_path):
    with pytest.raises(InputError, match=r"tfgan/eval/inception/1.*classify_image_graph_def.pb.*--inception_path="):
        features.load("inception")
    with pytest.raises(InputError, match="does not exist"):
        features.load("inception", inception_path=str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="inception_path"):
        features.load("inception", inception_path=str(tmp_path))
    (tmp_path / "graph.pb").write_bytes(b"no graph")
    with pytest.raises(InputError, match="inception_path"):
        features.load("inception", inception_path=str(tmp_path / "graph.pb"))


def test_a_program_is_warned_of_unless_its_hash_is_told(saved_model, frozen_graph, caplog):
    for path in (saved_model, frozen_graph):
        network = features.load("inception", inception_path=str(path))
        (record,) = caplog.records
        assert f"--inception_path={path}#sha256={network.sha256} to take no other" in record.getMessage()
        caplog.clear()
        same = features.load("inception", inception_path=f"{path}#sha256={network.sha256.upper()}")
        assert same.sha256 == network.sha256
        assert not caplog.records


@pytest.mark.parametrize("known", ["0" * 64, "", "abc"])
def test_nothing_of_another_program_is_run(saved_model, monkeypatch, known):
    monkeypatch.setattr(tf.saved_model, "load", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(InputError, match=r"what has the sha256 .*nothing of it was run"):
        features.load("inception", inception_path=f"{saved_model}#sha256={known}")


DAMAGES = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "garbage": lambda path: path.write_bytes(b"\xff" * path.stat().st_size),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a loop": lambda path: (path.unlink(), path.symlink_to(path)),
}


class Weighted(tf.Module):
    """A stand-in whose files can all be damaged: it has variables."""

    def __init__(self):
        super().__init__()
        self.weights = tf.Variable(np.ones([3], np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 299, 299, 3], tf.float32)])
    def __call__(self, x):
        return {"pool_3": stand_in(x * self.weights)}


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    path = tmp_path_factory.mktemp("weighted")
    tf.saved_model.save(Weighted(), str(path))
    assert features.load("inception", inception_path=str(path)).dimensions == 2048
    return path


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["saved_model.pb", "variables.index", "variables.data-00000-of-00001"])
def test_a_damaged_saved_model_is_one_sentence(weighted, tmp_path, name, damage):
    folder = shutil.copytree(weighted, tmp_path / "copy")
    DAMAGES[damage](next(folder.rglob(name)))
    with pytest.raises(InputError, match=rf"--inception_path={folder}: expected Inception with ") as refused:
        features.load("inception", inception_path=str(folder))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "a folder", "a loop"])
def test_a_damaged_graph_is_one_sentence(frozen_graph, tmp_path, damage):
    path = tmp_path / "graph.pb"
    path.write_bytes(frozen_graph.read_bytes())
    DAMAGES[damage](path)
    with pytest.raises(InputError, match=r"--inception_path(=\S+)?: expected ") as refused:
        features.load("inception", inception_path=str(path))
    assert "\n" not in str(refused.value)


def _save(model, path):
    model.save(path)
    return str(path)


def test_any_keras_model_gives_features_and_its_own_hash(tmp_path):
    inputs = keras.Input((8, 8, 1))
    hidden = keras.layers.Dense(5)(keras.layers.Flatten()(inputs))
    first = _save(keras.Model(inputs, keras.layers.Dense(2)(hidden)), tmp_path / "first.keras")
    named = _save(keras.Model(inputs, keras.layers.Dense(7, name="features")(hidden)), tmp_path / "named.keras")
    a, b = features.load(first), features.load(named)
    assert (a.dimensions, b.dimensions) == (5, 7)
    assert a.sha256 != b.sha256
    assert a.extractor()(images(4)).shape == (4, 5)


def test_what_is_no_such_model_is_refused(tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"broken\.keras"):
        features.load(str(tmp_path / "broken.keras"))
    with pytest.raises(InputError, match="none there"):
        features.load(str(tmp_path / "absent.keras"))
    flat = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(InputError, match="images of one size"):
        features.load(_save(flat, tmp_path / "flat.keras"))
    with pytest.raises(InputError, match="did you mean 'mnist'"):
        features.load("minst")


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    inputs = keras.Input((8, 8, 1))
    hidden = keras.layers.Dense(5)(keras.layers.Flatten()(inputs))
    path = tmp_path_factory.mktemp("good") / "good.keras"
    keras.Model(inputs, keras.layers.Dense(2)(hidden)).save(path)
    assert features.load(str(path)).dimensions == 5
    return path


CONFIG, WEIGHTS = "config.json", "model.weights.h5"
DAMAGED_ENTRIES = {
    "no config": (CONFIG, lambda content: None),
    "half a config": (CONFIG, lambda content: content[: len(content) // 2]),
    "config of garbage": (CONFIG, lambda content: b"\xff\xfe\0"),
    "config of nothing": (CONFIG, lambda content: b"{}"),
    "config of a list": (CONFIG, lambda content: b"[]"),
    "config of null": (CONFIG, lambda content: b"null"),
    "config without an end": (CONFIG, lambda content: b"[" * 100_000),
    "config of one layer": (CONFIG, lambda content: json.dumps(json.loads(content)["config"]["layers"][2]).encode()),
    "config of a flood": (CONFIG, lambda content: b" " * 2**22),
    "another module": (CONFIG, lambda content: content.replace(b'"keras.layers"', b'"os"')),
    "another class": (CONFIG, lambda content: content.replace(b'"Dense"', b'"Dance"')),
    "another size": (CONFIG, lambda content: content.replace(b'"units": 5', b'"units": 6')),
    "negative size": (CONFIG, lambda content: content.replace(b'"units": 5', b'"units": -5')),
    "no weights": (WEIGHTS, lambda content: None),
    "half the weights": (WEIGHTS, lambda content: content[: len(content) // 2]),
    "weights of garbage": (WEIGHTS, lambda content: b"\xff" * 100),
}


def refused_in_a_sentence(path):
    with pytest.raises(InputError) as refused:
        features.load(str(path))
    assert str(refused.value).startswith(f"--features={path}: expected a ")
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("case", DAMAGED_ENTRIES)
def test_an_archive_with_a_damaged_part_is_refused_in_a_sentence(network_file, tmp_path, monkeypatch, case):
    monkeypatch.setattr(features, "LEAST_SUSPECT", 2**21)
    name, damage = DAMAGED_ENTRIES[case]
    path = tmp_path / "damaged.keras"
    with zipfile.ZipFile(network_file) as good, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as damaged:
        for entry in good.namelist():
            content = damage(good.read(entry)) if entry == name else good.read(entry)
            if content is not None:
                damaged.writestr(entry, content)
    text = refused_in_a_sentence(path)
    assert case != "config of a flood" or "unpacks to" in text


@pytest.mark.parametrize("damage", [*DAMAGES, "a flipped byte"])
def test_a_damaged_archive_is_refused_in_a_sentence(network_file, tmp_path, damage):
    path = tmp_path / "damaged.keras"
    content = bytearray(network_file.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content) if damage == "a flipped byte" else network_file.read_bytes())
    DAMAGES.get(damage, lambda path: None)(path)
    text = refused_in_a_sentence(path)
    expected = {"cut": "no zip archive, or one that was cut short", "a folder": "a folder", "gone": "none there"}
    assert expected.get(damage, "") in text


def test_a_network_with_code_in_it_is_refused_in_a_sentence(tmp_path):
    code = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Lambda(lambda x: x + 1)])
    code.add(keras.layers.Dense(2))
    code.save(tmp_path / "code.keras")
    assert "potential risk of arbitrary code execution" in refused_in_a_sentence(tmp_path / "code.keras")
    keras.Sequential([keras.Input((8, 8, 1))]).save(tmp_path / "nothing.keras")
    refused_in_a_sentence(tmp_path / "nothing.keras")


def test_images_that_a_network_cannot_take_are_refused():
    extract = features.load("digits").extractor()
    with pytest.raises(InputError, match="3 channels"):
        extract(images(2, (8, 8, 3)))
    with pytest.raises(InputError, match="uint8"):
        extract(images(2).astype(np.float32))
    with pytest.raises(InputError, match=r"uint8 \[N, H, W, C\]"):
        extract(images(2, (8, 8)))
    with pytest.raises(InputError, match="at most 4096"):
        features.load("pixels").extractor()(images(2, (64, 65, 1)))


def test_a_feature_that_is_not_finite_is_refused_with_its_image(tmp_path):
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(3e38), name="features")(
        keras.layers.Flatten()(inputs)
    )
    extract = features.load(_save(keras.Model(inputs, outputs), tmp_path / "huge.keras")).extractor()
    x = np.zeros((3, 8, 8, 1), np.uint8)
    x[2] = 255
    with pytest.raises(InputError, match="image 2"):
        extract(x)


@pytest.mark.parametrize(
    ("dataset", "shape", "name"),
    [
        ("digits", (8, 8, 1), "digits"),
        ("tfds:mnist", (28, 28, 1), "mnist"),
        ("tfds:fashion_mnist", (28, 28, 1), "fashion_mnist"),
        ("tfds:cifar10", (32, 32, 3), "cifar10"),
        ("tfds:celeb_a", (64, 64, 3), "imagenet"),
        ("folder:photos", (64, 64, 3), "imagenet"),
        ("npz:scans.npz", (50, 40, 1), "imagenet"),
        ("npz:four.npz", (50, 40, 4), "none"),
        ("toy2d:moons", (1, 1, 2), "pixels"),
    ],
)
def test_every_dataset_has_its_default(dataset, shape, name):
    assert features.default(dataset, shape) == name
    network = features.load(name)
    assert network is None if name == "none" else network.name == name


def test_inception_is_the_default_where_it_is_at_hand_and_nothing_of_its_own():
    assert features.default("folder:photos", (64, 64, 3), inception_path="somewhere") == "inception"
    assert features.default("tfds:mnist", (28, 28, 1), inception_path="somewhere") == "mnist"
    assert features.default("npz:four.npz", (64, 64, 4), inception_path="somewhere") == "none"


def test_what_would_bring_scores_is_said():
    assert features.missing("tfds:mnist", (28, 28, 1)) == "--features=mnist brings them"
    assert "no network here takes images [64, 64, 4]; --features=PATH.keras" in features.missing("npz:x", (64, 64, 4))


def test_large_inputs_come_in_smaller_batches_that_change_nothing():
    network = features.load("imagenet")
    assert (network.batch, features.load("digits").batch, features.load("pixels").batch) == (50, 250, 250)
    seen = []
    watched = dataclasses.replace(network, apply=lambda x: seen.append(x.shape) or tf.reduce_mean(x, axis=[1, 2]))
    x = images(120, (8, 8, 1))
    found = watched.extractor()(x)
    assert found.shape == (120, 3)
    assert max(shape[0] or 0 for shape in seen) <= 50
    np.testing.assert_allclose(found[:, 0], x.mean(axis=(1, 2, 3)), atol=2.0)
