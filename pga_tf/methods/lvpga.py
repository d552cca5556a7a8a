"""LVPGA: maximum likelihood and variational inference unified.

Paper: Zhang et al., Perceptual Generative Autoencoders, ICML 2020, section 3.5.
Algorithm: L_lvpga = L_r + a L_lr,N + b L_lr,H + g' L_vr + g L_nll^phi + eta L_vkl, Eq. 16, where L_vr is the
log-ratio of Eq. 7 with delta' ~ N(0, diag sigma_phi^2(x)), sigma_phi > eps, and |delta'| constant in the
denominator. It is the likelihood of Eq. 15 with H scaled by g'.
As released: the constraint is met by the perturbation alone, delta' = (sigma_phi(x) + eps) * noise; L_vkl and the
posterior have sigma_phi. Every loss is a mean over its dimensions, so that the published coefficients apply, and L_r
trains alone for the first `warmup_steps` steps.
Deviation: batch norm as in lpga.py.
"""

import typing

import tensorflow as tf

from pga_tf.methods import posteriors
from pga_tf.methods.method import Roles
from pga_tf.methods.perceptual import Perceptual
from pga_tf.networks import Decoder, Encoder
from pga_tf.objectives import gaussian, pga, reciprocal
from pga_tf.settings.methods.lvpga import LVPGAOptions

if typing.TYPE_CHECKING:
    import tensorflow_probability as tfp


class LVPGA(Perceptual):
    """Trained by both, Eq. 16; images in [-1, 1]. Interfaces: Encodes, Decodes, HasPosterior.

    Args:
      networks: `encoder`, images `[B, H, W, C]` to (mean, stddev) of codes, `[B, H_dim]` each; `decoder`, codes `[B,
        H_dim]` to images `[B, H, W, C]`, tanh.
      named: options, fields of `LVPGAOptions`. What else there is: `KerasDoor`.
    """

    Options = LVPGAOptions
    LOSSES = ("L_r", "L_lr_N", "L_lr_H", "L_vr", "L_nll_phi", "L_vkl")

    @staticmethod
    def roles(options: LVPGAOptions) -> Roles:
        return {"encoder": Encoder(stochastic=True), "decoder": Decoder(output="tanh")}

    def terms(self, x: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """Every loss of Eq. 16 for images `[B, H, W, C]` in [-1, 1]: dict of `[B]`, means over dimensions."""
        # The encoder is trained through sigma_phi alone.
        p = self.passes(x, step, perturb=lambda noise, stddev: (stddev + self.options.perturbation_scale) * noise)
        return self.reconstruction_losses(x, p) | {
            # |delta'| is constant in the denominator: else sigma would cancel and train nothing.
            "L_vr": reciprocal.volume_nll(p.h_pert, p.h, tf.stop_gradient(p.delta)) / self.latent_dim,
            "L_nll_phi": pga.code_nll(p.z) / self.latent_dim + 0.5 * gaussian.LOG_2_PI,
            "L_vkl": tf.reduce_mean(gaussian.kl_standard_normal(p.z, p.stddev), axis=1),
        }

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        o = self.options
        with tf.GradientTape() as tape:
            losses = self.terms(images, step)
            l_nll = o.weight_vr * losses["L_vr"] + o.weight_nll * losses["L_nll_phi"]
            rest = self.l_lr(losses) + l_nll + o.weight_vkl * losses["L_vkl"]
            loss = self.total(losses, rest, step)
        return {**losses, "loss": loss, **self.minimise(tape, loss)}

    def posterior(self, images: tf.Tensor) -> "tfp.distributions.Distribution":
        """q(z|x) of images `[B, H, W, C]` in `image_range`: a TFP distribution of batch `[B]` and event `[H_dim]`."""
        return posteriors.diagonal_gaussian(*self.encoder(images))

    def diagnostics(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return super().diagnostics(images) | posteriors.diagnostics(self.posterior(images))
