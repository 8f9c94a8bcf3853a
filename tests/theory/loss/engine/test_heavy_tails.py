"""Laws without an exponential moment: against closed partial moments, the midpoint rule, samples, and differences."""

from itertools import combinations

import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats
from numpy import ndarray

from theory import Problem, population_loss, population_loss_and_gradient
from theory.curvature.stability import hessian
from theory.loss.certified import loss_estimate
from theory.loss.engine.activation import SquaredError, leaky_relu
from theory.loss.engine.engine import row_errors
from theory.loss.engine.moments import moments, never_switches, polynomial
from theory.loss.engine.octaves import integrate_octaves
from theory.loss.engine.rows import Features, Rows
from theory.model.set_names import sets_of_names
from theory.model.value_names import value_law_of_name
from theory.model.values import value_law
from theory.model.variant import Variant

_X, _W = np.polynomial.legendre.leggauss(16)
_MODEL = np.array([[1.1, -0.7]]), np.array([-0.1, 0.05])


def _weibull(c):
    return lambda k, x: scipy.special.gamma(1 + k / c) * scipy.special.gammaincc(1 + k / c, np.maximum(x, 0) ** c)


def _lognormal(s):
    return lambda k, x: np.exp((k * s) ** 2 / 2) * scipy.stats.norm.sf((np.log(np.maximum(x, 1e-300)) - k * s**2) / s)


def _student(k, x):
    r, x = np.sqrt(3), np.clip(x, -1e100, 1e100)
    whole = (np.pi / 2 - np.arctan(x / r)) / (2 * r) + x / (2 * (3 + x**2))
    return (scipy.stats.t(3).sf(x), 3 * r / (np.pi * (3 + x**2)), 6 * r / np.pi * whole)[k]


# Name, E u^k 1(u > x) in closed form, where the density is not smooth, and the accuracy that is asked of the loss.
LAWS = {
    "weibull": (scipy.stats.weibull_min(0.5), _weibull(0.5), 0.0, 1e-7),
    "steep weibull": (scipy.stats.weibull_min(0.3), _weibull(0.3), 0.0, 1e-7),
    "lognormal": (scipy.stats.lognorm(1), _lognormal(1), 0.0, 1e-7),
    "wide lognormal": (scipy.stats.lognorm(2), _lognormal(2), 0.0, 1e-7),
    "pareto": (scipy.stats.pareto(2.5), lambda k, x: 2.5 / (2.5 - k) * np.maximum(x, 1.0) ** (k - 2.5), 1.0, 1e-6),
    "student": (scipy.stats.t(3), _student, 0.0, 1e-7),
}


def _panels(places, low, high) -> tuple[ndarray, ndarray]:
    """Nodes and weights of panels that grow in octaves from every place."""
    g = np.concatenate([[0.0], 2.0 ** np.arange(-90, 100)])
    edges = np.unique(np.concatenate([[low, high], *(p + s * g for p in places for s in (-1, 1))]))
    edges = edges[(edges >= low) & (edges <= high)]
    half = np.diff(edges)[:, None] / 2
    return ((edges[1:] + edges[:-1])[:, None] / 2 + half * _X).ravel(), (half * _W).ravel()


def _reference(frozen, partial, edge, W, b, p) -> float:
    """Loss of two independent features: one value integrated in closed form, the other by nested octaves."""
    G = W.T @ W

    def inner(c, s, target):
        """E (x - ReLU(s + c x'))^2 over x'; x = x' if no target is given."""
        whole = [partial(k, np.full(1, -1e200)) for k in range(3)]
        above = [partial(k, -s / c) for k in range(3)]
        m0, m1, m2 = above if c > 0 else [w - a for w, a in zip(whole, above, strict=True)]
        square = s * s * m0 + 2 * s * c * m1 + c * c * m2
        if target is None:
            return whole[2] - 2 * (s * m1 + c * m2) + square
        return target**2 - 2 * target * (s * m0 + c * m1) + square

    low, high = (float(np.clip(end, -1e28, 1e28)) for end in frozen.support())
    total = 0.0
    for i in range(2):
        j = 1 - i
        for active in (a for r in range(3) for a in combinations(range(2), r)):
            chance = p ** len(active) * (1 - p) ** (2 - len(active))
            if active == (0, 1):
                place = (-b[i] - G[i, i] * edge) / G[i, j]
                u, w = _panels([edge, place], low, high)
                density = frozen.pdf(u)
                kept = np.isfinite(density)
                value = (density[kept] * w[kept]) @ inner(G[i, i], b[i] + G[i, j] * u[kept], None)
            elif active:
                value = inner(G[i, active[0]], np.full(1, b[i]), None if active == (i,) else np.zeros(1))[0]
            else:
                value = max(b[i], 0) ** 2
            total += chance * float(value)
    return total


@pytest.mark.parametrize("name", LAWS)
def test_losses_of_heavy_tails_are_those_of_closed_partial_moments(name):
    frozen, partial, edge, accuracy = LAWS[name]
    found = loss_estimate(*_MODEL, Problem(n=2, m=1, density=0.3, values=value_law(frozen)))
    reference = _reference(frozen, partial, edge, *_MODEL, 0.3)
    assert abs(found.value - reference) <= min(found.error, accuracy * reference)
    assert found.error <= accuracy * reference


def _weibull_transform(a):
    """E exp(iau), u = w^2 with w exponential: a Faddeeva function."""
    z = 1 / (2 * np.sqrt(-1j * a))
    return z * np.sqrt(np.pi) * scipy.special.wofz(1j * z)


def test_the_transform_of_a_heavy_law_is_its_closed_form():
    law, a = value_law(scipy.stats.weibull_min(0.5)), np.geomspace(0.01, 1e4, 50)
    assert np.abs(law.transform(a) - _weibull_transform(a)).max() < 1e-10
    with mpmath.workdps(40):  # low frequencies: E (exp(iau) - 1) to the last digits
        for x in (1e-3, 1e-6):
            s = mpmath.mpc(0, -x)
            exact = mpmath.sqrt(mpmath.pi / s) / 2 * mpmath.exp(1 / (4 * s)) * mpmath.erfc(1 / (2 * mpmath.sqrt(s))) - 1
            gone = complex(law.losses(np.array([x]))[0][0])
            assert abs(gone.real - float(exact.real)) < 1e-11 * abs(float(exact.real))
            assert abs(gone.imag - float(exact.imag)) < 1e-12 * abs(float(exact.imag))


def test_the_transform_of_a_pareto_law_is_an_incomplete_gamma_function():
    law, a = value_law(scipy.stats.pareto(2.5)), np.array([1e-7, 1e-3, 0.3, 4.0, 60.0])
    with mpmath.workdps(30):
        exact = [complex(2.5 * mpmath.expint(3.5, mpmath.mpc(0, -x))) for x in a]
    assert np.abs(law.transform(a) - exact).max() < 1e-12
    assert np.abs(law.transform(-a) - np.conj(exact)).max() < 1e-12


@pytest.mark.parametrize("sets", ["", "2x2:partial:0.7", "3:hierarchy:0.5", "2x2:exactly-one"])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_octaves_and_the_midpoint_rule_agree(sets, noise):
    """Laws that both can integrate: the same value, gradient and derivative in the noise."""
    rng, n = np.random.default_rng(1), 5
    absolute = SquaredError(0.0, 0.0, ((0.0, 1.0, 0.0, 0.0),))
    for values, error in (("exponential", leaky_relu()), ("laplace", leaky_relu(0.2)), ("gamma:2", absolute)):
        task = Variant(value_law_of_name(values), sets_of_names(sets.split())).problem(n, 2, 0.3)
        G, features = rng.normal(size=(n, n)), Features.of(task.features)
        G[0, 2] = G[3, 3] = 0.0
        rows = Rows(G, 0.3 * rng.normal(size=n), np.arange(n), np.full(n, noise**2))
        usual, m = row_errors(rows, features, error, 1e-8), moments(rows, features)
        sign = never_switches(np.full(n, -np.inf), np.full(n, np.inf), error)
        base = polynomial(rows, m, error, sign)
        found = integrate_octaves(rows, features, error, sign, base.value, 1e-6, 2**14)  # plain differences do for that
        scale = usual.value.max()
        assert np.abs(base.value + found.value - usual.value).max() < 2e-6 * scale
        assert np.abs(base.db + found.db - usual.db).max() < 3e-5 * scale
        off = np.abs(base.dG + found.dG - usual.dG)
        assert off[G != 0].max() < 3e-5 * scale
        # members of a set that do not move z: few nodes tell little of their slopes, and the bounds say so
        assert (off.max(1) <= found.gradient_error + usual.gradient_error).all()
        if noise:
            assert np.abs(base.dnoise + found.dnoise - usual.dnoise).max() < 3e-5 * scale


def test_few_nodes_are_as_many_for_all_rows_and_state_their_error():
    """Losses of neighbouring points then differ smoothly."""
    rng = np.random.default_rng(0)
    G, b, own = 0.8 * rng.standard_normal((16, 2)), -0.1 * rng.random(16), np.arange(16) % 2
    G[:4] *= [0.02, 1.0]
    rows = Rows(G, b, own, np.zeros(16))
    features = Features(value_law(LAWS["lognormal"][0]), np.full(2, 0.2))
    few, exact = (row_errors(rows, features, rtol=rtol, max_nodes=most) for rtol, most in ((1e-10, 512), (1e-7, 2**14)))
    assert len(np.unique(few.nodes[few.path == "single"])) == 1
    assert (np.abs(few.value - exact.value) <= few.error + exact.error).all()
    unit = 0.2 * features.values.square
    assert np.abs(few.value - exact.value).max() < 1e-5 * unit
    assert np.median(np.abs(few.dG - exact.dG).max(1)) < 1e-6 * unit


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weibull", "lognormal", "pareto", "student"])
def test_gradient_and_hessian_of_heavy_tails_are_differences(name):
    task = Problem(n=3, m=2, density=0.3, values=value_law(LAWS[name][0]))
    W, b = np.array([[1.1, -0.6, 0.4], [0.2, 0.9, -0.8]]), np.array([-0.1, 0.05, -0.2])
    step, direction = 2e-3, np.random.default_rng(0).normal(size=9)
    x = np.r_[W.ravel(), b] + np.array([0, -2, -1, 1, 2])[:, None] * step * direction
    loss, dW, db = population_loss_and_gradient(x[:, :6].reshape(-1, 2, 3), x[:, 6:], task, rtol=1e-8)
    slopes, weight = np.concatenate([dW.reshape(5, -1), db], 1), np.array([0, 1, -8, 8, -1]) / (12 * step)
    assert abs(weight @ loss - slopes[0] @ direction) < 1e-5 * (abs(slopes[0] @ direction) + loss[0])
    bend = weight @ slopes
    assert np.abs(hessian(W, b, task) @ direction - bend).max() < 1e-3 * np.abs(bend).max()


@pytest.mark.slow
def test_a_dozen_heavy_features_are_what_samples_say():
    """E (x - f(z))^4 is finite for a Lomax law of index 9, which is heavy all the same."""
    rng, n = np.random.default_rng(3), 12
    W, b = rng.normal(size=(4, n)) / 2, -0.1 + 0.1 * rng.normal(size=n)
    task = Problem(n=n, m=4, density=0.2, values=value_law(scipy.stats.lomax(9)))
    assert task.features.values.heavy
    losses = []
    for _ in range(30):
        x = rng.pareto(9, size=(100_000, n)) * (rng.random((100_000, n)) < 0.2)
        losses.append(((x - np.maximum(x @ (W.T @ W) + b, 0)) ** 2).sum(1))
    drawn = np.concatenate(losses)
    error = drawn.std() / np.sqrt(len(drawn))
    assert 4 * error < 0.01 * drawn.mean()
    assert abs(population_loss(W, b, task) - drawn.mean()) < 4 * error


@pytest.mark.parametrize("frozen", [scipy.stats.t(2), scipy.stats.pareto(2), scipy.stats.cauchy()])
def test_laws_without_second_moment_are_refused_in_one_line(frozen):
    with pytest.raises(ValueError, match="second moment") as refusal:
        Problem(n=2, m=1, density=0.3, values=value_law(frozen))
    assert "\n" not in str(refusal.value)
