"""What happens around the train step: stopping, progress, logs, pictures, checkpoints.

Each callback counts steps by itself from `start`, the step that the run goes on from. `Clock` holds that count,
and the others read it, so that their order in the list is their order of work after each step. `logs` is a
`core.means.Reading`: a step's values are read from the device once, and only where a callback asks for one.
"""

import time

import keras
import numpy as np
import tensorflow as tf

from pga_tf.core import checks, grids, signals
from pga_tf.core.workers import HEARD_ALONE
from pga_tf.runs import drawing


class Clock(keras.callbacks.Callback):
    """The step that has just been taken, and the speed since the last reading."""

    def __init__(self, start, total, images_of_a_step):
        super().__init__()
        self.start = self.step = self.previous = start
        self.total, self.images_of_a_step = total, images_of_a_step
        self.began = None

    def on_train_batch_end(self, batch, logs=None):
        # Several steps to an execution: the last one may be cut short by the end of training.
        self.previous, self.step = self.step, min(self.start + batch + 1, self.total)
        if self.began is None:  # the first step includes tracing: time from its end
            self.began, self.timed_from = time.monotonic(), self.step

    def due(self, every):
        """Whether a multiple of `every` steps, or the last step, was reached since the previous reading."""
        return self.step // every > self.previous // every or self.step == self.total

    def images_per_second(self):
        steps = self.step - self.timed_from
        return steps * self.images_of_a_step / (time.monotonic() - self.began) if steps else float("nan")


class StopOnNonFinite(keras.callbacks.Callback):
    """Raises `NonFiniteError` where a quantity was not finite, naming the first and its step.

    And `CollapseError` where the model says that its training has come to nothing. It looks where values are read
    anyway, and before whatever is due by one of the periods `every`; 0 stands for never.
    """

    def __init__(self, clock, *every, heard=HEARD_ALONE):
        super().__init__()
        self.clock, self.every = clock, [period for period in every if period]
        self.alone = not heard.workers.several  # of several each reads when it likes, and all end together

    def on_train_batch_end(self, batch, logs=None):
        if not ((logs.was_read and self.alone) or any(map(self.clock.due, self.every))):
            return
        if found := logs.first_not_finite():
            name, step = found
            raise checks.NonFiniteError(f"{name} is {logs[name]} at step {step}")
        reason = self.model.collapse(dict(logs), self.clock.step)
        if reason:
            raise checks.CollapseError(f"at step {self.clock.step} {reason}")


class Shown(keras.callbacks.Callback):
    """Shows speed, time left and every loss of `names` in a `Progress`."""

    def __init__(self, clock, names, progress):
        super().__init__()
        self.clock, self.names, self.progress = clock, names, progress

    def on_train_batch_end(self, batch, logs=None):
        self.progress.to(self.clock.step, lambda: " ".join(f"{name} {logs[name]:.4g}" for name in self.names))


class Logs(keras.callbacks.Callback):
    """Writes the window's means to metrics.jsonl and TensorBoard every `every` steps, and starts a new window.

    A run that goes on in the middle of a window goes on with what that has taken in.
    """

    def __init__(self, clock, run_directory, writer, every):
        super().__init__()
        self.clock, self.run_directory, self.writer, self.every = clock, run_directory, writer, every

    def on_train_begin(self, logs=None):
        self.begun = [(variable, np.array(variable)) for variable in self.model.window().values()]

    def on_epoch_begin(self, epoch, logs=None):
        for variable, value in self.begun:  # Keras empties a window that a checkpoint held
            variable.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        if not self.clock.due(self.every):
            return
        step = self.clock.step
        values = dict(logs)
        for player, optimizer in self.model.optimizers.items():
            name = "learning_rate" if len(self.model.optimizers) == 1 else f"learning_rate/{player}"
            values[name] = float(optimizer._learning_rate.at_step(step - 1))  # of the step that was just taken
        speed = self.clock.images_per_second()
        if np.isfinite(speed):
            values["images_per_second"] = speed
        self.run_directory.append_metrics({"step": step, **values})
        with self.writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name if "/" in name else f"train/{name}", value)
        self.model.reset_metrics()


class Work(keras.callbacks.Callback):
    """`work` after every `every` steps. A signal puts it off: the run then owes it, and does it when it goes on.

    Subclasses have a `NAME`, and call `signals.give_way` where they pause. Of several workers, which `heard` knows, all
    do it: what the chief alone does is in `Workers.of_chief`.
    """

    def __init__(self, clock, run_directory, every, heard=HEARD_ALONE):
        super().__init__()
        self.clock, self.run_directory, self.every, self.heard = clock, run_directory, every, heard

    def on_train_batch_end(self, batch, logs=None):
        if self.clock.due(self.every):
            try:
                self.heard.give_way()
                self.work()
            except signals.Stopped:
                self.run_directory.note_owed(self.clock.step, self.NAME)
                self.model.stop_training = True

    def work(self):
        """Does it for the step that has just been taken."""
        raise NotImplementedError


def settle(works, model, run_directory, heard=HEARD_ALONE):
    """Does what of `works` is owed to the step that the run goes on from, unless a signal puts it off again."""
    for work in works:
        step = work.clock.step
        if work.NAME in heard.workers.of_chief(lambda: run_directory.read_owed(step)):  # noqa: B023 - called at once
            work.set_model(model)
            try:
                heard.give_way()
                work.work()
            except signals.Stopped:
                return
            run_directory.drop_owed(step, work.NAME)
    run_directory.forget_owed()  # what is asked for no more


class Pictures(Work):
    """Every `every` steps: grids from fixed latents and fixed test images, and the method's own quantities.

    Args:
      drawing: a `Drawing` under the method's own prior; without one there are no samples, and without an encoder
        nothing of images. images: fixed test images, in `value_range`. averaging: `Averaging` of the weights.
    """

    NAME = "pictures"

    def __init__(
        self, clock, run_directory, writer, every, heard=HEARD_ALONE, *, drawing, images, value_range, averaging
    ):
        super().__init__(clock, run_directory, every, heard)
        self.writer = writer
        self.drawing, self.images, self.value_range, self.averaging = drawing, images, value_range, averaging

    def set_model(self, model):
        super().set_model(model)
        self.diagnose = tf.function(model.diagnostics, autograph=False)

    def work(self):
        with self.averaging.applied(self.clock.step):
            self.heard.workers.of_chief(self.draw)

    def draw(self):
        step, draw, points = self.clock.step, self.drawing, grids.is_points(self.images.shape[1:])
        pictures = {}
        if draw.prior:
            pictures["samples"] = drawing.picture(draw.samples(2000 if points else 100))
        signals.give_way()
        if draw.encodes:
            restored = draw.reconstructions(self.images[:32], self.value_range)
            between = draw.interpolations(self.images[:16], self.value_range, 8)
            pictures["reconstructions"] = drawing.picture_of_bands(restored, 8)
            pictures["interpolations"] = drawing.picture_of_paths(between, 8)
        signals.give_way()
        shown = next(iter(pictures))  # samples, or what there is before a prior is fitted
        name = "step" if shown == "samples" else f"{shown}_step"
        grids.write_png(self.run_directory.samples / f"{name}_{step:07d}.png", pictures[shown])
        images = draw.in_range(self.images, self.value_range)
        with self.writer.as_default(step):
            for name, image in pictures.items():
                tf.summary.image(name, image[None])
            for name, value in self.diagnose(images).items():
                if value.shape.rank:
                    tf.summary.histogram(f"diagnostics/{name}", value)
                    name += "_mean"  # one name, one kind of summary
                tf.summary.scalar(f"diagnostics/{name}", tf.reduce_mean(value))
        self.writer.flush()


class Evaluate(Work):
    """Every `every` steps: scores of samples against held-out images, and the best checkpoint so far.

    Args:
      drawing: what is scored. score: function of a `Drawing` to a dict of floats; it may raise `InputError`
        for samples that no score is defined for, such as those of a decoder that gives one image.
      protocol: its hash; a best checkpoint by another protocol or score is no rival, and is replaced.
      best: `Checkpoints` for the best one, or None. by: the score, lower being better, that decides.
      stop_after: scores in a row without a lower one that end training; 0: none do.
      say: takes a line for the user.
    """

    NAME = "evaluation"

    def __init__(
        self,
        clock,
        run_directory,
        writer,
        every,
        heard=HEARD_ALONE,
        *,
        drawing,
        score,
        protocol,
        averaging,
        best=None,
        by,
        say=print,
        stop_after=0,
    ):
        super().__init__(clock, run_directory, every, heard)
        self.writer = writer
        self.drawing, self.score, self.averaging, self.best = drawing, score, averaging, best
        self.say = say
        self.mark, self.stop_after = {"score": by, "protocol": protocol}, stop_after
        held = run_directory.read_best() or self._as_scored()
        self.lowest = held["value"] if held and held.items() >= self.mark.items() else float("inf")

    def _as_scored(self):
        """What best.json would say of the best checkpoint, where it is lost: from scores.jsonl, or None."""
        step = self.best.latest_step() if self.best else None
        for line in self.run_directory.read_scores():
            if line["step"] == step and line.get("protocol") == self.mark["protocol"] and self.mark["score"] in line:
                self.say(f"note: what is known of the best checkpoint, {self.best.latest()}, is read from scores.jsonl")
                return {**self.mark, "step": step, "value": line[self.mark["score"]]}
        return None

    def work(self):
        step = self.clock.step
        try:
            with self.averaging.applied(step):
                values = self.heard.workers.of_chief(lambda: self.score(self.drawing))
        except checks.InputError as error:
            self.say(f"no scores at step {step}: {error}")
            return
        if self.heard.workers.of_chief(lambda: self._keep(step, values)):
            self.model.stop_training = True

    def _keep(self, step, values):
        """Writes the scores down, and the best checkpoint; whether scores end training."""
        if self.best and values[self.mark["score"]] < self.lowest:
            self.lowest = values[self.mark["score"]]
            self.best.write()
            self.run_directory.write_best({**self.mark, "step": step, "value": self.lowest})
            self.best.rotate()  # only now, so that what is known of the best is never of one that is gone
        covered_before = self._covered()
        self.run_directory.append_scores({"step": step, "protocol": self.mark["protocol"], **values})
        self.say(f"step {step:,}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
        if values.get("recall") == 0.0 and not covered_before:
            self.say(
                f"collapsed: at step {step:,} and at the score before it, recall is 0, no held-out image is near a "
                "sample. Remedy: go back to an earlier checkpoint with another --seed, a lower --learning_rate or "
                "another loss, unless scores recover"
            )
        with self.writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(f"scores/{name}", value)
        self.writer.flush()
        return self.gave_up()

    def _covered(self):
        """Whether the last score, one of before a resumption too, found samples near held-out images, or is none."""
        scored = [line for line in self.run_directory.read_scores() if line.get("protocol") == self.mark["protocol"]]
        return not scored or scored[-1].get("recall", 1.0) > 0.0

    def gave_up(self):
        """Whether the scores so far, those of before a resumption among them, end training."""
        return self.stop_after > 0 and self.run_directory.read_patience(**self.mark)[2] >= self.stop_after


class SaveCheckpoints(keras.callbacks.Callback):
    """A checkpoint every `every` steps. `before`, where there is one, is called with the step beforehand."""

    def __init__(self, clock, checkpoints, every, before=None, heard=HEARD_ALONE):
        super().__init__()
        self.clock, self.checkpoints, self.every, self.before = clock, checkpoints, every, before
        self.heard = heard

    def on_train_batch_end(self, batch, logs=None):
        if self.clock.due(self.every):
            try:
                self.heard.give_way()
                if self.before:
                    self.before(self.clock.step)
            except signals.Stopped:  # the checkpoint that training ends with is for this step
                self.model.stop_training = True
            else:
                self.heard.workers.of_chief(self.checkpoints.save)


class StopWhenNoted(keras.callbacks.Callback):
    """Ends training after the step in which a signal was noted, of several workers by any. The last callback."""

    def __init__(self, heard):
        super().__init__()
        self.heard = heard

    def on_train_batch_end(self, batch, logs=None):
        stopping = self.heard.exchange(self.model.stop_training)
        self.model.stop_training = stopping or self.heard.received is not None
