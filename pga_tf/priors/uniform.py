"""The prior U(-1, 1) in every dimension, which nothing is fitted for; GANs are trained from it. Interface: Samples.

Its density is one number inside of the cube and none outside, which tells nothing of a code: no `log_prob`."""

import dataclasses

from pga_tf.core import laws
from pga_tf.priors import draws


@dataclasses.dataclass(frozen=True)
class UniformOptions:
    """None."""


class Uniform:
    """U(-1, 1)^`latent_dim`."""

    Options = UniformOptions
    FIT = "nothing"
    DECODED_AS = "prior"

    def __init__(self, latent_dim, options=None, *, seed=0):
        del options, seed
        self.latent_dim = latent_dim
        self.sample = draws.sampler(self._draw)

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        return laws.draw("uniform", seeds, self.latent_dim)

    def state(self):
        return {}
