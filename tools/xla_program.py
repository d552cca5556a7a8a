"""The train step of a flagfile as a program of XLA, for a GPU machine that has JAX and no TensorFlow, and back.

    tools/run python tools/xla_program.py --flagfile=flagfiles/lpga_mnist.flags --program=FOLDER
    (there) python tools/run_xla_program.py FOLDER OUT --seconds=500
    tools/run python tools/xla_program.py --flagfile=flagfiles/lpga_mnist.flags --program=FOLDER --trained=OUT

The first writes what `--jit` compiles, with a loop of `--block` steps around it, and the images. The last makes a run
directory of what was trained there, with a checkpoint that every command takes; optimisers begin anew from it.

Other than in a run, large weights begin from draws of NumPy, of the same law, and the order of images is NumPy's, so
that neither has to travel. The losses of the first block are TensorFlow's own on a CPU, to be compared there.
"""

import json
import pathlib
import re

import numpy as np
import run_xla_program
import tensorflow as tf
from absl import flags

from pga_tf import command_line
from pga_tf import flags as flags_lib
from pga_tf.core import checks, ranges
from pga_tf.runs import build, run_data
from pga_tf.runs.checkpoints import Checkpoints
from pga_tf.runs.directory import RunDirectory

FLAGS = flags.FLAGS
LARGE = 2**17  # entries from which on weights are drawn anew in place of travelling


def block_of_steps(model, value_range):
    """Function of (images `[N, H, W, C]`, indices `[block, B]`) that takes a block of steps."""

    def run(images, indices):
        def body(i):
            batch = ranges.rescale(tf.gather(images, indices[i]), ranges.UINT8, value_range)
            model.train_step(batch)
            return (i + 1,)

        tf.while_loop(lambda i: i < tf.shape(indices)[0], body, [tf.constant(0)], parallel_iterations=1)

    return run


def begin(model, seed):
    """Draws large kernels anew, and says how each variable begins: list of (manifest entry, variable)."""
    entries = []
    for i, variable in enumerate({v.path: v for v in model.trainable_variables}.values()):
        if variable.shape.num_elements() >= LARGE:
            receptive = int(np.prod(variable.shape[:-2]))
            limit = float(np.sqrt(6.0 / (receptive * (variable.shape[-1] + variable.shape[-2]))))  # Glorot's
            entry = {"kind": "uniform", "seed": [seed, i], "limit": limit}
            entry |= {"shape": list(variable.shape), "dtype": "float32"}
            variable.assign(run_xla_program.value(entry, None))
            entries.append((entry, variable))
    return entries


def write(experiment, folder):
    model, run = experiment.model, experiment.config.run
    model._jit_compile = True  # which a run leaves aside where there is no GPU, as here
    folder.mkdir(parents=True, exist_ok=True)
    reader = experiment.source.readers["train"]
    images = reader.rows(0, reader.count)
    drawn = {id(variable.value.handle): entry for entry, variable in begin(model, run.seed)}
    shape = {"batch_size": run.batch_size, "count": reader.count, "seed": run.seed}
    indices = run_xla_program.order(FLAGS.block, **shape)

    steps = block_of_steps(model, model.image_range)
    tf.config.experimental.enable_tensor_float_32_execution(FLAGS.tf32)
    compiled = tf.function(steps, jit_compile=True, autograph=False)
    function = compiled.get_concrete_function(images, indices)
    ir = compiled.experimental_get_compiler_ir(images, indices)
    (folder / "program.hlo").write_bytes(ir(stage="hlo_serialized"))
    aliases = re.findall(r"{(\d*)}: \((\d+), {}", ir(stage="hlo").splitlines()[0])
    held = [v for v in _variables(model) if v.dtype != "string"]
    by_handle = {id(v.value.handle): v for v in held}
    captured = [by_handle[id(t)] for t in function.captured_inputs]
    pairs = sorted((int(parameter) - 2, int(output or 0)) for output, parameter in aliases)
    if pairs != [(i, i) for i in range(len(captured))]:
        raise RuntimeError(f"Expected a program that gives back each variable that it is given, received {pairs}.")

    stored, entries = {}, []
    for i, variable in enumerate(captured):
        array, name = np.asarray(variable), f"{i}/{variable.path}"
        entry = {"name": name, "shape": list(array.shape), "dtype": str(array.dtype)}
        if id(variable.value.handle) in drawn:
            entry |= drawn[id(variable.value.handle)]
        elif not array.any():
            entry["kind"] = "zeros"
        else:
            entry["kind"], stored[name] = "stored", array
        entries.append(entry)
    np.savez_compressed(folder / "start.npz", images=images, **stored)
    tf.function(steps, autograph=False)(tf.constant(images), tf.constant(indices))
    names = list(model.means.names)
    of_weights = {id(v.value.handle) for v in [*model.trainable_variables, *model.non_trainable_variables]}
    kept = [i for i, v in enumerate(captured) if id(v.value.handle) in of_weights and v is not model.means.state]
    manifest = shape | {
        "what": f"{run.method} on {experiment.config.data.dataset}, {'TF32' if FLAGS.tf32 else 'float32'}",
        "steps": experiment.total_steps,
        "block": FLAGS.block,
        "names": names,
        "shown": list(model.LOSSES),
        "means": next(i for i, v in enumerate(captured) if v is model.means.state),
        "parameters": entries,
        "kept": kept,
        "first": run_xla_program.means(np.asarray(model.means.state), names),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {FLAGS.block} steps to a block, {size / 2**20:.1f} MiB")


def _variables(model):
    return [*model.variables, *(v for o in model.optimizers.values() for v in o.variables), model.means.state]


def read(experiment, folder, trained):
    """Makes the run directory of what was trained in `trained`."""
    model = experiment.model
    manifest = json.loads((folder / "manifest.json").read_text())
    done = json.loads((trained / "done.json").read_text())
    parts = [trained / f"weights.{k}.bin" for k in range(len(list(trained.glob("weights.*.bin"))))]
    data, at = b"".join(part.read_bytes() for part in parts), 0
    by_path = {v.path: v for v in _variables(model)}
    for i in manifest["kept"]:
        entry = manifest["parameters"][i]
        size = int(np.prod(entry["shape"])) * np.dtype(entry["dtype"]).itemsize
        value = np.frombuffer(data[at : at + size], entry["dtype"]).reshape(entry["shape"])
        by_path[entry["name"].partition("/")[2]].assign(value)
        at += size
    if at != len(data) or int(np.asarray(model.step)) != done["steps"]:
        checks.refuse(
            str(trained), expected=f"what {folder} gave", received="another size or step", remedy="pass its own folder"
        )
    directory = RunDirectory(experiment.config.run.workdir)
    directory.create()
    with directory.locked():
        directory.write_config(experiment.config, experiment.source.image_shape)
        run_data.record(experiment.config, experiment.source)
        for line in (trained / "log.jsonl").read_text().splitlines():
            directory.append_metrics(json.loads(line))
        path = Checkpoints(directory.checkpoints, model).save()
    print(f"{path}: {done['steps']:,} steps in {done['seconds']:.0f} s on {done['device']}")


def main():
    experiment, folder = build.build(flags_lib.config_from_flags()), pathlib.Path(FLAGS.program)
    if FLAGS.trained:
        read(experiment, folder, pathlib.Path(FLAGS.trained))
    else:
        write(experiment, folder)


if __name__ == "__main__":
    flags_lib.define_training_flags()
    flags.DEFINE_string("program", None, "folder of the program", required=True)
    flags.DEFINE_string("trained", "", "folder of what was trained with it, to make a run directory of")
    flags.DEFINE_integer("block", 50, "steps in one call of the program")
    flags.DEFINE_boolean("tf32", True, "let products of float32 use the tensor cores, as TensorFlow does on a GPU")
    command_line.run(main, usage=__doc__)
