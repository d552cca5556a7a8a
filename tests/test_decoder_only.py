"""A method that only decodes, from training to a server: what needs an encoder is left out, or refused in one sentence.

`toy_moments` trains the map of its own prior; `gan` has a critic, which nothing but training may need.
"""

import contextlib
import json

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pga_tf.core import ranges
from pga_tf.core.checks import InputError
from pga_tf.methods import METHODS
from pga_tf.runs import config as config_lib
from pga_tf.runs import trained
from pga_tf.runs.directory import RunDirectory
from pga_tf.serving.local.server import Server
from pga_tf.serving.remote import Remote
from pga_tf.training import loop
from tests import commands
from tests.serving import models
from tests.training import helpers

PRIORS_OF = {"toy_moments": "own", "gan": "uniform"}


@pytest.fixture(scope="module", params=PRIORS_OF)
def run(request, tmp_path_factory):
    """(method, directory of a run that was scored twice while it trained)."""
    path = tmp_path_factory.mktemp(request.param)
    config = helpers.config(
        path, method=request.param, dataset="digits", network="mlp", steps=4, batch_norm="shared", image_every=2,
        evaluate_every=2, evaluate_samples=40, keep_best="frechet",
    )  # fmt: skip
    assert loop.train(config, out=str)
    return request.param, path


def test_training_shows_samples_and_no_reconstructions(run):
    _, path = run
    assert sorted(p.name for p in RunDirectory(path).samples.iterdir()) == ["step_0000002.png", "step_0000004.png"]
    events = EventAccumulator(str(RunDirectory(path).logs), size_guidance={"tensors": 0}).Reload()
    pictures = [t for t in events.Tags()["tensors"] if events.SummaryMetadata(t).plugin_data.plugin_name == "images"]
    assert pictures == ["samples"]


def test_samples_are_scored_while_it_trains(run):
    method, path = run
    lines = RunDirectory(path).read_scores()
    assert [line["step"] for line in lines] == [2, 4]
    assert all(np.isfinite(line["frechet"]) for line in lines)
    assert json.loads((path / "scores_card.json").read_text())["generated"]["prior"] == PRIORS_OF[method]
    best = min(lines, key=lambda line: line["frechet"])["step"]
    assert trained.load(config_lib.of_run(path), "best")[1] == best


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["fit_prior", "--prior=mixture"], "--prior=mixture"),
        (["sample", "--reconstruct"], "--reconstruct and --interpolate"),
        (["sample", "--interpolate=4"], "--reconstruct and --interpolate"),
    ],
)
def test_what_needs_an_encoder_is_refused_in_one_sentence(run, command, what):
    method, path = run
    before = sorted(path.rglob("*"))
    name = METHODS.get(method).__name__
    with pytest.raises(InputError, match=f"^{what}: expected a method with an encoder, received {name}") as error:
        commands.call(*command, f"--workdir={path}")
    assert "\n" not in str(error.value)
    assert sorted(path.rglob("*")) == before


def test_sampling_takes_the_prior_of_the_method(run, capsys):
    method, path = run
    capsys.readouterr()
    commands.call("sample", f"--workdir={path}", "--grid=2x2")
    assert capsys.readouterr().out.split()[-1].endswith("/grid_seed0.png")
    draw, _ = trained.load(config_lib.of_run(path))
    codes = draw.codes(np.arange(200))
    if method == "toy_moments":
        noise = trained.load(config_lib.of_run(path), prior="normal")[0].codes(np.arange(200))
        np.testing.assert_allclose(codes, draw.model.mapping(noise), rtol=1e-5, atol=1e-6)
    else:
        assert np.abs(codes).max() < 1.0 < 1.1 * np.abs(codes).max()
        with pytest.raises(InputError, match="--prior=own: expected a method that trains a map"):
            trained.load(config_lib.of_run(path), prior="own")


@contextlib.contextmanager
def served(base):
    server = Server(base / "models.config").start(poll_seconds=0, config_poll_seconds=0)
    try:
        with Remote(f"127.0.0.1:{server.port}", "toy", timeout=60) as remote:
            yield remote
    finally:
        server.stop()


def test_it_is_exported_and_served_without_what_needs_an_encoder(run, tmp_path, monkeypatch):
    method, path = run
    with models.gate_in_process(monkeypatch):
        commands.call("export", f"--workdir={path}", "--name=toy", f"--export_base={tmp_path}", "--batch_sizes=1")
    card = json.loads((tmp_path / "toy/1/assets.extra/model_card.json").read_text())
    assert card["prior"] == PRIORS_OF[method]
    shapes = tf.train.load_checkpoint(f"{tmp_path}/toy/1/variables/variables").get_variable_to_shape_map()
    draw, _ = trained.load(config_lib.of_run(path))
    parts = [draw.model.decoder] + ([draw.model.mapping] if method == "toy_moments" else [])
    held = sum(int(np.prod(shape)) for name, shape in shapes.items() if "VARIABLE_VALUE" in name)
    assert held == sum(int(np.prod(v.shape)) for part in parts for v in part.variables)  # no critic, no step
    seeds = np.arange(5)
    expected, codes = draw.samples(5), draw.codes(seeds)
    with served(tmp_path) as remote:
        assert set(remote.signatures) - {"serving_default"} == {"sample", "sample_png", "decode"}
        samples = remote.sample(seeds)
        np.testing.assert_array_equal(ranges.to_uint8(samples, (0.0, 1.0)), expected)
        np.testing.assert_allclose(remote.decode(codes), samples, atol=1e-6)
        with pytest.raises(InputError, match="expected a signature encode, received signatures decode, sample"):
            remote.encode(samples)


def test_it_is_evaluated_without_what_needs_an_encoder(run, tmp_path):
    method, path = run
    commands.call("evaluate", f"--workdir={path}", "--num_samples=60", "--seeds=1", f"--cache_dir={tmp_path}")
    result = json.loads((path / "evaluation" / "evaluation.json").read_text())
    card = result["card"]["generated"]
    assert (card["prior"], card["encoder"]) == (PRIORS_OF[method], "none")
    assert np.isfinite(result["scores"]["frechet"]["value"])
    assert result["gap"]["reconstructions"] is result["reconstruction"] is result["latent"] is None
    page = (path / "evaluation" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2  # samples, and their nearest training images
