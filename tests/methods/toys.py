"""A method that only the tests register: what the frame must carry and no shipped method has yet.

`toy_moments` only decodes, and trains its prior's map.
"""

import dataclasses

import tensorflow as tf

from pga_tf import methods
from pga_tf.core import replicas
from pga_tf.core.options import option
from pga_tf.core.players import Player
from pga_tf.methods.method import Method
from pga_tf.networks import Decoder, Mapping


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


methods.register("toy_moments", ToyMoments)
