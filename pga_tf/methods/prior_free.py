"""Prior-free: the first stage of the generative model without prior matching, an adversarially regularised autoencoder.

Paper: Geng et al., Generative Model without Prior Distribution Matching, 2020, section 3.1. Its second stage is the
prior `latent_map`, fitted afterwards to any trained autoencoder.
Algorithm: a critic d in data space learns how far from real an image is, L_dis (Eq. 9); the autoencoder minimises
L_ae = |x - x_hat|^2 + w1 |d(x_mu)|^2 + w2 |d(x_hat)|^2 (Eq. 10), where x_mu decodes a mixture of two codes, mu ~
U(0, 0.5); codes pass through batch norm (Eq. 11). ACAI (Berthelot et al., 2019), which it extends, is the case
`--weight_real=0 --margin=0 --weight_reconstruction=0 --nolatent_batch_norm`; without the critic it is
`--method=ae --latent_batch_norm`.
Deviations: |x - x_hat|^2 is a mean over pixels; the paper prints no values for c, lambda, w1, w2: the flagfiles say
how ours were found. The two codes that are mixed are neighbours in the batch. Both players step from the same weights.
"""

import tensorflow as tf

from pga_tf.core import routing
from pga_tf.core.players import Player
from pga_tf.methods.method import Deterministic, Roles
from pga_tf.networks import Critic, Decoder, Encoder
from pga_tf.objectives import interpolation, pga
from pga_tf.settings.methods.prior_free import PriorFreeOptions


class PriorFree(Deterministic):
    """Trained by reconstruction and a critic of interpolations, Eqs. 9 and 10; images in [-1, 1].

    Args:
      networks: `encoder`, images `[B, H, W, C]` to codes `[B, H_dim]`; `decoder`, codes `[B, H_dim]` to images `[B,
        H, W, C]`, tanh. `critic`, images to numbers `[B, 1]`.
      named: options, fields of `PriorFreeOptions`. What else there is: `KerasDoor`.
    """

    Options = PriorFreeOptions
    PLAYERS = (Player("autoencoder", ("encoder", "decoder")), Player("critic", ("critic",)))
    LOSSES = ("L_r", "d_interpolation", "d_reconstruction", "L_dis")
    REPORTED = ("L_ae",)
    TOTAL = "L_ae"
    GROUP = 2  # examples of a replica come in pairs

    @staticmethod
    def roles(options: PriorFreeOptions) -> Roles:
        return {
            "encoder": Encoder(code_norm="batch" if options.latent_batch_norm else "none"),
            "decoder": Decoder(output="tanh"),
            "critic": Critic(spectral=options.critic_norm == "spectral"),
        }

    def terms(self, x: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """The losses of Eqs. 9 and 10 for images `[B, H, W, C]` in [-1, 1], B even: `[B]` each.

        L_r trains encoder and decoder, and so do the two terms of the held critic; L_dis trains the critic.
        """
        o = self.options
        mu = 0.5 * self.uniform([tf.shape(x)[0]], "mixing", step)
        z = self.encoder(x, training=True)
        codes = tf.concat([z, interpolation.mixed(z, mu)], axis=0)
        images = self.decoder(codes, sources=("data", "perturbed"), training=True)
        x_hat, x_mu = tf.split(images, 2)

        # Eq. 10 trains the autoencoder alone, through a critic that is held ...
        d_hat, d_mu = tf.split(routing.held(self.critic)(images)[:, 0], 2)
        # ... and Eq. 9 the critic alone, on images that are held.
        held_hat, held_mu = tf.stop_gradient(x_hat), tf.stop_gradient(x_mu)
        judged = tf.concat([x, o.blend * x + (1.0 - o.blend) * held_hat, held_mu], axis=0)
        d_real, d_blend, d_mixed = tf.split(self.critic(judged, training=True)[:, 0], 3)
        return {
            "L_r": pga.published_scale(x.shape[1:].num_elements()) * pga.reconstruction(x, x_hat),
            "d_interpolation": interpolation.realism(d_mu),
            "d_reconstruction": interpolation.realism(d_hat),
            "L_dis": interpolation.distance_critic(d_real, d_blend, d_mixed, mu, o.margin, weight_real=o.weight_real),
        }

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        o = self.options
        with tf.GradientTape() as tape:
            losses = self.terms(images, step)
            d_terms = o.weight_interpolation * losses["d_interpolation"]
            d_terms += o.weight_reconstruction * losses["d_reconstruction"]
            l_ae = losses["L_r"] + d_terms
            total = l_ae + losses["L_dis"]  # no network is trained by both
        return {**losses, "L_ae": l_ae, **self.minimise(tape, total)}
