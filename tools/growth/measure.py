"""Runs a task in processes of its own, looks at their memory meanwhile, and keeps what was found."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from pga_tf.core import json_lines
from pga_tf.ledger import entries
from tools.growth import material, work
from tools.growth.stages import MATERIAL, Task

ROOT = pathlib.Path(__file__).parents[2]
BETWEEN = 0.01  # seconds between two looks at a process's memory
NAMES = ("RssAnon:", "RssShmem:")  # what cannot be dropped: mapped files can
PAGE = 1024


class Failed(Exception):
    """A process that was measured ended by itself; the text is the end of what it said."""


def held(process: int) -> int:
    """Bytes of memory that a process holds now and that belong to no file; 0 where it has ended."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
        return PAGE * sum(int(line.split()[1]) for line in lines if line.startswith(NAMES))
    return 0


class Peak(threading.Thread):
    """The most that a process held at any look until `end`."""

    def __init__(self, process: int):
        super().__init__(daemon=True)
        self.process, self.bytes, self._ended = process, 0, threading.Event()

    def run(self) -> None:
        """Looks, until it is told to end."""
        while not self._ended.wait(BETWEEN):
            self.bytes = max(self.bytes, held(self.process))

    def end(self) -> int:
        """Bytes of the peak."""
        self._ended.set()
        self.join()
        return self.bytes


def run(task: Task, settings: Mapping[str, object], folder: pathlib.Path) -> dict:
    """The line of results of a task, measured now.

    CPU seconds and bytes written are of all its processes together, wall seconds of the slowest, memory of the largest.
    Raises `Failed` where a process ends by itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("shards_*"):
        shutil.rmtree(left)
    _prepare(task, folder)
    count = task.processes
    given = dict(task.at) | {"stage": task.stage, "settings": dict(settings), "folder": str(folder.absolute())}
    given |= {"alone": count == 1, "run": f"{os.getpid()}_{time.time_ns()}"}
    with contextlib.ExitStack() as stack:
        said = stack.enter_context(tempfile.TemporaryFile("w+"))
        children = [
            stack.enter_context(_child(given, environment, said))
            for environment in (_clusters(count) if "workers" in task.at else [{}] * count)
        ]
        peaks = [Peak(child.pid) for child in children]
        for peak in peaks:
            peak.start()
        for child in children:
            _expect(child, work.READY, said)
        for child in children:
            _go(child)
        for child in children:
            _expect(child, work.WORKED, said)
        memory = [peak.end() for peak in peaks]
        told = [json.loads(_line(child, said)) for child in children]
        for child in children:
            _go(child)
    facts = [one["facts"] for one in told]
    return {
        "step": task.round, "stage": task.stage, "axis": task.axis, "size": task.size, "settings": dict(settings),
        "cpu": [sum(parts) for parts in zip(*(one["cpu"] for one in told), strict=True)],
        "wall": [max(parts) for parts in zip(*(one["wall"] for one in told), strict=True)],
        "start": max(one["start"]["cpu"] for one in told),
        "memory": max(memory),
        "facts": facts[0],
    }  # fmt: skip


def _prepare(task, folder):
    """Makes what the task works on where it is missing, in a process of its own, whose memory is not the task's."""
    kind = MATERIAL.get(task.stage)
    if kind and not material.place(folder, kind, task.at["images"], task.at["pixels"]).exists():
        given = [str(folder.absolute()), kind, str(task.at["images"]), str(task.at["pixels"])]
        with tempfile.TemporaryFile("w+") as said:
            command = [sys.executable, "-m", "tools.growth.material", *given]
            if subprocess.run(command, env=_variables(), stdout=said, stderr=said).returncode:
                raise Failed(_end_of(said))


def _variables():
    """The environment of children, in which they find the project."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"} | os.environ | {"PYTHONPATH": path}


def _end_of(said):
    said.seek(0)
    return "\n".join(said.read().strip().splitlines()[-15:])


def _clusters(count) -> Sequence[dict]:
    """Environments of the workers of a cluster on this machine; of one, none."""
    if count == 1:
        return [{}]
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    tasks = ({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": k}} for k in range(count))
    return [{"TF_CONFIG": json.dumps(task)} for task in tasks]


@contextlib.contextmanager
def _child(given, environment, said) -> Iterator[subprocess.Popen]:
    child = subprocess.Popen(
        [sys.executable, "-m", "tools.growth.work", json.dumps(given)],
        env=_variables() | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
    )  # fmt: skip
    try:
        yield child
    finally:
        if child.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(5.0 if not sys.exc_info()[0] else 0.0)
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


def _go(child):
    child.stdin.write("\n")
    child.stdin.flush()


def _line(child, said):
    line = child.stdout.readline()
    if not line:
        raise Failed(_end_of(said))
    return line


def _expect(child, word, said):
    while _line(child, said).strip() != word:
        pass  # what the stage itself prints


def read(folder: pathlib.Path, settings: Mapping[str, object], tell: Callable[[str], None]) -> dict[tuple, dict]:
    """Lines of `folder`/measured.jsonl by `Task.key`, those of other settings or cut short left out."""
    found = json_lines.read(folder / f"{FILE}.jsonl", _whole, tell, once=False)
    own = [line for line in found if line["settings"] == dict(settings)]
    if len(own) < len(found):
        tell(f"note: {len(found) - len(own)} lines of other settings or another processor are left alone")
    return {(line["stage"], line["axis"], line["size"], line["step"]): line for line in own}


FILE = "measured"


def keep(folder: pathlib.Path, line: dict) -> None:
    """Adds a line to `folder`/measured.jsonl."""
    entries.append(folder, FILE, line)


def _whole(line):
    numbers = all(
        isinstance(line.get(name), list) and line[name] and all(map(json_lines.is_number, line[name]))
        for name in ("cpu", "wall")
    )
    texts = all(isinstance(line.get(name), str) for name in ("stage", "axis"))
    dicts = all(isinstance(line.get(name), dict) for name in ("settings", "facts"))
    return numbers and texts and dicts and type(line.get("size")) is int and json_lines.is_number(line.get("memory"))
