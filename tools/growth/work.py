"""A process that is measured: python -m tools.growth.work TASK, a JSON object; its last line is one too.

It makes ready what the task needs, says `ready`, waits for a line, works several times, and tells the CPU and wall
seconds of each time and what its stage knows beside.
"""

import contextlib
import json
import os
import pathlib
import resource
import sys
import tempfile
import time

import numpy as np

from tools.growth import material
from tools.growth.stages import FEATURES, QUERIES

STEPS = 2  # of training, in each repetition
BLOCK = 2000  # features that come over and over
READY, WORKED = "ready", "worked"
REPETITIONS, ENOUGH = 3, 2.0  # at most; CPU seconds from which on no other follows


def cpu() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in used)


def bytes_below(folder):
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())


@contextlib.contextmanager
def _folders(base, *names):
    """New folders, which go at the end of the block."""
    with tempfile.TemporaryDirectory(dir=base) as folder:
        made = [pathlib.Path(folder, name) for name in names]
        for path in made:
            path.mkdir()
        yield made


def example_gen(task, base):
    from pipelines.components import example_gen as component

    dataset = f"folder:{material.place(base, 'photographs', task['images'], task['pixels'])}"

    def work():
        with _folders(base, "examples") as (examples,):
            component.example_gen(str(examples), dataset, material.TEST_FRACTION, material.SHARDS)
            return {"disk": bytes_below(examples)}

    return work


def statistics_gen(task, base):
    from pipelines.components import statistics_gen as component

    examples = material.place(base, "examples", task["images"], task["pixels"])

    def work():
        with _folders(base, "statistics") as (statistics,):
            component.statistics_gen(str(examples), str(statistics))
            return {"disk": bytes_below(statistics)}

    return work


def transform(task, base):
    from pipelines.components import transform as component

    examples = material.place(base, "examples", task["images"], task["pixels"])

    def work():
        with _folders(base, "transformed") as (transformed,):
            component.transform(str(examples), str(examples), str(transformed), 0, 0, "bicubic")
            return {"disk": 2 * bytes_below(transformed)}  # it is written twice

    return work


def open_array(task, base):
    folder = material.place(base, "array", task["images"], task["pixels"])
    material.mapped(folder)  # loads libraries

    def work():
        source = material.mapped(folder)
        next(iter(source.batches("train", 64, seed=0, value_range=(-1.0, 1.0))))
        return {}

    return work


def _config(task, **values):
    from pga_tf.runs import config as config_lib

    side = task.get("pixels", 8)
    chosen = {name: task["settings"][name] for name in ("method", "filters", "latent_dim")}
    return config_lib.of_values({"dataset": f"fake:{side}x{side}x3", "workdir": "none", **chosen, **values})[0]


def train(task, base):
    import tensorflow as tf

    from pga_tf.runs import build

    workers = task.get("workers", 1)
    config = _config(task, batch_size=task["batch"] * workers, steps=1000, workers=workers > 1)
    config, strategy, all_workers = build.join(config, out=str)
    experiment = build.build(config, strategy, all_workers)
    model = experiment.model
    batches = iter(experiment.batches(0, 1 + STEPS * REPETITIONS))
    model.make_train_function()

    def steps(count):
        with experiment.strategy.scope():
            for _ in range(count):
                logs = model.train_function(batches)
        for value in tf.nest.flatten(logs):
            np.asarray(value)

    steps(1)  # traces

    def work():
        steps(STEPS)
        trained = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
        return {"steps": STEPS, "parameters": trained, "network": config.network.network}

    return work


def _drawing(task):
    from pga_tf import priors
    from pga_tf.runs import build, drawing

    config = build.resolved(_config(task), (task["pixels"], task["pixels"], 3))
    model = build.build_model(config, (task["pixels"], task["pixels"], 3))
    return drawing.Drawing(model, priors.PRIORS.get("normal")(model.latent_dim), "normal")


def encode(task, base):
    from pga_tf import data
    from pga_tf.runs import run_codes

    draw = _drawing(task)
    source = data.whole(material.mapped(material.place(base, "pictures", task["images"], task["pixels"])))

    def work():
        run_codes.of_split(draw, source, "all", 0)
        return {}

    return work


def mixture(task, base):
    from pga_tf import priors
    from pga_tf.settings.priors import MixtureOptions

    kind, codes = priors.PRIORS.get("mixture"), material.codes(task["codes"])

    def work():
        ends = []
        options = MixtureOptions(components=task["components"])
        kind(material.CODES, options).fit(codes, report=lambda *_: ends.append(cpu()))
        return {"cpu": (ends[-1] - ends[0]) / (len(ends) - 1)}  # k-means and the first iteration left out

    return work


def sample(task, base):
    from pga_tf.core import shards as core_shards
    from pga_tf.runs import shards

    draw, count = _drawing(task), task["images"]
    shape = tuple(draw.model.image_shape)
    draw.samples(1000)  # traces
    number = iter(range(REPETITIONS))

    def work():
        folder = base / f"shards_{task['run']}_{next(number)}"
        folder.mkdir(exist_ok=True)
        card = core_shards.Card("none", "last", "normal", 0, count, 1000, shape, "none")
        shards.write(draw, folder, card, compress=False)
        return {"disk": bytes_below(folder)}

    return work


def features(task, base):
    from pga_tf import data
    from pga_tf.evaluation import features as features_lib
    from pga_tf.evaluation import statistics
    from pga_tf.runs import scoring

    source = data.whole(material.mapped(material.place(base, "pictures", task["images"], task["pixels"])))
    extract = features_lib.load(features_lib.GENERAL).extractor()
    extract(source.examples("all", 50))  # traces

    def work():
        statistics.collect(scoring.real_images(source, "all"), extract)
        return {}

    return work


def frechet(task, base):
    from pga_tf.evaluation import frechet as frechet_lib
    from pga_tf.evaluation.moments import Moments

    sides = [material.features(BLOCK, seed) for seed in range(2)]

    def work():
        made = [Moments(FEATURES) for _ in sides]
        for moments, side in zip(made, sides, strict=True):
            for part in material.batches(task["images"], side):
                moments.add(part)
        frechet_lib.frechet_distance(*made)
        return {}

    return work


def neighbours(task, base):
    from pga_tf.evaluation.prdc import prdc

    real, generated = (material.features(task["images"], seed) for seed in range(2))

    def work():
        prdc(real, generated)
        return {}

    return work


def memorisation(task, base):
    from pga_tf.evaluation.neighbours import Nearest

    queries, pool = material.features(QUERIES, 0), material.features(BLOCK, 1)

    def work():
        nearest = Nearest(queries)
        for part in material.batches(task["images"], pool):
            nearest.add(part)
        return {}

    return work


WORK = {
    "example_gen": example_gen,
    "statistics_gen": statistics_gen,
    "transform": transform,
    "open": open_array,
    "train": train,
    "encode": encode,
    "mixture": mixture,
    "sample": sample,
    "features": features,
    "frechet": frechet,
    "neighbours": neighbours,
    "memorisation": memorisation,
}


def _wait():
    """Until the process that asks for measurements says so; where that is gone, this one ends."""
    if not sys.stdin.readline():
        os._exit(1)


def main(task):
    """Makes ready, waits for its turn, works, and tells the seconds."""
    base = pathlib.Path(task["folder"])
    made_ready = time.monotonic()
    work = WORK[task["stage"]](task, base)
    print(READY, flush=True)
    start = {"cpu": cpu(), "wall": time.monotonic() - made_ready}
    _wait()
    told = {"cpu": [], "wall": [], "start": start}
    while len(told["cpu"]) < REPETITIONS:
        began, used = time.monotonic(), cpu()
        facts = work()
        told["cpu"].append(facts.pop("cpu", cpu() - used))
        told["wall"].append(time.monotonic() - began)
        if len(told["cpu"]) == 1:
            print(WORKED, flush=True)
        if task["alone"] and cpu() - start["cpu"] > ENOUGH:
            break
    print(json.dumps(told | {"facts": facts}), flush=True)
    _wait()  # workers end together: the loss of one is an error to the others
    os._exit(0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
