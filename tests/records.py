"""Records that somebody outside the package would write, each by its recipe in docs/contributing.md."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from theory.model.activations import Activation, Kink
from theory.model.set_laws import SetLaw
from theory.model.values import ValueLaw

if TYPE_CHECKING:
    import sympy

__all__ = ["Exponential", "LeakyReLU", "PartialCorrelation"]


@dataclass(frozen=True)
class Exponential(ValueLaw):
    """Values of mean 1 with density exp(-u)."""

    @property
    def support(self) -> tuple[float, float]:
        return (0.0, np.inf)

    @property
    def strip(self) -> float:
        return 1.0

    def moment(self, k: int) -> float:
        return float(np.prod(np.arange(1, k + 1)))

    def transform(self, a: ndarray, order: int = 0) -> ndarray:
        return np.asarray(self.moment(order) * 1j**order / (1 - 1j * a) ** (order + 1))

    def partial(self, k: int, x: ndarray) -> ndarray:
        x = np.maximum(x, 0.0)
        tail = np.exp(-x)
        return tail * (1.0, x + 1, x * x + 2 * x + 2)[k]

    def quantile(self, q: ndarray) -> ndarray:
        return -np.log1p(-q)

    def log_mgf(self, s: ndarray) -> ndarray:
        return np.where(np.asarray(s) < 1, -np.log(np.maximum(1 - np.asarray(s, float), 1e-300)), np.inf)

    def sympy_density(self, u: "sympy.Symbol") -> "sympy.Expr":
        import sympy

        return sympy.exp(-u)


@dataclass(frozen=True)
class PartialCorrelation(SetLaw):
    """Members of an active set are active independently, each with probability c."""

    c: float

    def generating(self, e: ndarray) -> ndarray:
        return np.asarray((1 - self.c + self.c * e).prod(axis=-1))


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """z above zero, slope times z below."""

    slope: float

    @property
    def left(self) -> float:
        return self.slope

    @property
    def kinks(self) -> tuple[Kink, ...]:
        return (Kink(0.0, 1 - self.slope),)

    def value(self, z: ndarray) -> ndarray:
        return np.where(z > 0, z, self.slope * z)

    def derivative(self, z: ndarray) -> ndarray:
        return np.where(z > 0, 1.0, self.slope).astype(z.dtype)
