"""The command line: every flagfile parses, flags round-trip through a run directory, mistakes get one clear line."""

import functools
import pathlib
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from absl import flags as absl_flags
from PIL import Image

from pga_tf import flags, networks
from pga_tf.core.checks import InputError
from pga_tf.methods import METHODS
from pga_tf.priors.unfitted import NoOptions
from pga_tf.runs import config as config_lib
from pga_tf.runs import trained
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import loop
from tests import commands
from tests.training import helpers

ROOT = pathlib.Path(__file__).parents[1]
FLAGFILES = sorted(ROOT.glob("flagfiles/*.flags"))
# image shapes of the data sets that need a download
SHAPES = {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3), "celeb_a": (64, 64, 3)}


def parse(*arguments):
    return flags.config_from_flags(_values(*arguments))


def parse_prior(*arguments):
    return flags.prior_from_flags(_values(*arguments))


def _values(*arguments):
    values = absl_flags.FlagValues()
    flags.define_training_flags(values)
    flags.define_prior_flags(values)
    values(["train", *arguments])
    return values


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: path.stem)
def test_flagfile_is_a_valid_configuration(path):
    config = config_lib.validate(parse(f"--flagfile={path}"))
    parse_prior(f"--flagfile={path}")
    kind, _, name = config.data.dataset.partition(":")
    shape = SHAPES[name] if kind == "tfds" else {"digits": (8, 8, 1), "toy2d": (1, 1, 2)}[kind]
    if config.data.image_size:
        shape = (config.data.image_size, config.data.image_size, shape[2])
    if config.network.filters < 256:  # the widest one takes seconds to make
        roles = METHODS.get(config.run.method).roles(config.method)
        built(tuple(roles.items()), config.network, shape)


@functools.cache  # many rows differ in their weights alone
def built(roles, options, shape):
    networks.build_all(dict(roles), options, shape)


def test_every_published_row_has_its_flagfile():
    names = {path.stem for path in FLAGFILES}
    rows = {f"{m}_{d}" for m in ("lpga", "vpga", "lvpga", "vae") for d in ("mnist", "cifar10", "celeba")}
    assert rows <= names
    assert {f"{row}_fast" for row in rows} <= names


def test_flags_after_the_flagfile_override_it():
    config = parse(f"--flagfile={ROOT}/flagfiles/lpga_digits.flags", "--latent_dim=3", "--weight_nll=0.5")
    assert (config.network.latent_dim, config.method.weight_nll, config.data.dataset) == (3, 0.5, "digits")


def test_a_priors_flags_are_checked_before_anything_is_trained():
    fit, own = parse_prior("--prior=mixture", "--components=4", "--prior_steps=7")
    assert (fit.prior, fit.prior_steps, own.components) == ("mixture", 7, "4")
    assert parse_prior() == (config_lib.FitOptions(), None)  # the method's own
    assert parse_prior("--prior=normal") == (config_lib.FitOptions(prior="normal"), NoOptions())
    both = f"--flagfile={ROOT}/flagfiles/ae_digits.flags"
    assert parse_prior(both)[0].prior == "mixture"
    assert parse_prior(both, "--prior=normal")[0].prior == "normal"  # the flagfile's --components goes with it
    with pytest.raises(InputError, match=r"--components: expected a --prior that has it.*add --prior=mixture"):
        parse_prior("--components=4")
    for wrong in ("0", "-3", "ten", "1.5", ""):
        with pytest.raises(InputError, match=r"--components: expected auto, or a whole number"):
            parse_prior("--prior=mixture", f"--components={wrong}")
    for other in ([], ["--components=4", "--covariance=diagonal"]):
        with pytest.raises(InputError, match=r"--mixture=dirichlet: expected a number of --components, and"):
            parse_prior("--prior=mixture", "--mixture=dirichlet", *other)
    with pytest.raises(InputError, match=r"--map_width: expected a flag of --prior=mixture"):
        parse_prior("--prior=mixture", "--map_width=4")
    with pytest.raises(InputError, match="did you mean 'second_vae'"):
        parse_prior("--prior=secondvae")


def test_the_default_workdir_is_named_after_the_flagfile(monkeypatch):
    path = f"{ROOT}/flagfiles/vae_digits.flags"
    monkeypatch.setattr(sys, "argv", ["train", f"--flagfile={path}"])
    assert parse(f"--flagfile={path}").run.workdir == "runs/vae_digits"


def test_a_flag_of_another_method_is_refused_with_the_ones_there_are():
    with pytest.raises(InputError, match=r"--weight_vkl: expected a flag of --method=lpga, which has .*--weight_lr_n"):
        parse("--method=lpga", "--weight_vkl=1")


@pytest.mark.parametrize(("name", "close"), [("lpgaa", "lpga"), ("vqga", "vpga"), ("VAE", "vae")])
def test_an_unknown_method_is_refused_with_the_nearest_name(name, close):
    with pytest.raises(InputError, match=f"Unknown method: expected one of .*, received '{name}'"):
        parse(f"--method={name}")
    if name != "VAE":
        with pytest.raises(InputError, match=f"did you mean '{close}'"):
            parse(f"--method={name}")


@pytest.mark.parametrize("method", METHODS.names())
def test_the_config_of_a_run_is_read_back_as_it_was(method, tmp_path):
    config = helpers.config(tmp_path, method=method, batch_norm="shared", jit=True)
    RunDirectory(tmp_path).write_config(config, (8, 8, 1))
    assert config_lib.of_run(tmp_path) == config
    assert parse(f"--flagfile={tmp_path}/config.flags") == config


def test_a_missing_run_is_refused():
    with pytest.raises(InputError, match="a folder that does not exist"):
        config_lib.of_run("nowhere")


def test_help_groups_every_flag_and_states_units():
    text = flags.training_help()
    for config_field in config_lib.RunOptions.__dataclass_fields__:
        assert f"--{config_field}=" in text
    for group in ("run:", "data:", "network:", "optimizer:", *(f"with --method={m}:" for m in METHODS.names())):
        assert f"\n{group}" in text
    assert "unit: steps" in text
    lvpga = text[text.index("with --method=lvpga:") :]
    assert "added to sigma_phi" in lvpga[: lvpga.index("with --method=vae:")]


def command(module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"pga_tf.{module}", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_the_command_prints_one_error_line_and_exits_with_2(tmp_path):
    result = command("train", "--method=lpga", f"--dataset=folder:{tmp_path}", "--steps=1")
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert re.search(r"^error: .*images in it or below it", result.stderr, re.MULTILINE)


def test_train_then_sample_on_a_folder_of_photographs_with_a_corrupt_one(tmp_path, capfd):
    """The whole of what a user does, on real files: report, training, grids, raw images."""
    photos, run = tmp_path / "photos", tmp_path / "run"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)).save(photos / f"{i}.jpg")
    (photos / "broken.jpg").write_bytes((photos / "3.jpg").read_bytes()[:200])
    config = helpers.config(run, dataset=f"folder:{photos}", image_size=8, steps=6, batch_size=16)
    assert commands.call("train", *helpers.flags(config)) == 0
    said = capfd.readouterr()
    assert "broken.jpg" in said.out + said.err
    assert "trained 6 steps" in said.out

    commands.call("sample", f"--workdir={run}", "--grid=2x3", "--interpolate=4", "--reconstruct", "--seed=7")
    made = [pathlib.Path(line) for line in capfd.readouterr().out.splitlines()]
    assert [path.name for path in made] == ["grid_seed7.png", "reconstructions.png", "interpolations.png"]
    assert Image.open(made[0]).size == (3 * 42 - 2, 2 * 42 - 2)  # 8x8 images enlarged to 40, with gaps of 2

    commands.call("sample", f"--workdir={run}", "--grid=2x3", "--reconstruct", "--seed=7", f"--out={tmp_path}/mine.png")
    assert capfd.readouterr().out.split() == [f"{tmp_path}/mine.png", f"{tmp_path}/mine_reconstructions.png"]
    assert (tmp_path / "mine.png").read_bytes() == made[0].read_bytes()
    assert (tmp_path / "mine_reconstructions.png").read_bytes() == made[1].read_bytes()

    for name, compressed in (("a", False), ("b", True)):
        more = ["--compress"] if compressed else []
        commands.call("sample", f"--workdir={run}", f"--out={tmp_path / name}.npz", "--num_samples=5", *more)
        (entry,) = zipfile.ZipFile(tmp_path / f"{name}.npz").infolist()
        assert (entry.compress_type == zipfile.ZIP_DEFLATED) == compressed
    a, b = (np.load(tmp_path / f"{name}.npz")["images"] for name in ("a", "b"))
    assert a.shape == (5, 8, 8, 3)
    assert a.dtype == np.uint8
    np.testing.assert_array_equal(a, b)

    with pytest.raises(InputError, match=r"broken\.jpg"):
        commands.call("train", *helpers.flags(config), "--strict_data", f"--workdir={tmp_path}/strict")


def test_a_run_trained_with_a_prior_is_sampled_with_it(tmp_path, capsys):
    own = ["--prior=mixture", "--components=2"]
    training = helpers.flags(helpers.config(tmp_path, method="ae", dataset="digits", network="mlp"))
    assert commands.call("train", *training, *own) == 0
    assert RunDirectory(tmp_path).read_own_prior() == "mixture"
    fit, options = parse_prior(f"--flagfile={RunDirectory(tmp_path).own_prior}")
    assert (fit.prior, options.components) == ("mixture", "2")
    commands.call("sample", f"--workdir={tmp_path}", "--grid=2x2")
    assert capsys.readouterr().out.split()[-1].endswith("grid_mixture_seed0.png")
    # gone on with and without a --prior it keeps the one it has, for a plain autoencoder has none of its own
    assert commands.call("train", *training, "--steps=9") == 0
    assert RunDirectory(tmp_path).read_own_prior() == "mixture"
    # and with N(0, I) where that is asked for
    assert commands.call("train", *training, "--steps=9", "--prior=normal") == 0
    assert RunDirectory(tmp_path).read_own_prior() == "normal"


def test_a_method_that_has_a_prior_is_sampled_with_it_again_once_train_names_none(tmp_path):
    training = helpers.flags(helpers.config(tmp_path, method="vae", dataset="digits", network="mlp", steps=2))
    assert commands.call("train", *training, "--prior=mixture", "--components=2") == 0
    assert trained.prior_of(config_lib.of_run(tmp_path)) == "mixture"
    assert commands.call("train", *training) == 0
    assert trained.prior_of(config_lib.of_run(tmp_path)) == "normal"


def test_sampling_has_the_averaged_weights_and_not_the_last_ones(tmp_path):
    config = helpers.config(tmp_path, steps=6, ema=0.9, network="mlp", batch_norm="shared")
    loop.train(config, out=str)
    draw, _ = trained.load(config_lib.of_run(tmp_path))
    # a checkpoint's key holds the variable's name, with `.S` for a slash
    saved = {key.split("/")[0].replace(".S", "/"): value for key, value in helpers.state(tmp_path).items()}
    used = (draw.model.encoder, draw.model.decoder)
    averaged = [v for network in used for v in network.trainable_variables]
    averaged += [v for network in used for v in network.non_trainable_variables]  # running statistics
    assert {name for name in saved if name.startswith("average/")} == {f"average/{i}" for i in range(len(averaged))}
    for i, variable in enumerate(averaged):
        (last,) = (v for k, v in saved.items() if k.startswith("model/") and k.endswith(f"/{variable.path}"))
        np.testing.assert_array_equal(variable, saved[f"average/{i}"], err_msg=variable.path)
        assert np.any(variable != last), variable.path
    assert draw.samples(3).shape == (3, 8, 8, 1)
