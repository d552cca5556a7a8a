"""One training of a row: the commands that train it, fit its priors and score it, and the line that comes of them."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from pga_tf.core import files, flagfiles, signals
from pga_tf.ledger import tables
from pga_tf.ledger.budgets import Budget
from pga_tf.ledger.tables import Row

RUNS = pathlib.Path("runs/ledger")
POINTS = 40  # of a curve in a line
REMEDY = "delete that folder, and the same command trains it again"
IN_USE, WAIT, PATIENCE = "no other process trains in", 5.0, 60.0  # seconds
# With these a run says that it cannot be scored however often it is tried.
FAILURES = re.compile(r"Training stopped: .*|.*no score is defined for a constant set.*")


@dataclasses.dataclass(frozen=True)
class Training:
    """A training of a row: `settings` are what a sweep sets beside the row's own flags, texts by name."""

    row: Row
    budget: Budget
    seed: int
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    inception_path: str = ""
    runs: pathlib.Path = RUNS

    @property
    def workdir(self) -> pathlib.Path:
        """Its run directory."""
        return self.runs / self.budget.name / self.name.replace("/", "_") / str(self.seed)

    @property
    def name(self) -> str:
        """The row's name with what a sweep sets: "lpga_digits,weight_nll=0.05"."""
        return ",".join([self.row.name, *(f"{name}={value}" for name, value in self.settings.items())])

    @property
    def flags(self) -> dict[str, str]:
        """What is asked for beside the flagfile, texts by name."""
        return self.row.overrides | self.budget.flags(self.row.values | self.settings) | self.settings

    def commands(self) -> dict[str, list[str]]:
        """What is run, by what it does: arguments of `python -m` for each command, in order."""
        place = f"--workdir={self.workdir}"
        flagfile = tables.FOLDER / f"{self.row.flagfile.name}.flags"
        given = self.flags | {"seed": str(self.seed)}
        found = {"train": ["pga_tf.train", f"--flagfile={flagfile}", *arguments(given), place]}
        mixture = self.budget.mixture(self.row.values | self.settings)
        if mixture:
            found["fit_prior"] = ["pga_tf.fit_prior", place, *arguments(mixture)]
        scored = self.budget.scored(self.row)
        if self.inception_path and self.budget.name == "paper":
            scored |= {"features": "inception", "inception_path": self.inception_path}
        found["evaluate"] = ["pga_tf.evaluate", place, *arguments(scored)]
        if mixture:
            found["priors"] = ["pga_tf.evaluate", place, "--priors=all", *arguments(scored)]
        return found


def arguments(flags: Mapping[str, str]) -> list[str]:
    """Flags, texts by name, as a command line has them."""
    return [f"--{name}={value}" for name, value in flags.items()]


class Stopped(Exception):
    """A polite signal came; the same command goes on from there."""


class Refused(Exception):
    """A command ended with a status of its own. `status`: that. The text: its last line."""

    def __init__(self, status: int, line: str):
        super().__init__(line)
        self.status = status


def run(training: Training, say: Callable[[str], None]) -> dict:
    """Trains, fits and scores, or goes on with it, and returns the line of results.

    Raises `Stopped` after a polite signal, and `Refused` where a command fails for a reason that another try need
    not have.
    """
    workdir, failure = training.workdir, None
    times, resumed = {}, workdir.exists()
    try:
        for part, given in training.commands().items():
            say(f"  {' '.join(given)}")
            scoring = given[0] == "pga_tf.evaluate"  # what it prints is in the line
            times[part] = _call_when_free(given, say, cpu_only=training.budget.name == "laptop", silent=scoring)
    except Refused as refused:
        if refused.status != 2 or not FAILURES.fullmatch(str(refused)):
            raise
        failure = str(refused)
    return entry(training, times, resumed, failure)


def _call_when_free(given, say, **asked):
    """`call`, after a moment where a process that was told to stop still has the run directory."""
    for _ in range(int(PATIENCE / WAIT)):
        try:
            return call(given, **asked)
        except Refused as refused:
            if IN_USE not in str(refused):
                raise
        say(f"  another process still trains there; {WAIT:.0f} s more")
        time.sleep(WAIT)
    return call(given, **asked)


def entry(training: Training, times: dict, resumed: bool, failure: str | None) -> dict:
    """The line of results of a training whose files lie in its run directory."""
    workdir, row = training.workdir, training.row
    found = {
        "step": 0,
        "row": row.name,
        "table": row.table,
        "budget": training.budget.name,
        "training": training.seed,
        "settings": training.settings,
        "flags": flagfiles.read_values(workdir / "config.flags", REMEDY),
        "commands": {part: " ".join(given) for part, given in training.commands().items()},
        "times": times,
        "resumed": resumed,  # the times are then those of the last part alone
        "code": code(),
        "processor": processor(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }
    if failure:
        return found | {"failure": failure}
    return found | _scores(workdir)


def _scores(workdir):
    result = files.read_json(workdir / "evaluation" / "evaluation.json", REMEDY)
    prior = result["card"]["generated"]["prior"]
    scores = {prior: _without_seeds(result["scores"])}
    every = workdir / "evaluation" / "priors.json"
    if every.exists():
        scores |= {
            found["title"]: _without_seeds(found["scores"])
            for found in files.read_json(every, REMEDY)
            if found["title"] not in scores
        }
    losses = result["history"]["losses"]
    return {
        "step": result["run"]["step"],
        "prior": prior,
        "card": result["card"],
        "names": result["names"],
        "scores": scores,
        "gap": result["gap"],
        "reconstruction": result["reconstruction"],
        "curves": {"losses": {name: _thin(*curve) for name, curve in losses.items() if not name.startswith("gradient")},
                   "scores": {name: _thin(*curve) for name, curve in result["history"]["scores"].items()}},
    }  # fmt: skip


def _without_seeds(scores):
    return {name: {part: score[part] for part in ("value", "error") if part in score} for name, score in scores.items()}


def _thin(steps, values):
    every = max(1, -(-len(steps) // POINTS))
    return [steps[every - 1 :: every], values[every - 1 :: every]]


def call(given: Sequence[str], *, cpu_only: bool = False, silent: bool = False) -> dict[str, float]:
    """Runs `python -m` with `given`, and returns {"wall", "cpu"} in seconds; `silent`: without what it prints.

    Raises `Stopped` after a polite signal, which is passed on, and `Refused` where the command ends with another status
    than 0.
    """
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3")}
    if cpu_only:
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    began, last = time.monotonic(), [""]
    with signals.noted() as notice:
        process = subprocess.Popen(
            [sys.executable, "-m", "pga_tf.ledger.child", str(os.getpid()), *given],
            env=environment,
            stdout=subprocess.DEVNULL if silent else None,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        passing = threading.Thread(target=_pass_on, args=(process.stderr, last), daemon=True)
        passing.start()
        status, usage, told = 0, None, False
        while usage is None:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            usage = None
            if notice.received and not told:
                told = True
                process.terminate()
            time.sleep(0.1)
        process.returncode = os.waitstatus_to_exitcode(status)
        passing.join(timeout=5)
        if notice.received or process.returncode == signals.STATUS:
            raise Stopped(notice.received or "a signal")
    if process.returncode:
        raise Refused(process.returncode, last[0].removeprefix("error: ") or f"status {process.returncode}")
    return {"wall": round(time.monotonic() - began, 1), "cpu": round(usage.ru_utime + usage.ru_stime, 1)}


def _pass_on(stream, last):
    for line in stream:
        sys.stderr.write(line)
        sys.stderr.flush()
        last[0] = line.strip() or last[0]


def code() -> dict[str, object]:
    """What was run: the version that is installed, and of a checkout the commit and whether files differ from it."""
    root = pathlib.Path(__file__).parents[2]

    def git(*asked):
        done = subprocess.run(["git", "-C", str(root), *asked], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    found = {"python": platform.python_version()}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found["version"] = importlib.metadata.version("pga-tf")
    try:
        commit = git("rev-parse", "HEAD")
    except OSError:  # no git
        commit = None
    if commit:
        found |= {
            "commit": commit,
            "changed": bool(git("status", "--porcelain", "--untracked-files=no", "--", "pga_tf")),
        }
    return found


def processor() -> dict[str, object]:
    """The machine's processor: its name and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        found = re.search(r"^model name\s*: (.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        name = found[1] if found else name
    except OSError:
        pass
    return {"name": name, "cores": len(os.sched_getaffinity(0))}
