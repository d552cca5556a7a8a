"""What made a pushed model: python -m pipelines.lineage --pipeline_root=ROOT --model=saved_models/NAME/VERSION."""

import datetime
import pathlib

from absl import flags as absl_flags

from pga_tf import flags
from pga_tf.core import checks
from pipelines.store import DATABASE, Store

USAGE = """python -m pipelines.lineage --pipeline_root=ROOT --model=saved_models/NAME/VERSION

Prints the data, the code, the flags and the scores that made a model which a pipeline has pushed."""

FLAGS = absl_flags.FLAGS
JUDGES = {"baseline", "previous"}  # inputs that a step compares with; they made nothing


def define_flags():
    absl_flags.DEFINE_string("pipeline_root", None, "folder of the pipeline that pushed it")
    absl_flags.DEFINE_string("model", None, "folder of the version: saved_models/NAME/VERSION")


def main():
    for name in ("pipeline_root", "model"):
        if not FLAGS[name].value:
            checks.refuse(f"--{name}", expected="a folder", received="none", remedy=f"pass --{name}=FOLDER")
    if not (pathlib.Path(FLAGS.pipeline_root) / DATABASE).is_file():
        checks.refuse(
            f"--pipeline_root={FLAGS.pipeline_root}",
            expected=f"a folder in which a pipeline ran (it has a {DATABASE})",
            received="another one",
            remedy="check the path",
        )
    store = Store(FLAGS.pipeline_root)
    print(text(store, find(store, FLAGS.model)))
    return 0


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
    """The lineage of what an execution of Pusher pushed, as lines."""
    lines = [f"lineage of {execution.figures['model']}"]
    for step in makers(store, execution):
        when = datetime.datetime.fromtimestamp(step.started).isoformat(" ", "seconds")
        lines.append(f"{step.component} {step.id}, {when}, {step.seconds:.1f} s, code {step.code}")
        lines += [f"    from {name}: {artifact.producer}, {artifact.digest}" for name, artifact in step.inputs.items()]
        lines += [f"    {name}: {_one_line(value)}" for name, value in (step.parameters | step.figures).items()
                  if value not in ("", None)]  # fmt: skip
    return "\n".join(lines)


def _one_line(value):
    return " ".join(value.split()) if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else value


if __name__ == "__main__":
    define_flags()
    flags.run(main, usage=USAGE)
