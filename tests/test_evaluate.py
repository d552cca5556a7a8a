"""The evaluate command as a user calls it: a run, a folder or array of images, a comparison, and mistakes."""

import base64
import functools
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import scipy.stats
from PIL import Image
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from pga_tf import data
from pga_tf.core.checks import InputError
from pga_tf.evaluation import features, protocol, rounding
from pga_tf.priors.mixture import MixtureOptions
from pga_tf.runs import config as config_lib
from pga_tf.runs import run_codes, scoring, trained
from pga_tf.runs.config import FitOptions
from pga_tf.runs.directory import RunDirectory
from pga_tf.runs.drawing import Drawing
from pga_tf.training import fitting, loop
from tests import commands, markup
from tests.training import helpers

ROOT = pathlib.Path(__file__).parents[1]


def command(*arguments):
    """The command in a process of its own."""
    whole = [sys.executable, "-m", "pga_tf.evaluate", *arguments]
    return subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, timeout=300)


evaluate = functools.partial(commands.call, "evaluate")


def load(folder):
    return json.loads((pathlib.Path(folder) / "evaluation" / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return f"--cache_dir={tmp_path_factory.mktemp('cache')}"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short VPGA on the bundled digits, scored twice while it trained."""
    path = tmp_path_factory.mktemp("runs") / "tiny"
    config = helpers.config(
        path, method="vpga", dataset="digits", network="mlp", filters=16, steps=40, evaluate_every=20,
        evaluate_samples=60, keep_best="frechet", optimizer="adam", learning_rate=1e-3,
    )  # fmt: skip
    assert loop.train(config, out=str)
    return path


@pytest.fixture(scope="module")
def evaluated(run, cache):
    done = command(f"--workdir={run}", "--num_samples=200", "--seeds=2", cache)
    assert done.returncode == 0, done.stderr
    return done


def test_training_writes_scores_and_keeps_the_best_checkpoint(run):
    lines = RunDirectory(run).read_scores()
    assert [line["step"] for line in lines] == [20, 40]
    card = json.loads((run / "scores_card.json").read_text())
    assert card["real"]["count"] == 60
    assert {line["protocol"] for line in lines} == {protocol.digest(card)}
    best = min(lines, key=lambda line: line["frechet"])["step"]
    _, step = trained.load(config_lib.of_run(run), "best")
    assert step == best
    assert trained.load(config_lib.of_run(run))[1] == 40


def test_a_protocol_goes_by_its_name_into_score_card_page_and_tensorboard(run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    evaluate(f"--workdir={copy}", "--protocol=pga", "--num_samples=60", "--seeds=1", f"--cache_dir={tmp_path}/cache")
    assert "Frechet distance (digits features), protocol pga" in capsys.readouterr().out
    result = load(copy)
    assert result["card"]["protocol"] == "pga, but num_samples=60"
    assert (result["card"]["real"]["split"], result["card"]["real"]["count"]) == ("train", 1500)
    assert "--protocol=pga" in result["commands"][1]
    assert "protocol pga" in (copy / "evaluation" / "report.html").read_text()
    events = EventAccumulator(str(RunDirectory(copy).logs), size_guidance={"tensors": 0}).Reload()
    assert "evaluation/pga/frechet" in events.Tags()["tensors"]
    assert "evaluation/frechet" not in events.Tags()["tensors"]


@pytest.mark.slow
def test_a_best_checkpoint_by_another_protocol_is_no_rival(tmp_path):
    def train(steps, **values):
        config = helpers.config(tmp_path, dataset="digits", network="mlp", steps=steps, evaluate_every=2, **values)
        loop.train(config, out=str)
        return RunDirectory(tmp_path).read_best()

    assert train(2, evaluate_samples=40) is None
    first = train(4, evaluate_samples=40, keep_best="frechet")
    assert first["step"] == 4  # what was scored before was not kept, so it is no rival
    other = train(6, evaluate_samples=40, keep_best="frechet", evaluate_features="pixels")
    assert other["step"] == 6
    assert other["protocol"] != first["protocol"]
    assert other["value"] > 100 * first["value"]


def test_too_few_test_images_to_score_on_are_refused_before_training(tmp_path):
    np.savez(tmp_path / "few.npz", images=np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), np.uint8))
    with pytest.raises(InputError, match=r"--evaluate_every: expected a test split of at least 20"):
        loop.train(
            helpers.config(
                tmp_path / "run", dataset=f"npz:{tmp_path}/few.npz", evaluate_every=2, evaluate_features="pixels"
            ),
            out=str,
        )
    assert not (tmp_path / "run").exists()


def test_scores_during_training_do_not_change_the_weights(run, tmp_path):
    config = helpers.config(
        tmp_path, method="vpga", dataset="digits", network="mlp", filters=16, steps=40, optimizer="adam",
        learning_rate=1e-3,
    )  # fmt: skip
    loop.train(config, out=str)
    helpers.assert_same_state(helpers.state(run), helpers.state(tmp_path))


def test_the_command_prints_and_writes_the_same_numbers(run, evaluated):
    result = load(run)
    assert result["card"]["generated"]["seeds"] == [0, 1]
    assert result["card"]["generated"]["count"] == 200
    assert result["card"]["real"] | {"sha256": ""} == {
        "dataset": "digits", "split": "test", "count": 297, "image_shape": [8, 8, 1], "sha256": "",
    }  # fmt: skip
    frechet = result["scores"]["frechet"]
    value, error = rounding.supported(frechet["value"], frechet["error"])
    assert re.search(rf"features\)\s+{re.escape(value)}\s+\+- {re.escape(error)} \(choice", evaluated.stdout)
    assert f"{result['memory']['ratio']:.4g}" in evaluated.stdout
    # 297 scans for the network's 64 dimensions
    scored, real = result["notes"]
    assert "only 200 images scored at a time for 64 dimensions" in scored
    assert "only 297 real images for 64 dimensions" in real
    assert f"note: {scored}\nnote: {real}\n" in evaluated.stdout
    assert "FID" not in evaluated.stdout
    assert str(run / "evaluation" / "report.html") in evaluated.stdout
    assert "images/s" in evaluated.stderr  # the progress bar


def test_the_page_shows_the_samples_that_were_scored(run, evaluated):
    page = (run / "evaluation" / "report.html").read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == 6
    told = {caption.text for caption in markup.Page(page).all("figcaption")}
    assert any(re.match(r"Draws around the code .*lambda: its posterior variance", caption) for caption in told)
    assert any(re.match(r"Codes of 297 held-out images by label: two principal.* \d+%", caption) for caption in told)
    assert not any(caption.startswith("Along single latent directions") for caption in told)
    posterior = load(run)["posterior"]
    assert posterior["left_out"] == "no bound with a Gaussian likelihood is trained"
    variances = posterior["draws"]["posterior_variances"]
    assert variances == sorted(variances)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[0]))))
    np.testing.assert_array_equal(shown, np.asarray(Image.open(run / "evaluation" / "samples.png")))
    draw, _ = trained.load(config_lib.of_run(run))
    first = draw.samples(1)[0, ..., 0].repeat(5, axis=0).repeat(5, axis=1)
    np.testing.assert_array_equal(shown[:40, :40], first)
    shown = {node["aria-label"].split(":")[0] for node in markup.Page(page).all("svg")}
    assert {"Posterior variances", "L_vr", "frechet", "gradient_norm/encoder", "Pixel error against steps"} <= shown
    steps, errors = load(run)["curves"]["root mean squared pixel error"]
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert (steps, [e**2 for e in errors]) == ([m["step"] for m in logged], pytest.approx([m["L_r"] for m in logged]))


def test_scores_stand_beside_the_hyperparameters_in_tensorboard(run, evaluated):
    """As TensorBoard itself reads a folder of runs."""
    logs = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(run.parent)).Reload()
    provider = data_provider.MultiplexerDataProvider(logs, str(run.parent))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    experiment = context.experiment_from_metadata(
        RequestContext(), "", include_metrics=True,
        hparams_run_to_tag_to_content=context.hparams_metadata(RequestContext(), ""),
        data_provider_hparams=[],
    )  # fmt: skip
    metrics = [metric.name.tag for metric in experiment.metric_infos]
    names = ("frechet", "kernel", "precision", "recall", "density", "coverage")
    assert {f"evaluation/{name}" for name in names} <= set(metrics)
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=10, allowed_statuses=[api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_RUNNING],
        col_params=[api_pb2.ColParams(metric=api_pb2.MetricName(tag=f"evaluation/{name}")) for name in names],
    )  # fmt: skip
    (group,) = list_session_groups.Handler(RequestContext(), context, "", request).run().session_groups
    assert group.hparams["method"].string_value == "vpga"
    assert group.hparams["filters"].number_value == 16
    values = {value.name.tag: (value.value, value.training_step) for value in group.metric_values}
    for name, entry in load(run)["scores"].items():
        assert values[f"evaluation/{name}"] == (pytest.approx(entry["value"], rel=1e-6), 40), name


def test_a_folder_and_an_array_of_the_same_images_score_the_same(run, cache, tmp_path):
    draw, _ = trained.load(config_lib.of_run(run))
    images = draw.samples(80)
    np.savez(tmp_path / "samples.npz", images=images)
    (tmp_path / "folder").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(tmp_path / "folder" / f"{i:03d}.png")
    results = []
    for name in ("samples.npz", "folder"):
        evaluate(f"--images={tmp_path / name}", "--against=digits", f"--workdir={tmp_path / name}_out", cache)
        results.append(load(f"{tmp_path / name}_out"))
    a, b = results
    assert a["card"] == b["card"]
    assert a["scores"]["frechet"]["value"] == pytest.approx(b["scores"]["frechet"]["value"], rel=1e-4)
    assert a["scores"]["precision"] == b["scores"]["precision"]

    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "folder" / "large.png")
    with pytest.raises(InputError, match="--images_size"):
        evaluate(f"--images={tmp_path / 'folder'}", "--against=digits", f"--workdir={tmp_path / 'none'}", cache)
    evaluate(
        f"--images={tmp_path / 'folder'}", "--against=digits", "--images_size=8", f"--workdir={tmp_path}/sized", cache
    )
    assert load(tmp_path / "sized")["card"]["generated"] == {
        "count": 81, "image_shape": [8, 8, 1], "prepared": "size 8",
    }  # fmt: skip

    sized = ("--images_size=6", "--images_crop=7", "--images_resize=tf1_bicubic")
    evaluate(f"--images={tmp_path / 'folder'}", "--against=digits", *sized, f"--workdir={tmp_path}/sized", cache)
    assert load(tmp_path / "sized")["card"]["generated"]["prepared"] == "size 6, crop 7, resize tf1_bicubic"
    with pytest.raises(InputError, match=r"--against_resize=bilinear: expected --against_size, to.*--against_siz"):
        evaluate(f"--images={tmp_path / 'folder'}", "--against=digits", "--against_resize=bilinear",
                 f"--workdir={tmp_path}/none", cache)  # fmt: skip

    (tmp_path / "folder" / "large.png").unlink()
    (tmp_path / "folder" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.png"):
        evaluate(f"--images={tmp_path / 'folder'}", "--against=digits", f"--workdir={tmp_path / 'none'}", cache)
    assert not (tmp_path / "none").exists()


def test_a_folder_is_scored_against_all_of_another_and_is_at_no_distance_from_itself(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    for i in range(60):
        pixels = np.kron(np.random.default_rng(i).integers(0, 256, (4, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "mine" / f"{i}.png")
    Image.new("LA", (32, 32), (9, 90)).save(tmp_path / "mine" / "glass.png")
    (tmp_path / "mine" / ".hidden").mkdir()
    shutil.copy(tmp_path / "mine" / "0.png", tmp_path / "mine" / ".hidden" / "0.png")
    command = [f"--images={tmp_path}/mine", f"--against=folder:{tmp_path}/mine", f"--workdir={tmp_path}/out"]
    command += ["--features=pixels", f"--cache_dir={tmp_path}/cache"]
    evaluate(*command)
    text = capsys.readouterr().out
    result = json.loads((tmp_path / "out" / "evaluation" / "evaluation.json").read_text())
    assert abs(result["scores"]["frechet"]["value"]) < 1e-3
    assert (result["card"]["real"]["split"], result["card"]["real"]["count"]) == ("all", 61)
    assert "61 images against 61 real ones (all of folder:" in text
    assert "note: 1 passed over, pictures in hidden folders" in text
    assert "note: transparency was put on white in 1: glass.png" in text
    evaluate(*command, "--split=test")
    assert "real ones (split test of folder:" in capsys.readouterr().out


def test_own_folders_are_scored_against_each_other_with_nothing_else_said(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name, count in (("mine", 20), ("real", 80)):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(tmp_path / name / f"{i}.png")
    evaluate(f"--images={tmp_path}/mine", f"--against=folder:{tmp_path}/real", f"--workdir={tmp_path}/out",
             f"--cache_dir={tmp_path}/cache")  # fmt: skip
    printed, result = capsys.readouterr().out, load(tmp_path / "out")
    assert result["card"]["features"]["network"] == "imagenet"
    assert "Frechet distance (imagenet features)" in printed
    assert "FID" not in printed
    assert result["card"]["real"]["count"] == 80
    assert "note: only 80 real images for 1,280 dimensions of features" in printed
    assert "fewer than 10 for each" in (tmp_path / "out" / "evaluation" / "report.html").read_text()
    frechet = result["scores"]["frechet"]
    assert rounding.supported(frechet["value"], frechet["error"])[0] in printed
    assert f"{frechet['value']:.4g}" not in printed


def test_what_needs_no_features_is_scored_without_any(run, evaluated, cache, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    with mock.patch.object(features, "load", wraps=features.load) as loaded:
        evaluate(f"--workdir={copy}", "--features=none", "--num_samples=200", "--seeds=2", cache)
    assert {call.args[0] for call in loaded.call_args_list} == {"none"}
    printed, bare, whole = capsys.readouterr().out, load(copy), load(run)
    assert bare["scores"] == {}
    assert bare["card"]["features"] == {"network": "none"}
    assert bare["reconstruction"] == pytest.approx(whole["reconstruction"])
    assert bare["latent"]["mmd"] == pytest.approx(whole["latent"]["mmd"], abs=1e-5)
    for name in ("latent_error_data", "latent_error_prior"):
        assert bare["gap"][name] == pytest.approx(whole["gap"][name], rel=1e-3)
    assert bare["memory"]["sample_copies"] == whole["memory"]["sample_copies"]
    assert "note: without features, Frechet and kernel distance" in printed
    assert "--features=digits brings them" in printed
    assert "Reconstructions: of 297 held-out images" in printed
    assert "nearest training" not in (copy / "evaluation" / "report.html").read_text()
    np.savez(tmp_path / "images.npz", images=np.zeros((10, 8, 8, 1), np.uint8))
    for refused in (["--priors=all"], [f"--images={tmp_path}/images.npz", "--against=digits"]):
        with pytest.raises(InputError, match=r"--features: expected a feature network.*--features=digits brings them"):
            evaluate(f"--workdir={copy}", *refused, "--features=none", cache)


def test_where_no_network_fits_the_rest_is_measured_and_that_is_said(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(features, "default", lambda *args, **kwargs: "none")
    copy = shutil.copytree(run, tmp_path / "run")
    evaluate(f"--workdir={copy}", "--num_samples=20", "--seeds=1", f"--cache_dir={tmp_path}/cache")
    printed = capsys.readouterr().out
    assert "no network here takes images [8, 8, 1]; --features=PATH.keras with one of your own brings them" in printed
    assert load(copy)["reconstruction"]["images"] == 297
    config = helpers.config(tmp_path / "other", dataset="digits", evaluate_every=1)
    with pytest.raises(InputError, match=r"--evaluate_features: expected features.*--evaluate_features=PATH\.keras"):
        scoring.in_training(config, data.load(config.data))


def test_colour_images_are_not_scored_against_grey_ones_in_silence(cache, tmp_path):
    np.savez(tmp_path / "rgb.npz", images=np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8))
    for name in ("digits", "pixels"):
        with pytest.raises(InputError, match=r"received 3 channel"):
            evaluate(
                f"--images={tmp_path}/rgb.npz",
                "--against=digits",
                f"--features={name}",
                f"--workdir={tmp_path}/out",
                cache,
            )


def test_points_are_scored_in_one_range(tmp_path):
    config = helpers.config(
        tmp_path, method="vae", dataset="toy2d:moons", network="mlp", latent_dim=2, steps=4, pixel_range="unit"
    )
    loop.train(config, out=str)
    evaluate(f"--workdir={tmp_path}", "--num_samples=100", "--seeds=1", f"--cache_dir={tmp_path}/cache")
    draw, _ = trained.load(config_lib.of_run(tmp_path))
    points = scoring.subject(draw).sample(0, 0, 50)
    np.testing.assert_allclose(points, draw.samples(50) * 2.0 - 1.0, atol=1e-6)
    result = load(tmp_path)
    assert result["card"]["quantisation"] == "none: points"
    assert result["reconstruction"] is None


def test_every_prior_of_a_run_is_scored_in_one_table(run, tmp_path, capsys):
    copy, cache = shutil.copytree(run, tmp_path / "run"), f"--cache_dir={tmp_path}/cache"
    config = config_lib.of_run(copy)
    model, _ = trained.load_model(config)
    for name in ("", "two"):
        assert fitting.fit(config, model, FitOptions("mixture", name), MixtureOptions(components=2), out=str)
    capsys.readouterr()
    evaluate(f"--workdir={copy}", "--priors=all", "--num_samples=100", "--seeds=2", cache)
    printed = capsys.readouterr().out
    results = json.loads((copy / "evaluation" / "priors.json").read_text())
    by_name = {result["title"]: result for result in results}
    assert by_name.keys() == {"normal", "mixture", "two"}
    assert [result["card"]["generated"]["prior"] for result in results] == list(by_name)
    distances = [result["scores"]["frechet"]["value"] for result in results]
    assert distances == sorted(distances)  # the nearest comes first
    assert by_name["mixture"]["scores"] == by_name["two"]["scores"]  # the same fit under another name
    model_codes = run_codes.of_split(Drawing(model, None, None), data.load(config.data), "test", scoring.LIKELIHOOD)
    expected = scipy.stats.multivariate_normal(np.zeros(model.latent_dim)).logpdf(model_codes[:500]).mean()
    assert by_name["normal"]["held-out"]["log p"] == pytest.approx(expected, rel=1e-4)
    assert by_name["mixture"]["held-out"]["log p"] > expected
    assert "held-out log p" in printed
    page = markup.Page((copy / "evaluation" / "priors.html").read_text())
    charts = [node["aria-label"] for node in page.all("svg")]
    assert any(label.startswith("log p(z) of held-out codes") for label in charts)
    for result in results:
        assert rounding.with_error(result["scores"]["frechet"]) in printed
    assert (copy / "evaluation" / "priors.html").read_text().count("<img") == 3

    evaluate(f"--workdir={copy}", "--prior=mixture", "--num_samples=100", "--seeds=2", cache)
    alone = load(RunDirectory(copy).prior("mixture"))
    assert alone["scores"]["precision"] == by_name["mixture"]["scores"]["precision"]
    assert alone["card"] == by_name["mixture"]["card"]


def test_real_images_may_be_those_of_training_and_results_lie_elsewhere(run, tmp_path):
    cache, before = f"--cache_dir={tmp_path}/cache", sorted(run.rglob("*"))
    flags = ["--num_samples=100", "--seeds=1", "--split=train", "--num_real=200", f"--out={tmp_path}/a/b"]
    evaluate(f"--workdir={run}", *flags, cache)
    assert sorted(run.rglob("*")) == before
    assert {path.name for path in (tmp_path / "a/b").iterdir()} == {"evaluation.json", "report.html", "samples.png"}
    result = json.loads((tmp_path / "a/b/evaluation.json").read_text())
    assert result["card"]["real"]["split"] == "train"
    assert result["gap"]["training_images"] is None
    assert 0 < result["memory"]["ratio"] < np.inf


def test_runs_are_compared_under_their_cards(run, evaluated, cache, tmp_path, capsys):
    other = tmp_path / "other"
    np.savez(tmp_path / "noise.npz", images=np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), np.uint8))
    evaluate(f"--images={tmp_path}/noise.npz", "--against=digits", f"--workdir={other}", cache)
    capsys.readouterr()
    evaluate("--compare", str(run), str(other), f"--workdir={tmp_path / 'out'}")
    printed = capsys.readouterr().out
    assert "2 protocols" in printed
    assert "generated.count: 200 | 60" in printed
    assert (tmp_path / "out" / "comparison.html").read_text().count("<img") == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--workdir=nothing"], "--workdir=nothing"),
        ([], "--workdir: expected a folder"),
        (["--images=x.npz", "--workdir=out"], "--against: expected real images"),
        (["--compare", "one"], "two or more runs"),
        (["--images=x.npz", "--against=digits", "--out=o"], "--out: expected a run to score"),
        (["--compare", "one", "two"], "a run that was evaluated"),
        (["stray"], "flags only, received stray"),
        (["--images=gone.npz", "--against=digits", "--workdir=out"], "--images=gone.npz"),
        (["--num_real=4", "--workdir=out"], "--num_real: expected 0 or at least 10"),
    ],
)
def test_mistakes_get_one_clear_error(arguments, complaint):
    with pytest.raises(InputError, match=complaint):
        evaluate(*arguments)


def test_a_damaged_cache_is_repaired_and_the_scores_stay(run, evaluated, cache, capsys):
    folder = pathlib.Path(cache.partition("=")[2])
    before, files = load(run), sorted(folder.iterdir())
    assert len(files) == 3  # held-out images, as many training images as samples, all training images
    for path in files:
        path.write_bytes(path.read_bytes()[:100])
    evaluate(f"--workdir={run}", "--num_samples=200", "--seeds=2", cache)
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("built anew") == 3
    after = load(run)
    for name, entry in before["scores"].items():  # another process, other threads: not the same bits
        assert after["scores"][name]["value"] == pytest.approx(entry["value"], rel=1e-3), name
