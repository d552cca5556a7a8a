"""GAN: a generator of images from noise, trained against a critic of images.

Papers: Goodfellow et al., 2014 (`--loss=minimax`, `non_saturating`); Mao et al., 2017 (`least_squares`); Arjovsky et
al., 2017 (`wasserstein --penalty=clip`); Gulrajani et al., 2017 (`wasserstein --penalty=wgan_gp`); Kodali et al., 2017
(`non_saturating --penalty=dragan`); Miyato et al., 2018 (`hinge --critic_norm=spectral`); Mescheder et al., 2018
(`--penalty=r1`). The first six as Lucic et al., Are GANs Created Equal?, 2018, compare them (compare_gan, version 1).
Algorithm: critic_updates times L_C + lambda * penalty for the critic, on fresh x and y = G(u); then L_G for the
generator against the new critic. The losses are those of objectives/adversarial.py.
Deviations: u is fresh in every update, where compare_gan reuses the critic's for all but WGAN-GP. No batch norm in a
critic under a gradient penalty, which needs the slope of each image by itself; compare_gan has it in DRAGAN's. Slopes
of 0 are moved off it by 1e-4, as there. DRAGAN penalises D = sigmoid(T), as there, where its own paper has T.
"""

import tensorflow as tf

from pga_tf.core import routing
from pga_tf.methods.adversarial import Adversarial
from pga_tf.methods.method import Roles
from pga_tf.networks import Critic, Decoder
from pga_tf.objectives import adversarial, penalties
from pga_tf.settings.methods.gan import OF_SLOPES, GANOptions
from pga_tf.settings.methods.pixels import PIXEL_RANGES


class GAN(Adversarial):
    """A generator and a critic of its images, without an encoder. Interfaces: Decodes.

    Args:
      networks: `decoder`, the generator, noise `[B, H_dim]` to images `[B, H, W, C]`, sigmoid or tanh by `pixel_range`;
        `critic`, images to logits `[B, 1]`.
      named: options, fields of `GANOptions`. What else there is: `KerasDoor`.
    """

    Options = GANOptions
    LOSSES = ("L_C", "L_G")
    REPORTED = ("penalty", "T_real", "T_generated")

    @staticmethod
    def roles(options: GANOptions) -> Roles:
        norm = "none" if options.critic_norm == "spectral" else options.critic_norm
        return {
            "decoder": Decoder(output=PIXEL_RANGES[options.pixel_range][1]),
            "critic": Critic(norm=norm, spectral=options.critic_norm == "spectral"),
        }

    def judge(self, images: tf.Tensor, source: str = "data") -> tf.Tensor:
        """T of images `[B, H, W, C]` in the training range, as inference has it: `[B]`."""
        return self.critic(images, sources=(source,))[:, 0]

    def critic_loss(
        self, x: tf.Tensor, y: tf.Tensor, step: tf.Tensor, substep: int
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        # One call: the power iteration of spectral norm moves once an update, and no batch statistic is over both.
        judged = self.critic(tf.concat([x, y], axis=0), sources=("data", "generated"), training=True)
        t_real, t_generated = tf.split(judged[:, 0], 2)
        l_c = adversarial.critic_loss(self.options.loss, t_real, t_generated)
        penalty = self._penalty(x, y, step, substep)
        shown = {"L_C": l_c, "penalty": penalty, "T_real": t_real, "T_generated": t_generated}
        return l_c + self.options.weight_penalty * penalty, shown

    def _penalty(self, x, y, step, substep):
        """The penalty on the critic's slopes, `[B]`; 0 where there is none."""
        kind, count = self.options.penalty, tf.shape(x)[0]
        if kind == "r1":
            return penalties.r1(self.judge, x)
        if kind not in OF_SLOPES:
            return tf.zeros([count])
        shares = self.uniform([count], "penalty", step, substep)
        if kind == "wgan_gp":
            return penalties.wgan_gp(self.judge, x, y, shares)
        around = self.uniform([count, *x.shape[1:]], "penalty/around", step, substep)
        return penalties.dragan(lambda images: tf.sigmoid(self.judge(images)), x, around, shares)

    def after_critic(self, shown: dict[str, tf.Tensor]) -> None:
        if self.options.penalty == "clip":
            for variable in self.critic.trainable_variables:  # scales and shifts of norms among them
                variable.assign(tf.clip_by_value(variable.value, -self.options.clip, self.options.clip))

    def generator_loss(self, y: tf.Tensor) -> tf.Tensor:
        # Batch norm goes by the batch here too; the power iteration moves in the critic's own updates alone.
        training = self.options.critic_norm != "spectral"
        judged = routing.held(self.critic)(y, sources=("generated",), training=training)
        return adversarial.generator_loss(self.options.loss, judged[:, 0])

    def diagnostics(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """T of held-out and of generated images, and the critic's slopes halfway between these.

        T of held-out images far below `T_real` of the training images says that the critic knows those by heart; the
        largest slope, `lipschitz`, is a lower bound of its Lipschitz constant.
        """
        y = self.looked_at(images.shape[0])
        slopes = tf.sqrt(penalties.r1(self.judge, 0.5 * (images + y)))
        return {
            "T_held_out": self.judge(images),
            "T_generated": self.judge(y, "generated"),
            "critic_slope": slopes,
            "lipschitz": tf.reduce_max(slopes),
        }
