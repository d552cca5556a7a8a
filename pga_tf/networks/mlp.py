"""Dense networks, for points in the plane (images of shape (1, 1, 2)) and small images."""

import math
from collections.abc import Callable

import keras
from keras import layers

from pga_tf.networks.heads import code_head
from pga_tf.networks.plan import NETWORKS, Architecture, Plan, leaky_relu, relu, unit

DEPTH = 3  # Hidden layers; norms sit on all but the first.


def _hidden(plan, norm, activation, **first):
    stack = unit(layers.Dense, None, activation, "dense_1", units=plan.filters, **first)
    for k in range(2, DEPTH + 1):
        stack += unit(layers.Dense, norm, activation, f"dense_{k}", units=plan.filters)
    return stack


def encoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """Three hidden layers with leaky ReLU 0.2, and the head. They read float32 points, not rounded ones."""
    hidden = _hidden(plan, norm, leaky_relu, dtype="float32")
    return [layers.Flatten(dtype="float32"), *hidden, code_head(plan)]


def decoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """Three hidden layers with ReLU, and one layer of the image's size."""
    hidden = _hidden(plan, norm, relu, dtype="float32")
    last = layers.Dense(math.prod(plan.image_shape), dtype="float32", name="pixels")
    return [*hidden, last, layers.Reshape(plan.image_shape, dtype="float32")]


NETWORKS.register("mlp")(Architecture(encoder=encoder, decoder=decoder, filters=256, multiple=1))
