"""ExampleGen: a dataset as sharded TFRecords."""

import contextlib
import pathlib

import tensorflow as tf

from pga_tf.core import checks, files, pictures
from pga_tf.settings.data import DataOptions
from pipelines import examples as examples_lib
from pipelines import sources
from pipelines.components.artifacts import SUMMARY


def example_gen(examples: str, dataset: str, test_fraction: float, shards: int, value_range: str = "") -> dict:
    """Writes every image of `dataset` to `examples/Split-{train,eval}/`, as `pipelines.examples` says.

    A dataset with a test split of its own keeps it as eval (digits, tfds, a folder with folders for both); the others
    are split by a hash of each image's content. Exact copies of a file's bytes are counted, and kept. What is not used,
    or not taken as it is stored, is printed and counted.

    Args:
      examples: folder to write. dataset: digits, tfds:NAME, folder:PATH or fake:HxWxC.
      test_fraction: share of eval where the hash decides. shards: files in a split.
      value_range: as in `pga_tf.data.DataOptions`.

    Raises:
      InputError: no such dataset, or one that leaves a split empty.
    """
    seen, counts, remarks = set(), dict.fromkeys(examples_lib.SPLITS, 0), pictures.Remarks()
    asked = DataOptions(dataset=dataset, value_range=value_range).range()
    with contextlib.ExitStack() as stack:
        writers = open_shards(examples, shards, stack)
        for part in sources.parts(dataset):
            for item in sources.read(part):
                item, shape, digest, picture = examples_lib.normalised(item, asked)
                if picture:
                    remarks.add(item.title, picture)
                split, shard = examples_lib.placed(item, digest, test_fraction=test_fraction, shards=shards)
                writers[split][shard].write(examples_lib.serialised(item, shape, digest))
                counts[split] += 1
                seen.add(bytes.fromhex(digest))  # half of the text's memory
    return close(examples, dataset, counts, sum(counts.values()) - len(seen), remarks)


def open_shards(folder: str, count: int, stack: contextlib.ExitStack) -> dict:
    """dict of split to the writers of its shards, closed with `stack`."""
    writers = {}
    for split in examples_lib.SPLITS:
        (pathlib.Path(folder) / f"Split-{split}").mkdir(parents=True, exist_ok=True)
        writers[split] = [
            stack.enter_context(tf.io.TFRecordWriter(str(examples_lib.shard(folder, split, index, count))))
            for index in range(count)
        ]
    return writers


def close(folder: str, dataset: str, counts: dict, duplicates: int, remarks: pictures.Remarks) -> dict:
    """Writes what was counted, prints what is not used as it is, and returns all of it.

    Raises `InputError` for a split without images.
    """
    empty = [split for split, count in counts.items() if not count]
    if empty:
        checks.refuse(
            f"Images of {dataset}",
            expected="at least one to train and one to test on",
            received=f"{sum(counts.values())} images and none for the {empty[0]} split",
            remedy="add images, or change --test_fraction",
        )
    told = [*sources.notes(dataset), *remarks.lines()]
    for line in told:
        print(line)
    figures = {"dataset": dataset, "images": counts, "duplicates": duplicates, "told": told}
    files.write_json(pathlib.Path(folder) / SUMMARY, figures)
    return figures
