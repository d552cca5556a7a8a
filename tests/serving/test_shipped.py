"""The model that ships in saved_models/, so that serving and the client work straight after a clone."""

import json
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

FOLDER = pathlib.Path(__file__).parents[2] / "saved_models" / "lpga_digits" / "1"


@pytest.fixture(scope="module")
def shipped():
    return tf.saved_model.load(str(FOLDER))


@pytest.fixture(scope="module")
def card():
    return json.loads((FOLDER / "assets.extra" / "model_card.json").read_text())


def test_it_is_small():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 2e6


def test_the_card_says_how_it_was_made_and_names_no_place_of_a_machine(shipped, card):
    assert (card["name"], card["version"]) == ("lpga_digits", 1)
    assert re.fullmatch(r"[0-9a-f]{40}", card["commit"])  # of code without changes
    assert card["evaluation"]["card"]["generated"]["prior"] == card["prior"] == "normal"
    assert set(card["signatures"]) == set(shipped.signatures) - {"serving_default"}
    assert max(card["gate"]["found"].values()) <= card["gate"]["tolerance"]
    assert not pathlib.Path(card["flags"]["workdir"]).is_absolute()
    readme = (FOLDER.parents[1] / "README.md").read_text()
    assert card["commit"][:7] in readme
    assert f"{card['evaluation']['scores']['frechet']['value']:.1f}" in readme


def test_the_flags_are_those_of_its_flagfile(card):
    flagfile = (FOLDER.parents[2] / "flagfiles" / "lpga_digits.flags").read_text()
    for name, value in re.findall(r"^--(\w+)=(\S+)$", flagfile, re.MULTILINE):
        assert str(card["flags"][name]) == value or float(card["flags"][name]) == float(value), name


def test_it_is_trained_it_knows_digits_from_noise(shipped):
    score = lambda images: shipped.signatures["score"](image=tf.constant(images))["reconstruction_error"].numpy()
    digits = np.float32(load_digits().images[1600:1664, ..., None] / 16.0)
    noise = np.random.default_rng(0).uniform(size=digits.shape).astype(np.float32)
    assert np.median(score(digits)) < 0.02 < 0.1 < np.median(score(noise))
    assert np.median(score(1.0 - digits)) > 0.1


def test_samples_are_varied_and_reconstruct_well(shipped):
    samples = shipped.signatures["sample"](seed=tf.range(64, dtype=tf.int64))["image"]
    assert float(tf.reduce_mean(tf.math.reduce_std(samples, axis=0))) > 0.1
    again = shipped.signatures["reconstruct"](image=samples)["image"]
    assert float(tf.reduce_mean(tf.square(again - samples))) < 0.02
