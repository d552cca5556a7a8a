"""Two methods that only the tests register: what the frame must carry and no shipped method has yet.

`toy_moments` only decodes, and trains its prior's map. `toy_wgan_gp` has no encoder either; its critic steps five
times, each on images of its own and under a gradient penalty, before the generator steps against the last critic.
"""

import dataclasses

import tensorflow as tf

from pga_tf import methods
from pga_tf.core import replicas
from pga_tf.core.options import option
from pga_tf.core.players import Player
from pga_tf.methods.method import Method
from pga_tf.networks import Critic, Decoder, Mapping
from pga_tf.objectives import adversarial, penalties


@dataclasses.dataclass(frozen=True)
class ToyMomentsOptions:
    toy_width: int = option(8, "width of the map", unit="units", minimum=1)


class ToyMoments(Method):
    """L = |mean(x) - mean(g(m(u)))|^2 + |mean(x^2) - mean(g(m(u))^2)|^2, over the global batch."""

    Options = ToyMomentsOptions
    PLAYERS = (Player("generator", ("mapping", "decoder")),)
    PRIOR = "own"
    LOSSES = ("L_moments",)

    @staticmethod
    def roles(options):
        return {"mapping": Mapping(width=options.toy_width, depth=1), "decoder": Decoder(output="tanh")}

    def map_noise(self, noise):
        return self.mapping(noise)

    def update(self, images, step):
        u = self.normal([tf.shape(images)[0], self.latent_dim], "prior", step)
        with tf.GradientTape() as tape:
            y = self.decoder(self.mapping(u, training=True), sources=("prior",), training=True)
            gaps = [replicas.batch_mean(images**k) - replicas.batch_mean(y**k) for k in (1, 2)]
            loss = tf.repeat(sum(tf.reduce_sum(tf.square(gap)) for gap in gaps), tf.shape(images)[0])
        return {"L_moments": loss, "loss": loss, **self.minimise(tape, loss)}


@dataclasses.dataclass(frozen=True)
class ToyWGANGPOptions:
    critic_updates: int = option(5, "updates of the critic in a step", unit="updates", minimum=1)
    critic_learning_rate: float = option(0.01, "of the critic", unit="factor", above=0.0)
    critic_beta_1: float = option(0.5, "of the critic", unit="factor", minimum=0.0, maximum=0.9999)


class ToyWGANGP(Method):
    """L_C = T(y) - T(x) + 0.1 (|grad T| - 1)^2, five times, then L_G = -T(y) against the new critic."""

    Options = ToyWGANGPOptions
    PRIOR = "uniform"
    LOSSES = ("L_C", "L_G")
    REPORTED = ("penalty",)
    TOTAL = "L_G"

    @classmethod
    def players(cls, options):
        return (
            Player("critic", ("critic",), updates=options.critic_updates, fresh=True),
            Player("generator", ("decoder",)),
        )

    @staticmethod
    def roles(options):
        return {"decoder": Decoder(output="tanh"), "critic": Critic(norm="layer")}

    def _noise(self, count, step, k):
        return 2.0 * self.uniform([count, self.latent_dim], "prior", step, k) - 1.0

    def update(self, batches, step):
        if not isinstance(batches, list):
            batches = [batches]
        count, judge = tf.shape(batches[0])[0], lambda images: self.critic(images)[:, 0]
        for k, x in enumerate(batches):
            y = tf.stop_gradient(self.decoder(self._noise(count, step, k), sources=("prior",), training=True))
            shares = self.uniform([count], "penalty", step, k)
            with tf.GradientTape() as tape:
                penalty = penalties.wgan_gp(judge, x, y, shares)
                l_c = adversarial.critic_loss("wasserstein", judge(x), judge(y))
                loss = l_c + 0.1 * penalty  # a toy at the rate of the tests
            norms = self.minimise(tape, loss, "critic")
        with tf.GradientTape() as tape:
            y = self.decoder(self._noise(count, step, len(batches)), sources=("prior",), training=True)
            l_g = adversarial.generator_loss("wasserstein", judge(y))
        norms |= self.minimise(tape, l_g, "generator")
        return {"L_C": l_c, "L_G": l_g, "penalty": penalty, **norms}


methods.register("toy_moments", ToyMoments)
methods.register("toy_wgan_gp", ToyWGANGP)
