"""The images of a run: found where they lie now, and held against those that it was trained on."""

import dataclasses
import os

from pga_tf import data
from pga_tf.core import checks, files
from pga_tf.runs.directory import RunDirectory

OF_FILES = ("folder", "npz")  # kinds of datasets that lie at a path of the user's own


def load(config):
    """(`Source` of the images that `config.data` names, how they differ from the run's: (was, is) as texts, or None).

    Where nothing lies at their path any more, as when it is relative to another folder, they are looked for where they
    lay in training. Before a run has recorded its data, nothing differs.

    Raises `InputError` for images that cannot be loaded, and for others than the run was trained on, unless
    `config.run.allow_changed_data`.
    """
    recorded = RunDirectory(config.run.workdir).read_data()
    source = data.load(dataclasses.replace(config.data, dataset=_located(config, recorded)))
    source = dataclasses.replace(source, name=config.data.dataset)
    if recorded is None or source.identity is None:
        return source, None
    if (recorded["count"], recorded["digest"]) == (source.identity.count, source.identity.digest):
        return dataclasses.replace(source, name=recorded["dataset"]), None
    was, now = _described(recorded), _described(dataclasses.asdict(source.identity))
    if not config.run.allow_changed_data:
        checks.refuse(
            f"Images of {source.name}",
            expected=f"those that the run in {config.run.workdir} was trained on, {was}",
            received=now,
            remedy="put those back, name where they lie now by --dataset, or go on with these by --allow_changed_data",
        )
    note = f"warning: not the images that the run was trained on before: {now} instead of {was}"
    return dataclasses.replace(source, notes=(note, *source.notes)), (was, now)


def record(config, source):
    """Writes down by what the images of a run are known again."""
    if source.identity:
        facts = {"dataset": source.name, **dataclasses.asdict(source.identity)}
        facts |= {"train_on": config.data.train_on, "resize": config.data.resize if config.data.image_size else "none"}
        RunDirectory(config.run.workdir).write_data(facts)


def _described(identity):
    return f"{identity['count']:,} images (digest {identity['digest']})"


def _located(config, recorded):
    """`--dataset` with the path at which its files lie."""
    kind, _, path = config.data.dataset.partition(":")
    if kind not in OF_FILES or not recorded or not recorded["path"] or os.path.exists(files.home(path)):
        return config.data.dataset
    if not os.path.exists(recorded["path"]):
        checks.refuse(
            f"--dataset={config.data.dataset}",
            expected=f"the images of the run in {config.run.workdir}, which lay in {recorded['path']}",
            received="nothing there",
            remedy=f"add --dataset={kind}:PATH with where they lie now",
        )
    return f"{kind}:{recorded['path']}"
