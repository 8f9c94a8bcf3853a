"""The exact oracle against three routes that share no assumption with it, and identities where those do not reach."""

from itertools import pairwise, product

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given
from mpmath import mp, mpf
from numpy import ndarray
from scipy.integrate import quad

from tests import oracle
from tests.strategies import Model, models
from theory import Anticorrelated, Correlated, FeatureDistribution, Independent, Problem
from theory.loss.enumeration import active_patterns
from theory.model.values import UNIFORM

from .oracle import ExactOutput, Output, exact_loss, exact_output, rational, to_float
from .problems import STRATA, make_case

# Three sets beside two singletons, in no particular order.
SETS = [[6, 1], [3], [0, 4, 7], [5], [2]]
KINDS = ["independent", "correlated", "anticorrelated"]


def exact(c: ndarray, b: float, own: int, features: FeatureDistribution) -> ExactOutput:
    return exact_output([rational(x) for x in c], rational(b), own, features)


def slopes(found: ExactOutput) -> ndarray:
    return np.array([to_float(s) for s in (*found.couplings, found.bias)])


def distribution(kind: str, rng: np.random.Generator, values: str) -> FeatureDistribution:
    if kind == "independent":
        return Independent(rng.uniform(0.1, 0.9, 8), values)
    return {"correlated": Correlated, "anticorrelated": Anticorrelated}[kind](SETS, rng.uniform(0.1, 0.9, 5), values)


# Adaptive quadrature


def integrated(c: list[float], b: float, own: int, p: list[float]) -> ndarray:
    """Value, slopes in couplings and bias of one or two independent uniform features, by nested quadrature."""
    n, total = len(c), np.zeros(len(c) + 2)
    for active in product([False, True], repeat=n):
        probability = np.prod([q if a else 1 - q for q, a in zip(p, active, strict=True)])
        for k in range(n + 2):
            total[k] += probability * _nested(c, b, own, active, k, np.zeros(n), 0)
    return total


def _nested(c: list[float], b: float, own: int, active: tuple[bool, ...], k: int, x: ndarray, j: int) -> float:
    n = len(c)
    if j == n:
        z = b + float(np.dot(c, x))
        error = x[own] - max(z, 0.0)
        return float([error**2, *(-2 * error * x * (z > 0)), -2 * error * (z > 0)][k])

    def inner(u: float) -> float:
        return _nested(c, b, own, active, k, np.array([*x[:j], u, *x[j + 1 :]]), j + 1)

    if not active[j]:
        return inner(0.0)
    # Kinks of the inner integral: where z vanishes with the features still to come at 0 or at 1.
    z = b + float(np.dot(c[:j], x[:j]))
    ends = product(*[(0.0, c[i]) if active[i] else (0.0,) for i in range(j + 1, n)])
    kinks = [-(z + sum(end)) / c[j] for end in ends if c[j]]
    points = sorted({0.0, 1.0, *[u for u in kinks if 0 < u < 1]})
    return sum(quad(inner, low, high, epsabs=1e-12, epsrel=1e-12)[0] for low, high in pairwise(points))


@pytest.mark.parametrize(
    ("c", "b"),
    [([0.9], -0.3), ([-1.3], 0.4), ([0.0], 0.2), ([1.1, -0.7], 0.15), ([0.8, 0.5], -0.6), ([0.0, -1.2], 0.7)],
)
def test_one_and_two_features_agree_with_adaptive_quadrature(c: list[float], b: float) -> None:
    p = [0.3, 0.8][: len(c)]
    for own in range(len(c)):
        found = exact(np.array(c), b, own, Independent(p))
        np.testing.assert_allclose(
            [to_float(found.value), *slopes(found)], integrated(c, b, own, p), rtol=0, atol=1e-11
        )


# Multi-precision enumeration


def assert_enumeration_agrees(W: ndarray, b: ndarray, problem: Problem) -> None:
    found = exact_loss(W, b, problem).value
    with mp.workdps(oracle.DIGITS):
        expected = oracle.population_loss(W, b, problem)
        # Of the other oracle's three hundred digits up to 150 cancel.
        assert abs(mpf(int(found.p)) / int(found.q) - expected) <= mpf(10) ** -150 * (1 + abs(expected))


@given(models(max_features=5))
def test_few_features_agree_with_multi_precision_enumeration(model: Model) -> None:
    assert_enumeration_agrees(model.W, model.b, model.problem)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("name", [name for name in STRATA if name != "extreme scales"])
@pytest.mark.parametrize("n", [5, pytest.param(6, marks=pytest.mark.slow)])
def test_strata_agree_with_multi_precision_enumeration(name: str, n: int) -> None:
    stratum, rng = STRATA[name], np.random.default_rng(n)
    for values in ("uniform", "binary"):
        W, b = stratum.embedding(rng, n)
        features = stratum.sets(rng, n, stratum.density, values)
        assert_enumeration_agrees(W, b, Problem(m=len(W), features=features, importance=rng.uniform(0.1, 2, n)))


# Stratified Monte Carlo


def sampled(c: ndarray, b: float, own: int, features: FeatureDistribution, size: int) -> tuple[ndarray, ndarray]:
    """Value and slopes with their standard errors: every set of active features is sampled alike, and weighed."""
    rng, n = np.random.default_rng(3), len(c)
    mean, variance = np.zeros(n + 2), np.zeros(n + 2)
    patterns = active_patterns(n)
    for active, probability in zip(patterns, features.pattern_probability(patterns), strict=True):
        if probability == 0:
            continue
        x = active * (rng.random((size, n)) if features.values == UNIFORM else np.ones((2, n)))
        z = b + x @ c
        error = x[:, own] - np.maximum(z, 0)
        slope = -2 * error * (z > 0)
        values = np.c_[error**2, slope[:, None] * x, slope]
        mean += probability * values.mean(0)
        variance += probability**2 * values.var(0) / len(x)
    return mean, np.sqrt(variance)


def assert_sampling_agrees(kind: str, values: str, size: int) -> None:
    rng = np.random.default_rng(KINDS.index(kind))
    features, own = distribution(kind, rng, values), int(rng.integers(8))
    c, b = rng.normal(size=8), float(rng.normal() * 0.3)
    found = exact(c, b, own, features)
    answer = np.array([to_float(found.value), *slopes(found)])
    mean, error = sampled(c, b, own, features, size)
    error += 1e-13  # rounding, where values are binary and nothing is random
    assert (4 * error < 0.05 * np.abs(answer).max()).all(), "the estimate could not see an error of 5 %"
    assert (np.abs(mean - answer) < 4 * error).all()
    assert (np.abs(mean - 1.1 * answer)[0] > 4 * error[0]).all(), "a value 10 % too large would pass"


@pytest.mark.parametrize("values", ["uniform", "binary"])
@pytest.mark.parametrize("kind", KINDS)
def test_eight_features_agree_with_stratified_sampling(kind: str, values: str) -> None:
    assert_sampling_agrees(kind, values, 20_000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_eight_features_agree_with_large_stratified_samples(kind: str) -> None:
    assert_sampling_agrees(kind, "uniform", 100_000)


# The gradient


@pytest.mark.parametrize("values", ["uniform", "binary"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_is_the_limit_of_exact_differences(kind: str, values: str) -> None:
    rng = np.random.default_rng(7)
    features, own, step = distribution(kind, rng, values), 4, fmpq(1, 2**200)
    start = [rational(x) for x in rng.normal(size=9)]  # couplings, then the bias
    start[2] = fmpq(0)
    found = exact_output(start[:8], start[8], own, features)

    def value(place: int, change: fmpq) -> fmpq:
        moved = [x + change if k == place else x for k, x in enumerate(start)]
        return exact_output(moved[:8], moved[8], own, features, gradient=False).value

    for place, slope in enumerate((*found.couplings, found.bias)):
        difference = (value(place, step) - value(place, -step)) / (2 * step)
        # Central differences miss by the square of the step, times third derivatives that are at most some 1e10.
        assert abs(difference - slope) < fmpq(1, 2**360)


def test_gradient_of_the_loss_is_the_limit_of_exact_differences() -> None:
    rng, step = np.random.default_rng(8), 2.0**-30
    W, b = np.round(rng.normal(size=(2, 4)) * 64) / 64, np.round(rng.normal(size=4) * 64) / 64
    problem = Problem(m=2, density=rng.uniform(0.1, 1, 4), importance=[1.0, 0.5, 0.0, 2.0])
    found = exact_loss(W, b, problem)
    for place in np.ndindex(3, 4):
        sides = []
        for sign in (1, -1):
            moved = np.vstack([W, b])
            moved[place] += sign * step
            sides.append(exact_loss(moved[:2], moved[2], problem).value)
        slope = (*found.dW, found.db)[place[0]][place[1]]
        assert abs(to_float((sides[0] - sides[1]) / rational(2 * step) - slope)) < 1e3 * step**2


# Identities, where the other routes do not reach


@pytest.mark.parametrize("n", [3, pytest.param(14, marks=pytest.mark.slow)])
def test_output_that_is_always_on_is_a_polynomial(n: int) -> None:
    rng = np.random.default_rng(n)
    c, p = rng.normal(size=n), rng.uniform(0, 1, n)
    b = float(np.abs(c).sum() + 0.5)
    found = exact(c, b, 0, Independent(p))
    g, q = [rational(x) for x in c], [rational(x) for x in p]
    residual = [(1 if j == 0 else 0) - g[j] for j in range(n)]  # x_0 - z = -b + sum_j residual_j x_j
    mean = sum((r * d / 2 for r, d in zip(residual, q, strict=True)), -rational(b))
    variance = sum((r**2 * (d / 3 - d**2 / 4) for r, d in zip(residual, q, strict=True)), fmpq(0))
    assert found.value == mean**2 + variance
    assert found.bias == -2 * mean


@pytest.mark.parametrize("values", ["uniform", "binary"])
def test_features_that_are_alike_may_share_work(values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    c, p = rng.normal(size=3)[rng.integers(3, size=10)], np.array([0.2, 0.7])[rng.integers(2, size=10)]
    shared = exact(c, -0.1, 4, Independent(p, values))
    monkeypatch.setattr(Output, "shared", None)
    monkeypatch.setattr(Output, "alike", range(10))
    assert exact(c, -0.1, 4, Independent(p, values)) == shared


def test_forty_equal_features_that_are_always_on_are_a_polynomial() -> None:
    found = exact(np.full(40, -0.25), 11.0, 0, Independent(np.full(40, 0.125)))
    mean = -11 + 40 * fmpq(1, 4) / 16 + fmpq(1, 16)  # x_0 - z has 39 coefficients 1/4 and one 5/4
    variance = (39 * fmpq(1, 16) + fmpq(25, 16)) * (fmpq(1, 24) - fmpq(1, 256))
    assert found.value == mean**2 + variance
    assert found.bias == -2 * mean
    assert len(set(found.couplings[1:])) == 1


def test_examples_that_never_switch_lose_everything() -> None:
    found = exact_loss(np.full((1, 7), 1000.0), np.full(7, -8e6), Problem(n=7, m=1, density=0.3))
    assert found.value == 7 * rational(0.3) / 3
    assert not any((*found.dW[0], *found.db))


@pytest.mark.parametrize("kind", [Correlated, Anticorrelated])
@pytest.mark.parametrize("values", ["uniform", "binary"])
def test_sets_of_one_feature_are_independent(kind: type, values: str) -> None:
    rng = np.random.default_rng(1)
    c, p = rng.normal(size=9), rng.uniform(0, 1, 9)
    alone = kind([[j] for j in rng.permutation(9).tolist()], p, values)
    density = np.empty(9)
    density[[s[0] for s in alone.sets]] = p
    assert exact(c, 0.1, 3, alone) == exact(c, 0.1, 3, Independent(density, values))


def test_features_without_coupling_change_nothing() -> None:
    rng = np.random.default_rng(2)
    c, p = rng.normal(size=14), rng.uniform(0, 1, 14)
    c[5:] = 0.0
    many, few = exact(c, -0.2, 1, Independent(p)), exact(c[:5], -0.2, 1, Independent(p[:5]))
    assert (many.value, many.bias, many.couplings[:5]) == (few.value, few.bias, few.couplings)
    assert many.couplings[9] == few.bias * rational(p[9]) / 2  # slope in a coupling of 0: the mean of its feature


def test_scaling_of_couplings_that_cannot_be_felt_is_exact() -> None:
    """A coupling of 1e-12 among nine: its neighbours' rounding would swallow it, its slope is as exact as theirs."""
    c, p = np.array([1.0, 1e-12, -0.4, 1e-8, 0.3, 1e4, 0.0, -1e-5, 2.0]), np.full(9, 1e-6)
    found = exact(c, -0.1, 0, Independent(p))
    c[1] = 0.0
    without = exact(c, -0.1, 0, Independent(p))
    change = found.value - without.value
    assert change != 0
    assert abs(to_float(change / (without.couplings[1] * rational(1e-12))) - 1) < 1e-9


@pytest.mark.parametrize(("values", "at_kink"), [("binary", True), ("uniform", False)])
def test_kinks_are_told(values: str, at_kink: bool) -> None:
    features = Independent([0.5, 0.5], values)
    assert exact(np.array([1.0, -1.0]), 0.0, 0, features).at_kink == at_kink
    assert exact(np.array([0.0, -1.0]), 0.0, 0, features).at_kink
    assert not exact(np.array([1.0, -1.0]), 0.25, 0, features).at_kink


def test_kink_that_only_others_reach_is_none() -> None:
    assert not exact(np.array([0.75, 1.0]), -1.0, 0, Independent([0.5, 0.5], "binary")).at_kink


def test_certain_feature_that_moves_z_takes_the_kink_away() -> None:
    assert not exact(np.array([0.0, 1.0]), 0.0, 0, Independent([0.5, 1.0])).at_kink


# The problems


def test_every_stratum_is_made_again_from_its_number() -> None:
    seen = set()
    for number in range(100):
        one, again = make_case(number), make_case(number)
        seen.add(one.stratum)
        np.testing.assert_array_equal(one.W, again.W)
        np.testing.assert_array_equal(one.b, again.b)
        np.testing.assert_array_equal(one.problem.features.density, again.problem.features.density)
    assert seen == set(STRATA)
