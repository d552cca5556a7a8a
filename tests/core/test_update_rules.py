"""Update rules against their equations in float64, against Keras's own, and the wait for all gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import update_rules, updates

RATE, DECAY = 0.05, 0.1
RULES = {
    "adam": (update_rules.Adam, keras.optimizers.Adam, {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3}),
    "adam, amsgrad": (update_rules.Adam, keras.optimizers.Adam, {"amsgrad": True}),
    "sgd": (update_rules.SGD, keras.optimizers.SGD, {}),
    "sgd, momentum": (update_rules.SGD, keras.optimizers.SGD, {"momentum": 0.7}),
    "sgd, nesterov": (update_rules.SGD, keras.optimizers.SGD, {"momentum": 0.7, "nesterov": True}),
    "rmsprop": (update_rules.RMSprop, keras.optimizers.RMSprop, {"rho": 0.8}),
    "rmsprop, momentum": (update_rules.RMSprop, keras.optimizers.RMSprop, {"rho": 0.8, "momentum": 0.7}),
}
GRADIENTS = np.random.default_rng(0).normal(size=(12, 3, 5)).astype(np.float32)


def _by_hand(rule, weights, gradients):
    """float64 weights after one update for each of `gradients`, by the papers' equations."""
    x, m, v = np.float64(weights), 0.0, 0.0
    for t, g in enumerate(np.float64(gradients), start=1):
        if rule == "adam":
            m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
            x = x - RATE * np.sqrt(1 - 0.9**t) / (1 - 0.8**t) * m / (np.sqrt(v) + 1e-3)
        elif rule.startswith("sgd"):
            beta = 0.0 if rule == "sgd" else 0.7
            m = beta * m - RATE * g
            x = x + (beta * m - RATE * g if rule == "sgd, nesterov" else m)
        else:
            v = 0.8 * v + 0.2 * g**2
            m = (0.7 if rule == "rmsprop, momentum" else 0.0) * m + RATE * g / np.sqrt(v + 1e-7)
            x = x - m
    return x


def _after(optimizer, gradients, **kwargs):
    """The weights, a Keras variable and the optimiser after an update for each of `gradients`."""
    weights = keras.Variable(np.linspace(-1, 1, 15, dtype=np.float32).reshape(3, 5), name="weights")
    optimizer.build([weights])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [weights], **kwargs))
    for gradient in gradients:
        step(tf.constant(gradient))
    return weights


@pytest.mark.parametrize("rule", [rule for rule in RULES if "amsgrad" not in rule])
def test_weights_are_those_of_the_equations(rule):
    ours, _, options = RULES[rule]
    start = np.linspace(-1, 1, 15, dtype=np.float32).reshape(3, 5)
    weights = _after(ours(RATE, **options), GRADIENTS)
    np.testing.assert_allclose(weights.numpy(), _by_hand(rule, start, GRADIENTS), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("rule", RULES)
def test_weights_slots_and_their_names_are_those_of_keras(rule):
    ours, keras_own, options = RULES[rule]
    made = [kind(RATE, weight_decay=DECAY, name="rule", **options) for kind in (ours, keras_own)]
    weights = [_after(optimizer, GRADIENTS) for optimizer in made]
    np.testing.assert_allclose(weights[0].numpy(), weights[1].numpy(), rtol=2e-5, atol=2e-6)
    for mine, theirs in zip(made[0].variables, made[1].variables, strict=True):
        assert mine.path == theirs.path
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("rule", RULES)
def test_a_copy_by_its_configuration_moves_weights_alike(rule):
    ours, _, options = RULES[rule]
    first = ours(RATE, **options)
    second = keras.optimizers.deserialize(keras.optimizers.serialize(first))
    assert type(second) is ours
    np.testing.assert_array_equal(*(_after(optimizer, GRADIENTS[:3]).numpy() for optimizer in (first, second)))


@pytest.mark.parametrize("rule", RULES)
def test_no_weight_moves_before_what_it_waits_for_is_there(rule):
    """A move is made of `after`: with NaN there, the weight is NaN; with 1, nothing changes."""
    ours, _, options = RULES[rule]
    free = _after(ours(RATE, **options), GRADIENTS[:2])
    waited = _after(ours(RATE, **options), GRADIENTS[:2], after=tf.constant(1.0))
    np.testing.assert_allclose(waited.numpy(), free.numpy(), rtol=1e-6)
    assert np.isnan(_after(ours(RATE, **options), GRADIENTS[:1], after=tf.constant(np.nan)).numpy()).all()


@pytest.mark.parametrize("name", ["adam", "Adam", "sgd", "rmsprop"])
def test_a_name_stands_for_ours_with_keras_own_settings(name):
    ours, keras_own = update_rules.get(name), keras.optimizers.get(name)
    assert isinstance(ours, update_rules.Waiting)
    assert isinstance(ours, type(keras_own))
    unnamed = [optimizer.get_config() | {"name": ""} for optimizer in (ours, keras_own)]  # Keras numbers them
    assert unnamed[0] == unnamed[1]


def test_other_optimisers_are_handed_on():
    given = keras.optimizers.Adam(1e-3)
    assert update_rules.get(given) is given
    assert type(update_rules.get("adamw")) is keras.optimizers.AdamW


@pytest.mark.parametrize("kind", [update_rules.Adam, keras.optimizers.Adam], ids=["ours", "keras"])
def test_all_gradients_of_a_step_hold_back_each_weight(kind):
    """One NaN among the gradients reaches the weights of the others, which shows that they waited for it."""
    weights = [keras.Variable(np.ones(2, np.float32), name=name) for name in ("a", "b")]
    optimizer = kind(RATE)
    optimizer.build(weights)
    gradients = [tf.constant([1.0, 2.0]), tf.constant([np.nan, 0.0])]
    one = updates.one_of_all(updates.sums_of_squares(gradients))
    updates.apply(optimizer, gradients[:1], weights[:1], one)
    assert np.isnan(weights[0].numpy()).all()
    updates.apply(optimizer, gradients[:1], weights[1:], None)
    assert np.isfinite(weights[1].numpy()).all()
