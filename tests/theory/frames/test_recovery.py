"""Recovery from a random projection: probabilities and the statistical dimension."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import linprog

from theory.frames.recovery import l1_success, l1_threshold, nonnegative_success, statistical_dimension


@pytest.mark.parametrize(("k", "m", "n"), [(1, 2, 3), (1, 4, 6), (2, 5, 7), (0, 3, 6)])
def test_non_negativity_alone_determines_x_as_often_as_linear_programs_say(k: int, m: int, n: int) -> None:
    rng = np.random.default_rng(0)
    trials, unique = 150, 0
    for _ in range(trials):
        W, objective = rng.standard_normal((m, n)), rng.standard_normal(n)
        x = np.where(np.arange(n) < k, rng.random(n) + 0.5, 0.0)
        found = [linprog(sign * objective, A_eq=W, b_eq=W @ x, method="highs") for sign in (1, -1)]
        unique += all(program.status == 0 and np.abs(program.x - x).max() < 1e-7 for program in found)
    expected = nonnegative_success(k, m, n)
    assert 0.05 < expected < 0.95
    assert abs(unique / trials - expected) < 4 * np.sqrt(expected * (1 - expected) / trials)


@pytest.mark.parametrize(("k", "n"), [(3, 30), (10, 100), (40, 100)])
def test_the_statistical_dimension_is_the_mean_squared_projection(k: int, n: int) -> None:
    rng = np.random.default_rng(1)
    g = rng.standard_normal((4000, n))
    active, inactive = g[:, :k], g[:, k:]
    t = np.arange(0, 4, 0.02)
    J = np.stack([((active - s) ** 2).sum(1) + (np.maximum(inactive - s, 0) ** 2).sum(1) for s in t])
    least = J.min(0)
    mean, deviation = statistical_dimension(k, n)
    error = least.std() / np.sqrt(len(least))
    # What the expansion leaves out is of the order of the inverse of the number of active features.
    assert abs(least.mean() - mean) < 4 * error + 1 / k
    assert_allclose(np.sqrt(least.var() - 2 * least.mean()), deviation, rtol=0.1)
    leading = np.stack([((active - s) ** 2).mean() * k + (np.maximum(inactive - s, 0) ** 2).sum(1).mean() for s in t])
    assert abs(least.mean() - leading.min()) > abs(least.mean() - mean), "the correction improves on the leading order"


def test_limits() -> None:
    assert nonnegative_success(3, 10, 10) == 1
    assert l1_success(0, 5, 20) == 1
    assert l1_success(5, 5, 20) == 0
    assert l1_success(1, 60, 100) > 0.999
    dimensions = [statistical_dimension(k, 50)[0] for k in (1, 5, 20, 40, 49)]
    assert (np.diff(dimensions) > 0).all()
    assert dimensions[-1] < 50


def test_at_the_threshold_half_of_the_signals_are_recovered() -> None:
    k = l1_threshold(30, 100)
    assert l1_success(int(k), 30, 100) > 0.5 > l1_success(int(k) + 1, 30, 100)
    with pytest.raises(ValueError, match="m must be at most the statistical dimension"):
        l1_threshold(100, 100)
