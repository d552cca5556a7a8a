"""What a user may set about the data; the flags of the same names are generated from these fields."""

import dataclasses

from pga_tf.core import photo
from pga_tf.core.options import option

LARGEST_SIDE = 2**14
ALL = "all"


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
