"""The closed-form stability limit of an unrepresented feature."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import theory
from theory.model.extra_feature import extra_feature_problem
from theory.optimum.local_minima import refine


@pytest.mark.parametrize("density", [0.05, 0.3, 0.6, 0.85, 0.97])
def test_minimum_over_the_bias_is_the_closed_form(density: float) -> None:
    p, beta = density, np.linspace(0, density, 2_000_001)
    variance = p / 3 - p**2 / 4
    cost = p * (variance + (p / 2 - beta) ** 2 / 4) + (1 - p) ** 2 * beta**2 + (1 - p) * p * beta**3 / 3
    assert_allclose(theory.instability_threshold(p), cost.min() / variance, rtol=1e-11)


@pytest.mark.parametrize("density", [0.1, 0.4, 0.7, 0.9])
@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2)])
def test_the_exact_loss_turns_from_minimum_to_saddle_there(density: float, n: int, m: int) -> None:
    """Minimise over everything but a small antipodal overlap, held fixed: its cost changes sign at the threshold."""
    threshold = theory.instability_threshold(density)
    overlap = 1e-3
    costs = []
    for factor in (0.99, 1.01):
        problem = extra_feature_problem(n, m, np.array([density]), np.array([factor * threshold]))
        W, b = np.eye(m, n)[None], np.zeros((1, n))
        b[0, -1] = density / 2
        still = theory.population_loss(W, b, problem)[0]
        W[0, 0, -1] = -overlap
        costs.append(lowest_with_overlap_fixed(problem, W, b, overlap) - still)
    assert costs[0] > 0 > costs[1]
    change = (costs[0] - costs[1]) / (0.02 * threshold) / overlap**2
    assert_allclose(change, density / 3 - density**2 / 4, rtol=0.02)  # the benefit is V eps^2 per unit importance


def lowest_with_overlap_fixed(problem: theory.Problem, W: np.ndarray, b: np.ndarray, overlap: float) -> float:
    """SciPy minimises over the norm of feature 1 and all biases."""
    from scipy.optimize import minimize

    n = problem.n

    def loss(x: np.ndarray) -> float:
        V = W.copy()
        V[0, 0, 0] = 1 + overlap * x[0]
        return float(theory.population_loss(V, b + overlap * x[1:], problem)[0]) / overlap**2

    start = np.zeros(n + 1)
    return float(minimize(loss, start, method="BFGS", options={"gtol": 1e-7}).fun) * overlap**2


def test_below_the_threshold_descent_returns_and_above_it_leaves() -> None:
    p = 0.7
    for factor, leaves in ((0.98, False), (1.02, True)):
        r = factor * theory.instability_threshold(p)
        problem = extra_feature_problem(2, 1, np.array([p]), np.array([r]))
        found = refine(problem, np.array([[[1.0, -0.003]]]), np.array([[0.0, p / 2]]), tolerance=1e-11)
        assert (abs(found.W[0, 0, 1]) > 0.01) == leaves


def test_a_sparsity_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="density must lie in"):
        theory.instability_threshold(0.0)
