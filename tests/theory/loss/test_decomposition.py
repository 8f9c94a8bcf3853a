"""The parts of a loss sum to it, and each is what its name says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.integrate import quad

import theory
from tests.strategies import Model, models
from theory import Anticorrelated, Correlated, Independent, Problem
from theory.loss.by_count import errors_by_count
from theory.model.activations import activation_of
from theory.model.features import FeatureDistribution
from theory.model.values import UNIFORM

ROUNDING = 1e-12


@given(models(), st.sampled_from(["relu", "linear"]))
def test_parts_sum_to_the_loss(model: Model, kind: str) -> None:
    parts = theory.decompose(model.W, model.b, model.problem, model=kind)  # type: ignore[arg-type]
    loss = theory.population_loss(model.W, model.b, model.problem, model=kind)  # type: ignore[arg-type]
    named = parts.own_error.sum() + parts.interference.sum() + parts.collective.sum() + parts.bias_miss.sum()
    assert_allclose(named, loss, rtol=ROUNDING, atol=ROUNDING)
    assert_allclose(parts.by_active.sum(), loss, rtol=ROUNDING, atol=ROUNDING)
    assert (parts.by_active >= -ROUNDING).all()


@pytest.mark.parametrize("n", [8, 14, 120])
def test_parts_sum_to_the_loss_of_many_features(n: int) -> None:
    rng = np.random.default_rng(n)
    W, b = rng.normal(size=(3, n)) / 2, -0.1 * rng.random(n)
    problem = Problem(n=n, m=3, density=0.1)
    parts = theory.decompose(W, b, problem)
    loss = theory.population_loss(W, b, problem)
    named = parts.own_error.sum() + parts.interference.sum() + parts.collective.sum()
    assert_allclose(named, loss, rtol=1e-10)
    assert_allclose(parts.by_active.sum(), loss, rtol=1e-6)
    assert len(parts.by_active) == (n + 1 if n <= 100 else 3)


@pytest.mark.parametrize("kind", ["relu", "linear"])
@pytest.mark.parametrize(
    "features",
    [
        Independent([0.05, 0.3, 0.9, 1.0, 0.5, 0.01, 0.2]),
        Independent([0.05, 0.3, 0.9, 1.0, 0.5, 0.01, 0.2], values="binary"),
        Correlated([[0, 4], [2, 3, 1], [5, 6]], [0.2, 0.4, 0.9]),
        Anticorrelated([[0, 4], [2, 3, 1], [5, 6]], [0.2, 0.4, 1.0]),
    ],
)
def test_counting_active_features_agrees_with_enumerating_them(features: FeatureDistribution, kind: str) -> None:
    rng = np.random.default_rng(5)
    W, b, importance = rng.normal(size=(3, 7)) / 2, 0.2 * rng.normal(size=7), rng.uniform(0.5, 2, 7)
    W[:, 3] = 0.0
    problem = Problem(m=3, features=features, importance=importance)
    enumerated = theory.decompose(W, b, problem, model=kind).by_active  # type: ignore[arg-type]
    counted = importance @ errors_by_count(W.T @ W, b, features, activation_of(kind))
    # Binary values give integrands that do not decay; uniform ones decay with the number of active features.
    tolerance = 1e-9 if features.values == UNIFORM else 1e-6
    assert_allclose(counted[2:], enumerated[2:], atol=tolerance * enumerated.max())


def test_two_features_leave_nothing_collective() -> None:
    rng = np.random.default_rng(0)
    parts = theory.decompose(rng.normal(size=(1, 2)), rng.normal(size=2), Problem(n=2, m=1, density=0.4))
    assert_allclose(parts.collective, 0, atol=ROUNDING)


def test_the_linear_model_has_the_form_of_saxe() -> None:
    rng = np.random.default_rng(1)
    W, p, importance = rng.normal(size=(2, 4)), np.array([0.1, 0.3, 0.7, 1.0]), np.array([1, 2, 0.5, 1])
    problem = Problem(n=4, m=2, density=p, importance=importance)
    variance, G = p / 3 - p**2 / 4, W.T @ W
    best_bias = p / 2 - G @ (p / 2)
    parts = theory.decompose(W, best_bias, problem, model="linear")
    assert_allclose(parts.own_error, importance * (1 - np.diag(G)) ** 2 * variance, rtol=ROUNDING)
    off_diagonal = G - np.diag(np.diag(G))
    assert_allclose(parts.interference, importance[:, None] * off_diagonal**2 * variance, rtol=ROUNDING)
    assert_allclose(parts.bias_miss, 0, atol=ROUNDING)
    assert_allclose(parts.collective, 0, atol=ROUNDING)


def test_correlated_features_make_a_collective_part_of_the_linear_model() -> None:
    problem = Problem(m=1, features=Correlated([[0, 1], [2]], 0.2))
    parts = theory.decompose([[0.5, 0.6, 0.7]], [0.0, 0.0, 0.0], problem, model="linear")
    assert abs(parts.collective).max() > 1e-3


def test_benefit_of_a_perfectly_stored_feature_is_its_variance() -> None:
    parts = theory.decompose([[1.0, 0.0]], [0.0, 0.1], Problem(n=2, m=1, density=0.2))
    variance = 0.2 / 3 - 0.2**2 / 4
    assert_allclose(parts.benefit, [variance, 0.0], atol=ROUNDING)
    assert_allclose(parts.own_error, [0.0, variance], atol=ROUNDING)


def test_one_sparse_loss_is_its_integral() -> None:
    rng = np.random.default_rng(3)
    W, b, importance = rng.normal(size=(2, 3)), 0.3 * rng.normal(size=3), np.array([1.0, 2.0, 0.5])
    result = theory.one_sparse_loss(W, b, Problem(n=3, m=2, density=0.1, importance=importance))
    G = W.T @ W

    def integrand(x: float, i: int, j: int) -> float:
        return float(importance[i] * ((i == j) * x - max(G[i, j] * x + b[i], 0.0)) ** 2)

    expected = 0.0
    at_one = 0.0
    for i in range(3):
        for j in range(3):
            kink = -b[i] / G[i, j]
            points = [kink] if 0 < kink < 1 else None
            expected += quad(integrand, 0, 1, args=(i, j), points=points)[0]
            at_one += integrand(1.0, i, j)
    assert_allclose(result.loss, expected, rtol=1e-10)
    assert_allclose(result.at_one, at_one, rtol=ROUNDING)
    assert_allclose(result.own_error.sum() + result.interference.sum(), result.loss, rtol=ROUNDING)


def test_negative_interference_is_free_when_one_feature_is_active() -> None:
    free = theory.one_sparse_loss([[1.0, -1.0]], [0.0, 0.0], Problem(n=2, m=1, density=0.1))
    assert free.loss == 0
    assert free.at_one == 0
    costly = theory.one_sparse_loss([[1.0, 1.0]], [0.0, 0.0], Problem(n=2, m=1, density=0.1))
    assert_allclose(costly.interference.sum(), 2 / 3)


def test_sparse_limit_of_the_population_loss_is_the_one_sparse_loss() -> None:
    W, b = np.array([[1.1, -0.9, 0.3], [0.1, 0.2, -1.0]]), np.array([-0.1, -0.2, -0.05])
    one_sparse = theory.one_sparse_loss(W, b, Problem(n=3, m=2, density=1.0)).loss
    ratios = [theory.population_loss(W, b, Problem(n=3, m=2, density=p)) / p / one_sparse for p in (1e-4, 1e-6)]
    assert abs(ratios[0] - 1) < 1e-3
    assert abs(ratios[1] - 1) < 1e-5


def test_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="a single problem and model, got a batch of shape"):
        theory.decompose(np.ones((3, 1, 2)), np.zeros(2), Problem(n=2, m=1, density=0.1))
