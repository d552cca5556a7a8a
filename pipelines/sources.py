"""What ExampleGen reads: a dataset as parts that can be read apart from each other, on one machine or many."""

import hashlib
import importlib.metadata
import os

import tensorflow as tf

from pga_tf import data
from pga_tf.core import checks
from pga_tf.data import DataOptions, folder, tfds
from pipelines.examples import Item, png

FILES = 256  # of a folder, in one part
FORMS = ("digits", "tfds:NAME", "folder:PATH", "fake:HxWxC")
SPLIT_OF = {"train": "train", "test": "eval", "all": ""}


def _kind(dataset):
    kind, _, argument = dataset.partition(":")
    checks.require_member("--dataset of a pipeline", kind, [form.split(":")[0] for form in FORMS])
    return kind, argument


def parts(dataset):
    """The dataset as a list of plain dicts, each the argument of `read`, on whatever machine sees the same files.

    Raises `InputError` for a dataset that a pipeline does not take, or that is not there.
    """
    kind, argument = _kind(dataset)
    if kind == "folder":
        found = folder.find(dataset, argument)
        split_of = {name: SPLIT_OF[split] for split, names in found.splits.items() for name in names}
        files = [(name, split_of.get(name, "")) for name in found.names]
        return [
            {"dataset": f"folder:{os.path.abspath(argument)}", "first": start, "files": files[start : start + FILES]}
            for start in range(0, len(files), FILES)
        ]
    if kind == "tfds":
        found, first = [], 0
        for split, files in tfds.stored(dataset, argument).items():
            for path, skip, take in files:
                found.append(
                    {"dataset": dataset, "first": first, "split": split, "file": [_absolute(path), skip, take]}
                )
                first += take
        return found
    counts = data.load(DataOptions(dataset=dataset)).counts
    return [
        {"dataset": dataset, "first": first, "split": split}
        for split, first in (("train", 0), ("test", counts["train"]))
    ]


def _absolute(path):
    return path if "://" in path else os.path.abspath(path)


def places(dataset):
    """Absolute paths of the files or the folder that `read` needs to see."""
    kind, argument = _kind(dataset)
    if kind == "folder":
        return [os.path.abspath(argument)]
    found = {part["file"][0] for part in parts(dataset)} if kind == "tfds" else ()
    return sorted(path for path in found if os.path.isabs(path))


def read(part):
    """Iterates over the `Item`s of a part, in the dataset's order."""
    kind, argument = _kind(part["dataset"])
    if kind == "folder":
        yield from _files(argument, part)
        return
    split = SPLIT_OF[part["split"]]
    if kind == "tfds":
        path, skip, take = part["file"]
        records = tf.data.TFRecordDataset(path).skip(skip).take(take)
        # In the graph: parsed one by one, an example takes milliseconds.
        parsed = records.map(tfds.undecoded(os.path.dirname(path)), num_parallel_calls=tf.data.AUTOTUNE)
        for i, example in enumerate(parsed.as_numpy_iterator(), part["first"]):
            label = int(example["label"]) if "label" in example else None
            yield Item(i, example["image"], split=split, label=label)
        return
    source = data.load(DataOptions(dataset=part["dataset"]))
    labels = _digits_labels() if kind == "digits" else None
    images = source.ordered(part["split"], 256).unbatch().as_numpy_iterator()
    for i, image in enumerate(images, part["first"]):
        yield Item(i, png(image), split=split, label=int(labels[i]) if labels is not None else None)


def _files(root, part):
    for i, (name, split) in enumerate(part["files"]):
        try:
            with open(os.path.join(root, name), "rb") as file:
                encoded = file.read()
        except OSError:
            encoded = b""  # corrupt, as one that cannot be decoded
        yield Item(part["first"] + i, encoded, name=name, split=split)


def notes(dataset):
    """Lines on what lies in the dataset and is not used."""
    kind, argument = _kind(dataset)
    return folder.find(dataset, argument).lines() if kind == "folder" else []


def _digits_labels():
    from sklearn.datasets import load_digits

    return load_digits().target


def fingerprint(dataset):
    """Hash that changes when the data does, without reading it: 16 hexadecimal digits.

    Of a folder it is over names, sizes and times of change, as `make` looks at them; of TFDS over files and sizes.
    """
    kind, argument = _kind(dataset)
    if kind == "folder":
        described = []
        for name in folder.find(dataset, argument).names:
            status = os.stat(os.path.join(argument, name))
            described.append([name, status.st_size, status.st_mtime_ns])
    elif kind == "tfds":
        described = [
            [file, skip, take, os.path.getsize(file)]
            for files in tfds.stored(dataset, argument).values()
            for file, skip, take in files
        ]
    else:
        described = [dataset, importlib.metadata.version("scikit-learn")]
    return hashlib.sha256(repr(described).encode()).hexdigest()[:16]
