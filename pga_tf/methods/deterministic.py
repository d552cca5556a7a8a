"""What autoencoders without a posterior share: codes and images by the statistics of data, and the codes' health."""

import keras
import tensorflow as tf

from pga_tf.methods import assembly, posteriors


class Deterministic(keras.Model):
    """Base of methods that encode data to points and train no map from noise. Interfaces: Encodes, Decodes."""

    OPTIMIZERS = {"optimizer": ("encoder", "decoder")}
    DECODES_AS = "data"  # whose batch-norm statistics samples are decoded with
    NEEDS_PRIOR = True  # its codes follow no law that is known beforehand

    EXTRA_METERS = ("loss",)  # reported beside the losses

    def __init__(self, encoder, decoder, options, *, latent_dim, seed, critic=None):
        super().__init__()
        if critic is not None:
            self.critic = critic
        more = self.EXTRA_METERS
        assembly.assemble(self, encoder, decoder, options, latent_dim=latent_dim, seed=seed, extra_meters=more)

    def networks(self):
        return {"encoder": self.encoder.trainable_variables, "decoder": self.decoder.trainable_variables}

    def encode(self, images, source="data"):
        # In training it encodes data alone, and their codes are decoded as "data": those statistics serve every source.
        return self.encoder(images, sources=("data",))

    def decode(self, codes, source="prior"):
        return self.decoder(codes, sources=("data",))

    def diagnostics(self, images):
        """How the codes of a batch spread: their root mean square, the variance of each dimension, active units."""
        codes = self.encode(images)
        variance = tf.math.reduce_variance(codes, axis=0)
        active = tf.cast(variance > posteriors.ACTIVE_VARIANCE, tf.float32)
        return {
            "code_rms": tf.sqrt(tf.reduce_mean(tf.square(codes))),
            "code_variance": variance,
            "active_units": tf.reduce_sum(active),
        }
