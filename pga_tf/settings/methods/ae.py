"""What is set of an AE."""

import dataclasses

from pga_tf.core.options import option


@dataclasses.dataclass(frozen=True)
class AEOptions:
    """What is set of an autoencoder."""

    latent_batch_norm: bool = option(False, "codes pass through batch norm", source="Geng et al., Eq. 11")
