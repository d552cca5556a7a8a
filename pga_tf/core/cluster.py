"""Which worker of which cluster a process is: `TF_CONFIG`, as Kubeflow's TFJob and Vertex AI set it.

{"cluster": {"chief": ["host:port"], "worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}
"""

import dataclasses
import json
import os
import re
from collections.abc import Mapping

from pga_tf.core import checks

TRAINS = ("chief", "worker")
OLD_NAMES = {"master": "chief"}  # of TensorFlow 1
IDLE = ("ps", "evaluator")  # roles of other strategies
_ADDRESS = re.compile(r"[^\s/]+:\d{1,5}")
_WHERE = "docs/training.md#several-workers"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers that train together, and which of them this process is.

    Attributes:
      addresses: `host:port` of each by role, "chief" and "worker". role, index: of this process.
      left_out: lines on what TF_CONFIG names beside them.
    """

    addresses: Mapping[str, tuple[str, ...]]
    role: str
    index: int
    left_out: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of workers, the chief among them."""
        return sum(map(len, self.addresses.values()))

    @property
    def rank(self) -> int:
        """Place of this process among them, the chief's being 0: its part of each batch."""
        return self.index + (len(self.addresses.get("chief", ())) if self.role == "worker" else 0)


def of_environment(environment: Mapping[str, str] = os.environ) -> Cluster:
    """The cluster of `TF_CONFIG`. Raises `InputError` where there is none, or it is no cluster that this one is in."""
    text = environment.get("TF_CONFIG", "")
    if not text.strip():
        _refuse("TF_CONFIG in the environment: the cluster and this worker's place in it", "none")
    try:
        held = json.loads(text)
    except ValueError as error:
        _refuse("JSON", f"{_short(text)} ({error})")
    named = held.get("cluster") if isinstance(held, dict) else None
    if not isinstance(named, dict) or not named:
        _refuse('an object with "cluster": {"worker": ["HOST:PORT", ...]}', _short(text))
    addresses, left_out = {}, []
    for role, listed in named.items():
        if role in IDLE:
            left_out.append(f"TF_CONFIG names {role}, which takes no part in training by --workers")
            continue
        role = OLD_NAMES.get(role, role)
        if role not in TRAINS:
            _refuse(f"roles {' and '.join(TRAINS)}", repr(role))
        if not isinstance(listed, list) or not listed or not all(_is_address(one) for one in listed):
            _refuse(f'"{role}": a list of HOST:PORT', _short(listed))
        addresses[role] = tuple(listed)
    every = [one for listed in addresses.values() for one in listed]
    if not every:
        _refuse("a worker in its cluster", ", ".join(named))
    if len(addresses.get("chief", ())) > 1:
        _refuse("one chief", len(addresses["chief"]))
    if twice := sorted({one for one in every if every.count(one) > 1}):
        _refuse("an address of its own for each worker", f"{twice[0]} twice")
    role, index = _task(held.get("task"), addresses)
    return Cluster(addresses, role, index, tuple(left_out))


def _task(task, addresses):
    if not isinstance(task, dict) or not isinstance(task.get("type"), str) or type(task.get("index")) is not int:
        _refuse('"task": {"type": "worker", "index": 0}', _short(task))
    role, index = OLD_NAMES.get(task["type"], task["type"]), task["index"]
    if role not in addresses:
        _refuse(f"a task of type {' or '.join(addresses)}", repr(task["type"]))
    if not 0 <= index < len(addresses[role]):
        _refuse(f"an index from 0 to {len(addresses[role]) - 1} of a {role}", index)
    return role, index


def _is_address(value):
    return isinstance(value, str) and _ADDRESS.fullmatch(value) and int(value.rpartition(":")[2]) < 2**16


def _refuse(expected, received):
    remedy = f"set it as {_WHERE} shows, or leave --workers out to train in one process"
    checks.refuse("--workers (TF_CONFIG)", expected=expected, received=received, remedy=remedy)


def _short(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
