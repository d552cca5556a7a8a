"""What every perceptual generative autoencoder shares: the forward passes with the paper's gradient routing.

Paper: Zhang et al., Perceptual Generative Autoencoders, ICML 2020, Figure 1. Symbols: encoder f (parameters
phi), decoder g (theta), h = f o g, z = f(x), z_n ~ N(0, I), z_pert = z + delta.

Seven passes of a network half serve all losses: f(x), g(z), g(z_n), f(g(z_n)), g(z_pert), and f with its
parameters held on g(z) and g(z_pert). L_lr,H, where its weight is not zero, needs an eighth.
"""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from pga_tf.core import routing, streams
from pga_tf.methods.method import Autoencoder
from pga_tf.objectives import matching, pga
from pga_tf.settings.methods.perceptual import PerceptualOptions


@dataclasses.dataclass
class Passes:
    """What the losses are made of. Codes are `[B, H_dim]`; the comment says whom a loss on the tensor trains."""

    z: tf.Tensor  # f(x): phi
    stddev: tf.Tensor | None  # sigma_phi(x) of a stochastic encoder: phi
    delta: tf.Tensor | None  # z_pert - z: whatever `perturb` lets through
    h: tf.Tensor  # h(z), f and z held: theta
    h_pert: tf.Tensor | None  # h(z_pert), f held: theta, and phi through delta
    z_n: tf.Tensor  # prior noise: nothing
    x_n: tf.Tensor  # g(z_n): theta
    h_n: tf.Tensor  # h(z_n), g held: phi
    h_data: tf.Tensor  # h(z), g and z held: phi; without a weight on L_lr,H the value alone: nothing
    l_r: tf.Tensor  # Eq. 1, `[B]`: phi and theta


class Perceptual(Autoencoder):
    """Images in [-1, 1]. Codes of data and of N(0, I) are decoded by statistics of their own."""

    SMALL_DIFFERENCES = True  # h(z + delta) - h(z)
    STATISTICS = {"data": "data", "prior": "prior"}

    def encode(self, images: tf.Tensor, source: str = "data") -> tf.Tensor:
        """Images `[B, H, W, C]` of a source out of `ENCODER_SOURCES` to codes, means of posteriors: `[B, H_dim]`."""
        return _mean(self.encoder(images, sources=(source,)))

    def passes(self, x: tf.Tensor, step: tf.Tensor, *, perturb: Callable | None) -> Passes:
        """Runs the passes for images `x` `[B, H, W, C]`: `Passes`.

        `perturb`: function of (noise `[B, H_dim]` from N(0, 1), stddev or None) to delta `[B, H_dim]`; None for none,
        which saves its passes.
        """
        shape = [tf.shape(x)[0], self.latent_dim]
        z_n = self.normal(shape, "prior", step)
        eps = self.normal(shape, "perturbation", step) if perturb else None
        return forward(self.encoder, self.decoder, x, z_n, eps, perturb=perturb, options=self.options)

    def reconstruction_losses(self, x: tf.Tensor, p: Passes) -> dict[str, tf.Tensor]:
        """L_r, L_lr,N and L_lr,H of Eqs. 1-3, means over dimensions: dict of `[B]`."""
        pixels, dim = x.shape[1:].num_elements(), self.latent_dim
        return {
            "L_r": pga.published_scale(pixels) * p.l_r,
            "L_lr_N": pga.published_scale(dim) * pga.latent_reconstruction(p.z_n, p.h_n),
            "L_lr_H": pga.published_scale(dim) * pga.latent_reconstruction(tf.stop_gradient(p.z), p.h_data),
        }

    def l_lr(self, losses: dict[str, tf.Tensor]) -> tf.Tensor:
        """a L_lr,N + b L_lr,H, Eq. 4: `[B]`."""
        return self.options.weight_lr_n * losses["L_lr_N"] + self.options.weight_lr_h * losses["L_lr_H"]

    def diagnostics(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """What Theorem 1 is about, as squared MMDs of a batch (`matching.imq_mmd`, in units of one kernel).

        `mmd_codes`: f(x) against N(0, I); `mmd_mapped`: h(z_n) against h(f(x)), which the theorem asks to be 0. Of
        one image alone there is nothing to tell.
        """
        if images.shape[0] == 1:
            return {}
        codes = self.encode(images)
        z_n = streams.normal([tf.shape(codes)[0], self.latent_dim], "diagnostics/prior", seed=0, step=0)
        h_data = self.encode(self.decode(codes, "data"), "reconstructions")
        h_n = self.encode(self.decode(z_n, "prior"), "samples")
        pairs = {"mmd_codes": (codes, z_n), "mmd_mapped": (h_n, h_data)}
        kernels = len(matching.IMQ_SCALES)
        return {name: tf.reduce_mean(matching.imq_mmd(*pair)) / kernels for name, pair in pairs.items()}

    def total(self, losses: dict[str, tf.Tensor], rest: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """L_r in the warm-up, L_r + `rest` after it: `[B]`."""
        weight = self.options.weight_reconstruction
        if not weight:
            return rest
        l_r = losses["L_r"] if weight == 1.0 else weight * losses["L_r"]
        return l_r + tf.cast(step >= self.options.warmup_steps, tf.float32) * rest


def forward(
    f: keras.layers.Layer,
    g: keras.layers.Layer,
    x: tf.Tensor,
    z_n: tf.Tensor,
    eps: tf.Tensor | None,
    *,
    perturb: Callable | None,
    options: PerceptualOptions,
) -> Passes:
    """The passes of encoder `f` and decoder `g` on images `x` `[B, H, W, C]`: `Passes`.

    Args:
      z_n, eps: noise `[B, H_dim]` from N(0, 1), eps for `perturb` alone. perturb: as in `Perceptual.passes`.
      options: weights, without which a pass is saved, and ablations.
    """
    # f on data and on samples in one call. L_lr must not train g (Theorem 1), so the samples are held.
    held_for_l_lr = tf.stop_gradient if options.lr_trains == "encoder" else tf.identity
    x_n = g(z_n, sources=("prior",), training=True)
    codes = f(tf.concat([x, held_for_l_lr(x_n)], axis=0), sources=("data", "samples"), training=True)
    z, h_n = tf.split(_mean(codes), 2)
    stddev = tf.split(codes[1], 2)[0] if isinstance(codes, tuple) else None

    # g(z) serves L_r, which trains f through z, and h(z), which must not: g runs on a held z, and L_r's
    # gradient at that z is carried over to f.
    routed = options.nll_trains == "decoder"
    z_held = tf.stop_gradient(z) if routed else z
    with tf.GradientTape() as decoding:
        decoding.watch(z_held)
        x_hat = g(z_held, sources=("data",), training=True)
        l_r = pga.reconstruction(x, x_hat, options.pixel_loss)
    if routed:
        l_r += routing.carry(decoding.gradient(l_r, z_held), z)

    # f is held under L_nll^theta and L_vr: trained by them, it would learn to ignore what delta changes.
    f_held = routing.held(f) if routed else f
    delta = h_pert = None
    if perturb is None:
        h = _mean(f_held(x_hat, sources=("reconstructions",), training=True))
    else:
        delta = perturb(eps, stddev)
        x_pert = g(z_held + delta, sources=("perturbed",), training=True)
        pair = tf.concat([x_hat, x_pert], axis=0)
        codes = f_held(pair, sources=("reconstructions", "perturbed"), training=True)
        h, h_pert = tf.split(_mean(codes), 2)

    if options.weight_lr_h:
        # A second pass on reconstructions: under batch norm their running statistics move twice in such a step.
        h_data = _mean(f(held_for_l_lr(x_hat), sources=("reconstructions",), training=True))
    else:
        h_data = tf.stop_gradient(h)
    return Passes(z, stddev, delta, h, h_pert, z_n, x_n, h_n, h_data, l_r)


def _mean(codes):
    return codes[0] if isinstance(codes, tuple) else codes
