"""What the workers of a cluster tell each other beside gradients: what the chief found, and that one of them stops.

All workers run the same lines, and each collective operation waits for the others' part in it. So what only the chief
does, such as everything on the run's directory, comes in a function to `Workers.of_chief`, which is called there alone
and whose result, or error, all of them get; and a signal is acted on only once all know of it (`Heard`).
"""

import contextlib
import pickle
import signal
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import tensorflow as tf

from pga_tf.core import checks, signals

T = TypeVar("T")
LOST = "the loss of another worker"
_WORD = np.dtype(np.int64)


class Workers:
    """The workers that train together; without a strategy over several, this process alone.

    Args:
      count: how many. rank: this one's place, the chief's being 0. strategy: over all of them.
    """

    def __init__(self, count: int = 1, rank: int = 0, strategy: tf.distribute.Strategy | None = None):
        self.count, self.rank, self._strategy = count, rank, strategy
        self._sum = tf.function(self._summed, input_signature=[tf.TensorSpec([None], _WORD)], autograph=False)

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    @property
    def is_chief(self) -> bool:
        """Whether this one writes the run directory; alone it does."""
        return self.rank == 0

    def of_chief(self, function: Callable[[], T]) -> T:
        """What `function()` is at the chief, which alone calls it; what it raises there is raised at all of them."""
        if not self.several:
            return function()
        result = error = None
        if self.is_chief:
            try:
                result = function()
            except (Exception, KeyboardInterrupt) as raised:
                error = raised
        result, told = pickle.loads(self._spread(pickle.dumps((result, _portable(error))) if self.is_chief else b""))
        if error or told:
            raise error or told
        return result

    def of_each(self, function: Callable[[], T]) -> list[T]:
        """What `function()` is at each worker, in order; an error of one ends all, the others by its message."""
        if not self.several:
            return [function()]
        result = error = None
        try:
            result = function()
        except Exception as raised:
            error = raised
        said = f"worker {self.rank}: {error}" if error else None
        parts = [pickle.loads(self._spread(pickle.dumps((result, said)), k)) for k in range(self.count)]
        if error:
            raise error
        for _, other in parts:
            if other:
                raise checks.InputError(other)
        return [part for part, _ in parts]

    def tell(self, number: int) -> list[int]:
        """`number` of each worker, in order."""
        if not self.several:
            return [number]
        return self._sum(np.where(np.arange(self.count) == self.rank, number, 0).astype(_WORD)).numpy().tolist()

    def _spread(self, held, source=0):
        """`held`, bytes of the worker `source`, at all of them."""
        own = self.rank == source
        size = max(self.tell(len(held) if own else 0))
        words = np.zeros(-(-size // _WORD.itemsize), _WORD)
        if own:
            words.view(np.uint8)[:size] = np.frombuffer(held, np.uint8)
        return self._sum(words).numpy().tobytes()[:size]

    def _summed(self, words):
        summed = self._strategy.run(_all_reduced, args=(words,))
        return self._strategy.experimental_local_results(summed)[0]


ALONE = Workers()


def _all_reduced(words):
    context = tf.distribute.get_replica_context()
    local = context.replica_id_in_sync_group % len(tf.distribute.get_strategy().extended.worker_devices)
    words = words * tf.cast(tf.equal(local, 0), words.dtype)  # of several devices of a worker, the first one speaks
    return context.all_reduce(tf.distribute.ReduceOp.SUM, words)


def _portable(error):
    """An error as other workers raise it."""
    if error is None or isinstance(error, checks.InputError | checks.NonFiniteError | signals.Stopped):
        return error and type(error)(*error.args)
    return checks.InputError(f"the chief ended by {type(error).__name__}: {error}")


class Heard:
    """Polite signals as all workers know of them: whichever got one, all have received it after the same step."""

    def __init__(self, workers: Workers = ALONE):
        self.workers, self._notice, self._agreed = workers, signals.Notice(at_once=False), None

    @contextlib.contextmanager
    def noted(self) -> Iterator["Heard"]:
        """Inside the block signals are noted, as by `signals.noted`."""
        with signals.noted() as self._notice:
            yield self

    @property
    def received(self) -> str | None:
        """The name of the first signal in that block, or None."""
        return self._agreed if self.workers.several else self._notice.received

    def exchange(self, stopping: bool) -> bool:
        """Makes signals known to all, and whether any of them is `stopping`. For all workers after the same step."""
        if not self.workers.several:
            return stopping
        own = int(signal.Signals[self._notice.received]) if self._notice.received else 0
        told = self.workers.tell(2 * own + stopping)
        numbers = [one // 2 for one in told if one > 1]
        self._agreed = self._agreed or (signal.Signals(numbers[0]).name if numbers else None)
        return any(one % 2 for one in told)

    def give_way(self) -> None:
        """Raises `Stopped` where a signal was received; for pauses in work that all workers do together."""
        if not self.workers.several:
            signals.give_way()
        elif self._agreed:
            raise signals.Stopped(self._agreed)


HEARD_ALONE = Heard()


def lost(error: BaseException) -> BaseException:
    """`error`, or `Stopped` with its kind in its place where it may tell that another worker is gone."""
    gone = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)
    gone += (tf.errors.DeadlineExceededError, tf.errors.UnknownError)
    # A failed precondition, where the chief's successor was asked for what only the lost one knew.
    stale = isinstance(error, tf.errors.FailedPreconditionError) and "server has restarted" in error.message
    return signals.Stopped(f"{LOST} ({type(error).__name__})") if stale or isinstance(error, gone) else error
