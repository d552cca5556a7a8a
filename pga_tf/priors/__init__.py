"""L2: distributions over codes, fitted to a trained autoencoder. To add one, write its file and enter it below."""

from pga_tf.core.registry import Registry
from pga_tf.priors.normal import Normal

PRIORS = Registry("prior")
PRIORS.register("normal")(Normal)
