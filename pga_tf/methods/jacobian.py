"""Diagnostics of h = f o g, the map of codes to codes that a perceptual generative autoencoder trains.

Proposition 1 (Zhang et al., ICML 2020): as |delta| -> 0, log|det dh/dz| <= E_delta[L_nll^theta], with equality
where h is a multiple of the identity.
"""

import tensorflow as tf

from pga_tf.core import streams
from pga_tf.methods.perceptual import Perceptual
from pga_tf.objectives import pga

LARGEST_EXACT = 32  # latent dimensions


RECODED = {"data": "reconstructions", "prior": "samples"}  # what the encoder meets when codes of a source come back


def h(model: Perceptual, codes: tf.Tensor, source: str = "data") -> tf.Tensor:
    """h(z) for codes `[B, H_dim]` of a source, "data" or "prior", with the statistics that inference uses for them."""
    return model.encode(model.decode(codes, source=source), source=RECODED[source])


def log_det_bound(model: Perceptual, codes: tf.Tensor, *, scale: float, kind: str, draws: int = 8) -> tf.Tensor:
    """Monte Carlo estimate of E_delta[L_nll^theta], Eq. 7, at each code: `[B, H_dim]` to `[B]`, in nats.

    `scale` and `kind` are those of `pga.perturbation`; the noise is fixed, so that values compare from step to step.
    """
    codes = tf.repeat(codes, draws, axis=0)
    shape = [tf.shape(codes)[0], codes.shape[1]]
    eps = streams.normal(shape, "diagnostics/perturbation", seed=0, step=0)
    delta = pga.perturbation(eps, scale, kind)
    values = pga.volume_nll(h(model, codes + delta), h(model, codes), delta)
    return tf.reduce_mean(tf.reshape(values, [-1, draws]), axis=1)


def log_det_exact(model: Perceptual, codes: tf.Tensor) -> tf.Tensor:
    """log|det dh/dz| at each code by the full Jacobian: `[B, H_dim]` to `[B]`, in nats.

    It runs `H_dim` backward passes for each code at once: keep to `LARGEST_EXACT` dimensions and a few codes.
    """
    with tf.GradientTape() as tape:
        tape.watch(codes)
        mapped = h(model, codes)
    jacobian = tape.batch_jacobian(mapped, codes)
    return tf.linalg.slogdet(jacobian).log_abs_determinant
