"""The options of every method. To add some, write their file and enter them below, by the method's registered name.

Options that contradict each other are refused where they are made (`__post_init__`).
"""

from pga_tf.core.registry import Registry
from pga_tf.settings.methods.adversarial_pga import AdversarialPGAOptions
from pga_tf.settings.methods.ae import AEOptions
from pga_tf.settings.methods.age import AGEOptions
from pga_tf.settings.methods.alae import ALAEOptions
from pga_tf.settings.methods.began import BEGANOptions
from pga_tf.settings.methods.gan import GANOptions
from pga_tf.settings.methods.lpga import LPGAOptions
from pga_tf.settings.methods.lvpga import LVPGAOptions
from pga_tf.settings.methods.matched import MatchedOptions
from pga_tf.settings.methods.prior_free import PriorFreeOptions
from pga_tf.settings.methods.rae import RAEOptions
from pga_tf.settings.methods.soft_intro_vae import SoftIntroVAEOptions
from pga_tf.settings.methods.two_stage_joint import TwoStageJointOptions
from pga_tf.settings.methods.vae import VAEOptions
from pga_tf.settings.methods.vpga import VPGAOptions
from pga_tf.settings.methods.wae import WAEOptions

METHOD_OPTIONS = Registry("method")
METHOD_OPTIONS.register("lpga")(LPGAOptions)
METHOD_OPTIONS.register("vpga")(VPGAOptions)
METHOD_OPTIONS.register("lvpga")(LVPGAOptions)
METHOD_OPTIONS.register("mmd_pga")(MatchedOptions)
METHOD_OPTIONS.register("adversarial_pga")(AdversarialPGAOptions)
METHOD_OPTIONS.register("vae")(VAEOptions)
METHOD_OPTIONS.register("two_stage_joint")(TwoStageJointOptions)
METHOD_OPTIONS.register("ae")(AEOptions)
METHOD_OPTIONS.register("rae")(RAEOptions)
METHOD_OPTIONS.register("prior_free")(PriorFreeOptions)
METHOD_OPTIONS.register("wae")(WAEOptions)
METHOD_OPTIONS.register("soft_intro_vae")(SoftIntroVAEOptions)
METHOD_OPTIONS.register("age")(AGEOptions)
METHOD_OPTIONS.register("alae")(ALAEOptions)
METHOD_OPTIONS.register("gan")(GANOptions)
METHOD_OPTIONS.register("began")(BEGANOptions)
