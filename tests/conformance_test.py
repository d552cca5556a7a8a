"""Every registered method and every prior keeps the contracts that later stages build on.

A new method or prior is covered by being registered; nothing here names one.
"""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf import networks
from pga_tf.core import interfaces, ranges
from pga_tf.core.checks import InputError
from pga_tf.methods import METHODS, assembly
from pga_tf.networks import NetworkOptions
from pga_tf.priors import PRIORS
from pga_tf.serving import export, gate, reference, stored
from pga_tf.training import loop, scoring
from pga_tf.training.drawing import Drawing
from tests import graphs, strategies
from tests.methods import builders
from tests.training import helpers

# Of the largest change of a weight. Untrained networks magnify rounding: the gradient of Eq. 7's log-ratio grows as h
# moves less. A step that is taken twice, or noise that differs, changes weights by the whole.
ROUNDING = 5e-3


def assert_same_weights(initial, expected, received):
    largest = max(np.abs(a - b).max() for a, b in zip(initial, expected, strict=True))
    assert largest > 0.0
    for a, b in zip(expected, received, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.0, atol=ROUNDING * largest)


each_method = pytest.mark.parametrize("method", METHODS.names())
# Options that change what a step is made of, for the tests in which that matters.
VARIANTS = [
    ("ae", {"latent_batch_norm": True}),
    ("prior_free", {"critic_norm": "spectral"}),
    ("rae", {"regulariser": "gradient_penalty", "weight_regulariser": 1.0}),
    ("rae", {"regulariser": "spectral_norm"}),
]
CASES = [(method, {}) for method in METHODS.names()] + VARIANTS
named = lambda value: "-".join(map(str, value.values())) or "default" if isinstance(value, dict) else value
each_case = pytest.mark.parametrize(("method", "options"), CASES, ids=named)
each_prior = pytest.mark.parametrize("prior", PRIORS.names())


def _ready(method, **kwargs):
    """A method with every loss on from the first step."""
    fields = METHODS.get(method).Options.__dataclass_fields__
    if "warmup_steps" in fields:
        kwargs["warmup_steps"] = 0
    if "perturbation_scale" in fields:
        kwargs["perturbation_scale"] = 0.3  # a difference of h over 1e-2 is mostly rounding at untrained weights
    return builders.build(method, **kwargs)


def _train(model, step, count=2):
    for i in range(count):
        logs = step(builders.images(model, seed=i))
    return {name: float(value) for name, value in logs.items()}, builders.weights(model)


@each_case
def test_eager_equals_graph_equals_xla(method, options):
    results, initial = [], builders.weights(_ready(method, batch_norm="per_source", **options))
    for wrap in (lambda f: f, tf.function, lambda f: tf.function(f, jit_compile=True)):
        model = _ready(method, batch_norm="per_source", **options)
        results.append(_train(model, wrap(model.train_step)))
    (eager_logs, eager), *others = results
    for logs, weights in others:
        assert logs == pytest.approx(eager_logs, rel=2e-3, abs=1e-5)
        assert_same_weights(initial, eager, weights)


@each_case
def test_no_weight_moves_before_all_that_the_step_computes_from_it(method, options):
    decayed = lambda: keras.optimizers.Adam(1e-3, weight_decay=0.1)  # assigns weights once more
    model = _ready(method, batch_norm="per_source", optimizer=decayed, **options)
    loose, pairs = graphs.unordered(graphs.optimised(tf.function(model.train_step), builders.images(model)))
    assert pairs > 2 * len(model.trainable_variables)
    assert not loose


def _fit(method, batch_norm, strategy, options):
    with strategy.scope():
        model = _ready(method, batch_norm=batch_norm, **options)
    stream = tf.data.Dataset.from_tensor_slices(np.concatenate([builders.images(model, seed=i) for i in range(3)]))
    model.fit(stream.batch(8, drop_remainder=True), epochs=1, steps_per_epoch=3, shuffle=False, verbose=0)
    return model


@pytest.mark.parametrize(
    ("batch_norm", "method", "options"),
    [("none", METHODS.names()[0], {})] + [("per_source", *case) for case in CASES],
    ids=named,
)
def test_one_replica_equals_two(batch_norm, method, options):
    one = _fit(method, batch_norm, tf.distribute.get_strategy(), options)
    two = _fit(method, batch_norm, strategies.two_replicas(), options)
    initial = builders.weights(_ready(method, batch_norm=batch_norm, **options))
    assert_same_weights(initial, builders.weights(one), builders.weights(two))
    logs = two.get_metrics_result()
    for name, value in one.get_metrics_result().items():
        assert float(logs[name]) == pytest.approx(float(value), rel=5e-3, abs=1e-5), name


@each_method
def test_two_batches_move_every_network(method):
    model = _ready(method)
    before = builders.weights(model)
    _, after = _train(model, model.train_step)
    for variable, old, new in zip(model.trainable_variables, before, after, strict=True):
        assert np.any(old != new), variable.path


@each_case
def test_bfloat16_stays_finite_and_keeps_float32_weights(method, options):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = _ready(method, batch_norm="per_source", **options)
    logs, weights = _train(model, tf.function(model.train_step), count=5)
    assert all(np.isfinite(value) for value in logs.values()), logs
    assert all(w.dtype == np.float32 and np.isfinite(w).all() for w in weights)
    assert model.decode(tf.zeros([2, builders.LATENT])).dtype == tf.float32


@each_method
def test_interfaces(method):
    model = _ready(method)
    assert isinstance(model, interfaces.Decodes)
    images = builders.images(model, count=5)
    low, high = model.image_range
    decoded = model.decode(tf.random.stateless_normal([5, builders.LATENT], seed=[0, 0]))
    assert decoded.shape == images.shape
    assert decoded.dtype == tf.float32
    assert low <= float(tf.reduce_min(decoded)) <= float(tf.reduce_max(decoded)) <= high
    if isinstance(model, interfaces.Encodes):
        assert model.encode(images).shape == (5, builders.LATENT)
    if isinstance(model, interfaces.HasPosterior):
        posterior = model.posterior(images)
        assert posterior.batch_shape == (5,)
        assert posterior.event_shape == (builders.LATENT,)
        np.testing.assert_array_equal(posterior.mean(), model.encode(images))


@each_method
def test_logs_carry_the_papers_names_and_a_gradient_norm_for_each_network(method):
    model = _ready(method)
    logs, _ = _train(model, model.train_step, count=1)
    assert set(model.LOSSES) <= logs.keys()
    for network in model.networks():
        assert logs[f"gradient_norm/{network}"] > 0.0


@each_method
def test_diagnostics_are_finite(method):
    model = _ready(method)
    for name, value in model.diagnostics(builders.images(model)).items():
        assert np.isfinite(value).all(), name


def _assert_exported_equals_in_process(model, prior, folder):
    shape = model.decode(tf.zeros([1, model.latent_dim])).shape[1:].as_list()
    export.write(model, prior, shape, folder)
    found = gate.check(str(folder), reference.arrays(model, prior, shape), stored.TOLERANCES["none"])
    assert {"sample", "sample_png", "decode", "encode", "reconstruct", "interpolate", "score"} <= found.keys()


@each_case
def test_it_is_served_as_in_process(method, options, tmp_path):
    model = _ready(method, batch_norm="per_source", **options)
    _train(model, model.train_step)  # so that running statistics differ from those of any batch
    _assert_exported_equals_in_process(model, PRIORS.get("normal")(model.latent_dim), tmp_path)


@each_prior
def test_a_prior_is_served_as_in_process(prior, tmp_path):
    keras.utils.set_random_seed(0)
    _assert_exported_equals_in_process(_ready("ae"), PRIORS.get(prior)(builders.LATENT), tmp_path)


@each_method
def test_resume_is_bitwise_exact(method, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    settings = {"batch_norm": "per_source", "optimizer": "adam", "learning_rate": 1e-3, "ema": 0.9}
    settings |= {"method": method, "steps": 7, "checkpoint_every": 3, "keep_checkpoints": 3}
    loop.train(helpers.config(whole, **settings), out=str)
    helpers.cut(shutil.copytree(whole, parts), 3)
    lines = []
    loop.train(helpers.config(parts, **settings), out=lines.append)
    assert "starting after step 3" in "\n".join(lines)
    helpers.assert_same_state(helpers.state(whole), helpers.state(parts))


def _needs():
    """What methods need their networks to be, once each, by the first method that needs it."""
    found = {}
    for method in METHODS.names():
        found.setdefault(METHODS.get(method).requirements(METHODS.get(method).Options()), method)
    return [pytest.param(needs, id=method) for needs, method in found.items()]


@pytest.mark.parametrize("needs", _needs())
@pytest.mark.parametrize("network", networks.names())
def test_a_network_takes_the_image_size_or_says_which_it_takes(needs, network):
    options = NetworkOptions(network=network, latent_dim=2, filters=4)
    build = lambda shape: assembly.build_networks(needs, options, shape)
    with pytest.raises(InputError, match=r"expected .*received .*Remedy"):
        build((0, 0, 1))
    made = build((32, 32, 3))
    codes = made["encoder"](tf.zeros([2, 32, 32, 3]))
    assert made["decoder"](codes[0] if needs.stochastic else codes).shape == (2, 32, 32, 3)
    if needs.critic:
        assert made["critic"](tf.zeros([2, 32, 32, 3])).shape == (2, 1)


@each_method
def test_it_can_be_evaluated(method):
    model = _ready(method, batch_norm="per_source")
    subject = scoring.subject(Drawing(model, PRIORS.get("normal")(model.latent_dim)))
    images = subject.sample(0, 0, 6)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(subject.sample(0, 2, 3), images[2:5])  # sample i, however many are drawn
    assert (subject.sample(1, 0, 6) != images).any()
    codes = subject.encode(images)
    np.testing.assert_array_equal(subject.decode(codes, "data").shape, images.shape)
    for source in ("data", "prior"):
        assert np.isfinite(subject.recode(codes, source)).all()
    if subject.posterior_stddev is not None:
        assert (subject.posterior_stddev(images) > 0).all()
    exact, bound = subject.log_det(codes)
    assert exact.shape == bound.shape == (6,)


@each_prior
def test_prior_samples_are_a_function_of_their_own_seed(prior):
    model = PRIORS.get(prior)(4)
    assert isinstance(model, interfaces.Samples)
    seeds = tf.constant([5, 9, 2**40 + 1, 5], tf.int64)
    codes = model.sample(seeds).numpy()
    assert codes.shape == (4, 4)
    np.testing.assert_array_equal(codes[0], codes[3])
    # a matrix product may add in another order for another batch
    np.testing.assert_allclose(codes[2:3], model.sample(seeds[2:3]), atol=1e-6)
    assert model.sample(seeds[:0]).shape == (0, 4)
    assert len({row.tobytes() for row in codes}) == 3


def test_the_normal_prior_is_normal():
    codes = PRIORS.get("normal")(4).sample(tf.range(20000, dtype=tf.int64)).numpy()
    np.testing.assert_allclose(codes.mean(axis=0), 0.0, atol=0.03)  # 4 standard errors
    np.testing.assert_allclose(np.cov(codes.T), np.eye(4), atol=0.05)


@each_prior
def test_a_step_of_a_prior_keeps_the_order_of_reads_and_writes(prior):
    model = PRIORS.get(prior)(4)
    if model.FIT != "steps":
        pytest.skip(f"{prior} is not fitted by steps")
    model.compile(**{name: keras.optimizers.Adam(1e-3) for name in model.OPTIMIZERS})
    for name, keys in model.OPTIMIZERS.items():
        getattr(model, name).build([v for key in keys for v in model.networks()[key]])
    codes = tf.random.stateless_normal([8, 4], seed=[0, 0])
    loose, pairs = graphs.unordered(graphs.optimised(tf.function(model.train_step), codes))
    assert pairs > 2 * len(model.trainable_variables)
    assert not loose
    logs = model.train_step(codes)
    assert set(model.LOSSES) <= logs.keys()
    assert all(np.isfinite(value) for value in logs.values())


def test_quantisation_is_the_inverse_of_rescaling():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for target in ((-1.0, 1.0), (0.0, 1.0)):
        np.testing.assert_array_equal(ranges.to_uint8(ranges.rescale(pixels, ranges.UINT8, target), target), pixels)
