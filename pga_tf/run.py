"""The front door: a run as an object, and what the commands do as functions; notebooks and commands come in here."""

import dataclasses
import functools
import json
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pga_tf import data
from pga_tf.core import checks, cluster, files, grids, options
from pga_tf.evaluation import report
from pga_tf.methods import METHODS
from pga_tf.runs import assessment, drawing, fitted, hparams, packing, trained, zoo
from pga_tf.runs import config as config_lib
from pga_tf.runs.directory import RunDirectory
from pga_tf.settings.data import DataOptions, dataset_name
from pga_tf.settings.export import ExportOptions
from pga_tf.settings.priors import PRIOR_OPTIONS
from pga_tf.training import fitting, loop


class Scores:
    """What an evaluation found. `print` shows the command's table, `scores["frechet"]` is a value.

    Args:
      result: of an evaluation, as evaluation.json holds it.
    """

    def __init__(self, result: dict):
        self._result = result

    def __getitem__(self, name: str) -> float:
        """A score by its name: frechet, kernel, precision, recall, density, coverage."""
        if not self._result["scores"]:
            checks.refuse(f"Score {name}", expected="features", received="none", remedy=self._result["notes"][0])
        checks.require_member("Score", name, self._result["scores"])
        return self._result["scores"][name]["value"]

    def to_dict(self) -> dict:
        """Everything that was found, with the protocol card, as plain values: what evaluation.json holds."""
        return json.loads(json.dumps(self._result))

    def __str__(self) -> str:
        return report.text(self._result)

    __repr__ = __str__


class Run:
    """A trained run directory. Images are uint8 `[N, H, W, C]`, or floats in the range that its method trains in.

    Args:
      workdir: the directory that `train` or `pack` made, or "zoo/mnist", "zoo/fashion_mnist" or "zoo/cifar10", models
        that come with this package and are only read; a folder of that name goes first.
      checkpoint: "last", or "best" of a run with `keep_best`.
      dataset: where its images lie now, such as "folder:PATH"; "": where they lay. allow_changed_data: whether to take
        images that are not those of the run.

    Raises `InputError` where there is no such run or checkpoint. What needs an encoder raises it where there is none.
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        checkpoint: str = "last",
        *,
        dataset: str = "",
        allow_changed_data: bool = False,
    ):
        self.config, self.checkpoint = config_lib.of_run(workdir, dataset, allow_changed_data), checkpoint
        self.directory = RunDirectory(self.config.run.workdir)
        self.workdir = self.directory.path
        self.model, self.step = trained.load_model(self.config, checkpoint)
        self._drawings = {}

    def __repr__(self) -> str:
        run = self.config.run
        return f"Run({zoo.told(self.workdir)!r}): {run.method} on {self.config.data.dataset}, step {self.step:,}"

    def priors(self) -> list[str]:
        """Names of the priors that the run can be sampled with: its method's own, and those fitted to it."""
        own = self.model.PRIOR
        return [*([own] if own else []), *fitted.names(self.config)]

    def drawing(self, prior: str = "") -> drawing.Drawing:
        """What draws from the model under a prior; "" is the run's own. Raises `InputError` where there is none."""
        name = prior or trained.prior_of(self.config)
        file = self.directory.prior(name) / fitted.FITTED
        written = file.stat().st_mtime_ns if file.exists() else None  # one that is fitted anew is read anew
        held = self._drawings.get(name)
        if held is None or held[0] != written:
            held = written, drawing.Drawing(self.model, fitted.load(self.config, self.model, name), name)
            self._drawings[name] = held
        return held[1]

    def sample(self, count: int, seed: int = 0, start: int = 0, prior: str = "") -> np.ndarray:
        """Samples `start` to `start + count`: uint8 `[count, H, W, C]`; sample i is a function of (seed, i) alone."""
        return self.drawing(prior).samples(count, seed, start)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Images to codes, means of posteriors: float32 `[N, H_dim]`."""
        drawing.require_encoder(self.model, "encode")
        return self._without_prior.encode(self._checked(images, "encode"), self.model.image_range)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes `[N, H_dim]`, of data where the method has an encoder, to uint8 images `[N, H, W, C]`."""
        codes = np.asarray(codes, np.float32)
        if codes.ndim != 2 or codes.shape[1] != self.model.latent_dim or not np.isfinite(codes).all():
            checks.refuse(
                "decode",
                expected=f"finite codes [N, {self.model.latent_dim}]",
                received=f"{list(codes.shape)}",
                remedy="pass what encode gives",
            )
        draw = self._without_prior
        return draw.decode(codes, "data" if draw.encodes else "prior")

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """g(f(x)) of images: uint8 `[N, H, W, C]`."""
        return self.decode(self.encode(images))

    def interpolate(self, images_a: np.ndarray, images_b: np.ndarray, steps: int = 8) -> np.ndarray:
        """From each of `images_a` to its partner, linear between codes: uint8 `[N, steps, H, W, C]`."""
        a, b = self.encode(images_a), self.encode(images_b)
        if a.shape != b.shape:
            checks.refuse(
                "interpolate",
                expected="as many images on both sides",
                received=f"{len(a)} and {len(b)}",
                remedy="pair them",
            )
        t = np.linspace(0.0, 1.0, steps, dtype=np.float32)[None, :, None]
        images = self.decode((a[:, None] * (1.0 - t) + b[:, None] * t).reshape(-1, a.shape[1]))
        return images.reshape(len(a), steps, *images.shape[1:])

    @functools.cached_property
    def _without_prior(self):
        return drawing.Drawing(self.model, None, None)

    def _checked(self, images, what):
        self.model._require(np.asarray(images), None, what)
        return self.model.in_training_range(images).numpy()

    def fit_prior(self, name: str, *, out: Callable[[str], None] = print, **values: Any) -> bool:
        """Fits the prior `name` to the codes of the run, or goes on fitting it; False where a signal stopped it.

        Args:
          values: options of fitting and of that prior, as the flags of `pga_tf.fit_prior`: `components=20`.

        Raises `InputError` for an option that it lacks, and for a method without an encoder.
        """
        given = {"prior": name, **values}
        known = [f.name for cls in (config_lib.FitOptions, PRIOR_OPTIONS.get(name)) for f in dataclasses.fields(cls)]
        for option in given:
            checks.require_member(f"Option of {name}", option, known)
        make = lambda cls: cls(**{f.name: given[f.name] for f in dataclasses.fields(cls) if f.name in given})
        own = make(PRIOR_OPTIONS.get(name))
        of_fit = {f.name for f in dataclasses.fields(config_lib.FitOptions)}
        fit_options = config_lib.fit_options({n: value for n, value in given.items() if n in of_fit})
        return fitting.fit(self.config, self.model, fit_options, own, out=out)

    def evaluate(self, prior: str = "", **values: Any) -> Scores:
        """Scores under a prior, as `pga_tf.evaluate` finds and keeps them in the run, unless that is of the zoo.

        Args:
          values: of `assessment.Request`: protocol, num_samples, seeds, features, split, num_real, inception_path,
            cache_dir.
        """
        request = _request(checkpoint=self.checkpoint, **values)
        if zoo.holds(self.workdir):
            return Scores(assessment.of_run(self.config, request, prior)[0])
        result, pictures = assessment.of_run(self.config, request, prior, evaluation_folder(self.config, prior))
        keep_of_run(self.config, result, pictures)
        return Scores(result)

    def card(self, prior: str = "") -> dict:
        """What is known of the model under a prior, plain values: run, checkpoint, weights, prior, flags, evaluation.

        "evaluation" has the scores of the last evaluation of these weights under that prior, their protocol's card,
        what decoder and prior add, and what was found of memorisation; it is None where there was none. "note" is the
        text of note.txt in the run.
        """
        name, config = prior or trained.prior_of(self.config), self.config
        found = _last_evaluation(self, name)
        run = {"method": config.run.method, "dataset": config.data.dataset, "step": self.step, "seed": config.run.seed}
        return {
            "run": run,
            "checkpoint": self.checkpoint,
            "weights": "moving average" if config.optimizer.ema else "as trained",
            "prior": name,
            "flags": config.values() | {"workdir": zoo.told(self.workdir)},
            "evaluation": found and {part: found.get(part) for part in ("scores", "card", "gap", "memory")},
            "note": self.directory.read_note(),
        }

    def pack(self, folder: str | os.PathLike, prior: str = "", optimize: str = "none") -> pathlib.Path:
        """Writes what samples, scores and exports need into the new `folder`, in a few MB; `load` takes it as a run.

        Args:
          prior: the one to take along. optimize: how kernels are stored: none, bfloat16 or int8; the packed model is
            the rounded one.
        """
        draw = self.drawing(prior)
        evaluation = _last_evaluation(self, draw.prior_name)
        return packing.pack(self.config, draw.model, draw.prior_name, folder, optimize=optimize, evaluation=evaluation)

    def export(
        self, name: str, base: str | os.PathLike = "runs/models", prior: str = "", **values: Any
    ) -> pathlib.Path:
        """Publishes a version for TensorFlow Serving behind the gate, and returns its folder.

        Args:
          values: of `ExportOptions`: version, label, optimize, tolerance, batch_sizes.
        """
        return publish(self, ExportOptions(name=name, base=str(base), **values), prior)[0]


def publish(run: Run, chosen: Any, prior: str = "") -> tuple:
    """(folder of the version, what the gate found by signature) of a run exported under a prior by `ExportOptions`."""
    from pga_tf.serving import export as export_lib

    draw = run.drawing(prior)
    return export_lib.export(
        draw.model, draw.prior, run.directory.read_image_shape(), chosen, run.card(draw.prior_name)
    )


def _last_evaluation(run, prior):
    """The last evaluation of the weights of `run` under `prior`, or None where they were not evaluated."""
    path = evaluation_folder(run.config, prior) / "evaluation.json"
    if not path.exists():
        return None
    try:
        result = report.read(path, "evaluate the run again")
    except checks.InputError as error:
        print(f"warning: the card is without scores: {error}", file=sys.stderr)
        return None
    if "run" not in result:  # of images, and not of a run
        return None
    same = (result["card"]["generated"]["prior"], result["run"]["checkpoint"], result["run"]["step"])
    return result if same == (prior, run.checkpoint, run.step) else None


def load(
    workdir: str | os.PathLike, checkpoint: str = "last", *, dataset: str = "", allow_changed_data: bool = False
) -> Run:
    """The trained run in `workdir`, with the weights of `checkpoint`: "last" or "best"; see `Run`.

    `workdir`: its folder, or zoo/NAME, a model that comes with this package. `dataset`: where its images lie now;
    `allow_changed_data`: whether to take others than those of the run.
    """
    return Run(workdir, checkpoint, dataset=dataset, allow_changed_data=allow_changed_data)


def train(*, callbacks: Sequence = (), out: Callable[[str], None] = print, **values: Any) -> Run:
    """Trains a run, or goes on with it, and fits its prior where one is named: what `pga_tf.train` does.

    Args:
      callbacks: `keras.callbacks.Callback`s that run beside the run's own.
      out: where the report, the plan and the closing lines go.
      values: options by the names of their flags: `method="lpga", dataset="digits", steps=3000, prior="mixture"`;
        `encoder`, `decoder` and `critic` may be functions of a module, of (image_shape, latent_dim).

    Returns:
      the `Run`. Raises `InputError` for what cannot be, `NonFiniteError` where training diverges, and
      `KeyboardInterrupt` where a signal stopped it: the same call goes on from there.
    """
    values = dict(values)
    if not values.get("workdir"):
        name = f"{values.get('method', 'lpga')}_{values.get('dataset', DataOptions.dataset)}"
        values["workdir"] = str(pathlib.Path("runs") / name.replace(":", "_").replace("/", "_"))
    values["workdir"] = str(values["workdir"])
    for role in ("encoder", "decoder", "critic"):
        if callable(values.get(role)):
            values[role] = _path_of(role, values[role])
    config, fit, own = config_lib.of_values(values)
    if not train_config(config, fit, own, callbacks=callbacks, out=out):
        raise KeyboardInterrupt
    return Run(config.run.workdir)


def _path_of(role, function):
    """PACKAGE.MODULE:FUNCTION of a function, so that a later process finds it. Raises `InputError` where none would."""
    module, name = getattr(function, "__module__", "__main__"), getattr(function, "__qualname__", "<lambda>")
    if module == "__main__" or "<" in name:
        checks.refuse(
            f"{role}=",
            expected="a function of a module, which the run can import later",
            received=f"{name} of {'this script or notebook' if module == '__main__' else module}",
            remedy="put it into a file of its own, my_networks.py, and pass my_networks.FUNCTION; "
            "or hand Keras models to the method itself, pga_tf.LPGA(encoder, decoder)",
        )
    return f"{module}:{name}"


def train_config(
    config: config_lib.Config,
    fit: config_lib.FitOptions,
    own: Any,
    *,
    callbacks: Sequence = (),
    out: Callable[[str], None] = print,
) -> bool:
    """Trains what a `Config` describes and fits the prior of `fit`; False where a signal stopped it."""
    own_prior = METHODS.get(config.run.method).prior_of(config.method)
    noted_anew = bool(fit.prior or own_prior)  # else it keeps the one fitted to it since
    is_chief = not config.run.workers or cluster.of_environment().rank == 0
    if is_chief and not config.run.dry_run:
        _require_noted_prior(config, noted_anew, out)
    finished = loop.train(config, callbacks=callbacks, out=out)
    if not finished or config.run.dry_run or not is_chief:
        return finished
    config = config_lib.of_run(config.run.workdir)
    if fit.prior and not fitting.fit(config, trained.load_model(config)[0], fit, own, out=out):
        return False
    if noted_anew:
        chosen = dataclasses.asdict(fit) | (dataclasses.asdict(own) if own else {})
        RunDirectory(config.run.workdir).write_own_prior(chosen)
    out(loop.hints(config))
    return True


def _require_noted_prior(config, noted_anew, out):
    """Raises `InputError` for a prior.flags that cannot be read, unless this training writes it anew."""
    try:
        trained.noted_prior(config)
    except checks.InputError as error:
        file = RunDirectory(config.run.workdir).own_prior
        if not noted_anew or not file.is_file():
            raise
        out(f"warning: {checks.without_remedy(error)} It is written anew.")
        file.unlink()


def evaluate(images: np.ndarray, against: str, *, workdir: str | os.PathLike | None = None, **values: Any) -> Scores:
    """Scores of images from anywhere against real ones.

    Args:
      images: array `[N, H, W]` or `[N, H, W, C]`, uint8, or float in [0, 1] or [-1, 1].
      against: real images: "mnist" and other TFDS sets by name, "digits", "folder:PATH", "npz:FILE".
      workdir: where evaluation.json and report.html go; None: nowhere.
      values: of `assessment.Request`: protocol, features, split, num_real, inception_path, cache_dir.

    Raises `InputError` for arrays that are no images, or of other channels than the real ones.
    """
    real = data.load(options.validate(DataOptions(dataset=dataset_name(against))))
    given = data.of_array(images)
    result, pictures = assessment.of_images(given, real, _request(**values), title="images", prepared="as they are")
    if workdir is not None:
        keep(result, pictures, RunDirectory(workdir).evaluation)
    return Scores(result)


def default_cache() -> pathlib.Path:
    """Where statistics of real images are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "pga_tf"


def _request(**values):
    known = [field.name for field in dataclasses.fields(assessment.Request)]
    for name in values:
        checks.require_member("Option of evaluate", name, known)
    return assessment.Request(**{"cache_dir": str(default_cache())} | values)


def evaluation_folder(config: config_lib.Config, prior: str = "") -> pathlib.Path:
    """The folder in a run for what is found of it under a prior; "" is the run's own."""
    prior = prior or trained.prior_of(config)
    return RunDirectory(config.run.workdir).evaluation_of(prior, trained.noted_prior(config))


def keep_of_run(config: config_lib.Config, result: dict, pictures: dict) -> None:
    """Writes what was found of the run of `config` under a prior into that run, and its scores into TensorBoard."""
    keep(result, pictures, evaluation_folder(config, result["card"]["generated"]["prior"]))
    hparams.write_scores(RunDirectory(config.run.workdir), result, trained.noted_prior(config))


def keep(result: dict, pictures: dict, folder: pathlib.Path) -> None:
    """Writes evaluation.json, report.html and the picture of samples into `folder`."""
    files.require_folder(folder)
    grids.write_png(folder / "samples.png", next(iter(pictures.values())))
    files.write_page(folder / "report.html", report.page(result, pictures))
    files.write_json(folder / "evaluation.json", result)
