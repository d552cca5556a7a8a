"""From `--dataset` to a `Source`."""

import dataclasses

from pga_tf.core import checks, files
from pga_tf.core.options import validate
from pga_tf.data import digits, fake, folder, npz, tfds, toy2d
from pga_tf.data.options import ALL, DataOptions
from pga_tf.data.source import Source

LOADERS = {
    "digits": digits.load,
    "fake": fake.load,
    "folder": folder.load,
    "npz": npz.load,
    "tfds": tfds.load,
    "toy2d": toy2d.load,
}
FORMS = (
    "digits",
    "tfds:NAME",
    "folder:PATH",
    "npz:FILE",
    *(f"toy2d:{s}" for s in toy2d.SHAPES),
    "fake:HxWxC",
)
WELL_KNOWN = tuple(f"tfds:{name}" for name in ("mnist", "fashion_mnist", "cifar10", "celeb_a"))


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


def parsed(options: DataOptions) -> tuple[str, str]:
    """(kind of dataset, what follows the colon), without looking for it. Raises `InputError` for what cannot be."""
    validate(options)
    kind, _, argument = options.dataset.partition(":")
    needs_argument = kind in ("tfds", "folder", "npz", "toy2d")
    if kind not in LOADERS or (needs_argument and not argument) or (kind == "digits" and argument):
        close = checks.nearest(options.dataset, FORMS + WELL_KNOWN)
        checks.refuse(
            "--dataset",
            expected="one of " + ", ".join(FORMS),
            received=repr(options.dataset),
            remedy=f"did you mean {close!r}? If not, choose from the list" if close else "choose from the list",
        )
    if options.resize != DataOptions.resize and not options.image_size:
        checks.refuse(
            f"--resize={options.resize}",
            expected="--image_size, to which images are resized",
            received="none",
            remedy="add --image_size=64, or another side, or leave it out",
        )
    if options.range() and kind not in ("folder", "npz"):
        checks.refuse(
            "--value_range",
            expected="a dataset whose stored values are not known: folder:PATH or npz:FILE",
            received=f"--dataset={options.dataset}",
            remedy="leave it out",
        )
    return kind, files.home(argument)
