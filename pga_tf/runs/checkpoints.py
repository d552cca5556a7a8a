"""Checkpoints: the whole state of a run at one step, in TensorFlow's own format.

step-N.data-*, step-N.index    what was saved after step N; its checksums tell whether it is whole
damaged-step-N.*               what could not be read when training went on, moved out of the way
checkpoint                     which is the newest, for TensorFlow's own tools; nothing here goes by it
"""

import contextlib
import os
import pathlib
import re
import shutil
import sys
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from pga_tf.core import checks, errors, files

_PART = re.compile(r"step-(\d+)\.(?:index|data-\d{5}-of-\d{5})")
_LEFT_BEHIND = re.compile(r"\.step-\d+\..*|step-\d+_temp.*", re.DOTALL)  # by a save that was killed
_DAMAGED = "damaged-"


class _Unreadable(Exception):
    """A checkpoint that is not whole."""


class Checkpoints:
    """Saves and restores every variable of a compiled `Stepwise` model, its optimisers and averages.

    The step is the model's own clock. Noise, data order and learning rate derive from it, so that nothing else needs to
    be kept for a run to go on bit for bit. The files themselves say which checkpoints there are.

    Args:
      folder: where they lie. keep: how many of the newest stay.
      say: takes a line for the user, on a checkpoint that could not be read.
      remedy: what can be done where none can be read, beside putting the files back.
    """

    def __init__(
        self,
        folder,
        model,
        keep=1,
        say=lambda text: print(text, file=sys.stderr),
        remedy="move that folder away to train from step 0 on",
    ):
        self.folder, self._model, self._keep, self._say = pathlib.Path(folder), model, keep, say
        self._remedy = remedy
        self._variables = named = model.state_between_steps()
        self._window = model.window()
        self._checkpoint = _holding(named | self._window)
        (self._name_of_step,) = (name for name, variable in named.items() if variable is model.step)

    @property
    def step(self):
        return int(np.asarray(self._model.step))  # a mirrored variable is no number

    def steps(self):
        """Steps of which there are files, whole or not, in order."""
        return sorted({int(found[1]) for found in map(_PART.fullmatch, _names(self.folder)) if found})

    def latest(self):
        """Path of the newest checkpoint, or None."""
        step = self.latest_step()
        return None if step is None else str(self._path(step))

    def latest_step(self):
        """Step of the newest checkpoint, or None."""
        return max(self.steps(), default=None)

    def save(self):
        """Saves at the current step and returns the path; older checkpoints stay until this one is whole.

        Raises `NonFiniteError` if a variable is not finite, `InputError` if the disk takes no more.
        """
        path = self.write()
        self.rotate()
        return path

    def write(self):
        """As `save`, and deletes no older one."""
        for name, variable in self._variables.items():
            value = np.asarray(variable)
            if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
                raise checks.NonFiniteError(f"{name} is not finite at step {self.step}; no checkpoint was written.")
        step = self.step
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".step-{step}.", dir=self.folder) as made, _plain(made) as place:
                self._checkpoint.write(f"{place}/step-{step}")
                for name in os.listdir(made):
                    files.sync(os.path.join(made, name))
                self._delete(step)
                for name in sorted(os.listdir(made)):  # the index comes last
                    os.replace(os.path.join(made, name), self.folder / name)
            files.sync(self.folder)
            self._write_index()
        except (tf.errors.OpError, OSError) as error:
            checks.refuse(
                f"Checkpoint at step {self.step}",
                expected=f"room for {self.size() / 2**20:.0f} MiB in {self.folder}",
                received=errors.said(error),
                remedy="free some space and run the same command again; it goes on from "
                + (self.latest() or "the start"),
            )
        return str(self._path(step))

    def rotate(self):
        """Deletes all but the one just written and the newest of the others, as many as are kept."""
        others = [step for step in self.steps() if step != self.step]
        for step in others[: max(0, len(others) - self._keep + 1)]:
            self._delete(step)
        self._write_index()

    def sweep(self):
        """Clears what saves that were killed left behind; for who holds the run's lock."""
        for name in filter(_LEFT_BEHIND.fullmatch, _names(self.folder)):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def resume(self):
        """Restores the newest checkpoint that can be read, for who trains and holds the run's lock; returns its step.

        Newer ones are moved out of the way, so that they are neither overwritten nor counted as kept. 0 where there are
        none. Raises `InputError` where none can be read, or they are of other networks.
        """
        self.sweep()
        named = self._named_in_index()
        if not self.steps():
            if named is not None:
                self._refuse(f"the files of step-{named}, which {self.folder / 'checkpoint'} names", "none of them")
            return 0
        step = self.restore()
        damaged = [name for name in _names(self.folder) if (found := _PART.fullmatch(name)) and int(found[1]) > step]
        for name in damaged:
            os.replace(self.folder / name, self.folder / f"{_DAMAGED}{name}")
        if named != step and not damaged:
            index, there = self.folder / "checkpoint", "nothing" if named is None else f"step-{named}"
            self._say(f"note: {index} names {there}; training goes on from step-{step}, the newest there")
        if named != step:
            self._write_index()
        return step

    def restore(self):
        """Restores the newest checkpoint that can be read and returns its step; 0 where there is none.

        All variables are restored or none. Raises `InputError` where there are some and none can be read, or the
        newest that can is of other networks.
        """
        damaged = {}
        while left := [step for step in self.steps() if step not in damaged]:
            step = left[-1]
            try:
                values = self._read(step)
            except _Unreadable as error:
                damaged[step] = str(error)
                continue
            self._tell(damaged, step)
            with self._model.distribute_strategy.scope():
                for name, variable in (self._variables | self._window).items():
                    if name in values:
                        variable.assign(values[name])
            return step
        if damaged:
            told = "; ".join(f"step-{step} cannot be read: {reason}" for step, reason in damaged.items())
            self._refuse("a whole checkpoint", told)
        return 0

    def share(self, workers):
        """Gives the other `Workers` the state that the chief has."""
        if not workers.several:
            return
        held = self._variables | self._window
        values = workers.of_chief(lambda: {name: np.asarray(variable) for name, variable in held.items()})
        with self._model.distribute_strategy.scope():
            for name, variable in held.items():
                variable.assign(values[name])

    def _tell(self, damaged, step):
        """Says which checkpoints were passed over; not those that another process has just taken away."""
        for one in sorted(damaged.keys() & set(self.steps()), reverse=True):
            self._say(
                f"warning: {self._path(one)} cannot be read ({damaged[one]}); step {step} is restored in its place"
            )

    def _refuse(self, expected, received):
        checks.refuse(
            f"Checkpoints in {self.folder}",
            expected=expected,
            received=received,
            remedy=f"put the files back from a copy, or {self._remedy}",
        )

    def _read(self, step):
        """Values of all variables at `step` by name, of a checkpoint whose checksums are right."""
        try:
            with _plain(self.folder) as place:
                reader = tf.train.load_checkpoint(f"{place}/step-{step}")
                keys = _keys(reader)
                self._require_same_networks(step, reader, keys)
                windowed = self._window.keys() <= keys.keys()  # checkpoints of before had none, or another one
                wanted = [*self._variables, *(self._window if windowed else ())]
                values = {name: reader.get_tensor(keys[name]) for name in wanted}
        except (checks.InputError, MemoryError, tf.errors.ResourceExhaustedError):
            raise
        except Exception as error:  # what TensorFlow raises for damaged bytes has no end
            raise _Unreadable(errors.said(error) or type(error).__name__) from None
        if values[self._name_of_step] != step:
            raise _Unreadable(f"it holds step {values[self._name_of_step]}")
        return values

    def _require_same_networks(self, step, reader, keys):
        shapes, kinds = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        there = {
            name: (tuple(shapes[key]), kinds[key].base_dtype.name)
            for name, key in keys.items()
            if not name.startswith("window/")
        }
        here = {name: (tuple(v.shape), tf.as_dtype(v.dtype).name) for name, v in self._variables.items()}
        differing = [
            f"{n} is {_shown(there[n])}, not {_shown(here[n])}" for n in here if there.get(n, here[n]) != here[n]
        ]
        differing += [f"no {name}" for name in here if name not in there]
        differing += [f"{name} beside them" for name in there if name not in here]
        if differing:
            more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
            checks.refuse(
                f"Checkpoint {self._path(step)}",
                expected="the networks and optimisers of this configuration",
                received="others: " + ", ".join(differing[:3]) + more,
                remedy="choose another --workdir, or pass the flags, data and networks that it was trained with",
            )

    def _path(self, step):
        return self.folder / f"step-{step}"

    def _delete(self, step):
        """Deletes the files of a checkpoint, its index first: without that it is none."""
        names = [name for name in _names(self.folder) if (found := _PART.fullmatch(name)) and int(found[1]) == step]
        for name in sorted(names, reverse=True):
            (self.folder / name).unlink(missing_ok=True)

    def _write_index(self):
        steps, entry = self.steps(), 'all_model_checkpoint_paths: "step-{}"\n'
        newest = self.step if self.step in steps else steps[-1]
        text = f'model_checkpoint_path: "step-{newest}"\n' + "".join(map(entry.format, steps))
        files.write_text(self.folder / "checkpoint", text)

    def _named_in_index(self):
        """Step of the newest checkpoint by the file `checkpoint`, or None."""
        try:
            text = (self.folder / "checkpoint").read_text("utf-8", "replace")
        except OSError:
            return None
        found = re.search(r'^model_checkpoint_path: "(?:.*/)?step-(\d+)"', text, re.MULTILINE)
        return int(found[1]) if found else None

    def size(self):
        """Bytes of one checkpoint."""
        return sum(np.asarray(v).nbytes for v in self._variables.values())


def _holding(variables):
    return tf.train.Checkpoint(**{name: variable.value for name, variable in variables.items()})


def _names(folder):
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _keys(reader):
    """What each variable of a checkpoint is stored under: dict of its name to that."""
    graph = TrackableObjectGraph.FromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    nodes = {child.local_name: graph.nodes[child.node_id] for child in graph.nodes[0].children}
    named = {name: node.attributes[0].checkpoint_key for name, node in nodes.items() if node.attributes}
    return {name: key for name, key in named.items() if name != "save_counter"}  # of tf.train.CheckpointManager


def _shown(shape_and_type):
    return f"{shape_and_type[1]} {list(shape_and_type[0])}"


@contextlib.contextmanager
def _plain(folder):
    """A path of `folder` that TensorFlow takes: to it `[`, `*` and `?` are patterns, and not all bytes text."""
    handles = pathlib.Path("/proc/self/fd")
    if re.fullmatch(r"[\w/.,+=@%~: -]*", str(folder), re.ASCII) or not handles.is_dir():
        yield folder
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield handles / str(handle)
    finally:
        os.close(handle)
