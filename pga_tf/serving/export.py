"""A trained model as a version that TensorFlow Serving can load: written, compared with the original, published."""

import datetime
import errno
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pga_tf.core import checks
from pga_tf.core.interfaces import Samples
from pga_tf.evaluation import protocol
from pga_tf.methods.method import Method
from pga_tf.networks.stored import Stored
from pga_tf.serving import gate, reference, versions, warmup
from pga_tf.serving.signatures import DEFAULT, Served, served_variables
from pga_tf.settings.export import BATCH_SIZES, KINDS, LABELS, TOLERANCES, ExportOptions

CARD = "assets.extra/model_card.json"


class NotTheModel(checks.InputError):
    """What was written gives something else than the Python model."""


def export(
    model: Method, prior: Samples, image_shape: Sequence[int], options: ExportOptions, facts: dict
) -> tuple[pathlib.Path, dict[str, float]]:
    """Publishes `model` under `prior` as a version: (its folder, what the gate found by signature).

    Args:
      model: a trained method. prior: over its codes. image_shape: `(H, W, C)`.
      facts: dict of what the model card says of the run: flags, step, prior, evaluation.

    Raises `InputError` where nothing can be published: a bad option, a version that exists, a folder that takes no
    more; `NotTheModel`, which is one, for a written model that gives something else than the Python one.
    """
    tolerance = _validate(options)
    model_versions = versions.Versions(options.base, options.name)
    versions.read_config(options.base)  # one that cannot be read is refused before the work
    with model_versions.publishing(options.version, options.label) as (version, folder):
        expected = reference.arrays(model, prior, image_shape)
        write(model, prior, image_shape, folder, optimize=options.optimize)
        found = _pass_gate(folder, expected, tolerance)
        warmup.write(folder, options.name, reference.sides(expected, "in"), options.batch_sizes)
        card = facts | _card(options, version, expected, found, tolerance)
        (folder / CARD).write_text(json.dumps(card, indent=1, allow_nan=False) + "\n")
    return model_versions.folder / str(version), found


def _validate(options):
    base = os.fspath(options.base)
    if re.search(r"[\[*?\\\ud800-\udfff]", base):
        checks.refuse(
            "--export_base",
            expected="a path in UTF-8 without [, *, ? and \\, which TensorFlow takes for patterns",
            received=base,
            remedy="choose another folder, or start the command there and give a path from there",
        )
    checks.require_member("--optimize", options.optimize, KINDS)
    if options.label:
        checks.require_member("--label", options.label, LABELS)
    for flag, value in (("--version", options.version), ("--tolerance", options.tolerance)):
        if not value >= 0:
            checks.refuse(flag, expected="0 or above", received=value, remedy="leave it out")
    largest = max(options.batch_sizes, default=0)
    if not options.batch_sizes or min(options.batch_sizes) < 1 or largest > gate.ROWS:
        checks.refuse(
            "--batch_sizes",
            expected=f"sizes from 1 to {gate.ROWS}",
            received=",".join(map(str, options.batch_sizes)) or "none",
            remedy="leave it out to get " + ",".join(map(str, BATCH_SIZES)),
        )
    return options.tolerance or TOLERANCES[options.optimize]


def write(
    model: Method, prior: Samples, image_shape: Sequence[int], folder: str | os.PathLike, *, optimize: str = "none"
) -> None:
    """Writes the SavedModel with every signature that the pair can give into `folder`."""
    served = Served(model, prior, image_shape)
    signatures = served.signatures()
    if optimize != "none":
        stored = Stored(served_variables(model, prior, signatures), optimize, (model, prior))
        served = Served(model, prior, image_shape, stored=stored)
        signatures = served.signatures()
    module = served.module(signatures)
    signatures["serving_default"] = signatures[DEFAULT]
    try:
        tf.saved_model.save(module, str(folder), signatures=signatures)
    except (tf.errors.OpError, OSError) as error:  # a full disk has several names in TensorFlow
        raise OSError(getattr(error, "errno", None) or errno.EIO, str(error).splitlines()[0]) from error


def _pass_gate(folder, expected, tolerance):
    """Runs the gate in a fresh process that has neither Keras nor this package; the model must not need them."""
    # Beside what is written, where the next export looks for what a kill left.
    with tempfile.TemporaryDirectory(prefix=versions.TEMPORARY, dir=pathlib.Path(folder).parent) as scratch:
        arrays = pathlib.Path(scratch) / "expected.npz"
        np.savez(arrays, **expected)
        command = [sys.executable, "-I", gate.__file__, str(folder), str(arrays), str(tolerance)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"})
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        checks.refuse(
            "The exported model, in a fresh process",
            expected="what the Python model gives",
            received=last,
            remedy="nothing was published; "
            + ("export without --optimize, or state a --tolerance" if tolerance > TOLERANCES["none"] else "report it"),
            # A process that was killed, for its memory say, tells nothing of the model.
            kind=NotTheModel if done.returncode > 0 else checks.InputError,
        )
    return json.loads(done.stdout.splitlines()[-1])


def _card(options, version, expected, found, tolerance):
    described = {
        name: {side: {key: _described(key, value) for key, value in reference.sides(expected, side)[name].items()}
               for side in ("in", "out")}
        for name in found
    }  # fmt: skip
    return {
        "name": options.name,
        "version": version,
        "exported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "weights_stored_as": "float32" if options.optimize == "none" else options.optimize,
        "signatures": described,
        "gate": {
            "tolerance": tolerance,
            "measure": "largest difference from the Python model, over max(1, largest value)",
            "found": found,
        },
        "versions": protocol.versions(),
    }


def _described(key, value):
    text = key == gate.PNG
    return {"dtype": "string" if text else value.dtype.name, "shape": [None] if text else [None, *value.shape[1:]]}


def _commit():
    """The commit of the code, with `+changes` where files differ from it; None outside a repository."""
    root = pathlib.Path(__file__).parents[2]

    def git(*arguments):
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True)

    try:
        head = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no").stdout.strip()
    except OSError:
        return None
    return head.stdout.strip() + ("+changes" if changed else "") if head.returncode == 0 else None
