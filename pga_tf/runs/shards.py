"""Samples as a folder of shards, which any number of processes write together."""

import collections
import hashlib
import pathlib
import re
from collections.abc import Callable

import numpy as np

from pga_tf.core import checks, files, locks, ranges, shards
from pga_tf.core.progress import Progress
from pga_tf.runs.drawing import BATCH, Drawing

CHUNK = 4 * BATCH  # samples between two looks at the clock
SETTLING = 10.0  # seconds for which a process may hold the card
WRITTEN, FOUND, HELD = "written", "found", "held"
OURS = re.compile(f"{shards.NAME.pattern}|{re.escape(shards.CARD)}")


def fingerprint(draw: Drawing) -> str:
    """Hash of all that a `Drawing` makes samples with, its model and its prior: 16 hexadecimal digits."""
    fitted = draw.prior.state() if hasattr(draw.prior, "state") else {}
    digest = hashlib.sha256()
    for variable in [*draw.model.weights, *fitted.values()]:
        digest.update(np.ascontiguousarray(np.asarray(variable)))
    return digest.hexdigest()[:16]


def drawn(
    draw: Drawing, start: int, stop: int, *, count: int, seed: int, advance: Callable[[int], None] | None = None
) -> np.ndarray:
    """Samples `start` up to `stop` of `count`: uint8 `[stop - start, H, W, C]`, the same to the bit in any ranges.

    They are drawn in chunks that start at multiples of `CHUNK` whatever the range: a processor rounds batches of other
    sizes otherwise. `advance` is called with how many there are more.
    """
    images = np.empty((stop - start, *draw.model.image_shape), np.uint8)
    for first in range(start - start % CHUNK, stop, CHUNK):
        part = draw.samples(min(CHUNK, count - first), seed, first)
        if part.dtype != np.uint8:  # points
            part = ranges.to_uint8(part, draw.model.image_range).numpy()
        low, high = max(first, start), min(first + len(part), stop)
        images[low - start : high - start] = part[low - first : high - first]
        if advance:
            advance(high - low)
    return images


def store(path: pathlib.Path, images: np.ndarray, *, compress: bool) -> None:
    """Writes the array `images` of an .npz file, whole or not at all."""
    with files.replacing(path) as file:
        (np.savez_compressed if compress else np.savez)(file, **{shards.ARRAY: images})


def settle(folder: pathlib.Path, card: shards.Card) -> None:
    """Leaves the card in a folder that is new. Raises `InputError` for one that has the shards of other samples."""
    lock, what = folder / f".{shards.CARD}.lock", f"--out={folder}"
    with locks.exclusive(lock, what, expected="a card that no other process writes", seconds=SETTLING):
        try:
            if not (folder / shards.CARD).exists() and not shards.has_shards(folder):
                card.write(folder)
            found = card.differences(shards.read(folder))
        finally:
            lock.unlink(missing_ok=True)  # whoever waits for it finds the card
    if found:
        checks.refuse(
            what,
            expected="a folder that is new, or has shards of the same samples",
            received=f"one with {', '.join(found)}",
            remedy="name another folder",
        )


def write(draw: Drawing, folder: pathlib.Path, card: shards.Card, *, compress: bool) -> dict[str, int]:
    """Writes those shards of `folder` that are neither there and whole nor being written by another process.

    Returns how many shards were "written", "found" there, and "held" by others at the end. A process that is killed
    holds nothing: what it had begun is begun anew, by the others or by the next. Raises as `settle` does.
    """
    settle(folder, card)
    files.sweep(folder, OURS)
    tally, waiting, wrote = collections.Counter(), list(range(card.count)), True
    with Progress("samples", card.num_samples) as progress:
        while waiting and wrote:  # those that others held are looked at again: their holders may have ended meanwhile
            outcomes = {shard: _shard(draw, folder, card, shard, compress, progress) for shard in waiting}
            tally.update(outcomes.values())
            waiting = [shard for shard, outcome in outcomes.items() if outcome == HELD]
            wrote = WRITTEN in outcomes.values()
    files.sweep(folder, OURS)  # of those that were killed meanwhile
    return {WRITTEN: tally[WRITTEN], FOUND: tally[FOUND], HELD: len(waiting)}


def _shard(draw, folder, card, shard, compress, progress):
    """Writes one shard where that is to be done; what became of it."""
    path, (start, stop) = card.path(folder, shard), card.bounds(shard)
    lock = path.with_name(f".{path.name}.lock")
    try:
        with locks.exclusive(lock, str(path), expected="a shard that no other process writes"):
            there = card.is_whole(folder, shard)
            if there:
                progress.skip(stop - start)
            else:
                sampled = {"count": card.num_samples, "seed": card.seed, "advance": progress.advance}
                store(path, drawn(draw, start, stop, **sampled), compress=compress)
            # Whoever opened the lock before it went finds a whole shard under it.
            lock.unlink(missing_ok=True)
            return FOUND if there else WRITTEN
    except locks.Held:
        return HELD
