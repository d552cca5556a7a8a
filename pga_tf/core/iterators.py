"""Iterators of tf.data end while Python still runs.

One that is not exhausted has threads that call Python, such as a decoder of images. When the interpreter is torn down
it ends such a thread within the call, and whoever then destroys the iterator waits for that call for ever. So whatever
may hold one, reference cycles and the frames of errors, has to go before.
"""

import atexit
import contextlib
import gc
import sys
import traceback

LIBRARIES = ("keras.", "tensorflow.")


def let_go(error: BaseException | None = None) -> None:
    """Destroys the iterators that nobody uses any more; those too that libraries' frames of `error` hold."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_globals.get("__name__", "").startswith(LIBRARIES):
                with contextlib.suppress(RuntimeError):  # a frame that still runs
                    frame.clear()
        error = error.__context__
    gc.collect()


def let_go_at_exit() -> None:
    """Has them destroyed at the end of any process, a script or a notebook that an error has ended among them."""
    atexit.register(_at_exit)


def _at_exit():
    sys.last_type = sys.last_value = sys.last_traceback = sys.last_exc = None  # whose frames hold what they used
    gc.collect()
