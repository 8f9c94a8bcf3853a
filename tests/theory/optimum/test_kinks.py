"""Stationary points on kinks are told from slopes."""

import numpy as np
import pytest

from theory import FeatureDistribution, Problem, global_optimum, population_loss
from theory.optimum.kinks import may_have_kinks, shortest_gradient


def _slope(x: np.ndarray) -> np.ndarray:
    """Of |x_0 + 2 x_1| + x_0^2 + x_1^2 + x_1."""
    side = np.sign(x @ [1.0, 2.0])[:, None]
    return side * np.array([1.0, 2.0]) + 2 * x + np.array([0.0, 1.0])


def test_gradients_around_a_minimum_on_a_kink_combine_to_nothing() -> None:
    # along the kink, (-2, 1) s, the loss is 5 s^2 + s: its minimum is at s = -1/10
    lowest = np.array([0.2, -0.1])
    assert np.abs(_slope(lowest[None] + 1e-9)).max() > 0.1
    assert np.abs(shortest_gradient(_slope, lowest)).max() < 1e-5
    for step in ([-0.02, 0.01], [0.01, 0.02]):  # along the kink, off it
        assert np.abs(shortest_gradient(_slope, lowest + np.array(step))).max() > 1e-2


def test_a_smooth_gradient_is_itself() -> None:
    x = np.array([0.3, -0.7])
    assert shortest_gradient(lambda points: 2 * points, x) == pytest.approx(2 * x, abs=1e-5)


def test_kinks_are_where_values_have_atoms_below_zero() -> None:
    for values, kinks in (("uniform", False), ("normal", False), ("binary", False), ("discrete:-1@0.3,2@0.7", True)):
        assert may_have_kinks(Problem(n=2, m=1, density=0.1, values=values)) == kinks


def test_an_optimum_on_a_kink_has_converged_and_says_where_it_is() -> None:
    law = FeatureDistribution(
        [[0, 1, 2], [3]], [0.9, 0.5], ["partial:0.6", "all-or-none"], "signed:discrete:1@0.5,2@0.5"
    )
    problem = Problem(m=2, features=law, importance=[0.74, 1.54, 1.5, 0.59])
    best = global_optimum(problem)
    assert best.gradient_norm > 1e-3
    assert best.converged
    assert "kink" in best.message
    rng = np.random.default_rng(0)
    for size in (1e-6, 1e-4, 1e-2):  # no gradient vanishes, and yet the loss rises to all sides
        W = best.W + size * rng.normal(size=(200, *best.W.shape))
        b = best.b + size * rng.normal(size=(200, *best.b.shape))
        assert (population_loss(W, b, problem.repeated(200)) > best.loss).all()
