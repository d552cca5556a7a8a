"""TF_CONFIG: which worker of which cluster a process is."""

import json

import pytest

from pga_tf.core import cluster
from pga_tf.core.checks import InputError

TWO = ["a:1", "b:2"]


def of(addresses, role="worker", index=0):
    return cluster.of_environment(
        {"TF_CONFIG": json.dumps({"cluster": addresses, "task": {"type": role, "index": index}})}
    )


@pytest.mark.parametrize(
    ("addresses", "role", "index", "rank", "count"),
    [
        ({"worker": TWO}, "worker", 0, 0, 2),
        ({"worker": TWO}, "worker", 1, 1, 2),
        ({"chief": ["c:1"], "worker": TWO}, "chief", 0, 0, 3),  # as Kubeflow's TFJob and Vertex AI have it
        ({"chief": ["c:1"], "worker": TWO}, "worker", 1, 2, 3),
        ({"master": ["c:1"], "worker": TWO}, "worker", 0, 1, 3),
        ({"master": ["c:1"], "worker": TWO}, "master", 0, 0, 3),
    ],
)
def test_the_chief_comes_first_and_workers_in_their_order(addresses, role, index, rank, count):
    found = of(addresses, role, index)
    assert (found.rank, found.count, found.left_out) == (rank, count, ())
    listed = [*found.addresses.get("chief", ()), *found.addresses["worker"]]
    assert listed[rank] == addresses[role][index]
    assert set(found.addresses) <= {"chief", "worker"}  # as TensorFlow calls them


def test_roles_that_take_no_part_are_left_out_with_a_line():
    found = of({"worker": TWO, "ps": ["p:1"], "evaluator": ["e:1"]}, index=1)
    assert (found.count, found.rank) == (2, 1)
    assert [role in line for role, line in zip(("ps", "evaluator"), found.left_out, strict=True)] == [True, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected TF_CONFIG in the environment.*received none.*leave --workers out"),
        (" ", "received none"),
        ("{cluster", "expected JSON, received {cluster"),
        ("[1]", 'expected an object with "cluster"'),
        ('{"task": {"type": "worker", "index": 0}}', 'expected an object with "cluster"'),
        ('{"cluster": {}, "task": {"type": "worker", "index": 0}}', 'expected an object with "cluster"'),
        ('{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}', "a list of HOST:PORT"),
        ('{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}', "a list of HOST:PORT"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "a list of HOST:PORT"),
        ('{"cluster": {"worker": ["a:70000"]}, "task": {"type": "worker", "index": 0}}', "a list of HOST:PORT"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}', "received a:1 twice"),
        ('{"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}', "expected one chief"),
        ('{"cluster": {"helper": ["a:1"]}, "task": {"type": "helper", "index": 0}}', "received 'helper'"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "a worker in its cluster, received ps"),
        ('{"cluster": {"worker": ["a:1"]}}', 'expected "task"'),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "0"}}', 'expected "task"'),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": true}}', 'expected "task"'),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "from 0 to 0 of a worker, received 1",
        ),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}', "received -1"),
        (
            '{"cluster": {"worker": ["a:1"], "evaluator": ["e:1"]}, "task": {"type": "evaluator", "index": 0}}',
            "a task of type worker, received 'evaluator'",
        ),
        ('{"cluster": {"worker": ["a:1"], "ps": ["p:1"]}, "task": {"type": "ps", "index": 0}}', "received 'ps'"),
    ],
)
def test_what_is_no_cluster_is_refused_in_a_sentence(text, message):
    with pytest.raises(InputError, match=message) as raised:
        cluster.of_environment({} if text is None else {"TF_CONFIG": text})
    assert str(raised.value).startswith("--workers (TF_CONFIG): expected ")
