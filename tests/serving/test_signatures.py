"""The signatures of an exported model: names, types and shapes, any batch, one seed one image, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import ranges
from pga_tf.serving import export, gate, reference, signatures
from pga_tf.settings.export import TOLERANCES
from tests.serving import models

SHAPE, DIM = (8, 8, 1), 3
SEEDS = tf.constant([3, 2**40, 3, 0], tf.int64)


@pytest.fixture(scope="module")
def pair():
    return models.make()


@pytest.fixture(scope="module")
def loaded(pair, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("model"))
    export.write(*pair, SHAPE, folder)
    return tf.saved_model.load(folder)


def call(loaded, signature, *values):
    function = loaded.signatures[signature]
    names = sorted(function.structured_input_signature[1])
    return function(**dict(zip(names, map(tf.constant, values), strict=True)))


def test_signatures_have_the_names_types_and_shapes_of_the_contract(loaded):
    image, vector, text = (tf.float32, (None, *SHAPE)), (tf.float32, (None,)), (tf.string, (None,))
    seed, code = (tf.int64, (None,)), (tf.float32, (None, DIM))
    expected = {
        "serving_default": ({"seed": seed}, {"image": image}),
        "sample": ({"seed": seed}, {"image": image}),
        "sample_png": ({"seed": seed}, {"png_bytes": text}),
        "decode": ({"z": code}, {"image": image}),
        "encode": ({"image": image}, {"z": code}),
        "reconstruct": ({"image": image}, {"image": image}),
        "interpolate": ({"image_a": image, "image_b": image, "t": vector}, {"image": image}),
        "score": ({"image": image}, {"reconstruction_error": vector, "log_prior": vector}),
    }
    assert set(loaded.signatures) == set(expected)
    for name, sides in expected.items():
        function = loaded.signatures[name]
        found = (function.structured_input_signature[1], function.structured_outputs)
        for side, tensors in zip(sides, found, strict=True):
            assert {key: (t.dtype, tuple(t.shape)) for key, t in tensors.items()} == side, name


def test_image_i_depends_on_seed_i_alone(loaded):
    found = call(loaded, "sample", SEEDS)["image"].numpy()
    np.testing.assert_array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 1e-3
    for i in range(4):  # a matrix product of another batch may add in another order
        np.testing.assert_allclose(call(loaded, "sample", SEEDS[i : i + 1])["image"][0], found[i], atol=1e-6)


def test_a_png_shows_the_sample_rounded(loaded):
    found = call(loaded, "sample", SEEDS)["image"]
    for png, image in zip(call(loaded, "sample_png", SEEDS)["png_bytes"], found, strict=True):
        np.testing.assert_array_equal(tf.io.decode_png(png), ranges.to_uint8(image, (0.0, 1.0)))


@pytest.mark.parametrize("name", ["sample", "sample_png", "decode", "encode", "reconstruct", "interpolate", "score"])
def test_a_batch_may_be_empty(loaded, name):
    inputs = loaded.signatures[name].structured_input_signature[1]
    found = loaded.signatures[name](**{k: tf.zeros([0, *s.shape[1:]], s.dtype) for k, s in inputs.items()})
    for key, value in found.items():
        assert value.shape == (0, *loaded.signatures[name].structured_outputs[key].shape[1:])


def test_interpolation_ends_at_the_reconstructions(loaded):
    a, b = models.images(2)[:1], models.images(2)[1:]
    ends = [call(loaded, "interpolate", a, b, [t])["image"] for t in (0.0, 1.0)]
    for end, image in zip(ends, (a, b), strict=True):
        np.testing.assert_allclose(end, call(loaded, "reconstruct", image)["image"], atol=1e-6)


def test_decode_is_the_way_back_of_encode_and_sample_has_its_own_statistics():
    model, prior = models.make("lpga", batch_norm="per_source")
    rng = np.random.default_rng(0)
    for variable in model.decoder.non_trainable_variables:  # statistics of every source, all different
        low = 0.5 if "variance" in variable.path else -0.5
        variable.assign(rng.uniform(low, low + 1.0, variable.shape))
    served = signatures.Served(model, prior, SHAPE).signatures()
    x = tf.constant(models.images(3))
    z, restored = served["encode"](x)["z"], served["reconstruct"](x)["image"]
    np.testing.assert_allclose(served["decode"](z)["image"], restored, atol=1e-6)
    codes = prior.sample(SEEDS)
    difference = served["sample"](SEEDS)["image"] - served["decode"](codes)["image"]
    assert np.abs(difference).max() > 1e-3


def test_the_score_is_that_of_the_reconstruction_and_the_code(loaded):
    images = models.images(3)
    found = call(loaded, "score", images)
    restored, z = call(loaded, "reconstruct", images)["image"], call(loaded, "encode", images)["z"].numpy()
    error = np.square(images - restored.numpy()).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found["reconstruction_error"], error, rtol=1e-5)
    np.testing.assert_allclose(found["log_prior"], -0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=1), rtol=1e-5)


ONE = np.full([1, *SHAPE], 0.5, np.float32)


@pytest.mark.parametrize(
    ("signature", "values", "message"),
    [
        ("encode", [ONE * np.nan], r"image: expected numbers in \[0, 1\]"),
        ("reconstruct", [ONE + 0.6], r"image: expected numbers in \[0, 1\]"),
        ("score", [ONE - 0.6], r"image: expected numbers in \[0, 1\]"),
        ("interpolate", [ONE, ONE - 1.0, [0.5]], r"image_b: expected numbers in \[0, 1\]"),
        ("interpolate", [ONE, ONE, [1.5]], r"t: expected numbers in \[0, 1\]"),
        ("interpolate", [ONE, np.concatenate([ONE, ONE]), [0.5]], "image_a and image_b and t: expected as many rows"),
        ("decode", [[[0.0, np.inf, 0.0]]], "z: expected finite numbers"),
    ],
)
def test_impossible_numbers_are_invalid_arguments(loaded, signature, values, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call(loaded, signature, *[np.asarray(value, np.float32) for value in values])


def test_no_answer_holds_what_is_not_finite():
    model, prior = models.make()
    served = signatures.Served(model, prior, SHAPE).signatures()
    with pytest.raises(tf.errors.InvalidArgumentError, match="output log_prior is not finite"):
        signatures.Served(model, prior, SHAPE)._servable(lambda z: {"log_prior": prior.log_prob(z)})(
            tf.fill([2, 3], 1e30)
        )
    for variable in model.decoder.trainable_variables:
        variable.assign(np.full(variable.shape, np.nan))
    images = models.images(2)
    for name, values in (
        ("sample", SEEDS),
        ("sample_png", SEEDS),
        ("decode", tf.zeros([2, DIM])),
        ("reconstruct", images),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match="output image is not finite"):
            served[name](tf.constant(values))
    with pytest.raises(tf.errors.InvalidArgumentError, match="output reconstruction_error is not finite"):
        served["score"](tf.constant(images))


@pytest.mark.parametrize("shape", [(8, 8), (1, 4, 4, 1), (1, 8, 8, 3)])
def test_images_of_another_shape_are_refused(loaded, shape):
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        call(loaded, "encode", np.zeros(shape, np.float32))


def test_points_have_no_pictures_and_no_bounds(tmp_path):
    model, prior = models.make("vae", shape=(1, 1, 2), latent_dim=2)
    export.write(model, prior, (1, 1, 2), tmp_path)
    loaded = tf.saved_model.load(str(tmp_path))
    assert "sample_png" not in loaded.signatures
    call(loaded, "encode", np.full([1, 1, 1, 2], 1.25, np.float32))
    with pytest.raises(tf.errors.InvalidArgumentError, match="finite"):
        call(loaded, "encode", np.full([1, 1, 1, 2], np.nan, np.float32))


def test_a_prior_without_a_density_has_no_log_prior(tmp_path):
    export.write(*models.make(prior="second_vae"), SHAPE, tmp_path)
    assert set(tf.saved_model.load(str(tmp_path)).signatures["score"].structured_outputs) == {"reconstruction_error"}


def test_smaller_weights_of_a_prior_serve_every_signature(tmp_path):
    model, prior = models.make(prior="flow_matching")
    for variable in prior.trainable_variables:
        variable.assign(variable + 0.1 * tf.random.stateless_normal(variable.shape, seed=[0, 0]))
    export.write(model, prior, SHAPE, tmp_path, optimize="int8")
    found = gate.check(str(tmp_path), reference.arrays(model, prior, SHAPE), TOLERANCES["int8"])
    assert found["sample"] > 1e-7  # rounded weights were used


@pytest.mark.parametrize(("kind", "bytes_of_a_weight"), [("bfloat16", 2), ("int8", 1)])
def test_smaller_weights_are_smaller_and_nearly_the_same(tmp_path, kind, bytes_of_a_weight):
    model, prior = models.make(filters=32)
    for name in ("none", kind):
        export.write(model, prior, SHAPE, tmp_path / name, optimize=name)
    sizes = {p.parts[-3]: p.stat().st_size for p in tmp_path.glob("*/variables/*.data*")}
    assert sizes[kind] / sizes["none"] == pytest.approx(bytes_of_a_weight / 4, abs=0.05)
    expected = reference.arrays(model, prior, SHAPE)
    found = gate.check(str(tmp_path / kind), expected, TOLERANCES[kind])
    assert max(found.values()) > 1e-5  # it is not the same model
    with pytest.raises(gate.Difference):
        gate.check(str(tmp_path / kind), expected, 1e-5)
