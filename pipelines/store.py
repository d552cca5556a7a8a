"""Executions and their artifacts: folders in TFX's layout, ROOT/COMPONENT/OUTPUT/EXECUTION/, and lineage in SQLite."""

import contextlib
import dataclasses
import json
import pathlib
import re
import shutil
import time

from pga_tf.core import checks, files
from pipelines import database, finished
from pipelines.database import Database
from pipelines.finished import digest_of

DATABASE, TFX_DATABASE = "metadata.sqlite", "mlmd.sqlite"
# Of the database: those of layout 0, which has no number of its own, and what layout 1 adds.
TABLES = """
create table if not exists executions (
  id integer primary key autoincrement, component text, key text, state text, started real, seconds real,
  parameters text, code text, figures text, error text);
create table if not exists artifacts (execution integer, output text, digest text, primary key (execution, output));
create table if not exists inputs (execution integer, argument text, producer integer, output text);
"""
FILES = (
    "create table if not exists files (execution integer, output text, listing text, primary key (execution, output));"
)
COLUMNS = {
    "executions": ["id", "component", "key", "state", "started", "seconds", "parameters", "code", "figures", "error"],
    "artifacts": ["execution", "output", "digest"],
    "inputs": ["execution", "argument", "producer", "output"],
}
LAYOUTS = {
    0: (TABLES, COLUMNS),
    1: (TABLES + FILES, COLUMNS | {"files": ["execution", "output", "listing"]}),
}
ID = re.compile("[0-9]{1,18}")  # what SQLite counts to
ONCE = "execution-"  # begins the name of a staging folder that no other execution goes on with
NAMED = 5  # folders in a sentence


@dataclasses.dataclass(frozen=True)
class Artifact:
    """One output folder. `digest`: hash of its files; `producer`: id of the execution that wrote it."""

    path: pathlib.Path
    digest: str
    producer: int
    output: str


@dataclasses.dataclass(frozen=True)
class Execution:
    """One execution of a component; `state` is running, complete, failed or interrupted."""

    id: int
    component: str
    key: str
    state: str
    started: float  # seconds since 1970
    seconds: float | None
    parameters: dict
    code: str
    figures: dict
    error: str | None
    inputs: dict[str, Artifact]
    outputs: dict[str, Artifact]


class Store:
    """What a pipeline root has seen. One process at a time writes to it; anyone may read.

    `tell` takes a sentence about what was found damaged or unfinished, and what became of it. Raises `InputError` for a
    root of the other runner, and wherever the database is damaged, locked, of another layout or cannot be used.
    """

    def __init__(self, root, tell=lambda text: None):
        require_own(root, DATABASE)
        self.root, self._tell = pathlib.Path(root), tell
        self._db = Database(self.root / DATABASE, LAYOUTS)

    def folder(self, component, output, execution):
        return self.root / component / output / str(execution)

    def begin(self, component, key, parameters, code, inputs):
        """Notes that an execution starts, before anything is written: its id."""
        with self._db.changing() as db:
            row = (component, key, "running", time.time(), json.dumps(parameters), code, "{}")
            id = db.execute(
                "insert into executions (component, key, state, started, parameters, code, figures) "
                "values (?,?,?,?,?,?,?)", row,
            ).lastrowid  # fmt: skip
            rows = [(id, argument, artifact.producer, artifact.output) for argument, artifact in inputs.items()]
            db.executemany("insert into inputs values (?,?,?,?)", rows)
        return id

    def complete(self, staging):
        """Moves the folders that the note in `staging` tells of into place and notes that its execution is complete.

        After a kill or an error at any point of it, `clean` goes on with it.
        """
        made = finished.read(staging)
        component = self.execution(made.execution).component
        places = {output: self.folder(component, output, made.execution) for output in made.digests}
        for output, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            if (staging / output).is_dir():
                (staging / output).rename(place)
            files.sync(place.parent)
        with self._db.changing() as db:
            rows = [(made.execution, output, digest) for output, digest in made.digests.items()]
            db.executemany("insert into artifacts values (?,?,?)", rows)
            rows = [(made.execution, output, json.dumps(finished.listing(place))) for output, place in places.items()]
            db.executemany("insert into files values (?,?,?)", rows)
            db.execute(
                "update executions set state='complete', figures=?, seconds=?, error=null where id=?",
                (json.dumps(made.figures), made.seconds, made.execution),
            )
        return self.execution(made.execution)

    def fail(self, id, error, seconds, state="failed"):
        with self._db.changing() as db:
            db.execute("update executions set state=?, error=?, seconds=? where id=?", (state, error, seconds, id))

    def interrupt(self):
        """Notes that whatever runs was interrupted."""
        with self._db.changing() as db:
            db.execute("update executions set state='interrupted' where state='running'")

    def clean(self, steps):
        """Call it before any work: enters what killed executions had finished, and removes what they had not.

        It also makes sure that the database can be written, and numbers what is to come above all folders of `steps`.
        """
        self._db.claim()
        for (id,) in self._db.read("select id from executions"):
            self.execution(id)  # which refuses what is damaged
        self._count_on(steps)
        for component, staging, made in finished.notes(self.root):
            if self._enter(component, staging, made):
                shutil.rmtree(staging)
            else:
                (staging / finished.NOTE).unlink()  # a step that goes on finds what it left
        for id, component in self._db.read("select id, component from executions where state='running'"):
            self._remove(component, id)
        self.interrupt()
        for staging in self.root.glob(f"*/{finished.STAGING}"):
            for left in staging.glob(f"{ONCE}*"):
                shutil.rmtree(left)
            with contextlib.suppress(OSError):
                staging.rmdir()  # unless there is something to go on with

    def _enter(self, component, staging, made):
        """Completes the execution of a note, unless it is complete; False where that cannot be."""
        known = self._db.read("select state, component from executions where id=?", (made.execution,)) if made else ()
        if not known or known[0][1] != component:
            return False
        if known[0][0] == "complete":
            return True
        places = {output: self.folder(component, output, made.execution) for output in made.digests}
        lies = finished.found(made, staging, places)
        if lies is None:
            self._remove(component, made.execution)
            return False
        for output, folder in lies.items():
            for other in {places[output], staging / output} - {folder}:
                shutil.rmtree(other, ignore_errors=True)
        self.complete(staging)
        self._tell(
            f"{component} had been finished when the pipeline was stopped: entered as execution {made.execution}"
        )
        return True

    def _remove(self, component, id):
        for folder in (self.root / component).glob(f"[!.]*/{id}"):
            shutil.rmtree(folder)

    def _count_on(self, steps):
        # A database may be new, or older than what lies beside it.
        outputs = [self.root / step.name / output for step in steps for output in step.outputs]
        there = [path for folder in outputs for path in folder.glob("*") if ID.fullmatch(path.name)]
        counted = self._db.read("select seq from sqlite_sequence where name='executions'")
        last, highest = counted[0][0] if counted else 0, max((int(path.name) for path in there), default=0)
        if highest <= last:
            return
        with self._db.changing() as db:
            db.execute("delete from sqlite_sequence where name='executions'")
            db.execute("insert into sqlite_sequence values ('executions', ?)", (highest,))
        unknown = [str(path.relative_to(self.root)) for path in there if int(path.name) > last]
        more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
        self._tell(
            f"{self.root / DATABASE} is new, or older than the folders beside it: {', '.join(unknown[:NAMED])}{more} "
            f"are not known to it and stay as they are; new ones are numbered from {highest + 1}"
        )

    def cached(self, component, key, outputs):
        """The newest complete execution under `key` whose folders `outputs` are all what they were, or None."""
        for execution in self.executions(component):
            there = execution.outputs
            if execution.key == key and there.keys() == set(outputs) and all(map(self.intact, there.values())):
                return execution
        return None

    def intact(self, artifact):
        """Whether the files of an `Artifact` are what they were; more may have come.

        Those are read whose size or time of change is another one than when they were last known to be well.
        """
        if not artifact.path.is_dir():
            return False
        known = self._db.read("select listing from files where execution=? and output=?", _key(artifact))
        listed = self._parsed(artifact.producer, known[0][0]) if known else None
        now = finished.listing(artifact.path)
        if listed is not None and listed.items() <= now.items():
            return True
        names = now if listed is None else listed  # a root of before has no list
        if names.keys() <= now.keys() and digest_of(artifact.path, names) == artifact.digest:
            with self._db.changing() as db:
                kept = json.dumps({name: now[name] for name in names})
                db.execute("insert or replace into files values (?,?,?)", (*_key(artifact), kept))
            return True
        self._tell(f"{artifact.path} is damaged: its files are not those that were written; it is not used any more")
        return False

    def executions(self, component):
        """The complete executions of a component, newest first."""
        query = "select id from executions where component=? and state='complete' order by id desc"
        for (id,) in self._db.read(query, (component,)):
            yield self.execution(id)

    def execution(self, id):
        columns = "id, component, key, state, started, seconds, parameters, code, figures, error"
        try:
            row = list(self._db.read(f"select {columns} from executions where id=?", (id,))[0])
            row[6], row[8] = self._parsed(id, row[6]), self._parsed(id, row[8])
            read = self._db.read("select argument, producer, output from inputs where execution=?", (id,))
            inputs = {argument: self._artifacts(producer)[output] for argument, producer, output in read}
            return Execution(*row, inputs=inputs, outputs=self._artifacts(id))
        except LookupError:
            self._refuse(id)

    def _parsed(self, id, text):
        try:
            return dict(json.loads(text))
        except (TypeError, ValueError):
            return self._refuse(id)

    def _refuse(self, id):
        checks.refuse(
            f"{self._db.path}",
            expected="entries that fit together",
            received=f"an execution {id} of which parts are missing or damaged",
            remedy=f"put a copy of it back, or start a new one with: {database.aside(self._db.path)}",
        )

    def _artifacts(self, id):
        component = self._db.read("select component from executions where id=?", (id,))[0][0]
        rows = self._db.read("select output, digest from artifacts where execution=?", (id,))
        return {output: Artifact(self.folder(component, output, id), digest, id, output) for output, digest in rows}


def _key(artifact):
    return artifact.producer, artifact.output


def require_own(root, own):
    """Raises `InputError` for a root whose database `own` is damaged, or one of the other runner.

    Both count executions, and would write to equal folders.
    """
    for other, runner in ((DATABASE, "pipelines.run"), (TFX_DATABASE, "pipelines.tfx_pipeline")):
        if other != own and (pathlib.Path(root) / other).exists():
            checks.refuse(
                f"--pipeline_root={root}",
                expected=f"a folder of one runner, with {own} or new",
                received=f"one of {runner}, with {other}",
                remedy=f"choose another folder, or use {runner}",
            )
    database.require_whole(pathlib.Path(root) / own)
