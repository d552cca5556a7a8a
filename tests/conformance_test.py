"""Every registered method and every prior keeps the contracts that later stages build on.

A new method or prior is covered by being registered; nothing here names one but the variants. Networks are dense ones,
whose steps compile in seconds: what convolutions do is shown once in tests/networks.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf import networks
from pga_tf.core import interfaces, ranges, update_rules
from pga_tf.core.checks import InputError
from pga_tf.methods import METHODS
from pga_tf.networks import NetworkOptions, mlp
from pga_tf.priors import PRIORS
from pga_tf.runs import scoring
from pga_tf.runs.checkpoints import Checkpoints
from pga_tf.serving import export, gate, reference, signatures
from pga_tf.settings.export import TOLERANCES
from tests import graphs, strategies
from tests.methods import builders
from tests.recording import keys_drawn

# Of the largest change of a weight. Untrained networks magnify rounding: the gradient of Eq. 7's log-ratio grows as h
# moves less. A step that is taken twice, or noise that differs, changes weights by the whole.
ROUNDING = 5e-3


def assert_same_weights(initial, expected, received):
    largest = max(np.abs(a - b).max() for a, b in zip(initial, expected, strict=True))
    assert largest > 0.0
    for a, b in zip(expected, received, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.0, atol=ROUNDING * largest)


@pytest.fixture(autouse=True)
def _shallow(monkeypatch):
    """Dense networks with one norm: a layer more shows nothing new and takes longer to compile."""
    monkeypatch.setattr(mlp, "DEPTH", 2)


each_method = pytest.mark.parametrize("method", METHODS.names())
# Options that change what a step is made of, for the tests in which that matters; the first ones change what is served.
OF_NETWORKS = [("ae", {"latent_batch_norm": True}), ("rae", {"regulariser": "spectral_norm"})]
OF_STEPS = [
    ("gan", {"critic_updates": 2, **builders.WGAN_GP}),
    ("prior_free", {"critic_norm": "spectral"}),
    ("rae", {"regulariser": "gradient_penalty", "weight_regulariser": 1.0}),
]
SLOW = [  # their routing and single steps are in the suite at all times, tests/methods
    ("adversarial_pga", {"code_law": "likelihood"}),
    ("gan", {"penalty": "clip", "clip": 0.1, "critic_norm": "batch"}),
    ("gan", {"penalty": "r1", "critic_norm": "spectral", "loss": "hinge"}),
    ("soft_intro_vae", {"critic_loss": "hinge", "hinge_margin": 20.0, "weight_neg": 0.5}),
    ("wae", {"divergence": "gan"}),
    ("wae", {"divergence": "gan", "in_turn": True, "stochastic_encoder": True, "input_noise": 0.1}),
    ("wae", {"divergence": "sliced", "stochastic_encoder": True, "weight_kl": 0.5}),
]
ALL = [(method, {}) for method in METHODS.names()]
USUAL = [case for case in ALL if case[0] != "gan"] + OF_NETWORKS + OF_STEPS  # of GANs, the hardest
slow = lambda cases: [pytest.param(*case, marks=pytest.mark.slow) for case in cases]
CASES = USUAL + slow(SLOW)
# One of each way in which a step is made up, for what concerns the frame more than the method; `slow` has the others.
OF_EACH_KIND = [("lpga", {}), ("vae", {}), ("mmd_pga", {}), ("gan", {"critic_updates": 2, **builders.WGAN_GP})]
COMPILED = OF_EACH_KIND + slow(case for case in USUAL + SLOW if case not in OF_EACH_KIND)
named = lambda value: "-".join(map(str, value.values())) or "default" if isinstance(value, dict) else value
each_case = pytest.mark.parametrize(("method", "options"), CASES, ids=named)
each_compiled = pytest.mark.parametrize(("method", "options"), COMPILED, ids=named)
each_prior = pytest.mark.parametrize("prior", PRIORS.names())


def _ready(method, **kwargs):
    """A method with every loss on from the first step."""
    fields = METHODS.get(method).Options.__dataclass_fields__
    if "warmup_steps" in fields:
        kwargs["warmup_steps"] = 0
    if "perturbation_scale" in fields:
        kwargs["perturbation_scale"] = 0.3  # a difference of h over 1e-2 is mostly rounding at untrained weights
    if "critic_updates" in fields:
        kwargs["critic_updates"] = 2  # of which more show nothing new, and each is traced anew
    # with weight decay an optimiser assigns weights once more
    small = {
        "network": "mlp",
        "batch_norm": "per_source",
        "optimizer": lambda: update_rules.SGD(0.05, weight_decay=0.01),
    }
    return builders.build(method, **small | kwargs)


def _train(model, step, count=2):
    for i in range(count):
        logs = step(builders.images(model, seed=i))
    return {name: float(value) for name, value in logs.items()}, builders.weights(model)


class Case:
    """A method after two steps, taken eagerly, and what these steps drew, gave and changed."""

    def __init__(self, method, options):
        self.make = functools.partial(_ready, method, **options)
        self.model = self.make()
        self.initial = builders.weights(self.model)
        self.keys = []
        for i in range(2):
            with keys_drawn() as keys:
                logs = self.model.train_step(builders.images(self.model, seed=i))
            self.keys.append(keys)
        self.logs, self.weights = {name: float(value) for name, value in logs.items()}, builders.weights(self.model)


@functools.cache
def _case(method, options=()):
    return Case(method, dict(options))


def case_of(method, options):
    return _case(method, tuple(options.items()))


def _everything(model):
    """All that a step may depend on or change, in NumPy's hands."""
    return {name: np.array(v) for name, v in model.state_between_steps().items()}


@each_case
def test_graph_equals_eager_and_resumes_bit_for_bit_and_no_weight_moves_too_soon(method, options, tmp_path):
    case = case_of(method, options)
    model = case.make(ema=0.9)
    step, checkpoints = tf.function(model.train_step, autograph=False), Checkpoints(tmp_path, model)
    step(builders.images(model, seed=0))
    checkpoints.save()
    logs = step(builders.images(model, seed=1))
    assert {name: float(value) for name, value in logs.items()} == pytest.approx(case.logs, rel=2e-3, abs=1e-5)
    assert_same_weights(case.initial, case.weights, builders.weights(model))

    after = _everything(model)
    for variable in [*model.variables, *(v for o in model.optimizers.values() for v in o.variables)]:
        variable.assign(tf.ones_like(variable) * 7)  # nothing that a step needs may be left out of a checkpoint
    assert checkpoints.restore() == 1
    step(builders.images(model, seed=1))
    for name, value in _everything(model).items():
        np.testing.assert_array_equal(value, after[name], err_msg=name)

    # no weight moves before all that is computed from it is there
    loose, pairs = graphs.unordered(graphs.optimised(step, builders.images(model)))
    assert pairs > 2 * len(model.trainable_variables)
    assert not loose


@each_compiled
def test_eager_equals_xla(method, options):
    case = case_of(method, options)
    model = case.make()
    logs, weights = _train(model, tf.function(model.train_step, jit_compile=True, autograph=False))
    assert logs == pytest.approx(case.logs, rel=2e-3, abs=1e-5)
    assert_same_weights(case.initial, case.weights, weights)


@each_compiled
def test_one_replica_equals_two(method, options):
    case = case_of(method, options)
    with strategies.two_replicas().scope():
        model = case.make()
    stream = tf.data.Dataset.from_tensor_slices(np.concatenate([builders.images(model, seed=i) for i in range(2)]))
    model.fit(stream.batch(8, drop_remainder=True), epochs=1, steps_per_epoch=2, shuffle=False, verbose=0)
    assert int(np.asarray(model.step)) == 2
    assert_same_weights(case.initial, case.weights, builders.weights(model))
    for name, value in model.get_metrics_result().items():
        assert float(value) == pytest.approx(case.logs[name], rel=5e-3, abs=1e-5), name


@each_case
def test_two_batches_move_every_network_and_logs_carry_the_papers_names(method, options):
    case = case_of(method, options)
    of_critics = {id(v) for role, held in case.model.networks().items() if "critic" in role for v in held}
    for variable, old, new in zip(case.model.trainable_variables, case.initial, case.weights, strict=True):
        # a head's bias may cancel in a difference of logits
        assert np.any(old != new) or (id(variable) in of_critics and variable.path.endswith("bias")), variable.path
    assert set(case.model.LOSSES) <= case.logs.keys()
    for role in case.model.networks():
        assert case.logs[f"gradient_norm/{role}"] > 0.0
    assert int(case.model.step) == 2


@each_case
def test_no_two_uses_of_noise_share_a_key(method, options):
    case = case_of(method, options)
    keys = [key for step in case.keys for key in step]
    assert len(set(keys)) == len(keys)
    assert len(case.keys[0]) == len(case.keys[1])


@each_case
def test_bfloat16_stays_finite_and_keeps_float32_weights(method, options):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = _ready(method, **options)
    logs, weights = _train(model, model.train_step, count=3)
    assert all(np.isfinite(value) for value in logs.values()), logs
    assert all(w.dtype == np.float32 and np.isfinite(w).all() for w in weights)
    assert model.decode(tf.zeros([2, builders.LATENT])).dtype == tf.float32


@each_method
def test_interfaces(method):
    model = case_of(method, {}).model
    assert isinstance(model, interfaces.Decodes)
    images = builders.images(model, count=5)
    images = images if model.batches_per_step() == 1 else images[:, 0]
    shape = (5, 8, 8, 1)
    low, high = model.image_range
    decoded = model.decode(tf.random.stateless_normal([5, builders.LATENT], seed=[0, 0]))
    assert decoded.shape == shape
    assert decoded.dtype == tf.float32
    assert low <= float(tf.reduce_min(decoded)) <= float(tf.reduce_max(decoded)) <= high
    if model.PRIOR == "own":
        assert isinstance(model, interfaces.MapsPrior)
    if isinstance(model, interfaces.Encodes):
        assert model.encode(images).shape == (5, builders.LATENT)
        np.testing.assert_array_equal(model.reconstruct(images), model.decode(model.encode(images), source="data"))
    if isinstance(model, interfaces.HasPosterior):
        posterior = model.posterior(images)
        assert posterior.batch_shape == (5,)
        assert posterior.event_shape == (builders.LATENT,)
        np.testing.assert_array_equal(posterior.mean(), model.encode(images))
    for name, value in tf.function(model.diagnostics, autograph=False)(images).items():
        assert np.isfinite(value).all(), name


def _assert_exported_equals_in_process(model, prior, folder):
    shape = model.decode(tf.zeros([1, model.latent_dim])).shape[1:].as_list()
    export.write(model, prior, shape, folder)
    found = gate.check(str(folder), reference.arrays(model, prior, shape), TOLERANCES["none"])
    wanted = {"sample", "sample_png", "decode"}
    if isinstance(model, interfaces.Encodes):
        wanted |= {"encode", "reconstruct", "interpolate", "score"}
    assert found.keys() == wanted
    held = _scalars_held(folder)
    critics = sum(networks.parameter_count(getattr(model, role)) for role in model.networks() if "critic" in role)
    assert held <= sum(v.shape.num_elements() for v in model.variables) + _scalars(prior) - critics


def _scalars(prior):
    return sum(tf.size(value).numpy() for value in prior.state().values())


def _scalars_held(folder):
    """How many numbers the variables of a SavedModel are."""
    shapes = tf.train.load_checkpoint(f"{folder}/variables/variables").get_variable_to_shape_map()
    return sum(int(np.prod(shape)) for name, shape in shapes.items() if "VARIABLE_VALUE" in name)


def _served():
    """(method, options, prior): each method and each prior once. What has no codes, or a prior of its own, has that.

    Each prior at all times, and of those with their own the map of ALAE and the noise of a GAN; `slow` has the others.
    """
    left = PRIORS.names()[::-1]
    found = []
    for method, options in ALL + OF_NETWORKS:
        kind = METHODS.get(method)
        fitted = kind.PRIOR != "own" and "encoder" in kind.roles(kind.Options(**options))
        prior = left.pop() if left and fitted else "own"
        marks = pytest.mark.slow if prior == "own" and method not in ("alae", "gan") else ()
        found.append(pytest.param(method, options, prior, marks=marks))
    return found + [("lpga", {}, prior) for prior in left]


@pytest.mark.parametrize(("method", "options", "prior"), _served(), ids=named)
def test_it_is_served_as_in_process(method, options, prior, tmp_path):
    keras.utils.set_random_seed(0)
    model = case_of(method, options).model  # two steps on: running statistics differ from those of any batch
    kind = builders.drawing(model).prior if prior == "own" else PRIORS.get(prior)(builders.LATENT)
    _assert_exported_equals_in_process(model, kind, tmp_path)


def _roles():
    """What methods need their networks to be, once each, by the first method that needs it."""
    found = {}
    for method in METHODS.names():
        for name, role in METHODS.get(method).roles(METHODS.get(method).Options()).items():
            if not isinstance(role, networks.Mapping) and getattr(role, "of", "images") == "images":
                found.setdefault(role, f"{method}-{name}")
    return [pytest.param(role, id=name) for role, name in found.items()]


@pytest.mark.parametrize("role", _roles())
@pytest.mark.parametrize("network", networks.names())
def test_a_network_takes_the_image_size_or_says_which_it_takes(role, network):
    options = NetworkOptions(network=network, latent_dim=2, filters=4)
    build = lambda shape: networks.build(role, options, shape, name="network")
    with pytest.raises(InputError, match=r"expected .*received .*Remedy"):
        build((0, 0, 1))
    decodes = isinstance(role, networks.Decoder)
    given = tf.zeros([2, 2]) if decodes else tf.zeros([2, 32, 32, 3])
    found = build((32, 32, 3))(given)
    size = 1 if isinstance(role, networks.Critic) else 2
    images = decodes or getattr(role, "output", "logit") != "logit"
    assert tf.nest.flatten(found)[0].shape == ((2, 32, 32, 3) if images else (2, size))


@each_method
def test_it_can_be_evaluated(method):
    draw = builders.drawing(case_of(method, {}).model)
    subject = scoring.subject(draw)
    images = subject.sample(0, 0, 6)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(subject.sample(0, 2, 3), images[2:5])  # sample i, however many are drawn
    assert (subject.sample(1, 0, 6) != images).any()
    if not draw.encodes:
        assert subject.encode is subject.recode is subject.posterior_stddev is subject.log_det is None
        return
    codes = subject.encode(images)
    np.testing.assert_array_equal(subject.decode(codes, "data").shape, images.shape)
    for source in ("data", "prior"):
        assert np.isfinite(subject.recode(codes, source)).all()
    if subject.posterior_stddev is not None:
        assert (subject.posterior_stddev(images) > 0).all()
    exact, bound = subject.log_det(codes)
    assert exact.shape == bound.shape == (6,)


# One prior of each way to be decoded for each method, and every prior for one whose statistics of both ways differ.
EACH_WAY = {PRIORS.get(prior).DECODED_AS: prior for prior in reversed(PRIORS.names())}.values()
SAMPLED = [("lpga", prior) for prior in PRIORS.names()]
SAMPLED += [(method, prior) for method in ("vae", "alae", "gan") for prior in EACH_WAY]
SAMPLED += slow((method, prior) for method in METHODS.names() for prior in EACH_WAY if (method, prior) not in SAMPLED)


@pytest.mark.parametrize(("method", "prior"), SAMPLED)
def test_samples_are_decoded_as_the_prior_says(method, prior):
    """The one place that decides it is asked by samples, scores, the export and its reference alike."""
    model = case_of(method, {}).model
    if isinstance(model, interfaces.Encodes):
        kind = PRIORS.get(prior)(builders.LATENT)
    elif PRIORS.get(prior).FIT == "nothing":
        kind = builders.drawing(model).prior
    else:
        pytest.skip(f"{method} has no codes to fit {prior} to")
    draw = builders.drawing(model)
    draw.prior = kind
    codes = kind.sample(tf.range(4, dtype=tf.int64))
    expected = ranges.to_uint8(model.decode(codes, source=kind.DECODED_AS), model.image_range)
    np.testing.assert_array_equal(draw.samples(4), expected)
    np.testing.assert_array_equal(scoring.subject(draw).sample(0, 0, 4), expected)
    served = signatures.Served(model, kind, (8, 8, 1)).signatures()["sample"](tf.range(4, dtype=tf.int64))
    np.testing.assert_array_equal(ranges.to_uint8(served["image"], signatures.UNIT), expected)


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


@each_prior
def test_a_draw_of_a_prior_uses_no_key_twice(prior):
    model = PRIORS.get(prior)(4)
    with keys_drawn() as keys:
        model.sample(tf.range(3, dtype=tf.int64))
    assert len(keys) >= 3
    assert len(set(keys)) == len(keys)


@each_prior
def test_a_step_of_a_prior_keeps_the_order_of_reads_and_writes_and_its_noise_apart(prior):
    model = PRIORS.get(prior)(4)
    if model.FIT != "steps":
        pytest.skip(f"{prior} is not fitted by steps")
    model.compile(update_rules.Adam(1e-3))
    codes = tf.random.stateless_normal([8, 4], seed=[0, 0])
    loose, pairs = graphs.unordered(graphs.optimised(tf.function(model.train_step, autograph=False), codes))
    assert pairs > 2 * len(model.trainable_variables)
    assert not loose
    with keys_drawn() as keys:
        logs = model.train_step(codes)
    assert len(set(keys)) == len(keys)  # that of maximum likelihood draws none
    assert set(model.LOSSES) <= logs.keys()
    assert all(np.isfinite(value) for value in logs.values())
    assert int(model.step) == 1


def test_priors_that_need_no_fitting_have_their_laws():
    seeds = tf.range(20000, dtype=tf.int64)
    codes = {name: PRIORS.get(name)(4).sample(seeds).numpy() for name in ("normal", "uniform", "sphere")}
    for name, variance in (("normal", 1.0), ("uniform", 1 / 3), ("sphere", 1.0)):
        np.testing.assert_allclose(codes[name].mean(axis=0), 0.0, atol=0.03)  # 4 standard errors
        np.testing.assert_allclose(np.cov(codes[name].T), variance * np.eye(4), atol=0.05)
    assert np.abs(codes["uniform"]).max() < 1.0
    np.testing.assert_allclose(np.linalg.norm(codes["sphere"], axis=1), 2.0, rtol=1e-5)


def test_quantisation_is_the_inverse_of_rescaling():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for target in ((-1.0, 1.0), (0.0, 1.0)):
        np.testing.assert_array_equal(ranges.to_uint8(ranges.rescale(pixels, ranges.UINT8, target), target), pixels)
