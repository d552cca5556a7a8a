"""L2: one `Method` per algorithm. To add one, write its file and enter it below; method.py is what all share."""

import keras

from pga_tf.core.registry import Registry
from pga_tf.methods.ae import AE
from pga_tf.methods.lpga import LPGA
from pga_tf.methods.lvpga import LVPGA
from pga_tf.methods.prior_free import PriorFree
from pga_tf.methods.rae import RAE
from pga_tf.methods.vae import VAE
from pga_tf.methods.vpga import VPGA

METHODS = Registry("method")


def register(name, method):
    """Enters a method under its name on the command line, and in the table by which Keras loads saved models."""
    METHODS.register(name)(keras.saving.register_keras_serializable("pga_tf")(method))


register("lpga", LPGA)
register("vpga", VPGA)
register("lvpga", LVPGA)
register("vae", VAE)
register("ae", AE)
register("rae", RAE)
register("prior_free", PriorFree)


def build(name, options, network_options, image_shape, *, seed=0):
    """The method `name` on networks of its own for images `(H, W, C)`, whose weights are a function of `seed`.

    Args:
      options: the method's `Options`. network_options: `networks.NetworkOptions`.

    Raises `InputError` for an unknown name, and for options or an image shape that cannot be.
    """
    return METHODS.get(name).on_named_networks(options, network_options, image_shape, seed=seed)
