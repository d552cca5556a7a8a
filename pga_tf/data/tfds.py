"""`tfds:NAME`: any image set of TensorFlow Datasets, in memory where it fits, streamed where it does not."""

import os
import socket
import sys
from collections.abc import Callable

import numpy as np

from pga_tf.core import checks, ranges
from pga_tf.data import random_access
from pga_tf.data.prepare import prepare, prepared_shape
from pga_tf.data.records import Records
from pga_tf.data.source import Identity, Labels, Source, digest
from pga_tf.settings.data import ALL, DataOptions


def load(name: str, argument: str, options: DataOptions) -> Source:
    """uint8 `[H, W, C]` in [0, 255]; train, and test or validation or else a slice held out from train.

    With `options.train_on` all, train is every split of the dataset.

    Raises:
      InputError: an unknown or absent dataset, or one without uint8 images of 1 or 3 channels.
    """
    builder = _builder(name, argument)
    feature = _image_feature(name, builder.info.features)
    shape = prepared_shape(feature.shape, options, name=name)
    splits = _splits(name, builder.info.splits, options)
    # One string, one image: labels and attributes are not parsed, and decoding is left to `decode`.
    decode = _decoder(feature, shape, options)
    readers = {split: _records(builder, info, decode) for split, info in splits.items()}
    if sum(reader.count for reader in readers.values()) * np.prod(shape) <= random_access.LIMIT_BYTES:
        readers = {split: random_access.RandomAccess(r.count, _read_all(r, shape)) for split, r in readers.items()}
    files = {split: info.file_instructions for split, info in splits.items()}
    described = [[split, os.path.basename(f.filename), f.skip, f.take] for split, of in files.items() for f in of]
    counted = readers["train"].count if options.train_on == ALL else sum(reader.count for reader in readers.values())
    identity = Identity(counted, digest([builder.info.full_name, described]))
    labels = _labels(builder, splits)
    return Source(name, shape, np.uint8, ranges.UINT8, readers, identity, labels=labels)


def stored(name: str, argument: str) -> dict:
    """Where the encoded images lie: dict of split to list of (path, records to skip, records to take).

    The splits are "train" and "test", or "all" of a dataset that has none to hold out. Raises as `load`.
    """
    builder = _builder(name, argument)
    _image_feature(name, builder.info.features)
    splits = _own_splits(name, builder.info.splits) or {"all": builder.info.splits["train"]}
    return {
        split: [(str(file.filename), file.skip, file.take) for file in info.file_instructions]
        for split, info in splits.items()
    }


def undecoded(folder: str | os.PathLike) -> Callable:
    """A function of tensors from a serialised example to a dict of its encoded "image" and, if it has one, "label".

    `folder` holds a dataset's files, as `stored` names them: whoever has these needs no TFDS_DATA_DIR.
    """
    import tensorflow_datasets

    features = tensorflow_datasets.builder_from_directory(folder).info.features
    label = _label_feature(features)
    kept = {"image": features["image"]} | ({"label": label} if label else {})
    parser = tensorflow_datasets.features.FeaturesDict(kept)
    skip = {"image": tensorflow_datasets.decode.SkipDecoding()}
    return lambda record: parser.deserialize_example(record, decoders=skip)


def _builder(name, argument):
    import tensorflow_datasets

    try:
        builder = tensorflow_datasets.builder(argument, data_dir=os.environ.get("TFDS_DATA_DIR"))
    except tensorflow_datasets.core.DatasetNotFoundError:
        close = checks.nearest(argument, tensorflow_datasets.list_builders())
        checks.refuse(
            f"--dataset={name}",
            expected="a dataset that TFDS knows or that lies in TFDS_DATA_DIR",
            received=repr(argument),
            remedy=f"did you mean tfds:{close}?" if close else "see https://tensorflow.org/datasets/catalog",
        )
    except Exception as error:  # TFDS answers a bad version, configuration or spelling with errors of many types
        checks.refuse(
            f"--dataset={name}",
            expected="tfds:NAME, tfds:NAME/CONFIG or tfds:NAME:VERSION",
            received=str(error).splitlines()[0],
            remedy="correct the name",
        )
    if not builder.is_prepared():
        _download(name, argument, builder)
    if builder.info.file_format.value != "tfrecord":
        checks.refuse(
            f"--dataset={name}",
            expected="a dataset prepared as tfrecord files",
            received=f"{builder.info.file_format.value} files in {builder.data_dir}",
            remedy="prepare it anew in another TFDS_DATA_DIR with file_format='tfrecord'",
        )
    return builder


def _download(name, argument, builder):
    """Downloads and prepares the dataset, or says how."""
    try:
        # Without a network, TFDS's own retries take over three minutes to give up.
        if not any(os.environ.get(k) for k in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")):
            socket.getaddrinfo("storage.googleapis.com", 443)
        if not sys.stderr.isatty():
            import tensorflow_datasets

            tensorflow_datasets.disable_progress_bar()  # its rows are for terminals
        builder.download_and_prepare()
    except Exception as error:  # network, disk, checksums, manual downloads: all mean that the data is not here
        checks.refuse(
            f"--dataset={name}",
            expected=f"the prepared dataset in {builder.data_dir}, or a network to download it from",
            received=f"neither ({(str(error).splitlines() or [type(error).__name__])[0]})",
            remedy="set TFDS_DATA_DIR to a directory that holds it, or on a machine with a network run: "
            f"TFDS_DATA_DIR=DIR python -c \"import tensorflow_datasets as tfds; tfds.load('{argument}')\"",
        )


def _image_feature(name, features):
    feature = dict(features.items()).get("image")
    shape = getattr(feature, "shape", None)
    if shape is None or len(shape) != 3 or shape[2] not in (1, 3) or feature.np_dtype != np.uint8:
        checks.refuse(
            f"--dataset={name}",
            expected="a feature 'image' of uint8 with 1 or 3 channels",
            received=f"image {shape} {feature.np_dtype.__name__}" if shape else f"features {', '.join(features)}",
            remedy="choose an image dataset",
        )
    return feature


def _label_feature(features):
    """The feature "label" if it holds classes, else None."""
    import tensorflow_datasets

    feature = dict(features.items()).get("label")
    return feature if isinstance(feature, tensorflow_datasets.features.ClassLabel) else None


def _labels(builder, splits):
    """The `Labels` of splits as `_splits` gives them, or None. Nothing is read before they are asked for."""
    import tensorflow_datasets

    feature = _label_feature(builder.info.features)
    if feature is None:
        return None
    features = tensorflow_datasets.features.FeaturesDict({"label": feature})

    def read(split, count):
        records = _records(builder, splits[split], lambda record: features.deserialize_example(record)["label"])
        parts = records.ordered(count).take(1).as_numpy_iterator()
        return np.concatenate([np.zeros(0, np.int64), *parts])

    return Labels(tuple(feature.names), read)


def _records(builder, info, decode):
    """A `Records` of a split, by its TFDS `info`."""
    train = builder.info.splits["train"]
    return Records(
        [(file.filename, file.skip, file.take) for file in info.file_instructions],
        count=info.num_examples,
        record_bytes=max(train.num_bytes // train.num_examples, 1),
        decode=decode,
    )


def _own_splits(name, splits):
    """The dataset's own train and test split, or None where it has none to hold out."""
    checks.require_member(f"Training split of {name}", "train", splits)
    for held_out in ("test", "validation"):
        if held_out in splits and splits[held_out].num_examples:
            return {"train": splits["train"], "test": splits[held_out]}
    return None


def _splits(name, splits, options):
    chosen = _own_splits(name, splits) or _held_out(name, splits, options)
    return {**chosen, "train": splits["all"]} if options.train_on == ALL else chosen


def _held_out(name, splits, options):
    total = splits["train"].num_examples
    kept = total - max(round(total * options.test_fraction), 1)
    if kept < 1:
        checks.refuse(
            name,
            expected="at least 2 images, one to train and one to test on",
            received=total,
            remedy="add images",
        )
    return {"train": splits[f"train[:{kept}]"], "test": splits[f"train[{kept}:]"]}


def _decoder(feature, shape, options):
    """A function from a serialised example to its image `[H, W, C]`; other features are not parsed."""
    import tensorflow_datasets

    features = tensorflow_datasets.features.FeaturesDict({"image": feature})

    def decode(record):
        image = features.deserialize_example(record)["image"]
        return prepare(image, shape, options, value_range=ranges.UINT8)

    return decode


def _read_all(records, shape):
    def read():
        images, filled = np.empty((records.count, *shape), np.uint8), 0
        for batch in records.ordered(1024).as_numpy_iterator():
            images[filled : filled + len(batch)] = batch
            filled += len(batch)
        return random_access.held(images[:filled])

    return read
