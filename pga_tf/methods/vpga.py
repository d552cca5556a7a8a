"""VPGA: the perceptual generative autoencoder trained by variational inference.

Paper: Zhang et al., Perceptual Generative Autoencoders, ICML 2020, section 3.3.
Algorithm: L_vpga = L_r + a L_lr,N + b L_lr,H + eta (L_vr + L_vkl), Eq. 13. L_vkl trains the encoder alone; L_vr the
decoder, and the encoder through sigma_phi(x) only.
Deviations: batch norm as in lpga.py; L_vr and L_vkl carry a weight each, as in the authors' settings, where
the paper's text has one eta and a tuned sigma. Every loss is a mean over its dimensions, so that the published
coefficients apply.
"""

import typing

import tensorflow as tf

from pga_tf.core import replicas
from pga_tf.methods import posteriors
from pga_tf.methods.method import Roles
from pga_tf.methods.perceptual import Perceptual
from pga_tf.networks import Decoder, Encoder
from pga_tf.objectives import gaussian, pga
from pga_tf.settings.methods.vpga import VPGAOptions

if typing.TYPE_CHECKING:
    import tensorflow_probability as tfp


class VPGA(Perceptual):
    """Trained by variational inference, Eq. 13; images in [-1, 1]. Interfaces: Encodes, Decodes, HasPosterior.

    Args:
      networks: `encoder`, images `[B, H, W, C]` to (mean, stddev) of codes, `[B, H_dim]` each; `decoder`, codes `[B,
        H_dim]` to images `[B, H, W, C]`, tanh.
      named: options, fields of `VPGAOptions`. What else there is: `KerasDoor`.
    """

    Options = VPGAOptions
    LOSSES = ("L_r", "L_lr_N", "L_lr_H", "L_vr", "L_vkl")

    @staticmethod
    def roles(options: VPGAOptions) -> Roles:
        return {"encoder": Encoder(stochastic=True), "decoder": Decoder(output="tanh")}

    def terms(self, x: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """Every loss of Eq. 13 for images `[B, H, W, C]` in [-1, 1]: dict of `[B]`, means over dimensions."""
        # z' = sg(mu) + sigma_phi(x) * eps: the encoder is trained through sigma alone.
        p = self.passes(x, step, perturb=lambda eps, stddev: stddev * eps)
        # sigma is proportional to the norm of z, so that shrinking all codes gains nothing.
        norm = tf.stop_gradient(tf.sqrt(replicas.batch_mean(tf.square(p.z))))
        sigma = norm if self.options.vr_scale == "norm" else self.options.vr_sigma
        l_vr = pga.variational_reconstruction(p.h, p.h_pert, sigma)
        return self.reconstruction_losses(x, p) | {
            "L_vr": pga.published_scale(self.latent_dim) * l_vr,
            "L_vkl": tf.reduce_mean(gaussian.kl_standard_normal(p.z, p.stddev), axis=1),
        }

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        o = self.options
        with tf.GradientTape() as tape:
            losses = self.terms(images, step)
            l_vae = o.weight_vr * losses["L_vr"] + o.weight_vkl * losses["L_vkl"]
            loss = self.total(losses, self.l_lr(losses) + l_vae, step)
        return {**losses, "loss": loss, **self.minimise(tape, loss)}

    def posterior(self, images: tf.Tensor) -> "tfp.distributions.Distribution":
        """q(z|x) of images `[B, H, W, C]` in `image_range`: a TFP distribution of batch `[B]` and event `[H_dim]`."""
        return posteriors.diagonal_gaussian(*self.encoder(images))

    def diagnostics(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return super().diagnostics(images) | posteriors.diagnostics(self.posterior(images))
