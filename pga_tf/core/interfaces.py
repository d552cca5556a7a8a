"""What later stages may ask of a method or a prior, as structural types. Decoding is all that every method can do."""

from typing import Any, Protocol, runtime_checkable

import tensorflow as tf


@runtime_checkable
class Decodes(Protocol):
    """Maps codes to images. Every method has it."""

    def decode(self, codes: tf.Tensor, source: str) -> tf.Tensor:
        """Codes `[B, H_dim]` of "data" or "prior" to images `[B, H, W, C]` in `image_range`, by those's statistics."""


@runtime_checkable
class Encodes(Protocol):
    """Maps images to codes. Every autoencoder has it."""

    def encode(self, images: tf.Tensor, source: str = "data") -> tf.Tensor:
        """Images `[B, H, W, C]` in `image_range` to codes (posterior means) `[B, H_dim]`, by statistics of `source`."""


@runtime_checkable
class HasPosterior(Protocol):
    """A stochastic encoder."""

    def posterior(self, images: tf.Tensor) -> Any:
        """Images `[B, H, W, C]` to q(z|x), a TFP distribution with batch `[B]` and event `[H_dim]`."""


@runtime_checkable
class HasLikelihood(Protocol):
    """A decoder that is the mean of p(x|z), trained by a bound on log p(x)."""

    def likelihood_variance(self) -> tf.Tensor | None:
        """Variance of a pixel under p(x|z), scalar in squared units of `image_range`; None if that is no Gaussian."""


@runtime_checkable
class MapsPrior(Protocol):
    """A method that trains a map from noise to codes as its prior (`PRIOR = "own"`)."""

    def map_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """N(0, I) noise `[B, NOISE_PARTS * H_dim]` to codes `[B, H_dim]`, as inference does."""


@runtime_checkable
class Samples(Protocol):
    """A prior over codes."""

    DECODED_AS: str  # "prior" or "data": whose batch-norm statistics its codes are decoded with

    def sample(self, seeds: tf.Tensor) -> tf.Tensor:
        """int64 seeds `[B]` to codes `[B, H_dim]`; code i depends on seed i alone."""
