"""Noise of many keys at once is, row by row, the noise of each key."""

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import noise

EDGES = [0, 5, -1, 2**40 + 3, -(2**63), 2**63 - 1, 5]
KEYS = np.stack([EDGES, [-13, 7, -1, 2**35, 0, -(2**63), -13]], axis=1)


@pytest.mark.parametrize(("count", "jit"), [(1, False), (4, False), (33, False), (7, True)])
def test_rows_are_those_of_each_key(count, jit):
    """TensorFlow's own generator draws for each key; ours for all of them, through the same blocks of Philox."""
    keys = tf.constant(KEYS, tf.int64)
    uniform = tf.function(lambda keys: noise.uniforms_of_each(count, keys), jit_compile=jit, autograph=False)
    normal = tf.function(lambda keys: noise.normals_of_each(count, keys), jit_compile=jit, autograph=False)
    np.testing.assert_array_equal(uniform(keys), [noise.uniform([count], key) for key in keys])
    expected = [noise.standard_normal([count], key) for key in keys]
    np.testing.assert_allclose(normal(keys), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [1, 4, 7, 33])
def test_a_row_is_a_function_of_its_key_alone_to_the_last_bit(count):
    keys = tf.constant(KEYS, tf.int64)
    together = noise.normals_of_each(count, keys).numpy()
    np.testing.assert_array_equal(together[1], noise.normals_of_each(count, keys[1:2])[0])
    many = noise.normals_of_each(count, tf.repeat(keys, 300, axis=0)).numpy().reshape(len(KEYS), 300, count)
    np.testing.assert_array_equal(many, np.repeat(together[:, None], 300, axis=1))
    assert noise.normals_of_each(count, keys[:0]).shape == (0, count)


def test_uniforms_of_many_keys_are_uniform_and_do_not_follow_each_other():
    keys = tf.stack([tf.range(4000, dtype=tf.int64), tf.fill([4000], tf.constant(-13, tf.int64))], axis=1)
    found = noise.uniforms_of_each(6, keys).numpy()
    assert found.min() > 0.0
    assert found.max() < 1.0
    counts = np.histogram(found, bins=20, range=(0, 1))[0]
    assert ((counts - 1200) ** 2 / 1200).sum() < 43.8  # chi squared of 19 degrees, 1 in 1000
    assert np.abs(np.corrcoef(np.concatenate([found[:-1], found[1:]], axis=1).T)[~np.eye(12, dtype=bool)]).max() < 0.08
