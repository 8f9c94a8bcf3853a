"""The stratified estimate against losses known in closed form, and against plain sampling."""

import numpy as np
import pytest
from numpy import ndarray

from numerics import Parameters, forward, sample, stratified_loss
from numerics.sampling.monte_carlo import active_count_probability
from theory import Correlated, Problem, population_loss

SIGMA = 4


def antipodal(p: ndarray | float) -> tuple[ndarray, ndarray, Problem]:
    return np.array([[1.0, -1.0]]), np.zeros(2), Problem(n=2, m=1, density=p)


def test_the_antipodal_pair_costs_p_squared_over_three() -> None:
    W, b, problem = antipodal(0.05)
    estimate, error = stratified_loss(W, b, problem)
    exact = 0.05**2 / 3
    assert 4 * error < 0.05 * exact
    assert abs(estimate - exact) < SIGMA * error
    assert abs(estimate - 1.1 * exact) > SIGMA * error


@pytest.mark.parametrize("p", [1e-4, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("values", ["uniform", "binary"])
def test_storing_nothing_costs_the_second_moment(p: float, values: str) -> None:
    density = p * np.linspace(0.3, 1, 6)
    problem = Problem(m=2, density=density, importance=np.arange(1.0, 7.0), values=values)
    estimate, error = stratified_loss(np.zeros((2, 6)), np.zeros(6), problem)
    exact = problem.importance @ np.diag(problem.features.second_moment)
    assert 4 * error < 0.05 * exact
    assert abs(estimate - exact) <= SIGMA * error + 1e-12 * exact


@pytest.mark.parametrize("model", ["relu", "linear", "relu_hidden"])
def test_it_agrees_with_plain_sampling_for_unequal_densities(model: str) -> None:
    rng = np.random.default_rng(0)
    n, m = 7, 3
    W, b = rng.normal(size=(m, n)) / 2, rng.normal(size=n) / 5
    problem = Problem(m=m, density=rng.uniform(0.05, 0.9, n), importance=rng.uniform(0, 2, n))
    x = sample(problem.features, 200_000, rng)
    losses = (x - forward(Parameters(W, b), x, model)) ** 2 @ problem.importance
    plain, spread = losses.mean(), losses.std() / np.sqrt(len(losses))
    estimate, error = stratified_loss(W, b, problem, model=model)
    assert 4 * np.hypot(error, spread) < 0.05 * plain
    assert abs(estimate - plain) < SIGMA * np.hypot(error, spread)


def test_its_standard_error_is_the_spread_of_its_estimates() -> None:
    W, b, problem = antipodal(0.1)
    runs = np.array([stratified_loss(W, b, problem, samples=5000, seed=s) for s in range(200)])
    # The spread of 200 values is itself known to 1 / sqrt(400) = 5 %, and is allowed 4 times that.
    assert runs[:, 0].std(ddof=1) == pytest.approx(runs[:, 1].mean(), rel=0.2)
    assert abs(runs[:, 0].mean() - 0.1**2 / 3) < SIGMA * runs[:, 1].mean() / np.sqrt(len(runs))


@pytest.mark.parametrize("values", ["uniform", "binary"])
@pytest.mark.parametrize("model", ["relu", "linear"])
def test_it_vouches_for_the_exact_loss_when_densities_span_three_decades(model: str, values: str) -> None:
    rng = np.random.default_rng(5)
    scores = []
    for seed in range(25):
        n, m = int(rng.integers(2, 7)), int(rng.integers(1, 4))
        density = 10 ** rng.uniform(-3, 0, n)
        density[0] = 1.0 if seed % 5 == 0 else density[0]
        problem = Problem(m=m, density=density, importance=rng.uniform(0.1, 2, n), values=values)
        W, b = 0.7 * rng.normal(size=(m, n)), 0.2 * rng.normal(size=n)
        estimate, error = stratified_loss(W, b, problem, samples=50_000, seed=seed, model=model)
        assert 4 * error < 0.05 * estimate
        scores.append((estimate - population_loss(W, b, problem, model=model)) / (error + 1e-12))
    assert np.abs(scores).max() < SIGMA
    # Were the errors overstated, the scores would be small; 25 of them know their spread to 14 %.
    assert 0.5 < np.std(scores) < 1.5


def test_four_hundred_sparse_features_are_known_to_a_thousandth() -> None:
    rng = np.random.default_rng(1)
    n, m = 400, 30
    W = rng.normal(size=(m, n)) / np.sqrt(m)
    problem = Problem(n=n, m=m, density=0.05)
    estimate, error = stratified_loss(W, np.full(n, -0.1), problem)
    assert error < 1e-3 * estimate


def test_the_number_of_active_features_has_the_poisson_binomial_law() -> None:
    p = np.array([0.2, 0.5, 1.0])
    np.testing.assert_allclose(active_count_probability(p), [0, 0.4, 0.5, 0.1], atol=1e-15)
    assert active_count_probability(np.full(400, 0.37)).sum() == pytest.approx(1, abs=1e-12)


def test_it_refuses_what_it_cannot_estimate() -> None:
    W, b, problem = antipodal(0.1)
    with pytest.raises(ValueError, match="independent features"):
        stratified_loss(W, b, Problem(m=1, features=Correlated([[0, 1]], 0.1)))
    with pytest.raises(ValueError, match="no batch"):
        stratified_loss(W, b, problem.with_density([[0.1, 0.2], [0.3, 0.4]]))
    with pytest.raises(ValueError, match="at least 1000"):
        stratified_loss(W, b, problem, samples=999)
    with pytest.raises(ValueError, match="tied weights"):
        stratified_loss(W, b, problem, model="absolute")
    with pytest.raises(ValueError, match=r"unknown model 'rely'.*did you mean 'relu'"):
        stratified_loss(W, b, problem, model="rely")
