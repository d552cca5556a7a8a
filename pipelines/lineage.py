"""What made a pushed model: python -m pipelines.lineage --pipeline_root=ROOT --model=saved_models/NAME/VERSION."""

import datetime
import os
import pathlib
import textwrap

from absl import flags as absl_flags

from pga_tf import command_line
from pga_tf.core import checks
from pga_tf.evaluation import rounding
from pipelines.store import DATABASE, TFX_DATABASE, Store

USAGE = """python -m pipelines.lineage --pipeline_root=ROOT --model=saved_models/NAME/VERSION

Prints the data, the code, the flags and the scores that made a model which a pipeline has pushed, here or under TFX."""

FLAGS = absl_flags.FLAGS
JUDGES = {"baseline", "previous"}  # inputs that a step compares with; they made nothing


def define_flags():
    absl_flags.DEFINE_string("pipeline_root", None, "folder of the pipeline that pushed it")
    absl_flags.DEFINE_string("model", None, "folder of the version: saved_models/NAME/VERSION")


def main():
    for name in ("pipeline_root", "model"):
        if not FLAGS[name].value:
            checks.refuse(f"--{name}", expected="a folder", received="none", remedy=f"pass --{name}=FOLDER")
    store = opened(os.path.expanduser(FLAGS.pipeline_root))
    print(text(store, find(store, os.path.expanduser(FLAGS.model))))
    return 0


def opened(root):
    """The store of a pipeline's root, whichever runner it is of. Raises `InputError` where there is none."""
    if (pathlib.Path(root) / DATABASE).exists():
        return Store(root)
    if (pathlib.Path(root) / TFX_DATABASE).exists():
        try:
            from pipelines import tfx_store
        except ImportError as error:
            checks.refuse(
                f"--pipeline_root={root}, where TFX ran",
                expected="the package ml_metadata, to read it",
                received=str(error),
                remedy="use an environment of requirements-tfx.txt",
            )
        return tfx_store.Store(root)
    return checks.refuse(
        f"--pipeline_root={root}",
        expected=f"a folder in which a pipeline ran (it has a {DATABASE}, or under TFX a {TFX_DATABASE})",
        received="another one",
        remedy="check the path",
    )


def find(store, model):
    """The `Execution` of Pusher that pushed the version in the folder `model`. Raises `InputError` if there is none."""
    pushed = {execution.figures["model"]: execution for execution in reversed(list(store.executions("Pusher")))}
    pushed.pop(None, None)
    path = str(pathlib.Path(model).resolve())
    if path not in pushed:
        checks.refuse(
            f"--model={model}",
            expected="a version that this pipeline pushed: " + (", ".join(pushed) or "there is none"),
            received="another one",
            remedy="check both paths",
        )
    return pushed[path]


def makers(store, execution):
    """The executions that made what one wrote, itself among them, in the order in which they ran."""
    found, waiting = {execution.id: execution}, [execution]
    while waiting:
        for name, artifact in waiting.pop().inputs.items():
            if name not in JUDGES and artifact.producer not in found:
                found[artifact.producer] = store.execution(artifact.producer)
                waiting.append(found[artifact.producer])
    return [found[id] for id in sorted(found)]


def text(store, execution):
    """The lineage of what an execution of Pusher pushed: data, flags, scores, and the steps with their code."""
    steps = makers(store, execution)
    by_name = {step.component: step for step in steps}
    figures = {name: step.figures for name, step in by_name.items()}
    generated, scores = by_name["ExampleGen"], figures["Evaluator"]
    counted = ", ".join(f"{count} {split}" for split, count in figures["ExampleGen"]["images"].items())
    asked = by_name["Evaluator"].parameters
    protocol = f"{asked['features']} features, {asked['num_samples']} samples for each of {asked['seeds']} seeds"
    frechet = rounding.with_error({"value": scores["frechet"], "error": scores["frechet error"]})
    others = ", ".join(
        f"{name} {scores[name]:.4g}" for name in ("kernel", "precision", "recall", "density", "coverage")
    )
    rows = [
        ("data", f"{generated.parameters['dataset']} ({generated.parameters['data']}): {counted}"),
        ("trained on", f"{figures['Transform']['shape']} ({by_name['Trainer'].inputs['transformed'].digest})"),
        ("flags", _one_line(by_name["Trainer"].parameters["flags"])),
        ("prior", _one_line(by_name["PriorFitter"].parameters["flags"])),
        (
            "scores",
            f"frechet {frechet}, at most {scores['most allowed']:g}; {others} ({protocol})",
        ),
        *(("step", _described(step)) for step in steps),
    ]
    lines = [f"lineage of {execution.figures['model']}"]
    for name, value in rows:
        lines += textwrap.wrap(value, 110, initial_indent=f"  {name:11} ", subsequent_indent=" " * 14,
                               break_on_hyphens=False)  # fmt: skip
    return "\n".join(lines)


def _described(step):
    when = datetime.datetime.fromtimestamp(step.started).isoformat(" ", "seconds")
    return f"{step.component} {step.id}, {when}, {step.seconds:.1f} s, code {step.code}"


def _one_line(flags):
    return " ".join(flags.split())


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=USAGE)
