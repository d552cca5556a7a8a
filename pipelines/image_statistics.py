"""Statistics of images that add up: one image's facts, and summaries of sets that merge in any order.

Everything is counted in integers, so that the result does not depend on where and in which order it was summed.
"""

import collections
import dataclasses
import re

import numpy as np

from pga_tf.data.report import CONSTANT
from pipelines import examples as examples_lib

CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}
LEVELS = 256
IN_MEMORY = re.compile(r" <[\w.]+ object at 0x[0-9a-f]+>")
NAMED = 100  # names that are kept of a kind


@dataclasses.dataclass(frozen=True)
class Facts:
    """Of one image: `corrupt` says why it cannot be decoded; where it is "", the rest holds.

    `histogram` is int64 `[C, 256]`.
    """

    split: str
    title: str
    corrupt: str = ""
    shape: tuple[int, int, int] = (0, 0, 0)
    histogram: np.ndarray | None = None
    near_constant: bool = False
    pixels: str = ""  # hash by which copies are found


def facts(item):
    """The `Facts` of an `Item`."""
    try:
        pixels = examples_lib.decode(item.encoded)
    except Exception as error:  # PIL answers damaged files with errors of many types
        return Facts(item.split, item.title, corrupt=_reason(error))
    channels = range(pixels.shape[-1])
    return Facts(
        item.split,
        item.title,
        shape=pixels.shape,
        histogram=np.stack([np.bincount(pixels[..., c].ravel(), minlength=LEVELS) for c in channels]),
        near_constant=int(np.ptp(pixels)) < CONSTANT * (LEVELS - 1),
        pixels=examples_lib.pixel_digest(pixels),
    )


def _reason(error):
    """What PIL says, less the address of the bytes in memory: equal data are to give equal statistics."""
    return IN_MEMORY.sub("", str(error)) or type(error).__name__


class Summary:
    """Counts over a set of images. Hashes of pixels are kept, unless duplicates are counted elsewhere.

    `corrupt` and `near_constant` name at most `NAMED` images, those first by name, so that any order gives the same.
    """

    def __init__(self, *, keep_hashes=True):
        self.keep_hashes = keep_hashes
        self.images, self.shapes = collections.Counter(), collections.Counter()
        self.histograms = {}
        self.corrupt, self.near_constant, self.copies = {}, [], {}
        self.numbers = collections.Counter()

    def add(self, facts):
        self.images[facts.split] += 1
        if facts.corrupt:
            self.numbers["corrupt"] += 1
            self.corrupt[facts.title] = facts.corrupt
        else:
            self.shapes[facts.shape] += 1
            self._add_histogram({name: facts.histogram[c] for c, name in enumerate(CHANNELS[facts.shape[-1]])})
            if facts.near_constant:
                self.numbers["near_constant"] += 1
                self.near_constant.append(facts.title)
            if self.keep_hashes:
                self.copies.setdefault(bytes.fromhex(facts.pixels), []).append(facts.title)
        return self._trimmed()

    def merge(self, other):
        self.images += other.images
        self.shapes += other.shapes
        self.numbers += other.numbers
        self._add_histogram(other.histograms)
        self.corrupt |= other.corrupt
        self.near_constant += other.near_constant
        for pixels, titles in other.copies.items():
            self.copies.setdefault(pixels, []).extend(titles)
        return self._trimmed()

    def _add_histogram(self, histograms):
        for name, counts in histograms.items():
            self.histograms[name] = self.histograms.get(name, 0) + counts

    def _trimmed(self):
        if len(self.corrupt) > 2 * NAMED:
            self.corrupt = dict(sorted(self.corrupt.items())[:NAMED])
        if len(self.near_constant) > 2 * NAMED:
            self.near_constant = sorted(self.near_constant)[:NAMED]
        return self

    def groups(self):
        """(number of images that repeat another, at most `NAMED` groups of equal ones)."""
        groups = sorted(sorted(titles) for titles in self.copies.values() if len(titles) > 1)
        return sum(len(titles) - 1 for titles in groups), groups[:NAMED]

    def result(self, duplicates=None):
        """The statistics as plain values. `duplicates`: what `groups` gives, where hashes were not kept."""
        repeated, groups = duplicates or self.groups()
        total = sum(self.histograms.values()) if self.histograms else np.zeros(LEVELS, np.int64)
        values, levels = max(int(total.sum()), 1), np.arange(LEVELS)
        mean = int((total * levels).sum()) / values
        reached = np.flatnonzero(total)
        return {
            "images": sum(self.images.values()),
            "splits": dict(sorted(self.images.items())),
            "shapes": {"x".join(map(str, shape)): count for shape, count in sorted(self.shapes.items())},
            "minimum": int(reached[0]) if len(reached) else None,
            "maximum": int(reached[-1]) if len(reached) else None,
            "mean": mean,
            "std": float(np.sqrt(max(int((total * levels**2).sum()) / values - mean**2, 0.0))),
            "histograms": {name: counts.tolist() for name, counts in sorted(self.histograms.items())},
            "corrupt": self.numbers["corrupt"],
            "corrupt_images": dict(sorted(self.corrupt.items())[:NAMED]),
            "near_constant": self.numbers["near_constant"],
            "near_constant_images": sorted(self.near_constant)[:NAMED],
            "duplicates": repeated,
            "duplicate_images": groups,
        }
