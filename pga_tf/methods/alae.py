"""ALAE: a GAN whose generator and critic each have a code in the middle, the same one for both.

Paper: Pidhorskyi, Adjeroh and Doretto, Adversarial Latent Autoencoders, CVPR 2020.
Symbols: map F: u -> w, u ~ N(0, I); decoder G: w -> x; encoder E: x -> w; critic D: w -> logit; sp the softplus.
Algorithm: three updates in turn, each with fresh u and the weights that the last one left,
  L_D = sp(D(E(G(F(u))))) + sp(-D(E(x))) + gamma / 2 |grad_x D(E(x))|^2, of E and D, the made image held;
  L_G = sp(-D(E(G(F(u))))), of F and G, through E and D held;
  L_w = mean over dimensions of (F(u) - E(G(F(u))))^2, of E, G and F, the target F(u) held.
The autoencoder is (E, G), and F its prior. No loss compares pixels: poor reconstructions are its nature.
Deviations: no style modulation, no progressive growing, D with ReLU between its layers, u without pixel norm; an
optimiser for each network, of which that of D takes no step on L_w. E, a part of the penalised critic, has no batch
norm whatever `--batch_norm` says: the penalty allows none. That L_w trains F through G's input is the released code's.
"""

import tensorflow as tf

from pga_tf.core import routing
from pga_tf.core.players import Player
from pga_tf.methods.method import Deterministic, Roles
from pga_tf.networks import Critic, Decoder, Encoder, Mapping
from pga_tf.objectives import adversarial, penalties, pga
from pga_tf.settings.methods.alae import ALAEOptions

SETTLED = 1_000  # steps after which a critic that has won is told
WON = 50.0  # logits between data and samples: their odds are e^50, and R1 holds the critic no more


class ALAE(Deterministic):
    """Images in [-1, 1]. Interfaces: Encodes, Decodes, MapsPrior.

    Args:
      networks: `encoder`, images `[B, H, W, C]` to codes `[B, H_dim]`, without batch norm; `decoder`, codes to images,
        tanh; `mapping`, noise `[B, H_dim]` to codes; `critic`, codes to numbers `[B, 1]`.
      named: options, fields of `ALAEOptions`. What else there is: `KerasDoor`.
    """

    Options = ALAEOptions
    PLAYERS = (
        Player("encoder", ("encoder",), updates=2),
        Player("critic", ("critic",)),
        Player("mapping", ("mapping",), updates=2),
        Player("decoder", ("decoder",), updates=2),
    )
    PRIOR = "own"
    STATISTICS = {"data": "prior", "prior": "prior"}  # in training G meets codes of F alone
    LOSSES = ("L_D", "L_G", "L_w")
    REPORTED = ("r1", "logit_data", "logit_samples", "margin")
    TOTAL = "L_G"

    @staticmethod
    def roles(options: ALAEOptions) -> Roles:
        o = options
        return {
            "encoder": Encoder(batch_norm=False),
            "decoder": Decoder(output="tanh"),
            "mapping": Mapping(width=o.mapping_width, depth=o.mapping_depth),
            "critic": Critic(of="codes", width=o.critic_width, depth=o.critic_depth),
        }

    def map_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """F(u) of N(0, I) noise `[B, H_dim]`: codes `[B, H_dim]`."""
        return self.mapping(noise)

    def critic_terms(self, x: tf.Tensor, u: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_D and what it is made of, `[B]` each, which train E and D: images `[B, H, W, C]`, u `[B, H_dim]`."""
        made = tf.stop_gradient(self.decoder(self.mapping(u), sources=("prior",), training=True))
        judge = lambda images, source: self.critic(self.encoder(images, sources=(source,), training=True))[:, 0]
        real, fake = judge(x, "data"), judge(made, "samples")
        r1 = penalties.r1(lambda images: judge(images, "data"), x)
        l_d = adversarial.critic_loss("non_saturating", real, fake) + self.options.r1_gamma / 2.0 * r1
        return {"L_D": l_d, "r1": r1, "logit_data": real, "logit_samples": fake, "margin": real - fake}

    def generator_terms(self, u: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_G, `[B]`, which trains F and G through a critic that is held: u `[B, H_dim]`."""
        made = self.decoder(self.mapping(u), sources=("prior",), training=True)
        codes = routing.held(self.encoder)(made, sources=("samples",), training=True)
        logits = routing.held(self.critic)(codes)[:, 0]
        return {"L_G": adversarial.generator_loss("non_saturating", logits)}

    def code_terms(self, u: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_w, `[B]`, which trains E and G, and F through what G is given; u `[B, H_dim]`."""
        w = self.mapping(u)
        codes = self.encoder(self.decoder(w, sources=("prior",), training=True), sources=("samples",), training=True)
        mean = pga.published_scale(self.latent_dim) * pga.latent_reconstruction(tf.stop_gradient(w), codes)
        return {"L_w": mean}

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        u = [self.normal([tf.shape(images)[0], self.latent_dim], "prior", step, k) for k in range(3)]
        with tf.GradientTape() as tape:
            losses = self.critic_terms(images, u[0])
        norms = self.minimise(tape, losses["L_D"], "encoder", "critic")
        with tf.GradientTape() as tape:
            losses |= self.generator_terms(u[1])
        norms |= self.minimise(tape, losses["L_G"], "mapping", "decoder")
        with tf.GradientTape() as tape:
            losses |= self.code_terms(u[2])
            loss = self.options.weight_code * losses["L_w"]
        norms |= self.minimise(tape, loss, "encoder", "mapping", "decoder")
        return {**losses, **norms}

    def collapse(self, values: dict[str, float], step: int) -> str | None:
        if step <= SETTLED or values["margin"] < WON:
            return None
        told = f"the critic has won: its logits of data lie {values['margin']:.3g} above those of samples"
        return f"{told}. Remedy: raise --r1_gamma, or lower --critic_learning_rate"
