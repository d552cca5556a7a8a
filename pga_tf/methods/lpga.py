"""LPGA: the perceptual generative autoencoder trained by maximum likelihood.

Paper: Zhang et al., Perceptual Generative Autoencoders, ICML 2020, section 3.2.
Algorithm: L_lpga = L_r + a L_lr,N + b L_lr,H + g (L_nll^phi + L_nll^theta), Eq. 9, where L_lr and L_nll^phi
train the encoder alone and L_nll^theta the decoder alone.
Deviations: batch norm may keep statistics for each source of input, where the paper samples in training mode. As in the
authors' settings every loss is a mean over its dimensions, so that the published coefficients apply, and L_r trains
alone for the first `warmup_steps` steps.
"""

import tensorflow as tf

from pga_tf.methods import jacobian
from pga_tf.methods.method import Roles
from pga_tf.methods.perceptual import Perceptual
from pga_tf.networks import Decoder, Encoder
from pga_tf.objectives import gaussian, pga
from pga_tf.settings.methods.lpga import LPGAOptions


class LPGA(Perceptual):
    """Trained by the maximum likelihood of codes, Eq. 9; images in [-1, 1]. Interfaces: Encodes, Decodes.

    Args:
      networks: `encoder`, images `[B, H, W, C]` to codes `[B, H_dim]`; `decoder`, codes `[B, H_dim]` to images `[B,
        H, W, C]`, tanh.
      named: options, fields of `LPGAOptions`. What else there is: `KerasDoor`.
    """

    Options = LPGAOptions
    LOSSES = ("L_r", "L_lr_N", "L_lr_H", "L_nll_phi", "L_nll_theta")

    @staticmethod
    def roles(options: LPGAOptions) -> Roles:
        return {"encoder": Encoder(), "decoder": Decoder(output="tanh")}

    def terms(self, x: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """Every loss of Eq. 9 for images `[B, H, W, C]` in [-1, 1]: dict of `[B]`, means over dimensions."""
        o, dim = self.options, self.latent_dim
        p = self.passes(x, step, perturb=lambda eps, _: pga.perturbation(eps, o.perturbation_scale, o.perturbation))
        return self.reconstruction_losses(x, p) | {
            "L_nll_phi": pga.code_nll(p.z) / dim + 0.5 * gaussian.LOG_2_PI,
            "L_nll_theta": pga.volume_nll(p.h_pert, p.h, p.delta) / dim,
        }

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            losses = self.terms(images, step)
            l_nll = losses["L_nll_phi"] + losses["L_nll_theta"]
            rest = self.l_lr(losses) + self.options.weight_nll * l_nll
            loss = self.total(losses, rest, step)
        return {**losses, "loss": loss, **self.minimise(tape, loss)}

    def diagnostics(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Theorem 1, and Proposition 1 at data codes: the bound on log|det dh/dz| in nats, exact for small latents."""
        scale, kind = self.options.perturbation_scale, self.options.perturbation
        codes = self.encode(images)
        values = {"log_det_bound": jacobian.log_det_bound(self, codes, scale=scale, kind=kind)}
        if self.latent_dim <= jacobian.LARGEST_EXACT:
            values["log_det_exact"] = jacobian.log_det_exact(self, codes[:8])
        return super().diagnostics(images) | values
