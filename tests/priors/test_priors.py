"""Each prior on codes whose law is known, and the losses by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from pga_tf.core.checks import InputError
from pga_tf.evaluation import latent
from pga_tf.priors import PRIORS
from pga_tf.priors.latent_map import LatentMap, LatentMapOptions
from pga_tf.priors.mixture import Mixture, MixtureOptions
from pga_tf.priors.second_vae import SecondVAE, SecondVAEOptions
from pga_tf.runs import optimizers
from pga_tf.runs.config import FitOptions, OptimizerOptions

SMALL = {
    "second_vae": SecondVAEOptions(second_width=64, second_depth=2),
    # in the plane a plain critic is enough, and sees three far clusters sooner than one of slope 1
    "latent_map": LatentMapOptions(map_width=64, map_depth=2, map_critic_norm="none"),
    "mixture": MixtureOptions(components=3),
}
STEPS, BATCH = {"second_vae": 2500, "latent_map": 1500}, 128


def three_gaussians(count, seed):
    """A 2-D mixture far from N(0, I), of mean 0 and unit variance like the codes of an autoencoder with batch norm."""
    rng = np.random.default_rng(seed)
    centres = np.array([[1.3, 0.0], [-0.65, 1.1], [-0.65, -1.1]])
    return (centres[rng.integers(0, 3, count)] + 0.15 * rng.normal(size=(count, 2))).astype(np.float32)


def standard(count, seed):
    return np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)


def fitted(name, law):
    """The prior `name` fitted to draws of `law` in the plane."""
    keras.utils.set_random_seed(0)
    prior = PRIORS.get(name)(2, SMALL[name])
    if prior.FIT == "codes":
        prior.fit(law(5000, seed=1))
        return prior
    rate = keras.optimizers.schedules.CosineDecay(2e-3, STEPS[name])
    prior.compile(keras.optimizers.Adam(rate, beta_1=0.9 if name == "second_vae" else 0.5))
    codes = law(STEPS[name] * BATCH, seed=1).reshape(-1, BATCH, 2)
    prior.fit(tf.data.Dataset.from_tensor_slices(codes), steps_per_epoch=STEPS[name], verbose=0, shuffle=False)
    return prior


def draws(prior, count=3000):
    return prior.sample(tf.range(count, dtype=tf.int64)).numpy()


TRAINED = [pytest.param(name, marks=pytest.mark.slow) for name in ("second_vae", "latent_map")]


@pytest.mark.parametrize("name", ["mixture", *TRAINED])
def test_a_known_mixture_is_recovered(name):
    prior, held_out = fitted(name, three_gaussians), three_gaussians(3000, seed=2)
    of_normal = latent.mmd(held_out, draws(PRIORS.get("normal")(2)))
    assert latent.mmd(held_out, draws(prior)) < of_normal / 5


@pytest.mark.slow
def test_the_latent_map_of_many_dimensions_does_not_collapse_with_its_defaults():
    dimensions = 128
    mixing = np.random.default_rng(0).normal(size=(2, dimensions)).astype(np.float32) / np.sqrt(2)
    rng = np.random.default_rng(1)
    codes = three_gaussians(400 * BATCH, seed=1) @ mixing + 0.3 * rng.normal(size=(400 * BATCH, dimensions))
    held_out = three_gaussians(2000, seed=2) @ mixing + 0.3 * rng.normal(size=(2000, dimensions))
    keras.utils.set_random_seed(0)
    prior = LatentMap(dimensions)
    adam = OptimizerOptions(optimizer="adam", learning_rate=FitOptions().prior_learning_rate)
    made = optimizers.of_players(adam, prior.PLAYERS, prior.options, steps_per_epoch=1, total_steps=6000)
    prior.compile(made)
    batches = tf.data.Dataset.from_tensor_slices(np.float32(codes).reshape(-1, BATCH, dimensions)).repeat()
    prior.fit(batches, steps_per_epoch=6000, verbose=0)
    of_normal = latent.mmd(np.float32(held_out), draws(PRIORS.get("normal")(dimensions), 2000))
    found = draws(prior, 2000)
    assert latent.mmd(np.float32(held_out), found) < of_normal / 2
    spread = np.linalg.svd(found - found.mean(axis=0), compute_uv=False) / np.sqrt(len(found))
    expected = np.linalg.svd(held_out - held_out.mean(axis=0), compute_uv=False) / np.sqrt(len(held_out))
    assert (spread[:2] > 0.5 * expected[:2]).all()  # both directions of the plane are there


@pytest.mark.parametrize("name", ["mixture", TRAINED[0]])
def test_a_prior_of_normal_codes_is_normal(name):
    found = draws(fitted(name, standard))
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=0.12)
    np.testing.assert_allclose(np.cov(found.T), np.eye(2), atol=0.2)
    assert latent.mmd(found, standard(3000, seed=3)) < 0.005


def test_mixture_is_its_own_tfp_distribution():
    prior = fitted("mixture", three_gaussians)
    distribution = prior.distribution()
    assert isinstance(distribution, tfp.distributions.MixtureSameFamily)
    assert distribution.event_shape == (2,)
    np.testing.assert_allclose(tf.reduce_sum(prior.weights), 1.0, rtol=1e-5)
    # the log-likelihood of its own draws is that of the law, up to sampling
    own = float(tf.reduce_mean(distribution.log_prob(draws(prior))))
    data = float(tf.reduce_mean(distribution.log_prob(three_gaussians(3000, seed=2))))
    assert own == pytest.approx(data, abs=0.1)


def test_mixture_draws_components_by_their_weights():
    prior = Mixture(1, MixtureOptions(components=3))
    prior.weights.assign([0.2, 0.5, 0.3])
    prior.means.assign([[-10.0], [0.0], [10.0]])
    found = np.round(draws(prior, 20000)[:, 0] / 10.0)
    for value, weight in ((-1, 0.2), (0, 0.5), (1, 0.3)):
        assert np.mean(found == value) == pytest.approx(weight, abs=0.015)


def test_a_dirichlet_process_weighs_components_as_its_equations_say():
    """Far clusters belong to one component each, and then variational EM's fixed point has a closed form.

    Blei and Jordan, 2006, for sticks; Bishop, 2006, Eqs. 10.60-10.63, for Gaussians; scikit-learn's default priors.
    """
    counts, rng = (150, 100, 50), np.random.default_rng(0)
    centres = [[1.3, 0.0], [-0.65, 1.1], [-0.65, -1.1]]
    clusters = [np.array(c) + 0.15 * rng.normal(size=(n, 2)) for c, n in zip(centres, counts, strict=True)]
    codes = np.concatenate(clusters).astype(np.float32).astype(np.float64)
    clusters = np.split(codes, np.cumsum(counts)[:-1])
    prior = Mixture(2, MixtureOptions(components=3, mixture="dirichlet"))
    found = prior.fit(codes)
    order = [int(np.argmin([np.linalg.norm(m - c.mean(axis=0)) for c in clusters])) for m in prior.means.numpy()]
    assert sorted(order) == [0, 1, 2]
    sizes, rest = [counts[i] for i in order], 1.0
    weights = []
    for k, n in enumerate(sizes):  # sticks: Beta(1 + n_k, 1/3 + all later ones), each at its mean
        share = (1 + n) / (1 + n + 1 / 3 + sum(sizes[k + 1 :]))
        weights.append(rest * share)
        rest *= 1 - share
    np.testing.assert_allclose(prior.weights, np.array(weights) / sum(weights), atol=2e-5)
    assert np.abs(prior.weights.numpy() - np.array(sizes) / 300).max() > 3e-4  # maximum likelihood would be seen
    for k, i in enumerate(order):
        part, n = clusters[i], counts[i]
        mean = part.mean(axis=0)
        np.testing.assert_allclose(prior.means[k], (codes.mean(axis=0) + n * mean) / (1 + n), atol=1e-5)
        off = mean - codes.mean(axis=0)
        scatter = np.cov(codes.T) + n * np.cov(part.T, ddof=0) + n / (1 + n) * np.outer(off, off)
        covariance = prior.factors[k].numpy() @ prior.factors[k].numpy().T
        np.testing.assert_allclose(covariance, scatter / (2 + n), atol=1e-5)
    likelihood = tf.reduce_mean(prior.log_prob(codes.astype(np.float32)))
    assert found["log_likelihood"] == pytest.approx(float(likelihood), abs=1e-4)


def test_mixture_of_too_few_codes_is_refused():
    with pytest.raises(InputError, match="at least 30 codes"):
        Mixture(2, MixtureOptions(components=10)).fit(standard(20, seed=0))


def test_hinge_losses_by_hand():
    prior = LatentMap(2, SMALL["latent_map"])
    prior.critic = lambda codes, training=False: codes[:, :1]  # the critic's value is the first coordinate
    codes, mapped = tf.constant([[0.5, 9.0], [3.0, 9.0]]), tf.constant([[-2.0, 9.0], [0.25, 9.0]])
    np.testing.assert_allclose(prior.critic_loss(codes, mapped), [0.5 + 0.0, 0.0 + 1.25], rtol=1e-6)


def test_each_adversary_trains_its_own_network():
    for key, still in (("critic", "generator"), ("generator", "critic")):
        keras.utils.set_random_seed(0)
        prior = LatentMap(2, SMALL["latent_map"])
        rates = {name: 0.1 if name == f"map_{key}" else 0.0 for name in ("map_critic", "map_generator")}
        prior.compile({name: keras.optimizers.SGD(rate) for name, rate in rates.items()})
        before = {name: [np.array(v) for v in group] for name, group in prior.networks().items()}
        prior.train_step(tf.constant(three_gaussians(64, seed=0)))
        after = {name: [np.array(v) for v in group] for name, group in prior.networks().items()}
        assert any((a != b).any() for a, b in zip(before[key], after[key], strict=True))
        for a, b in zip(before[still], after[still], strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_bound_of_the_second_stage_by_numpy():
    keras.utils.set_random_seed(0)
    prior = SecondVAE(2, SMALL["second_vae"])
    prior.log_gamma.assign(0.3)
    prior.encoder.head.bias.assign([0.0, 0.0, -1.0, 0.5])  # of two means and two log stddevs
    codes, eps = three_gaussians(5, seed=0), standard(5, seed=1)
    mean, log_stddev = np.split(np.asarray(prior.encoder(codes), np.float64), 2, axis=1)
    stddev = np.exp(log_stddev)
    decoded = np.asarray(prior.decoder(np.float32(mean + stddev * eps)), np.float64)
    nll = ((codes - decoded) ** 2 / (2 * np.exp(0.6)) + 0.3 + 0.5 * np.log(2 * np.pi)).sum(axis=1)
    kl = (0.5 * (mean**2 + stddev**2 - 1) - log_stddev).sum(axis=1)
    terms = prior.terms(codes, eps)
    np.testing.assert_allclose(terms["nll"], nll, rtol=1e-5)
    np.testing.assert_allclose(terms["kl"], kl, rtol=1e-4)


def test_the_second_stage_is_finite_whatever_its_encoder_says():
    prior = SecondVAE(2, SMALL["second_vae"])
    prior.encoder.head.bias.assign([0.0, 0.0, -1e3, 1e3])
    assert np.isfinite(prior.terms(standard(5, seed=0), standard(5, seed=1))["kl"]).all()


def test_draws_of_the_second_stage_have_its_noise():
    prior = SecondVAE(2, SMALL["second_vae"])
    prior.log_gamma.assign(np.log(0.25))
    for variable in prior.decoder.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    found = draws(prior, 4000)  # z = g2(u) + gamma * noise with g2 = 0
    np.testing.assert_allclose(found.std(axis=0), 0.25, rtol=0.05)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=0.02)


def test_the_input_is_joined_to_the_last_hidden_layer():
    prior = SecondVAE(3, SMALL["second_vae"])
    assert prior.encoder.head.kernel.shape == (64 + 3, 6)
    assert LatentMap(3, SMALL["latent_map"]).generator.head.kernel.shape == (64, 3)


def test_the_latent_critic_is_spectral_and_faster_unless_asked_otherwise():
    prior = LatentMap(3, LatentMapOptions(map_width=8, map_depth=1))
    vectors = [v for v in prior.critic.variables if v.name == "u"]
    assert len(vectors) == 2
    assert not [v for v in prior.generator.variables if v.name == "u"]
    assert prior.options.map_critic_learning_rate == 4 * FitOptions().prior_learning_rate
    assert prior.options.map_critic_beta_1 == prior.options.map_generator_beta_1 == 0.0
    before = [np.array(v) for v in vectors]
    prior.compile(keras.optimizers.SGD(0.1))
    prior.train_step(tf.random.stateless_normal([8, 3], seed=[0, 0]))
    assert all((old != new.numpy()).any() for old, new in zip(before, vectors, strict=True))
    codes, kernel = tf.random.stateless_normal([8, 3], seed=[0, 1]), prior.critic.hidden[0].kernel
    judged = prior.critic(codes)
    kernel.assign(7.0 * kernel)
    np.testing.assert_allclose(prior.critic(codes), judged, rtol=1e-4)  # the size of a kernel says nothing
