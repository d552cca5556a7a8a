"""The gate, and what Pusher does with blessings. Training, scoring and export have tests of their own."""

import json
import pathlib

import numpy as np
import pytest

from pga_tf.core import files
from pga_tf.core.checks import InputError
from pga_tf.evaluation.scores import over_seeds
from pga_tf.priors.unfitted import NoOptions
from pga_tf.runs.config import FitOptions
from pga_tf.serving import versions
from pga_tf.serving.export import CARD
from pipelines import run, runner
from pipelines.components import artifacts, configs, prior_fitter
from pipelines.components.evaluator import gate
from pipelines.components.pusher import is_there, pusher
from tests.pipelines import helpers


def scored(value, error=0.5, card="one", seeds=3):
    entry = {"value": value, "error": error, "per_seed": [value] * seeds}
    return {"scores": {"frechet": entry}, "card": {"features": card}}


@pytest.mark.parametrize(
    ("new", "before", "limit", "reason"),
    [
        (scored(9.0), None, 10.0, None),
        (scored(10.1), None, 10.0, "Frechet distance 10.1, above --max_frechet=10"),
        (scored(float("nan")), None, 10.0, "the Frechet distance is nan"),
        # t of 4 degrees of freedom 2.78, errors 0.5 and 0.5: 1.963
        (scored(6.9), scored(5.0), 10.0, None),
        (scored(7.0), scored(5.0), 10.0, "worse than 5 of the last blessed model by more than the 2 that the choice"),
        # one set a side, errors by influences: 1.96 x 0.707 = 1.386
        (scored(6.3, seeds=1), scored(5.0, seeds=1), 10.0, None),
        (scored(6.5, seeds=1), scored(5.0, seeds=1), 10.0, "worse than 5"),
        (scored(7.0), scored(5.0, error=9.0), 10.0, None),
        (scored(7.0, error=9.0), scored(5.0), 10.0, None),
        (scored(7.0), scored(5.0, card="another"), 10.0, None),
        (scored(6.9), scored(5.0, error=None), 10.0, None),
        (scored(7.0), scored(5.0, error=None), 10.0, "worse than 5"),
        (scored(7.0, error=None), scored(5.0), 10.0, "worse than 5"),
        (scored(5.0, error=None), scored(5.0, error=None), 10.0, None),
        (scored(5.1, error=None), scored(5.0, error=None), 10.0, "worse than 5"),
        (scored(5.0, error=0.0), scored(5.0, error=0.0), 10.0, None),
    ],
)
def test_the_gate(new, before, limit, reason):
    reasons = gate(new, before, limit)
    assert len(reasons) == (reason is not None)
    assert not reasons or reason in reasons[0]


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_the_gate_refuses_few_equal_models_and_most_that_are_clearly_worse(seeds):
    rng = np.random.default_rng(seeds)

    def drawn(mean):
        values = rng.normal(mean, 1.0, seeds).tolist()
        return {"scores": {"frechet": over_seeds([{"frechet": v} for v in values])["frechet"]}, "card": {}}

    def refused(mean):
        return np.mean([bool(gate(drawn(mean), drawn(20.0), 1e3)) for _ in range(1500)])

    # one-sided 2.5 %, give or take 0.4 % for 1,500 trials; Welch's test is on the safe side of it for few seeds
    assert 0.005 < refused(20.0) < 0.037
    # 12 times one set's deviation: 2 seeds have 2 degrees of freedom at best, and t = 4.3 to 12.7
    assert refused(32.0) > (0.8 if seeds == 2 else 0.99)


@pytest.fixture
def staged(tmp_path):
    """The folders that Pusher reads, with both blessings, and a base: dict of its arguments."""
    folders = {name: tmp_path / name for name in ("exported", "evaluation", "blessing", "infra_blessing", "pushed")}
    for folder in folders.values():
        folder.mkdir()
    model = folders["exported"] / "m" / artifacts.STAGED
    (model / "assets.extra").mkdir(parents=True)
    (model / "saved_model.pb").write_text("weights")
    files.write_json(model / CARD, {"version": 1, "run": {}, "flags": {}, "exported": "now"})
    files.write_json(folders["evaluation"] / artifacts.EVALUATION, scored(5.0) | {"run": {"dataset": "digits"}})
    artifacts.write_blessing(folders["blessing"], artifacts.BLESSED, [])
    artifacts.write_blessing(folders["infra_blessing"], artifacts.INFRA_BLESSED, [])
    return {name: str(folder) for name, folder in folders.items()} | {"base": str(tmp_path / "models"), "name": "m"}


def stage_another(staged, when):
    card = pathlib.Path(staged["exported"]) / "m" / artifacts.STAGED / CARD
    files.write_json(card, json.loads(card.read_text()) | {"exported": when})


def test_a_blessed_model_is_pushed_once_and_the_next_as_canary(staged):
    base = pathlib.Path(staged["base"])
    assert pusher(**staged)["model"] == str((base / "m/1").resolve())
    assert pusher(**staged)["model"] == str((base / "m/1").resolve())  # a second attempt finds it there
    assert versions.labels(versions.read_config(base), "m") == {"stable": 1}
    stage_another(staged, "later")
    assert pusher(**staged)["model"] == str((base / "m/2").resolve())
    assert versions.labels(versions.read_config(base), "m") == {"stable": 1, "canary": 2}
    card = json.loads((base / "m/2" / CARD).read_text())
    assert (card["version"], card["flags"], card["evaluation"]["scores"]["frechet"]["value"]) == (
        2, {"dataset": "digits"}, 5.0,
    )  # fmt: skip


@pytest.mark.parametrize("judge", ["blessing", "infra_blessing"])
@pytest.mark.parametrize("reasons", [["it is no good"], []])
def test_a_model_without_a_blessing_is_not_pushed(staged, judge, reasons):
    mark, other = {
        "blessing": (artifacts.BLESSED, artifacts.NOT_BLESSED),
        "infra_blessing": (artifacts.INFRA_BLESSED, artifacts.INFRA_NOT_BLESSED),
    }[judge]
    (pathlib.Path(staged[judge]) / mark).unlink()
    artifacts.write_blessing(staged[judge], other, reasons)
    assert pusher(**staged) == {"model": None, "reasons": "".join(reasons)}
    assert not pathlib.Path(staged["base"]).exists()
    assert is_there(staged["pushed"])  # there is nothing to push again


@pytest.mark.parametrize("card", ["", "{", "[]", None])
def test_versions_with_damaged_cards_are_in_nobodys_way(staged, card):
    pusher(**staged)
    place = pathlib.Path(staged["base"]) / "m/1" / CARD
    place.unlink()
    if card is not None:
        place.write_text(card)
    assert pusher(**staged)["model"].endswith("m/2")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model": '])
def test_a_damaged_note_of_a_push_does_not_hold(staged, text):
    pusher(**staged)
    (pathlib.Path(staged["pushed"]) / artifacts.PUSHED).write_text(text)
    assert not is_there(staged["pushed"])


def test_a_push_that_was_killed_before_its_label_is_entered_and_not_pushed_twice(staged):
    from tests.serving.test_versions import killed

    killed(lambda: pusher(**staged), pathlib.Path, "rename", after=True)
    assert pusher(**staged)["model"].endswith("m/1")
    assert [path.name for path in (pathlib.Path(staged["base"]) / "m").iterdir()] == ["1"]
    assert versions.labels(versions.read_config(staged["base"]), "m") == {"stable": 1}


def test_a_push_that_failed_halfway_leaves_no_version(staged, monkeypatch):
    from pipelines.components import pusher as module

    def full(*args, **kwargs):
        (pathlib.Path(args[1]) / "saved_model.pb").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.shutil, "copytree", full)
    with pytest.raises(ValueError, match="No space left"):
        pusher(**staged)
    assert not list(pathlib.Path(staged["base"]).glob("m/*"))
    assert versions.labels(versions.read_config(staged["base"]), "m") == {}


def test_flags_travel_as_text():
    chosen = helpers.tiny("root", perturbation="sphere", jit=True)
    text = configs.training_flags(chosen.config)
    made = configs.training_config(text, dataset="npz:file", workdir="there")
    changed = {"dataset": "npz:file", "workdir": "there", "evaluate_features": chosen.config.run.evaluate_features}
    assert made.values() == chosen.config.values() | changed
    assert "--dataset" not in text


@pytest.mark.parametrize("path", ["a\nb", "a\n---\nb", "a\\nb\\", "a\u2028b\x0c\r", "'a' \"b\" #c=--d", " ", "\\\n\\"])
def test_a_value_of_any_kind_travels_as_text(path):
    chosen = helpers.tiny("root", evaluate_inception_path=path)
    made = configs.training_config(configs.training_flags(chosen.config), dataset="digits", workdir="there")
    assert made.run.evaluate_inception_path == path


def test_more_priors_follow_the_own_one():
    for own in ("", "normal"):
        chosen = helpers.tiny("root", prior=own, options={"more_priors": "mixture,second_vae"})
        names = [configs.prior_options(text)[0].prior for text in chosen.priors.split(prior_fitter.SEPARATOR)]
        assert names == [own, "mixture", "second_vae"]
    assert configs.prior_options("--prior=normal") == (FitOptions(prior="normal"), NoOptions())
    assert configs.prior_options("--prior=") == (FitOptions(), None)


def test_what_cannot_be_is_refused_before_any_work():
    with pytest.raises(ValueError, match="--max_frechet: expected the largest Frechet distance of a blessed model on"):
        helpers.tiny("root", dataset="fake:8x8x1", options={"max_frechet": 0.0})
    with pytest.raises(ValueError, match="--pipeline_root: expected a folder"):
        helpers.tiny("", options={})
    with pytest.raises(ValueError, match="--features: expected a feature network: the gate goes by"):
        helpers.tiny("root", options={"features": "none"})
    assert helpers.tiny("root", dataset="folder:x", options={"features": ""}).options.features == "imagenet"
    with pytest.raises(ValueError, match="--dry_run: expected a pipeline to run"):
        helpers.tiny("root", dry_run=True)
    with pytest.raises(ValueError, match="--prior: expected a prior to fit, for --method=ae has none of its own"):
        helpers.tiny("root", prior="", method="ae")
    helpers.tiny("root", prior="mixture", method="ae")
    with pytest.raises(ValueError, match=r"--train_on: expected train, for a model is blessed by .*received all"):
        helpers.tiny("root", train_on="all")
    with pytest.raises(ValueError, match=r"--beam_pipeline_args: .*No closing quotation"):
        helpers.tiny("root", options={"beam_pipeline_args": "--runner='Direct"})


def test_the_home_folder_is_meant_by_a_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    names = ("pipeline_root", "push_base", "schema", "inception_path")
    chosen = helpers.tiny("~/x", options=dict.fromkeys(names, "~/x")).options
    assert [getattr(chosen, name) for name in names] == ["/home/someone/x"] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a/b"}, "--name: expected letters"),
        ({"push_base": "{file}"}, "expected a folder, a model base, received a file"),
        ({"push_base": "{folder}"}, r"models\.config: expected a text proto ModelServerConfig"),
        ({"features": "inception", "inception_path": "{folder}/none"}, "--inception_path: .*which does not exist"),
        ({"features": "digit"}, "did you mean 'digits'"),
        ({"schema": "{file}"}, "--schema=.*: expected a schema.json"),
    ],
)
def test_what_later_steps_would_refuse_is_refused_before_any_work(tmp_path, monkeypatch, options, message):
    (tmp_path / "models.config").write_text("model_config_list {")
    (tmp_path / "file").write_text("{")
    options = {name: text.format(folder=tmp_path, file=tmp_path / "file") for name, text in options.items()}
    monkeypatch.setattr(runner, "run", lambda *args, **kwargs: pytest.fail("the work began"))
    with pytest.raises(InputError, match=message):
        run.run(helpers.tiny(tmp_path / "root", options=options))
