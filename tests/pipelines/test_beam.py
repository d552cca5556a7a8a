"""The data-parallel steps on Apache Beam give what the components give: the same bytes, the same counts."""

import json
import pathlib
import socket
import sys

import numpy as np
import pytest

pytest.importorskip("apache_beam", reason="needs Apache Beam, in an environment of requirements-pipeline.txt")

from PIL import Image

from pga_tf import data
from pga_tf.core.checks import InputError
from pga_tf.data import DataOptions
from pga_tf.evaluation import features, statistics
from pga_tf.runs import scoring
from pipelines import graph
from pipelines.beam import cluster, evaluator
from pipelines.beam.steps import STEPS
from pipelines.components import artifacts
from pipelines.components.example_gen import example_gen
from pipelines.components.schema_gen import schema_gen
from pipelines.components.statistics_gen import statistics_gen
from pipelines.components.transform import transform
from pipelines.store import digest_of
from tests.pipelines import helpers

ONE = ["--runner=DirectRunner"]
SEVERAL = ["--runner=DirectRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with colour, grey, broken, constant and repeated images."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(40):
        pixels = np.random.default_rng(i % 36).integers(0, 256, (9, 9, 3) if i % 2 else (9, 9), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    (folder / "99.png").write_bytes(b"broken")
    Image.fromarray(np.full((9, 9), 5, np.uint8)).save(folder / "98.png")
    for i in range(2):
        Image.fromarray(np.linspace(0, 4000 + i, 81).astype(np.uint16).reshape(9, 9)).save(folder / f"deep{i}.png")
    Image.new("LA", (9, 9), (5, 90)).save(folder / "glass.png")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


@pytest.mark.parametrize("beam_args", [ONE, SEVERAL], ids=["one worker", "two processes"])
def test_data_are_the_same(photos, tmp_path, beam_args):
    names = ("examples", "statistics", "schema", "transformed")
    here, there = ({name: str(tmp_path / place / name) for name in names} for place in ("here", "there"))
    for folder in (*here.values(), *there.values()):
        pathlib.Path(folder).mkdir(parents=True)
    ours = {"ExampleGen": example_gen, "StatisticsGen": statistics_gen, "Transform": transform}
    beams = {name: STEPS[name](beam_args) for name in ours}
    figures = []
    for steps, folders in ((ours, here), (beams, there)):
        made = {"ExampleGen": steps["ExampleGen"](folders["examples"], f"folder:{photos}", 0.3, 3, "0,4000")}
        made["StatisticsGen"] = steps["StatisticsGen"](folders["examples"], folders["statistics"])
        schema_gen(folders["statistics"], folders["schema"], 6, 8, "auto", 0.1, 0.5, 0.1, "")
        given = (folders["examples"], folders["schema"], folders["transformed"], 6, 8, "bicubic")
        figures.append(made | {"Transform": steps["Transform"](*given)})
    assert figures[0] == figures[1]
    assert {name: digest_of(pathlib.Path(path)) for name, path in there.items()} == {
        name: digest_of(pathlib.Path(path)) for name, path in here.items()
    }
    told, found, made = (figures[0][name] for name in ours)
    assert len(told["told"]) == 4  # hidden, deep, clipped, on white
    assert (found["corrupt"], found["near_constant"], found["duplicates"]) == (1, 2, 5)
    assert (made["shape"], made["left out as corrupt"]) == ("6x6x3", 1)


@pytest.mark.parametrize("beam_args", [ONE, SEVERAL], ids=["one worker", "two processes"])
def test_features_of_real_images_are_those_of_one_process(tmp_path, beam_args):
    count = 13_000
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "images.npz", images=images, test=np.arange(count) % 10 == 0)
    source, network = data.load(DataOptions(dataset=f"npz:{tmp_path / 'images.npz'}")), features.load("digits")
    named = evaluator.Named.of(source, network, "digits", "")
    found = evaluator.collect(source, "train", named, tmp_path, beam_args)
    whole = statistics.collect(scoring.real_images(source, "train"), network.extractor())
    assert found.moments.count == 11_700  # two parts
    np.testing.assert_array_equal(found.moments.mean, whole.moments.mean)
    np.testing.assert_array_equal(found.moments.covariance(), whole.moments.covariance())
    np.testing.assert_array_equal(found.features, whole.features)
    assert [path.name for path in tmp_path.iterdir()] == ["images.npz"]


def test_a_worker_that_sees_other_images_is_refused(tmp_path):
    np.savez(tmp_path / "images.npz", images=np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8))
    source, network = data.load(DataOptions(dataset=f"npz:{tmp_path / 'images.npz'}")), features.load("digits")
    named = evaluator.Named.of(source, network, "digits", "")
    assert evaluator._loaded(named)[0].counts == source.counts
    np.savez(tmp_path / "images.npz", images=np.random.default_rng(1).integers(0, 256, (40, 8, 8, 1), np.uint8))
    evaluator._loaded.cache_clear()
    with pytest.raises(InputError, match=f"expected the file with digest {source.identity.digest[:12]} on every"):
        evaluator._loaded(named)


def test_equal_images_are_refused(tmp_path):
    np.savez(tmp_path / "images.npz", images=np.full((40, 8, 8, 1), 7, np.uint8))
    source, network = data.load(DataOptions(dataset=f"npz:{tmp_path / 'images.npz'}")), features.load("digits")
    with pytest.raises(InputError, match="Real images: expected images that differ from each other, received 36 equal"):
        evaluator.collect(source, "train", evaluator.Named.of(source, network, "digits", ""), tmp_path, ONE)


def test_evaluation_is_the_same(tmp_path, monkeypatch):
    evaluations, collected = [], []
    collect = statistics.collect

    def watched(*args, what, **kwargs):
        collected.append(what)
        return collect(*args, what=what, **kwargs)

    monkeypatch.setattr(statistics, "collect", watched)
    for root, beam_args in (("here", ""), ("there", " ".join(ONE))):
        chosen = helpers.tiny(tmp_path / root, options={"beam_pipeline_args": beam_args})
        made = helpers.run_first(chosen, "Evaluator")["Evaluator"].execution
        evaluations.append(json.loads((made.outputs["evaluation"].path / artifacts.EVALUATION).read_text()))
        evaluations[-1]["read here"] = collected.count("real images")
        collected.clear()
    here, there = evaluations
    assert there["card"] == here["card"]
    for name, score in here["scores"].items():
        assert there["scores"][name]["value"] == score["value"], name
    # Two splits on Beam; what remains is the small set of training images that samples are held against.
    assert (here["read here"], there["read here"]) == (3, 1)


@pytest.mark.parametrize(
    ("beam_args", "message"),
    [
        ("--runner=NoSuch", "received Unexpected pipeline runner: NoSuch"),
        ("--runner=no.such.Runner", "received No module named 'no'"),
        ("--direct_num_workers=many", "received argument --direct_num_workers: invalid int value: 'many'"),
        ("--direct_num_worker=2", r"received --direct_num_worker. Remedy: did you mean --direct_num_workers\?"),
    ],
)
def test_mistakes_are_refused_before_any_work(tmp_path, beam_args, message):
    with pytest.raises(InputError, match=message):
        graph.steps(helpers.tiny(tmp_path / "root", options={"beam_pipeline_args": beam_args}))


def test_the_workers_do_not_chatter(photos, tmp_path, capfd):
    STEPS["ExampleGen"](SEVERAL)(str(tmp_path), f"folder:{photos}", 0.3, 1)
    shown = [line for line in capfd.readouterr().err.splitlines() if line.startswith("INFO")]
    assert len(shown) <= 2  # what each worker says before it knows its options


def test_without_dask_its_runner_is_refused_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"expected Dask.*pip install -r requirements-pipeline.txt -c constraints"):
        graph.on_beam("ExampleGen", ["--runner=DaskRunner"])


@pytest.mark.parametrize(
    ("beam_args", "message"),
    [
        ([], "expected --dask_client_address=HOST:PORT of a scheduler, received none"),
        (["--dask_client_address=127.0.0.1:{port}", "--dask_connection_timeout=1"], "expected one that answers"),
        (["--dask_client_adress=127.0.0.1:1"], r"did you mean --dask_client_address\?"),
        (["--dask_npartitions=2", "--dask_partition_size=2"], "not allowed with argument"),
    ],
)
def test_a_cluster_that_is_not_there_is_refused(tmp_path, beam_args, message):
    pytest.importorskip("distributed", reason="needs Dask, in an environment of requirements-pipeline.txt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = [text.format(port=port) for text in ["--runner=DaskRunner", *beam_args]]
    with pytest.raises(InputError, match=message):
        cluster.require(given, str(tmp_path), "digits")
