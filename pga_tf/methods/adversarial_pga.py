"""Adversarial PGA: a perceptual generative autoencoder whose codes a critic compares.

Paper: none. Zhang et al., ICML 2020, name it as future work: "an adversarial discriminator trained on latent
representations". matched.py says what is added to their losses, and why it trains whom.
Algorithm, hinge losses: L_C = relu(1 - C(r)) + relu(1 + C(q)), L_match = -C(q), with r = h(f(x)) and q = f(g(z_n));
with `--code_law=matched` a second critic C2 of z_n against f(x) besides, and L_code = -C2(f(x)).
All players step from the same weights. The critics learn in the warm-up already.
"""

from typing import Any

import tensorflow as tf

from pga_tf.core import routing
from pga_tf.core.players import Player
from pga_tf.methods.matched import Matched
from pga_tf.methods.method import Roles
from pga_tf.networks import Critic, Decoder, Encoder
from pga_tf.objectives import adversarial
from pga_tf.settings.methods.adversarial_pga import AdversarialPGAOptions


class AdversarialPGA(Matched):
    """Trained by reconstruction and critics of codes; images in [-1, 1]. Interfaces: Encodes, Decodes.

    Args:
      networks: `encoder`, images `[B, H, W, C]` to codes `[B, H_dim]`; `decoder`, codes `[B, H_dim]` to images `[B,
        H, W, C]`, tanh; `code_critic` and, with `code_law="matched"`, `prior_critic`, codes to numbers `[B, 1]`.
      named: options, fields of `AdversarialPGAOptions`. What else there is: `KerasDoor`.
    """

    Options = AdversarialPGAOptions
    LOSSES = (*Matched.LOSSES, "L_C")
    REPORTED = ("loss", "margin")

    @classmethod
    def players(cls, options: AdversarialPGAOptions) -> tuple[Player, ...]:
        critics = tuple(name for name in cls.roles(options) if name.endswith("critic"))
        return (Player("autoencoder", ("encoder", "decoder")), Player("critic", critics))

    @staticmethod
    def roles(options: AdversarialPGAOptions) -> Roles:
        critic = Critic(
            of="codes",
            spectral=options.critic_norm == "spectral",
            width=options.critic_width,
            depth=options.critic_depth,
        )
        second = {"prior_critic": critic} if options.code_law == "matched" else {}
        return {"encoder": Encoder(), "decoder": Decoder(output="tanh"), "code_critic": critic} | second

    def match(self, real: tf.Tensor, generated: tf.Tensor) -> dict[str, tf.Tensor]:
        l_c, l_match, margin = _against(self.code_critic, real, generated)
        return {"L_C": l_c, "L_match": l_match, "margin": margin}

    def match_prior(self, real: tf.Tensor, codes: tf.Tensor) -> dict[str, tf.Tensor]:
        l_c, l_code, _ = _against(self.prior_critic, real, codes)
        return {"L_C2": l_c, "L_code": l_code}

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            losses = self.terms(images, step)
            losses["L_C"] += losses.pop("L_C2", 0.0)
            loss = self.objective(losses, step)
            everything = loss + losses["L_C"]  # no network is trained by both
        return {**losses, "loss": loss, **self.minimise(tape, everything)}


def _against(critic, real, generated):
    """(what trains the critic alone, what trains the generated codes alone, how far it tells both apart): `[B]` each.

    `real` is held by whoever calls.
    """
    judged = tf.concat([real, tf.stop_gradient(generated)], axis=0)
    of_real, of_generated = tf.split(critic(judged, training=True)[:, 0], 2)
    fooled = adversarial.generator_loss("hinge", routing.held(critic)(generated)[:, 0])
    return adversarial.critic_loss("hinge", of_real, of_generated), fooled, of_real - of_generated
