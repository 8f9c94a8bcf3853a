"""Descents with second derivatives: what ends them."""

import numpy as np

from theory.tools.trust_region import descend

NO_KINKS = slice(0, 0)


class Blurred:
    """A bowl above a floor, whose curvature is reported at half its size: steps overshoot, and end on no gradient."""

    def __init__(self, floor: float = 1.0) -> None:
        self.floor, self.calls = floor, 0

    def slopes(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.calls += 1
        return self.floor + (x**2).sum(-1) / 2, x, np.zeros((len(x), 0))

    def hessians(self, x: np.ndarray, memory: np.ndarray) -> np.ndarray:
        return np.tile(0.55 * np.eye(x.shape[1]), (len(x), 1, 1))


class Saddle(Blurred):
    """Starts beside a saddle point: the first steps gain next to nothing, and later ones much."""

    def slopes(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.calls += 1
        a, b = x.T
        value = self.floor + a**2 / 2 + b**4 / 4 - b**2 / 2
        return value, np.stack([a, b**3 - b], -1), x

    def hessians(self, x: np.ndarray, memory: np.ndarray) -> np.ndarray:
        return np.array([np.diag([1, 3 * b**2 - 1]) for _, b in x])


def test_small_gains_end_a_descent_where_little_is_left_to_gain() -> None:
    start, gain = np.full((3, 2), [0.3, -0.2]), 1e-10
    whole, cut = Blurred(), Blurred()
    exact, found = descend(whole, start, NO_KINKS, 1e-12), descend(cut, start, NO_KINKS, 1e-12, gain=gain)
    assert cut.calls < whole.calls
    assert np.all(found.value - exact.value <= 10 * gain * exact.value)


def test_small_gains_beside_a_saddle_point_end_nothing() -> None:
    start = np.array([[0.0, 5e-6]])
    found = descend(Saddle(), start, NO_KINKS, 1e-8, gain=1e-10)
    np.testing.assert_allclose(np.abs(found.x), [[0, 1]], atol=1e-6)
