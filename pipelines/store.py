"""Executions and their artifacts: folders in TFX's layout, ROOT/COMPONENT/OUTPUT/EXECUTION/, and lineage in SQLite."""

import dataclasses
import hashlib
import json
import pathlib
import shutil
import sqlite3
import time

from pga_tf.core import checks

DATABASE, TFX_DATABASE = "metadata.sqlite", "mlmd.sqlite"
TABLES = """
create table if not exists executions (
  id integer primary key autoincrement, component text, key text, state text, started real, seconds real,
  parameters text, code text, figures text, error text);
create table if not exists artifacts (execution integer, output text, digest text, primary key (execution, output));
create table if not exists inputs (execution integer, argument text, producer integer, output text);
"""


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
    """What a pipeline root has seen. One process at a time writes to it; anyone may read."""

    def __init__(self, root):
        require_own(root, DATABASE)
        self.root = pathlib.Path(root)
        self._db = sqlite3.connect(self.root / DATABASE)
        self._db.executescript(TABLES)

    def folder(self, component, output, execution):
        return self.root / component / output / str(execution)

    def begin(self, component, key, parameters, code, inputs):
        """Notes that an execution starts, before anything is written: its id."""
        with self._db:
            row = (component, key, "running", time.time(), json.dumps(parameters), code, "{}")
            id = self._db.execute(
                "insert into executions (component, key, state, started, parameters, code, figures) "
                "values (?,?,?,?,?,?,?)", row,
            ).lastrowid  # fmt: skip
            rows = [(id, argument, artifact.producer, artifact.output) for argument, artifact in inputs.items()]
            self._db.executemany("insert into inputs values (?,?,?,?)", rows)
        return id

    def complete(self, id, written, figures, seconds):
        """Moves the folders `written` (by output) into place and notes that the execution is complete."""
        component = self.execution(id).component
        rows = [(id, output, digest_of(folder)) for output, folder in written.items()]
        for output, folder in written.items():
            place = self.folder(component, output, id)
            place.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(place)
        with self._db:
            self._db.executemany("insert into artifacts values (?,?,?)", rows)
            self._db.execute(
                "update executions set state='complete', figures=?, seconds=? where id=?",
                (json.dumps(figures), seconds, id),
            )
        return self.execution(id)

    def fail(self, id, error, seconds):
        with self._db:
            self._db.execute(
                "update executions set state='failed', error=?, seconds=? where id=?", (error, seconds, id)
            )

    def clean(self):
        """Removes what executions that were killed left: folders that are in place and no database knows of."""
        for row in self._db.execute("select id, component from executions where state='running'").fetchall():
            for folder in (self.root / row[1]).glob(f"[!.]*/{row[0]}"):
                shutil.rmtree(folder)
            with self._db:
                self._db.execute("update executions set state='interrupted' where id=?", (row[0],))

    def cached(self, component, key):
        """The newest complete execution under `key` whose folders are all there, or None."""
        for execution in self.executions(component):
            if execution.key == key and all(artifact.path.is_dir() for artifact in execution.outputs.values()):
                return execution
        return None

    def executions(self, component):
        """The complete executions of a component, newest first."""
        query = "select id from executions where component=? and state='complete' order by id desc"
        for (id,) in self._db.execute(query, (component,)).fetchall():
            yield self.execution(id)

    def execution(self, id):
        columns = "id, component, key, state, started, seconds, parameters, code, figures, error"
        row = list(self._db.execute(f"select {columns} from executions where id=?", (id,)).fetchone())
        row[6], row[8] = json.loads(row[6]), json.loads(row[8])
        read = self._db.execute("select argument, producer, output from inputs where execution=?", (id,)).fetchall()
        inputs = {argument: self._artifacts(producer)[output] for argument, producer, output in read}
        return Execution(*row, inputs=inputs, outputs=self._artifacts(id))

    def _artifacts(self, id):
        (component,) = self._db.execute("select component from executions where id=?", (id,)).fetchone()
        rows = self._db.execute("select output, digest from artifacts where execution=?", (id,)).fetchall()
        return {output: Artifact(self.folder(component, output, id), digest, id, output) for output, digest in rows}


def require_own(root, database):
    """Raises `InputError` for a root of the other runner: both count executions, and would write to equal folders."""
    for other, runner in ((DATABASE, "pipelines.run"), (TFX_DATABASE, "pipelines.tfx_pipeline")):
        if other != database and (pathlib.Path(root) / other).exists():
            checks.refuse(
                f"--pipeline_root={root}",
                expected=f"a folder of one runner, with {database} or new",
                received=f"one of {runner}, with {other}",
                remedy=f"choose another folder, or use {runner}",
            )


def digest_of(folder):
    """Hash of the names and contents of all files below a folder: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder)}\0{content}\0".encode())
    return digest.hexdigest()[:16]
