"""VPGA: the perceptual generative autoencoder trained by variational inference.

Paper: Zhang et al., Perceptual Generative Autoencoders, ICML 2020, section 3.3.
Algorithm: L_vpga = L_r + a L_lr,N + b L_lr,H + eta (L_vr + L_vkl), Eq. 13. L_vkl trains the encoder alone; L_vr the
decoder, and the encoder through sigma_phi(x) only.
Deviations: batch norm as in lpga.py; L_vr and L_vkl carry a weight each, as in the authors' settings, where
the paper's text has one eta and a tuned sigma. Every loss is a mean over its dimensions, so that the published
coefficients apply.
"""

import dataclasses

import keras
import tensorflow as tf

from pga_tf.core import replicas, updates
from pga_tf.core.options import option
from pga_tf.methods import assembly, perceptual, posteriors
from pga_tf.objectives import gaussian, pga


@dataclasses.dataclass(frozen=True)
class VPGAOptions:
    """Defaults are the published MNIST settings."""

    weight_lr_n: float = option(6e-2, "a: weight of L_lr,N", unit="factor", source="Eq. 4", minimum=0.0)
    weight_lr_h: float = option(0.0, "b: weight of L_lr,H", unit="factor", source="Eq. 4", minimum=0.0)
    weight_vr: float = option(1e-2, "weight of L_vr", unit="factor", source="Eqs. 12, 13", minimum=0.0)
    weight_vkl: float = option(2e-2, "eta: weight of L_vkl", unit="factor", source="Eqs. 12, 13", minimum=0.0)
    warmup_steps: int = option(0, "steps that train L_r alone", unit="steps", minimum=0)


class VPGA(keras.Model):
    """Images in [-1, 1]. Interfaces: Encodes, Decodes, HasPosterior."""

    Options = VPGAOptions
    OPTIMIZERS = {"optimizer": ("encoder", "decoder")}
    DECODES_AS = "prior"  # whose batch-norm statistics samples are decoded with
    NEEDS_PRIOR = False  # N(0, I) is one
    LOSSES = ("L_r", "L_lr_N", "L_lr_H", "L_vr", "L_vkl")

    @staticmethod
    def requirements(options):
        """What the networks must be, and the pixel range that they train in."""
        return assembly.Requirements(image_range=(-1.0, 1.0), output="tanh", stochastic=True)

    def __init__(self, encoder, decoder, options, *, latent_dim, seed):
        super().__init__(name="vpga")
        assembly.assemble(self, encoder, decoder, options, latent_dim=latent_dim, seed=seed, extra_meters=["loss"])

    def networks(self):
        return {"encoder": self.encoder.trainable_variables, "decoder": self.decoder.trainable_variables}

    def terms(self, x):
        """Every loss of Eq. 13 for images `[B, H, W, C]` in [-1, 1]: dict of `[B]`, means over dimensions."""
        o, pixels, dim = self.options, x.shape[1] * x.shape[2] * x.shape[3], self.latent_dim
        # z' = sg(mu) + sigma_phi(x) * eps: the encoder is trained through sigma alone.
        p = perceptual.forward(self, x, perturb=lambda eps, stddev: stddev * eps, with_l_lr_h=o.weight_lr_h > 0)
        # sigma is proportional to the norm of z, so that shrinking all codes gains nothing.
        sigma = tf.stop_gradient(tf.sqrt(replicas.batch_mean(tf.square(p.z))))
        return {
            "L_r": pga.published_scale(pixels) * p.l_r,
            "L_lr_N": pga.published_scale(dim) * pga.latent_reconstruction(p.z_n, p.h_n),
            "L_lr_H": pga.published_scale(dim) * pga.latent_reconstruction(tf.stop_gradient(p.z), p.h_data),
            "L_vr": pga.published_scale(dim) * pga.variational_reconstruction(p.h, p.h_pert, sigma),
            "L_vkl": tf.reduce_mean(gaussian.kl_standard_normal(p.z, p.stddev), axis=1),
        }

    def train_step(self, images):
        o = self.options
        on = tf.cast(self.optimizer.iterations >= o.warmup_steps, tf.float32)
        with tf.GradientTape() as tape:
            losses = self.terms(images)
            l_lr = o.weight_lr_n * losses["L_lr_N"] + o.weight_lr_h * losses["L_lr_H"]
            l_vae = o.weight_vr * losses["L_vr"] + o.weight_vkl * losses["L_vkl"]
            loss = losses["L_r"] + on * (l_lr + l_vae)
            total = replicas.mean_loss(loss)
        norms = updates.minimise(total, tape=tape, optimizer=self.optimizer, networks=self.networks())
        return updates.record(self.meters, {**losses, "loss": loss, **norms})

    def encode(self, images, source="data"):
        return self.encoder(images, sources=(source,))[0]

    def posterior(self, images):
        return posteriors.diagonal_gaussian(*self.encoder(images))

    def decode(self, codes, source="prior"):
        return self.decoder(codes, sources=(source,))

    def diagnostics(self, images):
        return posteriors.diagnostics(self.posterior(images))
