"""Checkpoints: the whole state of a run at one step, in TensorFlow's own format."""

import numpy as np
import tensorflow as tf

from pga_tf.core import checks, errors


class Checkpoints:
    """Saves and restores every variable of a compiled `Stepwise` model, its optimisers and averages.

    The step is the model's own clock. Noise, data order and learning rate derive from it, so that nothing else needs to
    be kept for a run to go on bit for bit.
    """

    def __init__(self, folder, model, keep=1):
        self._variables = named = model.state_between_steps()
        checkpoint = _holding(named | model.window())
        self._without_window = _holding(named)  # checkpoints of before had none
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=keep, checkpoint_name="step")
        self._step = model.step

    @property
    def step(self):
        return int(np.asarray(self._step))  # a mirrored variable is no number

    def latest(self):
        """Path of the newest checkpoint, or None."""
        return self._manager.latest_checkpoint

    def latest_step(self):
        """Step of the newest checkpoint, or None."""
        path = self.latest()
        return int(path.rsplit("-", 1)[1]) if path else None

    def save(self):
        """Saves at the current step and returns the path; older checkpoints stay until this one is whole.

        Raises `NonFiniteError` if a variable is not finite, `InputError` if the disk takes no more.
        """
        for name, variable in self._variables.items():
            value = np.asarray(variable)
            if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
                raise checks.NonFiniteError(f"{name} is not finite at step {self.step}; no checkpoint was written.")
        try:
            return self._manager.save(checkpoint_number=self.step)
        except (tf.errors.OpError, OSError) as error:
            checks.refuse(
                f"Checkpoint at step {self.step}",
                expected=f"room for {self.size() / 2**20:.0f} MiB in {self._manager.directory}",
                received=errors.said(error),
                remedy="free some space and run the same command again; it goes on from "
                + (self.latest() or "the start"),
            )

    def restore(self):
        """Restores the newest checkpoint and returns its step; 0 where there is none.

        Raises `InputError` if the newest checkpoint is damaged or belongs to other networks.
        """
        path = self.latest()
        if path is None:
            return 0
        try:
            names = tf.train.load_checkpoint(path).get_variable_to_shape_map()
            windowed = any(name.startswith("window") for name in names)
            checkpoint = self._manager.checkpoint if windowed else self._without_window
            checkpoint.restore(path).assert_consumed()
        except (
            tf.errors.OpError,
            ValueError,
            IndexError,
            AssertionError,
        ) as error:  # TensorFlow raises all four
            checks.refuse(
                f"Checkpoint {path}",
                expected="a whole checkpoint of this configuration",
                received=str(error).splitlines()[0],
                remedy="delete it, with its line in the file `checkpoint`, to go back to the one before",
            )
        return self.step

    def size(self):
        """Bytes of one checkpoint."""
        return sum(np.asarray(v).nbytes for v in self._variables.values())


def _holding(variables):
    return tf.train.Checkpoint(**{name: variable.value for name, variable in variables.items()})
