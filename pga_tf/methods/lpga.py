"""LPGA: the perceptual generative autoencoder trained by maximum likelihood.

Paper: Zhang et al., Perceptual Generative Autoencoders, ICML 2020, section 3.2.
Algorithm: L_lpga = L_r + a L_lr,N + b L_lr,H + g (L_nll^phi + L_nll^theta), Eq. 9, where L_lr and L_nll^phi
train the encoder alone and L_nll^theta the decoder alone.
Deviations: batch norm may keep statistics for each source of input, where the paper samples in training mode. As in the
authors' settings every loss is a mean over its dimensions, so that the published coefficients apply, and L_r trains
alone for the first `warmup_steps` steps.
"""

import dataclasses

import keras
import tensorflow as tf

from pga_tf.core import replicas, updates
from pga_tf.core.options import option
from pga_tf.methods import assembly, latent_map, perceptual
from pga_tf.objectives import gaussian, pga


@dataclasses.dataclass(frozen=True)
class LPGAOptions:
    """Defaults are the published MNIST settings."""

    weight_lr_n: float = option(6e-2, "a: weight of L_lr,N", unit="factor", source="Eq. 4", minimum=0.0)
    weight_lr_h: float = option(0.0, "b: weight of L_lr,H", unit="factor", source="Eq. 4", minimum=0.0)
    weight_nll: float = option(1.5e-2, "g: weight of L_nll", unit="factor", source="Eq. 9", minimum=0.0)
    perturbation: str = option("sphere", "S(eps), the law of delta", source="Eq. 7", choices=("sphere", "gaussian"))
    perturbation_scale: float = option(
        1e-2, "eps: size of delta", unit="root mean square per latent dimension", source="Eq. 7", above=0.0
    )
    warmup_steps: int = option(3000, "steps that train L_r alone", unit="steps", minimum=0)


class LPGA(keras.Model):
    """Images in [-1, 1]. Interfaces: Encodes, Decodes."""

    Options = LPGAOptions
    OPTIMIZERS = {"optimizer": ("encoder", "decoder")}
    DECODES_AS = "prior"  # whose batch-norm statistics samples are decoded with
    NEEDS_PRIOR = False  # N(0, I) is one
    LOSSES = ("L_r", "L_lr_N", "L_lr_H", "L_nll_phi", "L_nll_theta")

    @staticmethod
    def requirements(options):
        """What the networks must be, and the pixel range that they train in."""
        return assembly.Requirements(image_range=(-1.0, 1.0), output="tanh")

    def __init__(self, encoder, decoder, options, *, latent_dim, seed):
        super().__init__(name="lpga")
        assembly.assemble(self, encoder, decoder, options, latent_dim=latent_dim, seed=seed, extra_meters=["loss"])

    def networks(self):
        return {"encoder": self.encoder.trainable_variables, "decoder": self.decoder.trainable_variables}

    def terms(self, x):
        """Every loss of Eq. 9 for images `[B, H, W, C]` in [-1, 1]: dict of `[B]`, means over dimensions."""
        o, pixels, dim = self.options, x.shape[1] * x.shape[2] * x.shape[3], self.latent_dim
        p = perceptual.forward(
            self,
            x,
            perturb=lambda eps, _: pga.perturbation(eps, o.perturbation_scale, o.perturbation),
            with_l_lr_h=o.weight_lr_h > 0,
        )
        return {
            "L_r": pga.published_scale(pixels) * p.l_r,
            "L_lr_N": pga.published_scale(dim) * pga.latent_reconstruction(p.z_n, p.h_n),
            "L_lr_H": pga.published_scale(dim) * pga.latent_reconstruction(tf.stop_gradient(p.z), p.h_data),
            "L_nll_phi": pga.code_nll(p.z) / dim + 0.5 * gaussian.LOG_2_PI,
            "L_nll_theta": pga.volume_nll(p.h_pert, p.h, p.delta) / dim,
        }

    def train_step(self, images):
        o = self.options
        on = tf.cast(self.optimizer.iterations >= o.warmup_steps, tf.float32)
        with tf.GradientTape() as tape:
            losses = self.terms(images)
            l_lr = o.weight_lr_n * losses["L_lr_N"] + o.weight_lr_h * losses["L_lr_H"]
            l_nll = losses["L_nll_phi"] + losses["L_nll_theta"]
            loss = losses["L_r"] + on * (l_lr + o.weight_nll * l_nll)
            total = replicas.mean_loss(loss)
        norms = updates.minimise(total, tape=tape, optimizer=self.optimizer, networks=self.networks())
        return updates.record(self.meters, {**losses, "loss": loss, **norms})

    def encode(self, images, source="data"):
        return self.encoder(images, sources=(source,))

    def decode(self, codes, source="prior"):
        return self.decoder(codes, sources=(source,))

    def diagnostics(self, images):
        """Proposition 1 at data codes: the bound on log|det dh/dz| in nats, and for small latents its exact value."""
        scale, kind = self.options.perturbation_scale, self.options.perturbation
        codes = self.encode(images)
        values = {"log_det_bound": latent_map.log_det_bound(self, codes, scale=scale, kind=kind)}
        if self.latent_dim <= latent_map.LARGEST_EXACT:
            values["log_det_exact"] = latent_map.log_det_exact(self, codes[:8])
        return values
