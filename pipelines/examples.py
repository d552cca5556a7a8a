"""Images as `tf.train.Example` records in shards: the format between ExampleGen and the steps that read data."""

import dataclasses
import hashlib
import io
import pathlib

import numpy as np
import tensorflow as tf
from PIL import Image

from pga_tf.core import photo

SPLITS = ("train", "eval")
AS_THEY_ARE = {("PNG", "L"), ("PNG", "RGB"), ("JPEG", "L"), ("JPEG", "RGB")}
ORIENTATION, UPRIGHT = 0x0112, (None, 1)  # of EXIF


@dataclasses.dataclass(frozen=True)
class Item:
    """One image of a source.

    Attributes:
      index: its place in the source, by which records are put in order again.
      encoded: the file's bytes. name: the file's, or "". split: "train" or "eval", or "" where the source has none.
    """

    index: int
    encoded: bytes
    name: str = ""
    split: str = ""
    label: int | None = None

    @property
    def title(self):
        """What messages call it."""
        return self.name or f"image {self.index}"


def png(pixels):
    """uint8 `[H, W, C]`, C 1 or 3, as the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def decode(encoded, shape=None, *, crop=0, resize="bicubic"):
    """The picture as uint8 `[H, W, C]` of `shape`, as `folder:PATH` makes it; without `shape`, of its own size.

    Raises what PIL raises for damaged bytes, errors of many types.
    """
    return photo.decode(io.BytesIO(encoded), shape or _own_shape(encoded), crop=crop, resize=resize)


def _own_shape(encoded):
    (height, width), coloured = photo.header(io.BytesIO(encoded))
    return height, width, 3 if coloured else 1


def normalised(item, value_range=None):
    """`item` as an 8-bit PNG or JPEG that any reader sees alike: (item, (H, W, C), hash of its bytes, `Picture`).

    Others (16 bits, transparency, a sideways camera, WEBP) are decoded, as `photo.read` says, and written as PNG. What
    cannot be decoded keeps its bytes and gets the shape (0, 0, 0): StatisticsGen names it. The `Picture` tells what was
    done to one that was decoded, and is None for others.
    """
    picture = None
    try:
        with Image.open(io.BytesIO(item.encoded), formats=photo.FORMATS) as image:
            plain = (image.format, image.mode) in AS_THEY_ARE and not photo.is_deep(image)
            plain = plain and image.getexif().get(ORIENTATION) in UPRIGHT
        if not plain:
            own = _own_shape(item.encoded)
            picture = photo.read(io.BytesIO(item.encoded), own, crop=0, value_range=value_range, frames=True)
            item = dataclasses.replace(item, encoded=png(picture.pixels))
        shape = _own_shape(item.encoded)
    except Exception:  # PIL answers damaged files with errors of many types
        shape = (0, 0, 0)
    return item, shape, hashlib.sha256(item.encoded).hexdigest(), picture


def placed(item, digest, *, test_fraction, shards):
    """(split, shard) of an image: its source's own split where it has one, else by the hash of its content.

    Equal images so land on one side, whatever they are called and whatever else there is.
    """
    held_out = int(digest[:8], 16) < test_fraction * 2**32
    return item.split or SPLITS[held_out], int(digest[8:16], 16) % shards


def serialised(item, shape, digest):
    """The `tf.train.Example` of an image, as bytes."""
    ints = {"index": item.index, "height": shape[0], "width": shape[1], "channels": shape[2]}
    texts = {"encoded": item.encoded, "sha256": digest.encode()}
    if item.label is not None:
        ints["class/label"] = item.label
    if item.name:
        texts["filename"] = item.name.encode("utf-8", "surrogateescape")
    features = {
        f"image/{key}": tf.train.Feature(int64_list=tf.train.Int64List(value=[value])) for key, value in ints.items()
    } | {f"image/{key}": tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in texts.items()}
    # Maps have no order in a protocol buffer; equal images are to be equal bytes.
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def parsed(record, split):
    """The `Item` of a serialised example."""
    feature = tf.train.Example.FromString(record).features.feature
    label = feature["image/class/label"].int64_list.value if "image/class/label" in feature else ()
    name = feature["image/filename"].bytes_list.value[0] if "image/filename" in feature else b""
    return Item(
        index=feature["image/index"].int64_list.value[0],
        encoded=feature["image/encoded"].bytes_list.value[0],
        name=name.decode("utf-8", "surrogateescape"),
        split=split,
        label=label[0] if label else None,
    )


def shard(folder, split, index, count):
    """Path of a shard, in TFX's layout; not compressed, for PNG and JPEG are."""
    return pathlib.Path(folder) / f"Split-{split}" / f"data_tfrecord-{index:05d}-of-{count:05d}"


def shards(folder, split):
    """Paths of the shards of a split, in order."""
    return sorted(str(path) for path in (pathlib.Path(folder) / f"Split-{split}").glob("data_tfrecord-*"))


def records(path):
    """The serialised examples of one shard."""
    return tf.data.TFRecordDataset(path).as_numpy_iterator()


def shares(folder):
    """(split, path) of every shard of both splits."""
    return [(split, path) for split in SPLITS for path in shards(folder, split)]


def items(split, path):
    """Iterates over the `Item`s of one shard, which are in their source's order."""
    for record in records(path):
        yield parsed(record, split)


def read(folder, split):
    """Iterates over the `Item`s of a split."""
    for path in shards(folder, split):
        yield from items(split, path)


def pixel_digest(pixels):
    """Hash of an image's shape and pixels: equal for equal pictures, however they were encoded."""
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
