"""What is kept of a set of images to score against: moments of all features, and some of the features themselves.

Those of real images are cached under the hash of what they depend on, so that a second score reads them back.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterable

import numpy as np

from pga_tf.core import checks, files
from pga_tf.evaluation import kernel, prdc, protocol
from pga_tf.evaluation.moments import Moments

NEIGHBOURS = 50_000  # images of a side that are compared pair by pair; at 2048 dimensions, 400 MB of features
# Images whose moments are summed by themselves, these sums then in order: the same bits wherever each was summed.
PART = 10_000


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Of N images: `moments` of all N features, and `features` `[min(N, keep), D]` float32 of the first ones.

    What belongs to real images alone is computed when it is first asked for, and once for all that is compared with
    them: `balls` around their features, `blocks` of them, and the factor of their moments.
    """

    moments: Moments
    features: np.ndarray

    @functools.cached_property
    def balls(self) -> prdc.Balls:
        """What precision, recall, density and coverage take of the real side."""
        return prdc.Balls(self.features, "real")

    @functools.cached_property
    def blocks(self) -> kernel.Blocks:
        """What the kernel distance takes of the real side."""
        return kernel.Blocks(self.features)


def collect(
    batches: Iterable[np.ndarray],
    extract: Callable[[np.ndarray], np.ndarray],
    *,
    keep: int = NEIGHBOURS,
    what: str = "images",
) -> Statistics:
    """Streams image batches `[B, H, W, C]` through `extract` to `Statistics`; memory does not grow with N.

    Raises `InputError` for fewer than two images, for images that are all the same, and for what `extract` refuses.
    """
    moments, part, kept, held, first, differ = None, None, [], 0, None, False
    for images in batches:
        first = images[:1] if first is None else first
        differ = differ or bool((images != first).any())
        features = extract(images)
        if moments is None:
            moments, part = Moments(features.shape[1]), Moments(features.shape[1])
        elif part.count >= PART:
            moments.merge(part)
            part = Moments(features.shape[1], first=moments.count)
        part.add(features)
        if held < keep:
            kept.append(features[: keep - held])
            held += len(kept[-1])
    if moments is not None:
        moments.merge(part)
    if moments is None or moments.count < 2:
        checks.refuse(
            f"Number of {what}",
            expected="at least 2",
            received=moments.count if moments else 0,
            remedy="score more images",
        )
    if not differ:
        refuse_constant(what, moments.count)
    return Statistics(moments, np.concatenate(kept))


def refuse_constant(what: str, count: int) -> None:
    """Raises `InputError` for `count` images, called `what`, that are all equal."""
    checks.refuse(
        what.capitalize(),
        expected="images that differ from each other",
        received=f"{count} equal ones",
        remedy="look at one of them; no score is defined for a constant set",
    )


class Cache:
    """Statistics of real images on disk, one file for each key. None of it is needed: it saves time."""

    def __init__(self, folder: str | os.PathLike | None, *, warn: Callable[[str], None] = print):
        self.folder, self.warn = pathlib.Path(files.home(folder)), warn

    def get(self, key: dict, build: Callable[[], Statistics]) -> Statistics:
        """The statistics under `key`, a dict of plain values, from disk or else by `build()`.

        A file that cannot be read is built anew, with a warning; so is everything where the folder cannot be written.
        """
        path = self.folder / f"{protocol.digest(key)}.npz"
        if path.exists():
            try:
                return _read(path, key)
            except Exception as error:  # what NumPy and zipfile raise for damaged bytes has no end
                self.warn(f"warning: {path} cannot be used ({error}); it is built anew")
        statistics = build()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(path, key, statistics)
        except OSError as error:
            self.warn(f"warning: statistics of the real images are not kept: {error}")
        return statistics


def _write(path, key, statistics):
    with files.replacing(path) as file:
        np.savez(file, key=np.array(protocol.digest(key)), features=statistics.features, **statistics.moments.arrays())


def _read(path, key):
    with np.load(path, allow_pickle=False) as stored:
        if str(stored["key"]) != protocol.digest(key):
            raise ValueError("it is of another protocol")
        moments, features = Moments.of_arrays(stored), stored["features"]
    dimensions, arrays = len(moments.mean), (moments.mean, moments.scatter, features)
    if [array.shape for array in arrays] != [(dimensions,), (dimensions,) * 2, (len(features), dimensions)]:
        raise ValueError("arrays of shapes that do not belong together")
    if not 2 <= len(features) <= moments.count or not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("numbers that cannot be")
    return Statistics(moments, features)
