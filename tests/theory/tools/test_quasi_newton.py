"""Many minimisations at once end where each would end alone."""

import numpy as np
import pytest

from theory.tools.quasi_newton import minimise


def valleys(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rosenbrock's valley, steeper from problem to problem, and a kink."""
    steep = 3.0 + 10.0 * which
    bend = x[:, 1] - x[:, 0] ** 2
    value = (1 - x[:, 0]) ** 2 + steep * bend**2 + 0.1 * np.abs(x[:, 2])
    slope = np.stack(
        [-2 * (1 - x[:, 0]) - 4 * steep * bend * x[:, 0], 2 * steep * bend, 0.1 * np.sign(x[:, 2])], axis=1
    )
    smooth = which % 2 == 0
    value = np.where(smooth, value - 0.1 * np.abs(x[:, 2]) + 0.5 * x[:, 2] ** 2, value)
    slope[smooth, 2] = x[smooth, 2]
    return value, slope


def test_a_batch_ends_where_each_alone_would() -> None:
    start = np.random.default_rng(0).normal(size=(9, 3))
    together = minimise(valleys, start, 1e-9, 200)
    assert together.converged[::2].all()  # where there is no kink
    np.testing.assert_allclose(together.x[::2], np.array([1.0, 1.0, 0.0]) + np.zeros((5, 3)), atol=1e-8)
    for k in range(9):
        alone = minimise(lambda x, which, k=k: valleys(x, which + k), start[k : k + 1], 1e-9, 200)
        np.testing.assert_allclose(together.x[k], alone.x[0], rtol=1e-12, atol=1e-12)
        assert together.converged[k] == alone.converged[0]


def test_as_many_iterations_as_were_allowed() -> None:
    start = np.array([[-1.2, 1.0, 0.5], [1.0, 1.0, 0.0]])
    calls = []

    def counted(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        calls.append(which.tolist())
        return valleys(x, 2 * which)

    none = minimise(counted, start, 1e-9, 0)
    np.testing.assert_array_equal(none.x, start)
    assert none.converged.tolist() == [False, True]
    assert calls == [[0, 1]]
    few, many = minimise(counted, start, 1e-9, 3), minimise(counted, start, 1e-9, 100)
    assert not few.converged[0]
    assert many.value[0] < few.value[0] < none.value[0]
    assert all(who == [0] for who in calls[2:] if len(who) == 1)  # what has converged is not asked again


@pytest.mark.parametrize(("told", "most"), [(3e-15, 18), (3e-14, 10)])
def test_searches_end_where_rounding_hides_what_they_could_gain(told: float, most: int) -> None:
    """Rough values, and slopes that never fall to the tolerance, at a kink; without the rule it takes twice as many."""
    noise, tolerance, points = 3e-14, 1e-8, []

    def rough(x: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points.append(len(x))
        value = 1 + (0.5 * x * x + 5e-8 * np.abs(x) + noise / 3 * np.sin(1e9 * x)).sum(1)
        return value, x + 5e-8 * np.sign(x)

    found = minimise(rough, np.random.default_rng(3).normal(size=(20, 3)), tolerance, 300, noise=told)
    np.testing.assert_allclose(found.value, 1, rtol=3 * noise)
    assert not found.converged.any()
    assert sum(points) / 20 < most
