"""What all methods share, and what families of them share. A method's own file is its paper and nothing else.

A method is a `Stepwise` model: its networks come in by role, its `update(images, step)` is one step of training. What
Keras users see of it is in keras_door.py.
"""

from typing import Any

import tensorflow as tf

from pga_tf import networks
from pga_tf.core.players import Player
from pga_tf.methods import posteriors
from pga_tf.methods.keras_door import KerasDoor

Roles = dict[str, networks.Encoder | networks.Decoder | networks.Critic | networks.Mapping]
"""The networks that a method takes: what it asks of each, by name."""


class Method(KerasDoor):
    """A model of images: a decoder and whatever trains it.

    Subclasses declare, beside what `Stepwise` asks for:

    * `roles(options)`: the networks that it takes, dict of role to spec.
    * `PRIOR`: the registered prior that its codes follow by training: "normal", "uniform", "sphere"; "own" for a map
      from noise that it trains (`map_noise`); None where one has to be fitted before it can be sampled. Where options
      decide it, `prior_of(options)`.
    * `NOISE_PARTS`: how many vectors of noise `map_noise` takes for a code, joined; most take one.
    * `STATISTICS`: whose batch-norm statistics codes of "prior" and, where there are such, of "data" are decoded with.
    * `GROUP`: examples of a replica that a step takes together.
    * `SMALL_DIFFERENCES`: whether a loss is a difference of nearly equal outputs, which bfloat16 drowns.
    """

    PLAYERS = ()
    PRIOR = "normal"
    NOISE_PARTS = 1
    STATISTICS = {"prior": "prior"}
    GROUP = 1
    SMALL_DIFFERENCES = False

    @staticmethod
    def roles(options: Any) -> Roles:
        """dict of role to spec. Raises `InputError` for options that contradict each other."""
        raise NotImplementedError

    @classmethod
    def prior_of(cls, options: Any) -> str | None:
        """The prior of a method with these options; what a model has as `PRIOR`."""
        del options
        return cls.PRIOR

    @staticmethod
    def training_range(options: Any) -> tuple[float, float]:
        """The range of pixels in training."""
        del options
        return (-1.0, 1.0)

    def decode(self, codes: tf.Tensor, source: str = "prior") -> tf.Tensor:
        """Codes `[B, H_dim]` of a source, "data" or "prior", to images `[B, H, W, C]` in the training range."""
        return self.decoder(codes, sources=(self.STATISTICS[source],))

    def diagnostics(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """What TensorBoard shows beside losses, of fixed test images: dict of name to scalar or vector."""
        del images
        return {}

    @classmethod
    def averaged_roles(cls, options: Any) -> list[str]:
        """The networks that `decode` and `encode` use: all but critics."""
        return [name for name, role in cls.roles(options).items() if not isinstance(role, networks.Critic)]


class Autoencoder(Method):
    """A method with an encoder. In training it meets codes of data alone; their statistics serve every source."""

    PLAYERS = (Player("autoencoder", ("encoder", "decoder")),)
    STATISTICS = {"data": "data", "prior": "data"}

    def encode(self, images: tf.Tensor, source: str = "data") -> tf.Tensor:
        """Images `[B, H, W, C]` in the training range to codes, means of posteriors: `[B, H_dim]`."""
        del source
        return self.encoder(images, sources=("data",))

    def reconstruct(self, images: tf.Tensor) -> tf.Tensor:
        """g(f(x)) of images `[B, H, W, C]` in the training range."""
        return self.decode(self.encode(images), source="data")


class Deterministic(Autoencoder):
    """An autoencoder without a posterior, whose codes follow no law unless a subclass names one."""

    PRIOR = None

    def diagnostics(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return posteriors.spread(self.encode(images))
