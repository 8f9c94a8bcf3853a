"""The batched minimiser and the search for local minima."""

import numpy as np
import pytest
from hypothesis import given, settings
from numpy import ndarray
from numpy.testing import assert_allclose

import theory
from tests.strategies import seeds
from theory import Problem, Terms
from theory.model.extra_feature import extra_feature_problem
from theory.model.values import value_law
from theory.model.variant import Variant
from theory.optimum import local_minima, with_terms
from theory.optimum.local_minima import LocalMinima, few_nodes, random_starts, refine, revive
from theory.tools.quasi_newton import minimise


def batch(n: int, m: int, density: float, count: int) -> Problem:
    return Problem(m=m, density=np.full((count, n), density))


def test_quadratic_bowls_are_minimised_to_their_centres() -> None:
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(30, 4, 4))
    curvature = roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(4)
    centre = rng.normal(size=(30, 4))

    def bowl(x: ndarray, which: ndarray) -> tuple[ndarray, ndarray]:
        gradient = np.einsum("kij,kj->ki", curvature[which], x - centre[which])
        return 0.5 * (gradient * (x - centre[which])).sum(-1), gradient

    found = minimise(bowl, np.zeros((30, 4)), tolerance=1e-10)
    assert found.converged.all()
    assert_allclose(found.x, centre, atol=1e-7)


def test_the_valley_of_rosenbrock_is_followed() -> None:
    def valley(x: ndarray, which: ndarray) -> tuple[ndarray, ndarray]:
        a, b = 1 - x[:, 0], x[:, 1] - x[:, 0] ** 2
        return a**2 + 100 * b**2, np.stack([-2 * a - 400 * x[:, 0] * b, 200 * b], axis=1)

    starts = np.random.default_rng(1).normal(size=(20, 2))
    found = minimise(valley, starts, tolerance=1e-9, iterations=500)
    assert found.converged.all()
    assert_allclose(found.x, 1.0, atol=1e-6)


def test_a_kink_of_the_second_derivative_does_not_stop_the_search() -> None:
    def kinked(x: ndarray, which: ndarray) -> tuple[ndarray, ndarray]:
        steep = np.where(x > 0, 100.0, 1.0)
        return (steep * x**2).sum(-1) / 2, steep * x

    found = minimise(kinked, np.random.default_rng(2).normal(size=(50, 3)))
    assert found.converged.all()


@settings(max_examples=10)  # eight searches each
@given(seeds)
def test_every_result_is_a_stationary_point_not_above_its_start(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = batch(3, 2, float(rng.uniform(0.02, 0.9)), 8)
    W, b = random_starts(problem, 8, rng)
    found = refine(problem, W, b)
    assert (found.loss <= theory.population_loss(W, b, problem)).all()
    loss, dW, db = theory.population_loss_and_gradient(found.W, found.b, problem)
    assert_allclose(loss, found.loss, rtol=1e-12, atol=1e-15)
    scale = (problem.density / 3).sum(-1)
    steepest = np.maximum(np.abs(dW).max((1, 2)), np.abs(db).max(1)) / scale
    assert_allclose(steepest, found.gradient_norm, atol=1e-12)
    assert (steepest[found.converged] <= 1e-8).all()


def test_dead_features_are_revived() -> None:
    problem = batch(3, 2, 0.05, 2)
    W = np.array([[[1.0, 0, 0], [0, 1.0, 0]]] * 2)
    b = np.array([[0.0, 0.0, -0.3], [0.0, 0.0, 0.025]])
    dead = refine(problem, W, b)
    assert abs(dead.W[0, :, 2]).max() == 0, "the start is meant to have no gradient in the dead feature"
    alive = revive(problem, dead, np.random.default_rng(0))
    assert alive.loss[0] < 0.9 * dead.loss[0]
    assert alive.loss[1] <= dead.loss[1]
    well = LocalMinima(W, abs(b), np.ones(2), np.ones(2, bool), np.zeros(2), dead.inverse)
    unchanged = revive(problem, well, np.random.default_rng(0))
    assert unchanged.loss.tolist() == [1.0, 1.0]


def test_taking_rows_of_a_batch() -> None:
    problem = Problem(m=1, density=np.array([[0.1, 0.2], [0.3, 0.4]]), importance=np.array([[1.0, 2.0], [3.0, 4.0]]))
    some = problem.take(np.array([1, 1, 0]))
    assert_allclose(some.density[:, 0], [0.3, 0.3, 0.1])
    assert_allclose(some.importance[:, 1], [4.0, 4.0, 2.0])


@pytest.mark.slow
@pytest.mark.parametrize("variant", [Variant(values=value_law("exponential")), Variant(terms=Terms(noise=0.1))])
def test_searches_with_few_nodes_end_at_minima_of_the_exact_loss(
    variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    density, importance = np.repeat([0.1, 0.5], 2), np.tile([0.3, 3.0], 2)
    task = extra_feature_problem(2, 1, density, importance, variant)
    assert few_nodes(task)
    found = refine(task, *random_starts(task, 4, np.random.default_rng(0)))
    settled = np.flatnonzero(found.converged)
    assert len(settled) >= 2
    for module in (local_minima, with_terms):
        monkeypatch.setattr(module, "few_nodes", lambda problem: False)
    exact = refine(task.take(settled), found.W[settled], found.b[settled], iterations=20)
    assert_allclose(exact.loss, found.loss[settled], rtol=1e-8)  # both are known to that
