"""Recovery from a random projection: probabilities and the statistical dimension."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import linprog

from theory.frames.recovery import (
    intrinsic_volumes,
    l1_success,
    l1_threshold,
    nonnegative_success,
    statistical_dimension,
)


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


@pytest.mark.parametrize(("k", "n"), [(1, 3), (4, 5), (2, 9), (3, 30), (40, 100)])
def test_intrinsic_volumes_are_those_of_projected_normal_vectors(k: int, n: int) -> None:
    rng, trials = np.random.default_rng(1), 40_000
    counts = np.zeros(n + 1)
    for _ in range(20):
        g = rng.standard_normal((trials // 20, n))
        inactive = -np.sort(-g[:, k:], axis=1)
        # With the largest l inactive ones above it, the root of the sum is t = (sum active + largest l) / (k + l).
        roots = (g[:, :k].sum(1)[:, None] + np.cumsum(np.pad(inactive, ((0, 0), (1, 0))), axis=1)) / np.arange(k, n + 1)
        t = roots.max(1)  # every other number of terms gives a smaller root
        above = (inactive > np.maximum(t, 0)[:, None]).sum(1)
        counts += np.bincount(k + above - (t > 0), minlength=n + 1)
    expected = np.array(intrinsic_volumes(k, n))
    assert_allclose(expected.sum(), 1, rtol=1e-11)
    assert_allclose(expected[::2].sum(), 0.5, rtol=1e-11)  # Gauss and Bonnet
    assert (np.abs(counts / trials - expected) < 4.5 * np.sqrt(expected / trials) + 1e-4).all()
    mean, deviation = statistical_dimension(k, n)
    j = np.arange(n + 1)
    assert abs(counts @ j / trials - mean) < 4 * deviation / np.sqrt(trials)


@pytest.mark.parametrize(("k", "m", "n"), [(4, 6, 8), (2, 5, 9), (1, 2, 4), (3, 7, 14)])
def test_l1_recovers_as_often_as_linear_programs_do(k: int, m: int, n: int) -> None:
    rng, trials = np.random.default_rng(2), 400
    x = np.where(np.arange(n) < k, 1.0, 0.0)
    recovered = 0
    for _ in range(trials):
        W = rng.standard_normal((m, n))
        program = linprog(np.ones(n), A_eq=W, b_eq=W @ x, method="highs")
        recovered += bool(np.abs(program.x - x).max() < 1e-7)
    expected = l1_success(k, m, n)
    assert 0.05 < expected < 0.95
    assert abs(recovered / trials - expected) < 4 * np.sqrt(expected * (1 - expected) / trials)


def test_limits() -> None:
    assert nonnegative_success(3, 10, 10) == 1
    assert l1_success(0, 5, 20) == 1
    assert l1_success(5, 5, 20) == 0
    assert l1_success(19, 20, 20) == 1
    assert_allclose(statistical_dimension(1, 2)[0], 0.75, rtol=1e-12)  # an angle of 135 degrees: v = 1/8, 1/2, 3/8
    with pytest.raises(ValueError, match="k must be between 1 and n - 1"):
        statistical_dimension(5, 5)
    assert l1_success(1, 60, 100) > 0.999
    dimensions = [statistical_dimension(k, 50)[0] for k in (1, 5, 20, 40, 49)]
    assert (np.diff(dimensions) > 0).all()
    assert dimensions[-1] < 50


def test_at_the_threshold_half_of_the_signals_are_recovered() -> None:
    k = l1_threshold(30, 100)
    assert l1_success(int(k), 30, 100) > 0.5 > l1_success(int(k) + 1, 30, 100)
    with pytest.raises(ValueError, match="m must be at most the statistical dimension"):
        l1_threshold(100, 100)
