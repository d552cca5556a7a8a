"""Runs the pipeline here: python -m pipelines.run --flagfile=flagfiles/lpga_digits.flags --pipeline_root=ROOT."""

import pathlib
import sys
import time

from tqdm import tqdm

from pga_tf import command_line
from pga_tf.core import files, signals
from pipelines import lineage, page, runner, settings
from pipelines.store import Store

USAGE = """python -m pipelines.run --flagfile=flagfiles/NAME.flags --pipeline_root=ROOT [--push_base=runs/models]

Runs ExampleGen, StatisticsGen, SchemaGen, ExampleValidator, Transform, Trainer, PriorFitter, Evaluator, InfraValidator
and, with --push_base, Pusher, each only where its inputs, parameters or code have changed. The same command goes on
after a failure or a kill. Leaves ROOT/COMPONENT/OUTPUT/EXECUTION/ and ROOT/pipeline.html, a page that opens offline.
Ends with 0 if the model was blessed by both Evaluator and InfraValidator, 1 if it was not or a step failed, 130 after
Ctrl-C or SIGTERM."""


def main():
    return run(settings.from_flags())


def run(chosen, *, out=tqdm.write):
    """Runs the pipeline of `Settings`: the command's exit status.

    Args:
      out: takes a line and, of a step that failed, `file`, the stream of errors; the default spares the bars.

    Raises:
      InputError: what `graph.require` and `graph.steps` refuse, or a root in use, damaged or of the other runner.
    """
    from pipelines import graph  # loads TensorFlow

    root, start = pathlib.Path(chosen.options.pipeline_root), time.perf_counter()
    graph.require(chosen)
    with runner.locked(root):
        results = runner.run(
            graph.steps(chosen),
            root,
            say=lambda result: say(result, out),
            begins=lambda step: out(f"{step.name:16} begins"),
            tell=lambda text: out(f"warning: {text}"),
        )
        return conclude(chosen, results, Store(root), time.perf_counter() - start, out)


def conclude(chosen, results, store, seconds, out):
    """Writes the page and says how a run of `Settings` ended: the command's exit status."""
    place = pathlib.Path(chosen.options.pipeline_root) / page.NAME
    files.write_page(place, page.page(chosen, results))
    out(f"\n  {seconds:.1f} s, {place}")
    if any(result.state == "interrupted" for result in results.values()):
        out("interrupted; the same command goes on")
        return signals.STATUS
    if not all(result.execution for result in results.values()):
        return 1
    judged = [results[judge].execution.figures for judge in ("Evaluator", "InfraValidator")]
    if not all(figures["blessed"] for figures in judged):
        reasons = "; ".join(figures["reasons"] for figures in judged if not figures["blessed"])
        out(f"not blessed{', not pushed' if chosen.options.push_base else ''}: {reasons}")
        return 1
    if chosen.options.push_base:
        out("\n" + lineage.text(store, results["Pusher"].execution))
    return 0


def say(result, out):
    """Passes the line on a step to `out`; of one that failed, for the stream of errors."""
    out(line(result), **({"file": sys.stderr} if result.state == "failed" else {}))


def line(result):
    """One line on a step, with the message of a failure below it."""
    folders = result.execution.outputs.values() if result.execution else ()
    places = "  ".join(str(artifact.path) for artifact in folders)
    message = "\n    " + result.error.replace("\n", "\n    ") if result.error else ""
    seconds = f"{result.seconds:7.1f} s" if result.seconds else " " * 9
    return f"{result.step.name:16} {result.state:7} {seconds}  {places}{message}"


if __name__ == "__main__":
    settings.define_flags()
    command_line.run(main, usage=USAGE, help_text=settings.help_text)
