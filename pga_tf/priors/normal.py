"""The prior N(0, I), which nothing is fitted for. Interface: Samples."""

import tensorflow as tf

from pga_tf.core import noise


class Normal:
    """N(0, I) in `latent_dim` dimensions."""

    def __init__(self, latent_dim):
        self.latent_dim = latent_dim
        self._sample = tf.function(self._draw, input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)

    def _draw(self, seeds):
        def one(seed):
            return noise.standard_normal([self.latent_dim], tf.stack([seed, 0]))

        return tf.map_fn(one, seeds, fn_output_signature=tf.TensorSpec([self.latent_dim], tf.float32))

    def sample(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        return self._sample(seeds)
