"""Small methods for tests: an 8x8 network with few filters, everything built and compiled."""

import keras
import numpy as np
import tensorflow as tf

from pga_tf import networks
from pga_tf.methods import METHODS, assembly

LATENT = 3


def build(
    name,
    *,
    batch_norm="none",
    seed=0,
    optimizer=None,
    jit=False,
    network="conv_8",
    shape=(8, 8, 1),
    **options,
):
    method = METHODS.get(name)
    options = method.Options(**options)
    needs = method.requirements(options)
    keras.utils.set_random_seed(seed)
    network_options = networks.NetworkOptions(network=network, latent_dim=LATENT, filters=4, batch_norm=batch_norm)
    made = assembly.build_networks(needs, network_options, shape)
    model = method(**made, options=options, latent_dim=LATENT, seed=seed)
    optimizers = {key: optimizer() if optimizer else keras.optimizers.SGD(0.05) for key in method.OPTIMIZERS}
    model.compile(**optimizers, jit_compile=jit)
    for key, variables in assembly.optimized(model).items():
        getattr(model, key).build(variables)
    return model


def images(model, count=8, shape=(8, 8, 1), seed=0):
    low, high = model.image_range
    return tf.constant(np.random.default_rng(seed).uniform(low, high, (count, *shape)), tf.float32)


def weights(model):
    return [np.array(v) for v in model.trainable_variables]
