"""How cost grows: tools/run python tools/benchmark_growth.py [--stages=example_gen,train] [--out=runs/growth].

Measures CPU seconds and memory of each stage, every measurement in a process of its own, at three sizes of what grows:
images, pixels, batch, codes, workers. Prints the fitted growth, and the plan for --images and --workers by it, and
writes both to --out as growth.md and growth.png. About half an hour on two cores; Ctrl-C stops, and the same command
goes on from there, for each measurement is a line of measured.jsonl. [docs/scaling.md](docs/scaling.md) reads them.
"""

import pathlib
import shutil
import sys
import time

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from pga_tf import command_line
from pga_tf.core import checks, files, progress
from pga_tf.ledger import documents
from pga_tf.ledger.work import code, processor
from pga_tf.settings.methods import METHOD_OPTIONS
from tools.growth import found as found_lib
from tools.growth import measure, page, stages
from tools.growth.plan import Target

FLAGS = flags.FLAGS
ROOT = pathlib.Path(__file__).parents[1]
DOCUMENT, PICTURE, WRITER = ROOT / "docs/scaling.md", ROOT / "docs/images/growth.png", "growth benchmark"
SIDE = 64  # pixels of an image, where these are not what grows
MATERIAL = "material"  # folder of --out for what is worked on
BITS = 8
DEFAULT_TARGET = Target(images=10_000_000, workers=64, batch_size=64, bandwidth=10e9 / BITS)


def define_flags():
    flags.DEFINE_list("stages", None, "what to measure; default: " + ", ".join(stages.all_stages(SIDE, 1)))
    flags.DEFINE_string("out", "runs/growth", "folder of results; those that are there are not measured again")
    flags.DEFINE_integer("rounds", stages.ROUNDS, "times that each is measured; more tell the noise", lower_bound=1)
    flags.DEFINE_string("method", "lpga", "what is trained and sampled")
    flags.DEFINE_integer("filters", 16, "width of the networks; 0: the published one", lower_bound=0)
    flags.DEFINE_integer("latent_dim", 32, "size of a code", lower_bound=1)
    flags.DEFINE_integer("images", DEFAULT_TARGET.images, "of the plan", lower_bound=1000)
    flags.DEFINE_integer("workers", DEFAULT_TARGET.workers, "of the plan", lower_bound=1)
    flags.DEFINE_integer("batch_size", DEFAULT_TARGET.batch_size, "of each worker, in the plan", lower_bound=1)
    bits = BITS * DEFAULT_TARGET.bandwidth / 1e9
    flags.DEFINE_float("bandwidth", bits, "of a worker's network, in the plan [unit: Gbit/s]", lower_bound=0.001)
    flags.DEFINE_float("memory", 16.0, "of a process, for what gives way first [unit: GiB]", lower_bound=0.1)
    flags.DEFINE_boolean("write", False, "also write the tables and the picture into docs")


def settings() -> dict:
    """What a measurement depends on beside its task."""
    names = ("method", "filters", "latent_dim")
    return {name: FLAGS[name].value for name in names} | {"side": SIDE, "processor": processor()}


def chosen() -> list[stages.Stage]:
    """The stages of `--stages`. Raises `InputError` for an unknown one."""
    every = stages.all_stages(SIDE, FLAGS.latent_dim)
    for name in FLAGS.stages or []:
        checks.require_member("--stages", name, every)
    return [every[name] for name in FLAGS.stages or every]


def measured(wanted: list, given: dict, out: pathlib.Path) -> list[dict]:
    """Lines of results of all `wanted` tasks, in any round, of which those that are missing are measured now."""
    lines = measure.read(out, given, print)
    missing = [task for task in wanted if task.key not in lines]
    took, began = {}, time.monotonic()
    for number, task in enumerate(missing):
        started = time.monotonic()
        try:
            line = measure.run(task, given, out / MATERIAL) | {"code": code()}
        except measure.Failed as error:
            raise checks.InputError(f"{task.stage} by {task.axis}, {task.size:,}, ended by itself:\n{error}") from None
        measure.keep(out, line)
        lines[task.key] = line
        took[task.key[:3]] = time.monotonic() - started
        mean = (time.monotonic() - began) / (number + 1)
        left = sum(took.get(other.key[:3], mean) for other in missing[number + 1 :])
        print(
            f"[{number + 1}/{len(missing)}] {task.stage} by {task.axis}, {task.size:,}: "
            f"{found_lib.cost(line):.3g} CPU s, {line['memory'] / page.MIB:,.0f} MiB; "
            f"{progress.duration(left)} left",
            file=sys.stderr,
            flush=True,
        )
    shutil.rmtree(out / MATERIAL, ignore_errors=True)
    alike = {task.key[:3] for task in wanted}
    return [line for key, line in lines.items() if key[:3] in alike]  # other rounds that are there tell as much


def document(text: str, blocks: dict[str, str], where: str) -> str:
    """A document's text with every block in its place. Raises `InputError` where a place is missing."""
    for name, block in blocks.items():
        text = documents.with_block(text, name, block, where, writer=WRITER)
    return text


def main():
    checks.require_member("--method", FLAGS.method, METHOD_OPTIONS.names())
    out, wanted = pathlib.Path(FLAGS.out), list(stages.tasks(chosen(), FLAGS.rounds))
    files.require_folder(out, f"--out={out}")
    lines = measured(wanted, settings(), out)
    found = found_lib.of_lines(lines, chosen())
    target = Target(FLAGS.images, FLAGS.workers, FLAGS.batch_size, FLAGS.bandwidth * 1e9 / BITS)
    blocks = page.blocks(found, target, FLAGS.memory * page.GIB)
    machine = processor()
    title = f"# How cost grows\n\n{machine['name']}, {machine['cores']} cores"
    text = "\n\n".join([title, *blocks.values(), *page.worse(found)])
    print(text)
    files.write_text(out / "growth.md", text + "\n")
    for path in (out / "growth.png", *([PICTURE] if FLAGS.write else [])):
        with files.replacing(path) as file:
            page.picture(found, target).savefig(file, format="png")
    if FLAGS.write:
        held = files.read_text(DOCUMENT, "take it from the repository again")
        files.write_text(DOCUMENT, document(held, blocks, str(DOCUMENT)))
    print(out / "growth.png")


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=__doc__.replace("How cost grows: ", "", 1))
