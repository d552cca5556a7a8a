"""What `sample --out` costs beside the bare decoder: tools/run python tools/benchmark_sampling.py --workdir=runs/NAME.

Prints CPU seconds of both for the same number of samples, in turns, and their ratio, with the processor: the decoder on
codes that are ready, in the command's batches; and what the command does from the seeds to the closed file.
"""

import pathlib
import statistics
import sys
import tempfile

import numpy as np
import tensorflow as tf
from absl import flags as absl_flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from pga_tf import command_line, flags, sample
from pga_tf.runs import drawing, trained
from tools import measuring

FLAGS = absl_flags.FLAGS


def main():
    draw, _ = trained.load(flags.config_of_run(), "last", "")
    count = FLAGS.num_samples
    codes = draw.codes(np.arange(count))
    batches = [tf.constant(codes[i : i + drawing.BATCH]) for i in range(0, count, drawing.BATCH)]
    source = draw.prior.DECODED_AS
    decode = tf.function(lambda z: draw.model.decode(z, source=source), autograph=False, reduce_retracing=True)

    def bare():
        for batch in batches:
            decode(batch).numpy()

    with tempfile.TemporaryDirectory() as folder:
        candidates = {"bare": bare, "command": lambda: sample.write_array(draw, pathlib.Path(folder) / "out.npz")}
        times = measuring.in_turns(candidates, FLAGS.rounds)
    seconds = {name: statistics.median(spent) for name, spent in times.items()}
    print(
        f"{count:,} samples on {measuring.processor()}: bare decoder {seconds['bare']:.2f} CPU s, command "
        f"{seconds['command']:.2f}, ratio {measuring.ratio(times, 'command', 'bare'):.2f}"
    )


if __name__ == "__main__":
    sample.define_flags()
    absl_flags.DEFINE_integer("rounds", 3, "rounds in which the two take turns")
    command_line.run(main, usage=__doc__)
