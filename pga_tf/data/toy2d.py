"""Points in the plane, as images of shape (1, 1, 2): the toys on which a density can be seen."""

import numpy as np

from pga_tf.core import checks
from pga_tf.data.arrays import from_arrays, of_values
from pga_tf.data.source import Source
from pga_tf.settings.data import TOYS, DataOptions

TRAIN, TEST = 5000, 1000


def load(name: str, argument: str, options: DataOptions) -> Source:
    """float32 `[1, 1, 2]` in (-1, 1), 5,000 to train and 1,000 to test, the same in every run."""
    checks.require_member(f"Shape of --dataset={name}", argument, TOYS)
    if options.image_size or options.crop or options.colour != "auto":
        checks.refuse(
            f"--dataset={name}",
            expected="no --image_size, --crop or --colour, for these are points and not pictures",
            received=f"--image_size={options.image_size} --crop={options.crop} --colour={options.colour}",
            remedy="leave them out",
        )
    points = points_of(argument, TRAIN + TEST, seed=0).astype(np.float32)[:, None, None, :]
    splits = {"train": slice(TRAIN), "test": slice(TRAIN, None)}
    return from_arrays(name, points, splits, options, value_range=(-1.0, 1.0), identity=of_values(points))


def points_of(shape: str, count: int, *, seed: int) -> np.ndarray:
    """float64 `[count, 2]`, scaled by fixed numbers that leave a margin inside (-1, 1).

    swiss_roll: the roll (t cos t, t sin t), t in [1.5 pi, 4.5 pi], noise 0.25, divided by 16.
    eight_gaussians: centres on a circle of radius 0.7, standard deviation 0.05.
    moons: scikit-learn's, noise 0.05, less their centre (0.5, 0.25), divided by 1.9.
    """
    from sklearn import datasets

    if shape == "swiss_roll":
        return datasets.make_swiss_roll(count, noise=0.25, random_state=seed)[0][:, [0, 2]] / 16
    if shape == "moons":
        return (datasets.make_moons(count, noise=0.05, random_state=seed)[0] - [0.5, 0.25]) / 1.9
    random = np.random.default_rng(seed)
    angle = random.integers(8, size=count) * (np.pi / 4)
    return 0.7 * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.05 * random.standard_normal((count, 2))
