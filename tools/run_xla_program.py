"""Runs a train step that `xla_program.py` wrote, where there is JAX and a GPU but no TensorFlow.

    python tools/run_xla_program.py FOLDER OUT [--steps=N] [--seconds=S] [--log_every=1000]

Takes blocks of steps until N are done or S seconds have passed, prints the losses of the first steps beside those that
TensorFlow had on a CPU, and speed and losses as it goes; writes log.jsonl and the weights (weights.N.bin) to OUT. The
programs of XLA come through JAX's private entry points: seen to work with JAX 0.10.2.
"""

import functools
import json
import pathlib
import sys
import time

import numpy as np

PART = 15_000_000  # bytes of a file of weights


def order(steps, *, batch_size, count, seed, start=0):
    """int32 `[steps, batch_size]`: which images steps `start` to `start + steps` take; every epoch is a permutation."""
    first, last = start * batch_size, (start + steps) * batch_size
    epochs = range(first // count, (last - 1) // count + 1)
    drawn = np.concatenate([_permutation(count, seed, epoch) for epoch in epochs])
    return drawn[first - epochs[0] * count :][: last - first].astype(np.int32).reshape(steps, batch_size)


@functools.lru_cache(maxsize=4)
def _permutation(count, seed, epoch):
    return np.random.default_rng([seed, epoch]).permutation(count)


def value(entry, stored):
    """The array that a parameter begins with, by its `entry` in the manifest."""
    if entry["kind"] == "stored":
        return stored[entry["name"]]
    if entry["kind"] == "zeros":
        return np.zeros(entry["shape"], entry["dtype"])
    rng = np.random.default_rng(entry["seed"])
    return rng.uniform(-entry["limit"], entry["limit"], entry["shape"]).astype(entry["dtype"])


def means(state, names):
    """What the vector of `pga_tf.core.means` holds: dict of name to mean."""
    return {name: float(state[i] / max(state[-1], 1.0)) for i, name in enumerate(names)}


def _drop_copies(module):
    """Takes out what the conversion leaves of HLO's copies, which StableHLO has no word for."""
    found = []

    def walk(operation):
        for region in operation.regions:
            for block in region.blocks:
                for inner in block.operations:
                    found.extend([inner] * (inner.operation.name == "mhlo.copy"))
                    walk(inner.operation)

    walk(module.operation)
    for operation in found:
        operation.operation.results[0].replace_all_uses_with(operation.operation.operands[0])
        operation.operation.erase()


class Program:
    """The compiled program and its parameters on the device."""

    def __init__(self, folder, name="program.hlo"):
        import jax
        from jax._src import compiler
        from jax._src.interpreters import mlir
        from jax.extend.mlir import hlo_to_stablehlo
        from jaxlib import xla_client
        from jaxlib.mlir import ir

        self.manifest = json.loads((folder / "manifest.json").read_text())
        stored = np.load(folder / "start.npz")
        self.device = jax.devices()[0]
        began = time.perf_counter()
        with mlir.make_ir_context():
            module = ir.Module.parse(hlo_to_stablehlo((folder / name).read_bytes()))
            _drop_copies(module)
            devices = xla_client.DeviceList((self.device,))
            self._run = compiler.backend_compile_and_load(
                self.device.client, module, devices, xla_client.CompileOptions(), []
            )
        self.compiled_in = time.perf_counter() - began
        self._put = lambda array: jax.device_put(array, self.device)
        jax.config.update("jax_enable_x64", True)
        self.images = self._put(stored["images"])
        self.parameters = [self._put(value(entry, stored)) for entry in self.manifest["parameters"]]

    def take(self, indices):
        """A block of steps on the images of `indices` `[block, B]`."""
        inputs = [self.images, self._put(indices), *self.parameters]
        outputs = self._run.execute_sharded(inputs).disassemble_into_single_device_arrays()
        self.parameters = [output[0] for output in outputs]

    def state(self):
        """The vector of means."""
        return np.asarray(self.parameters[self.manifest["means"]])

    def forget(self):
        """Begins the means anew."""
        at = self.manifest["means"]
        self.parameters[at] = self._put(np.zeros_like(np.asarray(self.parameters[at])))


def main():
    folder, out = map(pathlib.Path, sys.argv[1:3])
    flags = dict(argument[2:].partition("=")[::2] for argument in sys.argv[3:])
    program = Program(folder)
    told, block = program.manifest, program.manifest["block"]
    total, limit = int(flags.get("steps", told["steps"])), float(flags.get("seconds", "inf"))
    every = max(int(flags.get("log_every", 1000)) // block, 1)
    print(f"{told['what']}; {program.device.device_kind}; compiled in {program.compiled_in:.0f} s", flush=True)
    shape = {"batch_size": told["batch_size"], "count": told["count"], "seed": told["seed"]}
    with open(out / "log.jsonl", "w") as log:
        program.take(order(block, **shape))  # and warms up
        state, done = program.state(), block
        for name, mean in means(state, told["names"]).items():
            print(f"  {name}: {mean:.7g} over {block} steps; TensorFlow on a CPU {told['first'][name]:.7g}", flush=True)
        began = time.perf_counter()
        while done < total and time.perf_counter() - began < limit:
            program.forget()
            for _ in range(min(every, -(-(total - done) // block))):
                program.take(order(block, start=done, **shape))
                done += block
            line = {"step": done, **means(program.state(), told["names"])}
            seconds = time.perf_counter() - began
            line["images_per_second"] = told["batch_size"] * (done - block) / seconds
            log.write(json.dumps(line) + "\n")
            if (done // block // every) % 20 == 0 or done >= total:
                shown = " ".join(f"{name} {line[name]:.4g}" for name in told["shown"])
                print(f"step {done:,}, {line['images_per_second']:,.0f} images/s, {shown}", flush=True)
    print(f"{done:,} steps, {1000 * seconds / max(done - block, 1):.3f} ms each", flush=True)
    kept = [np.asarray(program.parameters[i]).tobytes() for i in told["kept"]]
    together = b"".join(kept)
    for part in range(-(-len(together) // PART)):
        (out / f"weights.{part}.bin").write_bytes(together[part * PART : (part + 1) * PART])
    (out / "done.json").write_text(
        json.dumps({"steps": done, "seconds": seconds, "device": program.device.device_kind})
    )


if __name__ == "__main__":
    main()
