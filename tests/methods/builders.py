"""Small methods for tests: an 8x8 network with few filters, everything built and compiled."""

import numpy as np
import tensorflow as tf

from pga_tf import methods, networks
from pga_tf.core import update_rules
from pga_tf.methods import METHODS
from pga_tf.runs import fitted
from pga_tf.runs.drawing import Drawing

LATENT = 3
WGAN_GP = {"loss": "wasserstein", "penalty": "wgan_gp", "critic_norm": "layer", "weight_penalty": 0.1}
"""Options of `gan`: a penalised critic; lambda is a toy's, for the rate of the tests."""


def build(
    name,
    *,
    batch_norm="none",
    seed=0,
    optimizer=None,
    jit=False,
    network="conv_8",
    shape=(8, 8, 1),
    ema=0.0,
    **options,
):
    """A compiled method. `optimizer`: a function that makes one, of which each player gets its own."""
    method = METHODS.get(name)
    options = method.Options(**options)
    filters = 16 if network == "mlp" else 4  # dense layers of 4 units die out
    network_options = networks.NetworkOptions(
        network=network, latent_dim=LATENT, filters=filters, batch_norm=batch_norm
    )
    model = methods.build(name, options, network_options, shape, seed=seed)
    model.average(ema, method.averaged_roles(options))
    players = [player.name for player in method.players(options)]
    of_each = {name: optimizer() if optimizer else update_rules.SGD(0.05) for name in players}
    model.compile(of_each, jit_compile=jit)
    return model


def images(model, count=8, shape=(8, 8, 1), seed=0):
    """What a step of `model` is handed: `[count, ...]`, or `[count, batches, ...]` where it takes several batches."""
    low, high = model.image_range
    batches = model.batches_per_step()
    shape = shape if batches == 1 else (batches, *shape)
    return tf.constant(np.random.default_rng(seed).uniform(low, high, (count, *shape)), tf.float32)


def weights(model):
    return [np.array(v) for v in model.trainable_variables]


def drawing(model):
    """A `Drawing` by the method's own prior, or by N(0, I) where it has none."""
    prior, name = fitted.of_method(model)
    return Drawing(model, prior or fitted.unfitted(model, "normal"), name or "normal")
