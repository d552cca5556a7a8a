"""Commands that are printed, by the product or in its documents, are commands that work when they are pasted."""

import ast
import contextlib
import importlib
import pathlib
import re
import shlex

import pytest
from absl import flags as absl_flags

import pga_tf
from pga_tf.core.checks import InputError
from pipelines import settings
from tests import commands

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "saved_models/README.md", *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("flagfiles/*.flags")),
]  # fmt: skip
COMMAND = re.compile(r"python -m ((?:pga_tf|pipelines)\.\w+)((?:\\\n|[^\n`|\\])*)")
VARIABLE = re.compile(r"^ +(?:export )?([A-Z]+)=(\"?)(.*)\2$", re.MULTILINE)  # of a shell, in a document
SMALL = {
    "dataset": "digits", "network": "conv_8", "filters": 4, "latent_dim": 3, "steps": 20, "batch_size": 8,
    "optimizer": "adam", "learning_rate": 0.01, "image_every": 100,
}  # fmt: skip
CHEAP = {"evaluate": ["--num_samples=40", "--seeds=1"], "sample": ["--num_samples=4"]}


@contextlib.contextmanager
def flags_of(module):
    """The flags of a command by name, and nothing else's."""
    values = absl_flags.FLAGS
    before = set(values)
    defining = importlib.import_module(module)
    getattr(defining, "define_flags", settings.define_flags)()
    try:
        yield set(values) - before | {"flagfile", "help", "helpshort"}
    finally:
        for flag in set(values) - before:
            delattr(values, flag)


def given(arguments):
    """Names of the flags on a command line; absl takes --flag, --noflag and --flag=value."""
    return [word.removeprefix("--").partition("=")[0] for word in arguments if word.startswith("--")]


def in_documents():
    for path in DOCUMENTS:
        text = path.read_text()
        variables = {name: value for name, _, value in VARIABLE.findall(text)}
        for module, rest in COMMAND.findall(text):
            line = re.sub(r"\\\n[ #]*", " ", rest).partition(" #")[0].partition("   ")[0]
            line = re.sub(r"\$([A-Z]+)\b", lambda found, known=variables: known.get(found[1], found[0]), line)
            yield pytest.param(module, line, id=f"{path.name}: {module}{line}"[:100])


@pytest.mark.parametrize(("module", "line"), in_documents())
def test_documents_name_commands_and_flags_that_exist(module, line):
    line = line.partition(" (")[0].rstrip(".,;:) ")
    with flags_of(module) as known:
        for flag in given(shlex.split(line.replace("[", " ").replace("]", " "))):
            assert flag in known or flag.removeprefix("no") in known, f"{module} has no --{flag}"


def calls():
    for path in sorted([*ROOT.glob("pga_tf/**/*.py"), *ROOT.glob("pipelines/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "commands.line":
                yield pytest.param(node, id=f"{path.name}:{node.lineno}")


@pytest.mark.parametrize("call", calls())
def test_the_product_prints_commands_and_flags_that_exist(call):
    module, *verb = call.args[0].value.split()
    with flags_of(f"pga_tf.{module}") as known:
        assert {keyword.arg for keyword in call.keywords if keyword.arg} <= known
    assert not verb or verb[0] in importlib.import_module(f"pga_tf.{module}").INPUT_OF


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        pytest.param("vae", {"sample", "evaluate"}, marks=pytest.mark.slow),
        ("ae", {"fit_prior", "sample"}),
    ],
)
def test_what_training_prints_last_works_when_pasted(method, expected, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PGA_TF_STARTED_AS", "tools/run python -m")
    pasted, waiting = set(), [f"python -m pga_tf.train --method={method} --workdir='{tmp_path}/my run'"]
    waiting[0] += "".join(f" --{name}={value}" for name, value in SMALL.items())
    while waiting:
        name, rest = re.search(r"python -m pga_tf\.(\w+)(.*)", waiting.pop(0)).groups()
        assert commands.call(name, *shlex.split(rest), *CHEAP.get(name, [])) in (0, None)
        pasted.add(name)
        if name in ("train", "fit_prior"):  # from there one goes on to look at the result
            printed = re.findall(r"tools/run (python -m pga_tf\..*)", capsys.readouterr().out)
            assert printed, name
            waiting += printed
    assert pasted >= expected


def test_a_remedy_works_when_pasted(tmp_path, monkeypatch):
    monkeypatch.setenv("PGA_TF_STARTED_AS", "tools/run python -m")
    run = pga_tf.train(method="ae", **SMALL, workdir=tmp_path / "run", out=str)
    with pytest.raises(InputError) as refused:
        run.sample(2)
    name, rest = re.search(r"tools/run python -m pga_tf\.(\w+)(.*?)\.?$", str(refused.value)).groups()
    assert name == "fit_prior"
    commands.call(name, *shlex.split(rest))
    assert pga_tf.load(tmp_path / "run").sample(2).shape == (2, 8, 8, 1)
