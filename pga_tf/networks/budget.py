"""What networks take of memory, held against what is free before it is allocated."""

import contextlib
import functools
import math
from collections.abc import Iterator

import keras

from pga_tf.core import memory
from pga_tf.networks.sources import Stack

BYTES = 4  # of a float32
COPIES = 2  # of a weight at the least: itself, and its gradient or what a file is read to
WORTH_A_LOOK = 2**24  # scalars


@contextlib.contextmanager
def within_memory() -> Iterator[None]:
    """Inside the block, weights that would not fit in memory are refused (`InputError`) before they are allocated.

    Keras makes the weights of a layer as it builds it, with no earlier moment at which their sizes are known.
    """
    add_weight = keras.layers.Layer.add_weight

    @functools.wraps(add_weight)
    def watched(self, shape=None, *args, **kwargs):
        size = math.prod(shape or ())
        if size > WORTH_A_LOOK:
            memory.require(
                f"Weights of {self.name}, {' x '.join(map(str, shape))}",
                BYTES * COPIES * size,
                remedy="make the networks smaller: lower --latent_dim, --filters or the width of the prior's own",
            )
        return add_weight(self, shape, *args, **kwargs)

    keras.layers.Layer.add_weight = watched
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = add_weight


def activations(network: keras.layers.Layer, input_shape: tuple[int, ...]) -> int:
    """Bytes of what the layers of `network` put out for one example of `input_shape`, at the least.

    Of layers within layers, and of networks of other kinds, only the end is counted.
    """
    shape, held = (None, *input_shape), 0
    for layer in network.sublayers if isinstance(network, Stack) else ():
        shape = layer.compute_output_shape(shape)
        held += BYTES * _scalars(shape)
    return held


def _scalars(shape):
    """Of one example, in a shape or, as of a head with two outputs, a tuple of them; 0 where it is not known."""
    if isinstance(shape[0], tuple):
        return sum(map(_scalars, shape))
    return 0 if None in shape[1:] else math.prod(shape[1:])
