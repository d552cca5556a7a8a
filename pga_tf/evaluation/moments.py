"""First and second moments of features, streamed, so that memory does not grow with the number of images."""

from collections.abc import Mapping
from typing import Self

import numpy as np
import scipy.linalg

from pga_tf.core import checks


class Moments:
    """Mean and covariance of feature vectors that arrive in batches, in float64.

    Batches are merged by Chan, Golub and LeVeque's update, which stays exact where the sum of squares would
    cancel: features whose mean is large beside their spread. `first`: number of the first image, for messages.
    """

    def __init__(self, dimensions: int, first: int = 0):
        self.count, self._first = 0, first
        self.mean = np.zeros(dimensions)
        self.scatter = np.zeros((dimensions, dimensions))
        self._factor = None

    def add(self, features: np.ndarray) -> Self:
        """Adds features `[N, D]`. Raises `InputError` if one is not finite or D is another."""
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            checks.refuse(
                "Features",
                expected=f"shape [N, {len(self.mean)}]",
                received=f"{features.shape}",
                remedy="use one feature network for all images",
            )
        if not np.isfinite(features).all():
            row = int(np.argmin(np.isfinite(features).all(axis=1)))
            checks.refuse(
                "Features",
                expected="finite values",
                received=f"NaN or infinity, first for image {self._first + self.count + row}",
                remedy="look at that image, and at the feature network",
            )
        if not len(features):
            return self
        mean = features.mean(axis=0)
        centred = features - mean
        return self._join(len(features), mean, centred.T @ centred)

    def merge(self, other: Self) -> Self:
        """Adds what `other`, `Moments` of as many dimensions, has seen: the parts of a set may be taken anywhere."""
        return self._join(other.count, other.mean, other.scatter) if other.count else self

    def _join(self, count, mean, scatter):
        total, shift = self.count + count, mean - self.mean
        self.scatter = self.scatter + (scatter + np.outer(shift, shift) * (self.count * count / total))
        self.mean = self.mean + shift * (count / total)
        self.count, self._factor = total, None
        return self

    def arrays(self) -> dict[str, int | np.ndarray]:
        """What `of_arrays` makes the same moments of: dict of arrays."""
        return {"count": self.count, "mean": self.mean, "scatter": self.scatter}

    @classmethod
    def of_arrays(cls, stored: Mapping[str, np.ndarray]) -> Self:
        """The moments of `arrays`, or of a file with these entries."""
        moments = cls(len(stored["mean"]))
        moments.count, moments.mean, moments.scatter = int(stored["count"]), stored["mean"], stored["scatter"]
        return moments

    def covariance(self) -> np.ndarray:
        """Unbiased covariance `[D, D]`. Raises `InputError` for fewer than two images."""
        if self.count < 2:
            checks.refuse("Number of images", expected="at least 2", received=self.count, remedy="score more images")
        return self.scatter / (self.count - 1)

    def factor(self) -> np.ndarray:
        """F `[D, R]` with F F' = `covariance()` of rank R, by Cholesky's method with pivoting; kept.

        It stops where what is left is rounding: D times the machine's epsilon times the largest variance.
        """
        if self._factor is None:
            lower, pivots, rank, _ = scipy.linalg.lapack.dpstrf(self.covariance(), lower=1)
            factor = np.zeros_like(self.scatter)
            factor[pivots - 1] = np.tril(lower)
            self._factor = factor[:, : max(rank, 1)]
        return self._factor
