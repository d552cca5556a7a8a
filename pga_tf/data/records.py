"""Images streamed from TFRecord files, for sets too large for memory."""

import types
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from pga_tf.data import order

WINDOW_RECORDS = 8192
WINDOW_BYTES = 2**27


class Records:
    """A `Reader` over records in files, decoded in parallel.

    In an epoch the files come in an order drawn from (seed, epoch), and their records are permuted in windows
    of at most `WINDOW_RECORDS`. To start at a later step, records are passed over without being decoded.
    """

    corrupt = types.MappingProxyType({})

    def __init__(self, files: Sequence, *, count: int, record_bytes: int, decode: Callable):
        """`files`: (path, records to skip, records to take); `decode`: a record to its image `[H, W, C]`."""
        self.count = count
        self._files = files
        self._decode = decode
        self._window = int(min(WINDOW_RECORDS, max(WINDOW_BYTES // record_bytes, 1)))

    def shuffled(
        self, batch_size: int, *, seed: int, start_step: int, rows: np.ndarray | None = None
    ) -> tf.data.Dataset:
        first_epoch, passed = divmod(start_step * batch_size, self.count)

        def records(epoch):
            skip = tf.where(tf.equal(epoch, first_epoch), tf.constant(passed, tf.int64), 0)
            return self._epoch(order.key(seed, epoch), skip)

        stream = tf.data.Dataset.counter(first_epoch).flat_map(records)
        if rows is not None:
            whole = stream.batch(batch_size, drop_remainder=True)
            stream, batch_size = whole.map(lambda records: tf.gather(records, rows)).unbatch(), len(rows)
        return self._images(stream).batch(batch_size, drop_remainder=True)

    def ordered(self, batch_size: int) -> tf.data.Dataset:
        return self._images(self._records(tf.range(len(self._files)))).batch(batch_size)

    def sample(self, limit: int) -> tuple[list[str], np.ndarray]:
        """The first ones: TFDS has mixed the records already when it wrote them."""
        images = np.concatenate(list(self.chosen(limit, 256)))
        return [f"image {i}" for i in range(len(images))], images

    def chosen(self, limit: int, batch_size: int) -> Iterator[np.ndarray]:
        parts = self.ordered(batch_size).take(-(-limit // batch_size))
        for number, images in enumerate(parts.as_numpy_iterator()):
            yield images[: limit - number * batch_size]

    def _records(self, file_order):
        paths, skips, takes = (tf.gather(tf.constant(column), file_order) for column in zip(*self._files, strict=True))
        files = tf.data.Dataset.from_tensor_slices((paths, tf.cast(skips, tf.int64), tf.cast(takes, tf.int64)))
        return files.flat_map(lambda path, skip, take: tf.data.TFRecordDataset(path).skip(skip).take(take))

    def _epoch(self, key, skip):
        files = tf.random.experimental.stateless_shuffle(tf.range(len(self._files)), key)
        first_window = skip // self._window
        windows = self._records(files).skip(first_window * self._window).batch(self._window)

        def permuted(index, window):
            return tf.random.experimental.stateless_shuffle(window, order.key(key[0], index))

        windows = windows.enumerate(first_window).map(permuted).prefetch(1)
        return windows.unbatch().skip(skip % self._window)

    def _images(self, records):
        return records.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
