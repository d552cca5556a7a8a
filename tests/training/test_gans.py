"""GANs trained by their flagfiles: they cover the modes of a toy, and make digits that scores take for digits."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pga_tf import data
from pga_tf.core import ranges
from pga_tf.runs import config as config_lib
from pga_tf.runs import trained
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import loop
from tests.test_flags import ROOT, parse

ANGLES = np.arange(8) * np.pi / 4
CENTRES = 0.7 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)  # of --dataset=toy2d:eight_gaussians
STDDEV = 0.05


def train(stem, workdir, **changes):
    """Trains a flagfile's run in `workdir`: its `RunDirectory`."""
    config = parse(f"--flagfile={ROOT}/flagfiles/{stem}.flags", f"--workdir={workdir}")
    config = dataclasses.replace(config, run=dataclasses.replace(config.run, image_every=10**6, **changes))
    assert loop.train(config, out=str)
    return RunDirectory(workdir)


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["ns_gan_eight_gaussians", "wgan_gp_eight_gaussians"])
def test_a_gan_covers_at_least_seven_of_eight_modes(stem, tmp_path):
    train(stem, tmp_path)
    points = trained.load(config_lib.of_run(tmp_path))[0].samples(2000).reshape(-1, 2)
    distance = np.linalg.norm(points[:, None] - CENTRES, axis=2)
    near = distance.min(axis=1) < 3 * STDDEV
    counts = np.bincount(distance.argmin(axis=1)[near], minlength=8)
    assert (counts >= 2000 / 8 / 4).sum() >= 7, counts  # a mode has a quarter of its share at least
    assert near.mean() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["ns_gan_swiss_roll", "wgan_gp_swiss_roll"])
def test_a_gan_covers_the_swiss_roll_and_little_else(stem, tmp_path):
    """Measured: 98 and 95 % of samples near the roll, whose turns lie 0.39 apart, and 100 % of it near samples."""
    train(stem, tmp_path)
    config = config_lib.of_run(tmp_path)
    points = trained.load(config)[0].samples(5000).reshape(-1, 2)
    source = data.load(config.data)
    real = ranges.rescale(source.examples("train", 5000), source.value_range, (-1.0, 1.0)).numpy().reshape(-1, 2)
    near = lambda of, others: (cKDTree(others).query(of)[0] < 0.05).mean()
    assert near(points, real) > 0.85
    assert near(real, points) > 0.95


# name: (the largest Frechet distance, half as much again as was measured; the smallest recall, half of it)
DIGITS = {
    "mm": (25.0, 0.43),
    "ns": (23.0, 0.43),
    "ls": (22.0, 0.45),
    "wgan": (40.0, 0.3),
    "wgan_gp": (23.0, 0.45),
    "dragan": (23.0, 0.47),
    "sn": (22.0, 0.47),
    "began": (137.0, 0.09),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DIGITS)
def test_a_gan_learns_digits(name, tmp_path):
    last = train(f"{name}_gan_digits", tmp_path, evaluate_every=1000).read_scores()[-1]
    frechet, recall = DIGITS[name]
    assert last["frechet"] < frechet
    assert last["recall"] > recall
