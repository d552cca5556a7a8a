"""The laws that codes of a method may follow by training, drawn sample by sample."""

import math

import tensorflow as tf

from pga_tf.core import checks, streams

LAWS = ("normal", "uniform", "sphere")


def draw(law: str, seeds: tf.Tensor, dimensions: int) -> tf.Tensor:
    """Codes `[B, dimensions]`, float32, of N(0, I), U(-1, 1) or uniform on the sphere of radius sqrt(dimensions).

    Code i is a function of int64 seeds[i] alone. Raises `InputError` for a law out of another list than `LAWS`.
    """
    checks.require_member("Law of codes", law, LAWS)
    if law == "uniform":
        return 2.0 * streams.uniforms_of(seeds, dimensions, "sample/code") - 1.0
    noise = streams.normals_of(seeds, dimensions, "sample/code")
    return noise if law == "normal" else on_sphere(noise)


def on_sphere(codes: tf.Tensor) -> tf.Tensor:
    """Codes `[B, H_dim]` onto the sphere of radius sqrt(H_dim), where the mean square per dimension is 1."""
    return tf.math.l2_normalize(codes, axis=1) * math.sqrt(codes.shape[1])
