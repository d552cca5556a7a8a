"""Trains, scores and judges rows of the papers' tables: python -m pga_tf.reproduce --table=pga_table1 --dry_run."""

import pathlib
import sys

from absl import flags as absl_flags

from pga_tf import command_line
from pga_tf.core import checks, signals
from pga_tf.ledger import budgets, entries, plan, tables, work

USAGE = """python -m pga_tf.reproduce --table=NAME [--dataset=mnist] [--budget=paper|laptop] [--trainings=3] [--dry_run]
python -m pga_tf.reproduce --only=ROW[,ROW] [--sweep="weight_nll=0.005,0.015,0.05"]
python -m pga_tf.reproduce --write     (documents, headers of flagfiles)

Trains the rows of a table, fits their priors, scores them by the row's protocol, and leaves a line for each training in
results/*.jsonl. The same command goes on after a stop or a kill. Run it in a checkout of the repository."""

FLAGS = absl_flags.FLAGS


def define_flags():
    absl_flags.DEFINE_string("table", "", "rows of which table: " + ", ".join(tables.TABLES))
    absl_flags.DEFINE_string("dataset", "", "rows of which data set: mnist, fashion_mnist, cifar10, celeba, digits ...")
    absl_flags.DEFINE_list("only", [], "rows by name")
    absl_flags.DEFINE_string("budget", "paper", "; ".join(f"{b.name}: {b.told}" for b in budgets.BUDGETS.values()))
    absl_flags.DEFINE_integer("trainings", 3, "of each row, by seeds 0, 1, ...", lower_bound=1)
    absl_flags.DEFINE_boolean(
        "dry_run", False, "say what is done, what is left and how long it takes, and do none of it"
    )
    absl_flags.DEFINE_string(
        "inception_path", "", "weights of Inception for the FID of --budget=paper, as evaluate has it"
    )
    absl_flags.DEFINE_string("results", str(entries.FOLDER), "folder of the lines of results")
    absl_flags.DEFINE_string("runs", str(work.RUNS), "folder of run directories")


def main():
    results, asked = pathlib.Path(FLAGS.results), budgets.named(FLAGS.budget)
    if not (FLAGS.table or FLAGS.dataset or FLAGS.only):
        checks.refuse(
            "Rows",
            expected="--table, --dataset or --only",
            received="none of them",
            remedy="pass --table=" + " or ".join(tables.TABLES),
        )
    rows = tables.chosen(tables.rows(), FLAGS.table, FLAGS.dataset, FLAGS.only)
    trainings = [
        work.Training(row, asked, seed, {}, FLAGS.inception_path, pathlib.Path(FLAGS.runs))
        for seed in range(FLAGS.trainings)
        for row in rows
    ]
    measured, speeds = entries.read(results, _warn), entries.speeds(results, _warn)
    print(f"budget {asked.name}: {asked.told}")
    made = plan.make(trainings, measured)
    print(plan.text(made, measured, speeds), flush=True)
    return 0 if FLAGS.dry_run else _do(made, results)


def _do(made, results):
    """Every training that is left, one after the other; 1 where some failed, after all others."""
    failed = []
    for number, training in enumerate(made.left, 1):
        print(f"{training.workdir.parent.name}, training {training.seed} ({number} of {len(made.left)})", flush=True)
        try:
            entry = work.run(training, lambda line: print(line, flush=True))
        except work.Stopped as stopped:
            print(f"stopped by {stopped}; the same command goes on from there", file=sys.stderr)
            return signals.STATUS
        except work.Refused as refused:
            failed.append(training)
            print(f"failed: {refused}", flush=True)
            continue
        entries.append(results, training.row.table, entry)
        measured = entries.read(results, _warn)
        left = plan.Plan([], made.left[number:], [])
        print(f"  {_told(entry)}; left: {plan.text(left, measured, {}).splitlines()[-1]}", flush=True)
    if failed:
        names = ", ".join(f"{training.row.name} {training.seed}" for training in failed)
        print(f"failed: {names}; the same command tries them again", file=sys.stderr)
    return 1 if failed else 0


def _told(entry):
    if "failure" in entry:
        return f"no score: {entry['failure']}"
    score = entry["scores"][entry["prior"]]["frechet"]
    return f"{entry['names']['frechet']} {score['value']:.4g} +- {score['error']:.2g} (sample seeds)"


def _warn(line):
    print(line, file=sys.stderr)


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=USAGE)
