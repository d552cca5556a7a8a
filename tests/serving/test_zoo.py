"""The zoo: models that come with the package, as which they are packed, and as which saved_models/ serves them."""

import hashlib
import json
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pga_tf
from pga_tf.core import streams
from pga_tf.core.checks import InputError
from pga_tf.evaluation import rounding
from pga_tf.ledger import headers
from pga_tf.runs import assessment, history, zoo
from pga_tf.runs.directory import CHANGEABLE, RunDirectory
from tests import commands, test_flags

ROOT = pathlib.Path(__file__).parents[2]
NAMES = ["zoo/cifar10", "zoo/fashion_mnist", "zoo/mnist"]
README = (ROOT / "saved_models/README.md").read_text()


def version(name):
    return ROOT / "saved_models" / name.replace("/", "_") / "1"


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def card(name):
    return json.loads((version(name) / "assets.extra/model_card.json").read_text())


@pytest.fixture(scope="module", params=NAMES)
def run(request):
    return pga_tf.load(request.param)


@pytest.fixture
def name(run):
    return zoo.told(run.workdir)


def test_the_served_model_gives_what_the_packaged_one_gives(run, name):
    served = tf.saved_model.load(str(version(name))).signatures
    seeds = streams.sample_seeds(6, seed=3)
    samples = run.drawing().samples_of(seeds)
    np.testing.assert_array_equal(samples, run.sample(6, seed=3))
    there = served["sample"](seed=tf.constant(seeds))["image"].numpy()
    np.testing.assert_allclose(255.0 * there, samples, atol=0.51)  # which is rounded
    units = tf.constant(samples / np.float32(255.0))
    codes = run.encode(samples)
    np.testing.assert_allclose(served["encode"](image=units)["z"], codes, atol=1e-4 * np.abs(codes).max())
    np.testing.assert_allclose(255.0 * served["decode"](z=tf.constant(codes))["image"], run.decode(codes), atol=0.51)


def test_it_is_trained_and_its_samples_vary(run):
    """It restores what looks like its data, and a picture that does not it does not restore."""
    samples = run.sample(64)
    assert samples.std(axis=0).mean() > 20
    error = lambda images: np.square((run.reconstruct(images) - images.astype(float)) / 255).mean(axis=(1, 2, 3))
    noise = np.random.default_rng(0).integers(0, 256, samples.shape, np.uint8)
    assert np.median(error(samples)) < 0.015 < 0.05 < np.median(error(noise))


def test_the_card_has_scores_their_protocol_and_no_sign_of_memorisation(run, name):
    found = run.card()
    assert found["prior"] == found["evaluation"]["card"]["generated"]["prior"] == "mixture"
    assert found["evaluation"]["card"]["real"]["dataset"] == found["run"]["dataset"] == f"tfds:{name.split('/')[1]}"
    assert found["evaluation"]["card"]["real"]["split"] == "test"
    memory = found["evaluation"]["memory"]
    assert memory["sample_copies"] <= memory["held_out_copies"]
    assert memory["ratio"] > 0.95  # of the distance of samples to training images over that of held-out images
    assert "blurred" in found["note"] or name != "zoo/cifar10"
    exported = card(name)
    assert {key: exported[key] for key in found} == json.loads(json.dumps(found))
    assert (exported["name"], exported["version"], exported["weights_stored_as"]) == (
        name.replace("/", "_"), 1, "bfloat16",
    )  # fmt: skip
    assert max(exported["gate"]["found"].values()) <= exported["gate"]["tolerance"] <= 1e-5
    assert re.fullmatch(r"[0-9a-f]{40}", exported["commit"])  # of code without changes


def test_its_flags_are_those_of_its_flagfile(run, name):
    path = ROOT / "flagfiles" / f"{name.replace('/', '_')}.flags"
    watched = CHANGEABLE - {"steps"}
    asked = lambda values: {option: value for option, value in values.items() if option not in watched}
    assert asked(run.card()["flags"]) == asked(test_flags.parse(f"--flagfile={path}").values())
    assert run.card()["flags"]["workdir"] == name
    assert run.step == run.card()["flags"]["steps"]
    fit, own = test_flags.parse_prior(f"--flagfile={path}")
    record = RunDirectory(run.workdir).read_flags(required=())
    record |= headers.values((run.workdir / "priors/mixture/config.flags").read_text(), "here")
    for option, value in (vars(fit) | vars(own)).items():
        assert record[option] == str(value).lower(), option


def test_documents_have_the_scores_of_the_cards(run, name):
    scores, stem = run.card()["evaluation"]["scores"], name.replace("/", "_")
    (row,) = re.findall(rf"^\| `{stem}` \|.*$", README, re.MULTILINE)
    value, error = rounding.supported(scores["frechet"]["value"], scores["frechet"]["error"])
    assert f"Frechet distance {value} +- {error} " in row
    assert f"precision {scores['precision']['value']:.2f}, recall {scores['recall']['value']:.2f}" in row
    assert card(name)["commit"][:7] in row
    assert f"{size(version(name)) / 1e6:.1f} MB" in row
    header = headers.read(ROOT / "flagfiles" / f"{stem}.flags").fields["Ours"]
    assert header.startswith(f"Frechet distance {value} ")
    assert f"one training, to {error} over seeds of samples" in header


def test_it_is_small_and_names_no_place_of_a_machine(run, name):
    assert size(run.workdir) < 4e6
    assert size(version(name)) < 4e6
    texts = [path for path in run.workdir.rglob("*") if path.suffix in (".flags", ".json")]
    assert len(texts) >= 7
    for path in [*texts, version(name) / "assets.extra/model_card.json"]:
        assert not re.search(r"[\"'=/](?:home|mnt|opt|root|srv|tmp|usr|var|work)/", path.read_text()), path


def test_the_zoo_is_what_is_served_and_what_is_said():
    assert zoo.names() == NAMES
    served = (ROOT / "saved_models/models.config").read_text()
    assert [f"zoo/{found}" for found in re.findall(r'name: "zoo_(\w+)"', served)] == NAMES
    assert all(f'"{name}"' in pga_tf.Run.__doc__ for name in NAMES)


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for load in (pga_tf.load, lambda name: commands.call("sample", f"--workdir={name}", "--out=a.png")):
        with pytest.raises(
            InputError, match=f"one of {', '.join(NAMES)}, received 'zoo/minst'.*did you mean 'zoo/mnist'"
        ):
            load("zoo/minst")


def test_a_folder_that_is_called_so_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert zoo.located("zoo/mnist/") == str(zoo.FOLDER / "mnist")
    assert zoo.located("runs/zoo/mnist") == "runs/zoo/mnist"
    assert zoo.is_called("zoo/mnist")
    assert not zoo.is_called("zoo/mine")
    (tmp_path / "zoo" / "mnist").mkdir(parents=True)
    assert zoo.located("zoo/mnist") == "zoo/mnist"
    assert not zoo.holds("zoo/mnist")
    assert not zoo.is_called("zoo/mnist")
    with pytest.raises(InputError, match=r"--workdir=zoo/mnist: expected a run directory .*, received none there"):
        pga_tf.load("zoo/mnist")


def test_it_is_only_read(tmp_path, monkeypatch):
    digest = lambda: {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in zoo.FOLDER.rglob("*.*")}
    before, remedy = digest(), r"which is only read. Remedy: copy it: .*export --workdir=zoo/mnist --pack=runs/mnist"
    refused = pytest.raises(InputError, match=f"a run of your own, received zoo/mnist, {remedy}")
    monkeypatch.chdir(tmp_path)
    for command, *given in (["sample"], ["evaluate"], ["evaluate", "--priors=all"]):
        with refused:
            commands.call(command, "--workdir=zoo/mnist", *given)
    with pytest.raises(InputError, match="a packed run, which has weights alone"):
        commands.call("train", "--workdir=zoo/mnist", "--method=ae", "--dataset=digits")
    assert not list(tmp_path.iterdir())

    model = pga_tf.load("zoo/mnist")
    with refused:
        model.fit_prior("realnvp")
    again, score = history.commands_of_run(model.config, assessment.Request(cache_dir=""), "")
    assert again.endswith(f"--flagfile={zoo.FOLDER / 'mnist/config.flags'} --workdir=zoo/mnist_again")
    assert score.endswith("pga_tf.evaluate --workdir=zoo/mnist")
    monkeypatch.setattr(assessment, "of_run", lambda *_: ({"scores": {}, "notes": ["none"]}, {}))
    assert model.evaluate().to_dict()["notes"] == ["none"]
    commands.call("sample", "--workdir=zoo/mnist", "--grid=2x2", "--out=grid.png")
    assert Image.open("grid.png").size == (2 * 58 - 2, 2 * 58 - 2)  # enlarged to 56, with gaps of 2
    copy = model.pack("mine")
    assert {path.relative_to(copy) for path in copy.rglob("*")} == {
        path.relative_to(model.workdir) for path in model.workdir.rglob("*")
    }
    assert digest() == before
