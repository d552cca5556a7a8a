"""A served autoencoder as a Python object: checks, batches and retries around one of the transports.

    with Remote("localhost:8500", "lpga_digits") as model:
        images = model.sample(range(16))

Everything is checked here against the server's own metadata before it is sent: where a server puts requests of several
clients into one batch, a single bad row fails them all.
"""

import functools
import time
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np

from pga_tf.core import checks, commands
from pga_tf.serving import specs, transport
from pga_tf.serving.grpc_transport import GrpcTransport
from pga_tf.serving.rest_transport import RestTransport

MAX_BATCH = 64  # rows of a request: max_batch_size of saved_models/batching.config
MAX_BYTES = 2**25  # of numbers in a request or an answer, which JSON makes up to six times as long


class Remote:
    """A model on a server. Raises `InputError` for whatever a user can put right; methods take and give arrays."""

    def __init__(
        self,
        target: str,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        rest: bool = False,
        timeout: float = 10.0,
    ):
        """Connects to nothing yet.

        Args:
          target: HOST:PORT. model: its name there. version, label: which version, or neither for the latest.
          rest: whether to talk HTTP and not gRPC.
          timeout: seconds for each request, with its retries, which go on for so long while the server is unavailable.
        """
        self._address = transport.Address(target, model, version, label)
        self._transport = (RestTransport if rest else GrpcTransport)(self._address)
        self._rest, self._timeout = rest, timeout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._transport.close()

    @functools.cached_property
    def signatures(self) -> dict[str, specs.Signature]:
        """Signatures of the model by name, as its server describes them."""
        made = {}
        for name, signature in self._ask("metadata", self._transport.metadata).signature_def.items():
            if not name.startswith("__"):  # TensorFlow's own, such as __saved_model_init_op
                try:
                    made[name] = specs.Signature(specs.tensors(signature.inputs), specs.tensors(signature.outputs))
                except (TypeError, ValueError) as error:
                    checks.refuse(
                        f"Model {self._address.model} on {self._address.target}, signature {name}",
                        expected="tensors that NumPy has a type for",
                        received=str(error),
                        remedy="ask another model; this client is for exports of this package",
                    )
        return made

    def signature(self, name: str) -> specs.Signature:
        """One of `signatures`. Raises `InputError` where the model has it not."""
        if name not in self.signatures:
            checks.refuse(
                f"Model {self._address.model} on {self._address.target}",
                expected=f"a signature {name}",
                received=f"signatures {', '.join(sorted(self.signatures))}",
                remedy="ask for another, or export a model whose method and prior can give it",
            )
        return self.signatures[name]

    def status(self) -> Any:
        """`GetModelStatusResponse`: each version with its state and, where it does not load, the reason."""
        return self._ask("status", self._transport.status)

    def predict(self, name: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs of signature `name` by name, for arrays of one length, however long: it is sent in batches."""
        signature = self.signature(name)
        arrays = specs.matched(name, signature, inputs)
        parts = []
        widest = max(specs.row_bytes(signature.inputs), specs.row_bytes(signature.outputs))
        rows = max(1, min(MAX_BATCH, MAX_BYTES // widest))
        for start in range(0, len(next(iter(arrays.values()))), rows):
            part = {key: array[start : start + rows] for key, array in arrays.items()}
            ask = lambda seconds, part=part: self._transport.predict(name, part, list(signature.outputs), seconds)
            answer = self._ask(name, ask)
            specs.require_answer(f"Model {self._address.model}, {name}", signature, part, answer, start)
            parts.append(answer)
        if not parts:  # no rows need no server; JSON could not even tell it their shape
            parts = [{key: np.empty([0, *(n or 0 for n in s.shape[1:])]) for key, s in signature.outputs.items()}]
        joined = lambda key, dtype: np.concatenate([np.asarray(part[key], dtype) for part in parts])
        return {key: joined(key, spec.dtype) for key, spec in signature.outputs.items()}

    def sample(self, seeds: Sequence[int]) -> np.ndarray:
        """Images `[N, H, W, C]` in [0, 1] for int64 seeds `[N]`; image i is a function of seed i alone."""
        return self.predict("sample", seed=np.asarray(seeds))["image"]

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Images `[N, H, W, C]` in [0, 1] of codes `[N, D]`."""
        return self.predict("decode", z=z)["image"]

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Codes `[N, D]` of images `[N, H, W, C]` in [0, 1]."""
        return self.predict("encode", image=specs.unit("images", images))["z"]

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """What is left of images `[N, H, W, C]` in [0, 1] after the way through the code, in the same form."""
        return self.predict("reconstruct", image=specs.unit("images", images))["image"]

    def interpolate(self, a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Images between `a` and `b` `[N, H, W, C]`, at t `[N]` from 0 (at `a`) to 1 (at `b`)."""
        inputs = {"image_a": specs.unit("images", a), "image_b": specs.unit("images", b), "t": specs.unit("t", t)}
        return self.predict("interpolate", **inputs)["image"]

    def score(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Dict of `reconstruction_error` `[N]` (mean squared error per pixel) and, where there is one, `log_prior`."""
        return self.predict("score", image=specs.unit("images", images))

    def _ask(self, what, request):
        began = time.monotonic()
        try:
            return transport.retrying(request, self._timeout)
        except transport.TransportError as error:
            self._refuse(what, error, time.monotonic() - began)

    def _refuse(self, what, error, seconds):
        """`InputError` for a request that failed, with the server's own words and what to do about it."""
        target, model = self._address.target, self._address.model
        which = "" if self._address.version is None else f", version {self._address.version}"
        which += "" if self._address.label is None else f", label {self._address.label}"
        other = "REST is spoken on another port (8501) and wants --rest"
        if self._rest:
            other = "gRPC is spoken on another port (8500) and wants no --rest"
        start = f"start it, for development with {commands.line('serve')},"
        code, received = grpc.StatusCode, f"{error.code.name}: {error.text}"
        if error.code is code.UNAVAILABLE:
            checks.refuse(
                f"Server {target}",
                expected=f"a model server that speaks {'REST' if self._rest else 'gRPC'}",
                received=f"{received} (tried for {seconds:.1f} s)",
                remedy=f"{start} or correct --target; {other}",
            )
        if error.code is code.DEADLINE_EXCEEDED:
            checks.refuse(
                f"Request {what} to {target}",
                expected=f"an answer within {self._timeout:g} s",
                received=received,
                remedy="raise --timeout, or send to a server that is less busy",
            )
        if error.code is code.NOT_FOUND or "version label" in error.text:
            checks.refuse(
                f"Model {model}{which} on {target}",
                expected="a model and version that the server has loaded",
                received=received,
                remedy="correct --model, --version or --label; models.config and the server's log say what it serves",
            )
        if error.code in (code.INVALID_ARGUMENT, code.FAILED_PRECONDITION):
            checks.refuse(
                f"Request {what} to model {model}{which} on {target}",
                expected="values that the model takes",
                received=received,
                remedy="correct the input that the server names",
            )
        checks.refuse(
            f"Request {what} to {target}",
            expected="an answer",
            received=received,
            remedy=f"look into the server's log; {other}",
        )
