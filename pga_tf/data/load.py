"""From `--dataset` to a `Source`."""

import dataclasses

from pga_tf.data import digits, fake, folder, npz, tfds, toy2d
from pga_tf.data.source import Source
from pga_tf.settings.data import ALL, DataOptions, parsed

LOADERS = {
    "digits": digits.load,
    "fake": fake.load,
    "folder": folder.load,
    "npz": npz.load,
    "tfds": tfds.load,
    "toy2d": toy2d.load,
}


def load(options: DataOptions) -> Source:
    """The `Source` that `options` (a `DataOptions`) names.

    Raises:
      InputError: an option out of its range, an unknown dataset, missing or unusable files.
    """
    kind, argument = parsed(options)
    source = LOADERS[kind](options.dataset, argument, options)
    return _not_held_out(source) if options.train_on == ALL else source


def _not_held_out(source):
    told = f"--train_on={ALL}: the {source.counts['test']:,} images of the test split are trained on too; "
    notes = (f"{told}nothing that is measured on them is of held-out images", *source.notes)
    return dataclasses.replace(source, notes=notes, held_out=False)
