"""An adversarial map from N(0, I) to codes. Interface: Samples.

Paper: Geng et al., Generative Model without Prior Distribution Matching, 2020, section 3.2.
Algorithm: generator m and critic D on codes with the hinge loss,
L_D = relu(1 - D(E(x))) + relu(1 + D(m(u))), L_m = -D(m(u)), u ~ N(0, I), Eqs. 12-13; sample x = g(m(u)).
Deviations: the paper prints no networks and no settings for this stage; they are options here. The defaults are those
of SAGAN (Zhang et al., 2019), from which the paper has its loss: a spectrally normalised critic and Adam without
momentum, four times as fast for the critic. With neither, the map of 256-dimensional codes collapsed (docs/results.md).
Of the generators met, the one is kept whose codes have the smallest MMD to held-out codes: an adversarial pair need not
end at its best.
"""

import dataclasses

import keras
import tensorflow as tf

from pga_tf.core import replicas, tfgan, updates
from pga_tf.core.options import option, validate
from pga_tf.priors import draws
from pga_tf.priors.mlp import MLP


@dataclasses.dataclass(frozen=True)
class LatentMapOptions:
    map_width: int = option(256, "width of generator and critic", unit="units", minimum=1)
    map_depth: int = option(3, "hidden layers of generator and critic", unit="layers", minimum=1)
    map_critic_norm: str = option("spectral", "of the critic's kernels", source="SN-GAN", choices=("spectral", "none"))
    map_momentum: float = option(0.0, "first-moment decay of Adam for both", unit="factor", minimum=0.0, maximum=0.9999)
    map_critic_rate: float = option(
        4.0, "learning rate of the critic over that of the generator", unit="factor", source="SAGAN", above=0.0
    )


class LatentMap(keras.Model):
    """Generator and critic over codes `[H_dim]`, trained by steps on batches of codes."""

    Options = LatentMapOptions
    FIT = "steps"
    KEEPS_BEST = True  # of the generators met, the one whose codes have the smallest MMD to held-out codes
    OPTIMIZERS = {"critic_optimizer": ("critic",), "optimizer": ("generator",)}
    LOSSES = ("L_D", "L_m")

    def __init__(self, latent_dim, options=None, *, seed=0):
        super().__init__(name="latent_map")
        self.options, self.latent_dim, self.seed = validate(options or LatentMapOptions()), latent_dim, seed
        shape = {"width": self.options.map_width, "depth": self.options.map_depth, "join": False}
        self.generator = MLP(latent_dim, latent_dim, name="map_generator", **shape)
        self.critic = MLP(
            latent_dim, 1, name="map_critic", spectral=self.options.map_critic_norm == "spectral", **shape
        )
        self.meters = updates.meters([*self.LOSSES, *updates.gradient_names(self.networks())])
        self.codes_of = lambda batch, step: batch  # what fitting replaces by the autoencoder's encoder
        self.momentum = self.options.map_momentum
        self.rates = {"critic_optimizer": self.options.map_critic_rate}
        self.built = True
        self.sample = draws.sampler(self._draw)

    def compile(self, optimizer, critic_optimizer, **kwargs):
        super().compile(optimizer=optimizer, **kwargs)
        self.critic_optimizer = critic_optimizer

    def networks(self):
        return {"critic": self.critic.trainable_variables, "generator": self.generator.trainable_variables}

    def state(self):
        return {f"{i}/{v.path}": v for i, v in enumerate(self.generator.trainable_variables)}

    def critic_loss(self, codes, mapped):
        """Eq. 12: `[B]` each side, to `[B]`. It moves the power iteration of a spectral critic."""
        real, generated = tf.split(self.critic(tf.concat([codes, mapped], axis=0), training=True), 2)
        none = tf.compat.v1.losses.Reduction.NONE
        loss = tfgan.losses().wasserstein_hinge_discriminator_loss(
            real, generated, reduction=none, loss_collection=None
        )
        return loss[:, 0]

    def generator_loss(self, mapped):
        """Eq. 13: `[B]`."""
        none = tf.compat.v1.losses.Reduction.NONE
        return tfgan.losses().wasserstein_hinge_generator_loss(
            self.critic(mapped), reduction=none, loss_collection=None
        )[:, 0]

    def train_step(self, batch):
        step = tf.identity(self.optimizer.iterations.value)
        codes = tf.stop_gradient(self.codes_of(batch, step))
        u, v = (
            replicas.normal([tf.shape(codes)[0], self.latent_dim], seed=self.seed, step=step, stream=stream)
            for stream in (1, 2)
        )
        networks = self.networks()
        mapped = tf.stop_gradient(self.generator(u))  # Eq. 12 trains the critic alone
        with tf.GradientTape() as tape:
            l_d = self.critic_loss(codes, mapped)
            total = replicas.mean_loss(l_d)
        norms = updates.minimise(
            total, tape=tape, optimizer=self.critic_optimizer, networks={"critic": networks["critic"]}
        )
        with tf.GradientTape() as tape:
            l_m = self.generator_loss(self.generator(v))
            total = replicas.mean_loss(l_m)
        norms |= updates.minimise(
            total, tape=tape, optimizer=self.optimizer, networks={"generator": networks["generator"]}
        )
        return updates.record(self.meters, {"L_D": l_d, "L_m": l_m, **norms})

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        return self.generator(draws.normals(seeds, self.latent_dim))
