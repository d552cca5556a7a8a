"""Who may draw which noise. Every use of randomness has a name in `USES`, and no two uses ever share a key.

A key is a pair of int64 words. Of a step it is [seed, sub-step and use; step], the step being 0 or more; of a draw that
stands for itself, such as sample i, it is [the draw's own seed; a negative number that says the use]. A use's number is
its place in the table: a new one goes to the end, or everything after it draws other noise than before.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pga_tf.core import noise, replicas

USES = (
    # a step of a method
    "prior",  # z_n or u, from the method's own prior
    "perturbation",  # delta of Eq. 7, and its kin
    "posterior",  # eps of z ~ q(z|x)
    "mixing",  # shares in which two codes are mixed
    "projection",  # the probe of a Jacobian
    "penalty",  # shares in which a penalty goes between or around images
    "penalty/around",  # noise around images that a penalty is taken at
    # a step of a prior that is fitted by steps
    "fit/codes",  # eps of the codes z ~ q(z|x)
    "fit/prior",  # u of the first player
    "fit/prior_again",  # u of the second player
    "fit/posterior",  # eps of the prior's own encoder
    # codes that are drawn once
    "codes/train",  # those that a prior is fitted to at once
    "codes/test",  # those that it is judged by
    # a sample
    "sample/code",  # the noise that becomes a code
    "sample/component",  # which component of a mixture
    "sample/noise",  # noise on top of a code
    # looking at a model
    "diagnostics/perturbation",  # delta of the bound on log|det dh/dz|
    "evaluation/resampling",  # noise around codes
    "evaluation/posterior",  # codes whose law is looked at
    "evaluation/second_posterior",  # codes of those codes, by a prior with an encoder
    "evaluation/normal",  # N(0, I) to compare with
    "evaluation/choice",  # which images a score is taken over, as blocks of a kernel distance
    "evaluation/bootstrap",  # resampled images
    # since then
    "second_posterior",  # in a step: eps of q(u|z), where codes have an encoder of their own
    "diagnostics/prior",  # z_n, for h(z_n) beside h(f(x))
    "evaluation/draws",  # codes around that of one image
    "input",  # in a step: noise on images before they are encoded
    "directions",  # in a step: those along which laws of codes are compared
    "fit/time",  # in a step of a fitted prior: t of a flow
)
_NUMBERS = {use: number for number, use in enumerate(USES)}
CHOOSING = ("steer", "judge", "look")
"""Draws from a prior that are no samples: in-training scores, a fit's MMD, latent health. What chooses a checkpoint or
a prior must not be what it is scored by afterwards, so the seeds of these are negative and a sample's are not."""


def normal(shape: Sequence[int | tf.Tensor], use: str, *, seed: int, step: tf.Tensor, substep: int = 0) -> tf.Tensor:
    """N(0, 1) noise that is a function of (use, seed, step, substep) and of the row in the global batch alone.

    Args:
      shape: `[b, ...]`, b the number of examples on this replica.
      use: a name out of `USES`. seed: int in [0, 2^31), the run's. step: int scalar tensor, 0 or more.
      substep: int below 2^16, which of a step's updates draws.

    Returns:
      float32 of `shape`; one replica and two see the same rows. Raises `KeyError` for a use without a name.
    """
    return replicas.own_rows(noise.standard_normal, shape, _step_key(use, seed, step, substep))


def uniform(shape: Sequence[int | tf.Tensor], use: str, *, seed: int, step: tf.Tensor, substep: int = 0) -> tf.Tensor:
    """U(0, 1) noise; all else as `normal`."""
    return replicas.own_rows(noise.uniform, shape, _step_key(use, seed, step, substep))


def truncated_normal(
    shape: Sequence[int | tf.Tensor], use: str, *, seed: int, step: tf.Tensor, substep: int = 0
) -> tf.Tensor:
    """N(0, 1) noise cut off at two standard deviations; all else as `normal`."""
    return replicas.own_rows(noise.truncated_normal, shape, _step_key(use, seed, step, substep))


def shared_normal(shape: Sequence[int], use: str, *, seed: int, step: tf.Tensor, substep: int = 0) -> tf.Tensor:
    """N(0, 1) noise that has no rows of examples: the same on every replica; all else as `normal`."""
    return noise.standard_normal(shape, _step_key(use, seed, step, substep))


def _step_key(use, seed, step, substep):
    return tf.stack([tf.constant(seed << 32 | substep << 16 | _NUMBERS[use], tf.int64), tf.cast(step, tf.int64)])


def normals_of(seeds: tf.Tensor, dimensions: int, use: str) -> tf.Tensor:
    """N(0, 1) noise `[B, dimensions]`, float32: row i is a function of int64 seeds[i] and of `use` alone."""
    return _of_each(noise.normals_of_each, seeds, dimensions, use)


def uniforms_of(seeds: tf.Tensor, dimensions: int, use: str) -> tf.Tensor:
    """U(0, 1) noise `[B, dimensions]`, float32: row i is a function of int64 seeds[i] and of `use` alone."""
    return _of_each(noise.uniforms_of_each, seeds, dimensions, use)


def _of_each(draw, seeds, dimensions, use):
    second = tf.fill(tf.shape(seeds), tf.constant(-1 - _NUMBERS[use], tf.int64))
    return draw(dimensions, tf.stack([seeds, second], axis=1))


def sample_seeds(count: int, *, seed: int = 0, start: int = 0) -> np.ndarray:
    """int64 `[count]`: the seeds of samples `start` to `start + count` under a user's `seed`, below 2^31; 0 or more."""
    return np.arange(start, start + count, dtype=np.int64) + (np.int64(seed) << 32)


def choosing_seeds(count: int, purpose: str) -> np.ndarray:
    """int64 `[count]`: seeds of draws for a `purpose` out of `CHOOSING`; below 0, where no sample's is."""
    return -1 - np.arange(count, dtype=np.int64) - (np.int64(CHOOSING.index(purpose)) << 40)


def generator(use: str, seed: int = 0) -> np.random.Generator:
    """A NumPy generator of its own for a use of randomness outside of TensorFlow."""
    return np.random.default_rng([_NUMBERS[use], seed])
