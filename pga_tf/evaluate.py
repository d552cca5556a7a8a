"""Scores a trained model, or any images: python -m pga_tf.evaluate --workdir=runs/lpga_digits."""

import json
import os
import pathlib

import numpy as np
from absl import flags as absl_flags
from PIL import Image
from tqdm import tqdm

from pga_tf import data, flags
from pga_tf.core import checks, files, grids, ranges
from pga_tf.evaluation import evaluate, features, protocol, report, statistics
from pga_tf.training import drawing, fitting, scoring, trained
from pga_tf.training.run_directory import RunDirectory

USAGE = """python -m pga_tf.evaluate --workdir=RUN [--num_samples=10000] [--seeds=3] [--features=NAME]
python -m pga_tf.evaluate --workdir=RUN --prior=NAME | --priors=all
python -m pga_tf.evaluate --images=PATH --against=mnist --workdir=OUT
python -m pga_tf.evaluate --compare RUN1 RUN2 ... [--workdir=OUT]   (writes OUT/comparison.html)

Writes evaluation.json and report.html, a page that opens offline, under RUN/evaluation/ (or OUT/evaluation/), and
prints the table. Every score comes with the protocol by which it was got."""

FLAGS = absl_flags.FLAGS
FEWEST = 10  # images on either side


def define_flags():
    absl_flags.DEFINE_string("workdir", None, "run directory of pga_tf.train; with --images, where results go")
    absl_flags.DEFINE_enum("checkpoint", "last", trained.CHECKPOINTS, "which weights; best needs train --keep_best")
    absl_flags.DEFINE_string(
        "features", "", "inception, mnist, cifar10, digits, pixels or PATH.keras; default: that of the dataset"
    )
    absl_flags.DEFINE_string("inception_path", "", "SavedModel folder or frozen graph of the Inception network")
    absl_flags.DEFINE_integer("num_samples", 10000, "for each seed [unit: images]", lower_bound=FEWEST)
    absl_flags.DEFINE_integer("seeds", 3, "seeds 0, 1, ...; one: bootstrap [unit: sets of samples]", lower_bound=1)
    absl_flags.DEFINE_string("prior", "normal", "distribution of codes; others than normal need pga_tf.fit_prior")
    absl_flags.DEFINE_enum("priors", "one", ("one", "all"), "all: a table of every prior fitted to the run")
    absl_flags.DEFINE_enum("split", "test", ("test", "train"), "real images to score against")
    absl_flags.DEFINE_integer("num_real", 0, "0: all of the split [unit: images]", lower_bound=0)
    absl_flags.DEFINE_string("cache_dir", "", "statistics of real images; default ~/.cache/pga_tf")
    absl_flags.DEFINE_string("images", "", "folder of images or .npz with an array `images`, to score instead of a run")
    absl_flags.DEFINE_string("against", "", "with --images: the real images, such as mnist or digits or folder:PATH")
    absl_flags.DEFINE_integer("against_size", 0, "side to which --against is resized; 0: its own", lower_bound=0)
    absl_flags.DEFINE_integer(
        "against_crop", 0, "side of its centre crop before that; 0: as in training", lower_bound=0
    )
    absl_flags.DEFINE_integer("images_size", 0, "the same for --images", lower_bound=0)
    absl_flags.DEFINE_integer("images_crop", 0, "the same for --images", lower_bound=0)
    absl_flags.DEFINE_boolean("compare", False, "compare the evaluations of the runs that follow")


def main(runs):
    if FLAGS.compare:
        return _compare(runs)
    if runs:
        checks.refuse(
            "Command line", expected="flags only", received=runs[0], remedy="add --compare, or write --name=value"
        )
    if not FLAGS.workdir:
        checks.refuse("--workdir", expected="a folder", received="none", remedy="pass --workdir=runs/NAME")
    if FLAGS.num_real and FLAGS.num_real < FEWEST:
        checks.refuse(
            "--num_real",
            expected=f"0 or at least {FEWEST}",
            received=FLAGS.num_real,
            remedy="score against more images",
        )
    if FLAGS.images:
        return _evaluate_images()
    return _evaluate_priors() if FLAGS.priors == "all" else _evaluate_run()


def _evaluate_priors():
    """Scores of every prior that the run has, against the same real images, as one table."""
    config, directory = flags.config_of_run(FLAGS.workdir), RunDirectory(FLAGS.workdir)
    network = _network(config.data.dataset, directory.read_image_shape())
    source, extract = data.load(config.data), network.extractor()
    draw, step = trained.load(config, FLAGS.checkpoint)
    names = ["normal", *fitting.fitted(config)]
    results, pictures = [], []
    with tqdm(
        total=_count(source) + len(names) * FLAGS.seeds * FLAGS.num_samples, unit=" images", mininterval=1.0
    ) as bar:
        real, card = _real(source, FLAGS.split, FLAGS.num_real, network, extract, bar)
        for name in names:
            bar.set_description(name)
            subject = scoring.subject(drawing.Drawing(draw.model, fitting.load(config, draw.model, name)))
            found, _, shown = evaluate.of_samples(
                subject, extract, real, count=FLAGS.num_samples, seeds=range(FLAGS.seeds), advance=bar.update
            )
            results.append(
                {
                    "title": name,
                    "names": {"frechet": network.distance_name, "kernel": network.kernel_name},
                    "card": protocol.card(network, real=card, generated=_sampled(config, name)),
                    "scores": found,
                }
            )
            pictures.append(drawing.picture(shown))
    title = f"{directory.path.resolve().name}, step {step:,}: every prior"
    text, page = report.matrix(title, results, pictures)
    directory.evaluation.mkdir(parents=True, exist_ok=True)
    files.write_text(directory.evaluation / "priors.html", page)
    files.write_text(
        directory.evaluation / "priors.json", json.dumps(_strict(results), indent=1, allow_nan=False) + "\n"
    )
    print(f"{text}\n\n  {directory.evaluation / 'priors.json'}\n  {directory.evaluation / 'priors.html'}")
    return 0


def _sampled(config, prior):
    """What the card says of samples."""
    return {
        "count": FLAGS.num_samples,
        "seeds": list(range(FLAGS.seeds)),
        "prior": prior,
        "checkpoint": FLAGS.checkpoint,
        "batch_norm": scoring.batch_norm_statistics(config),
        "weights": "moving average" if config.optimizer.ema else "as trained",
        "arithmetic": "float32" if config.run.mixed_precision == "none" else config.run.mixed_precision,
    }


def _evaluate_run():
    config = flags.config_of_run(FLAGS.workdir)
    shape = RunDirectory(FLAGS.workdir).read_image_shape()
    network = _network(config.data.dataset, shape)
    source = data.load(config.data)
    draw, step = trained.load(config, FLAGS.checkpoint, FLAGS.prior)
    subject, extract = scoring.subject(draw), network.extractor()

    held, training_images = min(source.counts["train"], FLAGS.num_samples), source.counts["train"]
    total = _count(source) + training_images + 4 * held + FLAGS.seeds * FLAGS.num_samples
    with tqdm(total=total, unit=" images", desc="real images", mininterval=1.0) as bar:
        real, card = _real(source, FLAGS.split, FLAGS.num_real, network, extract, bar)
        floor, _ = _real(source, "train", held, network, extract, bar)
        pool, _ = _real(source, "train", 0, network, extract, bar)
        bar.set_description("samples")
        found, generated, shown = evaluate.of_samples(
            subject, extract, real, count=FLAGS.num_samples, seeds=range(FLAGS.seeds), advance=bar.update
        )
        bar.set_description("where the gap comes from")
        training = np.concatenate(list(scoring.real_images(source, "train", held)))
        floor = None if FLAGS.split == "train" else floor
        gap = evaluate.gap(subject, extract, real, training, floor, advance=bar.update)
        bar.set_description("latent space")
        held_out = np.concatenate(list(scoring.real_images(source, "test", evaluate.LATENT)))
        health, paths = evaluate.latent_health(subject, held_out)
        memory, pairs = evaluate.memory(
            generated.features,
            extract(held_out),
            pool.features,
            shown,
            lambda indices: scoring.images_at(source, "train", indices.tolist()),
        )
        restored = evaluate.restored(subject, held_out)
    result = {
        "title": f"{pathlib.Path(FLAGS.workdir).resolve().name}, step {step:,}, prior {FLAGS.prior}",
        "run": {
            "method": config.run.method,
            "dataset": config.data.dataset,
            "step": step,
            "checkpoint": FLAGS.checkpoint,
        },
        "flags": config.values(),
        "names": {"frechet": network.distance_name, "kernel": network.kernel_name},
        "card": protocol.card(network, real=card, generated=_sampled(config, FLAGS.prior)),
        "scores": found,
        "gap": gap,
        "reconstruction": restored,
        "latent": health,
        "memory": memory,
        "curves": scoring.training_curves(RunDirectory(FLAGS.workdir), config.method),
    }
    return _finish(result, _pictures(draw, shown, held_out, pairs, paths, health))


def _pictures(draw, shown, held_out, pairs, paths, health):
    """What the page shows: dict of caption to picture."""
    pictures = {"samples": drawing.picture(shown)}
    shape = shown.shape[1:]
    if grids.is_points(shape):
        return pictures
    restored = draw.reconstructions(held_out[:32], ranges.UINT8)
    directions = list(zip(health["direction_order"], health["direction_variances"], strict=True))[: len(paths)]
    caused = ", ".join(f"{dimension}: {variance:.2g}" for dimension, variance in directions)
    return pictures | {
        "held-out images beside their reconstructions": drawing.picture(restored, 16),
        "interpolations between held-out images": drawing.picture(
            draw.interpolations(held_out[:16], ranges.UINT8, 10), 10
        ),
        "samples and their nearest training images": drawing.picture(pairs.reshape(-1, *shape), 10),
        f"along single latent directions (dimension: pixel variance that it causes) {caused}": drawing.picture(
            paths.reshape(-1, *shape), paths.shape[1]
        ),
    }


def _evaluate_images():
    against = data.load(
        data.DataOptions(dataset=_against(FLAGS.against), image_size=FLAGS.against_size, crop=FLAGS.against_crop)
    )
    network = _network(against.name, against.image_shape)
    given = _given()
    network.require_images(given.image_shape)
    if given.image_shape[-1] != against.image_shape[-1]:
        checks.refuse(
            f"--images={FLAGS.images}",
            expected=f"{against.image_shape[-1]} channel(s), as {against.name} has",
            received=f"{given.image_shape[-1]} channel(s)",
            remedy="convert them, or choose other real images",
        )
    extract, count = network.extractor(), sum(given.counts.values())
    with tqdm(total=count + _count(against), unit=" images", desc="real images", mininterval=1.0) as bar:
        real, card = _real(against, FLAGS.split, FLAGS.num_real, network, extract, bar)
        bar.set_description(FLAGS.images)
        batches = (images for split in given.readers for images in scoring.real_images(given, split))
        found, _, shown = evaluate.of_images(batches, extract, real, advance=bar.update)
    result = {
        "title": FLAGS.images,
        "names": {"frechet": network.distance_name, "kernel": network.kernel_name},
        "card": protocol.card(network, real=card, generated=_offered(given)),
        "scores": found,
    }
    return _finish(result, {"images": drawing.picture(shown)})


def _offered(given):
    """What the card says of images that were given."""
    prepared = {"size": FLAGS.images_size, "crop": FLAGS.images_crop}
    return {
        "count": sum(given.counts.values()),
        "image_shape": list(given.image_shape),
        "prepared": ", ".join(f"{name} {value}" for name, value in prepared.items() if value) or "as they are",
    }


def _given():
    """The images to score, at their own size and in their own colours: every one of both splits of a source."""
    path = pathlib.Path(FLAGS.images)
    if not path.exists():
        checks.refuse(
            f"--images={path}",
            expected="a folder of images or an .npz",
            received="nothing there",
            remedy="check the path",
        )
    kind = "folder" if path.is_dir() else "npz"
    try:
        return data.load(
            data.DataOptions(
                dataset=f"{kind}:{path}", image_size=FLAGS.images_size, crop=FLAGS.images_crop, strict_data=True
            )
        )
    except checks.InputError as error:
        text = str(error).replace(f"--dataset={kind}:{path}", f"--images={path}")
        raise checks.InputError(
            text.replace("--image_size", "--images_size").replace("--crop", "--images_crop")
        ) from None


def _count(source):
    return min(FLAGS.num_real or source.counts[FLAGS.split], source.counts[FLAGS.split])


def _against(name):
    if not name:
        checks.refuse("--against", expected="real images", received="none", remedy="pass --against=mnist, or digits")
    return name if ":" in name or name == "digits" else f"tfds:{name}"


def _network(dataset, shape):
    name = FLAGS.features or features.default(dataset, shape, inception_path=FLAGS.inception_path)
    network = features.load(name, inception_path=FLAGS.inception_path)
    network.require_images(shape, np.float32 if grids.is_points(shape) else np.uint8)
    return network


def _real(source, split, count, network, extract, bar):
    cache = statistics.Cache(FLAGS.cache_dir or _default_cache(), warn=bar.write)
    return scoring.real_statistics(source, split, count, network, extract, cache, advance=bar.update)


def _default_cache():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "pga_tf"


def _finish(result, pictures):
    directory = RunDirectory(FLAGS.workdir)
    folder = (directory if FLAGS.prior == "normal" else RunDirectory(directory.prior(FLAGS.prior))).evaluation
    folder.mkdir(parents=True, exist_ok=True)
    grids.write_png(folder / "samples.png", next(iter(pictures.values())))
    files.write_text(folder / "report.html", report.page(result, pictures))
    files.write_text(folder / "evaluation.json", json.dumps(_strict(result), indent=1, allow_nan=False) + "\n")
    print(report.text(result))
    print(f"\n  {folder / 'evaluation.json'}\n  {folder / 'report.html'}")
    return 0


def _strict(value):
    """`value` with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _strict(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_strict(entry) for entry in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _compare(runs):
    if len(runs) < 2:
        checks.refuse("--compare", expected="two or more runs", received=len(runs), remedy="--compare RUN1 RUN2")
    results, pictures = [], []
    for run in runs:
        folder = RunDirectory(run).evaluation
        path = folder / "evaluation.json"
        if not path.exists():
            checks.refuse(
                f"--compare {run}",
                expected="a run that was evaluated",
                received=f"no {path}",
                remedy=f"python -m pga_tf.evaluate --workdir={run}",
            )
        try:
            results.append(json.loads(path.read_text()))
        except json.JSONDecodeError as error:
            checks.refuse(f"{path}", expected="JSON", received=str(error), remedy="evaluate that run again")
        grid = folder / "samples.png"
        pictures.append(np.atleast_3d(np.asarray(Image.open(grid))) if grid.exists() else None)
    text, page = report.compare(results, pictures)
    print(text)
    out = pathlib.Path(FLAGS.workdir or ".")
    out.mkdir(parents=True, exist_ok=True)
    files.write_text(out / "comparison.html", page)
    print(f"\n  {out / 'comparison.html'}")
    return 0


if __name__ == "__main__":
    define_flags()
    flags.run(main, usage=USAGE, arguments=True)
