"""What is measured: the stages, the sizes at which each is, and what their algorithms say of their growth.

It loads no TensorFlow: the processes that are measured do (`work.py`).
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

ROUNDS = 2
FEATURES = 1280  # dimensions of `imagenet`
QUERIES = 2000  # features whose nearest others are looked for
MATERIAL = {
    "example_gen": "photographs", "statistics_gen": "examples", "transform": "examples", "open": "array",
    "encode": "pictures", "features": "pictures",
}  # fmt: skip
"""What has to be made beforehand, by `material.MAKERS`."""
OTHER_NETWORK = "another network at each size"


@dataclasses.dataclass(frozen=True)
class Axis:
    """What grows, with the sizes at which it is measured.

    Attributes:
      name: images, pixels (as the side of a square image), batch, codes, workers or processes.
      sizes: in rising order. fixed: the other sizes, by name.
      time, memory: exponents that the algorithm has, of pixels those of side^2; None: not known. note: on the axis.
      held: bytes that arrays are known to take for each image, where these sizes show the noise of allocators alone.
      fitted: whether a law is to be expected at all.
    """

    name: str
    sizes: tuple[int, ...]
    fixed: Mapping[str, int]
    time: float | None
    memory: float | None
    note: str = ""
    held: float = 0.0
    fitted: bool = True

    def n(self, size: int) -> int:
        """What the cost of a size is a function of."""
        return size**2 if self.name == "pixels" else size


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of the work that is measured by itself. `title`: what tables call it."""

    name: str
    title: str
    axes: tuple[Axis, ...]

    def axis(self, name: str) -> Axis:
        """The axis of a name."""
        return next(axis for axis in self.axes if axis.name == name)


@dataclasses.dataclass(frozen=True)
class Task:
    """One measurement: a stage at one size of one axis, in one of several rounds."""

    stage: str
    axis: str
    size: int
    round: int
    at: Mapping[str, int]  # every size by name, that of the axis among them

    @property
    def processes(self) -> int:
        """How many processes share the work."""
        return self.at.get("workers", self.at.get("processes", 1))

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What it is known by among results."""
        return self.stage, self.axis, self.size, self.round


def all_stages(side: int, latent_dim: int) -> dict[str, Stage]:
    """Every stage by name, with images of `side` pixels wherever pixels are not what grows."""
    of_codes, of_features = 2 * 4 * latent_dim, 2 * 4 * FEATURES  # float32, in parts and then in one array
    files, few = (2000, 8000, 32000), (1000, 2000, 4000)

    def of_pipeline(name, title, held=0.0):
        images = Axis("images", files, {"pixels": side}, 1, 1, held=held)
        return Stage(name, title, (images, Axis("pixels", (32, 64, 128), {"images": 2000}, 1, None)))

    made = [
        of_pipeline("example_gen", "ExampleGen"),
        of_pipeline("statistics_gen", "StatisticsGen"),
        of_pipeline("transform", "Transform", held=8.0 + 1.0),
        Stage(
            "open",
            "Trainer: opening a mapped array",
            (Axis("images", (500_000, 1_000_000, 2_000_000), {"pixels": 4}, 1, 1),),
        ),
        Stage(
            "train",
            "Trainer: a step",
            (
                Axis("batch", (16, 32, 64), {"pixels": side}, 1, 1),
                Axis("pixels", (28, 32, 64), {"batch": 32}, None, None, OTHER_NETWORK, fitted=False),
                Axis("workers", (1, 2, 4), {"pixels": side, "batch": 16}, None, None, "a batch of 16 at each"),
            ),
        ),
        Stage("encode", "PriorFitter: codes of images", (Axis("images", few, {"pixels": side}, 1, 1, held=of_codes),)),
        Stage(
            "mixture",
            "PriorFitter: an iteration of EM",
            (Axis("codes", (160_000, 320_000, 640_000), {"components": 20}, 1, 1, "20 Gaussians, 32 dimensions"),),
        ),
        Stage(
            "sample",
            "Sampling shards",
            (
                Axis("images", few, {"pixels": side}, 1, 0),
                Axis("processes", (1, 2, 4), {"pixels": side, "images": 4000}, 0, None, "4,000 images together"),
            ),
        ),
        Stage(
            "features",
            "Evaluator: features and their moments",
            (Axis("images", (250, 500, 1000), {"pixels": side}, 1, 1, held=of_features),),
        ),
        Stage("frechet", "Evaluator: Frechet distance of features", (Axis("images", (4000, 8000, 16_000), {}, 1, 0),)),
        Stage(
            "neighbours",
            "Evaluator: precision, recall, density, coverage",
            (Axis("images", (4000, 8000, 16_000), {}, 2, 1),),
        ),
        Stage(
            "memorisation",
            f"Evaluator: nearest training image of {QUERIES:,} others",
            (Axis("images", (5000, 10_000, 20_000), {}, 1, 0),),
        ),
    ]
    return {stage.name: stage for stage in made}


def tasks(stages: Sequence[Stage], rounds: int) -> Iterator[Task]:
    """Every measurement, round after round, so that what else the machine does meets all stages alike."""
    for number, stage in itertools.product(range(rounds), stages):
        for axis in stage.axes:
            for size in axis.sizes:
                yield Task(stage.name, axis.name, size, number, {**axis.fixed, axis.name: size})
