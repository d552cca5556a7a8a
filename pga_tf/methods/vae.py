"""VAE: the variational autoencoder that every other method is measured against.

Papers: Kingma and Welling, Auto-Encoding Variational Bayes, 2014; the Gaussian likelihood with its standard deviation
gamma fixed or learned is Dai and Wipf, Diagnosing and Enhancing VAE Models, 2019, section 4; the constant
posterior variance (CV-VAE) is Ghosh et al., From Variational to Deterministic Autoencoders, 2020.
Algorithm: minimise - log p(x|z) + KL(q(z|x) || N(0, I)), z = mu(x) + sigma(x) * eps.
Deviations: the bound is trained in units that suit SGD and change no minimum: times 2 gamma^2 / D for a fixed gamma
(the mean squared error plus 2 gamma^2 / D times KL), else divided by D, the number of pixels and channels. Adam's
epsilon is in the same units, so that its steps are those on the bound itself. Reported in nats.
"""

import math
import typing

import keras
import tensorflow as tf

from pga_tf.methods import posteriors
from pga_tf.methods.method import Autoencoder, Roles
from pga_tf.networks import Decoder, Encoder
from pga_tf.objectives import gaussian
from pga_tf.settings.methods.pixels import PIXEL_RANGES
from pga_tf.settings.methods.vae import VAEOptions

if typing.TYPE_CHECKING:
    import tensorflow_probability as tfp

LOG_GAMMA_LIMIT = 20.0  # exp(-2 * 20) still is a normal float32


class VAE(Autoencoder):
    """Images in [-1, 1] or [0, 1] by `pixel_range`. Interfaces: Encodes, Decodes, HasPosterior,
    HasLikelihood.

    Args:
      networks: `encoder`, images `[B, H, W, C]` to (mean, stddev) of codes, `[B, H_dim]` each; `decoder`, codes `[B,
        H_dim]` to images `[B, H, W, C]`; tanh or sigmoid by `pixel_range`, logits for `likelihood="cross_entropy"`.
      named: options, fields of `VAEOptions`. What else there is: `KerasDoor`.
    """

    Options = VAEOptions
    LOSSES = ("nll", "kl")
    REPORTED = ("negative_elbo", "pixel_error", "gamma")
    TOTAL = "negative_elbo"

    @staticmethod
    def roles(options: VAEOptions) -> Roles:
        logits = options.likelihood == "cross_entropy"
        output = "linear" if logits else PIXEL_RANGES[options.pixel_range][1]
        return {"encoder": Encoder(stochastic=options.posterior_stddev == 0.0), "decoder": Decoder(output=output)}

    @staticmethod
    def training_range(options: VAEOptions) -> tuple[float, float]:
        return PIXEL_RANGES[options.pixel_range][0]

    def add_own_weights(self) -> None:
        self.log_gamma = self.add_weight(
            name="log_gamma",
            shape=(),
            initializer=keras.initializers.Constant(math.log(self.options.gamma)),
            trainable=self.options.likelihood == "learned_gamma",
        )

    def networks(self) -> dict[str, list[keras.Variable]]:
        networks = super().networks()
        if self.log_gamma.trainable:
            networks["decoder"].append(self.log_gamma)
        return networks

    def _moments(self, x, training):
        codes = self.encoder(x, training=training)
        if self.options.posterior_stddev == 0.0:
            return codes
        return codes, tf.fill(tf.shape(codes), self.options.posterior_stddev)

    def _gamma(self):
        return tf.clip_by_value(tf.convert_to_tensor(self.log_gamma), -LOG_GAMMA_LIMIT, LOG_GAMMA_LIMIT)

    def terms(self, x: tf.Tensor, step: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """The two sides of the bound for images `[B, H, W, C]` in `image_range`: `[B]` each, nats, and the outputs."""
        mean, stddev = self._moments(x, training=True)
        codes = mean + stddev * self.normal([tf.shape(x)[0], self.latent_dim], "posterior", step)
        outputs = self.decoder(codes, training=True)
        if self.options.likelihood == "cross_entropy":
            nll, x_hat = gaussian.bernoulli_nll(x, outputs), tf.sigmoid(outputs)
        else:
            nll, x_hat = gaussian.gaussian_nll(x, outputs, self._gamma()), outputs
        losses = {"nll": nll} | self.code_terms(mean, stddev, codes, step)
        return losses, tf.reduce_mean(tf.square(x - x_hat), axis=list(range(1, len(x.shape))))

    def code_terms(self, mean: tf.Tensor, stddev: tf.Tensor, codes: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """KL(q(z|x) || p(z)) of posteriors, and of codes drawn from them, `[B, H_dim]` each: "kl", `[B]`, nats."""
        del codes, step
        return {"kl": tf.reduce_sum(gaussian.kl_standard_normal(mean, stddev), axis=1)}

    def loss_scale(self) -> float:
        scale = 1.0 / math.prod(self.image_shape)
        return 2.0 * self.options.gamma**2 * scale if self.options.likelihood == "fixed_gamma" else scale

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            losses, pixel_error = self.terms(images, step)
            negative_elbo = losses["nll"] + losses["kl"]
            loss = self.loss_scale() * negative_elbo
        shown = {"negative_elbo": negative_elbo, "pixel_error": pixel_error}
        norms = self.minimise(tape, loss)
        return {**losses, **shown, "gamma": tf.exp(self._gamma()), **norms}

    def encode(self, images: tf.Tensor, source: str = "data") -> tf.Tensor:
        return self._moments(images, training=False)[0]

    def posterior(self, images: tf.Tensor) -> "tfp.distributions.Distribution":
        """q(z|x) of images `[B, H, W, C]` in `image_range`: a TFP distribution of batch `[B]` and event `[H_dim]`."""
        return posteriors.diagonal_gaussian(*self._moments(images, training=False))

    def likelihood_variance(self) -> tf.Tensor | None:
        """gamma^2, scalar in squared units of `image_range`; None for cross-entropy."""
        return None if self.options.likelihood == "cross_entropy" else tf.exp(2.0 * self._gamma())

    def decode(self, codes: tf.Tensor, source: str = "prior") -> tf.Tensor:
        images = super().decode(codes, source)
        return tf.sigmoid(images) if self.options.likelihood == "cross_entropy" else images

    def diagnostics(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return posteriors.diagnostics(self.posterior(images))
