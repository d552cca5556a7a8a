"""A Gaussian mixture with full covariances, fitted to codes by expectation-maximisation. Interface: Samples.

The prior that regularised autoencoders fit afterwards (Ghosh et al., From Variational to Deterministic Autoencoders,
ICLR 2020). scikit-learn fits it; afterwards it is a TFP distribution. The paper's scores on MNIST and CelebA are with a
Dirichlet process over the components' weights, of concentration 1 / K, and scikit-learn's priors over their means and
covariances (`--component_weights=dirichlet_process`): that is fitted by variational EM, and used at its means.
"""

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from pga_tf.core import checks, streams
from pga_tf.core.options import option, validate
from pga_tf.priors import draws

# EM ends before where an iteration gains less than 1e-3 nats a code; variational EM, whose bound is of all codes
# together, takes as many as the released code lets it.
MOST_ITERATIONS = {"likelihood": 300, "dirichlet_process": 100}


@dataclasses.dataclass(frozen=True)
class MixtureOptions:
    """What is set of a mixture; ten components are those of the paper."""

    components: int = option(10, "Gaussians of the mixture", unit="components", minimum=1)
    component_weights: str = option(
        "likelihood",
        "how the components' weights are fitted: by maximum likelihood, or under a Dirichlet process of 1 / components",
        source="Ghosh et al.",
        choices=("likelihood", "dirichlet_process"),
    )


class Mixture:
    """sum_k w_k N(mu_k, L_k L_k^T) over codes `[H_dim]`; before `fit`, all its components are N(0, I)."""

    Options = MixtureOptions
    FIT = "codes"
    DECODED_AS = "data"

    def __init__(self, latent_dim: int, options: MixtureOptions | None = None, *, seed: int = 0):
        self.options, self.latent_dim, self.seed = validate(options or MixtureOptions()), latent_dim, seed
        k = self.options.components
        self.weights = tf.Variable(tf.fill([k], 1.0 / k), trainable=False, name="weights")
        self.means = tf.Variable(tf.zeros([k, latent_dim]), trainable=False, name="means")
        self.factors = tf.Variable(tf.eye(latent_dim, batch_shape=[k]), trainable=False, name="factors")
        self.sample = draws.sampler(self._draw)

    def state(self) -> dict[str, tf.Variable]:
        """The variables that sampling needs, by name."""
        return {"weights": self.weights, "means": self.means, "factors": self.factors}

    def fit(self, codes: np.ndarray, *, report: Callable[[int, float], None] | None = None) -> dict[str, float]:
        """Fits to codes `[N, H_dim]`, and returns what was found, by name.

        Args:
          report: called after each iteration with its number, from 1 on, and the mean log-likelihood of a code, nats.

        Raises `InputError` for fewer codes than would fix the covariances.
        """
        import threadpoolctl
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

        k, kind = self.options.components, self.options.component_weights
        if len(codes) < k * (self.latent_dim + 1):
            checks.refuse(
                f"--components={k}",
                expected=f"at least {k * (self.latent_dim + 1)} codes for {k} covariances in {self.latent_dim}-D",
                received=len(codes),
                remedy="use fewer components or more images",
            )
        codes = np.asarray(codes, np.float64)
        # One iteration a call, each from where the last one ended: scikit-learn tells of none before its fit is over.
        how = {"covariance_type": "full", "random_state": self.seed, "max_iter": 1, "warm_start": True}
        if kind == "likelihood":
            fitted = GaussianMixture(k, **how)
        else:
            fitted = BayesianGaussianMixture(
                n_components=k,
                weight_concentration_prior_type=kind,
                weight_concentration_prior=1.0 / k,
                **how,
            )
        # With two threads, fits to 60,000 codes of 32 dimensions had not ended after 6 and 10 minutes; with one they
        # took 40 seconds.
        with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # which says that one iteration was not enough
            for iteration in range(1, MOST_ITERATIONS[kind] + 1):
                fitted.fit(codes)
                if report is not None:
                    report(iteration, _log_likelihood(fitted, codes))
                if fitted.converged_:
                    break
        if not fitted.converged_ and kind == "likelihood":
            warnings.warn(f"EM had not converged after {iteration} iterations", ConvergenceWarning, stacklevel=2)
        self.weights.assign(fitted.weights_)
        self.means.assign(fitted.means_)
        self.factors.assign(np.linalg.cholesky(fitted.covariances_))
        return {"log_likelihood": _log_likelihood(fitted, codes), "iterations": iteration}

    def distribution(self) -> tfp.distributions.MixtureSameFamily:
        """The mixture as a TFP distribution over codes `[H_dim]`."""
        return tfp.distributions.MixtureSameFamily(
            tfp.distributions.Categorical(probs=self.weights),
            tfp.distributions.MultivariateNormalTriL(self.means, self.factors),
        )

    def log_prob(self, codes: tf.Tensor) -> tf.Tensor:
        """log p(z) of codes `[B, H_dim]`: `[B]`, nats."""
        return self.distribution().log_prob(codes)

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        uniform = streams.uniforms_of(seeds, 1, "sample/component")[:, 0]
        upper = tf.cumsum(self.weights)
        component = tf.minimum(tf.searchsorted(upper, uniform, side="right"), self.options.components - 1)
        eps = streams.normals_of(seeds, self.latent_dim, "sample/code")
        return tf.gather(self.means, component) + tf.linalg.matvec(tf.gather(self.factors, component), eps)


def _log_likelihood(fitted, codes):
    """Mean log-likelihood of a code, nats, under the mixture that `fitted`, of scikit-learn, stands for."""
    from sklearn.mixture import GaussianMixture

    if isinstance(fitted, GaussianMixture):
        return float(fitted.lower_bound_)
    used = GaussianMixture(len(fitted.weights_))  # a variational one's own score is under its whole posterior
    used.weights_, used.means_ = fitted.weights_, fitted.means_
    used.precisions_cholesky_ = fitted.precisions_cholesky_
    return float(used.score(codes))
