"""The local runner: a graph of steps in this process, each cached, resumable after a kill, one run at a time."""

import concurrent.futures
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import pathlib
import shutil
import sys
import time
import traceback
from collections.abc import Callable

from pga_tf.core import checks, errors, signals
from pipelines import code_hash
from pipelines.store import Execution, Store


@dataclasses.dataclass(frozen=True)
class Step:
    """One node of the graph.

    Attributes:
      function: takes a folder for every input and output, and the parameters, by name; returns its figures.
      inputs: argument to (step, output). outputs: arguments that name the folders to write.
      resolved: argument to a function of (store, artifacts of the inputs) that finds an `Artifact` of an earlier run,
        or None; the argument is then "".
      parameters: plain values that the result depends on. others: arguments that it does not depend on.
      after: steps to wait for, of which nothing is read.
      fingerprint: hash of what the step reads from outside the graph.
      still_holds: of the outputs' paths by name, whether a cached result still is what it was outside the graph.
      goes_on: what an interrupted attempt left is there at the next one. main_thread: it wants to handle signals.
    """

    name: str
    function: Callable
    inputs: dict = dataclasses.field(default_factory=dict)
    outputs: tuple = ()
    resolved: dict = dataclasses.field(default_factory=dict)
    parameters: dict = dataclasses.field(default_factory=dict)
    others: dict = dataclasses.field(default_factory=dict)
    after: tuple = ()
    fingerprint: Callable | None = None
    still_holds: Callable | None = None
    goes_on: bool = False
    main_thread: bool = False

    def needs(self):
        """Names of the steps that come before."""
        return {producer for producer, _ in self.inputs.values()} | set(self.after)


@dataclasses.dataclass(frozen=True)
class Result:
    """How a step ended: `state` is run, cached, failed or not run (a step that it needs failed)."""

    step: Step
    state: str
    seconds: float = 0.0
    execution: Execution | None = None
    error: str = ""


@contextlib.contextmanager
def locked(root):
    """Holds a pipeline root for one run; raises `InputError` where another has it."""
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    with open(root / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            checks.refuse(
                f"--pipeline_root={root}",
                expected="a folder in which no other pipeline runs",
                received="one in use",
                remedy="wait for the other run, or choose another folder",
            )
        yield


def run(steps, root, *, say, begins=lambda step: None):
    """Runs a graph, given in an order in which every step follows those that it needs: dict of name to `Result`.

    Steps that do not need each other run at the same time. After a failure no step that needs the failed one starts.
    `begins` is called with each `Step` that is to be worked on, `say` with each `Result` as it comes. Call it inside
    `locked(root)`.
    """
    store = Store(root)
    store.clean()
    results, working = {}, {}
    with _pool() as pool:
        while len(results) < len(steps):
            for step in steps:
                if step.name in results or any(step is attempt.step for attempt in working.values()):
                    continue
                needed = [results.get(name) for name in step.needs()]
                if any(result and not result.execution for result in needed):
                    results[step.name] = _told(Result(step, "not run"), say)
                elif all(needed):
                    attempt = _Attempt(store, step, results)
                    if attempt.cached:
                        results[step.name] = _told(Result(step, "cached", 0.0, attempt.cached), say)
                        continue
                    begins(step)
                    if not step.main_thread:
                        working[pool.submit(attempt.work)] = attempt
                    else:
                        results[step.name] = _told(attempt.end(*attempt.work()), say)
            done, _ = concurrent.futures.wait(working, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                attempt = working.pop(future)
                results[attempt.step.name] = _told(attempt.end(*future.result()), say)
    return {step.name: results[step.name] for step in steps}


@contextlib.contextmanager
def _pool():
    """Threads for steps. Who is interrupted does not wait for them: what they leave unfinished is done anew."""
    pool = concurrent.futures.ThreadPoolExecutor()
    try:
        yield pool
    finally:
        pool.shutdown(wait=not isinstance(sys.exception(), KeyboardInterrupt), cancel_futures=True)


def _told(result, say):
    say(result)
    return result


class _Attempt:
    """One attempt at a step: looked up, worked (in any thread), and brought to an end."""

    def __init__(self, store, step, results):
        self.store, self.step = store, step
        inputs = {argument: results[name].execution.outputs[output] for argument, (name, output) in step.inputs.items()}
        earlier = {argument: find(store, inputs) for argument, find in step.resolved.items()}
        self.inputs = inputs | {argument: artifact for argument, artifact in earlier.items() if artifact}
        self.arguments = dict.fromkeys(earlier, "") | {a: str(i.path) for a, i in self.inputs.items()}
        self.code = code_hash.digest(step.function)
        outside = step.fingerprint() if step.fingerprint else ""
        digests = {argument: artifact.digest for argument, artifact in self.inputs.items()}
        self.key = hash_of([step.name, self.code, outside, step.parameters, digests])
        self.cached = store.cached(step.name, self.key)
        if self.cached and step.still_holds:
            paths = {output: str(artifact.path) for output, artifact in self.cached.outputs.items()}
            self.cached = self.cached if step.still_holds(paths) else None
        if not self.cached:
            self.id = store.begin(step.name, self.key, step.parameters | {"data": outside}, self.code, self.inputs)

    def work(self):
        """(figures or the exception, seconds). It touches no database, so that any thread may do it."""
        start, component = time.perf_counter(), self.store.root / self.step.name
        # Half-written training records the paths of its inputs.
        staging = component / ".staging" / hash_of([self.key, self.arguments])
        try:
            if not self.step.goes_on:
                shutil.rmtree(staging, ignore_errors=True)
            self.written = {output: staging / output for output in self.step.outputs}
            for folder in self.written.values():
                folder.mkdir(parents=True, exist_ok=True)
            folders = {output: str(folder) for output, folder in self.written.items()}
            figures = self.step.function(**self.arguments, **folders, **self.step.parameters, **self.step.others)
        except (Exception, KeyboardInterrupt) as error:
            figures = error
        return figures, time.perf_counter() - start

    def end(self, figures, seconds):
        if isinstance(figures, BaseException):
            text = message(figures)
            self.store.fail(self.id, text, seconds)
            if isinstance(figures, KeyboardInterrupt):
                raise figures
            return Result(self.step, "failed", seconds, error=text)
        execution = self.store.complete(self.id, self.written, figures or {}, seconds)
        shutil.rmtree(self.store.root / self.step.name / ".staging", ignore_errors=True)
        return Result(self.step, "run", seconds, execution)


def message(error):
    """What is told of a failure: the message of what a user can mend; of anything else the traceback too."""
    if isinstance(error, checks.InputError | checks.NonFiniteError | signals.Stopped):
        return str(error)
    line = errors.line(error)
    return line or "".join(traceback.format_exception(error)).strip()


def hash_of(value):
    """16 hexadecimal digits for plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
