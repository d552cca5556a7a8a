"""What the images are like, told before the first step: a user learns of bad data here, not an hour later."""

import dataclasses
import hashlib

import numpy as np

from pga_tf.core import checks, pictures
from pga_tf.core.pictures import NAMED
from pga_tf.data.source import Source

LOOKED_AT = 500  # images of a split: a start should not wait until thousands of photographs are decoded
CONSTANT = 0.01  # an image whose values span less than this part of the range shows nothing


@dataclasses.dataclass(frozen=True)
class DataReport:
    """Statistics of `looked_at` of the `count` images of a split, in the source's own units.

    Attributes:
      minimum, maximum: over all values. mean, std: one number per channel.
      near_constant: names of the images looked at that span less than 1% of the range.
      repeated: names of images that repeat another one exactly, each with that one's.
      shared: names of the `held_out` held-out images that were looked at too and equal one of these, each with that
        one's.
      corrupt: unreadable files met, name to reason.
      told: lines on what is not used, or was not taken as it is stored.
    """

    name: str
    split: str
    count: int
    looked_at: int
    shape: tuple[int, int, int]
    dtype: str
    value_range: tuple[float, float]
    minimum: float
    maximum: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    near_constant: tuple[str, ...]
    repeated: tuple[tuple[str, str], ...]
    held_out: int
    shared: tuple[tuple[str, str], ...]
    corrupt: dict[str, str]
    told: tuple[str, ...]


def inspect(source: Source, split: str = "train", limit: int = LOOKED_AT) -> DataReport:
    """A `DataReport` on at most `limit` images of `split`, always the same ones.

    Raises:
      InputError: no such split, no readable image, values that are not finite or outside the declared range.
    """
    checks.require_member(f"Split of {source.name}", split, source.readers)
    reader = source.readers[split]
    names, images = reader.sample(limit)
    if not len(images):
        checks.refuse(
            f"Images of {source.name}",
            expected="one that can be read",
            received="none",
            remedy="repair the files",
        )
    _require_values(source, images)
    low, high = source.value_range
    spans = np.ptp(images.reshape(len(images), -1).astype(np.float32), axis=1)
    # Two coordinates of a point may well be equal: pictures begin at more than one pixel.
    constant = np.flatnonzero(spans < CONSTANT * (high - low)) if np.prod(source.image_shape[:2]) > 1 else ()
    first, repeated = {}, []  # names by pixels; pairs of equal ones
    for name, pixels in zip(names, map(_pixels, images), strict=True):
        if pixels in first:
            repeated.append((name, first[pixels]))
        first.setdefault(pixels, name)
    apart = split == "train" and "test" in source.readers and source.held_out
    held_out = source.readers["test"].sample(limit) if apart else ((), ())
    corrupt = {name: reason for reader in source.readers.values() for name, reason in reader.corrupt.items()}
    return DataReport(
        name=source.name,
        split=split,
        count=reader.count,
        looked_at=min(reader.count, limit),
        shape=source.image_shape,
        dtype=np.dtype(source.dtype).name,
        value_range=source.value_range,
        minimum=float(images.min()),
        maximum=float(images.max()),
        mean=tuple(images.mean(axis=(0, 1, 2), dtype=np.float64).tolist()),
        std=tuple(images.std(axis=(0, 1, 2), dtype=np.float64).tolist()),
        near_constant=tuple(names[i] for i in constant),
        repeated=tuple(repeated),
        held_out=len(held_out[0]),
        shared=tuple(
            (name, first[pixels])
            for name, pixels in zip(held_out[0], map(_pixels, held_out[1]), strict=True)
            if pixels in first
        ),
        corrupt=corrupt,
        told=tuple(source.told()),
    )


def _pixels(image):
    return hashlib.sha256(np.ascontiguousarray(image)).digest()


def _require_values(source, images):
    finite = np.isfinite(images).all(axis=(1, 2, 3))
    if not finite.all():
        checks.refuse(
            f"Images of {source.name}",
            expected="finite values",
            received=f"NaN or infinity in {np.sum(~finite)} of the {len(images)} looked at",
            remedy="leave such images out",
        )
    low, high = source.value_range
    if images.min() < low or images.max() > high:
        checks.refuse(
            f"Images of {source.name}",
            expected=f"values in the declared range [{low:g}, {high:g}]",
            received=f"values in [{images.min():g}, {images.max():g}]",
            remedy="scale them",
        )


def format_report(report: DataReport, decoder_range: tuple[float, float]) -> str:
    """`report` as a few lines of text; `decoder_range`: the (low, high) that the decoder can put out.

    A line that begins with "warning:" tells of something that is likely to spoil the training.
    """
    low, high = report.value_range
    sides = "x".join(map(str, report.shape))
    held = f"{report.count} images {sides}, {report.dtype}; looked at {report.looked_at}"
    values = f"[{report.minimum:g}, {report.maximum:g}] of [{low:g}, {high:g}]"
    moments = f"mean {_numbers(report.mean)}, std {_numbers(report.std)}"
    puts_out = f"[{decoder_range[0]:g}, {decoder_range[1]:g}]"
    lines = [
        f"data      {report.name}, {report.split}: {held}",
        f"values    {values}, {moments}",
        f"decoder   puts out {puts_out}; [{low:g}, {high:g}] is mapped onto it linearly",
    ]
    scale = (decoder_range[1] - decoder_range[0]) / (high - low)
    reached = [decoder_range[0] + (v - low) * scale for v in (report.minimum, report.maximum)]
    if report.maximum - report.minimum < 0.5 * (high - low):
        lines.append(
            f"warning: the values fill only [{reached[0]:.3g}, {reached[1]:.3g}] of the decoder's range; "
            "were they stored in other units?"
        )
    if report.near_constant:
        lines.append(
            f"warning: {len(report.near_constant)} of {report.looked_at} images looked at are near constant: "
            f"{pictures.some(report.near_constant)}"
        )
    if report.repeated:
        lines.append(
            f"warning: {len(report.repeated)} of {report.looked_at} images looked at repeat another one exactly: "
            f"{_pairs(report.repeated)}"
        )
    if report.shared:
        lines.append(
            f"warning: {len(report.shared)} of {report.held_out} held-out images looked at are among those "
            f"{report.looked_at} that are trained on: {_pairs(report.shared)}"
        )
    if report.corrupt:
        lines.append(f"warning: {len(report.corrupt)} of the files looked at are corrupt; others stand in for them:")
        lines += [f"warning:   {pictures.shown(n)}: {reason}" for n, reason in sorted(report.corrupt.items())[:NAMED]]
        if len(report.corrupt) > NAMED:
            lines.append(f"warning:   and {len(report.corrupt) - NAMED} more")
    return "\n".join([*lines, *report.told])


def _numbers(values):
    return ", ".join(f"{v:.3g}" for v in values)


def _pairs(pairs):
    return pictures.some(f"{name} is {other}" for name, other in pairs)
