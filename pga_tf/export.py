"""Writes a trained model for TensorFlow Serving: python -m pga_tf.export --workdir=RUN --name=lpga_digits."""

from absl import flags as absl_flags

from pga_tf import command_line, flags
from pga_tf.core import checks, commands
from pga_tf.runs import zoo
from pga_tf.runs.directory import RunDirectory
from pga_tf.serving import versions
from pga_tf.settings.export import BASE, BATCH_SIZES, KINDS, LABELS, TOLERANCES, ExportOptions

USAGE = """python -m pga_tf.export --workdir=RUN --name=NAME [--prior=NAME] [--checkpoint=best] [--optimize=int8]
python -m pga_tf.export --workdir=RUN --pack=FOLDER [--optimize=bfloat16]   (the run in a few MB, to hand on)
python -m pga_tf.export --promote=VERSION --name=NAME   (makes a version that is there the stable one)

Writes EXPORT_BASE/NAME/VERSION/ with every signature that the model can give, and its entry in
EXPORT_BASE/models.config. The version appears only after a fresh process, without Keras and without this
package, has got from it what the Python model gives. One that exists is never overwritten.
RUN may be zoo/mnist, a model that comes with the package, or what --pack wrote."""

FLAGS = absl_flags.FLAGS


def define_flags():
    absl_flags.DEFINE_string("workdir", None, "run directory of pga_tf.train")
    absl_flags.DEFINE_string("name", None, "what the model is called in requests")
    absl_flags.DEFINE_string(
        "pack", "", "new folder for what sampling, scoring and exporting need of the run; nothing is published"
    )
    flags.define_model_flags()
    absl_flags.DEFINE_string("export_base", BASE, "TensorFlow Serving's model base")
    absl_flags.DEFINE_integer("version", 0, "number to publish; 0: the one after the newest", lower_bound=0)
    absl_flags.DEFINE_enum(
        "label", "", ("", *LABELS), "of the version; default: stable for the first one, canary for others"
    )
    absl_flags.DEFINE_integer("promote", 0, "export nothing, make this version the stable one", lower_bound=0)
    absl_flags.DEFINE_enum("optimize", "none", KINDS, "how kernels are stored; arithmetic stays float32")
    absl_flags.DEFINE_float(
        "tolerance", 0.0, "of the gate, over max(1, largest value); 0: "
        + ", ".join(f"{value:g} for {kind}" for kind, value in TOLERANCES.items()), lower_bound=0.0,
    )  # fmt: skip
    absl_flags.DEFINE_list("batch_sizes", [str(n) for n in BATCH_SIZES], "warmed up before it is served")


def main():
    if FLAGS.pack:
        return _pack()
    if not FLAGS.name:
        checks.refuse("--name", expected="what the model is called", received="none", remedy="pass --name=lpga_digits")
    if FLAGS.promote:
        versions.set_label(versions.Versions(FLAGS.export_base, FLAGS.name), "stable", FLAGS.promote)
        print(f"{FLAGS.name}: version {FLAGS.promote} is stable in {FLAGS.export_base}/{versions.CONFIG}")
        return 0
    options = ExportOptions(
        name=FLAGS.name,
        base=FLAGS.export_base,
        version=FLAGS.version,
        label=FLAGS.label,
        optimize=FLAGS.optimize,
        tolerance=FLAGS.tolerance,
        batch_sizes=_batch_sizes(FLAGS.batch_sizes),
    )
    versions.Versions(options.base, options.name)  # this and the next line refuse what cannot be
    _require_run()
    from pga_tf import run  # loads TensorFlow

    loaded = run.load(FLAGS.workdir, FLAGS.checkpoint)
    used = loaded.drawing(FLAGS.prior).prior_name
    folder, found = run.publish(loaded, options, FLAGS.prior)
    others = [name for name in loaded.priors() if name != used]
    more = f"; the run has {', '.join(others)} too, by --prior" if others else ""
    print(f"prior: {used}{more}")
    print(f"{folder}: the gate was passed, largest difference from the Python model")
    for signature, ratio in found.items():
        print(f"  {signature:12} {ratio:.2g}")
    print(f"  entered in {FLAGS.export_base}/{versions.CONFIG}; a server of it for development:")
    print(f"  {commands.line('serve', model_base=FLAGS.export_base)}")
    return 0


def _require_run():
    if not FLAGS.workdir:
        checks.refuse("--workdir", expected="a run directory", received="none", remedy="pass --workdir=runs/NAME")
    RunDirectory(zoo.located(FLAGS.workdir)).read_flags()


def _pack():
    if FLAGS.name or FLAGS.promote:
        other = "--name" if FLAGS.name else "--promote"
        checks.refuse("--pack", expected="a run alone", received=f"{other} too", remedy="pack and publish one by one")
    _require_run()
    from pga_tf import run  # loads TensorFlow

    loaded = run.load(FLAGS.workdir, FLAGS.checkpoint)
    folder = loaded.pack(FLAGS.pack, FLAGS.prior, FLAGS.optimize)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.2f} MB, prior {loaded.drawing(FLAGS.prior).prior_name}")
    print(f"  samples: {commands.line('sample', workdir=folder)}")
    return 0


def _batch_sizes(texts):
    try:
        return tuple(sorted({int(text) for text in texts}))
    except ValueError:
        checks.refuse(
            "--batch_sizes", expected="numbers, such as 1,8,64", received=",".join(texts), remedy="leave it out"
        )


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=USAGE)
