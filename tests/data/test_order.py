"""The order of the data: permutations, exact resume, seeds. Streams have tests of their own."""

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core.checks import InputError
from pga_tf.data import DataOptions, load, order

UNIT = (0.0, 1.0)


def indices(steps, *, batch_size, count, seed):
    batches = tf.data.Dataset.range(steps).map(
        lambda k: order.indices(k, batch_size=batch_size, count=count, seed=seed)
    )
    return np.concatenate(list(batches.as_numpy_iterator()))


def stream(source, steps, **kwargs):
    options = {"seed": 0, "value_range": UNIT, "batch_size": 64} | kwargs
    return np.stack(list(source.batches("train", **options).take(steps).as_numpy_iterator()))


@pytest.mark.parametrize(("batch_size", "count"), [(8, 24), (7, 24), (5, 3), (4, 1), (64, 65)])
def test_each_epoch_is_a_permutation_of_its_own(batch_size, count):
    epochs = 7
    order_ = indices(-(-epochs * count // batch_size), batch_size=batch_size, count=count, seed=3)
    order_ = order_[: epochs * count].reshape(epochs, count)
    np.testing.assert_array_equal(np.sort(order_, axis=1), np.tile(np.arange(count), (epochs, 1)))
    if count > 10:
        assert len({tuple(epoch) for epoch in order_}) == epochs


def test_orders_are_spread_evenly_over_the_permutations():
    """Over many epochs each image is as likely in each place: chi-squared per degree of freedom is near 1."""
    count, epochs = 16, 800
    order_ = indices(epochs, batch_size=count, count=count, seed=1).reshape(epochs, count)
    seen = np.stack([np.bincount(place, minlength=count) for place in order_.T])
    expected = epochs / count
    # 225 degrees of freedom: the standard deviation of the ratio is 0.094.
    assert np.sum((seen - expected) ** 2 / expected) / (count - 1) ** 2 == pytest.approx(1, abs=0.4)


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_batches_from_a_later_step_are_the_tail(seed):
    source = load(DataOptions(dataset="digits"))
    whole = stream(source, 40, seed=seed)  # 1,500 images: the border of an epoch lies in batch 23
    np.testing.assert_array_equal(stream(source, 17, seed=seed, start_step=23), whole[23:])
    rows = np.array([3, 40, 63])  # a worker's own
    np.testing.assert_array_equal(stream(source, 17, seed=seed, start_step=23, rows=rows), whole[23:, rows])


def test_order_depends_on_the_seed_and_not_on_tensorflow_s():
    source = load(DataOptions(dataset="digits"))
    tf.random.set_seed(1)
    first = stream(source, 3)
    tf.random.set_seed(2)
    np.testing.assert_array_equal(stream(source, 3), first)
    assert not np.array_equal(stream(source, 3, seed=1), first)


def test_batches_do_not_depend_on_prefetching():
    source = load(DataOptions(dataset="digits"))
    ahead = source.batches("train", 32, seed=5, value_range=UNIT).prefetch(50)
    alone = [stream(source, 1, batch_size=32, seed=5, start_step=k)[0] for k in range(4)]
    for expected, received in zip(alone, ahead, strict=False):
        np.testing.assert_array_equal(received, expected)


def test_batches_have_static_shape_and_the_range_asked_for():
    source = load(DataOptions(dataset="digits"))
    batches = source.batches("train", 100, seed=0, value_range=(-1.0, 1.0))
    assert batches.element_spec == tf.TensorSpec([100, 8, 8, 1], tf.float32)
    batch = next(iter(batches)).numpy()
    assert batch.min() == -1.0
    assert batch.max() == 1.0


def test_ordered_gives_each_image_once_in_stored_order():
    source = load(DataOptions(dataset="digits"))
    parts = list(source.ordered("test", 100).as_numpy_iterator())
    assert [len(part) for part in parts] == [100, 100, 97]
    np.testing.assert_array_equal(np.concatenate(parts), source.examples("test", 1000))
    np.testing.assert_array_equal(source.examples("train", 300), source.examples("train", 1500)[:300])
    assert source.examples("train", 0).shape == (0, 8, 8, 1)


def test_an_unknown_split_and_an_empty_batch_are_refused():
    source = load(DataOptions(dataset="digits"))
    with pytest.raises(InputError, match=r"Split of digits: expected one of train, test, received 'tst'.*'test'"):
        source.batches("tst", 4, seed=0, value_range=UNIT)
    with pytest.raises(InputError, match="Batch size: expected >= 1, received 0"):
        source.batches("train", 0, seed=0, value_range=UNIT)


def test_many_epochs_to_a_batch_are_those_of_few(monkeypatch):
    whole = np.concatenate([order.indices(tf.constant(k, tf.int64), batch_size=5, count=7, seed=3) for k in range(28)])
    monkeypatch.setattr(order, "FEW", 2)
    large = tf.function(lambda k: order.indices(k, batch_size=70, count=7, seed=3))
    np.testing.assert_array_equal(np.concatenate([large(tf.constant(k, tf.int64)) for k in range(2)]), whole)
