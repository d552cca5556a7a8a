"""Theorem 1 of perceptual autoencoders (Zhang et al., 2020) where all laws are known: linear f and g, Gaussian data."""

import numpy as np
import pytest
import scipy.integrate

from pga_tf.evaluation import latent, measures

COUNT, TOLERANCE = 1000, 1e-2  # an MMD of as many draws is as near as that to its law's
G = np.array([[2.0, 0.0], [0.0, 0.5], [1.0, 1.0]])
BLIND = np.array([[2.0, 0.0], [0.0, 0.0], [1.0, 0.0]])  # does not see the second dimension of z
FLAT = np.diag([1.0, 0.0])
# (name, g, what comes after the encoder that minimises Eq. 2, mean and variances of w: x is g(w) off the range of g)
CASES = [
    ("both premises", G, np.eye(2), [0.0, 0.0], [1.0, 1.0]),
    ("both premises, codes that are not N(0, I)", BLIND, np.eye(2), [0.0, 0.0], [1.0, 9.0]),
    ("h(z) does not follow the law of h(f(x))", G, np.eye(2), [1.0, 0.0], [1.0, 4.0]),
    ("Eq. 2 is not minimised: f tells not all g(z) apart", G, FLAT, [0.0, 0.0], [1.0, 1.0]),
]


def law_of(matrix, mean, variances):
    """(mean, covariance) of `matrix` times a Gaussian vector."""
    return matrix @ mean, matrix @ np.diag(variances) @ matrix.T


def kernel_mean(mean, covariance):
    """E k of a difference of law N(mean, covariance), from C / (C + d^2) = integral of exp(-t - t d^2 / C)."""
    values, axes = np.linalg.eigh(covariance)
    squares, dim = (axes.T @ mean) ** 2, len(mean)

    def integrand(t, c):
        spread = 1.0 + 2.0 * t / c * values
        return np.exp(-t - t / c * (squares / spread).sum()) / np.sqrt(spread.prod())

    scales = [scale * 2.0 * dim for scale in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
    return np.mean([scipy.integrate.quad(integrand, 0.0, np.inf, args=(c,))[0] for c in scales])


def mmd_of_laws(p, q):
    zero = np.zeros_like(p[0])
    cross = kernel_mean(p[0] - q[0], p[1] + q[1])
    return kernel_mean(zero, 2 * p[1]) + kernel_mean(zero, 2 * q[1]) - 2 * cross


@pytest.mark.parametrize(("g", "after", "mean", "variances"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_the_premises_imply_the_conclusion_and_without_one_it_does_not_hold(g, after, mean, variances):
    rng = np.random.default_rng(0)
    best = np.linalg.pinv(g)
    f = after @ best
    aside = np.linalg.svd(best)[2][2]  # at right angles to the range of g
    x = (mean + rng.normal(size=(COUNT, 2)) * np.sqrt(variances)) @ g.T + rng.normal(size=(COUNT, 1)) * aside
    images = x.reshape(COUNT, 1, 1, 3).astype(np.float32)
    z = rng.normal(size=(COUNT, 2)).astype(np.float32)
    decode = lambda codes, source: (codes @ g.T).reshape(-1, 1, 1, 3).astype(np.float32)
    encode = lambda images: (images.reshape(-1, 3) @ f.T).astype(np.float32)
    subject = measures.Subject(
        sample=lambda seed, start, count: decode(rng.normal(size=(count, 2)), "prior"),
        prior=lambda count: z[:count],
        encode=encode,
        decode=decode,
        recode=lambda codes, source: encode(decode(codes, source)),
        posterior_stddev=lambda images: np.full((len(images), 2), 2.0, np.float32),  # the theorem's f(x) are means
        log_det=None,
    )
    health, _ = measures.latent_health(subject, images)
    error = measures.gap(subject, None, None, [images], None, advance=int)["latent_error_prior"]
    samples, restored = (a.reshape(COUNT, 3) for a in (subject.sample(0, 0, COUNT), decode(encode(images), "data")))

    normal, h = ([0.0, 0.0], [1.0, 1.0]), f @ g
    of_codes, of_mapped = (mmd_of_laws(law_of(m, *normal), law_of(m @ h, mean, variances)) for m in (np.eye(2), h))
    conclusion = mmd_of_laws(law_of(g, *normal), law_of(g @ h, mean, variances))
    least = np.square(best @ g - np.eye(2)).sum() / 2
    assert health["mmd_codes"] == pytest.approx(of_codes, abs=TOLERANCE)
    assert health["mmd_mapped"] == pytest.approx(of_mapped, abs=TOLERANCE)
    assert latent.mmd(samples, restored) == pytest.approx(conclusion, abs=TOLERANCE)
    assert error == pytest.approx(np.square(h - np.eye(2)).sum() / 2, abs=0.1)

    premises = error < least + 0.1 and health["mmd_mapped"] < TOLERANCE
    assert premises == (latent.mmd(samples, restored) < TOLERANCE)
    assert conclusion < 1e-9 or conclusion > 2 * TOLERANCE  # no case is near the border


def test_the_table_breaks_each_premise_alone():
    broken = set()
    for _, g, after, mean, variances in CASES:
        h = after @ np.linalg.pinv(g) @ g
        distance = mmd_of_laws(law_of(h, [0, 0], [1, 1]), law_of(h @ h, mean, variances))
        broken.add((not np.allclose(after, np.eye(2)), bool(distance > TOLERANCE)))
    assert broken == {(False, False), (False, True), (True, False)}
