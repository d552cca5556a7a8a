"""The codes of training images themselves, each with noise: the ceiling of every prior. Interface: Samples.

A draw is the code of one training image, chosen evenly, plus noise: codes of a stochastic encoder are draws from q(z|x)
already, and the small kernel stands for their law between the draws. With S the covariance of N codes in D dimensions
and h = `--empirical_kernel` times Scott's factor N^(-1 / (D + 4)) (Scott, Multivariate Density Estimation, 1992):

    p(z) = 1/N sum_n N(z; z_n, h^2 S)

No prior over codes comes nearer to the codes of data without leaving them; what is left between these samples and real
images is the decoder's. It is a control of memorisation too: it does remember.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from pga_tf.core import checks, streams
from pga_tf.core.options import validate
from pga_tf.priors import draws
from pga_tf.priors.whitened import factor_of
from pga_tf.settings.priors import EmpiricalOptions


class Empirical:
    """1/N sum_n N(z_n, F F^T) over codes `[H_dim]`; before `fit` N(0, I)."""

    Options = EmpiricalOptions
    FIT = "codes"
    DECODED_AS = "data"

    def __init__(self, latent_dim: int, options: EmpiricalOptions | None = None, *, seed: int = 0):
        del seed
        self.options, self.latent_dim = validate(options or EmpiricalOptions()), latent_dim
        self._hold(1)

    def _hold(self, count):
        self.codes = tf.Variable(tf.zeros([count, self.latent_dim]), trainable=False, name="codes")
        self.factor = tf.Variable(tf.eye(self.latent_dim), trainable=False, name="factor")
        self.sample = draws.sampler(self._draw)

    def allocate(self, shapes: dict[str, tuple]) -> None:
        """Makes room for a fitted state whose arrays have these shapes."""
        if shapes["codes"]:
            self._hold(shapes["codes"][0])

    def state(self) -> dict[str, tf.Variable]:
        """The variables that sampling needs, by name."""
        return {"codes": self.codes, "factor": self.factor}

    def fit(self, codes: np.ndarray, *, report: Callable[[int, str], None] | None = None) -> dict[str, float]:
        """Takes codes `[N, H_dim]`; returns how many, and the standard deviation of noise over that of codes.

        Raises `InputError` for fewer than two.
        """
        if len(codes) < 2:
            checks.refuse(
                "--prior=empirical", expected="at least 2 codes", received=len(codes), remedy="use more images"
            )
        h = self.options.empirical_kernel * len(codes) ** (-1.0 / (self.latent_dim + 4))
        self._hold(len(codes))
        self.codes.assign(codes)
        self.factor.assign(h * factor_of(codes))
        if report is not None:
            report(1, "")
        return {"codes": len(codes), "noise": h}

    def log_prob(self, codes: tf.Tensor) -> tf.Tensor:
        """log p(z) of codes `[B, H_dim]`: `[B]`, nats."""
        flat = lambda z: tf.transpose(tf.linalg.triangular_solve(self.factor, tf.transpose(z)))  # noise to N(0, I)
        centre = tf.reduce_mean(self.codes, axis=0)  # so that squares do not cancel
        z, held = flat(codes - centre), flat(self.codes - centre)
        squares = tf.reduce_sum(z**2, axis=1)[:, None] + tf.reduce_sum(held**2, axis=1) - 2.0 * z @ tf.transpose(held)
        scale = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(self.factor))) + 0.5 * self.latent_dim * np.log(2 * np.pi)
        count = tf.cast(tf.shape(self.codes)[0], tf.float32)
        return tf.reduce_logsumexp(-0.5 * tf.maximum(squares, 0.0), axis=1) - tf.math.log(count) - scale

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        uniform = streams.uniforms_of(seeds, 1, "sample/component")[:, 0]
        count = self.codes.shape[0]
        chosen = tf.minimum(tf.cast(tf.cast(uniform, tf.float64) * count, tf.int32), count - 1)
        eps = streams.normals_of(seeds, self.latent_dim, "sample/code")
        return tf.gather(self.codes, chosen) + tf.linalg.matvec(self.factor, eps)
