"""Training from a configuration to a run directory that holds the trained model."""

import contextlib
import dataclasses
import io
import json
import os
import tempfile

import tensorflow as tf

from pga_tf import data, networks
from pga_tf.core import checks, commands
from pga_tf.core.progress import Progress
from pga_tf.core.workers import Heard, lost
from pga_tf.evaluation import protocol
from pga_tf.runs import build as build_lib
from pga_tf.runs import config as config_lib
from pga_tf.runs import devices, drawing, fitted, hparams, run_data, scoring, trained, zoo
from pga_tf.runs.checkpoints import Checkpoints
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import callbacks as callbacks_lib
from pga_tf.training import plan, steps
from pga_tf.training.averaging import Averaging

FIXED_IMAGES = 64  # test images that pictures and diagnostics are made from, the same at every step


def train(config, *, callbacks=(), out=print):
    """Trains, or goes on training, the run that `config` describes.

    Args:
      config: `Config`; its workdir is made where it is missing.
      callbacks: a user's Keras callbacks, which run after the run's own.
      out: where the report, the plan and the closing lines go.

    Returns:
      True if training reached its last step, False if a signal stopped it. Raises `InputError` for input that
      cannot be, before any long work starts, and `NonFiniteError` where training diverges.
    """
    config, strategy, workers = build_lib.join(config_lib.at_home(config), out)
    if not workers.several:
        return _train(config, strategy, workers, callbacks, out)
    try:
        with contextlib.nullcontext(config) if workers.is_chief else _apart(config) as own:
            ended = _train(own, strategy, workers, callbacks, out if workers.is_chief else str)
    except tf.errors.OpError as error:
        raise lost(error) from error
    if not workers.is_chief:
        out(f"worker {workers.rank} of {workers.count}: {'trained' if ended else 'stopped'}")
    return ended


@contextlib.contextmanager
def _apart(config):
    """`config` with a run directory that goes at the end of the block: the run's own is the chief's."""
    with tempfile.TemporaryDirectory(prefix="pga_tf_worker_") as folder:
        yield dataclasses.replace(config, run=dataclasses.replace(config.run, workdir=folder))


def _train(config, strategy, workers, callbacks, out):
    run = config.run
    directory = RunDirectory(run.workdir, say=out)
    shape, changed = None, {}
    if not run.dry_run:
        shape, changed = workers.of_chief(lambda: _looked_at(directory, config, out))
    experiment = build_lib.build(config, strategy, workers)
    if not run.dry_run:
        workers.of_chief(lambda: directory.require_same_config(experiment.config))
        _require_same_shape(directory, shape, experiment.source)
        changed |= {"data": experiment.data_changed} if experiment.data_changed else {}
    score = _score(experiment, workers) if run.evaluate_every else None
    report = data.inspect(experiment.source)
    out(data.format_report(report, experiment.model.image_range))
    if run.dry_run:
        out(plan.describe(experiment, *plan.trial(experiment), start_step=0))
        for network in experiment.model.networks():
            out(networks.table(getattr(experiment.model, network)))
        out("dry run: nothing was trained or written")
        return True

    directory.create()
    with directory.locked():
        checkpoints = Checkpoints(directory.checkpoints, experiment.model, keep=run.keep_checkpoints, say=out)
        start = workers.of_chief(checkpoints.resume)
        checkpoints.share(workers)
        if start and not directory.config.exists():
            out(f"warning: {directory.config} is missing; the flags of this command are written there, uncompared")
        owed = workers.of_chief(lambda: directory.read_owed(start))
        directory.drop_metrics_after(start, owed)
        for name, (was, now) in changed.items():
            directory.note_change(start, name, was, now)
            what = f"--{name}={now}" if hasattr(run, name) else f"{name}: {now}"
            out(f"{what} from step {start} on; it was {was} before")
        directory.write_config(experiment.config, experiment.source.image_shape, devices.kernels())
        run_data.record(experiment.config, experiment.source)
        ended = start >= experiment.total_steps or workers.of_chief(lambda: _gave_up(run, directory, score))
        if ended and not owed:
            if workers.is_chief:
                closing = _closing(experiment, report, directory, checkpoints, score, None)
                out(f"{directory.path} is trained already.\n{closing}")
            return True
        if not ended:
            experiment.model.steps_per_execution = steps.of_a_call(experiment, start, callbacks)
            out(plan.describe(experiment, *plan.trial(experiment), start_step=start))
        stopped_by = _fit(experiment, directory, checkpoints, start, score, callbacks)
        if workers.is_chief:
            out(_closing(experiment, report, directory, checkpoints, score, stopped_by))
        return stopped_by is None


def _looked_at(directory, config, out):
    """(shape of images recorded there, what differs from the run there and may) before anything is built."""
    if directory.weights.exists() or zoo.is_called(directory.path):
        source = RunDirectory(zoo.located(directory.path))
        checks.refuse(
            f"--workdir={directory.path}",
            expected="a new folder, or a run with checkpoints to go on from",
            received="a packed run, which has weights alone",
            remedy=f"train such a model anew: {commands.line('train', flagfile=source.config, workdir='runs/mine')}",
        )
    if directory.config.exists():
        config_lib.of_run(directory.path)  # what is there can be read
    shape, was, now = _recorded_shape(directory, out), directory.read_kernels(), devices.kernels()
    changed = directory.require_same_config(build_lib.resolved(config, shape))
    return shape, changed | ({"kernels": (was, now)} if was not in ("", now) else {})


def _score(experiment, workers):
    """(function that scores, or None where the chief does it; card) of scores in training."""
    made = {}

    def make():
        made["function"], card = scoring.in_training(experiment.config, experiment.source)
        return card

    card = workers.of_chief(make)
    return made.get("function"), card


def _recorded_shape(directory, out):
    """(H, W, C) of the images of the run in `directory`; None where there is none, or what it recorded is damaged."""
    if not directory.config.exists():
        return None
    try:
        return directory.read_image_shape()
    except checks.InputError as error:
        out(f"warning: {checks.without_remedy(error)} It is written anew from the data.")
        return None


def _require_same_shape(directory, shape, source):
    if shape and shape != tuple(source.image_shape):
        checks.refuse(
            str(directory.shape),
            expected=f"{list(source.image_shape)}, the shape of images of {source.name}",
            received=list(shape),
            remedy="pass the images that the run was trained on; if these are they, move that file away",
        )


def _judged_by(run):
    """The score by which the best checkpoint is kept, and by which training is given up."""
    return run.keep_best if run.keep_best != "none" else "frechet"


def _gave_up(run, directory, score):
    """(step of the lowest score, its value, scores since then) where these end training, else None."""
    if not run.stop_after:
        return None
    found = directory.read_patience(_judged_by(run), protocol.digest(score[1]))
    return found if found[2] >= run.stop_after else None


def _fit(experiment, directory, checkpoints, start, score, users):
    """Does what is owed and takes the remaining steps; returns the name of the signal that stopped them, or None."""
    config, model = experiment.config, experiment.model
    run, images = config.run, experiment.source.examples("test", FIXED_IMAGES)
    writer = tf.summary.create_file_writer(os.fsencode(directory.logs))
    hparams.write_options(writer, config)
    workers, heard = experiment.workers, Heard(experiment.workers)
    clock = callbacks_lib.Clock(start, experiment.total_steps, run.batch_size * model.batches_per_step())
    draw, averaging = drawing.Drawing(model, *fitted.of_method(model)), Averaging(experiment, heard)
    stream = None if workers.is_chief else io.StringIO()  # the chief's is shown
    progress = Progress("step", clock.total, done=start, of_each=clock.images_of_a_step, stream=stream)
    works = [
        callbacks_lib.Pictures(
            clock,
            directory,
            writer,
            run.image_every,
            heard,
            drawing=draw,
            images=images,
            value_range=experiment.source.value_range,
            averaging=averaging,
        )
    ]
    if score:
        works.append(_evaluation(experiment, directory, writer, clock, heard, *score, draw, averaging, progress.say))
    with heard.noted():
        callbacks = [
            clock,
            callbacks_lib.Shown(clock, model.LOSSES, progress),
            callbacks_lib.StopOnNonFinite(
                clock, run.log_every, run.image_every, run.evaluate_every, run.checkpoint_every, heard=heard
            ),
            callbacks_lib.Logs(clock, directory, writer, run.log_every),
            *works,
            callbacks_lib.SaveCheckpoints(clock, checkpoints, run.checkpoint_every, averaging.measure, heard),
            *users,
            callbacks_lib.StopWhenNoted(heard),
        ]
        try:
            callbacks_lib.settle(works, model, directory, heard)
            gave_up = workers.of_chief(lambda: _gave_up(run, directory, score))
            if start < clock.total and not heard.received and not gave_up:
                if not start and not _before(experiment, heard, progress.say):
                    return heard.received  # nothing is saved: the same command begins anew
                left = clock.total - start
                steps.take(model, experiment.batches(start, left), left, callbacks)
        except checks.NonFiniteError as error:
            known = isinstance(error, checks.CollapseError)  # which says what to do by itself
            remedy = "" if known else " Remedy: lower --learning_rate, or look at the data if the first step failed."
            latest = workers.of_chief(checkpoints.latest) or "none yet"
            last = f"The last {'' if known else 'good '}checkpoint is {latest}."
            raise type(error)(f"Training stopped: {error}. {last}{remedy}") from None
        finally:
            progress.close()
            writer.close()
        _save_last(checkpoints, averaging, clock, heard)
        return heard.received


def _before(experiment, heard, say):
    """Trains what comes before the first step; returns whether it came to its end."""
    with experiment.strategy.scope():
        first = experiment.model.before()
    if not first:
        return True
    batches = experiment.batches(0, first.length)
    steps.take(first, batches, first.length, [first.ending(), callbacks_lib.StopWhenNoted(heard)])
    say(f"before step 1: {first.told()}")
    return not heard.received


def _save_last(checkpoints, averaging, clock, heard):
    """The checkpoint that training ends with; after a signal at once, since whoever sent it may not wait for more."""
    of_chief = heard.workers.of_chief
    if of_chief(checkpoints.latest_step) == clock.step:
        return
    if heard.received:
        of_chief(checkpoints.save)
    if averaging.measure(clock.step, pause=lambda: None) or not heard.received:
        of_chief(checkpoints.save)


def _evaluation(experiment, directory, writer, clock, heard, score, card, draw, averaging, say):
    directory.write_scores_card(card)
    with writer.as_default(clock.start):
        tf.summary.text("scores/protocol", json.dumps(card, indent=1))
    run, best = experiment.config.run, None
    if run.keep_best != "none":
        best = Checkpoints(directory.best, experiment.model, say=say)
        best.sweep()
    return callbacks_lib.Evaluate(
        clock,
        directory,
        writer,
        run.evaluate_every,
        heard,
        drawing=draw,
        score=score,
        protocol=protocol.digest(card),
        averaging=averaging,
        best=best,
        by=_judged_by(run),
        say=say,
        stop_after=run.stop_after,
    )


def _closing(experiment, report, directory, checkpoints, score, stopped_by):
    run, picture = experiment.config.run, directory.last_picture(checkpoints.step)
    gave_up = None if stopped_by else _gave_up(run, directory, score)
    state = f"trained {checkpoints.step} steps"
    if stopped_by:
        state = f"stopped by {stopped_by} after step {checkpoints.step}; the same command goes on from there"
    elif gave_up and checkpoints.step < experiment.total_steps:
        step, value, since = gave_up
        lowest = "none was a number" if step is None else f"the lowest was {value:.4g} at step {step}"
        counted = "1 score" if since == 1 else f"{since} scores in a row"
        state = (
            f"stopped early after step {checkpoints.step} of {experiment.total_steps}: {counted} did not "
            f"lower the {_judged_by(run)} distance, {lowest}; a higher --stop_after goes on from here"
        )
    unreadable = experiment.source.unreadable(told=report.corrupt)
    state += f"\n{unreadable}" if unreadable else ""
    return (
        f"{state}\n"
        f"  samples:      {picture or directory.samples}\n"
        f"  checkpoint:   {checkpoints.latest()}\n"
        f"  metrics:      {directory.metrics}\n"
        + (f"  best:         {directory.best}\n" if directory.read_best() else "")
        + f"  TensorBoard:  {commands.tensorboard(directory.logs)}"
    )


def hints(config):
    """What to do with a trained run next, as lines to print last: with the prior that it has, or how to get one."""
    workdir, noted = config.run.workdir, trained.noted_prior(config)
    if noted is None and not fitted.names(config):
        return (
            f"  next:         --method={config.run.method} has no prior of its own; fit one to its codes:\n"
            f"                {fitted.command(config)}"
        )
    if noted in fitted.names(config) and not fitted.is_of(config, trained.load_model(config)[0], noted):
        folder = RunDirectory(workdir).prior(noted)
        return (
            f"  next:         {noted} was fitted to the weights of before; delete {folder}\n"
            f"                and fit it anew: {fitted.command(config, noted)}"
        )
    return (
        f"  more samples: {commands.line('sample', workdir=workdir)}\n"
        f"  scores:       {commands.line('evaluate', workdir=workdir)}"
    )
