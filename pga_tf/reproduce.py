"""Trains, scores and judges rows of the papers' tables: python -m pga_tf.reproduce --table=pga_table1 --dry_run."""

import pathlib
import sys
import time

from absl import flags as absl_flags

from pga_tf import command_line
from pga_tf.core import checks, signals
from pga_tf.ledger import budgets, documents, entries, plan, sweeps, tables, work

USAGE = """python -m pga_tf.reproduce --table=NAME [--dataset=mnist] [--budget=paper|laptop] [--trainings=3] [--dry_run]
python -m pga_tf.reproduce --only=ROW[,ROW] [--sweep="weight_nll=0.005,0.015,0.05"]
python -m pga_tf.reproduce --write     (docs/ledger.md, the README's table and the headers of flagfiles, from results/)
python -m pga_tf.reproduce --figures   (figures of many runs, from results/ and the run directories)
python -m pga_tf.reproduce --time_steps --table=NAME   (for the times of what was not measured)

Trains the rows of a table, fits their priors, scores them by the row's protocol, and leaves a line for each training in
results/*.jsonl. The same command goes on after a stop or a kill. Run it in a checkout of the repository."""

FLAGS = absl_flags.FLAGS
SWEEPS = "sweeps"  # the file of their lines


def define_flags():
    absl_flags.DEFINE_string("table", "", "rows of which table: " + ", ".join(tables.TABLES))
    absl_flags.DEFINE_string("dataset", "", "rows of which data set: mnist, fashion_mnist, cifar10, celeba, digits ...")
    absl_flags.DEFINE_list("only", [], "rows by name")
    absl_flags.DEFINE_string("budget", "paper", "; ".join(f"{b.name}: {b.told}" for b in budgets.BUDGETS.values()))
    absl_flags.DEFINE_integer("trainings", 3, "of each row, by seeds 0, 1, ...", lower_bound=1)
    absl_flags.DEFINE_string(
        "sweep", "", "values of flags, each a row of its own: weight_nll=0.005,0.015;latent_dim=8,12"
    )
    absl_flags.DEFINE_boolean(
        "dry_run", False, "say what is done, what is left and how long it takes, and do none of it"
    )
    absl_flags.DEFINE_boolean("write", False, "write what the lines of results say into documents and headers")
    absl_flags.DEFINE_boolean("figures", False, "draw figures of the lines of results into --out")
    absl_flags.DEFINE_boolean(
        "time_steps", False, "take a few steps of each row at its own settings, and note their time"
    )
    absl_flags.DEFINE_string("inception_path", "", "for FID with --budget=paper, as pga_tf.evaluate takes it")
    absl_flags.DEFINE_string("results", str(entries.FOLDER), "folder of the lines of results")
    absl_flags.DEFINE_string("runs", str(work.RUNS), "folder of run directories")
    absl_flags.DEFINE_string("out", "runs/ledger/figures", "folder of figures")


def main():
    results, budget = pathlib.Path(FLAGS.results), budgets.named(FLAGS.budget)
    if FLAGS.write:
        return _write(results)
    asked = bool(FLAGS.table or FLAGS.dataset or FLAGS.only)
    if FLAGS.figures and not asked:
        return _figures(entries.read(results, _warn))
    if not asked:
        checks.refuse(
            "Rows",
            expected="--table, --dataset or --only",
            received="none of them",
            remedy="pass --table=" + " or ".join(tables.TABLES),
        )
    every = tables.rows()
    rows = tables.chosen(every, FLAGS.table, FLAGS.dataset, FLAGS.only)
    if budget.name == "laptop" and FLAGS.table != "fast":  # by this recipe they are the rows that they are fast ones of
        rows = [row for row in rows if row.table != "fast"]
    if FLAGS.time_steps:
        return _time_steps(rows, every, results)
    settings = sweeps.parsed(FLAGS.sweep) if FLAGS.sweep else [{}]
    trainings = [
        work.Training(row, budget, seed, swept, FLAGS.inception_path, pathlib.Path(FLAGS.runs))
        for seed in range(FLAGS.trainings)
        for row in rows
        for swept in settings
    ]
    measured = entries.read(results, _warn)
    if FLAGS.figures:
        return _figures([entry for entry in measured if entry["row"] in {row.name for row in rows}])
    print(f"budget {budget.name}: {budget.told}")
    published = sum(row.published is not None for row in rows)
    if budget.name == "paper" and published and not FLAGS.inception_path:
        print(f"without --inception_path no score can be set beside the published FID of {published} of these rows")
    made = plan.make(trainings, measured)
    print(plan.text(made, measured, plan.spread(every, entries.speeds(results, _warn))), flush=True)
    if FLAGS.dry_run:
        return 0
    status = _do(made, results)
    if FLAGS.sweep and status != signals.STATUS:
        _say_sweep(rows, settings, results)
    return status


def _do(made, results):
    """Every training that is left, one after the other; 1 where some failed, after all others."""
    failed = []
    for number, training in enumerate(made.left, 1):
        if plan.make([training], entries.read(results, _warn)).done:  # by another process meanwhile
            continue
        print(f"{training.name}, training {training.seed} ({number} of {len(made.left)})", flush=True)
        try:
            entry = work.run(training, lambda line: print(line, flush=True))
        except work.Stopped as stopped:
            print(f"stopped by {stopped}; the same command goes on from there", file=sys.stderr)
            return signals.STATUS
        except work.Refused as refused:
            failed.append(training)
            print(f"failed: {refused}", flush=True)
            continue
        entries.append(results, SWEEPS if training.settings else training.row.table, entry)
        left = plan.Plan([], made.left[number:], [])
        told = plan.text(left, entries.read(results, _warn), {}).splitlines()[-1].rpartition(", ")[2]
        print(f"  {_told(entry)}\n  {told}", flush=True)
    if failed:
        names = ", ".join(f"{training.name} {training.seed}" for training in failed)
        print(f"failed: {names}; the same command tries them again", file=sys.stderr)
    return 1 if failed else 0


def _told(entry):
    if "failure" in entry:
        return f"no score: {entry['failure']}"
    score = entry["scores"][entry["prior"]]["frechet"]
    return f"{entry['names']['frechet']} {score['value']:.4g} +- {score['error']:.2g} (sample seeds)"


def _say_sweep(rows, settings, results):
    """A table and a plot for each row of a sweep."""
    from pga_tf.ledger import figures

    measured = entries.read(results, _warn)
    for row in rows:
        lines = [line for swept in settings for line in entries.of(measured, row.name, FLAGS.budget, swept)]
        lines = [line for line in lines if "scores" in line]
        if lines:
            path = pathlib.Path(FLAGS.out) / f"sweep_{FLAGS.budget}_{row.name}_{'_'.join(settings[0])}.png"
            figures.save(figures.sweep(lines), path)
            print(f"{row.name}\n{documents.sweep(lines)}\n  {path}")


def _write(results):
    changed = documents.write(pathlib.Path(), entries.read(results, _warn), entries.speeds(results, _warn))
    print("\n".join(f"  {path}" for path in changed) or "everything says what the lines of results say")
    return 0


def _figures(lines):
    from pga_tf.ledger import figures

    figures.write(lines, pathlib.Path(FLAGS.runs), pathlib.Path(FLAGS.out), print)
    return 0


def _time_steps(rows, every, results):
    """Notes the CPU time of a step, which other work hardly changes, of every row of whose kind there is no note.

    Rows whose data are not at hand are passed over.
    """
    import keras

    from pga_tf import flags
    from pga_tf.runs import build
    from pga_tf.training import plan as training_plan

    for row in rows:
        known = plan.spread(every, entries.speeds(results, _warn))
        if row.name in known or row.obstacle or plan.missing_data(row.flagfile.values["dataset"]):
            continue
        values = absl_flags.FlagValues()
        flags.define_training_flags(values)
        flags.define_prior_flags(values)
        values(["train", f"--flagfile={tables.FOLDER / row.flagfile.name}.flags", *work.arguments(row.overrides)])
        experiment = build.build(flags.config_from_flags(values))
        training_plan.trial(experiment)  # compiles
        began = time.process_time()
        training_plan.trial(experiment)
        taken = (time.process_time() - began) / (training_plan.TRIAL_STEPS + 1)
        noted = {"row": row.name, "cpu_milliseconds": round(1000 * taken, 1), "step": training_plan.TRIAL_STEPS}
        entries.append(results, entries.SPEEDS, noted | {"processor": work.processor(), "code": work.code()})
        print(f"  {row.name}: {noted['cpu_milliseconds']} ms of CPU a step", flush=True)
        keras.utils.clear_session()
    return 0


def _warn(line):
    print(line, file=sys.stderr)


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=USAGE)
