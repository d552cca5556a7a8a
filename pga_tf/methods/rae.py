"""RAE: the regularised autoencoder, with a prior fitted to its codes afterwards (`--prior=mixture`).

Paper: Ghosh et al., From Variational to Deterministic Autoencoders, ICLR 2020, section 4.
Algorithm: L_rae = L_rec + beta L_z + lambda L_reg, L_rec = |x - g(f(x))|^2, L_z = |z|^2, and L_reg one of |theta|^2
(RAE-L2), |dg/dz|^2 (RAE-GP), or none with the decoder's kernels divided by their spectral norms (RAE-SN).
Deviations: as in the released code L_rec is a mean over pixels and channels, and L_z a mean over dimensions without the
paper's 1/2. |theta|^2 is a sum over all of the decoder's kernels, there over its deconvolutions; RAE-SN normalises the
decoder, there the encoder too. |dg/dz|^2 is the squared Frobenius norm of the Jacobian as in the paper, estimated by
one projection; the released code differentiates the sum of squared outputs, so that its lambda does not carry over.
"""

import tensorflow as tf

from pga_tf.methods.method import Deterministic, Roles
from pga_tf.networks import Decoder, Encoder
from pga_tf.objectives import penalties, pga
from pga_tf.settings.methods.rae import RAEOptions


class RAE(Deterministic):
    """Trained by reconstruction under a regulariser, L_rae; images in [0, 1]. Interfaces: Encodes, Decodes.

    Args:
      networks: `encoder`, images `[B, H, W, C]` to codes `[B, H_dim]`; `decoder`, codes `[B, H_dim]` to images `[B,
        H, W, C]`, sigmoid.
      named: options, fields of `RAEOptions`. What else there is: `KerasDoor`.
    """

    Options = RAEOptions
    LOSSES = ("L_rec", "L_z", "L_reg")

    @staticmethod
    def roles(options: RAEOptions) -> Roles:
        spectral = options.regulariser == "spectral_norm"
        return {"encoder": Encoder(), "decoder": Decoder(output="sigmoid", spectral=spectral)}

    @staticmethod
    def training_range(options: RAEOptions) -> tuple[float, float]:
        return (0.0, 1.0)

    def terms(self, x: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """The losses for images `[B, H, W, C]` in [0, 1]: `[B]` each, in the units that the header names."""
        z = self.encoder(x, training=True)
        decode = lambda codes: self.decoder(codes, training=True)
        l_reg = tf.zeros([tf.shape(x)[0]])
        if self.options.regulariser == "gradient_penalty":
            probe = self.normal([tf.shape(x)[0], *x.shape[1:]], "projection", step)
            x_hat, l_reg = penalties.with_squared_jacobian(decode, z, probe)
        else:
            x_hat = decode(z)
        if self.options.regulariser == "l2":
            l_reg += penalties.squared_weights([v for v in self.decoder.trainable_variables if v.shape.rank > 1])
        return {
            "L_rec": pga.published_scale(x.shape[1:].num_elements()) * pga.reconstruction(x, x_hat),
            "L_z": pga.published_scale(self.latent_dim) * pga.code_nll(z),
            "L_reg": l_reg,
        }

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        o = self.options
        with tf.GradientTape() as tape:
            losses = self.terms(images, step)
            loss = losses["L_rec"] + o.weight_code * losses["L_z"] + o.weight_regulariser * losses["L_reg"]
        return {**losses, "loss": loss, **self.minimise(tape, loss)}
