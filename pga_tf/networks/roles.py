"""What a method asks of its networks: one spec for each role. An architecture gives every role a shape of its own."""

import dataclasses

from pga_tf.core import checks


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Images `[B, H, W, C]` to codes `[B, H_dim]`, or to (mean, stddev) of them.

    `code_norm`: "batch" puts codes through batch norm without scale and shift, mean 0 and variance 1 per dimension;
    "sphere" onto the sphere of radius sqrt(H_dim). `batch_norm`: whether it has the norms that are asked for; an
    encoder within a critic under a gradient penalty has none, for they would couple examples.
    """

    stochastic: bool = False
    code_norm: str = "none"
    batch_norm: bool = True

    def __post_init__(self):
        checks.require_member("Encoder's code_norm", self.code_norm, ("none", "batch", "sphere"))
        if self.stochastic and self.code_norm != "none":
            raise ValueError("A stochastic encoder has no code_norm: it would apply to the mean alone.")


@dataclasses.dataclass(frozen=True)
class Decoder:
    """Codes `[B, H_dim]` to images `[B, H, W, C]`; `output` is its last function, "tanh", "sigmoid" or "linear".

    `spectral`: every kernel is divided by its spectral norm.
    """

    output: str
    spectral: bool = False

    def __post_init__(self):
        checks.require_member("Decoder's output", self.output, ("tanh", "sigmoid", "linear"))


@dataclasses.dataclass(frozen=True)
class Critic:
    """Images `[B, H, W, C]` or codes `[B, H_dim]` to a number `[B, 1]`, a logit; or images to images, by `output`.

    `norm`: "none", "batch" (real and generated ones are then segments of their own) or "layer". `spectral`: every
    kernel is divided by its spectral norm; the power iteration moves where it is called with `training=True`.
    `width`, `depth`: of the hidden layers of a critic of codes. `output`: "logit"; or the last function, "tanh",
    "sigmoid" or "linear", of a critic that gives images back by way of a code of H_dim dimensions.
    """

    of: str = "images"
    norm: str = "none"
    spectral: bool = False
    width: int = 256
    depth: int = 3
    output: str = "logit"

    def __post_init__(self):
        checks.require_member("Critic's of", self.of, ("images", "codes"))
        checks.require_member("Critic's norm", self.norm, ("none", "batch", "layer"))
        checks.require_member("Critic's output", self.output, ("logit", "tanh", "sigmoid", "linear"))
        if self.of == "codes" and self.output != "logit":
            raise ValueError("A critic of codes gives logits: none gives codes back.")


@dataclasses.dataclass(frozen=True)
class Flow:
    """Codes `[B, H_dim]` and times `[B]` to velocities `[B, H_dim]`: `depth` residual blocks of `width`."""

    width: int
    depth: int


@dataclasses.dataclass(frozen=True)
class Mapping:
    """Codes or noise `[B, H_dim]` to vectors `[B, outputs * H_dim]`.

    `join`: the input is joined to the last hidden layer (Dai and Wipf, 2019).
    """

    width: int
    depth: int
    outputs: int = 1
    join: bool = False
