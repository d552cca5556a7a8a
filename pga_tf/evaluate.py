"""Scores a trained model, or any images: python -m pga_tf.evaluate --workdir=runs/lpga_digits."""

import dataclasses
import pathlib
import re
import sys

import numpy as np
from absl import flags as absl_flags
from PIL import Image

from pga_tf import command_line, flags
from pga_tf.core import checks, commands, files, photo, shards
from pga_tf.evaluation import protocols
from pga_tf.runs import zoo
from pga_tf.runs.directory import RunDirectory
from pga_tf.settings.data import DataOptions, dataset_name, require_there

USAGE = """python -m pga_tf.evaluate --workdir=RUN [--num_samples=10000] [--seeds=3] [--features=NAME]
python -m pga_tf.evaluate --workdir=RUN --protocol=pga   (as the paper scored; or dai_wipf, prior_free)
python -m pga_tf.evaluate --workdir=RUN --prior=NAME | --priors=all
python -m pga_tf.evaluate --workdir=zoo/mnist --out=FOLDER
python -m pga_tf.evaluate --images=PATH --against=mnist --workdir=OUT
python -m pga_tf.evaluate --compare RUN1 RUN2 ... [--workdir=OUT]   (writes OUT/comparison.html)

Writes evaluation.json and report.html, a page that opens offline, under RUN/evaluation/ (or FOLDER/, or
OUT/evaluation/), and prints the table. Every score comes with the protocol by which it was got."""

FLAGS = absl_flags.FLAGS
FEWEST = 10  # images on either side
RESIZE = (DataOptions.resize, photo.RESIZES, "how, as --resize does in training")


def define_flags():
    absl_flags.DEFINE_string("workdir", None, "run directory of pga_tf.train; with --images, where results go")
    absl_flags.DEFINE_string("out", "", "with a run: where results go, instead of its own folder")
    absl_flags.DEFINE_string(
        "features",
        "",
        "imagenet, inception, mnist, fashion_mnist, cifar10, digits, pixels, PATH.keras, or none for what needs none; "
        "default: that of the dataset, or imagenet",
    )
    absl_flags.DEFINE_string("inception_path", "", "SavedModel folder or frozen graph of the Inception network")
    absl_flags.DEFINE_enum(
        "protocol",
        protocols.OURS,
        list(protocols.PROTOCOLS),
        "how to score: resizing, split, numbers, rounding and batch norm of a paper, or ours (docs/evaluation.md)",
    )
    absl_flags.DEFINE_integer(
        "num_samples", None, "for each seed; default: the protocol's, ours 10000 [unit: images]", lower_bound=FEWEST
    )
    absl_flags.DEFINE_integer(
        "seeds",
        None,
        "seeds 0, 1, ...; one: errors by influence; default: the protocol's, ours 3 [unit: sets of samples]",
        lower_bound=1,
    )
    flags.define_model_flags()
    absl_flags.DEFINE_enum("priors", "one", ("one", "all"), "all: a table of every prior fitted to the run")
    absl_flags.DEFINE_enum(
        "split",
        "",
        ("", "test", "train", "all"),
        "real images to score against; default: the protocol's, ours test; with --against of a folder or array all",
    )
    absl_flags.DEFINE_integer("num_real", 0, "0: all of the split [unit: images]", lower_bound=0)
    absl_flags.DEFINE_string("cache_dir", "", "statistics of real images; default ~/.cache/pga_tf")
    flags.define_data_flags()
    absl_flags.DEFINE_string(
        "images",
        "",
        "folder of images, .npz with an array `images`, or folder of sample's shards, to score instead of a run",
    )
    absl_flags.DEFINE_string("against", "", "with --images: the real images, such as mnist or digits or folder:PATH")
    absl_flags.DEFINE_integer("against_size", 0, "side to which --against is resized; 0: its own", lower_bound=0)
    absl_flags.DEFINE_integer(
        "against_crop", 0, "side of its centre crop before that; 0: as in training", lower_bound=0
    )
    absl_flags.DEFINE_enum("against_resize", *RESIZE)
    absl_flags.DEFINE_integer("images_size", 0, "the same for --images", lower_bound=0)
    absl_flags.DEFINE_integer("images_crop", 0, "the same for --images", lower_bound=0)
    absl_flags.DEFINE_enum("images_resize", *RESIZE)
    absl_flags.DEFINE_boolean("compare", False, "compare the evaluations of the runs that follow")


def main(runs):
    if FLAGS.out and (FLAGS.compare or FLAGS.images):
        checks.refuse("--out", expected="a run to score", received="none", remedy="pass --workdir=OUT in its place")
    if FLAGS.compare:
        return _compare(runs)
    command_line.require_flags_only(runs, unless="--compare")
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


def _request():
    from pga_tf import run  # loads TensorFlow
    from pga_tf.runs import assessment

    return assessment.Request(
        cache_dir=FLAGS.cache_dir or str(run.default_cache()),
        features=FLAGS.features,
        inception_path=FLAGS.inception_path,
        protocol=FLAGS.protocol,
        num_samples=FLAGS.num_samples or 0,
        seeds=FLAGS.seeds or 0,
        split=FLAGS.split,
        num_real=FLAGS.num_real,
        checkpoint=FLAGS.checkpoint,
    )


def _evaluate_run():
    config = flags.config_of_run()
    FLAGS.out or zoo.require_own(config.run.workdir, "Evaluating without --out=FOLDER")
    from pga_tf import run  # loads TensorFlow
    from pga_tf.runs import assessment

    folder = pathlib.Path(files.home(FLAGS.out)) if FLAGS.out else run.evaluation_folder(config, FLAGS.prior)
    result, pictures = assessment.of_run(config, _request(), FLAGS.prior, folder)
    if FLAGS.out:
        run.keep(result, pictures, folder)
    else:
        run.keep_of_run(config, result, pictures)
    return _say(result, folder)


def _evaluate_priors():
    """Scores of every prior that the run has, against the same real images, as one table."""
    config = flags.config_of_run()
    FLAGS.out or zoo.require_own(config.run.workdir, "Evaluating without --out=FOLDER")
    folder = pathlib.Path(files.home(FLAGS.out)) if FLAGS.out else RunDirectory(config.run.workdir).evaluation
    from pga_tf.evaluation import report  # loads TensorFlow
    from pga_tf.runs import assessment

    title, results, pictures = assessment.of_priors(config, _request(), folder)
    text, page = report.matrix(title, results, pictures)
    files.write_page(folder / "priors.html", page)
    files.write_json(folder / "priors.json", results)
    print(f"{text}\n\n  {folder / 'priors.json'}\n  {folder / 'priors.html'}")
    return 0


def _evaluate_images():
    real, path = DataOptions(dataset=_against(FLAGS.against)), _path_of_images()
    require_there(real)
    from pga_tf import run  # loads TensorFlow
    from pga_tf.runs import assessment

    against, given = _load("against", real), _given(path)
    if given.image_shape[-1] != against.image_shape[-1]:
        checks.refuse(
            f"--images={FLAGS.images}",
            expected=f"{against.image_shape[-1]} channel(s), as {against.name} has",
            received=f"{given.image_shape[-1]} channel(s)",
            remedy="convert them, or choose other real images",
        )
    prepared = {"size": FLAGS.images_size, "crop": FLAGS.images_crop}
    if FLAGS.images_resize != DataOptions.resize:
        prepared["resize"] = FLAGS.images_resize
    prepared = ", ".join(f"{name} {value}" for name, value in prepared.items() if value) or "as they are"
    result, pictures = assessment.of_images(given, against, _request(), title=FLAGS.images, prepared=prepared)
    folder = RunDirectory(FLAGS.workdir).evaluation
    run.keep(result, pictures, folder)
    return _say(result, folder)


def _path_of_images():
    """Where the images to score lie. Raises `InputError` where nothing does, or where shards lack."""
    path = pathlib.Path(files.home(FLAGS.images))
    if not path.exists():
        checks.refuse(
            f"--images={path}",
            expected="a folder of images or an .npz",
            received="nothing there",
            remedy="check the path",
        )
    if shards.is_folder(path):
        shards.read_whole(path, f"--images={path}")
    return path


def _given(path):
    """The images to score, at their own size and in their own colours: every one of both splits of a source."""
    kind = "folder" if path.is_dir() and not shards.is_folder(path) else "npz"
    try:
        return _load("images", DataOptions(dataset=f"{kind}:{path}", strict_data=True))
    except checks.InputError as error:
        raise checks.InputError(str(error).replace(f"--dataset={kind}:{path}", f"--images={path}")) from None


def _load(which, options):
    """The images that `options` name, prepared as the flags of `which`, "images" or "against", say."""
    from pga_tf import data

    flag_of = {"image_size": f"{which}_size", "crop": f"{which}_crop", "resize": f"{which}_resize"}
    try:
        return data.load(dataclasses.replace(options, **{name: FLAGS[flag].value for name, flag in flag_of.items()}))
    except checks.InputError as error:
        named = re.compile("--(" + "|".join(flag_of) + r")\b")
        raise checks.InputError(named.sub(lambda found: f"--{flag_of[found[1]]}", str(error))) from None


def _against(name):
    if not name:
        checks.refuse("--against", expected="real images", received="none", remedy="pass --against=mnist, or digits")
    return dataset_name(name)


def _say(result, folder):
    from pga_tf.evaluation import report

    print(report.text(result))
    print(f"\n  {folder / 'evaluation.json'}\n  {folder / 'report.html'}")
    return 0


def _compare(runs):
    if len(runs) < 2:
        checks.refuse("--compare", expected="two or more runs", received=len(runs), remedy="--compare RUN1 RUN2")
    folders = [RunDirectory(zoo.located(name)).evaluation for name in runs]
    for name, folder in zip(runs, folders, strict=True):
        path = folder / "evaluation.json"
        if not path.exists():
            checks.refuse(
                f"--compare {name}",
                expected="a run that was evaluated",
                received=f"no {path}",
                remedy=commands.line("evaluate", workdir=name),
            )
    from pga_tf.evaluation import report  # loads TensorFlow

    results, pictures = [], []
    for name, folder in zip(runs, folders, strict=True):
        again = f"evaluate that run again: {commands.line('evaluate', workdir=name)}"
        results.append(report.read(folder / "evaluation.json", again))
        pictures.append(_picture(folder / "samples.png"))
    out = pathlib.Path(files.home(FLAGS.workdir or "."))
    files.require_folder(out, f"--workdir={out}")
    text, page = report.compare(results, pictures)
    print(text)
    files.write_page(out / "comparison.html", page)
    print(f"\n  {out / 'comparison.html'}")
    return 0


def _picture(path):
    """A picture as uint8 `[H, W, 1 or 3]`, or None where there is none that can be read."""
    try:
        return np.atleast_3d(np.asarray(Image.open(path).convert("RGB")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises for damaged bytes
        print(f"warning: {path} cannot be read ({error}) and is left out", file=sys.stderr)
        return None


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=USAGE, arguments=True)
