"""Expectation-maximisation for Gaussian mixtures, in NumPy: a start by k-means, one iteration at a time.

Responsibilities r_nk = w_k N(z_n; mu_k, S_k) / sum_j w_j N(z_n; mu_j, S_j); then w_k = mean_n r_nk, mu_k and S_k the
mean and covariance of codes weighed by r_nk (Bishop, 2006, Eqs. 9.23-9.27). A covariance is kept whole ("full"), its
diagonal ("diagonal"), or what remains of it in `rank` directions beside noise that is the same in all others
("low_rank": Tipping and Bishop, Mixtures of Probabilistic PCA, 1999, section 3.2, which is the maximum of that step).
"""

import concurrent.futures
import contextlib
import dataclasses
import os
from collections.abc import Iterator

import numpy as np

RIDGE = 1e-6  # added to variances of codes of unit variance, as scikit-learn does
NOTHING = 1e-9  # a responsibility below it moves nothing
CHUNK = 2048  # codes at a time
STARTED_ON = 20_000  # codes that k-means sees at most


@dataclasses.dataclass(frozen=True)
class Gaussians:
    """sum_k w_k N(mu_k, S_k): weights `[K]`, means `[K, D]`, covariances `[K, D, D]`, float64."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def moved(self, offset: np.ndarray, scale: np.ndarray) -> "Gaussians":
        """The law of offset + scale * z, for vectors `[D]` and z of this law."""
        return Gaussians(self.weights, offset + scale * self.means, self.covariances * scale[:, None] * scale[None, :])


def fewest(components: int, dimensions: int, covariance: str, rank: int) -> int:
    """How many codes `components` such covariances need at the least."""
    return components * (1 + {"full": dimensions, "low_rank": min(rank + 1, dimensions), "diagonal": 1}[covariance])


class EM:
    """EM over codes `[N, D]` that have about unit variance; `dtype` is that of the products of matrices.

    `units` `[D]`: what distances of k-means multiply dimensions by, else 1.

    Use it as a context: products run in one thread each, several of them side by side. With two threads in one product,
    fits to 60,000 codes of 32 dimensions had not ended after 6 and 10 minutes.
    """

    def __init__(
        self,
        codes: np.ndarray,
        *,
        covariance: str = "full",
        rank: int = 0,
        seed: int = 0,
        units: np.ndarray | float = 1.0,
        dtype: type = np.float32,
    ):
        self.codes, self.units = codes.astype(dtype), np.asarray(units, dtype)
        self.covariance, self.rank, self.seed = covariance, rank, seed

    def __enter__(self) -> "EM":
        import threadpoolctl

        with contextlib.ExitStack() as stack:
            stack.enter_context(threadpoolctl.threadpool_limits(1))
            self._workers = stack.enter_context(concurrent.futures.ThreadPoolExecutor(min(os.cpu_count() or 1, 8)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def start(self, components: int) -> Gaussians:
        """One Gaussian to each cluster that k-means finds."""
        from sklearn.cluster import KMeans

        chosen = np.random.default_rng(self.seed).permutation(len(self.codes))[:STARTED_ON]
        kmeans = KMeans(components, n_init=1, random_state=self.seed, max_iter=20)
        labels = kmeans.fit(self.codes[chosen] * self.units).predict(self.codes * self.units)
        return self._maximised((labels[:, None] == np.arange(components)).astype(self.codes.dtype))

    def iterate(self, found: Gaussians) -> Iterator[tuple[float, Gaussians]]:
        """Without end: (mean log-likelihood of a code under a mixture, nats; the mixture), the first from `found`."""
        while True:
            joint, log_likelihood = self._expected(found, self.codes)
            yield log_likelihood, found
            found = self._maximised(joint)

    def score(self, found: Gaussians, codes: np.ndarray) -> float:
        """Mean log-likelihood of codes `[M, D]`, nats."""
        return self._expected(found, codes.astype(self.codes.dtype))[1]

    def _expected(self, found, codes):
        """(responsibilities `[N, K]`, mean log-likelihood)."""
        k, dimensions = found.means.shape
        factors = np.linalg.cholesky(found.covariances)
        whiteners = np.linalg.inv(factors).transpose(0, 2, 1)  # z^T W = (L^-1 z)^T
        of_each = np.log(np.maximum(found.weights, 1e-300)) - 0.5 * dimensions * np.log(2 * np.pi)
        of_each -= np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        side_by_side = whiteners.transpose(1, 0, 2).reshape(dimensions, -1).astype(codes.dtype)
        centres = np.einsum("kd,kde->ke", found.means, whiteners).reshape(-1).astype(codes.dtype)
        group = max(1, 1024 // dimensions)  # components at a time, so that what they give stays in the cache

        def of_chunk(start):
            part = codes[start : start + CHUNK]
            joint = np.empty([len(part), k])
            for first in range(0, k, group):
                columns = slice(first * dimensions, (first + group) * dimensions)
                white = (part @ side_by_side[:, columns] - centres[columns]).reshape(len(part), -1, dimensions)
                joint[:, first : first + group] = -0.5 * np.einsum("nkd,nkd->nk", white, white)
            joint += of_each
            largest = joint.max(axis=1, keepdims=True)
            total = np.exp(joint - largest).sum(axis=1, keepdims=True)
            evidence = largest + np.log(total)
            return np.exp(joint - evidence).astype(codes.dtype), evidence.sum()

        parts = list(self._workers.map(of_chunk, range(0, len(codes), CHUNK)))
        return np.concatenate([part for part, _ in parts]), float(sum(total for _, total in parts) / len(codes))

    def _maximised(self, responsibilities):
        """The Gaussians that these responsibilities `[N, K]` make likeliest."""
        dimensions = self.codes.shape[1]

        def of_component(k):
            rows = np.flatnonzero(responsibilities[:, k] > NOTHING)
            share, own = responsibilities[rows, k].astype(np.float64), self.codes[rows]
            total = share.sum() + 10 * np.finfo(np.float64).eps
            mean = share @ own / total
            off = own - mean.astype(own.dtype)
            covariance = (off * (share / total).astype(own.dtype)[:, None]).T @ off
            return total, mean, self._shaped(covariance.astype(np.float64)) + RIDGE * np.eye(dimensions)

        found = list(self._workers.map(of_component, range(responsibilities.shape[1])))
        totals, means, covariances = (np.stack(part) for part in zip(*found, strict=True))
        return Gaussians(totals / totals.sum(), means, covariances)

    def _shaped(self, covariance):
        if self.covariance == "full":
            return covariance
        if self.covariance == "diagonal":
            return np.diag(np.diag(covariance))
        return low_rank(covariance, self.rank)


def low_rank(covariance: np.ndarray, rank: int) -> np.ndarray:
    """U (L - s I) U^T + s I: the `rank` largest eigenvalues L of a matrix `[D, D]`, and the mean s of the others."""
    values, vectors = np.linalg.eigh(covariance)
    if rank >= len(values):
        return covariance
    noise = values[:-rank].mean() if rank else values.mean()
    kept, directions = values[len(values) - rank :], vectors[:, len(values) - rank :]
    return (directions * (kept - noise)) @ directions.T + noise * np.eye(len(values))
