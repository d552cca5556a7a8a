"""What workers tell each other: here threads stand for them, and a sum over threads for that of a cluster."""

import signal
import threading
import types

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import checks, signals
from pga_tf.core.workers import ALONE, LOST, Heard, Workers, lost


class Sum:
    """A collective operation of `count` threads."""

    def __init__(self, count):
        self.parts, self.barrier, self.own = [None] * count, threading.Barrier(count, timeout=20), threading.local()

    def __call__(self, words):
        self.parts[self.own.rank] = np.array(words)
        self.barrier.wait()
        summed = np.sum(self.parts, axis=0)
        self.barrier.wait()
        return types.SimpleNamespace(numpy=lambda: summed)


def of_all(function, count=3):
    """What `function(workers)` gives, or raises, at each of `count` workers."""
    found, together = [None] * count, Sum(count)

    def run(rank):
        together.own.rank, one = rank, Workers(count, rank)
        one._sum = together
        try:
            found[rank] = function(one)
        except (Exception, KeyboardInterrupt) as error:
            found[rank] = error
            if isinstance(error, threading.BrokenBarrierError):
                raise

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_what_the_chief_found_is_what_all_get_and_it_alone_looks():
    asked = []

    def chief(one):
        held = one.of_chief(lambda: asked.append(one.rank) or {"step": 7, "weights": np.float32([0.1, -0.0, np.nan])})
        return one.of_chief(lambda: None), held

    found = of_all(chief)
    assert asked == [0]
    for nothing, held in found:
        assert nothing is None
        assert held["step"] == 7
        assert held["weights"].tobytes() == np.float32([0.1, -0.0, np.nan]).tobytes()  # bit for bit


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (checks.InputError("no room"), checks.InputError, "no room"),
        (checks.CollapseError("codes are one"), checks.CollapseError, "codes are one"),
        (signals.Stopped("SIGTERM"), signals.Stopped, "SIGTERM"),
        (OSError("disk"), checks.InputError, "the chief ended by OSError: disk"),
    ],
)
def test_what_the_chief_raises_all_raise(error, kind, text):
    def raises():
        raise error

    found = of_all(lambda one: one.of_chief(raises))
    assert found[0] is error
    for other in found[1:]:
        assert type(other) is kind
        assert str(other) == text


def test_an_error_of_one_ends_all():
    def load(one):
        if one.rank == 1:
            raise checks.InputError("no such folder")
        return one.rank

    assert of_all(lambda one: one.of_each(lambda: one.rank**2)) == [[0, 1, 4]] * 3
    found = of_all(lambda one: one.of_each(lambda: load(one)))
    assert [str(error) for error in found] == ["worker 1: no such folder", "no such folder", "worker 1: no such folder"]


def test_a_signal_of_one_is_acted_on_by_all_after_the_same_step():
    names = {1: "SIGTERM"}

    def heard(one):
        own = Heard(one)
        own._notice = types.SimpleNamespace(received=names.get(one.rank))
        before = own.received
        own.give_way()  # not yet: the others know nothing of it
        stopping = own.exchange(one.rank == 2)
        with pytest.raises(signals.Stopped, match="SIGTERM"):
            own.give_way()
        own._notice.received = "SIGINT"  # the first one counts
        own.exchange(False)
        return before, stopping, own.received

    assert of_all(heard) == [(None, True, "SIGTERM")] * 3
    assert of_all(lambda one: (Heard(one).exchange(False), Heard(one).received)) == [(False, None)] * 3


def test_alone_there_is_nobody_to_wait_for():
    assert ALONE.of_chief(lambda: 3) == 3
    assert ALONE.of_each(lambda: 3) == [3]
    with pytest.raises(OSError, match="disk"):
        ALONE.of_chief(lambda: (_ for _ in ()).throw(OSError("disk")))
    with Heard().noted() as heard:
        assert not heard.exchange(False)
        signal.raise_signal(signal.SIGTERM)
        assert heard.received == "SIGTERM"
        with pytest.raises(signals.Stopped):
            heard.give_way()


def test_a_failed_precondition_tells_of_another_worker_only_where_its_server_has_restarted():
    seen = "Collective ops is aborted by: group 1 not found. This normally means the server has restarted"
    told = lost(tf.errors.FailedPreconditionError(None, None, seen))
    assert isinstance(told, signals.Stopped)
    assert LOST in str(told)
    own = tf.errors.FailedPreconditionError(None, None, "Could not find variable dense/kernel.")
    assert lost(own) is own
