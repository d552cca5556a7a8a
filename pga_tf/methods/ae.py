"""AE: the plain autoencoder, which both PGA and the regularised autoencoders are argued against.

Algorithm: minimise L_r = |x - g(f(x))|^2; new images need a prior fitted to its codes. With `--latent_batch_norm` it is
the prior-free model without its adversarial regulariser (Geng et al., 2020, section 4.2; Eqs. 10 and 11, w1 = w2 = 0).
Deviations: L_r is a mean over pixels.
"""

import tensorflow as tf

from pga_tf.methods.method import Deterministic, Roles
from pga_tf.networks import Decoder, Encoder
from pga_tf.objectives import pga
from pga_tf.settings.methods.ae import AEOptions


class AE(Deterministic):
    """Trained by reconstruction alone, L_r; images in [-1, 1]. Interfaces: Encodes, Decodes.

    Args:
      networks: `encoder`, images `[B, H, W, C]` to codes `[B, H_dim]`; `decoder`, codes `[B, H_dim]` to images `[B,
        H, W, C]`, tanh.
      named: options, fields of `AEOptions`. What else there is: `KerasDoor`.
    """

    Options = AEOptions
    LOSSES = ("L_r",)

    @staticmethod
    def roles(options: AEOptions) -> Roles:
        code_norm = "batch" if options.latent_batch_norm else "none"
        return {"encoder": Encoder(code_norm=code_norm), "decoder": Decoder(output="tanh")}

    def terms(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_r for images `[B, H, W, C]` in [-1, 1]: `[B]`, mean over pixels and channels."""
        x_hat = self.decoder(self.encoder(x, training=True), training=True)
        return {"L_r": pga.published_scale(x.shape[1:].num_elements()) * pga.reconstruction(x, x_hat)}

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            losses = self.terms(images)
        return {**losses, "loss": losses["L_r"], **self.minimise(tape, losses["L_r"])}
