"""Which prior a run is sampled with, and what is refused instead of being guessed."""

import dataclasses
import pathlib

import pytest

from pga_tf.core.checks import InputError
from pga_tf.methods import METHODS
from pga_tf.priors.mixture import MixtureOptions
from pga_tf.runs import config as config_lib
from pga_tf.runs import trained
from pga_tf.runs.config import FitOptions
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import fitting, loop
from tests import commands
from tests.training import helpers

PRIORLESS = [name for name in METHODS.names() if METHODS.get(name).PRIOR is None]


def test_methods_without_a_prior_are_those_whose_codes_follow_no_law():
    assert PRIORLESS == ["ae", "prior_free", "rae"]


def settings(path, method="ae", **values):
    return helpers.config(path, method=method, dataset="digits", network="mlp", steps=2, **values)


def test_a_run_without_a_prior_is_sampled_once_one_is_fitted(tmp_path, capsys):
    """From training to samples as a user goes: what is missing is said each time with the command that makes it."""
    assert commands.call("train", *helpers.flags(settings(tmp_path))) == 0
    missing = f"python -m pga_tf.fit_prior --workdir={tmp_path} --prior=mixture"
    said = capsys.readouterr().out
    assert missing in said
    assert "pga_tf.sample" not in said
    assert [path.name for path in RunDirectory(tmp_path).samples.iterdir()] == ["reconstructions_step_0000002.png"]
    config = config_lib.of_run(tmp_path)
    with pytest.raises(InputError, match=f"a prior, for --method=ae has none of its own, received none .*{missing}"):
        trained.load(config)
    for command in ("sample", "export", "evaluate"):
        arguments = {"sample": [], "export": ["--name=ae", f"--export_base={tmp_path}/base"], "evaluate": []}[command]
        if command == "evaluate":
            arguments = [f"--cache_dir={tmp_path}/cache"]
        with pytest.raises(InputError, match="has none of its own"):
            commands.call(command, f"--workdir={tmp_path}", *arguments)
    assert trained.load(config, prior="normal")[0].samples(2).shape == (2, 8, 8, 1)  # because it was asked for

    assert commands.call("fit_prior", f"--workdir={tmp_path}", "--prior=mixture", "--components=2") == 0
    capsys.readouterr()
    commands.call("sample", f"--workdir={tmp_path}", "--grid=2x2")
    assert pathlib.Path(capsys.readouterr().out.strip()).name == "grid_mixture_seed0.png"
    draw, step = trained.load(config)
    assert (draw.prior_name, step) == ("mixture", 2)
    assert "pga_tf.sample" in loop.hints(config)
    assert "fit_prior" not in loop.hints(config)

    longer = settings(tmp_path, "ae")
    longer = dataclasses.replace(longer, run=dataclasses.replace(longer.run, steps=4))
    loop.train(longer, out=str)  # on to other weights
    assert "mixture was fitted to the weights of before; delete" in loop.hints(config)
    assert f"fit_prior --workdir={tmp_path} --prior=mixture" in loop.hints(config)


def test_a_second_prior_leaves_a_run_with_its_first_one_and_a_method_with_its_own(tmp_path):
    fit = lambda config, name, own: fitting.fit(
        config, trained.load_model(config)[0], FitOptions(prior=name), own, out=str
    )
    for method, own in (("ae", "mixture"), ("vae", "normal")):
        loop.train(settings(tmp_path / method, method), out=str)
        config = config_lib.of_run(tmp_path / method)
        assert fit(config, "mixture", MixtureOptions(components=2))
        assert trained.prior_of(config) == own
    RunDirectory(tmp_path / "ae").write_own_prior({"prior": ""})
    with pytest.raises(InputError, match=r"none named; fitted are mixture.*add --prior=mixture"):
        trained.load(config_lib.of_run(tmp_path / "ae"))


@pytest.mark.parametrize("method", PRIORLESS)
def test_scores_during_training_of_a_method_without_a_prior_are_refused(method, tmp_path):
    with pytest.raises(InputError, match=rf"--evaluate_every: expected 0, for --method={method} has no prior"):
        loop.train(settings(tmp_path / "run", method, evaluate_every=2), out=str)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("first_line", "received"), [("", "one of before"), ("# pga_tf run directory, format 1\n", "format 1")]
)
def test_a_run_directory_of_another_format_is_refused_in_one_sentence(first_line, received, tmp_path):
    config, directory = settings(tmp_path), RunDirectory(tmp_path)
    directory.create()
    directory.write_config(config, (8, 8, 1))
    assert config_lib.of_run(tmp_path) == config
    lines = directory.config.read_text().splitlines(keepends=True)
    directory.config.write_text(first_line + "".join(lines[1:]))
    for read in (lambda: config_lib.of_run(tmp_path), lambda: loop.train(config, out=str)):
        with pytest.raises(
            InputError, match=f"a run directory of format 2, received .*{received}.*train it anew"
        ) as error:
            read()
        assert "\n" not in str(error.value)
    assert not list(directory.checkpoints.iterdir())
