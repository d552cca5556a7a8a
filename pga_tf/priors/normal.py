"""The prior N(0, I), which nothing is fitted for. Interface: Samples."""

import dataclasses

import tensorflow as tf

from pga_tf.core import laws
from pga_tf.objectives import gaussian
from pga_tf.priors import draws


@dataclasses.dataclass(frozen=True)
class NormalOptions:
    """None."""


class Normal:
    """N(0, I) in `latent_dim` dimensions."""

    Options = NormalOptions
    FIT = "nothing"
    DECODED_AS = "prior"

    def __init__(self, latent_dim, options=None, *, seed=0):
        del options, seed
        self.latent_dim = latent_dim
        self.sample = draws.sampler(self._draw)

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        return laws.draw("normal", seeds, self.latent_dim)

    def log_prob(self, codes):
        """log p(z) of codes `[B, H_dim]`: `[B]`, nats."""
        return -gaussian.gaussian_nll(codes, tf.zeros_like(codes), 0.0)

    def state(self):
        return {}
