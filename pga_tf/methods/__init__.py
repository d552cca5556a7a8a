"""L2: one `keras.Model` per algorithm. To add a method, write its file and enter it below."""

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
