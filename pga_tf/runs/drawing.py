"""Pictures of a trained model as uint8 images: samples, reconstructions, interpolations."""

import numpy as np
import tensorflow as tf

from pga_tf.core import grids, ranges

BATCH = 250


class Drawing:
    """Draws from `model` with codes from `prior`, whose registered name is `prior_name`, in batches of `BATCH`."""

    def __init__(self, model, prior, prior_name="normal"):
        self.model, self.prior, self.prior_name = model, prior, prior_name
        self._decoders = {}
        # reduce_retracing: the last batch of a request is shorter than the others
        self._encode = tf.function(model.encode, autograph=False, reduce_retracing=True)

    def _decode(self, codes, source):
        if source not in self._decoders:
            self._decoders[source] = tf.function(
                lambda codes: self._decode_uint8(codes, source),
                input_signature=[tf.TensorSpec([None, self.model.latent_dim])],  # one graph for any number
                autograph=False,
            )
        return self._decoders[source](codes)

    def _decode_uint8(self, codes, source):
        images = self.model.decode(codes, source=source)
        if grids.is_points(images.shape[1:]):
            return images  # points stay as they are: there are no pixels to quantise
        return ranges.to_uint8(images, self.model.image_range)

    def decode(self, codes, source="prior"):
        """Codes `[N, H_dim]` to images `[N, H, W, C]`: uint8, or float32 in `image_range` for points."""
        parts = [self._decode(tf.constant(codes[i : i + BATCH]), source) for i in range(0, len(codes), BATCH)]
        return np.concatenate(parts)

    def encode(self, images, value_range):
        """Images `[N, H, W, C]` in `value_range` to codes `[N, H_dim]`."""
        parts = []
        for i in range(0, len(images), BATCH):
            parts.append(self._encode(self.in_range(images[i : i + BATCH], value_range)))
        return np.concatenate(parts)

    def in_range(self, images, value_range):
        """Images in `value_range` as float32 in the range that the model trains in."""
        return ranges.rescale(tf.constant(images), value_range, self.model.image_range)

    def codes(self, count, seed=0, start=0):
        """Codes of the prior for samples `start` to `start + count`: `[count, H_dim]`."""
        seeds = np.arange(start, start + count, dtype=np.int64) + np.int64(seed) * 2**32
        return self.prior.sample(tf.constant(seeds)).numpy()

    def samples(self, count, seed=0, start=0):
        """Samples `start` to `start + count`; sample i is a function of (seed, i), however many are drawn at once."""
        return self.decode(self.codes(count, seed, start))

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


def picture(images, columns=None):
    """One uint8 picture `[H, W, C]` of many images: a grid, or a scatter plot of points."""
    if grids.is_points(images.shape[1:]):
        return grids.scatter(images)
    return grids.tile(images, columns)
