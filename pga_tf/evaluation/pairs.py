"""Which pairs of features are nearer than a limit: told in float32, and in float64 where that does not tell.

A tile of squared distances is one product of float32 matrices with |x|^2 and |y|^2 as two more columns, about a centre
and at a scale at which nothing overflows. Its rounding is bounded, so that almost every pair is decided by it. What is
not is computed anew: pair by pair from differences or, where it is a good part of the tile, as a product in float64.
Either way counts as exact up to `slack`, so that no answer depends on the size of the tiles.
"""

from collections.abc import Iterator

import numpy as np

ANEW = 100  # a pair costs so many times more from differences than in a float64 product
AT_A_TIME = 2**20  # values of differences, in float64
FAINT = np.float32(1e-30)  # where squares fall out of float32's range, at a scale at which the largest is near 1


class Side:
    """Features `[N, D]` about a `centre` `[D]`, cut into `blocks` of rows; `squares` float64 `[N]` are |x|^2.

    The centre is rounded to float32, so that it is the same for features of any type.
    """

    def __init__(self, features: np.ndarray, centre: np.ndarray, block_size: int):
        features = np.asarray(features)
        self.features = features if features.dtype in (np.float32, np.float64) else features.astype(np.float64)
        self.centre = centre.astype(np.float32).astype(self.features.dtype)
        self.blocks = [slice(i, min(i + block_size, len(features))) for i in range(0, len(features), block_size)]
        self.squares = np.concatenate([(self.exact(rows) ** 2).sum(axis=1) for rows in self.blocks])

    def exact(self, rows: slice) -> np.ndarray:
        """Rows about the centre, float64 `[R, D]`."""
        return self.features[rows].astype(np.float64) - self.centre

    def factor(self, rows: slice, scale: float, *, left: bool) -> np.ndarray:
        """One of two factors, float32 `[R, D + 2]`, whose product is no more than scale^2 |x - y|^2."""
        dimensions = self.features.shape[1]
        factor = np.empty((rows.stop - rows.start, dimensions + 2), np.float32)
        # Exact but for one rounding of the difference itself: the centre is a number of the features' own type too.
        np.subtract(self.features[rows], self.centre, out=factor[:, :dimensions], casting="same_kind")
        factor[:, :dimensions] *= np.float32(-2.0 * scale if left else scale)
        least = (1.0 - rounding(dimensions)) * scale**2 * self.squares[rows]
        factor[:, dimensions:] = (
            np.stack([least - FAINT, np.ones_like(least)] if left else [np.ones_like(least), least])
        ).T
        return factor


def rounding(dimensions: int) -> float:
    """c such that a float32 product of factors is within c (|x|^2 + |y|^2) of the squared distance, in any order."""
    return 2.0 * (dimensions + 8) * 2.0**-24


def slack(dimensions: int) -> float:
    """s such that rounding in float64 moves a squared distance by less than s (|x|^2 + |y|^2) / 2."""
    return 2.0 * (dimensions + 8) * np.finfo(np.float64).eps


def product(x: Side, rows: slice, y: Side, columns: slice) -> np.ndarray:
    """Squared distances of rows of x to rows of y, both about one centre, as a product in float64: `[R, C]`."""
    distances = x.exact(rows) @ y.exact(columns).T
    distances *= -2.0
    distances += x.squares[rows, None]
    distances += y.squares[columns]
    return distances


class Tile:
    """Squared distances of `rows` of x to `columns` of y, both `Side`s about one centre.

    `low` float32 `[R, C]`: scale^2 times none is below it, nor above it by more than twice what `rounding` tells.
    """

    def __init__(self, x: Side, rows: slice, y: Side, columns: slice, low: np.ndarray, scale: float):
        self.x, self.rows, self.y, self.columns, self.low, self.scale = x, rows, y, columns, low, scale

    def maybe(self, limits: np.ndarray) -> np.ndarray:
        """Pairs that may be nearer than `limits`, `[R, 1]` or `[C]`: int `[P]` into the tile, rows after each other."""
        bounds = np.nextafter((limits * self.scale**2).astype(np.float32), np.float32(np.inf))
        return np.flatnonzero(self.low < bounds)

    def exact(self, at: np.ndarray) -> np.ndarray:
        """Squared distances of the pairs `at`, float64 `[P]`."""
        if self.too_many(at):
            return self.anew().ravel()[at]
        i, j = self.split(at)
        step = max(1, AT_A_TIME // self.x.features.shape[1])
        found = np.empty(len(at))
        for start in range(0, len(at), step):
            part = slice(start, start + step)
            rows, columns = i[part] + self.rows.start, j[part] + self.columns.start
            difference = self.x.features[rows].astype(np.float64) - self.y.features[columns]
            found[part] = np.square(difference, out=difference).sum(axis=1)
        return found

    def too_many(self, at: np.ndarray) -> bool:
        """Whether pairs `at` are rather computed with the whole tile."""
        return len(at) * ANEW > self.low.size

    def anew(self) -> np.ndarray:
        """The whole tile, float64 `[R, C]`."""
        return product(self.x, self.rows, self.y, self.columns)

    def split(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the pairs `at`, from 0 on."""
        return np.divmod(at, self.low.shape[1])

    def nearer(self, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rows, columns) of the pairs that are nearer than `limits`, `[R, 1]` or `[C]`, by more than the slack."""
        at = self.maybe(limits)
        if not len(at):
            return self.split(at)
        dimensions = self.x.features.shape[1]
        i, j = self.split(at)
        squares = self.x.squares[self.rows][i] + self.y.squares[self.columns][j]
        asked = np.broadcast_to(limits, self.low.shape)[i, j] - slack(dimensions) * squares
        most = self.low.ravel()[at] / self.scale**2 + 2.0 * rounding(dimensions) * squares
        inside = most + 2.0 * FAINT / self.scale**2 < asked
        doubtful = np.flatnonzero(~inside)
        if len(doubtful):
            inside[doubtful] = self.exact(at[doubtful]) < asked[doubtful]
        return i[inside], j[inside]


def tiles(x: Side, y: Side | None = None) -> Iterator[Tile]:
    """All pairs of x and y as `Tile`s, each until the next; without y those of two blocks of x, in one order."""
    other = x if y is None else y
    largest = max(x.squares.max(), other.squares.max())
    scale = 2.0 ** -(np.frexp(largest)[1] // 2) if largest else 1.0  # a power of two: nothing is rounded
    memory = np.empty(x.blocks[0].stop * other.blocks[0].stop, np.float32)  # fresh memory would cost time
    for number, rows in enumerate(x.blocks):
        left = x.factor(rows, scale, left=True)
        for columns in other.blocks if y is not None else other.blocks[number + 1 :]:
            right = other.factor(columns, scale, left=False)
            low = memory[: len(left) * len(right)].reshape(len(left), len(right))
            np.matmul(left, right.T, out=low)
            yield Tile(x, rows, other, columns, low, scale)


def nearest(x: Side, count: int) -> np.ndarray:
    """Squared distances to the `count` nearest others of each row of x, float64 `[N]` of the last of them.

    Rows have more than `count` others; what they are nearer than is tightened tile by tile.
    """
    held = np.full((len(x.features), count), np.inf)
    for rows in x.blocks:
        within = product(x, rows, x, rows)
        np.fill_diagonal(within, np.inf)
        held[rows] = _smallest(held[rows], within)
    for tile in tiles(x):
        rows, columns = held[tile.rows], held[tile.columns]  # views
        at, across = tile.maybe(rows.max(axis=1)[:, None]), tile.maybe(columns.max(axis=1))
        if tile.too_many(at) or tile.too_many(across):
            whole = tile.anew()
            rows[:], columns[:] = _smallest(rows, whole), _smallest(columns, whole.T)
            continue
        _merge(rows, tile.split(at)[0], tile.exact(at))
        across = across[np.argsort(tile.split(across)[1], kind="stable")]
        _merge(columns, tile.split(across)[1], tile.exact(across))
    return held.max(axis=1)


def _smallest(held, found):
    """Of each row the smallest of both, as many as are held."""
    both, count = np.hstack([held, found]), held.shape[1]
    both.partition(count - 1, axis=1)
    return both[:, :count]


def _merge(held, rows, found):
    """Puts `found` `[P]`, each of one of ascending `rows` `[P]`, in the place of larger ones `held` `[R, count]`."""
    touched, first, counts = np.unique(rows, return_index=True, return_counts=True)
    if not len(touched):
        return
    table = np.full((len(touched), counts.max()), np.inf)
    table[np.repeat(np.arange(len(touched)), counts), np.arange(len(rows)) - np.repeat(first, counts)] = found
    held[touched] = _smallest(held[touched], table)
