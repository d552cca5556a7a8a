"""Real NVP on codes: an invertible map with a triangular derivative, and so an exact density. Interface: Samples.

Paper: Dinh et al., Density Estimation using Real NVP, ICLR 2017. Algorithm, on whitened codes y: each coupling keeps
the half of dimensions where its mask b is 1 and maps the others, by Eq. 9 of y: u = b y + (1 - b) (y - t(b y))
exp(-s(b y)); the next coupling keeps the other half. Minimise -log p(z) = -log N(u) + sum of s over all couplings and
mapped dimensions + log |det L| (Eqs. 2 and 8). A sample goes back: y = b u + (1 - b) (u exp(s(b u)) + t(b u)).
Deviations: the paper has images. s and t are the two outputs of one dense network; masks alternate over dimensions that
were put into an order of their own before each pair of couplings; |s| is held below `LOG_SCALE` by tanh.
"""

import keras
import numpy as np
import tensorflow as tf

from pga_tf import networks
from pga_tf.core import streams
from pga_tf.core.players import Player
from pga_tf.networks import Mapping
from pga_tf.objectives import gaussian
from pga_tf.priors import draws
from pga_tf.priors.whitened import Whitened
from pga_tf.settings.priors import RealNVPOptions

LOG_SCALE = 3.0  # of one coupling


class RealNVP(Whitened):
    """Couplings over whitened codes `[H_dim]`, trained by steps on batches of codes."""

    Options = RealNVPOptions
    LOSSES = ("nll",)
    TOTAL = None
    REPORTED = ()

    @classmethod
    def players(cls, options: RealNVPOptions) -> tuple[Player, ...]:
        return (Player("couplings", tuple(f"coupling_{i + 1}" for i in range(options.couplings))),)

    def __init__(self, latent_dim: int, options: RealNVPOptions | None = None, *, seed: int = 0):
        options = options or RealNVPOptions()
        spec = Mapping(width=options.coupling_width, depth=options.coupling_depth, outputs=2)
        roles = {f"coupling_{i + 1}": spec for i in range(options.couplings)}
        made = networks.build_all(roles, networks.NetworkOptions(latent_dim=latent_dim), None)
        for network in made.values():
            network.head.kernel.assign(tf.zeros_like(network.head.kernel))  # the map starts as the identity
        super().__init__(made, options, latent_dim=latent_dim, seed=seed)
        self.masks, rng = [], np.random.default_rng(0)  # a function of the sizes alone
        for _ in range(-(-options.couplings // 2)):
            odd = rng.permutation(latent_dim) % 2
            self.masks += [tf.constant(mask, tf.float32) for mask in (1 - odd, odd)]
        del self.masks[options.couplings :]
        self.sample = draws.sampler(self._draw)

    def state(self) -> dict[str, keras.Variable]:
        """The variables that sampling needs, by name."""
        held = [self.offset, self.factor, *self.trained_by(self.players(self.options)[0])]
        return {f"{i}/{v.path}": v for i, v in enumerate(held)}

    def loss_scale(self) -> float:
        return 1.0 / self.latent_dim

    def _coupling(self, i, kept, mask):
        """(s, t) of the mapped dimensions, 0 in the others."""
        s, t = tf.split(getattr(self, f"coupling_{i + 1}")(kept), 2, axis=1)
        return (1.0 - mask) * LOG_SCALE * tf.tanh(s / LOG_SCALE), (1.0 - mask) * t

    def to_noise(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(u, log |det du/dy|) of whitened codes `[B, H_dim]`: `[B, H_dim]` and `[B]`."""
        log_det = tf.zeros(tf.shape(y)[:1])
        for i, mask in enumerate(self.masks):
            s, t = self._coupling(i, mask * y, mask)
            y = (y - t) * tf.exp(-s)
            log_det -= tf.reduce_sum(s, axis=1)
        return y, log_det

    def from_noise(self, u: tf.Tensor) -> tf.Tensor:
        """Whitened codes of noise `[B, H_dim]`, the inverse of `to_noise`."""
        for i, mask in reversed(list(enumerate(self.masks))):
            s, t = self._coupling(i, mask * u, mask)
            u = u * tf.exp(s) + t
        return u

    def log_prob(self, codes: tf.Tensor) -> tf.Tensor:
        """log p(z) of codes `[B, H_dim]`: `[B]`, nats."""
        u, log_det = self.to_noise(self.whitened(codes))
        return -gaussian.gaussian_nll(u, tf.zeros_like(u), 0.0) + log_det - self.log_scale()

    def update(self, codes: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        del step
        with tf.GradientTape() as tape:
            nll = -self.log_prob(codes)
            loss = self.loss_scale() * nll
        return {"nll": nll, **self.minimise(tape, loss)}

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        return self.coloured(self.from_noise(streams.normals_of(seeds, self.latent_dim, "sample/code")))
