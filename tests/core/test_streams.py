"""Keys of noise: every use, seed, step, sub-step and sample has its own, and a recording sees each one drawn."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import streams
from tests.recording import keys_drawn


def test_no_two_keys_of_steps_and_samples_coincide():
    with keys_drawn() as keys:
        for use, seed, step, substep in itertools.product(streams.USES, (0, 1, 255, 2**31 - 1), (0, 1, 2**40), (0, 5)):
            streams.normal([1, 1], use, seed=seed, step=tf.constant(step, tf.int64), substep=substep)
        seeds = np.concatenate(
            [streams.sample_seeds(3, seed=seed) for seed in (0, 1, 255, 2**31 - 1)]
            + [streams.choosing_seeds(3, purpose) for purpose in streams.CHOOSING]
        )
        for use in streams.USES:
            streams.normals_of(tf.constant(seeds), 1, use)
    assert len(keys) == len(streams.USES) * (4 * 3 * 2 + len(seeds))
    assert len(set(keys)) == len(keys)


def test_the_seeds_of_samples_are_apart_however_many_are_drawn():
    count = 1_000_000
    ranges = [streams.sample_seeds(count, seed=seed) for seed in (0, 1, 2, 2**31 - 1)]
    ranges += [streams.choosing_seeds(count, purpose) for purpose in streams.CHOOSING]
    for seeds in ranges:
        assert seeds.dtype == np.int64
        assert abs(int(seeds[-1]) - int(seeds[0])) == count - 1
    for a, b in itertools.combinations(ranges, 2):
        assert a.max() < b.min() or b.max() < a.min()
    assert all((seeds >= 0).all() for seeds in ranges[:4])  # what a user may ask for
    assert all((seeds < 0).all() for seeds in ranges[4:])  # what chooses checkpoints and priors
    np.testing.assert_array_equal(streams.sample_seeds(3, seed=1, start=5), streams.sample_seeds(8, seed=1)[5:])


def test_a_draw_is_a_function_of_its_own_seed():
    seeds = tf.constant([3, 9, 3], tf.int64)
    for draw in (streams.normals_of, streams.uniforms_of):
        values = draw(seeds, 4, "sample/code").numpy()
        np.testing.assert_array_equal(values[0], values[2])
        assert (values[0] != values[1]).all()
        assert (draw(seeds, 4, "sample/noise").numpy() != values).all()


def test_a_use_without_a_name_is_refused():
    with pytest.raises(KeyError):
        streams.normal([1], "elsewhere", seed=0, step=0)


def test_uses_of_numpy_have_generators_of_their_own():
    drawn = {use: streams.generator(use).standard_normal(3).tobytes() for use in streams.USES}
    assert len(set(drawn.values())) == len(drawn)
    assert streams.generator("evaluation/normal").standard_normal(3).tobytes() == drawn["evaluation/normal"]
