"""The plan: what a number of images and of workers will cost, by the laws that were found, and what gives way first."""

import dataclasses
import math
from collections.abc import Sequence

from pga_tf.evaluation.statistics import NEIGHBOURS
from tools.growth.found import Growth
from tools.growth.stages import QUERIES

HELD_OUT = 0.1  # share of the test split
SAMPLES, SEEDS, HELD_CODES = 10_000, 3, 5000  # of an evaluation, and held-out images beside samples
ITERATIONS = 100  # of EM
DAY, HOUR = 86_400.0, 3600.0
CAPPED = {"features": ("memory",), "neighbours": ("time", "memory")}  # do not grow beyond `NEIGHBOURS`
REMEDIES = {
    "example_gen": "`--beam_pipeline_args`, with more `--shards`",
    "statistics_gen": "`--beam_pipeline_args`",
    "transform": "`--beam_pipeline_args` decodes on workers",
    "open": "none needed",
    "train": "`--workers`, `--replicas`; a GPU",
    "encode": "`--prior_codes`",
    "mixture": "`--prior_codes`; a prior that is fitted by steps, such as `flow_matching`",
    "sample": "`--out=DIR/`, shared by any number of processes",
    "features": "`--num_real`; `--beam_pipeline_args` of a pipeline",
    "frechet": "none needed",
    "neighbours": f"none needed: at most {NEIGHBOURS:,} of a side are compared",
    "memorisation": "score shards: `evaluate --images=DIR/`, which has no such pass",
}


@dataclasses.dataclass(frozen=True)
class Target:
    """What is planned for. `batch_size`: of each worker. `bandwidth` of its network in bytes a second."""

    images: int
    workers: int
    batch_size: int
    bandwidth: float

    @property
    def training(self) -> int:
        """Images to train on."""
        return self.images - self.held_out

    @property
    def held_out(self) -> int:
        """Images of the test split."""
        return round(HELD_OUT * self.images)


@dataclasses.dataclass(frozen=True)
class Row:
    """A part of the plan. Core hours and their bounds are of all processes together; memory of each, bytes.

    `shared`: how `processes` share it, "" for one process. `source`: what the numbers are known from.
    """

    what: str
    hours: float
    bounds: tuple[float, float]
    processes: int
    shared: str
    memory: float
    disk: float
    source: str


def ring(workers: int) -> float:
    """How often a worker sends all that is summed, 2 (N - 1) / N: around a ring, to be added up and to be told."""
    return 2.0 * (workers - 1) / workers


def bytes_of_all_reduce(parameters: int, workers: int) -> float:
    """Bytes of float32 gradients that each worker sends in a step."""
    return 4.0 * parameters * ring(workers)


def rows(found: Sequence[Growth], target: Target) -> list[Row]:
    """The plan, of those stages that were measured."""
    by = {(growth.stage.name, growth.axis.name): growth for growth in found}
    made, n, everyone = [], target.images, target.workers

    def add(stage, what, count, *, axis="images", times=1.0, shared="", held=None, repeated=1):
        growth = by.get((stage, axis))
        if growth is None:
            return
        law, space = growth.time, growth.space
        low, high = law.bounds(count)
        scale = times * repeated / HOUR
        made.append(
            Row(
                what,
                scale * law.at(count),
                (scale * low, scale * high),
                everyone if shared else 1,
                shared,
                space.at(count if held is None else held),
                repeated * _disk(growth, count),
                _source(growth, law, count),
            )
        )

    add("example_gen", "ExampleGen", n, shared="Beam")
    add("statistics_gen", "StatisticsGen", n, shared="Beam")
    add("transform", "Transform", n)
    add("open", "Trainer: opening the array, each worker", target.training, shared="each does all", repeated=everyone)
    if training := _training(by, target):
        made.append(training)
    add("encode", "PriorFitter: codes", target.training)
    add("mixture", f"PriorFitter: mixture, {ITERATIONS} iterations", target.training, axis="codes", times=ITERATIONS)
    add("sample", "Sampling as many images", n, shared="shards")
    add("features", "Evaluator: features of real images", n, shared="Beam", held=min(NEIGHBOURS, n))
    unseen = max(target.training - NEIGHBOURS, 1)
    add("features", "Evaluator: features of training images, again", unseen, held=min(NEIGHBOURS, n))
    times = (SAMPLES + HELD_CODES) / QUERIES
    add("memorisation", "Evaluator: nearest training images", target.training, times=times)
    add("neighbours", f"Evaluator: precision to coverage, {SEEDS} seeds", pairs_as_of(target.held_out))
    return made


def pairs_as_of(held_out: int) -> float:
    """The number of images on either side that has as many pairs as a real side with `SEEDS` sets of samples."""
    real = min(held_out, NEIGHBOURS)
    pairs = real**2 / 2 + SEEDS * (SAMPLES**2 / 2 + real * SAMPLES)
    return math.sqrt(pairs / 2)  # of n on either side: n^2 / 2 + n^2 / 2 + n^2


def _training(by, target):
    """An epoch by all workers: a step of one, and what it takes more as one of many."""
    step, many = by.get(("train", "batch")), by.get(("train", "workers"))
    if step is None:
        return None
    steps = target.training / (target.batch_size * target.workers)
    law, source = step.time, "one worker"
    more, (low, high) = 0.0, law.bounds(target.batch_size)
    if many is not None and target.workers > 1:
        most = max(many.cpu)
        more = max(min(many.cpu[most]) / most - min(many.cpu[1]), 0.0) * ring(target.workers) / ring(most)
        source = f"what a step takes more at each of {most} workers on one machine, here {more:.2g} s"
    scale = steps * target.workers / HOUR
    return Row(
        "Trainer: an epoch",
        scale * (law.at(target.batch_size) + more),
        (scale * (low + more), scale * (high + more)),
        target.workers,
        "`--workers`",
        step.space.at(target.batch_size),
        0.0,
        f"{_source(step, law, target.batch_size)} in the batch; extrapolated in workers from {source}",
    )


def communication(found: Sequence[Growth], target: Target) -> tuple[int, float, float] | None:
    """(parameters, bytes that a worker sends in a step, hours of an epoch that this takes at the bandwidth)."""
    growth = next((g for g in found if (g.stage.name, g.axis.name) == ("train", "batch")), None)
    if growth is None:
        return None
    parameters = growth.facts["parameters"]
    sent = bytes_of_all_reduce(parameters, target.workers)
    steps = target.training / (target.batch_size * target.workers)
    return parameters, sent, steps * sent / target.bandwidth / HOUR


def _disk(growth, count):
    largest = max(growth.disk)
    return growth.disk[largest] / largest * count if growth.disk[largest] > largest else growth.disk[largest]


def _source(growth, law, count):
    largest = law.measured[1]
    if law.measured[0] <= count <= largest:
        return "measured"
    kind = "constant" if law.flat else f"n^{law.p:.2g}"
    return f"extrapolated {count / largest:,.3g} times, {kind}"


def limits(found: Sequence[Growth], memory: float) -> list[tuple[Growth, float, float]]:
    """(growth, images of a core's day, images whose memory is `memory` bytes) of each stage by images or codes.

    Those that give way first come first.
    """
    by_images = [growth for growth in found if growth.axis.name in ("images", "codes")]
    told = []
    for growth in by_images:
        times, capped = ITERATIONS if growth.stage.name == "mixture" else 1, CAPPED.get(growth.stage.name, ())
        reached = {"time": growth.time.reaches(DAY / times), "memory": growth.space.reaches(memory)}
        told.append(
            (growth, *(math.inf if reached[name] > NEIGHBOURS and name in capped else n for name, n in reached.items()))
        )
    return sorted(told, key=lambda entry: min(entry[1:]))
