"""What a trained model draws, as uint8 images: samples and, of an autoencoder, reconstructions and interpolations."""

import contextlib

import numpy as np
import tensorflow as tf

from pga_tf.core import checks, grids, interfaces, ranges, streams
from pga_tf.evaluation.protocols import OURS, PROTOCOLS
from pga_tf.networks.norm import batch_statistics

BATCH = 250


class Drawing:
    """Draws from `model` with codes from `prior`, whose registered name is `prior_name`, in batches of `BATCH`.

    `prior` None, of a method that has none before one is fitted, leaves all but samples. What needs an encoder raises
    `InputError` where there is none; `encodes` says so beforehand. `protocol`: an `evaluation.protocols.Protocol`, by
    which samples are normalised and rounded; with a `norm_batch` of its own, as many are drawn together, and a sample
    is a function of (seed, i) and of those beside it.
    """

    def __init__(self, model, prior, prior_name, protocol=PROTOCOLS[OURS]):
        self.model, self.prior, self.prior_name, self.protocol = model, prior, prior_name, protocol
        self._decoders = {}
        self.encodes = isinstance(model, interfaces.Encodes)
        if self.encodes:
            # reduce_retracing: the last batch of a request is shorter than the others
            self._encode = tf.function(model.encode, autograph=False, reduce_retracing=True)

    def _decoder(self, source, protocol):
        key = source, protocol.rounding, protocol.norm_batch > 0
        if key not in self._decoders:
            self._decoders[key] = tf.function(
                lambda codes: self._decode_uint8(codes, *key),
                input_signature=[tf.TensorSpec([None, self.model.latent_dim])],  # one graph for any number
                autograph=False,
            )
        return self._decoders[key]

    def _decode_uint8(self, codes, source, rounding, by_batch):
        with batch_statistics(self.model) if by_batch else contextlib.nullcontext():
            images = self.model.decode(codes, source=source)
        if grids.is_points(images.shape[1:]):
            return images  # points stay as they are: there are no pixels to quantise
        return ranges.to_uint8(images, self.model.image_range, rounding)

    def decode(self, codes, source, protocol=PROTOCOLS[OURS]):
        """Codes `[N, H_dim]` of a source, "data" or "prior", to images `[N, H, W, C]`: uint8, or float32 for points."""
        decoder, size = self._decoder(source, protocol), protocol.norm_batch or BATCH
        return np.concatenate([decoder(tf.constant(codes[i : i + size])) for i in range(0, len(codes), size)])

    def encode(self, images, value_range):
        """Images `[N, H, W, C]` in `value_range` to codes `[N, H_dim]`."""
        require_encoder(self.model, "Encoding images")
        parts = []
        for i in range(0, len(images), BATCH):
            parts.append(self._encode(self.in_range(images[i : i + BATCH], value_range)))
        return np.concatenate(parts)

    def in_range(self, images, value_range):
        """Images in `value_range` as float32 in the range that the model trains in."""
        return ranges.rescale(tf.constant(images), value_range, self.model.image_range)

    def codes(self, seeds):
        """Codes of the prior for int64 seeds `[N]`: `[N, H_dim]`."""
        return self.prior.sample(tf.constant(seeds)).numpy()

    def samples(self, count, seed=0, start=0):
        """Samples `start` to `start + count`; sample i is a function of (seed, i), however many are drawn at once."""
        return self.samples_of(streams.sample_seeds(count, seed=seed, start=start))

    def samples_of(self, seeds):
        """One sample for each int64 seed `[N]`, decoded as the prior says that its codes are."""
        return self.decode(self.codes(seeds), self.prior.DECODED_AS, self.protocol)

    def reconstructions(self, images, value_range):
        """Originals and their reconstructions in alternating order: `[2 N, H, W, C]`."""
        restored = self.decode(self.encode(images, value_range), source="data")
        originals = self.in_range(images, value_range)
        if restored.dtype == np.uint8:
            originals = ranges.to_uint8(originals, self.model.image_range)
        return np.stack([originals, restored], axis=1).reshape(-1, *restored.shape[1:])

    def interpolations(self, images, value_range, steps):
        """Rows of `steps` images from images[2i] to images[2i + 1], linear between their codes.

        The last of an odd number goes to the first.
        """
        codes = self.encode(images, value_range)
        weights = np.linspace(0.0, 1.0, steps, dtype=np.float32)[None, :, None]
        ends = np.roll(codes, -1, axis=0)
        paths = codes[0::2, None] * (1.0 - weights) + ends[0::2, None] * weights
        return self.decode(paths.reshape(-1, codes.shape[1]), source="data")


def require_encoder(model, what):
    """Raises `InputError` for a method that only decodes."""
    if not isinstance(model, interfaces.Encodes):
        checks.refuse(
            what,
            expected="a method with an encoder",
            received=f"{type(model).__name__}, which only decodes",
            remedy="leave it out, or train an autoencoder",
        )


PANEL = ("reconstruct (originals above)", "interpolate", "sample")
PANEL_COLUMNS = 8  # images in a row of a cell, which has four


def panel_row(draw, images, value_range, seed):
    """Pictures of a run for the heads of `PANEL` (Geng et al., 2020, figure 6); None for what needs a missing encoder.

    `images`: held-out ones in `value_range`, of which up to 16 are reconstructed and up to 8 interpolated between.
    """
    n = PANEL_COLUMNS
    restored = interpolated = None
    if draw.encodes:
        restored = grids.tile_rows(draw.reconstructions(images[: 2 * n], value_range), ("", ""), n)
        interpolated = grids.tile_rows(draw.interpolations(images[:n], value_range, n), ("",), n)
    return restored, interpolated, grids.tile_rows(draw.samples(4 * n, seed), ("",), n)


def picture(images, columns=None):
    """One uint8 picture `[H, W, C]` of many images: a grid, or a scatter plot of points."""
    if grids.is_points(images.shape[1:]):
        return grids.scatter(images)
    return grids.tile(images, columns)


def picture_of_bands(images, columns, captions=("original", "reconstruction")):
    """A picture of images that belong together, by default pairs as `reconstructions` gives them, `columns` in a row.

    Those of one set stand below each other, with their captions to the left; a scatter plot of points.
    """
    if grids.is_points(images.shape[1:]):
        return grids.scatter(images)
    return grids.tile_rows(images, captions, columns)


def picture_of_paths(images, columns):
    """A picture of rows of `columns` images, as `interpolations` gives them, with the share of the way above each."""
    if grids.is_points(images.shape[1:]):
        return grids.scatter(images)
    heads = ["from", *(f"{t:.2f}" for t in np.linspace(0.0, 1.0, columns)[1:-1]), "to"]
    return grids.tile_rows(images, ("",), columns, heads=heads)
