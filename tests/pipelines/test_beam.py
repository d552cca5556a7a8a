"""The data-parallel steps on Apache Beam give what the components give: the same bytes, the same counts."""

import json

import numpy as np
import pytest

pytest.importorskip("apache_beam", reason="needs Apache Beam, in an environment of requirements-pipeline.txt")

import apache_beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that
from PIL import Image

from pga_tf import data
from pga_tf.core.checks import InputError
from pga_tf.data import DataOptions
from pga_tf.evaluation import features, statistics
from pga_tf.evaluation.moments import Moments
from pga_tf.runs import scoring
from pipelines import graph
from pipelines.beam import moments as moments_lib
from pipelines.beam import steps
from pipelines.components import artifacts
from pipelines.components.example_gen import example_gen
from pipelines.components.statistics_gen import statistics_gen
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
def test_examples_and_statistics_are_the_same(photos, tmp_path, beam_args):
    folders = {name: tmp_path / name for name in ("examples", "beam_examples", "statistics", "beam_statistics")}
    for folder in folders.values():
        folder.mkdir()
    here, there, counted, beam_counted = map(str, folders.values())
    parameters = (f"folder:{photos}", 0.3, 3, "0,4000")
    figures = example_gen(here, *parameters)
    assert len(figures["told"]) == 4  # hidden, deep, clipped, on white
    assert steps.example_gen(beam_args)(there, *parameters) == figures
    assert digest_of(folders["beam_examples"]) == digest_of(folders["examples"])
    assert steps.statistics_gen(beam_args)(there, beam_counted) == statistics_gen(here, counted)
    found = json.loads((folders["beam_statistics"] / artifacts.STATISTICS).read_text())
    assert found == json.loads((folders["statistics"] / artifacts.STATISTICS).read_text())
    assert (found["corrupt"], found["near_constant"]) == (1, 2)
    assert found["duplicates"] == 5


def test_moments_are_those_of_one_process_where_sums_would_cancel():
    """Features with a mean of a thousand times their spread, in batches of several sizes."""
    values = 1000.0 + np.random.default_rng(0).standard_normal((1000, 5))
    whole = Moments(5).add(values)

    def same(found):
        assert found[0].count == 1000
        np.testing.assert_allclose(found[0].mean, whole.mean, rtol=1e-12)
        np.testing.assert_allclose(found[0].covariance(), whole.covariance(), atol=1e-9)

    batches = np.split(values, [1, 50, 51, 400, 900])
    with apache_beam.Pipeline(options=PipelineOptions(ONE)) as pipeline:
        combined = pipeline | apache_beam.Create(batches) | apache_beam.CombineGlobally(moments_lib.MomentsFn(5))
        assert_that(combined, same)


@pytest.mark.parametrize("beam_args", [ONE, SEVERAL], ids=["one worker", "two processes"])
def test_features_of_real_images_are_those_of_one_process(tmp_path, beam_args):
    images = np.random.default_rng(0).integers(0, 256, (7000, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "images.npz", images=images, test=np.arange(7000) % 10 == 0)
    source, network = data.load(DataOptions(dataset=f"npz:{tmp_path / 'images.npz'}")), features.load("digits")
    found = moments_lib.collect(source, "train", network, ("digits", ""), tmp_path, beam_args)
    whole = statistics.collect(scoring.real_images(source, "train"), network.extractor())
    assert found.moments.count == 6300
    np.testing.assert_allclose(found.moments.mean, whole.moments.mean, atol=1e-9)
    np.testing.assert_allclose(found.moments.covariance(), whole.moments.covariance(), atol=1e-9)
    np.testing.assert_array_equal(found.features, whole.features)
    assert [path.name for path in tmp_path.iterdir()] == ["images.npz"]


def test_equal_images_are_refused(tmp_path):
    np.savez(tmp_path / "images.npz", images=np.full((40, 8, 8, 1), 7, np.uint8))
    source, network = data.load(DataOptions(dataset=f"npz:{tmp_path / 'images.npz'}")), features.load("digits")
    with pytest.raises(InputError, match="Real images: expected images that differ from each other, received 36 equal"):
        moments_lib.collect(source, "train", network, ("digits", ""), tmp_path, ONE)


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
        assert there["scores"][name]["value"] == pytest.approx(score["value"], abs=1e-9), name
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
    steps.example_gen(SEVERAL)(str(tmp_path), f"folder:{photos}", 0.3, 1)
    shown = [line for line in capfd.readouterr().err.splitlines() if line.startswith("INFO")]
    assert len(shown) <= 2  # what each worker says before it knows its options
