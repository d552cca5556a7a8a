"""What the two transports share: their error, model specs as seen by a client, and retries within a deadline."""

import dataclasses
import random
import time

import grpc

MAX_MESSAGE = 2**28  # bytes; gRPC's default of 4 MiB is less than a batch of 64 images of 128 x 128
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds before the second attempt, and at most between any two


class TransportError(Exception):
    """A request that was not answered with a result: `code` (`grpc.StatusCode`) and the server's own `text`."""

    def __init__(self, code, text):
        super().__init__(f"{code.name}: {text}")
        self.code, self.text = code, text


@dataclasses.dataclass(frozen=True)
class Address:
    """A model on a server: `target` as HOST:PORT, and a version number or a label, or neither for the latest."""

    target: str
    model: str
    version: int | None = None
    label: str | None = None


def retrying(request, timeout, *, sleep=time.sleep, clock=time.monotonic, jitter=random.uniform):
    """The answer of `request(seconds)`, tried again while the server is UNAVAILABLE and time is left.

    Args:
      request: called with the seconds that are left for it; raises `TransportError`.
      timeout: seconds for all attempts and the pauses between them.

    Raises the last `TransportError`; another code than UNAVAILABLE at once, for it would come again. A last attempt
    that had too little time to be answered does not hide why those before it failed.
    """
    deadline = clock() + timeout
    pause, before = FIRST_PAUSE, None
    while True:
        try:
            return request(deadline - clock())
        except TransportError as error:
            if before and error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TransportError(before.code, f"{before.text}; then {error.text}") from error
            left = deadline - clock()
            if error.code is not grpc.StatusCode.UNAVAILABLE or left <= FIRST_PAUSE:
                raise
            before = error
        # Clients that were refused together would come back together: each waits for a time of its own. It leaves time
        # for a last attempt.
        sleep(min(pause * jitter(0.5, 1.0), left - FIRST_PAUSE / 2))
        pause = min(2.0 * pause, LONGEST_PAUSE)
