"""What priors that are fitted by steps to whitened codes share: y = L^-1 (z - m), with m and L L^T those of codes."""

import numpy as np
import tensorflow as tf

from pga_tf.core.stepwise import Stepwise

RIDGE = 1e-6  # of the mean variance, added to each: dimensions may be constant


def factor_of(codes: np.ndarray) -> np.ndarray:
    """L `[D, D]`, lower triangular, where L L^T is the covariance of codes `[N, D]`, with the ridge: float64."""
    dimensions = codes.shape[1]
    covariance = np.cov(np.asarray(codes, np.float64).T).reshape(dimensions, dimensions)
    return np.linalg.cholesky(covariance + RIDGE * np.trace(covariance) / dimensions * np.eye(dimensions))


class Whitened(Stepwise):
    """A `Stepwise` prior that sees whitened codes `[B, H_dim]` once it has been shown some by `adapt`."""

    FIT = "steps"
    DECODED_AS = "data"
    KEEPS_BEST = False  # the last one is used

    def add_own_weights(self) -> None:
        held = {"trainable": False, "aggregation": "only_first_replica"}
        self.offset = self.add_weight(name="offset", shape=(self.latent_dim,), initializer="zeros", **held)
        self.factor = self.add_weight(name="factor", shape=(self.latent_dim,) * 2, initializer="identity", **held)

    def adapt(self, codes: np.ndarray) -> None:
        """Takes mean and covariance from codes `[N, H_dim]`, before the first step."""
        self.offset.assign(np.mean(codes, axis=0, dtype=np.float64))
        self.factor.assign(factor_of(codes))

    def whitened(self, codes: tf.Tensor) -> tf.Tensor:
        """L^-1 (z - m) of codes z `[B, H_dim]`."""
        return tf.transpose(
            tf.linalg.triangular_solve(tf.convert_to_tensor(self.factor), tf.transpose(codes - self.offset))
        )

    def coloured(self, y: tf.Tensor) -> tf.Tensor:
        """m + L y, the inverse of `whitened`."""
        return self.offset + tf.linalg.matvec(tf.convert_to_tensor(self.factor), y)

    def log_scale(self) -> tf.Tensor:
        """log |det L|, by which a density over codes is less than that over whitened ones."""
        return tf.reduce_sum(tf.math.log(tf.linalg.diag_part(tf.convert_to_tensor(self.factor))))
