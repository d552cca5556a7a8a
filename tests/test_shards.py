"""Samples as a folder of shards: the command that writes it, who shares the work, and who reads it."""

import json
import re
import types

import numpy as np
import pytest

from pga_tf import data
from pga_tf.core import array_files, locks, memory, shards
from pga_tf.core.checks import InputError
from pga_tf.data import random_access
from pga_tf.runs import drawing
from pga_tf.runs import shards as writing
from pga_tf.training import loop
from tests import commands
from tests.training import helpers

COUNT, SIZE = 50, 15  # four shards, the last of 5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "tiny"
    assert loop.train(helpers.config(path, method="vae", dataset="digits", network="mlp", steps=1), out=str)
    return path


@pytest.fixture(scope="module")
def single(run):
    """The .npz file of the same samples."""
    commands.call("sample", f"--workdir={run}", f"--num_samples={COUNT}", f"--out={run.parent / 'single.npz'}")
    return run.parent / "single.npz"


def sample(run, folder, *flags):
    sizes = (f"--num_samples={COUNT}", f"--shard_size={SIZE}")
    return commands.call("sample", f"--workdir={run}", *sizes, f"--out={folder}/", *flags)


def paths(folder):
    return sorted(folder.glob("*.npz"))


def told(capsys):
    """(written, already there, with others) of the closing line."""
    line = capsys.readouterr().out.splitlines()[-1]
    return tuple(map(int, re.search(r"(\d+) written, (\d+) already there, (\d+) with other", line).groups()))


def images(path):
    return np.load(path)["images"]


def drawn_in_chunks():
    """Stands for a `Drawing` whose samples depend on what is drawn beside them, as floats on a processor may."""

    def samples(count, seed, start):
        values = [[i, seed, start, count] for i in range(start, start + count)]
        return np.array(values, np.uint8).reshape(count, 2, 2, 1)

    return types.SimpleNamespace(samples=samples, model=types.SimpleNamespace(image_shape=(2, 2, 1)))


def test_a_sample_is_the_same_to_the_bit_whatever_range_it_is_drawn_in(monkeypatch):
    monkeypatch.setattr(writing, "CHUNK", 8)
    advanced = []
    part = lambda start, stop: writing.drawn(drawn_in_chunks(), start, stop, count=30, seed=3, advance=advanced.append)
    whole = part(0, 30)
    np.testing.assert_array_equal(whole[:, 0, 0, 0], np.arange(30))
    np.testing.assert_array_equal(whole[-1].ravel(), [29, 3, 24, 6])
    assert advanced == [8, 8, 8, 6]
    for size in (1, 5, 8, 12, 29):
        advanced.clear()
        np.testing.assert_array_equal(np.concatenate([part(i, min(i + size, 30)) for i in range(0, 30, size)]), whole)
        assert sum(advanced) == 30


def test_shards_are_the_single_file_in_parts_and_nothing_else_is_left(run, single, tmp_path, capsys):
    folder = tmp_path / "shards"
    assert sample(run, folder) == 0
    assert told(capsys) == (4, 0, 0)
    names = [f"samples_{i:05d}_of_00004.npz" for i in range(4)]
    assert sorted(path.name for path in folder.iterdir()) == ["samples.json", *names]
    assert [len(images(path)) for path in paths(folder)] == [15, 15, 15, 5]
    np.testing.assert_array_equal(np.concatenate([images(path) for path in paths(folder)]), images(single))

    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    sample(run, folder)
    assert told(capsys) == (0, 4, 0)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before

    # What a torn disk, a hand or another program left: cut, lacking, of another shape, of another type.
    torn = paths(folder)
    torn[0].write_bytes(torn[0].read_bytes()[:-30])
    np.savez(torn[1], images=np.zeros((14, 8, 8, 1), np.uint8))
    torn[2].unlink()
    (folder / f".{torn[3].name}.0123abcd").write_bytes(b"of a killed process")
    np.savez(torn[3], images=np.zeros((5, 8, 8, 1), np.float32))
    assert not any(shards.read(folder).is_whole(folder, i) for i in range(4))
    sample(run, folder, "--compress")
    assert told(capsys) == (4, 0, 0)
    assert array_files.is_compressed(torn[0], "images")
    assert sorted(path.name for path in folder.iterdir()) == ["samples.json", *names]
    np.testing.assert_array_equal(np.concatenate([images(path) for path in torn]), images(single))


def test_what_another_process_holds_is_left_to_it(run, single, tmp_path, capsys):
    folder, lock = tmp_path, tmp_path / ".samples_00001_of_00004.npz.lock"
    with locks.exclusive(lock, "shard 1", expected="none"):
        sample(run, folder)  # a folder that is there
        assert told(capsys) == (3, 0, 1)
    assert [path.name[8:13] for path in paths(folder)] == ["00000", "00002", "00003"]

    with pytest.raises(InputError, match=r"expected all 4 shards, received a folder that lacks 1 of them") as refused:
        commands.call("evaluate", f"--images={folder}", "--against=digits", f"--workdir={tmp_path}/none")
    name, rest = re.search(r"python -m pga_tf\.(\w+)(.*)\.$", str(refused.value)).groups()
    commands.call(name, *rest.split())  # the other one has died
    assert told(capsys) == (1, 3, 0)
    np.testing.assert_array_equal(np.concatenate([images(path) for path in paths(folder)]), images(single))


def test_a_shard_whose_holder_ends_meanwhile_is_taken_up(run, tmp_path, capsys, monkeypatch):
    lock = locks.exclusive(tmp_path / ".samples_00000_of_00004.npz.lock", "shard 0", expected="none")
    lock.__enter__()
    store, stored = writing.store, []

    def ending(path, *arguments, **options):
        store(path, *arguments, **options)
        stored.append(path.name[8:13])
        if len(stored) == 2:
            lock.__exit__(None, None, None)
            (tmp_path / ".samples_00000_of_00004.npz.0123abcd").write_bytes(b"what it had begun")

    monkeypatch.setattr(writing, "store", ending)
    sample(run, tmp_path)
    assert stored == ["00001", "00002", "00003", "00000"]
    assert told(capsys) == (4, 0, 0)
    assert not list(tmp_path.glob(".*"))


def test_other_samples_are_refused_before_any_is_drawn(run, tmp_path, monkeypatch):
    sample(run, tmp_path / "a")
    monkeypatch.setattr(writing, "drawn", None)
    for flag, complaint in {
        "--seed=1": "seed 0 and not 1",
        "--num_samples=51": "num_samples 50 and not 51",
        "--shard_size=10": "shard_size 15 and not 10",
        "--prior=uniform": "prior normal and not uniform",
    }.items():
        with pytest.raises(InputError, match=f"shards of the same samples, received one with .*{complaint}"):
            sample(run, tmp_path / "a", flag)
    card = json.loads((tmp_path / "a/samples.json").read_text())
    (tmp_path / "a/samples.json").write_text(json.dumps(card | {"weights": "0" * 16}))
    with pytest.raises(InputError, match=f"weights {'0' * 16} and not {card['weights']}"):
        sample(run, tmp_path / "a")
    (tmp_path / "a/samples.json").unlink()
    with pytest.raises(InputError, match="received shards, and no such file"):
        sample(run, tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/samples.json").write_text("{}")  # of another program
    with pytest.raises(InputError, match="expected a card with weights, "):
        sample(run, tmp_path / "b")
    assert (tmp_path / "b/samples.json").read_text() == "{}"
    assert not list(tmp_path.glob("b/.*"))


def test_weights_and_prior_are_what_the_hash_is_of(run):
    weights, state = [np.zeros(2, np.float32), np.ones(3, np.float32)], {"means": np.zeros(2, np.float32)}

    def of(weights, prior):
        return writing.fingerprint(drawing.Drawing(types.SimpleNamespace(weights=weights), prior, "any"))

    unfitted, fitted = types.SimpleNamespace(), types.SimpleNamespace(state=lambda: state)
    found = [of(weights, unfitted), of(weights, fitted), of([weights[0], weights[1] + 1], unfitted)]
    state["means"] = state["means"] + 1
    found.append(of(weights, fitted))
    assert len(set(found)) == 4
    assert of(weights, unfitted) == found[0]


def test_a_folder_of_shards_scores_as_the_single_file(run, single, tmp_path, monkeypatch):
    sample(run, tmp_path / "shards")
    results = {}
    for name, path, limit in (("single", single, 2**30), ("read", "shards", 2**30), ("mapped", "shards", 1000)):
        monkeypatch.setattr(random_access, "LIMIT_BYTES", limit)
        asked = (f"--images={tmp_path / path}", "--against=digits", "--features=pixels", f"--workdir={tmp_path / name}")
        assert commands.call("evaluate", *asked, f"--cache_dir={tmp_path}/cache") == 0
        results[name] = json.loads((tmp_path / name / "evaluation/evaluation.json").read_text())
    for name in ("read", "mapped"):
        assert results[name]["scores"] == results["single"]["scores"]
        assert results[name]["card"] == results["single"]["card"]


def test_large_shards_are_mapped_and_not_read_as_a_whole(run, single, tmp_path, monkeypatch):
    sample(run, tmp_path / "stored")
    sample(run, tmp_path / "compressed", "--compress")
    monkeypatch.setattr(random_access, "LIMIT_BYTES", 1000)
    asked = []
    monkeypatch.setattr(memory, "require", lambda what, size, remedy: asked.append((what, size)))
    loaded = {}
    for name in ("stored", "compressed"):
        asked.clear()
        loaded[name] = data.load(data.DataOptions(dataset=f"npz:{tmp_path / name}"))
        assert ((str(tmp_path / name), COUNT * 64) in asked) == (name == "compressed")
        assert bool(asked) == (name == "compressed")
    reference = data.load(data.DataOptions(dataset=f"npz:{single}"))
    for split in ("train", "test"):
        expected = reference.examples(split, COUNT)
        for source in loaded.values():
            np.testing.assert_array_equal(source.examples(split, COUNT), expected)

    folder = tmp_path / "stored"
    parts = random_access.Parts(paths(folder), SIZE, (COUNT, 8, 8, 1), np.dtype(np.uint8))
    order = np.random.default_rng(0).permutation(COUNT)
    np.testing.assert_array_equal(parts[order], images(single)[order])
    np.testing.assert_array_equal(parts[7:40:3], images(single)[7:40:3])
