"""AGE: an encoder and a generator that play for the divergence of codes from a prior on a sphere, without a critic.

Paper: Ulyanov, Vedaldi and Lempitsky, It Takes (Only) Two: Adversarial Generator-Encoder Networks, AAAI 2018.
Symbols: encoder f (phi), decoder g (theta), u uniform on the sphere of radius sqrt(H_dim), where codes are put too;
KLb(z) the divergence from N(0, I) of the Gaussian with the mean and variance of a batch of codes, per dimension.
Algorithm: the encoder's one update lowers L_e = KLb(f(x)) - KLb(f(g(u))) + w_x |x - g(f(x))|_1, then the decoder's
`decoder_updates`, each with fresh u against the new encoder, lower L_g = KLb(f(g(u))) + w_z (1 - cos(u, f(g(u)))).
Deviations, each an option that brings the released code's number back:
* it puts the variance where KLb has the standard deviation (`--variance_as_stddev`);
* it takes KLb on the unit sphere, where v_j is 1 / H_dim and the optimum v_j = 1 out of reach (`--unit_sphere`; the
  decoder reads codes of radius sqrt(H_dim) either way);
* its cosine is a mean over dimensions too, so that its w_z of 1000 is 1000 / H_dim here (`--cosine_over_dimensions`).
KLb is over the global batch of all replicas.
"""

import math

import tensorflow as tf

from pga_tf.core import laws, routing
from pga_tf.core.players import Player
from pga_tf.methods.method import Deterministic, Roles
from pga_tf.networks import Decoder, Encoder
from pga_tf.objectives import introspection
from pga_tf.settings.methods.age import AGEOptions

SETTLED = 1_000  # steps after which collapses are told: untrained encoders give all images nearly one code
ONE_CODE = 5.0  # nats per dimension above what is in reach: standard deviations of codes near exp(-5)


class AGE(Deterministic):
    """Images in [-1, 1], codes on the sphere of radius sqrt(H_dim). Interfaces: Encodes, Decodes.

    Args:
      networks: `encoder`, images `[B, H, W, C]` to codes `[B, H_dim]`, which are put onto the sphere; `decoder`, codes
        `[B, H_dim]` to images `[B, H, W, C]`, tanh.
      named: options, fields of `AGEOptions`. What else there is: `KerasDoor`.
    """

    Options = AGEOptions
    PRIOR = "sphere"
    GROUP = 2  # one code has no variance
    STATISTICS = {"data": "data", "prior": "prior"}
    LOSSES = ("L_e", "L_g", "L_x", "L_z", "kl_data", "kl_samples")
    REPORTED = ("kl_gap",)
    TOTAL = "L_e"

    @classmethod
    def players(cls, options: AGEOptions) -> tuple[Player, ...]:
        return Player("encoder", ("encoder",)), Player("decoder", ("decoder",), updates=options.decoder_updates)

    @staticmethod
    def roles(options: AGEOptions) -> Roles:
        del options
        return {"encoder": Encoder(code_norm="sphere"), "decoder": Decoder(output="tanh")}

    def draw(self, count: tf.Tensor, step: tf.Tensor, substep: int) -> tf.Tensor:
        """u, `[count, H_dim]`."""
        return laws.on_sphere(self.normal([count, self.latent_dim], "prior", step, substep))

    def divergence(self, codes: tf.Tensor) -> tf.Tensor:
        """KLb of codes `[B, H_dim]` of radius sqrt(H_dim): `[B]`, nats per dimension."""
        radius = math.sqrt(self.latent_dim) if self.options.unit_sphere else 1.0
        return introspection.batch_kl(codes / radius, variance_as_stddev=self.options.variance_as_stddev)

    def encoder_terms(self, x: tf.Tensor, u: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_e and what it is made of, `[B]` each, which train phi alone: images `[B, H, W, C]`, u `[B, H_dim]`."""
        made = tf.stop_gradient(self.decoder(u, sources=("prior",), training=True))
        codes = self.encoder(tf.concat([x, made], axis=0), sources=("data", "samples"), training=True)
        z, z_made = tf.split(codes, 2)
        x_hat = routing.held(self.decoder)(z, sources=("data",), training=True)  # gradients pass through g into z
        kl, kl_made, l_x = self.divergence(z), self.divergence(z_made), introspection.absolute_error(x, x_hat)
        l_e = kl - kl_made + self.options.weight_x * l_x
        return {"L_e": l_e, "L_x": l_x, "kl_data": kl, "kl_samples": kl_made, "kl_gap": kl_made - kl}

    def decoder_terms(self, u: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_g and its L_z, `[B]` each, which train theta alone: u `[B, H_dim]`."""
        o = self.options
        made = self.decoder(u, sources=("prior",), training=True)
        z = routing.held(self.encoder)(made, sources=("samples",), training=True)
        l_z = introspection.cosine_distance(u, z)
        weight = o.weight_z / self.latent_dim if o.cosine_over_dimensions else o.weight_z
        return {"L_g": self.divergence(z) + weight * l_z, "L_z": l_z}

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        count = tf.shape(images)[0]
        with tf.GradientTape() as tape:
            losses = self.encoder_terms(images, self.draw(count, step, 0))
        norms = self.minimise(tape, losses["L_e"], "encoder")
        for k in range(self.options.decoder_updates):
            with tf.GradientTape() as tape:
                losses |= self.decoder_terms(self.draw(count, step, 1 + k))
            norms |= self.minimise(tape, losses["L_g"], "decoder")
        return {**losses, **norms}

    def collapse(self, values: dict[str, float], step: int) -> str | None:
        out_of_reach = math.log(self.latent_dim) if self.options.unit_sphere else 0.0
        for name, those in (("kl_data", "images"), ("kl_samples", "samples")):
            if step > SETTLED and values[name] > ONE_CODE + out_of_reach:
                told = f"the codes of all {those} are one: {name} is {values[name]:.3g} nats per dimension"
                return f"{told}. Remedy: raise --weight_z, --weight_x or --batch_size, or lower --learning_rate"
        return None
