"""A folder of shards: files `samples_00000_of_00100.npz` of one array of images, and the card that says of what."""

import dataclasses
import pathlib
import re

import numpy as np

from pga_tf.core import array_files, checks, commands, files

CARD = "samples.json"
ARRAY = "images"
NAME = re.compile(r"samples_\d{5,}_of_\d{5,}\.npz")
NOT_COMPARED = ("workdir",)  # a run may move


@dataclasses.dataclass(frozen=True)
class Card:
    """What the images of all shards together are of.

    Attributes:
      weights: hash of the values that images are made with. checkpoint, prior: by name. seed: of the samples.
      num_samples: in all shards. shard_size: in each but the last, which has the rest. image_shape: (H, W, C).
      workdir: where the run lay, for the command that goes on.
    """

    weights: str
    checkpoint: str
    prior: str
    seed: int
    num_samples: int
    shard_size: int
    image_shape: tuple[int, ...]
    workdir: str

    @property
    def count(self) -> int:
        """Number of shards."""
        return -(-self.num_samples // self.shard_size)

    def bounds(self, shard: int) -> tuple[int, int]:
        """Samples `start` up to `stop` are those of a shard, counted from 0."""
        start = shard * self.shard_size
        return start, min(start + self.shard_size, self.num_samples)

    def path(self, folder: pathlib.Path, shard: int) -> pathlib.Path:
        """The file of a shard."""
        return folder / f"samples_{shard:05d}_of_{self.count:05d}.npz"

    def is_whole(self, folder: pathlib.Path, shard: int) -> bool:
        """Whether the file of a shard is there, and its header says that it holds what it should."""
        start, stop = self.bounds(shard)
        try:
            shape, dtype = array_files.header(self.path(folder, shard), ARRAY)
        except Exception:  # NumPy and zipfile answer damaged files with errors of many types
            return False
        return (shape, dtype) == ((stop - start, *self.image_shape), np.dtype(np.uint8))

    def command(self, folder: pathlib.Path) -> str:
        """The command line that writes the shards that lack."""
        return commands.line(
            "sample", workdir=self.workdir, checkpoint=self.checkpoint, prior=self.prior, seed=self.seed,
            num_samples=self.num_samples, shard_size=self.shard_size, out=f"{folder}/",
        )  # fmt: skip

    def differences(self, other: "Card") -> list[str]:
        """A few words on each entry in which the images of another card are others."""
        mine, others = (dataclasses.asdict(card) for card in (self, other))
        names = [name for name in mine if name not in NOT_COMPARED and mine[name] != others[name]]
        return [f"{name} {others[name]} and not {mine[name]}" for name in names]

    def write(self, folder: pathlib.Path) -> None:
        """Writes the card into the folder."""
        files.write_json(folder / CARD, dataclasses.asdict(self) | {"image_shape": list(self.image_shape)})


def is_folder(path: str | pathlib.Path) -> bool:
    """Whether `path` is a folder with shards, or with a card of theirs."""
    path = pathlib.Path(path)
    if not path.is_dir():
        return False
    card = path / CARD
    return has_shards(path) or (card.is_file() and b'"shard_size"' in card.read_bytes())


def has_shards(folder: pathlib.Path) -> bool:
    """Whether any file in a folder is called as shards are."""
    return any(NAME.fullmatch(path.name) for path in folder.glob("samples_*_of_*.npz"))


def read(folder: pathlib.Path) -> Card:
    """The card of a folder. Raises `InputError` where there is none, or another file in its place."""
    path, remedy = folder / CARD, "write the shards anew, into another folder"
    if not path.is_file():
        received = "shards, and no such file"
        checks.refuse(str(path), expected="a card that says what shards are of", received=received, remedy=remedy)
    found = files.read_json(path, remedy)
    kinds = {field.name: field.type for field in dataclasses.fields(Card)}
    kinds["image_shape"] = list
    whole = isinstance(found, dict) and found.keys() == kinds.keys()
    whole = whole and all(type(found[name]) is kind for name, kind in kinds.items())
    whole = whole and all(type(n) is int and n > 0 for n in [found["num_samples"], found["shard_size"]])
    whole = whole and len(found["image_shape"]) == 3 and all(type(n) is int and n > 0 for n in found["image_shape"])
    if not whole:
        checks.refuse(str(path), expected=f"a card with {', '.join(kinds)}", received="something else", remedy=remedy)
    return Card(**found | {"image_shape": tuple(found["image_shape"])})


def read_whole(folder: str | pathlib.Path, what: str) -> Card:
    """As `read`, of a folder that has all of its shards. Raises `InputError` about `what` where some lack."""
    folder = pathlib.Path(folder)
    card = read(folder)
    lacking = sum(not card.is_whole(folder, shard) for shard in range(card.count))
    if lacking:
        checks.refuse(
            what,
            expected=f"all {card.count:,} shards",
            received=f"a folder that lacks {lacking:,} of them",
            remedy=card.command(folder.absolute()),
        )
    return card
