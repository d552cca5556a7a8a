"""Both stages of the two-stage VAE trained at once, an ablation: the paper says that this does not help.

Paper: Dai and Wipf, Diagnosing and Enhancing VAE Models, ICLR 2019, footnote 6 and supplement.
Algorithm: a VAE whose codes have a VAE of their own as their prior, p(z|u) = N(z; g2(u), gamma_z^2 I), u ~ N(0, I):
- log p(x|z) + E_q[log q(z|x) - log p(z|u)] + KL(q(u|z) || N(0, I)), one bound that trains all four networks. The
paper's own training holds the first stage while the second is fitted: `--method=vae --prior=second_vae`.
Deviations: as in vae.py.
"""

import math

import keras
import tensorflow as tf

from pga_tf.core.players import Player
from pga_tf.methods.method import Roles
from pga_tf.methods.vae import VAE
from pga_tf.networks import Mapping
from pga_tf.objectives import gaussian
from pga_tf.settings.methods.two_stage_joint import TwoStageJointOptions

LOG_LIMIT = 10.0  # of the logarithms of gamma_z and of deviations of q(u|z)


class TwoStageJoint(VAE):
    """A VAE with a VAE as the prior of its codes. Interfaces: Encodes, Decodes, HasPosterior, MapsPrior.

    Args:
      networks: those of a VAE; `second_encoder`, codes `[B, H_dim]` to `[B, 2 * H_dim]`, mean and log deviation of u;
        `second_decoder`, u `[B, H_dim]` to codes.
      named: options, fields of `TwoStageJointOptions`. What else there is: `KerasDoor`.
    """

    Options = TwoStageJointOptions
    PLAYERS = (Player("autoencoder", ("encoder", "decoder", "second_encoder", "second_decoder")),)
    PRIOR = "own"
    NOISE_PARTS = 2  # u, and the noise of p(z|u)
    LOSSES = ("nll", "kl", "second_nll", "second_kl")
    REPORTED = (*VAE.REPORTED, "second_gamma")

    @staticmethod
    def roles(options: TwoStageJointOptions) -> Roles:
        shape = {"width": options.joint_width, "depth": options.joint_depth, "join": True}
        return VAE.roles(options) | {"second_encoder": Mapping(outputs=2, **shape), "second_decoder": Mapping(**shape)}

    def add_own_weights(self) -> None:
        super().add_own_weights()
        self.log_second_gamma = self.add_weight(name="log_second_gamma", shape=(), initializer="zeros")

    def networks(self) -> dict[str, list[keras.Variable]]:
        networks = super().networks()
        networks["second_decoder"].append(self.log_second_gamma)
        return networks

    def _second_gamma(self):
        return tf.clip_by_value(tf.convert_to_tensor(self.log_second_gamma), -LOG_LIMIT, LOG_LIMIT)

    def code_terms(self, mean: tf.Tensor, stddev: tf.Tensor, codes: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """A bound on KL(q(z|x) || p(z)) from above by one draw of u, and its parts: `[B]` each, nats."""
        u_mean, log_stddev = tf.split(self.second_encoder(codes), 2, axis=1)
        u_stddev = tf.exp(tf.clip_by_value(log_stddev, -LOG_LIMIT, LOG_LIMIT))
        u = u_mean + u_stddev * self.normal([tf.shape(codes)[0], self.latent_dim], "second_posterior", step)
        second_nll = gaussian.gaussian_nll(codes, self.second_decoder(u), self._second_gamma())
        second_kl = tf.reduce_sum(gaussian.kl_standard_normal(u_mean, u_stddev), axis=1)
        entropy = tf.reduce_sum(tf.math.log(stddev), axis=1) + 0.5 * self.latent_dim * (1.0 + math.log(2.0 * math.pi))
        return {"kl": second_nll + second_kl - entropy, "second_nll": second_nll, "second_kl": second_kl}

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        return super().update(images, step) | {"second_gamma": tf.exp(self._second_gamma())}

    def map_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """N(0, I) noise `[B, 2 * H_dim]`, u and that of p(z|u), to codes `[B, H_dim]`."""
        u, around = tf.split(noise, 2, axis=1)
        return self.second_decoder(u) + tf.exp(self._second_gamma()) * around
