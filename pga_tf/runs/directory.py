"""The run directory: what training leaves on disk, and all that later commands need.

config.flags      the format of this directory, and the resolved flags; a flagfile that can be passed back
image_shape.json  (H, W, C) of its images, so that sampling needs no data
checkpoints/      newest checkpoints, each exact to the step; checkpoints/best/ the best one (--keep_best)
logs/             TensorBoard
samples/          PNG grids
metrics.jsonl     one line of means for each logging window
scores.jsonl      one line of scores for each evaluation during training (--evaluate_every)
scores_card.json  the protocol of those scores
data.json         by what its images are known again: number, digest, path
changes.jsonl     what was changed on resuming that would otherwise be refused, and from which step on
evaluation/       what pga_tf.evaluate found: evaluation.json, report.html, pictures
priors/NAME/      priors fitted to the trained autoencoder
weights.npz       of a packed run, in the place of checkpoints, logs and samples
note.txt          what a user has to say of the model, written by hand; its card has it
prior.flags       the prior that the run is sampled with, where it is not its method's own; a flagfile to pass back
owed.json         work of the newest step that a signal has put off, while there is any
"""

import contextlib
import fcntl
import json
import math
import pathlib
import re
import sys

from pga_tf.core import checks, commands, files, flagfiles, json_lines, options

CHECKPOINTS = ("last", "best")
"""Whose weights a command may take: the newest, or those of the best score."""

# Options that say how long and how closely a run is watched, not what it computes.
CHANGEABLE = {
    "workdir", "steps", "epochs", "log_every", "image_every", "checkpoint_every", "keep_checkpoints", "dry_run",
    "strict_data", "evaluate_every", "evaluate_samples", "evaluate_features", "evaluate_inception_path", "keep_best",
    "stop_after", "workers",
    "prior_steps", "prior_log_every", "prior_checkpoint_every", "prior_evaluate_every",
}  # fmt: skip


# Options that let a run go on although another one differs from what it was begun with: option to what it allows. They
# belong to one command and are not recorded; what they allowed is, in changes.jsonl.
ALLOWANCES = {"allow_other_replicas": "replicas", "allow_changed_data": "data"}
OF_A_COMMAND = {*ALLOWANCES, "workers"}  # not recorded: a run knows the number of its replicas, wherever they are

FORMAT = 2  # raised where a run of before cannot be read or gone on with
_FORMAT_LINE = "# pga_tf run directory, format "
_KERNELS_LINE = "# trained by kernels: "


_OWN_FILES = re.compile(
    r"(config|prior)\.flags|(image_shape|scores_card|best|facts|evaluation|priors|data|owed)\.json|(prior|best)\.npz"
    r"|(metrics|scores|changes)\.jsonl|(report|priors)\.html|checkpoint|.+\.png"
)


def _to_stderr(text):
    print(text, file=sys.stderr)


class RunDirectory:
    """Paths and files of a run; `~` in `path` is the home folder.

    Args:
      say: takes a line for the user, on what could not be read and is gone on without.
    """

    def __init__(self, path, say=_to_stderr):
        self.path = pathlib.Path(files.home(path))
        self.config = self.path / "config.flags"
        self.shape = self.path / "image_shape.json"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.checkpoints / "best"
        self.weights = self.path / "weights.npz"
        self.note = self.path / "note.txt"
        self.logs = self.path / "logs"
        self.samples = self.path / "samples"
        self.metrics = self.path / "metrics.jsonl"
        self.scores = self.path / "scores.jsonl"
        self.scores_card = self.path / "scores_card.json"
        self.data = self.path / "data.json"
        self.changes = self.path / "changes.jsonl"
        self.evaluation = self.path / "evaluation"
        self.own_prior = self.path / "prior.flags"
        self.owed = self.path / "owed.json"
        self._best_facts = self.best / "best.json"
        self._lock = self.path / ".lock"
        self._say, self._said = say, set()

    def prior(self, name):
        """Path of the directory of a fitted prior, itself laid out as a run directory."""
        return self.path / "priors" / name

    def evaluation_of(self, prior, own):
        """Folder of what was found under a prior: the run's `own` stands for the run, others lie beside themselves."""
        return self.evaluation if prior == own else RunDirectory(self.prior(prior)).evaluation

    def create(self):
        """Makes the folders; raises `InputError` where they cannot be written, or one stands where a file belongs."""
        for folder in (self.path, self.checkpoints, self.logs, self.samples):
            files.require_folder(folder, f"--workdir={self.path}")
        of_a_run = (self.config, self.shape, self.data, self.metrics, self.scores, self.scores_card, self.changes)
        of_a_prior = (self.path / "facts.json", self.path / "prior.npz", self.path / "best.npz")
        others = (self.own_prior, self.owed, self._best_facts, self._lock, self.checkpoints / "checkpoint")
        files.require_places([*of_a_run, *of_a_prior, *others])

    @contextlib.contextmanager
    def locked(self):
        """Holds the run directory for one training process, and clears what killed ones left half written there.

        Raises `InputError` where another process has it.
        """
        with open(self._lock, "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                checks.refuse(
                    f"--workdir={self.path}",
                    expected="a run directory that no other process trains in",
                    received="one in use",
                    remedy="wait for the other process or choose another --workdir",
                )
            for folder in (self.path, self.checkpoints, self.best, self.samples, self.evaluation):
                files.sweep(folder, _OWN_FILES)
            yield

    def require_same_config(self, config, remedy="pass the flags of the run there to go on with it"):
        """Raises `InputError` if the directory holds a run of another configuration, naming the flags.

        Returns:
          what differs and was allowed to: dict of name to (what it was, what it is), as texts. See `note_change`.
        """
        if not self.config.exists():
            return {}
        # A run of before an option was added has what is now that option's default.
        new = _as_texts(config.values())
        required = [name for name in ("method", "dataset", "prior", "autoencoder") if name in new]
        old = _as_texts(options.defaults(config)) | self.read_flags(required)
        changeable = {*CHANGEABLE, *ALLOWANCES}
        if self.read_data() and new.get("dataset", "").partition(":")[0] == old.get("dataset", "").partition(":")[0]:
            changeable.add("dataset")  # whether these are the same images is seen by looking at them
        # The shape of these depends on their length.
        if new.get("schedule") in ("cosine", "exponential", "linear"):
            changeable -= {"steps", "epochs"}
        if new.get("prior_schedule") == "cosine":
            changeable -= {"prior_steps"}
        names = [n for n in sorted(old.keys() | new.keys()) if n not in changeable and old.get(n) != new.get(n)]
        allowed = {ALLOWANCES[flag] for flag in ALLOWANCES if new.get(flag) == "true"}
        changed = {name: (old.get(name), new.get(name)) for name in names if name in allowed}
        names = [name for name in names if name not in allowed]
        if names:
            allowing = {name: flag for flag, name in ALLOWANCES.items()}
            if all(name in allowing for name in names):
                remedy += ", or add " + " ".join(f"--{allowing[name]}" for name in names) + " to go on all the same"
            if set(names) <= {"steps", "epochs", "prior_steps"}:
                remedy += "; the length of this schedule cannot be changed, with --schedule=constant it can"
            asked = {name: f"--{name}={new[name]}" if name in new else f"no --{name}" for name in names}
            differing = ", ".join(f"{asked[name]} (the run there: {old.get(name, 'none')})" for name in names)
            checks.refuse(
                f"--workdir={self.path}",
                expected="a new folder or a run of the same configuration",
                received=f"a run that differs in {differing}",
                remedy=f"choose another --workdir, or {remedy}",
            )
        return changed

    def note_change(self, step, what, was, now):
        """Records in changes.jsonl that from after `step` on `what` is `now` instead of `was`; once, however often."""
        entry = {"step": step, "what": what, "was": was, "is": now}
        if self.read_changes()[-1:] != [entry]:
            json_lines.append(self.changes, entry)

    def read_changes(self):
        """The lines of changes.jsonl: list of dicts, in order."""
        return json_lines.read(self.changes, lambda line: "what" in line, self._tell, once=False)

    def write_config(self, config, image_shape, kernels=""):
        """Writes what later commands need to build the model again: the flags and the images' (H, W, C).

        `kernels`: what the machine computes with, on which the last digits of all weights depend.
        """
        values = {name: value for name, value in config.values().items() if name not in OF_A_COMMAND}
        files.write_text(self.shape, json.dumps({"image_shape": list(image_shape)}) + "\n")
        told = f"{_KERNELS_LINE}{kernels}\n" if kernels else ""
        files.write_text(self.config, f"{_FORMAT_LINE}{FORMAT}\n{told}{flagfiles.framed(values)}")  # which says: a run

    def read_kernels(self):
        """What the run was last trained with, as `write_config` was told; "" where that is not known."""
        if not self.config.exists():
            return ""
        lines = files.read_text(self.config, "put the file back from a copy").splitlines()
        return next((line.removeprefix(_KERNELS_LINE) for line in lines if line.startswith(_KERNELS_LINE)), "")

    def write_data(self, facts):
        """Writes by what the run's images are known again (dataset, count, digest, path), and how they were made."""
        files.write_text(self.data, json.dumps(facts) + "\n")

    def read_data(self):
        """What `write_data` wrote, or None where there is none. Raises `InputError` for a file that cannot be read."""
        if not self.data.exists():
            return None
        remedy = "move that file away; the images are then taken as they are"
        held = files.read_json(self.data, remedy)
        kinds = {"dataset": str, "count": int, "digest": str, "path": str}
        if not isinstance(held, dict) or any(type(held.get(name)) is not kind for name, kind in kinds.items()):
            checks.refuse(str(self.data), expected=", ".join(kinds), received=_short(held), remedy=remedy)
        return held

    def read_image_shape(self):
        """(H, W, C) of the images that the run was trained on. Raises `InputError` where the file cannot be read."""
        again = commands.line("train", flagfile=self.config, workdir=self.path)
        remedy = f"the command that trained the run writes it anew: {again}"
        held = files.read_json(self.shape, remedy)
        shape = held.get("image_shape") if isinstance(held, dict) else None
        if not isinstance(shape, list) or len(shape) != 3 or not all(type(n) is int and n > 0 for n in shape):
            expected = '{"image_shape": [HEIGHT, WIDTH, CHANNELS]}, numbers above 0'
            checks.refuse(str(self.shape), expected=expected, received=_short(held), remedy=remedy)
        return tuple(shape)

    def read_flags(self, required=("method", "dataset")):
        """The resolved flags: dict of name to text. Raises `InputError` where there is no run, or no whole file.

        Args:
          required: names that every such file has.
        """
        if not self.config.exists():
            checks.refuse(
                f"--workdir={self.path}",
                expected="a run directory made by pga_tf.train (it has a config.flags)",
                received="none there" if self.path.exists() else "a folder that does not exist",
                remedy="train first, or check the path",
            )
        remedy = (
            "put the file back from a copy, or move it away and give the flags of the run to the command that trained "
            "it, which writes it anew"
        )
        lines = files.read_text(self.config, remedy).splitlines()
        self._require_format(lines[0] if lines else "", remedy)
        values = flagfiles.read_values(self.config, remedy)
        missing = [f"--{name}" for name in required if name not in values]
        if missing:
            expected, received = "a whole file", "one that was cut: it has no " + ", ".join(missing)
            checks.refuse(str(self.config), expected=expected, received=received, remedy=remedy)
        return values

    def _require_format(self, first, remedy):
        if first == f"{_FORMAT_LINE}{FORMAT}":
            return
        if not first.startswith(("#", "--")):
            expected, received = f"{_FORMAT_LINE}{FORMAT} in its first line", _short(first)
            checks.refuse(str(self.config), expected=expected, received=received, remedy=remedy)
        numbered = first.startswith(_FORMAT_LINE)
        checks.refuse(
            f"--workdir={self.path}",
            expected=f"a run directory of format {FORMAT}",
            received=first.removeprefix("# ") if numbered else "one of before formats had numbers",
            remedy="train it anew in another folder: noise, norms and averages are other ones since",
        )

    def write_own_prior(self, values):
        """Notes the prior that the run is sampled with where none is named: its flags by name, `prior` among them.

        An empty `prior` leaves the run with its method's own.
        """
        if values["prior"]:
            files.write_text(self.own_prior, flagfiles.framed(values))
        else:
            self.own_prior.unlink(missing_ok=True)

    def read_own_prior(self):
        """The name of that prior; "" where nothing is noted. Raises `InputError` where the file cannot be read."""
        if not self.own_prior.exists():
            return ""
        remedy = "move that file away; --prior names the prior then"
        values = flagfiles.read_values(self.own_prior, remedy)
        name = values.get("prior_name") or values.get("prior", "")
        if not name:
            checks.refuse(str(self.own_prior), expected="--prior=NAME", received="none", remedy=remedy)
        return name

    def note_owed(self, step, work):
        """Notes work of `step`, by name, that a signal has put off."""
        self._write_owed(step, [*self.read_owed(step), work])

    def read_owed(self, step):
        """Names of the work that is owed to `step`, in the order in which it is to be done."""
        if not self.owed.exists():
            return []
        remedy = "delete it; the scores and pictures of the step that the run was stopped at are then missing"
        held = files.read_json(self.owed, remedy)
        work = held.get("work") if isinstance(held, dict) else None
        if not isinstance(work, list) or not all(isinstance(name, str) for name in work):
            checks.refuse(f"{self.owed}", expected="what a signal has put off", received=_short(held), remedy=remedy)
        return work if held.get("step") == step else []

    def drop_owed(self, step, work):
        """Notes that work of `step` is done."""
        self._write_owed(step, [name for name in self.read_owed(step) if name != work])

    def forget_owed(self):
        """Notes that nothing is owed."""
        self.owed.unlink(missing_ok=True)

    def _write_owed(self, step, names):
        files.write_text(self.owed, json.dumps({"step": step, "work": names}) + "\n")

    def drop_metrics_after(self, step, owed=()):
        """Removes metrics and scores of steps that a resumed run will take again, and lines that are none.

        So of scores that are `owed` to that step. What was changed after it holds from it on.
        """
        scored = step - 1 if "evaluation" in owed else step
        for path, lines, last in ((self.metrics, self.read_metrics(), step), (self.scores, self.read_scores(), scored)):
            if path.exists():
                json_lines.write(path, [line for line in lines if line["step"] <= last])
        if self.changes.exists():
            json_lines.write(self.changes, [line | {"step": min(step, line["step"])} for line in self.read_changes()])

    def read_note(self):
        """The text of note.txt, "" where there is none. Raises `InputError` for a file that cannot be read."""
        return files.read_text(self.note, "write it as text, or move it away").strip() if self.note.exists() else ""

    def read_curve(self, name):
        """(steps, values) of one quantity in metrics.jsonl, in order of steps; empty where it was not logged."""
        points = [(line["step"], line[name]) for line in self.read_metrics() if name in line]
        return [step for step, _ in points], [value for _, value in points]

    def read_metrics(self):
        """The lines of metrics.jsonl: list of dicts of numbers, in order of steps."""
        return json_lines.read(self.metrics, lambda line: all(map(json_lines.is_number, line.values())), self._tell)

    def last_picture(self, step):
        """Path of the newest grid of training of up to `step`, or None."""
        found = [(int(path.stem.rpartition("_")[2]), path) for path in self.samples.glob("*step_*[0-9].png")]
        return max(((drawn, path) for drawn, path in found if drawn <= step), default=(0, None))[1]

    def append_metrics(self, values):
        json_lines.append(self.metrics, values)

    def append_scores(self, values):
        json_lines.append(self.scores, values)

    def write_best(self, facts):
        files.write_text(self._best_facts, json.dumps(facts) + "\n")

    def read_best(self):
        """What is known of the best checkpoint (score, protocol, step, value), or None where there is none.

        A file that cannot be read, or whose checkpoint is not there, is told of and stands for none.
        """
        if not self._best_facts.exists():
            return None
        try:
            held = files.read_json(self._best_facts, "the next best score writes it anew")
            whole = isinstance(held, dict) and type(held.get("step")) is int and json_lines.is_number(held.get("value"))
            if not whole or not all(isinstance(held.get(name), str) for name in ("score", "protocol")):
                self._tell(f"warning: {self._best_facts} holds {_short(held)}, no best score; the next one is kept")
            elif not math.isfinite(held["value"]):
                self._tell(f"warning: {self._best_facts} has a value of {held['value']}; the next best score is kept")
            elif not (self.best / f"step-{held['step']}.index").exists():
                self._tell(f"warning: {self._best_facts} tells of step-{held['step']}, which is not there")
            else:
                return held
        except checks.InputError as error:
            self._tell(f"warning: {error}")
        return None

    def write_scores_card(self, card):
        files.write_text(self.scores_card, json.dumps(card, indent=1) + "\n")

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
        """The lines of scores.jsonl: list of dicts of numbers and, as text, the protocol, in order of steps."""

        def whole(line):
            numbers = [value for name, value in line.items() if name != "protocol"]
            return all(map(json_lines.is_number, numbers)) and isinstance(line.get("protocol", ""), str)

        return json_lines.read(self.scores, whole, self._tell)

    def _tell(self, text):
        if text not in self._said:
            self._said.add(text)
            self._say(text)


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _as_texts(values):
    return {name: flagfiles.as_text(value) for name, value in values.items()}
