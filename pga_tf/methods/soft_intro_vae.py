"""Soft-IntroVAE and IntroVAE: a VAE whose encoder is the critic of what its decoder makes.

Papers: Daniel and Tamar, Soft-IntroVAE: Analyzing and Improving the Introspective Variational Autoencoder, CVPR 2021;
Huang et al., IntroVAE: Introspective Variational Autoencoders for Photographic Image Synthesis, NeurIPS 2018, which is
`--critic_loss=hinge`.
Symbols: encoder f (phi), decoder g (theta), z = mu(x) + sigma(x) eps, x_r = g(z), x_p = g(z_n), z_n ~ N(0, I); x'
either of the two, held, and x'' = g(mu(x') + sigma(x') eps'); KL(.) of f's posterior from N(0, I); s = 1 / (H W C).
Algorithm: two updates in turn. The encoder raises the bound of data and tells made images from it,
  soft   L_E = s (b_rec |x - x_r|^2 + b_kl KL(x)) + 1/4 sum over x' of exp(-2 s (b_rec |x' - x''|^2 + b_neg KL(x')))
  hinge  L_E = w_rec |x - x_r|^2 + w_kl (KL(x) + w_neg / 2 sum over x' of [m - KL(x')]_+);
then the decoder makes images that the new encoder takes for data,
  soft   L_D = s (b_rec |x - x_r|^2 + b_kl / 2 (KL(x_r) + KL(x_p)) + gamma_r b_rec / 2 sum over x' of |x' - x''|^2)
  hinge  L_D = w_rec |x - x_r|^2 + w_kl / 2 (KL(x_r) + KL(x_p)).
The first `vae_steps` steps are those of a plain VAE (`--num_vae`, epochs in the released code of both).
Deviations: images in [0, 1] come out of a sigmoid; the released networks end in a linear layer. The hinge is of the
batch's mean KL, as released, and over all replicas; its losses are trained times s, with Adam's epsilon in the same
units. Codes of made images are "perturbed" to a decoder's batch norm.
"""

import math
import typing

import tensorflow as tf

from pga_tf.core import routing
from pga_tf.core.players import Player
from pga_tf.methods import posteriors
from pga_tf.methods.method import Autoencoder, Roles
from pga_tf.networks import Decoder, Encoder
from pga_tf.objectives import gaussian, introspection
from pga_tf.settings.methods.pixels import PIXEL_RANGES
from pga_tf.settings.methods.soft_intro_vae import SoftIntroVAEOptions

if typing.TYPE_CHECKING:
    import tensorflow_probability as tfp

MADE = ("reconstructions", "samples")
SETTLED = 1_000  # steps after which explosions are told
EXPLODED = 100.0  # times the margin; in training that holds, kl_samples stays near the margin or below
UNJUDGED = 20_000  # steps, as many as the 50 epochs of MNIST before which the released Soft-IntroVAE does not stop
LEAST_GAP = -1.0  # nats, below which it does; half the KL of data besides, for a few batches are no epoch


class SoftIntroVAE(Autoencoder):
    """Images in [0, 1] or [-1, 1] by `pixel_range`. Interfaces: Encodes, Decodes, HasPosterior.

    Args:
      networks: `encoder`, images `[B, H, W, C]` to (mean, stddev) of codes, `[B, H_dim]` each; `decoder`, codes `[B,
        H_dim]` to images `[B, H, W, C]`, sigmoid or tanh by `pixel_range`.
      named: options, fields of `SoftIntroVAEOptions`. What else there is: `KerasDoor`.
    """

    Options = SoftIntroVAEOptions
    PLAYERS = (Player("encoder", ("encoder",)), Player("decoder", ("decoder",)))
    STATISTICS = {"data": "data", "prior": "prior"}
    LOSSES = ("L_E", "L_D", "L_rec", "kl_data", "kl_samples")
    REPORTED = ("kl_reconstructions", "kl_gap", "L_made")
    TOTAL = "L_E"

    @staticmethod
    def roles(options: SoftIntroVAEOptions) -> Roles:
        return {"encoder": Encoder(stochastic=True), "decoder": Decoder(output=PIXEL_RANGES[options.pixel_range][1])}

    @staticmethod
    def training_range(options: SoftIntroVAEOptions) -> tuple[float, float]:
        return PIXEL_RANGES[options.pixel_range][0]

    @property
    def soft(self) -> bool:
        """Whether made images are told apart by exp(2 ELBO), and not by the hinge."""
        return self.options.critic_loss == "soft"

    def scale(self) -> float:
        """s."""
        return 1.0 / math.prod(self.image_shape)

    def loss_scale(self) -> float:
        return 1.0 if self.soft else self.scale()  # the soft losses are published with s in them

    def adversarial(self, step: tf.Tensor) -> tf.Tensor:
        """1 where the encoder is a critic, 0 in the steps of a plain VAE."""
        return tf.cast(step >= self.options.vae_steps, tf.float32)

    def draw(self, moments: tuple, step: tf.Tensor, *substeps: int) -> tf.Tensor:
        """mu + sigma eps for (mean, stddev), `[n B, H_dim]` each, with noise of n sub-steps, one for each segment."""
        mean, stddev = moments
        shape = [tf.shape(mean)[0] // len(substeps), self.latent_dim]
        eps = tf.concat([self.normal(shape, "posterior", step, k) for k in substeps], axis=0)
        return mean + stddev * eps

    def encoder_terms(self, x: tf.Tensor, z_n: tf.Tensor, step: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """L_E and what it is made of, `[B]` each, which train phi alone; and z, `[B, H_dim]`.

        Args:
          x: images `[B, H, W, C]` in `image_range`. z_n: draws of the prior, `[B, H_dim]`.
        """
        o, g = self.options, routing.held(self.decoder)  # gradients pass through g into z
        moments = self.encoder(x, training=True)
        z = self.draw(moments, step, 0)
        images = g(tf.concat([z, z_n], axis=0), sources=("data", "prior"), training=True)
        l_rec, kl = introspection.squared_distance(x, tf.split(images, 2)[0]), _kl(moments)

        made = tf.stop_gradient(images)  # f shall tell them apart, not move z so that they can be
        made_moments = self.encoder(made, sources=MADE, training=True)
        kls = tf.split(_kl(made_moments), 2)
        if self.soft:
            again = g(self.draw(made_moments, step, 1, 2), sources=("perturbed", "perturbed"), training=True)
            weights = {"scale": self.scale(), "weight_rec": o.weight_rec, "weight_neg": o.weight_neg}
            errors = tf.split(introspection.squared_distance(made, again), 2)
            l_made = 0.25 * sum(introspection.exp_elbo(e, k, **weights) for e, k in zip(errors, kls, strict=True))
            bound = self.scale() * (o.weight_rec * l_rec + o.weight_kl * kl)
        else:
            hinges = sum(introspection.mean_hinge(k, o.hinge_margin) for k in kls)
            l_made = o.weight_kl * o.weight_neg / 2.0 * hinges
            bound = o.weight_rec * l_rec + o.weight_kl * kl
        l_e = bound + self.adversarial(step) * l_made
        named = {"kl_data": kl, "kl_reconstructions": kls[0], "kl_samples": kls[1], "kl_gap": kls[1] - kl}
        return {"L_E": l_e, "L_rec": l_rec, "L_made": l_made, **named}, z

    def decoder_terms(self, x: tf.Tensor, z: tf.Tensor, z_n: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_D, `[B]`, which trains theta alone; `z` of the encoder before its update, all else as `encoder_terms`."""
        o, f = self.options, routing.held(self.encoder)
        codes = tf.concat([tf.stop_gradient(z), z_n], axis=0)
        images = self.decoder(codes, sources=("data", "prior"), training=True)
        l_rec = introspection.squared_distance(x, tf.split(images, 2)[0])
        moments = f(images, sources=MADE, training=True)
        l_made = o.weight_kl / 2.0 * sum(tf.split(_kl(moments), 2))
        if self.soft:
            held = tf.stop_gradient(self.draw(moments, step, 3, 4))
            again = self.decoder(held, sources=("perturbed", "perturbed"), training=True)
            errors = tf.split(introspection.squared_distance(tf.stop_gradient(images), again), 2)
            l_made += o.weight_made_rec * o.weight_rec / 2.0 * sum(errors)
        l_d = o.weight_rec * l_rec + self.adversarial(step) * l_made
        return {"L_D": self.scale() * l_d if self.soft else l_d}

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        z_n = self.normal([tf.shape(images)[0], self.latent_dim], "prior", step)
        with tf.GradientTape() as tape:
            losses, z = self.encoder_terms(images, z_n, step)
            loss = self.loss_scale() * losses["L_E"]
        norms = self.minimise(tape, loss, "encoder")
        with tf.GradientTape() as tape:
            losses |= self.decoder_terms(images, z, z_n, step)
            loss = self.loss_scale() * losses["L_D"]
        return {**losses, **norms, **self.minimise(tape, loss, "decoder")}

    def collapse(self, values: dict[str, float], step: int) -> str | None:
        o, gone, kl = self.options, step - self.options.vae_steps, values["kl_samples"]
        if self.soft and gone > UNJUDGED and values["kl_gap"] < LEAST_GAP and kl < values["kl_data"] / 2.0:
            told = (
                f"kl_samples, {kl:.3g}, lies below kl_data, {values['kl_data']:.3g}: the encoder takes samples for data"
            )
            return f"{told}. Remedy: lower --weight_neg"
        if not self.soft and gone > SETTLED and kl > EXPLODED * o.hinge_margin:
            told = f"kl_samples is {kl:.3g}, far above --hinge_margin={o.hinge_margin:g}, from where none comes back"
            return f"{told}. Remedy: raise --vae_steps, lower --weight_neg, or use --critic_loss=soft, without a margin"
        return None

    def encode(self, images: tf.Tensor, source: str = "data") -> tf.Tensor:
        del source
        return self.encoder(images)[0]

    def posterior(self, images: tf.Tensor) -> "tfp.distributions.Distribution":
        """q(z|x) of images `[B, H, W, C]` in `image_range`: a TFP distribution of batch `[B]` and event `[H_dim]`."""
        return posteriors.diagonal_gaussian(*self.encoder(images))

    def diagnostics(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return posteriors.diagnostics(self.posterior(images))


def _kl(moments):
    """KL(N(mean, diag stddev^2) || N(0, I)), `[B]`, nats."""
    return tf.reduce_sum(gaussian.kl_standard_normal(*moments), axis=1)
