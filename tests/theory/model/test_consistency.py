"""A record whose members tell of different laws is refused, whichever of them is the odd one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import sympy
from numpy import ndarray
from numpy.typing import ArrayLike
from scipy import stats

from tests.records import Exponential, LeakyReLU, PartialCorrelation
from theory import FeatureDistribution, Problem
from theory.model.consistency import set_contradiction, value_contradiction
from theory.model.values import ValueLaw, value_law

MEMBERS = ("moment", "transform", "partial", "quantile")


@dataclass(frozen=True)
class Mixed(ValueLaw):
    """Another law, of whose members one is that of values 3 % larger."""

    law: ValueLaw
    wider: str

    support = property(lambda self: self.law.support)
    strip = property(lambda self: self.law.strip)

    def factor(self, member: str) -> float:
        return 1.03 if self.wider == member else 1.0

    def moment(self, k: int) -> float:
        return self.factor("moment") ** k * self.law.moment(k)

    def transform(self, a: ndarray, order: int = 0) -> ndarray:
        c = self.factor("transform")
        return c**order * self.law.transform(c * a, order)

    def partial(self, k: int, x: ArrayLike) -> ndarray:
        c = self.factor("partial")
        return c**k * self.law.partial(k, np.asarray(x) / c)

    def quantile(self, q: ndarray) -> ndarray:
        return self.factor("quantile") * self.law.quantile(q)

    def log_mgf(self, s: ArrayLike) -> ndarray:
        return self.law.log_mgf(s)


def odd(record: Any, name: str, member: Callable[..., Any]) -> Any:
    """A record of a new class in which one member is replaced."""
    kind = type(record)
    return type("Odd", (kind,), {name: member})(**vars(record))


@pytest.mark.parametrize("law", [Exponential(), *map(value_law, ("normal", "discrete:-1@0.3,0.5@0.7"))], ids=repr)
def test_a_value_law_with_one_member_of_another_is_refused(law: ValueLaw) -> None:
    Problem(n=3, m=2, density=0.1, values=Mixed(law, "none"))
    for member in MEMBERS:
        with pytest.raises(ValueError, match=r"^the members of mixed values are of different laws: E "):
            Problem(n=3, m=2, density=0.1, values=Mixed(law, member))


@pytest.mark.parametrize("name", ["slopes", "pair_activity", "pattern_probability", "patterns", "activate"])
@pytest.mark.parametrize("members", [2, 5, 10])
def test_a_set_law_with_one_member_of_another_is_refused(members: int, name: str) -> None:
    law, other = PartialCorrelation(0.5), PartialCorrelation(0.6)
    strange = odd(law, name, lambda self, *given: getattr(other, name)(*given))
    assert set_contradiction(law, members) is None
    with pytest.raises(ValueError, match=f"Odd are of different laws: {name} is not that of its generating function"):
        FeatureDistribution([range(members)], 0.1, strange)


@pytest.mark.parametrize("activation", [LeakyReLU(0.1), LeakyReLU(-1)], ids=repr)
def test_an_activation_with_the_derivative_of_another_is_refused(activation: Any) -> None:
    strange = odd(activation, "derivative", lambda self, z: np.where(z > 0, 1.0, 0.2))
    with pytest.raises(ValueError, match="the derivative of odd is not that of its values"):
        Problem(n=3, m=2, density=0.1, activation=strange)


@pytest.mark.parametrize(
    "law",
    [
        stats.gamma(0.05), stats.lognorm(1), stats.weibull_min(0.5), stats.chi2(1), stats.norm(0, 1e4), stats.arcsine(),
        stats.uniform(-3, 1), stats.dgamma(0.5), stats.poisson(2), stats.binom(10, 0.3), stats.randint(-3, 4),
    ],
    ids=lambda law: law.dist.name,
)  # fmt: skip
def test_distributions_of_scipy_do_not_contradict_themselves(law: Any) -> None:
    assert value_contradiction(value_law(law)) is None


@pytest.mark.parametrize("rate", [1, 2])
def test_a_formula_for_another_density_is_refused(rate: int) -> None:
    """Of the same mass with other moments, and of another mass."""
    u = sympy.Symbol("u")
    for factor in (rate, 3 - rate):
        strange = odd(Exponential(), "sympy_density", lambda self, u, c=factor: c * sympy.exp(-rate * u))
        if factor == rate == 1:
            assert strange.expect(u**2, u) == 2
            continue
        with pytest.raises(ValueError, match="sympy_density of odd values is not the density of the law's moments"):
            strange.expect(u**2, u)
