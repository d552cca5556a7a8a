"""L2: one `Method` per algorithm. To add one, write its file and enter it below; method.py is what all share."""

from collections.abc import Sequence
from typing import Any

import keras

from pga_tf.core.registry import Registry
from pga_tf.methods.adversarial_pga import AdversarialPGA
from pga_tf.methods.ae import AE
from pga_tf.methods.age import AGE
from pga_tf.methods.alae import ALAE
from pga_tf.methods.began import BEGAN
from pga_tf.methods.gan import GAN
from pga_tf.methods.lpga import LPGA
from pga_tf.methods.lvpga import LVPGA
from pga_tf.methods.method import Method
from pga_tf.methods.mmd_pga import MMDPGA
from pga_tf.methods.prior_free import PriorFree
from pga_tf.methods.rae import RAE
from pga_tf.methods.soft_intro_vae import SoftIntroVAE
from pga_tf.methods.two_stage_joint import TwoStageJoint
from pga_tf.methods.vae import VAE
from pga_tf.methods.vpga import VPGA
from pga_tf.methods.wae import WAE
from pga_tf.networks import NetworkOptions
from pga_tf.settings.methods import METHOD_OPTIONS

METHODS = Registry("method")


def register(name: str, method: type[Method]) -> None:
    """Enters a method under its name on the command line, and in the table by which Keras loads saved models."""
    METHODS.register(name)(keras.saving.register_keras_serializable("pga_tf")(method))
    if name not in METHOD_OPTIONS.names():  # of a user's own method
        METHOD_OPTIONS.register(name)(method.Options)


register("lpga", LPGA)
register("vpga", VPGA)
register("lvpga", LVPGA)
register("mmd_pga", MMDPGA)
register("adversarial_pga", AdversarialPGA)
register("vae", VAE)
register("two_stage_joint", TwoStageJoint)
register("ae", AE)
register("rae", RAE)
register("prior_free", PriorFree)
register("wae", WAE)
register("soft_intro_vae", SoftIntroVAE)
register("age", AGE)
register("alae", ALAE)
register("gan", GAN)
register("began", BEGAN)


def build(
    name: str, options: Any, network_options: NetworkOptions, image_shape: Sequence[int], *, seed: int = 0
) -> Method:
    """The method `name` on networks of its own for images `(H, W, C)`, whose weights are a function of `seed`.

    Args:
      options: the method's `Options`. network_options: `networks.NetworkOptions`.

    Raises `InputError` for an unknown name, and for options or an image shape that cannot be.
    """
    return METHODS.get(name).on_named_networks(options, network_options, image_shape, seed=seed)
