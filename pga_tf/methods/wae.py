"""WAE: the Wasserstein autoencoder, whose codes as a whole are matched to the prior; with it AAE, InfoVAE and SWAE.

Papers: Tolstikhin et al., Wasserstein Auto-Encoders, ICLR 2018; Makhzani et al., Adversarial Autoencoders, 2015; Zhao
et al., InfoVAE, 2019; Kolouri et al., Sliced Wasserstein Auto-Encoders, 2019.
Algorithm: minimise L_rec + lambda * (L_mmd, L_adv or L_sw) + w L_kl, where p ~ N(0, I) is drawn anew in every step.
WAE-GAN steps the critic, on lambda L_C, and then the autoencoder against the new critic (Algorithm 1). The critic
T(z) = T_net(z) + log N(z; 0, I) has to learn the law of the codes alone (the log-prior trick).

* WAE-MMD: `--divergence=mmd`, Algorithm 2. WAE-GAN: `--divergence=gan`. SWAE: `--divergence=sliced`.
* AAE: `--divergence=gan --nolog_prior --in_turn --weight_pixels=0`. Autoencoder, critic, and the encoder once more step
  in this order, each by an optimiser of its own; the critic, and then the encoder, see the codes of the new encoder.
* InfoVAE: `--divergence=mmd --stochastic_encoder`, its 1 - alpha as `--weight_kl`, its alpha + lambda - 1 as
  `--weight_divergence`.

Deviations: the prior is N(0, I) where the released code has N(0, s^2 I): codes in units of s, under which L_mmd is the
same. Several replicas match the codes of the whole batch. Under batch norm, AAE moves the encoder's running statistics
twice in a step. The head start is that of head_start.py.
"""

from typing import Any

import keras
import tensorflow as tf

from pga_tf.core import replicas, routing
from pga_tf.core.players import Player
from pga_tf.methods import posteriors
from pga_tf.methods.head_start import HeadStart
from pga_tf.methods.method import Autoencoder, Roles
from pga_tf.networks import Critic, Decoder, Encoder
from pga_tf.objectives import adversarial, gaussian, matching, pga
from pga_tf.settings.methods.pixels import PIXEL_RANGES
from pga_tf.settings.methods.wae import DIVERGENCES, WAEOptions

COLLAPSED, RUN_AWAY = 1e-4, 1e4  # variances of codes; the prior's is 1
SETTLED = 1000  # steps before which the encoder may still be on its way from where it was initialised


class WAE(Autoencoder):
    """Images in [-1, 1] or [0, 1] by `pixel_range`. Interfaces: Encodes, Decodes; HasPosterior if stochastic.

    Args:
      networks: `encoder`, images `[B, H, W, C]` to codes `[B, H_dim]`, or to (mean, stddev) of them for
        `stochastic_encoder`; `decoder`, codes `[B, H_dim]` to images `[B, H, W, C]`, tanh or sigmoid by `pixel_range`.
        `critic`, for `divergence="gan"`, codes to numbers `[B, 1]`.
      named: options, fields of `WAEOptions`. What else there is: `KerasDoor`.
    """

    Options = WAEOptions
    GROUP = 2  # a law is not seen in one code

    def __init__(self, *networks: keras.layers.Layer, **named: Any):
        super().__init__(*networks, **named)
        if self.options.stochastic_encoder:
            self.posterior = self._posterior  # an interface of an instance, which a deterministic one does not have

    @classmethod
    def players(cls, options: WAEOptions) -> tuple[Player, ...]:
        autoencoder, critic = Player("autoencoder", ("encoder", "decoder")), Player("critic", ("critic",))
        if options.divergence != "gan":
            return (autoencoder,)
        if options.in_turn:
            return (autoencoder, critic, Player("matching", ("encoder",), again=True))
        return (critic, autoencoder)

    @staticmethod
    def roles(options: WAEOptions) -> Roles:
        made = {
            "encoder": Encoder(stochastic=options.stochastic_encoder),
            "decoder": Decoder(output=PIXEL_RANGES[options.pixel_range][1]),
        }
        if options.divergence == "gan":
            made["critic"] = Critic(of="codes", width=options.critic_width, depth=options.critic_depth)
        return made

    @staticmethod
    def training_range(options: WAEOptions) -> tuple[float, float]:
        return PIXEL_RANGES[options.pixel_range][0]

    def before(self) -> HeadStart | None:
        if not self.options.head_start:
            return None
        codes = lambda batch, step: self.codes(self.prepare(batch, step), step, substep=2)[0]
        return HeadStart(self.encoder, codes, self.optimizers["autoencoder"], self.options.head_start)

    @property
    def LOSSES(self) -> tuple[str, ...]:
        return ("L_rec", *DIVERGENCES[self.options.divergence], *(["L_kl"] if self.options.weight_kl else []))

    @property
    def REPORTED(self) -> tuple[str, ...]:
        mmd, critic = ["mmd"] * ("L_mmd" not in self.LOSSES), ["critic_margin"] * ("L_C" in self.LOSSES)
        return ("loss", "code_mean", "code_variance", *mmd, *critic)

    def codes(self, x: tf.Tensor, step: tf.Tensor, substep: int = 0) -> tuple[tf.Tensor, tf.Tensor]:
        """z of images `[B, H, W, C]`, `[B, H_dim]`, and L_kl `[B]`, nats, 0 without a posterior; `substep`: a pass."""
        count, scale = tf.shape(x)[0], self.options.input_noise
        if scale:
            x += scale * self.truncated_normal([count, *x.shape[1:]], "input", step, substep)
        z = self.encoder(x, training=True)
        if not self.options.stochastic_encoder:
            return z, tf.zeros([count])
        mean, stddev = z
        eps = self.normal([count, self.latent_dim], "posterior", step, substep)
        return mean + stddev * eps, tf.reduce_sum(gaussian.kl_standard_normal(mean, stddev), axis=1)

    def reconstruction(self, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """L_rec of images `[B, H, W, C]` and their codes: `[B]`. It trains encoder and decoder."""
        scale = 2.0 * self.options.weight_pixels or pga.published_scale(x.shape[1:].num_elements())
        return scale * pga.reconstruction(x, self.decoder(z, training=True))

    def judge(self, z: tf.Tensor, held: bool = False) -> tf.Tensor:
        """T(z) of codes `[B, H_dim]`: `[B]`, a logit; where the critic is `held`, no gradient reaches it."""
        logits = (routing.held(self.critic) if held else self.critic)(z)[:, 0]
        return logits + gaussian.log_standard_normal(z) if self.options.log_prior else logits

    def divergence(self, z: tf.Tensor, p: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """L_mmd, L_adv or L_sw of codes and draws of the prior, `[B, H_dim]` each: `[B]`. It trains the encoder."""
        if self.options.divergence == "gan":
            return adversarial.generator_loss("non_saturating", self.judge(z, held=True))
        z, p = replicas.of_all(z), replicas.of_all(p)
        if self.options.divergence == "mmd":
            return replicas.own(matching.imq_mmd(z, p))
        directions = self.shared_normal([self.options.projections, self.latent_dim], "directions", step)
        return replicas.own(matching.sliced_wasserstein(z, p, directions))

    def critic_loss(self, z: tf.Tensor, p: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_C, which trains the critic alone, for codes and draws `[B, H_dim]`, and T(p) - T(z): `[B]` each."""
        t_p, t_z = self.judge(p), self.judge(tf.stop_gradient(z))
        return {"L_C": adversarial.critic_loss("non_saturating", t_p, t_z), "critic_margin": t_p - t_z}

    def terms(self, x: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """All losses for images `[B, H, W, C]` in the training range, from the weights as they are: `[B]` each."""
        p = self.normal([tf.shape(x)[0], self.latent_dim], "prior", step)
        z, l_kl = self.codes(x, step)
        losses = {"L_rec": self.reconstruction(x, z), "L_kl": l_kl}
        losses |= self.critic_loss(z, p) if self.options.divergence == "gan" else {}
        return losses | {DIVERGENCES[self.options.divergence][-1]: self.divergence(z, p, step)}

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        o = self.options
        p = self.normal([tf.shape(images)[0], self.latent_dim], "prior", step)
        with tf.GradientTape() as tape:
            z, l_kl = self.codes(images, step)
            losses = {"L_rec": self.reconstruction(images, z), "L_kl": l_kl}
            fit = losses["L_rec"] + o.weight_kl * l_kl
            if not o.in_turn:
                more, norms, distance = self._match(tape, z, p, step)
                loss = fit + o.weight_divergence * distance
        if o.in_turn:
            norms = self.minimise(tape, fit, "autoencoder")
            with tf.GradientTape() as tape:
                z, _ = self.codes(images, step, substep=1)  # by the encoder as it is now
                more, of_critic, distance = self._match(tape, z, p, step)
                weighed = o.weight_divergence * distance
            norms = self.minimise(tape, weighed, "matching") | of_critic | norms
            loss = fit + weighed
        else:
            norms |= self.minimise(tape, loss, "autoencoder")
        values = losses | more | self._moments(z, p) | {"loss": loss}
        return {name: values[name] for name in [*self.LOSSES, *self.REPORTED]} | norms

    def _match(self, tape, z, p, step):
        """One update of the critic, where there is one, then the divergence, seen by `tape`: (values, norms, `[B]`)."""
        values, norms = {}, {}
        if self.options.divergence == "gan":
            with tape.stop_recording(), tf.GradientTape() as own:
                values = self.critic_loss(z, p)
                loss = self.options.weight_divergence * values["L_C"]
            with tape.stop_recording():
                norms = self.minimise(own, loss, "critic")
        distance = self.divergence(z, p, step)
        return values | {DIVERGENCES[self.options.divergence][-1]: distance}, norms, distance

    def _moments(self, z, p):
        """How the codes of the whole batch lie: what tells of a collapse before images do."""
        z, p = replicas.of_all(z), replicas.of_all(p)
        return {
            "code_mean": tf.sqrt(tf.reduce_mean(tf.square(tf.reduce_mean(z, axis=0)))),
            "code_variance": tf.reduce_mean(tf.math.reduce_variance(z, axis=0)),
            "mmd": tf.reduce_mean(matching.imq_mmd(z, p)),
        }

    def collapse(self, values: dict[str, float], step: int) -> str | None:
        variance = values["code_variance"]
        if step < SETTLED or COLLAPSED < variance < RUN_AWAY:
            return None
        told = "the codes of all images are one" if variance < 1.0 else "the codes have run away from the prior"
        return (
            f"{told}: their variance is {variance:.3g}, the prior's is 1. "
            "Remedy: pass another --weight_divergence, or a lower --learning_rate"
        )

    def encode(self, images: tf.Tensor, source: str = "data") -> tf.Tensor:
        codes = super().encode(images, source)
        return codes[0] if self.options.stochastic_encoder else codes

    def _posterior(self, images):
        return posteriors.diagonal_gaussian(*self.encoder(images, sources=("data",)))

    def diagnostics(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        if self.options.stochastic_encoder:
            return posteriors.diagnostics(self._posterior(images))
        return posteriors.spread(self.encode(images))
