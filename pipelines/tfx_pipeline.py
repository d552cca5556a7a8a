"""The pipeline under TFX: python -m pipelines.tfx_pipeline --flagfile=flagfiles/lpga_digits.flags ..."""

from absl import flags as absl_flags
from absl import logging

from pga_tf import command_line
from pga_tf.core import checks
from pipelines import settings

USAGE = """python -m pipelines.tfx_pipeline --flagfile=flagfiles/NAME.flags --pipeline_root=ROOT [--push_base=BASE]
python -m pipelines.tfx_pipeline --flagfile=... --pipeline_root=ROOT --compile=pipeline.json --image=IMAGE

Runs the steps of pipelines.run as TFX components under LocalDagRunner, with ML Metadata in ROOT/mlmd.sqlite; or writes
the graph for Kubeflow Pipelines and Vertex, whose workers run IMAGE, made from pipelines/Dockerfile. Says and leaves
what pipelines.run does; --verbosity=0 shows TFX's own messages.
Ends with 0 if the model was blessed by both Evaluator and InfraValidator, 1 if it was not or a step failed, 130 after
Ctrl-C or SIGTERM."""

FLAGS = absl_flags.FLAGS


def define_flags():
    settings.define_flags()
    absl_flags.DEFINE_string(
        "compile", "", "file to write the graph to, for Kubeflow and Vertex, instead of running it"
    )
    absl_flags.DEFINE_string("image", "", "container image with this repository and TFX, for --compile")


def main():
    chosen = settings.from_flags()
    if not FLAGS["verbosity"].present:
        logging.set_verbosity(logging.FATAL)  # TFX also raises what it calls an error
    try:
        from pipelines import tfx_graph, tfx_runner
    except ImportError as error:
        checks.refuse(
            "pipelines.tfx_pipeline",
            expected="TFX, which requirements-tfx.txt installs",
            received=str(error),
            remedy="use an environment of requirements-tfx.txt (docs/pipeline.md), or pipelines.run",
        )
    if not FLAGS.compile:
        return tfx_runner.run(chosen)
    tfx_graph.compile_to(chosen, FLAGS.compile, FLAGS.image)
    print(f"wrote {FLAGS.compile}")
    return 0


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=USAGE, help_text=settings.help_text)
