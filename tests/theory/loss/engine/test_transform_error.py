"""What a law's transform may be wrong by is part of the stated error: transforms that are off on purpose."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy import ndarray

from tests.records import Exponential
from theory import Problem, loss_estimate

_OFF = 1e-7


@dataclass(frozen=True)
class Uncertain(Exponential):
    """An exponential law whose transform stretches values by 1e-7, and which says so."""

    stretch: float = _OFF

    @property
    def transform_error(self) -> float:
        """Stretched, e(a) = 1 / (1 - ia) changes by less than |a e'(a)| <= 1 / 2 times the stretch."""
        return 0.5 * self.stretch

    def transform(self, a: ndarray, order: int = 0) -> ndarray:
        """Of values that are stretched."""
        return (1 + self.stretch) ** order * super().transform((1 + self.stretch) * np.asarray(a), order)

    def transforms(self, a: ndarray, order: int) -> tuple[ndarray, ...]:
        """Likewise."""
        return tuple(self.transform(a, k) for k in range(order + 1))


@pytest.mark.parametrize("n", [3, 8, 40])
@pytest.mark.parametrize("density", [0.05, 0.5])
def test_the_stated_error_covers_what_the_transform_is_wrong_by(n: int, density: float) -> None:
    rng = np.random.default_rng(n)
    m = max(1, n // 3)
    W, b = rng.normal(size=(m, n)) / np.sqrt(m), 0.1 * rng.normal(size=n)
    off, right = (
        loss_estimate(W, b, Problem(n=n, m=m, density=density, values=law), rtol=1e-10)
        for law in (Uncertain(), Exponential())
    )
    miss = abs(off.value - right.value)
    assert 1e-9 * right.value < miss < off.error  # it does something, and no more than is said
    for name, slope in off.gradient.items():
        assert np.abs(slope - right.gradient[name]).max() < off.gradient_error


def test_laws_that_are_known_to_rounding_cost_nothing() -> None:
    W, b = np.array([[1.0, -1.0, 0.3]]), np.zeros(3)
    found = loss_estimate(W, b, Problem(n=3, m=1, density=0.1, values="exponential"), rtol=1e-12)
    assert found.error < 1e-11 * found.value
