"""L2: one `Method` per algorithm. To add one, write its file and enter it below; method.py is what all share."""

import keras

from pga_tf import networks
from pga_tf.core.registry import Registry
from pga_tf.methods.ae import AE
from pga_tf.methods.lpga import LPGA
from pga_tf.methods.lvpga import LVPGA
from pga_tf.methods.prior_free import PriorFree
from pga_tf.methods.rae import RAE
from pga_tf.methods.vae import VAE
from pga_tf.methods.vpga import VPGA

METHODS = Registry("method")
METHODS.register("lpga")(LPGA)
METHODS.register("vpga")(VPGA)
METHODS.register("lvpga")(LVPGA)
METHODS.register("vae")(VAE)
METHODS.register("ae")(AE)
METHODS.register("rae")(RAE)
METHODS.register("prior_free")(PriorFree)


def build(name, options, network_options, image_shape, *, seed=0):
    """The method `name` on networks of its own for images `(H, W, C)`, whose weights are a function of `seed`.

    Args:
      options: the method's `Options`. network_options: `networks.NetworkOptions`.

    Raises `InputError` for an unknown name, and for options or an image shape that cannot be.
    """
    method = METHODS.get(name)
    wanted = method.roles(options)
    keras.utils.set_random_seed(seed)
    made = networks.build_all(wanted, network_options, image_shape)
    return method(made, options, latent_dim=network_options.latent_dim, seed=seed)
