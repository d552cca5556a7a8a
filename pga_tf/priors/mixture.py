"""A Gaussian mixture with full covariances, fitted to codes by expectation-maximisation. Interface: Samples.

The prior that regularised autoencoders fit afterwards (Ghosh et al., From Variational to Deterministic Autoencoders,
ICLR 2020). scikit-learn fits it; afterwards it is a TFP distribution.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from pga_tf.core import checks
from pga_tf.core.options import option, validate
from pga_tf.priors import draws


@dataclasses.dataclass(frozen=True)
class MixtureOptions:
    components: int = option(10, "Gaussians of the mixture", unit="components", minimum=1)


class Mixture:
    """sum_k w_k N(mu_k, L_k L_k^T) over codes `[H_dim]`; before `fit`, all its components are N(0, I)."""

    Options = MixtureOptions
    FIT = "codes"

    def __init__(self, latent_dim, options=None, *, seed=0):
        self.options, self.latent_dim, self.seed = validate(options or MixtureOptions()), latent_dim, seed
        k = self.options.components
        self.weights = tf.Variable(tf.fill([k], 1.0 / k), trainable=False, name="weights")
        self.means = tf.Variable(tf.zeros([k, latent_dim]), trainable=False, name="means")
        self.factors = tf.Variable(tf.eye(latent_dim, batch_shape=[k]), trainable=False, name="factors")
        self.sample = draws.sampler(self._draw)

    def state(self):
        return {"weights": self.weights, "means": self.means, "factors": self.factors}

    def fit(self, codes):
        """Fits to codes `[N, H_dim]`. Raises `InputError` for fewer codes than would fix the covariances."""
        from sklearn.mixture import GaussianMixture

        k = self.options.components
        if len(codes) < k * (self.latent_dim + 1):
            checks.refuse(
                f"--components={k}",
                expected=f"at least {k * (self.latent_dim + 1)} codes for {k} covariances in {self.latent_dim}-D",
                received=len(codes),
                remedy="use fewer components or more images",
            )
        fitted = GaussianMixture(k, covariance_type="full", random_state=self.seed, max_iter=300)
        fitted.fit(np.asarray(codes, np.float64))
        self.weights.assign(fitted.weights_)
        self.means.assign(fitted.means_)
        self.factors.assign(np.linalg.cholesky(fitted.covariances_))
        return {"log_likelihood": float(fitted.lower_bound_), "iterations": fitted.n_iter_}

    def distribution(self):
        """The mixture as a TFP distribution over codes `[H_dim]`."""
        return tfp.distributions.MixtureSameFamily(
            tfp.distributions.Categorical(probs=self.weights),
            tfp.distributions.MultivariateNormalTriL(self.means, self.factors),
        )

    def log_prob(self, codes):
        """log p(z) of codes `[B, H_dim]`: `[B]`, nats."""
        return self.distribution().log_prob(codes)

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        uniform = 0.5 * (1.0 + tf.math.erf(draws.normals(seeds, 1, stream=1)[:, 0] / math.sqrt(2.0)))
        upper = tf.cumsum(self.weights)
        component = tf.minimum(tf.searchsorted(upper, uniform, side="right"), self.options.components - 1)
        eps = draws.normals(seeds, self.latent_dim)
        return tf.gather(self.means, component) + tf.linalg.matvec(tf.gather(self.factors, component), eps)
