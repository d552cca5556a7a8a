"""The second stage of the two-stage VAE: a VAE on codes. Interface: Samples.

Paper: Dai and Wipf, Diagnosing and Enhancing VAE Models, ICLR 2019, section 4.
Algorithm: codes z ~ q(z|x), drawn afresh for every step, are the data of a second VAE with its own learned gamma and
the same latent size; to sample, u ~ N(0, I), z = g2(u) + gamma_z * noise. As released, the standard deviation of the
posterior is the exponential of the encoder's second half, and so starts near 1.
Deviations: the bound is divided by the number of dimensions, and Adam's epsilon with it, which changes no step. The
weight decay that the paper names for both stages is `--prior_weight_decay`, decoupled from Adam.
"""

import keras
import tensorflow as tf

from pga_tf import networks
from pga_tf.core import streams
from pga_tf.core.players import Player
from pga_tf.core.stepwise import Stepwise
from pga_tf.networks import Mapping
from pga_tf.objectives import gaussian
from pga_tf.priors import draws
from pga_tf.settings.priors import SecondVAEOptions

LOG_GAMMA_LIMIT = 10.0  # of |log gamma|: exp(20) is far from float32's limits
LOG_STDDEV_LIMIT = 20.0  # squares of exp(20) and of its inverse are finite


class SecondVAE(Stepwise):
    """A VAE over codes `[H_dim]`, trained by steps on batches of codes."""

    Options = SecondVAEOptions
    FIT = "steps"
    DECODED_AS = "data"
    KEEPS_BEST = False  # the last one is used
    PLAYERS = (Player("second", ("encoder", "decoder")),)
    LOSSES = ("nll", "kl")
    TOTAL = None
    REPORTED = ("gamma",)

    def __init__(self, latent_dim: int, options: SecondVAEOptions | None = None, *, seed: int = 0):
        options = options or SecondVAEOptions()
        shape = {"width": options.second_width, "depth": options.second_depth, "join": True}
        roles = {"encoder": Mapping(outputs=2, **shape), "decoder": Mapping(**shape)}
        made = networks.build_all(roles, networks.NetworkOptions(latent_dim=latent_dim), None)
        super().__init__(made, options, latent_dim=latent_dim, seed=seed)
        self.sample = draws.sampler(self._draw)

    def add_own_weights(self) -> None:
        self.log_gamma = self.add_weight(name="log_gamma", shape=(), initializer="zeros")

    def networks(self) -> dict[str, list[keras.Variable]]:
        networks = super().networks()
        networks["decoder"].append(self.log_gamma)
        return networks

    def state(self) -> dict[str, keras.Variable]:
        """The variables that sampling needs, by name."""
        return {f"{i}/{v.path}": v for i, v in enumerate(self.trained_by(self.PLAYERS[0]))}

    def loss_scale(self) -> float:
        return 1.0 / self.latent_dim

    def _gamma(self):
        return tf.clip_by_value(tf.convert_to_tensor(self.log_gamma), -LOG_GAMMA_LIMIT, LOG_GAMMA_LIMIT)

    def posterior(self, codes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """q(u|z): mean and standard deviation, `[B, H_dim]` each."""
        mean, log_stddev = tf.split(self.encoder(codes), 2, axis=1)
        return mean, tf.exp(tf.clip_by_value(log_stddev, -LOG_STDDEV_LIMIT, LOG_STDDEV_LIMIT))

    def terms(self, codes: tf.Tensor, eps: tf.Tensor) -> dict[str, tf.Tensor]:
        """The two sides of the bound for codes `[B, H_dim]`, given noise of that shape: `[B]` each, nats."""
        mean, stddev = self.posterior(codes)
        nll = gaussian.gaussian_nll(codes, self.decoder(mean + stddev * eps), self._gamma())
        return {"nll": nll, "kl": tf.reduce_sum(gaussian.kl_standard_normal(mean, stddev), axis=1)}

    def update(self, codes: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        eps = self.normal([tf.shape(codes)[0], self.latent_dim], "fit/posterior", step)
        with tf.GradientTape() as tape:
            losses = self.terms(codes, eps)
            loss = self.loss_scale() * (losses["nll"] + losses["kl"])
        return {**losses, "gamma": tf.exp(self._gamma()), **self.minimise(tape, loss)}

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        u, noise = (streams.normals_of(seeds, self.latent_dim, use) for use in ("sample/code", "sample/noise"))
        return self.decoder(u) + tf.exp(self._gamma()) * noise
