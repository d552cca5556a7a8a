"""What a user may set about the data; the flags of the same names are generated from these fields."""

import dataclasses
import os

from pga_tf.core import checks, files, photo, shards
from pga_tf.core.options import option, validate

LARGEST_SIDE = 2**14
ALL = "all"
TOYS = ("swiss_roll", "eight_gaussians", "moons")
KINDS = ("digits", "fake", "folder", "npz", "tfds", "toy2d")
FORMS = (
    "digits",
    "tfds:NAME",
    "folder:PATH",
    "npz:FILE",
    *(f"toy2d:{s}" for s in TOYS),
    "fake:HxWxC",
)
REMEDY_OF_NPZ = "correct the path, or write the file with np.savez(FILE, images=images)"
WELL_KNOWN = tuple(f"tfds:{name}" for name in ("mnist", "fashion_mnist", "cifar10", "celeb_a"))


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Which images to train on, and how they become squares of one size. `crop` comes before `image_size`."""

    dataset: str = option(
        "digits",
        "Where the images come from: digits, tfds:NAME (such as tfds:mnist), folder:PATH, npz:FILE, "
        "toy2d:swiss_roll, toy2d:eight_gaussians, toy2d:moons, or fake:HxWxC.",
    )
    image_size: int = option(
        0,
        "Side to which images are resized; 0 keeps their own size.",
        unit="pixels",
        minimum=0,
        maximum=LARGEST_SIDE,
    )
    crop: int = option(
        0,
        "Side of the centre crop before resizing; 0 takes the largest centred square with --image_size, "
        "and crops nothing without.",
        unit="pixels",
        minimum=0,
        maximum=LARGEST_SIDE,
    )
    resize: str = option(
        photo.RESIZES[0],
        "With --image_size: bicubic or bilinear, antialiased, or as TensorFlow 1's bicubic did it: shifted by up to "
        "half a pixel, not antialiased.",
        choices=photo.RESIZES,
    )
    colour: str = option(
        "auto",
        "Channels to train on; auto keeps the source's own.",
        choices=("auto", "grey", "rgb"),
    )
    value_range: str = option(
        "",
        "LOW,HIGH: the stored values that stand for black and white, in files of more than 8 bits and in arrays of any "
        "numbers; what lies outside is clipped, and counted. Default: 0,65535 for 16 bits; for arrays of uint8, and of "
        "floats in [0, 1] or [-1, 1], their own.",
    )
    test_fraction: float = option(
        0.1,
        "Share of the images held out as the test split where the source has none (folder, npz, some tfds).",
        unit="fraction of the images",
        above=0.0,
        maximum=0.9,
    )
    train_on: str = option(
        "train",
        "What is trained on: the train split, or all images that the dataset has, its test split included, which is "
        "then no longer held out.",
        choices=("train", ALL),
    )
    strict_data: bool = option(
        False, "Stop at a corrupt image file, after decoding every file once, instead of skipping it."
    )

    def range(self) -> tuple[float, float] | None:
        """`value_range` as (low, high), or None where it is not set. Raises `InputError` for another text."""
        return photo.parse_range(self.value_range) if self.value_range else None


def parsed(options: DataOptions) -> tuple[str, str]:
    """(kind of dataset, what follows the colon), without looking for it. Raises `InputError` for what cannot be."""
    validate(options)
    kind, _, argument = options.dataset.partition(":")
    needs_argument = kind in ("tfds", "folder", "npz", "toy2d")
    if kind not in KINDS or (needs_argument and not argument) or (kind == "digits" and argument):
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


def require_path(kind: str, name: str, path: str) -> None:
    """Raises `InputError` where the folder or file `path` of the dataset `name`, of a kind out of `KINDS`, is none.

    A folder of shards is an npz too.
    """
    if kind == "folder" and not os.path.isdir(path):
        checks.refuse(f"--dataset={name}", expected="a folder", received=f"no folder {path}", remedy="correct the path")
    if kind == "npz" and not os.path.isfile(path) and not shards.is_folder(path):
        received = "a folder" if os.path.isdir(path) else f"no file {path}"
        checks.refuse(f"--dataset={name}", expected="a file", received=received, remedy=REMEDY_OF_NPZ)


def require_there(options: DataOptions) -> None:
    """Raises `InputError` for options that cannot be, and where the folder or file that they name is none."""
    kind, argument = parsed(options)
    require_path(kind, options.dataset, argument)


def dataset_name(name: str) -> str:
    """`--dataset`'s name of real images that may be named as "mnist"."""
    return name if ":" in name or name == "digits" else f"tfds:{name}"
