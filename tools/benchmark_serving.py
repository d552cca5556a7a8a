"""Serving speed: tools/run python tools/benchmark_serving.py --workdir=RUN [--model=lpga_digits] [--batches=1,16,64].

Decodes the same codes, in one run and in turns, by
  direct   the Python model's decoder in a tf.function, with the run that the model was exported from;
  export   the exported model's `decode` signature, in this process;
  server   the same signature through gRPC, from pga_tf.serve in a process of its own, one request at a time.
Prints images per second and the latency of a call at the median and at the 99th percentile, and two ratios: the speed
of export over direct, which should be at least 0.95, and what the server adds to a call. Ratios are medians over
rounds: on a shared machine they are steadier than the speeds. Figures of two runs are not comparable.
"""

import contextlib
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import flags

from pga_tf import command_line
from pga_tf.core import checks, ranges
from pga_tf.runs import config as config_lib
from pga_tf.runs import trained
from pga_tf.serving.grpc_transport import GrpcTransport
from pga_tf.serving.local import policy
from pga_tf.serving.transport import Address

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "run directory that the model was exported from; without it there is no `direct`")
flags.DEFINE_string("checkpoint", "last", "the checkpoint that it was exported from: last or best")
flags.DEFINE_string("model_base", "saved_models", "folder of exported models")
flags.DEFINE_string("model", "lpga_digits", "its name; the newest version is measured")
flags.DEFINE_list("batches", ["1", "16", "64"], "images in a call")
flags.DEFINE_integer("rounds", 9, "rounds in which the candidates take turns", lower_bound=1)
flags.DEFINE_float("seconds", 0.5, "for each candidate in a round", lower_bound=0.01)

ROOT = pathlib.Path(__file__).parents[1]
TIMEOUT = 60.0  # seconds for a request


def newest_version():
    versions = policy.on_disk(pathlib.Path(FLAGS.model_base) / FLAGS.model)
    if not versions:
        checks.refuse(
            "--model",
            expected=f"a model with a version in {FLAGS.model_base}",
            received=FLAGS.model,
            remedy="export one with python -m pga_tf.export, or correct --model and --model_base",
        )
    return max(versions), versions[max(versions)]


@contextlib.contextmanager
def serving(version):
    """A local server of that version; HOST:PORT of its gRPC."""
    base = pathlib.Path(FLAGS.model_base).resolve()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "models.config")
        path.write_text(
            f'model_config_list {{ config {{ name: "{FLAGS.model}" base_path: "{base / FLAGS.model}"'
            f" model_version_policy {{ specific {{ versions: {version} }} }} }} }}"
        )
        command = [sys.executable, "-m", "pga_tf.serve", f"--model_config_file={path}"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [*command, "--port=0", "--rest_api_port=0", "--file_system_poll_wait_seconds=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        try:
            found = re.match(r"serving gRPC on (\S+),", process.stdout.readline())
            if not found:
                raise RuntimeError("pga_tf.serve did not start; run it alone to see why")
            yield found[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def direct_decoder(latent_dim):
    """The decoder as Python has it, with the pixel range of the export, called as the export's signature is."""
    draw, step = trained.load(config_lib.of_run(FLAGS.workdir), FLAGS.checkpoint)
    print(f"direct: {FLAGS.workdir}, {FLAGS.checkpoint} checkpoint, step {step}")

    def decode(z):
        images = ranges.rescale(draw.model.decode(z, source="prior"), draw.model.image_range, (0.0, 1.0))
        return {"image": tf.clip_by_value(images, 0.0, 1.0)}

    # A concrete function with a dynamic batch, as the signature is: tf.function's own dispatch is no part of the graph.
    return tf.function(decode, autograph=False).get_concrete_function(
        z=tf.TensorSpec([None, latent_dim], tf.float32, name="z")
    )


def latencies(call, seconds):
    """Seconds of each call, one after the other, for about `seconds`."""
    found, end = [], time.perf_counter() + seconds
    while not found or time.perf_counter() < end:
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return found


def measure(calls, batch):
    for call in calls.values():
        latencies(call, 0.2)  # warms up
    rounds = {name: [] for name in calls}
    for _ in range(FLAGS.rounds):
        for name, call in calls.items():
            rounds[name].append(latencies(call, FLAGS.seconds))
    median = {name: [statistics.median(part) for part in parts] for name, parts in rounds.items()}
    for name, parts in rounds.items():
        every = np.concatenate(parts)
        speed = batch * statistics.median(1.0 / seconds for seconds in median[name])
        p50, p99 = np.percentile(every, [50, 99]) * 1e3
        print(f"{batch:5d}  {name:8s} {speed:10.0f} {p50:8.2f} {p99:8.2f}  ({len(every)} calls)")
    pairs = lambda a, b: zip(median[a], median[b], strict=True)
    if "direct" in calls:
        ratio = statistics.median(direct / export for direct, export in pairs("direct", "export"))
        print(f"{batch:5d}  speed of export over direct: {ratio:.3f}")
    added = statistics.median(server - export for server, export in pairs("server", "export"))
    print(f"{batch:5d}  the server adds {added * 1e3:.2f} ms a call", flush=True)


def benchmark():
    version, folder = newest_version()
    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures["decode"]
    latent_dim = signature.structured_input_signature[1]["z"].shape[1]
    print(f"export: {folder}")
    direct = direct_decoder(latent_dim) if FLAGS.workdir else None
    with serving(version) as target:
        transport = GrpcTransport(Address(target, FLAGS.model))
        print("batch  what         images/s   p50 ms   p99 ms")
        for batch in map(int, FLAGS.batches):
            codes = np.random.default_rng(0).normal(size=(batch, latent_dim)).astype(np.float32)
            z = tf.constant(codes)
            calls = {"direct": lambda z=z: direct(z=z)["image"].numpy()} if direct else {}
            calls["export"] = lambda z=z: signature(z=z)["image"].numpy()
            calls["server"] = lambda c=codes: transport.predict("decode", {"z": c}, ["image"], TIMEOUT)["image"]
            answers = [call() for call in calls.values()]
            for name, answer in zip(calls, answers, strict=True):
                np.testing.assert_allclose(answer, answers[0], atol=1e-5, err_msg=f"{name} decodes something else")
            measure(calls, batch)
        transport.close()


def main():
    try:
        benchmark()
    except (checks.InputError, AssertionError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    command_line.run(main, usage=__doc__)
