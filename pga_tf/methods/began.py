"""BEGAN: a generator trained against an autoencoder, which is its critic.

Paper: Berthelot et al., BEGAN: Boundary Equilibrium Generative Adversarial Networks, 2017, section 3.4; the numbers of
the two-stage VAE's table are those of Lucic et al., 2018 (compare_gan, version 1).
Algorithm: with L(v) = |v - AE(v)| per pixel, x real and y = G(u), the critic AE descends on L(x) - k L(y), the
generator on L(y), and after each update of the critic k += lambda (gamma L(x) - L(y)), from k = 0.
Deviations: the paper keeps k in [0, 1], as `clip_balance` does; compare_gan does not. k moves by the errors that the
critic was just updated on, where compare_gan measures them anew. u is fresh in every update.
"""

import tensorflow as tf

from pga_tf.core import replicas, routing
from pga_tf.methods.adversarial import Adversarial
from pga_tf.methods.method import Roles
from pga_tf.networks import Critic, Decoder
from pga_tf.settings.methods.began import BEGANOptions
from pga_tf.settings.methods.pixels import PIXEL_RANGES


class BEGAN(Adversarial):
    """A generator and an autoencoder of images that judges it by its errors. Interfaces: Decodes.

    Args:
      networks: `decoder`, the generator, noise `[B, H_dim]` to images `[B, H, W, C]`, sigmoid or tanh by `pixel_range`;
        `critic`, images to images of the same range.
      named: options, fields of `BEGANOptions`. What else there is: `KerasDoor`.
    """

    Options = BEGANOptions
    LOSSES = ("L_real", "L_generated", "L_G")
    REPORTED = ("measure", "k")
    TOTAL = "measure"

    @staticmethod
    def roles(options: BEGANOptions) -> Roles:
        output = PIXEL_RANGES[options.pixel_range][1]
        return {"decoder": Decoder(output=output), "critic": Critic(output=output)}

    def add_own_weights(self) -> None:
        self.balance = self.add_weight(
            name="balance", shape=(), initializer="zeros", trainable=False, aggregation="only_first_replica"
        )

    def critic_loss(
        self, x: tf.Tensor, y: tf.Tensor, step: tf.Tensor, substep: int
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        del step, substep  # nothing is drawn
        images = tf.concat([x, y], axis=0)
        restored = self.critic(images, sources=("data", "generated"), training=True)
        l_real, l_generated = tf.split(_error(images, restored), 2)
        k = tf.identity(self.balance.value)  # as it is before it moves
        gap = self._gap(l_real, l_generated)
        measure = replicas.batch_mean(l_real) + tf.abs(gap)
        shown = {"L_real": l_real, "L_generated": l_generated, "measure": measure, "k": k}
        return l_real - k * l_generated, shown

    def _gap(self, l_real, l_generated):
        """gamma L(x) - L(y) over the global batch."""
        return replicas.batch_mean(self.options.diversity * l_real - l_generated)

    def after_critic(self, shown: dict[str, tf.Tensor]) -> None:
        k = shown["k"] + self.options.balance_rate * self._gap(shown["L_real"], shown["L_generated"])
        self.balance.assign(tf.clip_by_value(k, 0.0, 1.0) if self.options.clip_balance else k)

    def generator_loss(self, y: tf.Tensor) -> tf.Tensor:
        return _error(y, routing.held(self.critic)(y, sources=("generated",), training=True))

    def diagnostics(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """L of held-out and of generated images; L of held-out ones above `L_real` says that AE overfits."""
        y = self.looked_at(images.shape[0])
        return {
            "L_held_out": _error(images, self.critic(images, sources=("data",))),
            "L_generated": _error(y, self.critic(y, sources=("generated",))),
        }


def _error(images, restored):
    """|v - AE(v)| `[B]`, a mean over pixels and channels."""
    return tf.reduce_mean(tf.abs(images - restored), axis=list(range(1, images.shape.rank)))
