"""The run directory: what training leaves on disk, and all that later commands need.

config.flags      the format of this directory, and the resolved flags; a flagfile that can be passed back
image_shape.json  (H, W, C) of its images, so that sampling needs no data
checkpoints/      newest checkpoints, each exact to the step; checkpoints/best/ the best one (--keep_best)
logs/             TensorBoard
samples/          PNG grids
metrics.jsonl     one line of means for each logging window
scores.jsonl      one line of scores for each evaluation during training (--evaluate_every)
scores_card.json  the protocol of those scores
evaluation/       what pga_tf.evaluate found: evaluation.json, report.html, pictures
priors/NAME/      priors fitted to the trained autoencoder
prior.flags       the prior that the run is sampled with, where it is not its method's own; a flagfile to pass back
owed.json         work of the newest step that a signal has put off, while there is any
"""

import contextlib
import fcntl
import json
import pathlib

from pga_tf.core import checks, files, options

# Options that say how long and how closely a run is watched, not what it computes.
CHANGEABLE = {
    "workdir", "steps", "epochs", "log_every", "image_every", "checkpoint_every", "keep_checkpoints", "dry_run",
    "strict_data", "evaluate_every", "evaluate_samples", "evaluate_features", "evaluate_inception_path", "keep_best",
    "stop_after",
    "prior_steps", "prior_log_every", "prior_checkpoint_every", "prior_evaluate_every",
}  # fmt: skip


FORMAT = 2  # raised where a run of before cannot be read or gone on with
_FORMAT_LINE = "# pga_tf run directory, format "


class RunDirectory:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.config = self.path / "config.flags"
        self.shape = self.path / "image_shape.json"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.checkpoints / "best"
        self.logs = self.path / "logs"
        self.samples = self.path / "samples"
        self.metrics = self.path / "metrics.jsonl"
        self.scores = self.path / "scores.jsonl"
        self.evaluation = self.path / "evaluation"
        self.own_prior = self.path / "prior.flags"
        self.owed = self.path / "owed.json"

    def prior(self, name):
        """Path of the directory of a fitted prior, itself laid out as a run directory."""
        return self.path / "priors" / name

    def evaluation_of(self, prior, own):
        """Folder of what was found under a prior: the run's `own` stands for the run, others lie beside themselves."""
        return self.evaluation if prior == own else RunDirectory(self.prior(prior)).evaluation

    def create(self):
        """Makes the folders; raises `InputError` where they cannot be written."""
        try:
            for folder in (self.path, self.checkpoints, self.logs, self.samples):
                folder.mkdir(parents=True, exist_ok=True)
            files.write_text(self.path / ".writable", "")
            (self.path / ".writable").unlink()
        except OSError as error:
            checks.refuse(
                f"--workdir={self.path}",
                expected="a folder that can be written",
                received=f"{type(error).__name__}: {error.strerror}",
                remedy="choose another --workdir or change its permissions",
            )

    @contextlib.contextmanager
    def locked(self):
        """Holds the run directory for one training process; raises `InputError` where another has it."""
        with open(self.path / ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                checks.refuse(
                    f"--workdir={self.path}",
                    expected="a run directory that no other process trains in",
                    received="one in use",
                    remedy="wait for the other process or choose another --workdir",
                )
            yield

    def require_same_config(self, config, remedy="pass the flags of the run there to go on with it"):
        """Raises `InputError` if the directory holds a run of another configuration, naming the flags."""
        if not self.config.exists():
            return
        # A run of before an option was added has what is now that option's default.
        old, new = _as_text(options.defaults(config)) | self.read_flags(), _as_text(config.values())
        changeable = set(CHANGEABLE)
        # A cosine's shape depends on its length.
        if new.get("schedule") == "cosine":
            changeable -= {"steps", "epochs"}
        if new.get("prior_schedule") == "cosine":
            changeable -= {"prior_steps"}
        names = [n for n in sorted(old.keys() | new.keys()) if n not in changeable and old.get(n) != new.get(n)]
        if names:
            if set(names) <= {"steps", "epochs", "prior_steps"}:
                remedy += "; the length of a cosine cannot be changed, with --schedule=constant it can"
            differing = ", ".join(f"--{n}={new.get(n)} (the run there: {old.get(n)})" for n in names)
            checks.refuse(
                f"--workdir={self.path}",
                expected="a new folder or a run of the same configuration",
                received=f"a run that differs in {differing}",
                remedy=f"choose another --workdir, or {remedy}",
            )

    def write_config(self, config, image_shape):
        """Writes what later commands need to build the model again: the flags and the images' (H, W, C)."""
        files.write_text(self.shape, json.dumps({"image_shape": list(image_shape)}) + "\n")
        files.write_text(self.config, f"{_FORMAT_LINE}{FORMAT}\n{_as_flagfile(config.values())}")  # which says: a run

    def read_image_shape(self):
        """(H, W, C) of the images that the run was trained on."""
        return tuple(json.loads(self.shape.read_text())["image_shape"])

    def read_flags(self):
        """The resolved flags: dict of name to text. Raises `InputError` where there is no run."""
        if not self.config.exists():
            checks.refuse(
                f"--workdir={self.path}",
                expected="a run directory made by pga_tf.train (it has a config.flags)",
                received="none there" if self.path.exists() else "a folder that does not exist",
                remedy="train first, or check the path",
            )
        self._require_format()
        return _read_flagfile(self.config)

    def _require_format(self):
        first = next(iter(self.config.read_text().splitlines()), "")
        if first != f"{_FORMAT_LINE}{FORMAT}":
            checks.refuse(
                f"--workdir={self.path}",
                expected=f"a run directory of format {FORMAT}",
                received=first.removeprefix("# ")
                if first.startswith(_FORMAT_LINE)
                else "one of before formats had numbers",
                remedy="train it anew in another folder: noise, norms and averages are other ones since",
            )

    def write_own_prior(self, values):
        """Notes the prior that the run is sampled with where none is named: its flags by name, `prior` among them.

        An empty `prior` leaves the run with its method's own.
        """
        if values["prior"]:
            files.write_text(self.own_prior, _as_flagfile(values))
        else:
            self.own_prior.unlink(missing_ok=True)

    def read_own_prior(self):
        """The registered name of that prior; "" where nothing is noted."""
        return _read_flagfile(self.own_prior)["prior"] if self.own_prior.exists() else ""

    def note_owed(self, step, work):
        """Notes work of `step`, by name, that a signal has put off."""
        self._write_owed(step, [*self.read_owed(step), work])

    def read_owed(self, step):
        """Names of the work that is owed to `step`, in the order in which it is to be done."""
        if not self.owed.exists():
            return []
        try:
            held = json.loads(self.owed.read_text())
            return [str(name) for name in held["work"]] if held["step"] == step else []
        except (ValueError, KeyError, TypeError) as error:
            checks.refuse(
                f"{self.owed}",
                expected="what a signal has put off, as JSON",
                received=f"{type(error).__name__}: {error}",
                remedy="delete it; the scores and pictures of the step that the run was stopped at are then missing",
            )

    def drop_owed(self, step, work):
        """Notes that work of `step` is done."""
        self._write_owed(step, [name for name in self.read_owed(step) if name != work])

    def forget_owed(self):
        """Notes that nothing is owed."""
        self.owed.unlink(missing_ok=True)

    def _write_owed(self, step, names):
        files.write_text(self.owed, json.dumps({"step": step, "work": names}) + "\n")

    def drop_metrics_after(self, step, owed=()):
        """Removes metrics and scores of steps that a resumed run will take again, and scores that are `owed`."""
        for path, last in ((self.metrics, step), (self.scores, step - 1 if "evaluation" in owed else step)):
            if path.exists():
                lines = path.read_text().splitlines()
                kept = [line for line in lines if _step_of(line) is not None and _step_of(line) <= last]
                files.write_text(path, "".join(line + "\n" for line in kept))

    def read_curve(self, name):
        """(steps, values) of one quantity in metrics.jsonl, in order of steps; empty where it was not logged."""
        points = [(line["step"], line[name]) for line in self.read_metrics() if name in line]
        return [step for step, _ in points], [value for _, value in points]

    def read_metrics(self):
        """The lines of metrics.jsonl: list of dicts, in order of steps."""
        return _read_lines(self.metrics)

    def append_metrics(self, values):
        files.append_line(self.metrics, json.dumps(values))

    def append_scores(self, values):
        files.append_line(self.scores, json.dumps(values))

    def write_best(self, facts):
        files.write_text(self.best / "best.json", json.dumps(facts) + "\n")

    def read_best(self):
        """What is known of the best checkpoint (score, protocol, step, value), or None."""
        path = self.best / "best.json"
        return json.loads(path.read_text()) if path.exists() else None

    def write_scores_card(self, card):
        files.write_text(self.path / "scores_card.json", json.dumps(card, indent=1) + "\n")

    def read_patience(self, score, protocol):
        """How the scores of a run by one protocol have come: (step of the lowest, its value, how many came since).

        A score that is no number is never the lowest. (None, infinity, N) where there is none yet.
        """
        step, lowest, since = None, float("inf"), 0
        for line in self.read_scores():
            if line.get("protocol") != protocol:
                continue
            since += 1
            if line.get(score, float("nan")) < lowest:
                step, lowest, since = line["step"], line[score], 0
        return step, lowest, since

    def read_scores(self):
        """The lines of scores.jsonl: list of dicts, in order of steps."""
        return _read_lines(self.scores)


def _read_lines(path):
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if _step_of(line) is not None]


def _step_of(line):
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return None  # a line cut short by a kill


def _as_flagfile(values):
    return "".join(f"--{name}={value}\n" for name, value in _as_text(values).items())


def _read_flagfile(path):
    lines = path.read_text().splitlines()
    return dict(line[2:].split("=", 1) for line in lines if line.startswith("--"))


def _as_text(values):
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
