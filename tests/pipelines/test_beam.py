"""The data-parallel steps on Apache Beam give what the components give: the same bytes, the same counts."""

import json

import numpy as np
import pytest

pytest.importorskip("apache_beam", reason="needs Apache Beam, in an environment of requirements-pipeline.txt")

import apache_beam
from apache_beam.testing.util import assert_that
from PIL import Image

from pga_tf.evaluation.moments import Moments
from pipelines import examples as examples_lib
from pipelines.beam import moments as moments_lib
from pipelines.beam import steps
from pipelines.components import artifacts
from pipelines.components.example_gen import example_gen
from pipelines.components.statistics_gen import statistics_gen
from pipelines.store import digest_of

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
    return folder


@pytest.mark.parametrize("beam_args", [ONE, SEVERAL], ids=["one worker", "two processes"])
def test_examples_and_statistics_are_the_same(photos, tmp_path, beam_args):
    folders = {name: tmp_path / name for name in ("examples", "beam_examples", "statistics", "beam_statistics")}
    for folder in folders.values():
        folder.mkdir()
    here, there, counted, beam_counted = map(str, folders.values())
    parameters = (f"folder:{photos}", 0.3, 3)
    assert steps.example_gen(beam_args)(there, *parameters) == example_gen(here, *parameters)
    assert digest_of(folders["beam_examples"]) == digest_of(folders["examples"])
    assert steps.statistics_gen(beam_args)(there, beam_counted) == statistics_gen(here, counted)
    found = json.loads((folders["beam_statistics"] / artifacts.STATISTICS).read_text())
    assert found == json.loads((folders["statistics"] / artifacts.STATISTICS).read_text())
    assert (found["corrupt"], found["near_constant"]) == (1, 1)
    assert found["duplicates"] == 4


def test_moments_are_those_of_one_process_where_sums_would_cancel():
    """Features with a mean of a thousand times their spread, in batches of several sizes."""
    features = 1000.0 + np.random.default_rng(0).standard_normal((1000, 5))
    whole = Moments(5).add(features)

    def same(found):
        assert found[0].count == 1000
        np.testing.assert_allclose(found[0].mean, whole.mean, rtol=1e-12)
        np.testing.assert_allclose(found[0].covariance(), whole.covariance(), atol=1e-9)

    batches = np.split(features, [1, 50, 51, 400, 900])
    with apache_beam.Pipeline(options=moments_lib.PipelineOptions(ONE)) as pipeline:
        combined = pipeline | apache_beam.Create(batches) | apache_beam.CombineGlobally(moments_lib.MomentsFn(5))
        assert_that(combined, same)


def test_feature_moments_are_those_of_evaluation(tmp_path):
    from pga_tf.evaluation import features

    examples, schema, moments = (tmp_path / name for name in ("examples", "schema", "moments"))
    for folder in (examples, schema, moments):
        folder.mkdir()
    example_gen(str(examples), "digits", 0.3, 2)
    (schema / artifacts.SCHEMA).write_text(json.dumps({"height": 8, "width": 8, "channels": 1}))
    moments_lib.feature_moments(str(examples), str(schema), str(moments), "eval", "digits", "", 0, 0, ONE)
    images = np.stack([examples_lib.decode(item.encoded) for item in examples_lib.read(str(examples), "eval")])
    extracted = features.load("digits").extractor()(images)
    whole = Moments(extracted.shape[1]).add(extracted)
    with np.load(moments / "moments.npz") as found:
        assert found["count"] == 297
        np.testing.assert_allclose(found["mean"], whole.mean, atol=1e-9, rtol=1e-6)  # float32 features, other batches
        np.testing.assert_allclose(found["scatter"] / 296, whole.covariance(), atol=1e-5, rtol=1e-5)
