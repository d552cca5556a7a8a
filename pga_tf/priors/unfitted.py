"""Priors that methods train with, which nothing is fitted for: their codes are decoded as those of the prior.

Interface: Samples. Only N(0, I) has a `log_prob`: on a sphere there is no density over codes, and in a cube it is one
number, which tells nothing of a code.
"""

from typing import Any

import tensorflow as tf

from pga_tf.core import laws
from pga_tf.objectives import gaussian
from pga_tf.priors import draws
from pga_tf.settings.priors import NoOptions


class Unfitted:
    """A law out of `laws.LAWS` in `latent_dim` dimensions."""

    Options = NoOptions
    FIT = "nothing"
    DECODED_AS = "prior"

    def __init__(self, latent_dim: int, options: Any = None, *, seed: int = 0):
        del options, seed
        self.latent_dim = latent_dim
        self.sample = draws.sampler(self._draw)

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        return laws.draw(self.LAW, seeds, self.latent_dim)

    def state(self) -> dict:
        """No variable: a law has none."""
        return {}


class Normal(Unfitted):
    """N(0, I)."""

    LAW = "normal"

    def log_prob(self, codes: tf.Tensor) -> tf.Tensor:
        """log p(z) of codes `[B, H_dim]`: `[B]`, nats."""
        return -gaussian.gaussian_nll(codes, tf.zeros_like(codes), 0.0)


class Uniform(Unfitted):
    """U(-1, 1) in each dimension; GANs are trained from it."""

    LAW = "uniform"


class Sphere(Unfitted):
    """Uniform on the sphere of radius sqrt(H_dim), where the mean square per dimension is 1, as that of N(0, I)."""

    LAW = "sphere"
