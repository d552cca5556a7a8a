"""A mixture of Gaussians, fitted to codes by expectation-maximisation. Interface: Samples.

The prior that regularised autoencoders fit afterwards (Ghosh et al., From Variational to Deterministic Autoencoders,
ICLR 2020), there of ten components. How many are right depends on the codes: `--components=auto` takes the
number whose mixture gives held-out codes the highest likelihood. The paper's scores on MNIST and CelebA are with a
Dirichlet process over the components' weights, of concentration 1 / K, and scikit-learn's priors over their means and
covariances (`--mixture=dirichlet`): that is fitted by variational EM, by scikit-learn, and used at its means.
Afterwards either is a TFP distribution.
"""

import typing
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from pga_tf.core import checks, streams
from pga_tf.core.options import validate
from pga_tf.priors import draws, em
from pga_tf.settings.priors import AUTO, COVARIANCES, MixtureOptions

if typing.TYPE_CHECKING:
    import tensorflow_probability as tfp

CANDIDATES = (1, 2, 5, 10, 20, 50, 100, 200)
HELD_OUT = 0.1, 5000  # share of the codes that candidates are compared by, and the most
# EM of a mixture that is kept ends where an iteration gains less nats a code; of a candidate, sooner.
GAIN, MOST_ITERATIONS = 1e-3, 300
GAIN_OF_CANDIDATE, MOST_OF_CANDIDATE = 2e-2, 20
MOST_ON_ALL = 10  # of the chosen one, on all codes; more iterations bring held-out codes nothing
MOST_VARIATIONAL = 100  # as many as the released code lets it; its bound is of all codes together


class Mixture:
    """sum_k w_k N(mu_k, L_k L_k^T) over codes `[H_dim]`; before `fit`, all its components are N(0, I)."""

    Options = MixtureOptions
    FIT = "codes"
    DECODED_AS = "data"

    def __init__(self, latent_dim: int, options: MixtureOptions | None = None, *, seed: int = 0):
        self.options, self.latent_dim, self.seed = validate(options or MixtureOptions()), latent_dim, seed
        self._hold(1 if self.options.components == AUTO else int(self.options.components))

    def _hold(self, k):
        """Makes the variables of `k` components."""
        self.weights = tf.Variable(tf.fill([k], 1.0 / k), trainable=False, name="weights")
        self.means = tf.Variable(tf.zeros([k, self.latent_dim]), trainable=False, name="means")
        self.factors = tf.Variable(tf.eye(self.latent_dim, batch_shape=[k]), trainable=False, name="factors")
        self.sample = draws.sampler(self._draw)

    def allocate(self, shapes: dict[str, tuple]) -> None:
        """Makes room for a fitted state whose arrays have these shapes."""
        if self.options.components == AUTO and len(shapes["weights"]) == 1:
            self._hold(shapes["weights"][0])

    def state(self) -> dict[str, tf.Variable]:
        """The variables that sampling needs, by name."""
        return {"weights": self.weights, "means": self.means, "factors": self.factors}

    def fit(self, codes: np.ndarray, *, report: Callable[[int, str], None] | None = None) -> dict[str, Any]:
        """Fits to codes `[N, H_dim]`, and returns what was found, by name.

        Args:
          report: called after each iteration with how many there were, and words on it.

        Raises `InputError` for fewer codes than would fix the covariances.
        """
        self._require(len(codes))
        codes = np.asarray(codes, np.float64)
        report = report or (lambda *_: None)
        offset, scale = codes.mean(axis=0), np.maximum(codes.std(axis=0), 1e-8)
        if self.options.mixture == "dirichlet":
            found, facts = self._dirichlet(codes, report)
        else:
            found, facts = self._em((codes - offset) / scale, scale, report)
            found = found.moved(offset, scale)
        self._hold(len(found.weights))
        self.weights.assign(found.weights)
        self.means.assign(found.means)
        self.factors.assign(np.linalg.cholesky(found.covariances))
        return facts

    def _require(self, count):
        """Raises `InputError` where `count` codes are too few."""
        o = self.options
        k = CANDIDATES[0] if o.components == AUTO else int(o.components)
        least = em.fewest(k, self.latent_dim, o.covariance, o.rank)
        if count >= max(least, 2):
            return
        others = [kind for kind in COVARIANCES if em.fewest(k, self.latent_dim, kind, o.rank) <= count]
        offered = f"--covariance={others[0]}, " if others and o.mixture == "em" else ""
        checks.refuse(
            f"--components={o.components} with --covariance={o.covariance}",
            expected=f"at least {max(least, 2):,} codes for {k} covariances in {self.latent_dim}-D",
            received=count,
            remedy=f"use {offered}{'fewer components or ' if k > 1 else ''}more images",
        )

    def _em(self, codes, scale, report):
        """(`em.Gaussians`, facts) of codes of unit variance, which were divided by `scale` `[H_dim]`."""
        o, iterations, log_scale = self.options, 0, float(np.log(scale).sum())

        def run(fit, start, gain, most, said=""):
            nonlocal iterations
            trail = fit.iterate(start)
            (value, found), gained = next(trail), np.inf
            for _ in range(most):
                before, (value, found) = value, next(trail)
                iterations, gained = iterations + 1, value - before
                report(iterations, f"{said}log-likelihood {value - log_scale:.5g}")
                if gained < gain:
                    break
            return value - log_scale, found, gained < gain

        how = {"covariance": o.covariance, "rank": o.rank, "seed": self.seed, "units": scale / scale.max()}
        facts = {}
        if o.components == AUTO:
            start, facts = self._chosen(codes, log_scale, how, run)
        with em.EM(codes, **how) as fit:
            start = start if facts else fit.start(int(o.components))
            value, found, converged = run(fit, start, GAIN, MOST_ON_ALL if facts else MOST_ITERATIONS)
        if not converged and not facts:
            from sklearn.exceptions import ConvergenceWarning

            warnings.warn(f"EM had not converged after {MOST_ITERATIONS} iterations", ConvergenceWarning, stacklevel=3)
        return found, {"log_likelihood": value, "iterations": iterations, "components": len(found.weights), **facts}

    def _chosen(self, codes, log_scale, how, run):
        """(the candidate that gives held-out codes the highest likelihood, facts)."""
        order = np.random.default_rng(self.seed).permutation(len(codes))
        count = max(1, min(int(HELD_OUT[0] * len(codes)), HELD_OUT[1]))
        held_out, rest = codes[order[:count]], codes[order[count:]]
        scores, best = {}, None
        with em.EM(rest, **how) as fit:
            for k in CANDIDATES:
                if scores and len(rest) < em.fewest(k, self.latent_dim, how["covariance"], how["rank"]):
                    break
                _, found, _ = run(fit, fit.start(k), GAIN_OF_CANDIDATE, MOST_OF_CANDIDATE, f"{k} components, ")
                scores[k] = fit.score(found, held_out) - log_scale
                if scores[k] == max(scores.values()):
                    best = found
                elif k > 5:
                    break  # from there on more Gaussians only overfit, and cost the most
        return best, {"held_out_log_likelihood": max(scores.values()), "candidates": scores}

    def _dirichlet(self, codes, report):
        """(`em.Gaussians`, facts) at the means of scikit-learn's variational posterior."""
        import threadpoolctl
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

        # One iteration a call, each from where the last one ended: scikit-learn tells of none before its fit is over.
        k = int(self.options.components)
        fitted = BayesianGaussianMixture(
            n_components=k,
            weight_concentration_prior_type="dirichlet_process",
            weight_concentration_prior=1.0 / k,
            random_state=self.seed,
            max_iter=1,
            warm_start=True,
        )
        used = GaussianMixture(k)  # its own score is under the whole posterior
        with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # which says that one iteration was not enough
            for iteration in range(1, MOST_VARIATIONAL + 1):
                fitted.fit(codes)
                used.weights_, used.means_ = fitted.weights_, fitted.means_
                used.precisions_cholesky_ = fitted.precisions_cholesky_
                value = float(used.score(codes))
                report(iteration, f"log-likelihood {value:.5g}")
                if fitted.converged_:
                    break
        found = em.Gaussians(fitted.weights_, fitted.means_, fitted.covariances_)
        return found, {"log_likelihood": value, "iterations": iteration, "components": k}

    def distribution(self) -> "tfp.distributions.MixtureSameFamily":
        """The mixture as a TFP distribution over codes `[H_dim]`."""
        import tensorflow_probability as tfp  # a second to load

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
        component = tf.minimum(tf.searchsorted(upper, uniform, side="right"), self.weights.shape[0] - 1)
        eps = streams.normals_of(seeds, self.latent_dim, "sample/code")
        return tf.gather(self.means, component) + tf.linalg.matvec(tf.gather(self.factors, component), eps)
