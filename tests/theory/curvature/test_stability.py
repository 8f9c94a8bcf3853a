"""Curvature: against differences of the loss, the closed-form spinodal, and cases known by hand."""

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar

from tests.strategies import Model, models, random_rotation
from theory import Problem, Terms, population_loss, population_loss_and_gradient
from theory.curvature.stability import hessian, stability_of, symmetry_directions
from theory.loss.decoupled import decoupled_errors
from theory.loss.population import output_errors
from theory.optimum.polytope import optimise_polytope

# Second differences of a loss of order one, known to 1e-16, over steps of 1e-3: rounding 1e-10, and a fourth
# derivative of order 100 (couplings of 0.1 cut the cube sharply) times the step squared.
_STEP, _SECOND_DIFFERENCE = 1e-3, 1e-3


def _along(model: Model, direction: np.ndarray, step: float) -> float:
    W = model.W + step * direction[: model.W.size].reshape(model.W.shape)
    return population_loss(W, model.b + step * direction[model.W.size :], model.problem)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "m"), [(2, 1), (4, 2), (5, 3)])
def test_hessian_gives_second_differences_of_the_loss(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = Problem(n=n, m=m, density=rng.uniform(0.2, 0.9, n), importance=rng.uniform(0.5, 2, n))
    model = Model(rng.normal(size=(m, n)), rng.normal(size=n), problem)
    direction = rng.normal(size=n * (m + 1))
    direction /= np.linalg.norm(direction)
    expected = sum(k * _along(model, direction, s * _STEP) for s, k in ((-1, 1), (0, -2), (1, 1))) / _STEP**2
    curvature = direction @ hessian(model.W, model.b, problem) @ direction
    assert curvature == pytest.approx(expected, rel=_SECOND_DIFFERENCE, abs=_SECOND_DIFFERENCE)


def test_hessian_beyond_enumeration_is_that_of_the_quadrature() -> None:
    rng = np.random.default_rng(0)
    problem = Problem(n=10, m=2, density=0.3)
    model = Model(rng.normal(size=(2, 10)), rng.normal(size=10), problem)
    H = hessian(model.W, model.b, problem)
    k, step = 3, 1e-4
    plus, minus = (
        population_loss_and_gradient(model.W, model.b + s * step * np.eye(10)[k], problem, rtol=1e-8)[2]
        for s in (1, -1)
    )
    assert np.allclose(H[20 + k, 20:], (plus - minus) / (2 * step), atol=1e-4)


@given(models(max_features=5))
def test_errors_of_decoupled_outputs_are_the_errors(model: Model) -> None:
    G = (model.W.T @ model.W)[None]
    ours, theirs = decoupled_errors(G, model.b[None], model.problem), output_errors(G, model.b[None], model.problem)
    assert np.allclose(ours.value, theirs.value, rtol=1e-12, atol=1e-13)
    # z vanishes at theta = -low / width, width = sum_j |g_ij|: what rounding leaves of sums of order 1, over the width.
    width = np.abs(G[0]).sum(-1)
    rounding = 1e-12 + np.finfo(float).eps / np.where(width > 0, width, 1.0)
    assert (np.abs(ours.db - theirs.db) <= rounding + 1e-10 * np.abs(theirs.db)).all()
    # At g_ii = b_i = 0 the error has a corner, and either one-sided derivative is right.
    smooth = (np.abs(G[0]).max(-1) > 0) | (model.b != 0)
    difference = np.abs(ours.dG[0] - theirs.dG[0])[smooth]
    assert (difference <= rounding[smooth, None] + 1e-10 * np.abs(theirs.dG[0][smooth])).all()


def test_many_features_in_small_factors_are_still_enumerated() -> None:
    pentagon, digon = optimise_polytope("pentagon", 0.1), optimise_polytope("digon", 0.1)
    W, b = np.zeros((4, 11)), np.full(11, 0.05)
    W[:2, :5], b[:5], W[2:3, 5:7], b[5:7], W[3:, 7:9], b[7:9] = (
        pentagon.W,
        pentagon.b,
        digon.W,
        digon.b,
        digon.W,
        digon.b,
    )
    problem = Problem(n=11, m=4, density=0.1)
    errors = decoupled_errors((W.T @ W)[None], b[None], problem)
    expected = pentagon.loss + 2 * digon.loss + 2 * (0.1 / 3 - 0.1**2 / 4)
    assert errors.value.sum() == pytest.approx(expected, rel=1e-12)
    assert np.abs(W @ (errors.dG[0] + errors.dG[0].T)).max() < 1e-9  # a product of optima is stationary


@pytest.mark.parametrize(("density", "kind"), [(0.05, "minimum"), (0.5, "saddle")])
def test_pentagon_is_a_minimum_when_sparse_and_a_saddle_when_dense(density: float, kind: str) -> None:
    pentagon = optimise_polytope("pentagon", density)
    found = stability_of(pentagon.W, pentagon.b, Problem(n=5, m=2, density=density))
    assert found.kind == kind
    assert (found.zero_modes, len(found.spectrum), found.kinked) == (0, 14, False)  # 15 less one rotation


def test_rotating_hidden_space_changes_no_curvature() -> None:
    rng = np.random.default_rng(1)
    problem = Problem(n=4, m=3, density=0.3)
    W, b = rng.normal(size=(3, 4)), rng.normal(size=4)
    turned = random_rotation(3, 5) @ W
    one, two = (np.linalg.eigvalsh(hessian(V, b, problem)) for V in (W, turned))
    assert np.allclose(one, two, atol=1e-7)


def test_rotations_and_dead_directions_are_told() -> None:
    W = np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    # The row that is used turns into two others; feature 2 never fires: its bias, and columns in the free dimensions.
    assert symmetry_directions(W, np.array([0.1, 0.1, -0.2])).shape[1] == 2 + 1 + 2
    assert symmetry_directions(W, np.array([0.1, 0.1, 0.2])).shape[1] == 2


def _closed_form_threshold(p: float) -> float:
    """
    Importance r at which "feature 2 is not represented" gives way to a small antipodal overlap.

    With W = (1, -e) and b_1 = beta e the second output gains r V e^2. The first pays p [V + (p/2 - beta)^2 / 4] where
    feature 1 is active (a change of |W_1|^2 takes three quarters of the mean), (1-p) E ReLU(beta - x_2)^2 where not.
    """
    V = p / 3 - p**2 / 4

    def interference(beta: float) -> float:
        return p * (V + (p / 2 - beta) ** 2 / 4) + (1 - p) ** 2 * beta**2 + (1 - p) * p * beta**3 / 3

    return minimize_scalar(interference, bounds=(0, 1), method="bounded", options={"xatol": 1e-12}).fun / V


@pytest.mark.parametrize("p", [0.05, 0.585725])
def test_one_sided_curvature_vanishes_where_the_closed_form_says(p: float) -> None:
    W, b = np.array([[1.0, 0.0]]), np.array([0.0, p / 2])

    def curvature(r: float) -> float:
        return stability_of(W, b, Problem(n=2, m=1, density=p, importance=[1.0, r])).smallest

    # Curvatures over a step of 3e-6 are off by about that.
    expected = _closed_form_threshold(p)
    assert curvature((1 - 1e-5) * expected) > 0 > curvature((1 + 1e-5) * expected)


def test_a_saddle_at_a_kink_is_descended_to_one_side_only() -> None:
    p, step = 0.2, 1e-3
    W, b = np.array([[1.0, 0.0]]), np.array([0.0, p / 2])
    problem = Problem(n=2, m=1, density=p, importance=[1.0, 1.1 * _closed_form_threshold(p)])
    found = stability_of(W, b, problem)
    assert (found.kind, found.kinked) == ("saddle", True)
    there, back = (
        population_loss(W + s * found.direction[:2].reshape(1, 2), b + s * found.direction[2:], problem)
        for s in (step, -step)
    )
    assert there < population_loss(W, b, problem) < back


def test_a_batch_of_problems_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a single one"):
        stability_of(np.zeros((1, 2)), np.zeros(2), Problem(n=2, m=1, density=np.full((3, 2), 0.1)))
    with pytest.raises(ValueError, match="must have the shapes"):
        hessian(np.zeros((2, 1)), np.zeros(2), Problem(n=2, m=1, density=0.1))


@pytest.mark.parametrize("values", ["uniform", "binary", "exponential", "gamma:2", "scipy:lognorm,1"])
@pytest.mark.parametrize("small", [0.1, 0.02, 1e-3])
@pytest.mark.parametrize("bias", [None, 0.0])
def test_hessian_beside_small_couplings_at_a_zero_bias(values: str, small: float, bias: float | None) -> None:
    """No ReLU is off, so that the loss is a polynomial in W; steps as long as couplings were up to 90 % wrong."""
    problem = Problem(n=2, m=1, density=[0.45, 0.024], values=values, terms=Terms(bias=bias))
    w, S = np.array([small, 0.2]), problem.features.second_moment
    # L = E |x|^2 - 2 w.S w + |w|^2 w.S w
    s = S @ w
    exact = -4 * S + 2 * (w @ s) * np.eye(2) + 4 * (np.outer(w, s) + np.outer(s, w)) + 2 * (w @ w) * S
    H = hessian(w[None], [0.0, 0.0], problem)
    assert_allclose(H[:2, :2], exact, rtol=0, atol=3e-6 * np.abs(exact).max())
