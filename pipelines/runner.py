"""The local runner: a graph of steps in this process, each cached, resumable after a kill, one run at a time."""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import queue
import shutil
import threading
import time
import traceback
from collections.abc import Callable

from pga_tf.core import checks, errors, locks
from pipelines import code_hash, finished
from pipelines.finished import Finished
from pipelines.store import ONCE, Execution, Store

THREAD = "step "  # begins the name of a thread that works on one


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
    """How a step ended.

    `state` is run, cached, failed, interrupted (by a signal) or not run (what it needs is not there, or a signal came).
    """

    step: Step
    state: str
    seconds: float = 0.0
    execution: Execution | None = None
    error: str = ""


@contextlib.contextmanager
def locked(root):
    """Holds a pipeline root for one run; raises `InputError` where another has it, or it cannot be written."""
    root, what = pathlib.Path(root), f"--pipeline_root={root}"
    with contextlib.ExitStack() as stack:
        try:
            root.mkdir(parents=True, exist_ok=True)
            lock = locks.exclusive(root / ".lock", what, expected="a folder in which no other pipeline runs")
            stack.enter_context(lock)
        except OSError as error:
            checks.refuse(
                what,
                expected="a folder that can be written",
                received=f"{error.filename}: {error.strerror}",
                remedy="choose another one, or change its permissions",
            )
        yield


def run(steps, root, *, say, begins=lambda step: None, tell=lambda text: None):
    """Runs a graph, given in an order in which every step follows those that it needs: dict of name to `Result`.

    Steps that do not need each other run at the same time. After a failure no step that needs the failed one starts;
    after `KeyboardInterrupt`, here or in a step, none does. What then still works in a thread is left to
    itself, in a folder that nothing reads, and ends with the process.

    `begins` is called with each `Step` that is to be worked on, `say` with each `Result` as it comes, `tell` with a
    sentence for what was found damaged or half done and what became of it. Call it inside `locked(root)`.
    """
    store, results, working, ended = Store(root, tell), {}, {}, queue.SimpleQueue()
    store.clean(steps)
    try:
        while len(results) < len(steps):
            for step in steps:
                if step.name in results or step.name in working:
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
                    working[step.name] = attempt
                    if step.main_thread:
                        ended.put((step.name, *attempt.work()))
                        break
                    attempt.start(ended)
            if working:
                name, figures, seconds = ended.get()
                results[name] = _told(working[name].end(figures, seconds), say)
                del working[name]
                if results[name].state == "interrupted":
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        store.interrupt()
        for step in steps:
            if step.name not in results:
                results[step.name] = _told(Result(step, "interrupted" if step.name in working else "not run"), say)
    except Exception:  # of the database or the disk: what is under way is not lost for it
        for attempt in working.values():
            attempt.wait()
        raise
    return {step.name: results[step.name] for step in steps}


def _told(result, say):
    say(result)
    return result


class _Attempt:
    """One attempt at a step: looked up, worked (in any thread), and brought to an end."""

    def __init__(self, store, step, results):
        self.store, self.step, self.thread = store, step, None
        inputs = {argument: results[name].execution.outputs[output] for argument, (name, output) in step.inputs.items()}
        earlier = {argument: find(store, inputs) for argument, find in step.resolved.items()}
        self.inputs = inputs | {argument: artifact for argument, artifact in earlier.items() if artifact}
        self.arguments = dict.fromkeys(earlier, "") | {a: str(i.path) for a, i in self.inputs.items()}
        self.code = code_hash.digest(step.function)
        outside = step.fingerprint() if step.fingerprint else ""
        digests = {argument: artifact.digest for argument, artifact in self.inputs.items()}
        self.key = hash_of([step.name, self.code, outside, step.parameters, digests])
        self.cached = store.cached(step.name, self.key, step.outputs)
        if self.cached and step.still_holds:
            paths = {output: str(artifact.path) for output, artifact in self.cached.outputs.items()}
            self.cached = self.cached if step.still_holds(paths) else None
        if not self.cached:
            self.id = store.begin(step.name, self.key, step.parameters | {"data": outside}, self.code, self.inputs)
            # Half-written training records the paths of its inputs.
            name = hash_of([self.key, self.arguments]) if step.goes_on else f"{ONCE}{self.id}"
            self.staging = store.root / step.name / finished.STAGING / name

    def start(self, ended):
        """Works in a thread that does not keep the process alive, and puts (name, *what `work` gives) into a queue."""
        work = lambda: ended.put((self.step.name, *self.work()))
        self.thread = threading.Thread(target=work, daemon=True, name=THREAD + self.step.name)
        self.thread.start()

    def wait(self):
        if self.thread:
            self.thread.join()

    def work(self):
        """(figures or the exception, seconds). It touches no database, so that any thread may do it."""
        start = time.perf_counter()
        try:
            written = {output: self.staging / output for output in self.step.outputs}
            for folder in (self.staging, *written.values()):
                folder.mkdir(parents=True, exist_ok=True)
            folders = {output: str(folder) for output, folder in written.items()}
            figures = self.step.function(**self.arguments, **folders, **self.step.parameters, **self.step.others) or {}
            seconds = time.perf_counter() - start
            digests = {output: finished.digest_of(folder) for output, folder in written.items()}
            finished.write(self.staging, Finished(self.id, digests, figures, seconds))
        except BaseException as error:  # an exit too: who waits for this thread would wait for ever
            figures = error
        return figures, time.perf_counter() - start

    def end(self, figures, seconds):
        if isinstance(figures, BaseException):
            text = message(figures)
            state = "interrupted" if isinstance(figures, KeyboardInterrupt) else "failed"
            self.store.fail(self.id, text, seconds, state)
            if not self.step.goes_on:
                shutil.rmtree(self.staging, ignore_errors=True)
            return Result(self.step, state, seconds, error=text)
        execution = self.store.complete(self.staging)
        shutil.rmtree(self.store.root / self.step.name / finished.STAGING, ignore_errors=True)
        return Result(self.step, "run", seconds, execution)


def message(error):
    """What is told of a failure: the message of what a user can mend; of anything else the traceback too."""
    if isinstance(error, KeyboardInterrupt):
        return f"stopped by {str(error) or 'Ctrl-C'}"
    if isinstance(error, checks.InputError | checks.NonFiniteError):
        return str(error)
    return errors.line(error) or "".join(traceback.format_exception(error)).strip()


def hash_of(value):
    """16 hexadecimal digits for plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
