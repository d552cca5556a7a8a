"""Draws around an image's code, and the scatter of labelled codes, against linear maps and NumPy."""

import numpy as np
import pytest
from matplotlib import colormaps

from pga_tf.core import streams
from pga_tf.evaluation import codes, measures, posterior
from tests.evaluation.toys import DIM, HELD_OUT, SHAPE, decoder, subject

GAINS = np.array([4.0, 20.0, 1.0])
MEAN, LAMBDA = np.array([0.3, -0.2, 0.1]), np.array([0.2, 0.01, 1.0])


def test_draws_move_one_dimension_and_are_sorted_by_its_posterior_variance():
    asked = []

    def decode(z):
        asked.append(z)
        values = 100.0 + z @ GAINS
        return np.tile(values[:, None, None, None], (1, 2, 2, 1))

    order, variances, images = posterior.draws(MEAN, LAMBDA, decode)
    assert order.tolist() == [1, 0, 2]
    assert images.shape == (3, 15, 2, 2, 1)
    noise = streams.generator("evaluation/draws").standard_normal(15, np.float32)
    moved = np.concatenate(asked).reshape(3, 15, 3) - MEAN
    for row, dimension in enumerate(order):
        np.testing.assert_allclose(moved[row], noise[:, None] * np.eye(3)[dimension], atol=1e-6)
    np.testing.assert_allclose(variances, np.square(GAINS[order]) * noise.var(ddof=1), rtol=1e-5)


def test_image_variance_is_a_mean_over_pixels_in_bytes():
    def decode(z):  # one of four pixels moves, from byte to byte
        images = np.zeros((len(z), 2, 2, 1), np.uint8)
        images[:, 0, 0, 0] = np.where(z[:, 0] > 0, 200, 100)
        return images

    _, variances, images = posterior.draws(np.zeros(1), np.ones(1), decode)
    assert variances == pytest.approx([np.var(images[0, :, 0, 0, 0].astype(float), ddof=1) / 4])
    assert variances[0] > 100


STDDEV = np.float32([0.1, 0.9, 0.5])


def of_posterior(**parts):
    return measures.of_posterior(subject(posterior_stddev=lambda x: np.tile(STDDEV, (len(x), 1)), **parts), HELD_OUT)


def test_the_optimum_is_looked_at_where_there_is_one():
    precise = lambda z: np.tile(np.diag(1.0 / np.square(STDDEV)), (len(z), 1, 1))
    found, along = of_posterior(posterior_precision=precise)
    assert (found["images"], found["left_out"]) == (32, None)
    assert found["deviation"] == pytest.approx(0.0, abs=1e-6)
    assert along.shape == (DIM, 15, *SHAPE)
    assert found["draws"]["direction_order"] == [0, 2, 1]
    assert found["draws"]["posterior_variances"] == pytest.approx([0.01, 0.25, 0.81])
    assert "no bound" in of_posterior()[0]["left_out"]
    assert measures.of_posterior(subject(), HELD_OUT) == measures.of_posterior(decoder(), HELD_OUT) == (None, None)


def test_of_many_dimensions_an_even_choice_is_shown_and_the_optimum_is_left_out(monkeypatch):
    many, image = 70, np.zeros((40, 2, 2, 1), np.uint8)
    model = subject(
        encode=lambda x: np.zeros((len(x), many), np.float32),
        decode=lambda z, source: np.zeros((len(z), 2, 2, 1), np.uint8),
        posterior_stddev=lambda x: np.tile(np.linspace(0.9, 0.1, many, dtype=np.float32), (len(x), 1)),
        posterior_precision=lambda z: pytest.fail("too large"),
    )
    found, along = measures.of_posterior(model, image)
    assert found["left_out"] == "not looked at beyond 64 latent dimensions"
    assert len(along) == 16 == len(found["draws"]["shown"])
    assert (found["draws"]["shown"][0], found["draws"]["shown"][-1]) == (0, many - 1)
    assert len(found["draws"]["image_variances"]) == many


def test_points_have_no_draws():
    points = np.zeros((40, 1, 1, 2), np.float32)
    model = subject(encode=lambda x: np.zeros((len(x), 3), np.float32), posterior_stddev=lambda x: np.ones((len(x), 3)))
    found, along = measures.of_posterior(model, points)
    assert along is None
    assert "draws" not in found


def test_the_plane_is_that_of_the_largest_variance():
    random = np.random.default_rng(0)
    held = random.normal(size=(500, 4)) * [0.1, 3.0, 0.2, 2.0] + 5.0
    points, share = codes.plane(held)
    values, vectors = np.linalg.eigh(np.cov(held.T))
    for i in (0, 1):
        expected = (held - held.mean(axis=0)) @ vectors[:, -1 - i]
        assert abs(points[:, i] @ expected) == pytest.approx(np.linalg.norm(expected) ** 2)
        assert np.corrcoef(points[:, i], held[:, (1, 3)[i]])[0, 1] > 0.99  # the sign is fixed
    assert share == pytest.approx(values[-2:].sum() / values.sum())
    np.testing.assert_array_equal(codes.plane(held[:, :2])[0], held[:, :2])
    assert codes.plane(np.ones((5, 3)))[1] == 1.0


def test_each_label_has_its_colour_and_the_rarest_of_many_are_grey():
    def shown(labels):
        """The colours of a label, whose points stand in a column of their own, left to right."""
        columns = np.stack([labels, np.linspace(0, 11, len(labels))], axis=1).astype(float)
        image = codes.scatter(columns, labels, [str(i) for i in range(12)])
        return {tuple(colour) for colour in image.reshape(-1, 3)}

    wanted = lambda i: tuple(np.round(255 * np.array(colormaps["tab10"](i)[:3])).astype(int))
    two = shown(np.repeat([0, 7], 50))
    assert {wanted(0), wanted(1)} <= two
    assert wanted(2) not in two
    many = shown(np.repeat(np.arange(12), [50] * 3 + [5] * 2 + [50] * 7))  # 3 and 4 are rare
    grey = (179, 179, 179)
    assert grey in many
    assert grey not in two
    assert {wanted(i) for i in range(10)} <= many
