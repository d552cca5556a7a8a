"""ExampleGen to Transform: what is written, how it is split, what is counted, what stops a pipeline."""

import contextlib
import json
import pathlib
import shutil
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from pga_tf import data
from pga_tf.core.checks import InputError
from pipelines import examples as examples_lib
from pipelines import image_statistics, sources
from pipelines.components import artifacts
from pipelines.components.example_gen import example_gen, open_shards
from pipelines.components.example_validator import example_validator, find
from pipelines.components.schema_gen import read_given, schema_gen
from pipelines.components.statistics_gen import statistics_gen
from pipelines.components.transform import transform
from tests.pipelines import helpers

COUNT = 60


def pixels(seed, shape=(12, 12, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def photos(tmp_path):
    """A folder of 60 colour PNGs of 12x12."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(COUNT):
        Image.fromarray(pixels(i)).save(folder / f"{i:02d}.png")
    return folder


@pytest.fixture
def out(tmp_path):
    """A function that makes an output folder."""

    def make(name):
        (tmp_path / name).mkdir()
        return str(tmp_path / name)

    return make


def generated(dataset, folder, *, test_fraction=0.3, shards=2):
    example_gen(folder, dataset, test_fraction, shards)
    return {split: list(examples_lib.read(folder, split)) for split in examples_lib.SPLITS}


def schema_of(statistics, schema, *, image_size=0, crop=0, colour="auto", corrupt=0.0, duplicates=0.0, given=""):
    schema_gen(statistics, schema, image_size, crop, colour, corrupt, duplicates, 0.1, given)
    return schema


def test_digits_keep_their_own_split_their_pixels_and_labels(out):
    from sklearn.datasets import load_digits

    items = generated("digits", out("examples"), shards=3)
    assert {split: len(found) for split, found in items.items()} == {"train": 1500, "eval": 297}
    everything = sorted([*items["train"], *items["eval"]], key=lambda item: item.index)
    source = data.load(data.DataOptions(dataset="digits"))
    images = np.concatenate([source.examples("train", 1500), source.examples("test", 297)])
    for item, image in list(zip(everything, images, strict=True))[::100]:
        np.testing.assert_array_equal(examples_lib.decode(item.encoded), image)
    assert [item.label for item in everything] == load_digits().target.tolist()


def test_records_say_what_they_hold(photos, out):
    folder = out("examples")
    generated(f"folder:{photos}", folder)
    import tensorflow as tf

    record = next(examples_lib.records(examples_lib.shards(folder, "train")[0]))
    features = tf.train.Example.FromString(record).features.feature
    sides = [features[f"image/{key}"].int64_list.value[0] for key in ("height", "width", "channels")]
    name = features["image/filename"].bytes_list.value[0].decode()
    assert sides == [12, 12, 3]
    assert features["image/encoded"].bytes_list.value[0] == (photos / name).read_bytes()
    assert len(examples_lib.shards(folder, "train")) == len(examples_lib.shards(folder, "eval")) == 2


def test_the_split_goes_by_content_alone(photos, out, tmp_path):
    first = generated(f"folder:{photos}", out("one"))
    side = {item.encoded: split for split, items in first.items() for item in items}
    assert 5 < len(first["eval"]) < 35  # 18 of 60 are expected, with a deviation of 3.5
    for path in photos.glob("*.png"):  # other names, and copies of all
        path.rename(photos / f"renamed_{path.name}")
    for path in list(photos.glob("*.png"))[::2]:
        (photos / f"copy_of_{path.name}").write_bytes(path.read_bytes())
    folder = out("two")
    figures = example_gen(folder, f"folder:{photos}", 0.3, 3)
    for split in examples_lib.SPLITS:
        for item in examples_lib.read(folder, split):
            assert side[item.encoded] == split
    assert figures["duplicates"] == COUNT // 2


def test_parts_can_be_read_from_any_folder(photos, tmp_path, monkeypatch):
    """As by workers of a cluster, which begin elsewhere."""
    monkeypatch.chdir(tmp_path)
    parts = sources.parts("folder:photos")
    assert sources.places("folder:photos") == [str(photos)]
    monkeypatch.chdir(photos)
    items = [item for part in parts for item in sources.read(part)]
    assert [item.encoded for item in items] == [path.read_bytes() for path in sorted(photos.glob("*.png"))]


def test_what_not_every_reader_sees_alike_becomes_png(tmp_path):
    sideways = Image.fromarray(pixels(0, (6, 10, 3)))
    exif = Image.Exif()
    exif[examples_lib.ORIENTATION] = 6
    sideways.save(tmp_path / "sideways.jpg", exif=exif)
    Image.fromarray(pixels(1, (8, 8, 4)), "RGBA").save(tmp_path / "see_through.png")
    Image.fromarray(pixels(2, (8, 8, 3))).save(tmp_path / "plain.jpg")
    shapes = {"sideways.jpg": (10, 6, 3), "see_through.png": (8, 8, 3), "plain.jpg": (8, 8, 3)}
    for name, shape in shapes.items():
        encoded = (tmp_path / name).read_bytes()
        item, found, _, picture = examples_lib.normalised(examples_lib.Item(0, encoded, name))
        assert found == shape
        assert bool(picture and picture.transparent) == (name == "see_through.png")
        assert (item.encoded == encoded) == (name == "plain.jpg")
        np.testing.assert_array_equal(examples_lib.decode(item.encoded), examples_lib.decode(encoded))


def test_what_is_not_used_as_it_is_stored_is_told_and_counted(photos, out, capsys):
    (photos / ".thumbnails").mkdir()
    shutil.copy(photos / "03.png", photos / ".thumbnails" / "03.png")
    Image.fromarray(np.linspace(0, 4095, 144).astype(np.uint16).reshape(12, 12)).save(photos / "deep.png")
    figures = example_gen(out("one"), f"folder:{photos}", 0.3, 1)
    assert sum(figures["images"].values()) == COUNT + 1
    assert capsys.readouterr().out.splitlines() == figures["told"]
    hidden, deep = figures["told"]
    assert hidden.startswith("warning: 1 passed over, pictures in hidden folders")
    assert deep.endswith("deep.png; was another range meant? Pass --value_range=0,4095")
    folder = out("two")
    (deep,) = example_gen(folder, f"folder:{photos}", 0.3, 1, "0,4095")["told"][1:]
    assert "[0, 4095] became [0, 255]" in deep
    (item,) = (i for split in examples_lib.SPLITS for i in examples_lib.read(folder, split) if i.name == "deep.png")
    assert examples_lib.decode(item.encoded)[..., 0].ravel()[[0, -1]].tolist() == [0, 255]


def test_folders_for_train_and_test_are_the_splits(tmp_path, out):
    for split, count in (("train", 5), ("test", 3)):
        (tmp_path / split).mkdir()
        for i in range(count):
            Image.fromarray(pixels(i)).save(tmp_path / split / f"{i}.png")
    found = generated(f"folder:{tmp_path}", out("one"))
    assert {split: {item.name.split("/")[0] for item in items} for split, items in found.items()} == {
        "train": {"train"},
        "eval": {"test"},
    }
    assert [len(found[split]) for split in examples_lib.SPLITS] == [5, 3]


def test_a_split_without_images_is_refused(tmp_path, out):
    Image.fromarray(pixels(0)).save(tmp_path / "one.png")
    with pytest.raises(InputError, match="received 1 images and none for the"):
        example_gen(out("examples"), f"folder:{tmp_path}", 0.3, 1)


def test_a_dataset_that_a_pipeline_does_not_take_is_refused(out):
    with pytest.raises(InputError, match="expected one of digits, tfds, folder"):
        example_gen(out("examples"), "toy2d:moons", 0.3, 1)


def test_statistics_are_those_of_the_pixels(photos, out):
    Image.fromarray(np.full((12, 12), 7, np.uint8)).save(photos / "flat.png")
    (photos / "copy.bmp").write_bytes(b"")
    Image.fromarray(pixels(3)).save(photos / "copy.bmp")  # the pixels of 03.png in other bytes
    (photos / "broken.png").write_bytes(b"no image")
    examples, folder = out("examples"), out("statistics")
    example_gen(examples, f"folder:{photos}", 0.3, 2)
    statistics_gen(examples, folder)
    found = json.loads(pathlib.Path(folder, artifacts.STATISTICS).read_text())
    held = np.concatenate([*(pixels(i).ravel() for i in range(COUNT)), pixels(3).ravel(), np.full(144, 7)])
    assert found["images"] == COUNT + 3
    assert found["shapes"] == {"12x12x1": 1, "12x12x3": COUNT + 1}
    np.testing.assert_allclose([found["mean"], found["std"]], [held.mean(), held.std()], rtol=1e-12)
    red = np.bincount(np.concatenate([*(pixels(i)[..., 0].ravel() for i in range(COUNT)), pixels(3)[..., 0].ravel()]))
    assert found["histograms"]["red"] == np.pad(red, (0, 256 - len(red))).tolist()
    assert (found["near_constant_images"], list(found["corrupt_images"])) == (["flat.png"], ["broken.png"])
    assert found["corrupt_images"]["broken.png"] == "cannot identify image file"
    assert (found["duplicates"], found["duplicate_images"]) == (1, [["03.png", "copy.bmp"]])


def test_summaries_merge_in_any_order():
    def item(i):
        encoded = b"damage" if i % 7 == 0 else examples_lib.png(pixels(i % 20, (4, 4, 1 + 2 * (i % 2))))
        return examples_lib.Item(i, encoded, split="train")

    facts = [image_statistics.facts(item(i)) for i in range(60)]
    whole = image_statistics.Summary()
    for one in facts:
        whole.add(one)
    parts = [image_statistics.Summary() for _ in range(3)]
    for i, one in enumerate(reversed(facts)):
        parts[i % 3].add(one)
    assert parts[2].merge(parts[0]).merge(parts[1]).result() == whole.result()
    assert whole.result()["corrupt"] == 9


def test_transform_gives_training_the_source_itself(out, tmp_path):
    examples, statistics, transformed = out("examples"), out("statistics"), out("transformed")
    example_gen(examples, "digits", 0.1, 3)
    statistics_gen(examples, statistics)
    transform(examples, schema_of(statistics, out("schema")), transformed, 0, 0, "bicubic")
    made = data.load(data.DataOptions(dataset=artifacts.dataset(transformed)))
    source = data.load(data.DataOptions(dataset="digits"))
    for split in ("train", "test"):
        np.testing.assert_array_equal(made.examples(split, 2000), source.examples(split, 2000))


@pytest.mark.parametrize("resize", data.folder.photo.RESIZES)
def test_transform_makes_of_photographs_what_the_folder_source_does(photos, out, resize):
    examples, statistics, transformed = out("examples"), out("statistics"), out("transformed")
    Image.fromarray(pixels(99, (20, 30, 3))).save(photos / "wide.jpg")
    items = generated(f"folder:{photos}", examples)
    statistics_gen(examples, statistics)
    transform(examples, schema_of(statistics, out("schema"), image_size=8, crop=10), transformed, 8, 10, resize)
    with np.load(pathlib.Path(transformed, artifacts.IMAGES)) as stored:
        images, test = stored["images"], stored["test"]
    everything = sorted([*items["train"], *items["eval"]], key=lambda item: item.index)
    for item, image, held_out in zip(everything, images, test, strict=True):
        np.testing.assert_array_equal(
            image,
            data.folder.photo.decode(photos / item.name, (8, 8, 3), crop=10, resize=resize),
            err_msg=item.name,
        )
        assert held_out == (item.split == "eval")


def test_transform_never_holds_all_images(out):
    """NumPy tells tracemalloc of its memory; 80 images of 0.8 MB pass through, by way of a buffer of 16 MB."""
    examples, schema, side = out("examples"), out("schema"), 512
    with contextlib.ExitStack() as stack:
        writers = open_shards(examples, 1, stack)
        for i in range(80):
            encoded = examples_lib.png(np.full((side, side, 3), i, np.uint8))
            split = examples_lib.SPLITS[i % 2]
            writers[split][0].write(examples_lib.serialised(examples_lib.Item(i, encoded), (side, side, 3), "x"))
    pathlib.Path(schema, artifacts.SCHEMA).write_text(json.dumps({"height": side, "width": side, "channels": 3}))
    tracemalloc.start()
    transform(examples, schema, transformed := out("transformed"), 0, 0, "bicubic")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 * side * side * 3 / 2
    with np.load(pathlib.Path(transformed, artifacts.IMAGES)) as stored:
        assert stored["images"][:, 0, 0, 0].tolist() == list(range(80))


def test_corrupt_images_stop_the_pipeline_by_name(photos, tmp_path):
    for name in ("03.png", "40.png"):
        (photos / name).write_bytes(b"no image")
    chosen = helpers.tiny(tmp_path / "root", dataset=f"folder:{photos}")
    results = helpers.run_first(chosen, "Trainer")
    states = helpers.states(results)
    assert (states["ExampleValidator"], states["Transform"], states["Trainer"]) == ("failed", "not run", "not run")
    error = results["ExampleValidator"].error
    assert "corrupt images: expected at most 0.00% of 60, received 2 (3.33%): 03.png, 40.png" in error

    allowed = helpers.tiny(tmp_path / "root", dataset=f"folder:{photos}", options={"max_corrupt": 0.05})
    results = helpers.run_first(allowed, "Transform")
    assert set(helpers.states(results).values()) == {"cached", "run"}
    assert results["Transform"].execution.figures["images"] == COUNT - 2
    assert results["Transform"].execution.figures["left out as corrupt"] == 2


def test_data_that_drift_from_the_last_good_ones_stop_the_pipeline(photos, tmp_path):
    root = tmp_path / "root"
    chosen = helpers.tiny(root, dataset=f"folder:{photos}")
    assert helpers.states(helpers.run_first(chosen, "ExampleValidator"))["ExampleValidator"] == "run"
    for i in range(COUNT):
        Image.fromarray(pixels(i) // 2).save(photos / f"{i:02d}.png")
    for _ in range(2):  # what was stopped once is no standard for the next time
        results = helpers.run_first(chosen, "ExampleValidator")
        assert results["ExampleValidator"].state == "failed"
        error = results["ExampleValidator"].error
        assert "drift of the pixels' mean: expected at most 10.0% of the range from 127" in error
    for i in range(COUNT):
        Image.fromarray(pixels(i)).save(photos / f"{i:02d}.png")
    assert helpers.states(helpers.run_first(chosen, "ExampleValidator"))["ExampleValidator"] == "cached"


SCHEMA = {
    "height": 12, "width": 12, "channels": 3, "colour": "auto", "least_side": 0, "low": 0, "high": 255,
    "least_span": 0.5, "max_corrupt_share": 0.01, "max_duplicate_share": 0.01, "max_drift": 0.1,
}  # fmt: skip
STATISTICS = {
    "images": 200, "shapes": {"12x12x3": 200}, "minimum": 0, "maximum": 255, "mean": 100.0, "std": 50.0, "corrupt": 0,
    "corrupt_images": {}, "duplicates": 0, "duplicate_images": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "schema", "what"),
    [
        ({"shapes": {"12x12x3": 199, "12x14x3": 1}}, {}, "size"),
        ({"shapes": {"12x12x3": 200}}, {"height": None, "width": None, "least_side": 16}, "size"),
        ({"shapes": {}, "minimum": None, "maximum": None}, {}, "images"),
        ({"shapes": {"12x12x3": 200}}, {"channels": 1}, "channels"),
        ({"minimum": 0, "maximum": 16}, {}, "range"),
        ({"maximum": 255}, {"high": 200}, "range"),
        ({"corrupt": 3, "corrupt_images": {"a.png": "cut short"}}, {}, "corrupt images"),
        ({"duplicates": 3, "duplicate_images": [["a.png", "b.png"]]}, {}, "duplicate images"),
        ({"mean": 126.0}, {}, "drift of the pixels' mean"),
        ({"std": 24.0}, {}, "drift of the pixels' std"),
    ],
)
def test_each_anomaly_is_found(change, schema, what):
    assert find(STATISTICS, SCHEMA, STATISTICS) == []
    assert [anomaly["what"] for anomaly in find(STATISTICS | change, SCHEMA | schema, STATISTICS)] == [what]


def test_a_schema_of_before_is_held_to(photos, out, tmp_path):
    examples, statistics, schema = out("examples"), out("statistics"), out("schema")
    example_gen(examples, f"folder:{photos}", 0.3, 1)
    statistics_gen(examples, statistics)
    given = tmp_path / "given.json"
    given.write_text(json.dumps(SCHEMA | {"height": 16, "width": 16}))
    schema_of(statistics, schema, given=str(given))
    anomalies = out("anomalies")
    with pytest.raises(InputError, match="size: expected 16x16 pixels, or --image_size, received 60 of 12x12"):
        example_validator(statistics, schema, "", anomalies)
    assert json.loads(pathlib.Path(anomalies, artifacts.ANOMALIES).read_text())[0]["what"] == "size"
    given.write_text("{}")
    with pytest.raises(InputError, match=r"expected the keys channels, colour, height.*received none"):
        schema_of(statistics, schema, given=str(given))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"height": "12"}, r"height: expected null or a number of pixels above 0, received \"12\""),
        ({"height": 12.5}, "height: expected null or"),
        ({"height": True}, "height: expected null or"),
        ({"width": -1}, "width: expected null or"),
        ({"width": None}, "width: expected null where height is, and a number where it is one, received null"),
        ({"channels": 4}, "channels: expected 1 or 3, received 4"),
        ({"channels": [3]}, r"channels: expected 1 or 3, received \[3\]"),
        ({"colour": "blue"}, "colour: expected auto, grey or rgb"),
        ({"colour": None}, "colour: expected auto, grey or rgb"),
        ({"least_side": -1}, "least_side: expected a number of pixels"),
        ({"low": float("nan")}, "low: expected a number, received NaN"),
        ({"high": 0}, "high: expected more than low, which is 0, received 0"),
        ({"high": {}}, "high: expected a number"),
        ({"least_span": 2}, "least_span: expected a number from 0 to 1"),
        ({"max_corrupt_share": "1%"}, "max_corrupt_share: expected a number from 0 to 1"),
        ({"max_duplicate_share": float("inf")}, "max_duplicate_share: expected"),
        ({"max_drift": -0.1}, "max_drift: expected"),
        ({"more": 1}, "expected the keys .*received channels, .*more"),
    ],
)
def test_a_schema_with_a_value_that_cannot_be_is_refused(tmp_path, change, says):
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA | change))
    with pytest.raises(InputError, match=rf"--schema={path}.*{says}"):
        read_given(str(path))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100000, b"[]", b"null", b"3", json.dumps(SCHEMA).encode()[:-9]]
)
def test_a_file_that_is_no_schema_is_refused(tmp_path, content):
    path = tmp_path / "schema.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^--schema={path}: expected "):
        read_given(str(path))
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=rf"^--schema={place}: expected a schema\.json"):
            read_given(str(place))
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(SCHEMA).encode())
    assert read_given(str(path)) == SCHEMA
