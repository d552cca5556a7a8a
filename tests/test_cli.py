"""The package as it is installed: what the wheel declares, and the one command under which all others are found."""

import importlib.util
import os
import pathlib
import re
import runpy
import subprocess
import sys
import tomllib
import venv

import pytest

from pga_tf import cli
from pga_tf.core import commands

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _names(requirements):
    return {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in requirements}


def test_the_wheel_asks_for_what_the_tested_environment_has():
    """And no lower bound is above the version that all is tested with."""
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    pinned = dict(line.split("==") for line in lines if line)
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *extras["serve"], *extras["docs"], *extras["dev"]]
    asked.remove("pga-tf[docs]")  # by which dev asks for docs
    assert _names(asked) == _names(pinned)
    version = lambda text: tuple(map(int, re.findall(r"\d+", text)))
    tested = {name.lower().replace("_", "-"): version(number) for name, number in pinned.items()}
    for line in asked:
        name, _, bound = line.partition(">=")
        assert version(bound) <= tested[name.lower().replace("_", "-")], line


def test_the_wheel_holds_every_template_and_the_zoo():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {path for package, globs in declared.items() for one in globs for path in (ROOT / package).glob(one)}
    templates = {path for package in ("pga_tf", "pipelines") for path in (ROOT / package).rglob("templates/*")}
    assert {path.name for path in templates} >= {"base.html", "style.css", "report.html", "pipeline.html"}
    assert templates <= shipped
    assert {path for path in (ROOT / "pga_tf" / "zoo").rglob("*") if path.is_file()} <= shipped


def test_every_command_is_a_module_that_runs():
    for module in cli.COMMANDS.values():
        source = pathlib.Path(importlib.util.find_spec(module).origin).read_text()
        assert 'if __name__ == "__main__":' in source


def test_commands_are_passed_on(monkeypatch, capsys):
    ran = []
    monkeypatch.setenv(commands.STARTED_AS, "python -m")  # which a command sets, and is put back
    monkeypatch.setattr(runpy, "run_module", lambda name, run_name: ran.append((name, run_name, sys.argv)))
    monkeypatch.setattr(sys, "argv", ["pga-tf", "train", "--steps=3"])
    assert cli.main() == 0
    assert ran == [("pga_tf.train", "__main__", ["pga-tf train", "--steps=3"])]
    assert commands.line("sample") == "pga-tf sample"
    for argv, status in ((["pga-tf"], 2), (["pga-tf", "trian"], 2), (["pga-tf", "--help"], 0)):
        monkeypatch.setattr(sys, "argv", argv)
        assert cli.main() == status
    assert "expected a command, received trian" in capsys.readouterr().err
    assert len(ran) == 1


@pytest.mark.slow
def test_an_installed_wheel_trains_scores_and_serves(tmp_path):
    """In an environment of its own, away from the source tree."""
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    venv.create(tmp_path / "env", with_pip=True)
    bin_folder = tmp_path / "env" / "bin"
    install = [bin_folder / "python", "-m", "pip", "install", "-q", f"{source}[serve]", "-c", ROOT / "constraints.txt"]
    subprocess.run(install, check=True)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*arguments):
        done = subprocess.run(
            [bin_folder / "pga-tf", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    small = ["--method=vae", "--dataset=digits", "--network=conv_8", "--latent_dim=4", "--filters=8", "--steps=30"]
    run("train", *small, "--workdir=run")
    assert "Frechet distance (digits features)" in run("evaluate", "--workdir=run", "--num_samples=100", "--seeds=1")
    told = run("export", "--workdir=run", "--name=mine")
    assert "the gate was passed" in told
    assert "pga-tf serve --model_base=runs/models" in told
    served = subprocess.Popen(
        [bin_folder / "pga-tf", "serve", "--port=0", "--rest_api_port=0"], cwd=tmp_path, env=environment,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        target = re.match(r"serving gRPC on (\S+),", served.stdout.readline())[1]
        run("client", "sample", f"--target={target}", "--model=mine", "--seeds=0:4", "--out=grid.png")
    finally:
        served.terminate()
        served.wait()
        served.stdout.close()
    assert (tmp_path / "grid.png").exists()
    assert run("train", "--help").startswith("pga-tf train --flagfile")
