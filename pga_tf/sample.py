"""Draws from a trained model: python -m pga_tf.sample --workdir=runs/lpga_digits."""

import math
import os
import pathlib
import re
import sys

from absl import flags as absl_flags

from pga_tf import command_line, flags
from pga_tf.core import checks, files, grids, memory
from pga_tf.core.progress import Progress
from pga_tf.runs import config as config_lib
from pga_tf.runs import zoo
from pga_tf.runs.directory import RunDirectory

USAGE = """python -m pga_tf.sample --workdir=RUN [--grid=10x10] [--interpolate=8] [--reconstruct] [--seed=0]
python -m pga_tf.sample --workdir=zoo/mnist --out=grid.png   (a model that comes with the package)
python -m pga_tf.sample --workdir=RUN --out=FILE.npz --num_samples=10000
python -m pga_tf.sample --workdir=RUN --out=FOLDER/ --num_samples=1000000   (as shards; several processes share them)
python -m pga_tf.sample --panel RUN1 RUN2 ... [--out=panel.png]   (a row for each run: reconstruct, interpolate, sample)

Writes PNG grids under RUN/samples/, or raw samples as array `images` of FILE.npz. The same seed gives the same
picture."""

FLAGS = absl_flags.FLAGS


def define_flags():
    absl_flags.DEFINE_string("workdir", None, "run directory of pga_tf.train")
    flags.define_model_flags()
    absl_flags.DEFINE_integer("seed", 0, "sample i is a function of (seed, i)", lower_bound=0, upper_bound=2**31 - 1)
    absl_flags.DEFINE_string("grid", "10x10", "rows x columns of the sample grid [unit: images]")
    absl_flags.DEFINE_integer(
        "interpolate",
        0,
        "also draw 8 rows of this many images between test images; 0: none [unit: images]",
        lower_bound=0,
    )
    absl_flags.DEFINE_boolean("reconstruct", False, "also draw test images beside their reconstructions")
    absl_flags.DEFINE_boolean("panel", False, "show the runs that follow beside each other, in one picture")
    absl_flags.DEFINE_string(
        "out",
        None,
        "write the grid to this .png, uint8 images [N, H, W, C] to this .npz, or such to shards in this folder (with / "
        "at its end, or one that is there); with --panel the picture, default panel.png",
    )
    flags.define_data_flags()
    absl_flags.DEFINE_integer("num_samples", 10000, "with --out [unit: images]", lower_bound=1)
    absl_flags.DEFINE_integer(
        "shard_size",
        10000,
        "with --out of a folder, in each file; a multiple of 1,000 draws none twice [unit: images]",
        lower_bound=1,
    )
    absl_flags.DEFINE_boolean("compress", False, "with --out: a smaller file, slower to write, and read as a whole")


def _parse_grid(text):
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not match:
        checks.refuse(
            "--grid",
            expected="ROWSxCOLUMNS, such as 10x10",
            received=text,
            remedy="write two positive numbers",
        )
    return int(match[1]), int(match[2])


def main(runs):
    if FLAGS.panel:
        return _panel(runs)
    command_line.require_flags_only(runs, unless="--panel")
    if not FLAGS.workdir:
        checks.refuse("--workdir", expected="a run directory", received="none", remedy="pass --workdir=runs/NAME")
    rows, columns = _parse_grid(FLAGS.grid)
    in_shards = _in_shards()
    pictured = not FLAGS.out or FLAGS.out.endswith(".png")
    out = pathlib.Path(files.home(FLAGS.out)) if in_shards else _out((".npz", ".png"), FLAGS.out or "")
    if FLAGS.interpolate == 1:
        checks.refuse("--interpolate", expected="0 or at least 2", received=1, remedy="try --interpolate=8")
    config = flags.config_of_run()
    _require_memory(RunDirectory(config.run.workdir).read_image_shape(), rows * columns)
    folder = RunDirectory(config.run.workdir).samples
    if in_shards:
        files.require_folder(out, f"--out={out}")
    elif not FLAGS.out:
        zoo.require_own(config.run.workdir, "Sampling without --out=grid.png")
        files.require_folder(folder)
    from pga_tf.runs import drawing, run_data, trained  # loads TensorFlow

    draw, _ = trained.load(config, FLAGS.checkpoint, FLAGS.prior)
    if in_shards:
        return _write_shards(draw, out)
    if not pictured:
        return write_array(draw, out)

    kind = "" if draw.prior_name == draw.model.PRIOR else f"_{draw.prior_name}"
    pictures = {f"grid{kind}_seed{FLAGS.seed}": drawing.picture(draw.samples(rows * columns, FLAGS.seed), columns)}
    if FLAGS.reconstruct or FLAGS.interpolate:
        drawing.require_encoder(draw.model, "--reconstruct and --interpolate")
        source, _ = run_data.load(config)
        images, value_range = source.examples("test", 64), source.value_range
        for line in source.notices():
            print(line, file=sys.stderr)
    if FLAGS.reconstruct:
        pictures["reconstructions"] = drawing.picture_of_bands(draw.reconstructions(images, value_range), 16)
    if FLAGS.interpolate:
        rows_of_images = draw.interpolations(images[:16], value_range, FLAGS.interpolate)
        pictures["interpolations"] = drawing.picture_of_paths(rows_of_images, FLAGS.interpolate)
    for i, (name, picture) in enumerate(pictures.items()):
        path = folder / f"{name}.png"
        if FLAGS.out:
            path = out.with_stem(f"{out.stem}_{name}") if i else out
        grids.write_png(path, picture)
        print(path)
    return 0


def _in_shards():
    """Whether `--out` is a folder, to be made or there."""
    return bool(FLAGS.out) and (FLAGS.out.endswith("/") or pathlib.Path(files.home(FLAGS.out)).is_dir())


def _out(endings, name):
    """The file that `name` is of, "" for none. Raises `InputError` for what cannot be written there."""
    out = pathlib.Path(files.home(name))
    if name and out.suffix not in endings:
        folder = " or, for a folder of shards, in /" if ".npz" in endings else ""
        told = f"a file name that ends in {' or '.join(endings)}{folder}"
        checks.refuse("--out", expected=told, received=name, remedy="rename it")
    if not out.parent.is_dir() or (name and out.is_dir()):
        checks.refuse("--out", expected="a file in a folder that exists", received=name, remedy="make the folder")
    return out


def _panel(runs):
    """One picture of several runs, whose images are of one shape; all of it is refused before anything is drawn."""
    if not runs:
        checks.refuse("--panel", expected="one or more runs", received="none", remedy="--panel RUN1 RUN2")
    if FLAGS.workdir:
        checks.refuse("--panel", expected="runs after it", received="--workdir too", remedy="name that run beside them")
    out = _out((".png",), FLAGS.out or "panel.png")
    configs = [config_lib.of_run(name, FLAGS.dataset, FLAGS.allow_changed_data) for name in runs]
    shapes = [RunDirectory(config.run.workdir).read_image_shape() for config in configs]
    of_first = "" if grids.is_points(shapes[0]) else f" of {_size(shapes[0])}, as the first one's"
    for name, shape in zip(runs, shapes, strict=True):
        if grids.is_points(shape) or shape != shapes[0]:
            checks.refuse(
                f"--panel {name}",
                expected=f"a run on images{of_first}",
                received="points" if grids.is_points(shape) else _size(shape),
                remedy="leave it out",
            )
    from pga_tf.runs import drawing, run_data, trained  # loads TensorFlow

    for config in configs:
        FLAGS.prior or trained.prior_of(config)  # which says what is missing
    rows = []
    for config in configs:
        draw, step = trained.load(config, FLAGS.checkpoint, FLAGS.prior)
        source, _ = run_data.load(config)
        images = source.examples("test", 2 * drawing.PANEL_COLUMNS)
        title = f"{pathlib.Path(config.run.workdir).resolve().name}, step {step:,}, prior {draw.prior_name}"
        rows.append((title, drawing.panel_row(draw, images, source.value_range, FLAGS.seed)))
    grids.write_png(out, grids.panel(rows, drawing.PANEL, missing="no encoder"))
    print(out)
    return 0


def _size(shape):
    return " x ".join(map(str, shape))


def _require_memory(image_shape, on_a_grid):
    """Refuses more images than fit in memory: float32 as they are drawn, and a copy."""
    at_once = {"--shard_size": min(FLAGS.shard_size, FLAGS.num_samples)} if _in_shards() else {}
    pictured = not FLAGS.out or FLAGS.out.endswith(".png")
    asked = {"--grid": on_a_grid} if pictured else at_once or {"--num_samples": FLAGS.num_samples}
    asked["--interpolate"] = 8 * FLAGS.interpolate
    for flag, count in asked.items():
        memory.require(flag, 2 * 4 * count * math.prod(image_shape), remedy="ask for fewer images at a time")


def write_array(draw, out):
    """Draws `--num_samples` images from a `Drawing` into the array `images` of the file `out`. Returns the status 0."""
    from pga_tf.runs import shards  # loads TensorFlow

    count = FLAGS.num_samples
    with Progress("samples", count) as progress:
        images = shards.drawn(draw, 0, count, count=count, seed=FLAGS.seed, advance=progress.advance)
    shards.store(out, images, compress=FLAGS.compress)
    print(f"{out}: images {images.shape} {images.dtype}")
    return 0


def _write_shards(draw, folder):
    from pga_tf.core.shards import Card
    from pga_tf.runs import shards  # loads TensorFlow

    card = Card(
        weights=shards.fingerprint(draw), checkpoint=FLAGS.checkpoint, prior=draw.prior_name, seed=FLAGS.seed,
        num_samples=FLAGS.num_samples, shard_size=FLAGS.shard_size, image_shape=tuple(draw.model.image_shape),
        workdir=os.path.abspath(files.home(FLAGS.workdir)),
    )  # fmt: skip
    tally = shards.write(draw, folder, card, compress=FLAGS.compress)
    print(
        f"{folder}: {card.count:,} shards of {card.num_samples:,} images: {tally['written']:,} written, "
        f"{tally['found']:,} already there, {tally['held']:,} with other processes"
    )
    return 0


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=USAGE, arguments=True)
