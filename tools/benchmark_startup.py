"""Start-up: tools/run python tools/benchmark_startup.py [--rounds=5].

CPU seconds, user and system, of processes in turns: the help of every command, refusals, a dry run, and a bare `import
tensorflow, keras`, which is the unit of the second column. Medians over rounds; CPU time is steadier than the clock on
a shared machine. A dry run trains a few steps to tell their time and looks at images, so it is more than its import.
"""

import resource
import statistics
import subprocess
import sys

from absl import flags

from pga_tf import cli, command_line

flags.DEFINE_integer("rounds", 5, "rounds in which the candidates take turns", lower_bound=1)

BARE = "import tensorflow, keras"
NOWHERE = "nowhere/at/all"
CANDIDATES = {
    BARE: ["-c", BARE],
    "import pga_tf": ["-c", "import pga_tf"],
    **{f"{command} --help": ["-m", module, "--help"] for command, module in cli.COMMANDS.items()},
    "train, unknown flag": ["-m", "pga_tf.train", "--nonsense"],
    "train, flag of another method": ["-m", "pga_tf.train", "--method=vae", "--weight_nll=1"],
    "train, no such folder": ["-m", "pga_tf.train", f"--dataset=folder:{NOWHERE}"],
    "sample, no such run": ["-m", "pga_tf.sample", f"--workdir={NOWHERE}"],
    "every module, nothing done": ["-c", "import pga_tf.run"],
    "train --dry_run": ["-m", "pga_tf.train", "--dataset=digits", "--dry_run"],
}


def cpu_seconds(arguments):
    """Of one process, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    seconds = {name: [] for name in CANDIDATES}
    for _ in range(flags.FLAGS.rounds):
        for name, arguments in CANDIDATES.items():
            seconds[name].append(cpu_seconds(arguments))
    print(f"{'':32}{'CPU s':>8}{'of the bare import':>22}")
    for name, found in seconds.items():
        share = statistics.median(value / bare for value, bare in zip(found, seconds[BARE], strict=True))
        print(f"{name:32}{statistics.median(found):8.2f}{share:22.2f}")
    return 0


if __name__ == "__main__":
    command_line.run(main, usage=__doc__.replace("Start-up: ", "", 1))
