"""The whole graph with the real steps on digits: what is cached, the gate, a kill while training, lineage, the page."""

import dataclasses
import json
import pathlib
import re
import sys
import urllib.parse

import pytest
import tensorflow as tf
from absl import logging

from pga_tf.core.checks import InputError
from pga_tf.runs import config as config_lib
from pga_tf.runs import trained
from pga_tf.serving import export, versions
from pga_tf.training import loop
from pipelines import graph, lineage, page, run, runner
from pipelines.components import artifacts
from pipelines.store import TFX_DATABASE, Store
from tests import commands, markup
from tests.pipelines import helpers
from tests.serving import models
from tests.training import helpers as training

STEPS = [
    "ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "Trainer", "PriorFitter", "Evaluator",
    "InfraValidator", "Pusher",
]  # fmt: skip
NAME = "<b>tiny</b>"  # a page that does not escape shows it bold


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A pipeline that ran once: (its settings, exit status, lines that it printed)."""
    root = tmp_path_factory.mktemp("pipeline")
    given = {"push_base": str(root / "models"), "name": "tiny"}
    chosen = helpers.tiny(root / "root", prior="mixture", options=given)
    lines = []
    status = run.run(chosen, out=lines.append)
    return chosen, status, ended(lines)


def ended(lines):
    """The lines but those of steps that began, each of which comes before the one that ended it."""
    began = [line.split()[0] for line in lines if line.split()[1:] == ["begins"]]
    for name in began:
        first, last = [i for i, line in enumerate(lines) if line.split()[:1] == [name]]
        assert first < last
    return [line for line in lines if line.split()[1:] != ["begins"]]


def again(chosen):
    """Runs the steps of `Settings`: dict of name to how it ended."""
    root = chosen.options.pipeline_root
    with runner.locked(root):
        return runner.run(graph.steps(chosen), root, say=lambda result: None)


def test_every_step_runs_and_says_so(ran):
    chosen, status, lines = ran
    assert status == 0
    assert sorted(line.split()[0] for line in lines[:10]) == sorted(STEPS)
    root = pathlib.Path(chosen.options.pipeline_root)
    for line in lines[:10]:
        name, state, seconds, unit, place = line.split()[:5]
        assert (state, unit, float(seconds) >= 0) == ("run", "s", True)
        assert pathlib.Path(place).relative_to(root).parts[0] == name
        assert any(pathlib.Path(place).iterdir())


def test_the_second_run_is_cached(ran):
    chosen, _, _ = ran
    assert helpers.states(again(chosen)) == dict.fromkeys(STEPS, "cached")
    assert [path.name for path in pathlib.Path(chosen.options.push_base, "tiny").iterdir()] == ["1"]


def test_what_is_pushed_is_served_and_says_how_it_was_made(ran):
    chosen, _, lines = ran
    folder = pathlib.Path(chosen.options.push_base, "tiny", "1")
    assert versions.labels(versions.read_config(chosen.options.push_base), "tiny") == {"stable": 1}
    loaded = tf.saved_model.load(str(folder))
    assert loaded.signatures["sample"](seed=tf.range(2, dtype=tf.int64))["image"].shape == (2, 8, 8, 1)
    card = json.loads((folder / "assets.extra/model_card.json").read_text())
    assert (card["version"], card["flags"]["dataset"], card["run"]["step"]) == (1, "digits", 4)
    assert card["evaluation"]["card"]["real"]["dataset"] == "digits"
    assert card["evaluation"]["scores"]["frechet"]["value"] > 0

    store = Store(chosen.options.pipeline_root)
    told = lineage.text(store, lineage.find(store, folder))
    assert told == lines[-1].strip()
    for fact in (
        "digits",
        "1500 train, 297 eval",
        "--method=lpga",
        "--steps=4",
        "--prior=mixture",
        "frechet",
        "Trainer 6",
    ):
        assert fact in told
    trainer = next(iter(store.executions("Trainer")))
    assert f"code {trainer.code}" in told
    with pytest.raises(InputError, match="a version that this pipeline pushed"):
        lineage.find(store, folder / "variables")


def test_lineage_of_tfx_names_the_environment_that_it_needs(tmp_path, monkeypatch):
    (tmp_path / TFX_DATABASE).touch()
    monkeypatch.delitem(sys.modules, "pipelines.tfx_store", raising=False)
    monkeypatch.setitem(sys.modules, "ml_metadata.metadata_store", None)
    with pytest.raises(InputError, match=r"the package ml_metadata.*requirements-tfx\.txt"):
        lineage.opened(tmp_path)
    with pytest.raises(InputError, match="a folder in which a pipeline ran"):
        lineage.opened(tmp_path / "none")


def test_without_tfx_its_command_names_the_environment_that_it_needs(tmp_path, monkeypatch):
    given = [f"--flagfile={helpers.ROOT}/flagfiles/lpga_digits.flags", f"--pipeline_root={tmp_path}"]
    before = logging.get_verbosity()
    for name in ("tfx_graph", "tfx_runner"):
        monkeypatch.setitem(sys.modules, f"pipelines.{name}", None)
    try:
        with pytest.raises(InputError, match=r"pipelines\.tfx_pipeline: expected TFX, which requirements-tfx\.txt"):
            commands.call("tfx_pipeline", *given, package="pipelines")
    finally:
        logging.set_verbosity(before)


def test_the_prior_that_is_named_is_fitted_to_a_copy_of_the_run(ran):
    store = Store(ran[0].options.pipeline_root)
    fitter = next(iter(store.executions("PriorFitter")))
    run_folder = fitter.outputs["run_with_priors"].path
    draw, step = trained.load(config_lib.of_run(run_folder))
    assert (draw.prior_name, step) == ("mixture", 4)
    assert fitter.figures["mixture"].keys() >= {"mmd", "mmd_normal"}
    assert not (fitter.inputs["run"].path / "priors").exists()
    evaluation = next(iter(store.executions("Evaluator"))).outputs["evaluation"].path / artifacts.EVALUATION
    assert json.loads(evaluation.read_text())["card"]["generated"]["prior"] == "mixture"


def test_training_is_that_of_the_train_command(ran, tmp_path):
    """Transform's array has the images of the dataset in its order, so the weights are the same, bit for bit."""
    chosen, _, _ = ran
    loop.train(training.config(tmp_path / "direct", dataset="digits", network="mlp", filters=8, steps=4))
    run_folder = next(iter(Store(chosen.options.pipeline_root).executions("Trainer"))).outputs["run"].path
    training.assert_same_state(training.state(run_folder), training.state(tmp_path / "direct"))


@pytest.mark.slow
def test_one_flag_of_trainer_runs_from_trainer_on_and_an_untrained_model_is_not_pushed(ran, monkeypatch):
    chosen, _, _ = ran
    root, base = chosen.options.pipeline_root, chosen.options.push_base
    # 21.5 is what LPGA reaches in 3,000 steps; one step leaves hundreds.
    untrained = helpers.tiny(
        root, steps=1, prior="mixture", options={"push_base": base, "name": "tiny", "max_frechet": 60.0}
    )
    lines = []
    with models.gate_in_process(monkeypatch):
        assert run.run(untrained, out=lines.append) == 1
    lines = ended(lines)
    states = {line.split()[0]: line.split()[1] for line in lines[:10]}
    first = STEPS.index("Trainer")
    assert states == dict.fromkeys(STEPS[:first], "cached") | dict.fromkeys(STEPS[first:], "run")
    assert lines[-1].startswith("not blessed, not pushed: Frechet distance")
    assert "above --max_frechet=60" in lines[-1]
    assert [path.name for path in pathlib.Path(base, "tiny").iterdir()] == ["1"]
    evaluation = next(iter(Store(root).executions("Evaluator")))
    assert not artifacts.is_blessed(evaluation.outputs["blessing"].path)
    assert evaluation.inputs["baseline"].output == "evaluation"  # it was compared with the one that was blessed


def test_an_export_that_gives_something_else_is_not_blessed_and_not_pushed(ran, monkeypatch):
    chosen, _, _ = ran
    written = export.write

    def wrong(model, *args, **kwargs):
        model.decoder.trainable_variables[-1].assign_add([0.1])
        written(model, *args, **kwargs)

    monkeypatch.setattr(export, "write", wrong)
    other = dataclasses.replace(chosen, options=dataclasses.replace(chosen.options, name="other"))
    lines = []
    assert run.run(other, out=lines.append) == 1
    lines = ended(lines)
    assert {line.split()[0]: line.split()[1] for line in lines[8:10]} == {"InfraValidator": "run", "Pusher": "run"}
    assert re.match("not blessed, not pushed: The exported model, in a fresh process: expected what", lines[-1])
    assert [path.name for path in pathlib.Path(chosen.options.push_base).glob("*/*")] == ["1"]
    infra = next(iter(Store(chosen.options.pipeline_root).executions("InfraValidator")))
    assert not artifacts.is_blessed(infra.outputs["infra_blessing"].path, artifacts.INFRA_BLESSED)
    assert not list(infra.outputs["exported"].path.glob("*/*"))


def test_a_version_that_is_gone_is_pushed_again(ran):
    chosen, _, _ = ran
    folder = pathlib.Path(chosen.options.push_base, "tiny", "1")
    folder.rename(folder.parent.parent / "elsewhere")
    assert helpers.states(again(chosen)) == dict.fromkeys(STEPS, "cached") | {"Pusher": "run"}
    assert folder.is_dir()


def test_the_page_escapes_and_needs_no_network(ran):
    chosen, _, _ = ran
    results, root = again(chosen), pathlib.Path(chosen.options.pipeline_root)
    strange = helpers.tiny(root, options={"name": NAME})
    error = "<script>alert(1)</script>"
    results["Trainer"] = runner.Result(results["Trainer"].step, "failed", 83.0, error=error)
    text = page.page(strange, results)
    made = markup.Page(text)
    assert not made.all("script")
    assert not made.all("b")
    assert made.one("h1").text.startswith(f"Pipeline {NAME}: ")
    assert made.one("pre", made.one("section", id="step-Trainer")).text == error
    assert "http" not in text
    linked = [address for address in made.addresses() if not address.startswith(("#", "data:"))]
    assert all((root / urllib.parse.unquote(path)).exists() for path in linked)
    assert any(path.endswith("evaluation.json") for path in linked)
    assert any(path.endswith("report.html") for path in linked)
    assert all(node["alt"] for node in made.all("img"))
    header, *rows = made.table(made.one("section", id="graph"))
    assert header == ["step", "state", "took"]
    assert {name: state for name, state, _ in rows} == dict.fromkeys(STEPS, "cached") | {"Trainer": "failed"}
    times = {name: took for name, _, took in rows}
    assert times["Trainer"] == "1 min 23 s"
    seconds = results["Transform"].execution.seconds
    assert times["Transform"] == f"{seconds:.1f} s"  # what it took when it ran
    drawn = made.one("svg")
    assert len(made.all("path", drawn, class_="arrow")) == sum(len(result.step.needs()) for result in results.values())
    assert {node["href"] for node in made.all("a", drawn)} == {f"#step-{name}" for name in STEPS}
    section = made.one("section", id="step-Evaluator")
    (figures, *_) = made.all("div", section, class_="scroll")
    evaluated = dict(made.table(figures))
    assert float(evaluated["frechet"]) == pytest.approx(results["Evaluator"].execution.figures["frechet"], rel=1e-4)
    assert evaluated["blessed"] == "yes"


@pytest.mark.slow
def test_training_that_was_killed_goes_on(tmp_path):
    chosen = helpers.tiny(tmp_path / "root", steps=400, checkpoint_every=50, log_every=50)
    checkpoints = "Trainer/.staging/*/run/checkpoints/*.index"
    helpers.killed(helpers.command("run", chosen), (tmp_path, f"root/{checkpoints}"))
    assert not list(tmp_path.glob("root/Trainer/run/*"))
    started = max(int(path.stem.split("-")[-1]) for path in tmp_path.glob(f"root/{checkpoints}"))
    results = helpers.run_first(chosen, "Trainer")
    assert helpers.states(results) == dict.fromkeys(STEPS[:5], "cached") | {"Trainer": "run"}
    trained = results["Trainer"].execution.outputs["run"].path
    metrics = [json.loads(line)["step"] for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert metrics == list(range(50, 401, 50))
    assert 50 <= started < 400
    assert len(list((trained / "logs").glob("events*"))) > 1  # what the first attempt left was gone on with
