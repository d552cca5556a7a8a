"""Options, registry, noise, routing and pictures."""

import dataclasses

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from pga_tf.core import checks, files, grids, noise, options, routing
from pga_tf.core.registry import Registry


@dataclasses.dataclass(frozen=True)
class Some:
    rate: float = options.option(0.5, "a rate", unit="per step", above=0.0, maximum=1.0)
    kind: str = options.option("red", "a colour", choices=("red", "green"))


def test_options_are_held_to_their_ranges():
    assert options.validate(Some()) == Some()
    for bad, text in (
        ({"rate": 0.0}, "> 0.0"),
        ({"rate": 1.5}, "<= 1.0"),
        ({"kind": "gren"}, "did you mean 'green'"),
    ):
        with pytest.raises(checks.InputError, match=text):
            options.validate(Some(**bad))
    assert "per step" in options.describe(dataclasses.fields(Some)[0])


def test_registry_proposes_the_nearest_name_and_refuses_a_second_entry():
    table = Registry("fruit")
    table.register("apple")(1)
    assert table.get("apple") == 1
    with pytest.raises(checks.InputError, match="did you mean 'apple'"):
        table.get("aple")
    with pytest.raises(ValueError, match="twice"):
        table.register("apple")(2)


def test_noise_is_standard_normal():
    values = noise.standard_normal([200_000], tf.constant([3, 4])).numpy()
    assert scipy.stats.kstest(values, "norm").pvalue > 1e-3
    assert np.isfinite(values).all()
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.01


def test_truncated_noise_is_a_normal_law_cut_off_at_two_deviations():
    draw = lambda: noise.truncated_normal([20000], tf.constant([3, 7], tf.int64))
    values = draw().numpy()
    assert np.abs(values).max() < 2.0
    assert scipy.stats.kstest(values, scipy.stats.truncnorm(-2, 2).cdf).pvalue > 1e-3
    np.testing.assert_allclose(tf.function(draw, jit_compile=True)(), values, rtol=1e-4, atol=1e-6)


def test_noise_is_the_same_eagerly_in_graphs_and_under_xla():
    draw = lambda key: noise.standard_normal([7, 5], key)
    for dtype in (tf.int32, tf.int64):
        key = tf.constant([12, 3456], dtype)
        np.testing.assert_array_equal(draw(key), tf.function(draw)(key))
        np.testing.assert_allclose(draw(key), tf.function(draw, jit_compile=True)(key), atol=2e-6)


def test_a_held_network_passes_gradients_and_receives_none_and_keeps_its_state_moving():
    network = keras.Sequential([keras.layers.Dense(3), keras.layers.BatchNormalization()])
    x = tf.Variable(tf.random.stateless_normal([4, 2], seed=[0, 0]))
    network(x)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(routing.held(network)(x, training=True) ** 3)
    gradients = tape.gradient(loss, [x, *network.trainable_variables])
    assert float(tf.reduce_sum(tf.abs(gradients[0]))) > 0
    assert gradients[1:] == [None] * 4
    assert np.any(np.array(network.layers[1].moving_mean) != 0)


def test_carry_hands_a_gradient_over_and_is_worth_nothing():
    value, gradient = tf.Variable([[1.0, 2.0]]), tf.constant([[3.0, -4.0]])
    with tf.GradientTape() as tape:
        carried = routing.carry(gradient, value)
    np.testing.assert_array_equal(carried, [0.0])
    np.testing.assert_array_equal(tape.gradient(carried, value), gradient)


def test_a_missing_gradient_is_an_error_that_names_the_variable():
    dense = keras.layers.Dense(1, name="lonely")
    dense.build((None, 1))
    with pytest.raises(ValueError, match="lonely/bias"):
        routing.require_gradients([tf.zeros([1, 1]), None], dense.trainable_variables)


def test_a_grid_puts_images_row_by_row():
    images = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 40, 40, 1), np.uint8)
    picture = grids.tile(images, columns=3)
    assert picture.shape == (82, 124, 1)
    assert [int(picture[y, x, 0]) for y in (0, 42) for x in (0, 42, 84)] == [0, 1, 2, 3, 4, 5]
    assert picture[41, 0, 0] == grids.GREY
    with pytest.raises(checks.InputError, match="uint8"):
        grids.tile(images.astype(np.float32))


def test_a_grid_of_bands_has_captions_and_sets_what_belongs_together_apart():
    images = np.arange(1, 13, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    picture = grids.tile_rows(images, ("original", "reconstruction"), columns=4)[..., 0].astype(int)
    side = 176  # 720 / 4 = 180, of whole 8s
    margin = picture.shape[1] - (4 * (side + 2) - 2)
    tops = [np.argmax(picture[:, margin + 5] == value) for value in (1, 2, 9, 10)]
    # Pairs 0 to 3 above each other, then, further apart, pairs 4 and 5.
    assert np.diff(tops).tolist() == [side + 2, side + 2 + 10, side + 2]
    rows = picture[[tops[0] + 5, tops[1] + 5, tops[2] + 5, tops[3] + 5], margin:][:, 5 :: side + 2]
    assert rows.tolist() == [
        [1, 3, 5, 7],
        [2, 4, 6, 8],
        [9, 11, grids.GREY, grids.GREY],
        [10, 12, grids.GREY, grids.GREY],
    ]
    for top in tops:  # text in the margin, beside the middle of its row and nowhere else
        lines = np.nonzero((picture[top : top + side, :margin] > 200).any(axis=1))[0]
        assert side / 2 - 10 < lines.min() <= lines.max() < side / 2 + 10
    wide = lambda top: np.ptp(np.nonzero((picture[top : top + side, :margin] > 200).any(axis=0))[0])
    assert wide(tops[1]) > 1.5 * wide(tops[0])
    with pytest.raises(checks.InputError, match=r"a multiple of 2 images, .* received 3"):
        grids.tile_rows(images[:3], ("original", "reconstruction"), columns=4)


def test_the_columns_of_a_grid_have_heads():
    images = np.full((6, 40, 40, 1), 10, np.uint8)
    plain = grids.tile_rows(images, ("",), columns=3)
    headed = grids.tile_rows(images, ("",), columns=3, heads=("from", "", "to"))
    head = len(headed) - len(plain)
    np.testing.assert_array_equal(headed[head:], plain)
    columns = np.array_split(headed[:head, :, 0], 3, axis=1)
    assert [bool((column > 200).any()) for column in columns] == [True, False, True]


def test_a_scatter_plot_shows_points_where_they_are():
    left = grids.scatter(np.full((50, 1, 1, 2), -0.9)).astype(int)
    right = grids.scatter(np.full((50, 1, 1, 2), 0.9)).astype(int)
    changed = np.argwhere(np.abs(left - right).sum(-1) > 60)
    assert changed[:, 1].min() < 120
    assert changed[:, 1].max() > 360


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "half \udc80")  # fails while it writes
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
