"""From `--dataset` to a `Source`."""

from pga_tf.core import checks, files
from pga_tf.core.options import validate
from pga_tf.data import digits, fake, folder, npz, tfds, toy2d
from pga_tf.data.options import DataOptions
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
    return LOADERS[kind](options.dataset, argument, options)


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
    if options.range() and kind not in ("folder", "npz"):
        checks.refuse(
            "--value_range",
            expected="a dataset whose stored values are not known: folder:PATH or npz:FILE",
            received=f"--dataset={options.dataset}",
            remedy="leave it out",
        )
    return kind, files.home(argument)
