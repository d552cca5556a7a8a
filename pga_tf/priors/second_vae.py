"""The second stage of the two-stage VAE: a VAE on codes. Interface: Samples.

Paper: Dai and Wipf, Diagnosing and Enhancing VAE Models, ICLR 2019, section 4.
Algorithm: codes z ~ q(z|x), drawn afresh for every step, are the data of a second VAE with its own learned gamma and
the same latent size; to sample, u ~ N(0, I), z = g2(u) + gamma_z * noise.
Deviations: the bound is divided by the number of dimensions, which changes no minimum. The weight decay that the paper
names for both stages is `--prior_weight_decay`, decoupled from Adam.
"""

import dataclasses

import keras
import tensorflow as tf

from pga_tf.core import replicas, updates
from pga_tf.core.options import option, validate
from pga_tf.objectives import gaussian
from pga_tf.priors import draws
from pga_tf.priors.mlp import MLP

LOG_GAMMA_LIMIT = 10.0  # of |log gamma|: exp(20) is far from float32's limits
SMALLEST_STDDEV = 1e-6


@dataclasses.dataclass(frozen=True)
class SecondVAEOptions:
    """Defaults are the published settings."""

    second_width: int = option(1024, "width of the second stage's hidden layers", unit="units", minimum=1)
    second_depth: int = option(3, "hidden layers of the second stage", unit="layers", minimum=1)


class SecondVAE(keras.Model):
    """A VAE over codes `[H_dim]`, trained by steps on batches of codes."""

    Options = SecondVAEOptions
    FIT = "steps"
    KEEPS_BEST = False  # the last one is used
    OPTIMIZERS = {"optimizer": ("encoder", "decoder")}
    LOSSES = ("nll", "kl")

    def __init__(self, latent_dim, options=None, *, seed=0):
        super().__init__(name="second_vae")
        self.options, self.latent_dim, self.seed = validate(options or SecondVAEOptions()), latent_dim, seed
        shape = {"width": self.options.second_width, "depth": self.options.second_depth, "join": True}
        self.encoder = MLP(latent_dim, 2 * latent_dim, name="second_encoder", **shape)
        self.decoder = MLP(latent_dim, latent_dim, name="second_decoder", **shape)
        self.log_gamma = self.add_weight(name="log_gamma", shape=(), initializer="zeros")
        self.meters = updates.meters([*self.LOSSES, "gamma", *updates.gradient_names(self.networks())])
        self.codes_of = lambda batch, step: batch  # what fitting replaces by the autoencoder's encoder
        self.momentum = 0.9  # of Adam: Keras's default, as the released code has it
        self.rates = {}  # of optimisers beside --prior_learning_rate
        self.built = True
        self.sample = draws.sampler(self._draw)

    def networks(self):
        return {
            "encoder": self.encoder.trainable_variables,
            "decoder": [*self.decoder.trainable_variables, self.log_gamma],
        }

    def state(self):
        variables = [*self.networks()["encoder"], *self.networks()["decoder"]]
        return {f"{i}/{v.path}": v for i, v in enumerate(variables)}

    def _gamma(self):
        return tf.clip_by_value(tf.convert_to_tensor(self.log_gamma), -LOG_GAMMA_LIMIT, LOG_GAMMA_LIMIT)

    def posterior(self, codes):
        """q(u|z): mean and standard deviation, `[B, H_dim]` each."""
        mean, spread = tf.split(self.encoder(codes), 2, axis=1)
        return mean, tf.nn.softplus(spread) + SMALLEST_STDDEV

    def terms(self, codes, eps):
        """The two sides of the bound for codes `[B, H_dim]`, given noise of that shape: `[B]` each, nats."""
        mean, stddev = self.posterior(codes)
        nll = gaussian.gaussian_nll(codes, self.decoder(mean + stddev * eps), self._gamma())
        return {"nll": nll, "kl": tf.reduce_sum(gaussian.kl_standard_normal(mean, stddev), axis=1)}

    def train_step(self, batch):
        step = tf.identity(self.optimizer.iterations.value)
        codes = tf.stop_gradient(self.codes_of(batch, step))
        eps = replicas.normal([tf.shape(codes)[0], self.latent_dim], seed=self.seed, step=step, stream=1)
        with tf.GradientTape() as tape:
            losses = self.terms(codes, eps)
            total = replicas.mean_loss((losses["nll"] + losses["kl"]) / self.latent_dim)
        norms = updates.minimise(total, tape=tape, optimizer=self.optimizer, networks=self.networks())
        return updates.record(self.meters, {**losses, "gamma": tf.exp(self._gamma()), **norms})

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        u, noise = (draws.normals(seeds, self.latent_dim, stream) for stream in (0, 1))
        return self.decoder(u) + tf.exp(self._gamma()) * noise
