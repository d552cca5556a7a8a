"""Learning rates against values worked out by hand, the optimisers' settings, and averaged weights."""

import keras
import numpy as np
import pytest

from pga_tf.training import optimizers
from pga_tf.training.config import OptimizerOptions


def _rates(steps, *, kind, peak=0.4, warmup=0, halve_steps=10, total_steps=100):
    schedule = optimizers.Schedule(peak, kind, warmup, halve_steps, total_steps)
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"kind": "constant"}, {0: 0.4, 7: 0.4, 1000: 0.4}),
        ({"kind": "constant", "warmup": 4}, {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4, 4: 0.4, 99: 0.4}),
        ({"kind": "halving"}, {0: 0.4, 9: 0.4, 10: 0.2, 19: 0.2, 20: 0.1, 30: 0.05}),
        ({"kind": "halving", "warmup": 20}, {0: 0.02, 9: 0.2, 10: 0.11, 19: 0.2, 20: 0.1}),
        ({"kind": "cosine"}, {0: 0.4, 25: 0.2 + 0.1 * 2**0.5, 50: 0.2, 100: 0.0, 150: 0.0}),
        ({"kind": "cosine", "warmup": 20}, {0: 0.02, 9: 0.2, 19: 0.4, 20: 0.4, 60: 0.2, 100: 0.0}),
    ],
    ids=str,
)
def test_the_learning_rate_is_the_one_worked_out_by_hand(settings, values):
    np.testing.assert_allclose(_rates(values, **settings), list(values.values()), rtol=1e-5, atol=1e-7)


def _build(steps_per_epoch=2.5, total_steps=100, **options):
    return optimizers.build_optimizer(
        OptimizerOptions(**options), steps_per_epoch=steps_per_epoch, total_steps=total_steps
    )


def test_options_reach_the_optimiser():
    sgd = _build(optimizer="sgd", momentum=0.8, learning_rate=0.4)
    assert isinstance(sgd, keras.optimizers.SGD)
    assert (sgd.momentum, sgd.nesterov, sgd.use_ema) == (0.8, False, False)
    adam = _build(optimizer="adam", momentum=0.5, ema=0.99)
    assert isinstance(adam, keras.optimizers.Adam)
    assert (adam.beta_1, adam.beta_2, adam.use_ema, adam.ema_momentum) == (0.5, 0.999, True, 0.99)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_weight_decay_shrinks_kernels_by_its_share_of_the_rate_and_nothing_else(kind):
    moved = []
    for decay in (0.0, 0.1):
        kernel, bias, gamma = keras.Variable(np.ones([2, 2])), keras.Variable(np.ones([2])), keras.Variable(1.0)
        optimizer = _build(optimizer=kind, learning_rate=0.5, weight_decay=decay)
        optimizers.make_slots(optimizer, [kernel, bias, gamma])
        optimizer.apply([np.full(v.shape, 0.25, np.float32) for v in (kernel, bias, gamma)], [kernel, bias, gamma])
        moved.append([np.array(v) for v in (kernel, bias, gamma)])
    (kernel, bias, gamma), (shrunk, same_bias, same_gamma) = moved
    np.testing.assert_allclose(shrunk, kernel - 0.5 * 0.1 * 1.0, rtol=1e-6)  # lr * decay * weight
    np.testing.assert_array_equal(bias, same_bias)
    np.testing.assert_array_equal(gamma, same_gamma)


def test_epochs_of_a_halving_become_steps():
    optimizer = _build(schedule="halving", halve_every=4, learning_rate=0.4)  # 4 epochs of 2.5 steps
    optimizer.build([keras.Variable(0.0)])
    rates = []
    for step in (9, 10):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0.4, 0.2])


def test_averaged_weights_are_the_exponential_average_of_the_weights_after_each_step():
    variable, still = keras.Variable(np.float32([1.0, -2.0])), keras.Variable(np.float32([5.0]))
    optimizer = _build(learning_rate=0.5, momentum=0.0, ema=0.75)
    optimizer.build([variable, still])
    gradients = np.float32([[1.0, 2.0], [-3.0, 0.5], [0.25, 4.0]])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient), keras.ops.zeros([1])], [variable, still])
    # weights: (1, -2) -> (.5, -3) -> (2, -3.25) -> (1.875, -5.25); the average starts at the first of them
    np.testing.assert_allclose(variable, [1.875, -5.25])
    average = [0.5, -3.0]
    for weights in ([2.0, -3.25], [1.875, -5.25]):
        average = [0.75 * a + 0.25 * w for a, w in zip(average, weights, strict=True)]
    assert average == [1.125, -3.609375]
    optimizers.use_average_weights(optimizer, [variable, still])
    np.testing.assert_allclose(variable, average, rtol=1e-6)
    np.testing.assert_allclose(still, [5.0])


def test_the_end_of_fit_leaves_the_weights_that_training_goes_on_from():
    variable = keras.Variable(np.float32([1.0]))
    optimizer = _build(learning_rate=0.5, momentum=0.0, ema=0.75)
    optimizer.build([variable])
    for _ in range(2):
        optimizer.apply([keras.ops.ones([1])], [variable])
    optimizer.finalize_variable_values([variable])  # as Keras calls it
    np.testing.assert_allclose(variable, [0.0])
