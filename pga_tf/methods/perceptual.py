"""The forward passes that every perceptual generative autoencoder shares, with the paper's gradient routing.

Paper: Zhang et al., Perceptual Generative Autoencoders, ICML 2020, Figure 1. Symbols: encoder f (parameters
phi), decoder g (theta), h = f o g, z = f(x), z_n ~ N(0, I), z_pert = z + delta.

Seven passes of a network half serve all losses: f(x), g(z), g(z_n), f(g(z_n)), g(z_pert), and f with its
parameters held on g(z) and g(z_pert). L_lr,H, where its weight is not zero, needs an eighth.
"""

import dataclasses

import tensorflow as tf

from pga_tf.core import replicas, routing
from pga_tf.objectives import pga


@dataclasses.dataclass
class Passes:
    """What the losses are made of. Codes are `[B, H_dim]`; the comment says whom a loss on the tensor trains."""

    z: tf.Tensor  # f(x): phi
    stddev: tf.Tensor | None  # sigma_phi(x) of a stochastic encoder: phi
    delta: tf.Tensor  # z_pert - z: whatever `perturb` lets through
    h: tf.Tensor  # h(z), f and z held: theta
    h_pert: tf.Tensor  # h(z_pert), f held: theta, and phi through delta
    z_n: tf.Tensor  # prior noise: nothing
    h_n: tf.Tensor  # h(z_n), g held: phi
    h_data: tf.Tensor  # h(z), g and z held: phi; without a weight on L_lr,H the value alone: nothing
    l_r: tf.Tensor  # Eq. 1, `[B]`: phi and theta


def forward(model, x, *, perturb, with_l_lr_h):
    """Runs the passes for images `x` `[B, H, W, C]`.

    Args:
      model: has `encoder`, `decoder`, `seed`, `latent_dim` and a built `optimizer` whose iterations count steps.
      perturb: function of (noise `[B, H_dim]` from N(0, 1), stddev or None) to delta `[B, H_dim]`.
      with_l_lr_h: whether to spend a pass on an `h_data` that trains phi, as L_lr,H alone needs.

    Returns:
      `Passes`.
    """
    f, g = model.encoder, model.decoder
    step = tf.identity(model.optimizer.iterations.value)  # read once: the optimiser moves it within this step
    shape = [tf.shape(x)[0], model.latent_dim]
    z_n = replicas.normal(shape, seed=model.seed, step=step, stream=0)
    eps = replicas.normal(shape, seed=model.seed, step=step, stream=1)

    # f on data and on samples in one call. L_lr must not train g (Theorem 1), so the samples are held.
    x_n = tf.stop_gradient(g(z_n, sources=("prior",), training=True))
    codes = f(tf.concat([x, x_n], axis=0), sources=("data", "samples"), training=True)
    mean, stddev = codes if isinstance(codes, tuple) else (codes, None)
    z, h_n = tf.split(mean, 2)
    if stddev is not None:
        stddev, _ = tf.split(stddev, 2)

    # g(z) serves L_r, which trains f through z, and h(z), which must not: g runs on a held z, and L_r's
    # gradient at that z is carried over to f.
    z_held = tf.stop_gradient(z)
    with tf.GradientTape() as decoding:
        decoding.watch(z_held)
        x_hat = g(z_held, sources=("data",), training=True)
        l_r = pga.reconstruction(x, x_hat)
    l_r += routing.carry(decoding.gradient(l_r, z_held), z)

    # f is held under L_nll^theta and L_vr: trained by them, it would learn to ignore what delta changes.
    delta = perturb(eps, stddev)
    x_pert = g(z_held + delta, sources=("perturbed",), training=True)
    pair = tf.concat([x_hat, x_pert], axis=0)
    codes = routing.held(f)(pair, sources=("reconstructions", "perturbed"), training=True)
    h, h_pert = tf.split(codes[0] if isinstance(codes, tuple) else codes, 2)

    if with_l_lr_h:
        # A second pass on reconstructions: under batch norm their running statistics move twice in such a step.
        codes = f(tf.stop_gradient(x_hat), sources=("reconstructions",), training=True)
        h_data = codes[0] if isinstance(codes, tuple) else codes
    else:
        h_data = tf.stop_gradient(h)
    return Passes(z, stddev, delta, h, h_pert, z_n, h_n, h_data, l_r)
