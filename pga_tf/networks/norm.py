"""Batch normalisation with running statistics for each source of input.

The PGA paper trains one encoder and one decoder on batches from several distributions (data, samples,
perturbed codes) and samples with the statistics of the sampled batch. With running statistics kept apart
for each source, inference on one source needs no training mode (METHODS.md, open question (a)).
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from pga_tf.core import checks, replicas
from pga_tf.networks.heads import OnSphere
from pga_tf.networks.plan import TF_SLIM, NormConstants
from pga_tf.networks.sources import CRITIC_SOURCES, ENCODER_SOURCES, SourceLayer

EXAMPLE_EPSILON = 1e-5  # of ExampleNorm


class SourceBatchNorm(SourceLayer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta per channel, by the statistics of each segment.

    Args:
      known_sources: the sources with running statistics of their own in mode "per_source".
      mode: "per_source", or "shared" for one set of running statistics that all sources move.
      affine: whether gamma and beta are trained; else they are 1 and 0.
      constants: epsilon and momentum.

    Training: a segment's mean and (biased) variance are over its own examples on all replicas, so that one
    replica equals two, and a call on several segments equals one call for each. Segment after segment moves
    the running statistics of its source: running <- momentum running + (1 - momentum) batch. Inference: each
    segment uses those of its source; they start at (0, 1), and a source that training never sees stays there. Under
    `batch_statistics` inference goes by the segment's own, as training does.

    Input and output `[S * B, ..., C]`. All sources share gamma and beta. Computes in float32, and returns the
    policy's compute type.
    """

    def __init__(
        self,
        *,
        known_sources: Sequence[str],
        mode: str,
        affine: bool = True,
        constants: NormConstants = TF_SLIM,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype, autocast=False)
        checks.require_member("Mode of SourceBatchNorm", mode, ("per_source", "shared"))
        self.known_sources, self.mode, self.affine = tuple(known_sources), mode, affine
        self.epsilon, self.momentum = constants
        self.by_batch = False

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = input_shape[-1]
        rows = len(self.known_sources) if self.mode == "per_source" else 1
        scale = {"shape": (channels,), "trainable": self.affine, "autocast": False}
        self.gamma = self.add_weight(name="gamma", initializer="ones", **scale)
        self.beta = self.add_weight(name="beta", initializer="zeros", **scale)
        # Replicas agree on the statistics, so any one of them may write.
        state = {"shape": (rows, channels), "trainable": False, "autocast": False}
        state["aggregation"] = "only_first_replica"
        self.running_mean = self.add_weight(name="running_mean", initializer="zeros", **state)
        self.running_variance = self.add_weight(name="running_variance", initializer="ones", **state)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def call(self, x: tf.Tensor, sources: Sequence[str] = ("data",), training: bool = False) -> tf.Tensor:
        rows = [self.known_sources.index(s) if self.mode == "per_source" else 0 for s in sources]
        gamma, beta = self.gamma.value, self.beta.value
        if training or self.by_batch:
            _require_several(x, len(sources), self.name)
            normalise = _fused if replicas.count() == 1 else _synchronised
            y, mean, variance = normalise(x, len(sources), gamma, beta, self.epsilon)
            if training:
                _move(self.running_mean, rows, mean, self.momentum)
                _move(self.running_variance, rows, variance, self.momentum)
        else:
            mean = tf.gather(self.running_mean.value, rows)
            variance = tf.gather(self.running_variance.value, rows)
            y = _affine(_split(x, len(sources)) - _spread(mean), variance, gamma, beta, self.epsilon)
        return tf.reshape(tf.cast(y, self.compute_dtype), [-1, *x.shape[1:]])


@contextlib.contextmanager
def batch_statistics(network: keras.layers.Layer) -> Iterator[None]:
    """Inside the block inference of `network` normalises each batch by its own statistics; running ones stay.

    Some published samples were drawn so. What is drawn then depends on what else is in its batch.
    """
    layers = [layer for layer in network._flatten_layers() if hasattr(layer, "by_batch")]
    for layer in layers:
        layer.by_batch = True
    try:
        yield
    finally:
        for layer in layers:
            layer.by_batch = False


def code_norm(kind: str) -> list[keras.layers.Layer]:
    """The layers, one or none, by which an encoder of `code_norm` `kind` normalises codes `[B, H_dim]`."""
    if kind == "batch":
        one_set = {"known_sources": ENCODER_SOURCES, "mode": "shared", "affine": False}
        return [SourceBatchNorm(**one_set, dtype="float32", name="code_norm")]
    return [OnSphere(dtype="float32", name="code_norm")] if kind == "sphere" else []


class ExampleNorm(keras.layers.Layer):
    """Layer normalisation over all that belongs to an example, positions too (Ba et al., 2016; WGAN-GP's critics).

    y = gamma (x - mean) / sqrt(variance + EXAMPLE_EPSILON) + beta, gamma and beta per channel, `[B, ..., C]`, in
    float32. It leaves examples uncoupled, as a gradient penalty needs, and its second derivatives are right, which
    those of `keras.layers.LayerNormalization` are not: it holds the mean within the variance.
    """

    def __init__(self, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype, autocast=False)

    def build(self, input_shape: tuple[int, ...]) -> None:
        scale = {"shape": (input_shape[-1],), "autocast": False}
        self.gamma = self.add_weight(name="gamma", initializer="ones", **scale)
        self.beta = self.add_weight(name="beta", initializer="zeros", **scale)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def call(self, x: tf.Tensor) -> tf.Tensor:
        axes, x = list(range(1, len(x.shape))), tf.cast(x, self.variable_dtype)
        centred = x - tf.reduce_mean(x, axis=axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=axes, keepdims=True)
        y = self.gamma.value * centred * tf.math.rsqrt(variance + EXAMPLE_EPSILON) + self.beta.value
        return tf.cast(y, self.compute_dtype)


def critic_norm(name: str | None, constants: NormConstants = TF_SLIM) -> Callable | None:
    """A factory of a critic's normalisation layers: "none" (None), "batch", real and generated ones apart, "layer".

    `constants`: those of batch norm.
    """
    if name == "none":
        return None
    if name == "batch":
        return functools.partial(SourceBatchNorm, known_sources=CRITIC_SOURCES, mode="per_source", constants=constants)
    return ExampleNorm


def _require_several(x, count, name):
    """Refuses segments of one value for each channel: less its mean, that is 0 whatever it was."""
    positions, rows = x.shape[1:-1].num_elements() or 1, x.shape[0]
    if positions > 1 or (rows is not None and rows * replicas.count() > count):
        return
    expected = "two examples at least of each source, for one less its mean is 0"
    if rows is None:
        message = f"Batch of {name}: expected {expected}, received one. Remedy: drop a last batch of one."
        tf.debugging.assert_greater(tf.shape(x)[0] * replicas.count(), count, message=message)
        return
    checks.refuse(
        f"Batch of {name}",
        expected=expected,
        received="one",
        remedy="use larger batches, none of one example at the end of an epoch either, or no batch norm",
    )


def _fused(x, count, gamma, beta, epsilon):
    """(y, mean, variance) of each segment by TensorFlow's kernel, twice as fast as separate operations."""
    positions = x.shape[1:-1].num_elements() or 1
    segments = tf.split(tf.reshape(x, [-1, positions, 1, x.shape[-1]]), count)
    parts = [tf.compat.v1.nn.fused_batch_norm(s, gamma, beta, epsilon=epsilon, is_training=True) for s in segments]
    y, mean, unbiased = (list(part) for part in zip(*parts, strict=True))
    examples = tf.cast(tf.shape(segments[0])[0] * positions, tf.float32)
    return tf.concat(y, axis=0), tf.stack(mean), tf.stack(unbiased) * (examples - 1.0) / examples


def _synchronised(x, count, gamma, beta, epsilon):
    """The same with statistics over all replicas."""
    segments = _split(x, count)
    mean = replicas.batch_mean(tf.reduce_mean(segments, axis=(1, 2))[tf.newaxis])
    centred = segments - _spread(mean)
    variance = replicas.batch_mean(tf.reduce_mean(tf.square(centred), axis=(1, 2))[tf.newaxis])
    return _affine(centred, variance, gamma, beta, epsilon), mean, variance


def _affine(centred, variance, gamma, beta, epsilon):
    """`[S, B, positions, C]` less its mean, with variances `[S, C]`, to the layer's output."""
    return centred * _spread(gamma * tf.math.rsqrt(variance + epsilon)) + beta


def _split(x, count):
    """`[S * B, ..., C]` to float32 `[S, B, positions, C]`; no data moves."""
    positions = x.shape[1:-1].num_elements() or 1
    return tf.cast(tf.reshape(x, [count, -1, positions, x.shape[-1]]), tf.float32)


def _spread(statistic):
    """`[S, C]` to `[S, 1, 1, C]`."""
    return statistic[:, tf.newaxis, tf.newaxis]


def _move(running, rows, batch, momentum):
    """Moves row `rows[k]` of the variable `running` towards `batch[k]`, for each k in order."""
    statistics = tf.unstack(running.value)
    for k, row in enumerate(rows):
        statistics[row] = momentum * statistics[row] + (1.0 - momentum) * tf.stop_gradient(batch[k])
    running.assign(tf.stack(statistics))
