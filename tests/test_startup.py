"""Help and refusals come at once: what takes seconds to import is not imported before there is work for it."""

import json
import os
import subprocess
import sys

import pytest

from pga_tf import cli, methods
from pga_tf.methods import METHODS
from pga_tf.networks.plan import NETWORKS
from pga_tf.priors import PRIORS
from pga_tf.runs import config
from pga_tf.settings import networks
from pga_tf.settings.methods import METHOD_OPTIONS

HEAVY = (
    "tensorflow", "keras", "tensorflow_probability", "tensorflow_datasets", "scipy", "sklearn", "matplotlib", "pandas",
)  # fmt: skip

# In a process of its own that has loaded nothing of the sort, each case runs as `python -m` would run it, in a fork; to
# import any of HEAVY raises there.
EACH = """
import importlib.abc, json, os, runpy, sys, tempfile

class Refused(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in HEAVY:
            raise RuntimeError(f"{name} is imported")

HEAVY, cases = json.loads(sys.argv[1])
sys.meta_path.insert(0, Refused())
import pga_tf.core.grids, pga_tf.flags, pga_tf.serving.versions  # once, and not in each fork

found = []
for module, *arguments in cases:
    with tempfile.TemporaryFile("w+") as told:
        child = os.fork()
        if not child:
            os.dup2(told.fileno(), 1), os.dup2(told.fileno(), 2)
            sys.argv = [module, *arguments]
            runpy.run_module(module, run_name="__main__")
            os._exit(99)  # a command that did not end by itself
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told.seek(0)
        found.append((status, told.read()))
print(json.dumps(found))
"""
NOWHERE = "nowhere/at/all"
REFUSED = [
    ("train --nonsense", "Unknown command line flag 'nonsense'"),
    ("train --steps=many", "flag --steps=many"),
    (f"train --flagfile={NOWHERE}", NOWHERE),
    ("train --method=nonsense", "Unknown method: expected one of"),
    ("train --method=vae --weight_nll=1", "--weight_nll: expected a flag of --method=vae"),
    ("train --latent_dim=0", "--latent_dim: expected a value >= 1"),
    ("train --network=nonsense", "--network: expected one of auto, conv_32"),
    ("train --method=vae --likelihood=cross_entropy", "expected --pixel_range=unit"),
    ("train --method=gan --penalty=wgan_gp --critic_norm=batch", "--penalty=wgan_gp: expected a critic without"),
    ("train --method=vpga --vr_sigma=2", "--vr_sigma: expected --vr_scale=fixed beside it"),
    ("train --drops=30:2", "--schedule and --drops: expected both"),
    ("train --keep_best=frechet", "--keep_best: expected --evaluate_every above 0"),
    ("train --replicas=2 --jit", "--replicas and --jit: expected one replica"),
    ("train --dataset=nonsense", "--dataset: expected one of digits"),
    (f"train --dataset=folder:{NOWHERE}", f"expected a folder, received no folder {NOWHERE}"),
    (f"train --dataset=npz:{NOWHERE}", f"expected a file, received no file {NOWHERE}"),
    ("train --map_width=8", "--map_width: expected a --prior that has it"),
    ("train --prior=mixture --mixture=dirichlet", "--mixture=dirichlet: expected a number of --components"),
    ("fit_prior --prior=mixture", "--workdir: expected a run directory"),
    (f"fit_prior --prior=nonsense --workdir={NOWHERE}", "Unknown prior: expected one of"),
    (f"fit_prior --prior=realnvp --map_width=8 --workdir={NOWHERE}", "--map_width: expected a flag of --prior=realnvp"),
    (f"fit_prior --prior=mixture --workdir={NOWHERE}", NOWHERE),
    (f"sample --workdir={NOWHERE}", NOWHERE),
    (f"sample --panel {NOWHERE}", NOWHERE),
    (f"evaluate --workdir={NOWHERE}", NOWHERE),
    (f"evaluate --workdir={NOWHERE} --priors=all", NOWHERE),
    (f"evaluate --workdir=. --images={NOWHERE} --against=mnist", f"--images={NOWHERE}: expected a folder of images"),
    (f"evaluate --compare {NOWHERE} {NOWHERE}", "expected a run that was evaluated"),
    (f"export --workdir={NOWHERE} --name=m", NOWHERE),
    (f"export --workdir={NOWHERE} --name=/", "--name: expected letters, digits"),
    (f"serve --model_base={NOWHERE}", "expected a model base with its models.config"),
    ("client sample --seeds=0:4", "--out: expected a .png or .npz file"),
    ("client drive", "Verb: expected one of"),
    ("pipeline --method=vae", "--pipeline_root: expected a folder"),
    ("pipeline --pipeline_root=. --train_on=all", "--train_on: expected train"),
]  # fmt: skip


def run(cases):
    """(exit status, what was printed) of each case, a list of a module and arguments."""
    done = subprocess.run(
        [sys.executable, "-c", EACH, json.dumps((HEAVY, cases))], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_help_needs_nothing_that_is_slow_to_import():
    cases = [[module, "--help"] for module in cli.COMMANDS.values()]
    cases += [["pga_tf.train", "--helpshort"], ["pga_tf.train", "--helpfull"], ["pga_tf.cli", "train", "--help"]]
    for case, (status, told) in zip(cases, run(cases), strict=True):
        assert "Traceback" not in told, f"{case}: {told}"
        assert status == ("--helpfull" in case), case  # which absl ends with 1
        assert len(told) > 1000, case


def test_refusals_need_nothing_that_is_slow_to_import():
    modules = cli.COMMANDS
    cases = [[modules[command], *arguments] for command, *arguments in (case.split() for case, _ in REFUSED)]
    for (case, expected), (status, told) in zip(REFUSED, run(cases), strict=True):
        assert (status, told.count("\n")) == (2, 1), f"{case}: {told}"
        assert expected in told, case


def test_options_are_entered_under_the_names_of_what_has_them():
    code = "import json; from pga_tf.settings.methods import METHOD_OPTIONS as m; from pga_tf.settings.priors import "
    code += "PRIOR_OPTIONS as p; print(json.dumps([{n: r.get(n).__qualname__ for n in r.names()} for r in (m, p)]))"
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for entered, registry in zip(json.loads(alone.stdout), (METHODS, PRIORS), strict=True):
        classes = {name: registry.get(name) for name in registry.names()}
        ours = {name: cls for name, cls in classes.items() if cls.__module__.startswith("pga_tf.")}  # no test's own
        assert entered == {name: cls.Options.__qualname__ for name, cls in ours.items()}
    assert list(networks.NETWORKS) == NETWORKS.names()


def test_a_users_method_brings_its_options_along(monkeypatch):
    class Mine(methods.AE):
        Options = type("MineOptions", (methods.AE.Options,), {})

    for registry in (METHODS, METHOD_OPTIONS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    methods.register("mine", Mine)
    assert METHODS.get("mine") is Mine
    assert config.of_values({"method": "mine", "latent_batch_norm": True})[0].method == Mine.Options(True)


@pytest.mark.slow
def test_training_imports_tensorflow_and_nothing_more(tmp_path):
    """What TensorFlow and Keras bring along themselves is theirs."""
    code = f"import json, sys, tensorflow, keras; heavy = {HEAVY}\nbrought = {{n for n in heavy if n in sys.modules}}\n"
    code += "import pga_tf; pga_tf.train(method='lpga', dataset='fake:8x8x1', network='mlp', filters=8, steps=2, "
    code += "latent_dim=2, image_every=1, log_every=1, workdir=sys.argv[1], out=lambda line: None)\n"
    code += "print(json.dumps(sorted({n for n in heavy if n in sys.modules} - brought)))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, env=os.environ, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
