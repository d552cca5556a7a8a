"""LVPGA: maximum likelihood and variational inference unified.

Paper: Zhang et al., Perceptual Generative Autoencoders, ICML 2020, section 3.5.
Algorithm: L_lvpga = L_r + a L_lr,N + b L_lr,H + g' L_vr + g L_nll^phi + eta L_vkl, Eq. 16, where L_vr is the
log-ratio of Eq. 7 with delta' ~ N(0, diag sigma_phi^2(x)), sigma_phi > eps, and |delta'| constant in the
denominator. It is the likelihood of Eq. 15 with H scaled by g'.
Deviations: batch norm as in lpga.py; the constraint is met smoothly, sigma_phi = sqrt(s^2 + eps^2) with s the encoder's
output. Every loss is a mean over its dimensions, so that the published coefficients apply, and L_r trains alone for
the first `warmup_steps` steps, as in the authors' settings.
"""

import dataclasses

import keras
import tensorflow as tf

from pga_tf.core import replicas, updates
from pga_tf.core.options import option
from pga_tf.methods import assembly, perceptual, posteriors
from pga_tf.objectives import gaussian, pga


@dataclasses.dataclass(frozen=True)
class LVPGAOptions:
    """Defaults are the published MNIST settings."""

    weight_lr_n: float = option(6e-2, "a: weight of L_lr,N", unit="factor", source="Eq. 4", minimum=0.0)
    weight_lr_h: float = option(0.0, "b: weight of L_lr,H", unit="factor", source="Eq. 4", minimum=0.0)
    weight_vr: float = option(2e-2, "g': weight of L_vr", unit="factor", source="Eq. 16", minimum=0.0)
    weight_nll: float = option(0.0, "g: weight of L_nll^phi", unit="factor", source="Eq. 16", minimum=0.0)
    weight_vkl: float = option(2e-2, "eta: weight of L_vkl", unit="factor", source="Eq. 16", minimum=0.0)
    perturbation_scale: float = option(
        1e-2, "eps: lower bound of sigma_phi", unit="latent units", source="section 3.5", above=0.0
    )
    warmup_steps: int = option(3000, "steps that train L_r alone", unit="steps", minimum=0)


class LVPGA(keras.Model):
    """Images in [-1, 1]. Interfaces: Encodes, Decodes, HasPosterior."""

    Options = LVPGAOptions
    OPTIMIZERS = {"optimizer": ("encoder", "decoder")}
    DECODES_AS = "prior"  # whose batch-norm statistics samples are decoded with
    NEEDS_PRIOR = False  # N(0, I) is one
    LOSSES = ("L_r", "L_lr_N", "L_lr_H", "L_vr", "L_nll_phi", "L_vkl")

    @staticmethod
    def requirements(options):
        """What the networks must be, and the pixel range that they train in."""
        return assembly.Requirements(image_range=(-1.0, 1.0), output="tanh", stochastic=True)

    def __init__(self, encoder, decoder, options, *, latent_dim, seed):
        super().__init__(name="lvpga")
        assembly.assemble(self, encoder, decoder, options, latent_dim=latent_dim, seed=seed, extra_meters=["loss"])

    def networks(self):
        return {"encoder": self.encoder.trainable_variables, "decoder": self.decoder.trainable_variables}

    def _bounded(self, stddev):
        return tf.sqrt(tf.square(stddev) + self.options.perturbation_scale**2)

    def terms(self, x):
        """Every loss of Eq. 16 for images `[B, H, W, C]` in [-1, 1]: dict of `[B]`, means over dimensions."""
        o, pixels, dim = self.options, x.shape[1] * x.shape[2] * x.shape[3], self.latent_dim
        # delta' = sigma_phi(x) * eps: the encoder is trained through sigma alone.
        p = perceptual.forward(self, x, perturb=lambda eps, s: self._bounded(s) * eps, with_l_lr_h=o.weight_lr_h > 0)
        return {
            "L_r": pga.published_scale(pixels) * p.l_r,
            "L_lr_N": pga.published_scale(dim) * pga.latent_reconstruction(p.z_n, p.h_n),
            "L_lr_H": pga.published_scale(dim) * pga.latent_reconstruction(tf.stop_gradient(p.z), p.h_data),
            # |delta'| is constant in the denominator: else sigma would cancel and train nothing.
            "L_vr": pga.volume_nll(p.h_pert, p.h, tf.stop_gradient(p.delta)) / dim,
            "L_nll_phi": pga.code_nll(p.z) / dim + 0.5 * gaussian.LOG_2_PI,
            "L_vkl": tf.reduce_mean(gaussian.kl_standard_normal(p.z, self._bounded(p.stddev)), axis=1),
        }

    def train_step(self, images):
        o = self.options
        on = tf.cast(self.optimizer.iterations >= o.warmup_steps, tf.float32)
        with tf.GradientTape() as tape:
            losses = self.terms(images)
            l_lr = o.weight_lr_n * losses["L_lr_N"] + o.weight_lr_h * losses["L_lr_H"]
            l_nll = o.weight_vr * losses["L_vr"] + o.weight_nll * losses["L_nll_phi"]
            loss = losses["L_r"] + on * (l_lr + l_nll + o.weight_vkl * losses["L_vkl"])
            total = replicas.mean_loss(loss)
        norms = updates.minimise(total, tape=tape, optimizer=self.optimizer, networks=self.networks())
        return updates.record(self.meters, {**losses, "loss": loss, **norms})

    def encode(self, images, source="data"):
        return self.encoder(images, sources=(source,))[0]

    def posterior(self, images):
        mean, stddev = self.encoder(images)
        return posteriors.diagonal_gaussian(mean, self._bounded(stddev))

    def decode(self, codes, source="prior"):
        return self.decoder(codes, sources=(source,))

    def diagnostics(self, images):
        return posteriors.diagnostics(self.posterior(images))
