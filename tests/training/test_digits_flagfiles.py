"""Flagfiles for digits, trained whole and scored. A bound is half as much again as was measured."""

import json
import math

import pytest

from pga_tf.runs.directory import RunDirectory
from tests import commands
from tests.test_flags import ROOT

# stem: (the largest Frechet distance, what the last logged means must satisfy)
TRAINED = {
    "soft_intro_vae": (25.0, lambda last: last["kl_samples"] > last["kl_data"]),
    "intro_vae": (33.0, lambda last: last["kl_data"] < last["kl_samples"] < 20.0),
    "age": (36.0, lambda last: 0.0 < last["kl_data"] < last["kl_samples"] < 1.0),
    "alae": (30.0, lambda last: 0.0 < last["margin"] < 1.0),
    "mmd_pga": (34.0, lambda last: last["L_match"] < 0.05 and last["L_code"] < 0.05),
    "adversarial_pga": (26.0, lambda last: abs(last["margin"]) < 1.0 and last["L_lr_N"] < 0.2),
}


@pytest.mark.slow
@pytest.mark.parametrize("stem", TRAINED)
def test_a_flagfile_for_digits_trains_to_what_it_is_worth(stem, tmp_path):
    bound, healthy = TRAINED[stem]
    flags = f"--flagfile={ROOT}/flagfiles/{stem}_digits.flags", f"--workdir={tmp_path}", "--evaluate_every=3000"
    commands.call("train", *flags)
    run = RunDirectory(tmp_path)
    last = json.loads(run.metrics.read_text().splitlines()[-1])
    assert all(math.isfinite(value) for value in last.values())
    assert healthy(last)
    assert run.read_scores()[-1]["step"] == 3000
    assert run.read_scores()[-1]["frechet"] < bound
