"""Value laws: what an active feature's value is, one record a law.

Here are U[0, 1], the constant 1, and any law with a random sign; others are families with parameters
(theory.model.value_families), discrete (theory.model.discrete_values), taken from scipy.stats
(theory.model.numerical_values), or any subclass of ``ValueLaw`` (theory.model.value_protocol).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.value_protocol import Box, Triple, ValueLaw
from theory.tools.locking import sealed

if TYPE_CHECKING:
    import sympy

__all__ = ["BINARY", "UNIFORM", "Binary", "Box", "Symmetrised", "Uniform", "ValueLaw", "value_law"]

# Below this argument quotients of sines and cosines lose digits, and a few terms of their series are exact.
_SERIES = 0.05
# Stands for an argument of 0, which quotients would turn into NaN; small enough to change no phase.
_NO_ZERO = 1e-300
# Below this argument a series replaces quotients that lose a digit per order.
_NEAR = 1.0
_TERMS = 18  # 1/17! is below the rounding error


_UNIT_CUBE, _CORNER = Box(1.0, filled=True), Box(1.0, filled=False)


@sealed
@dataclass(frozen=True)
class Uniform(ValueLaw):
    """Uniform on [0, 1]."""

    @property
    def support(self) -> tuple[float, float]:
        """Values lie in [0, 1]."""
        return (0.0, 1.0)

    @property
    def box(self) -> Box:
        """The unit cube."""
        return _UNIT_CUBE

    def moment(self, k: int) -> float:
        """Give E u^k."""
        return 1 / (k + 1)

    def transform(self, a: Float[ndarray, "*shape"], order: int = 0) -> Complex[ndarray, "*shape"]:
        """Give the derivative of that order of (exp(ia) - 1) / (ia)."""
        return self.transforms(a, order)[order]

    def transforms(self, a: Float[ndarray, "*shape"], order: int) -> tuple[Complex[ndarray, "*shape"], ...]:
        """Give (exp(ia) - 1) / (ia) and its derivatives up to that order."""
        # Real arithmetic without np.where on the whole array: this is the inner loop of every quadrature.
        x = np.copysign(np.maximum(np.abs(0.5 * a), _NO_ZERO), a)
        sine, cosine = np.sin(x), np.cos(x)
        sinc = sine / x
        transform = np.empty(x.shape, dtype=complex)
        transform.real, transform.imag = cosine * sinc, sine * sinc
        found = [transform]
        if order:
            sinc_slope = np.asarray((cosine - sinc) / x)
            small = np.abs(x) < _SERIES
            near = x[small]
            square = near * near
            sinc_slope[small] = -near / 3 * (1 - square / 10 * (1 - square / 28 * (1 - square / 54)))
            slope = np.empty(x.shape, dtype=complex)
            slope.real = 0.5 * (cosine * sinc_slope - transform.imag)
            slope.imag = 0.5 * (sine * sinc_slope + transform.real)
            found.append(slope)
        if order > 1:
            self._add_higher(np.asarray(a), found, order)
        return tuple(found)

    @staticmethod
    def _add_higher(a: Float[ndarray, "*shape"], found: list[ndarray], order: int) -> None:
        """Second and third derivatives: ia e = exp(ia) - 1 gives a e^(k) = i^(k-1) exp(ia) - k e^(k-1)."""
        near = np.abs(a) < _NEAR
        small, phase, divisor = a[near], np.exp(1j * a), np.where(near, 1.0, a)
        for k in range(2, order + 1):
            result = (1j ** (k - 1) * phase - k * found[-1]) / divisor
            series, power = np.zeros(small.shape, dtype=complex), np.full(small.shape, 1j**k)
            for term in range(_TERMS):
                series += power / (term + k + 1)
                power = power * (1j * small) / (term + 1)
            result[near] = series
            found.append(result)

    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give E u^k 1(u > x)."""
        return np.asarray((1 - np.clip(x, 0, 1) ** (k + 1)) / (k + 1))

    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give q itself."""
        return q

    def log_mgf(self, s: ArrayLike) -> ndarray:
        """Give log((exp(s) - 1) / s)."""
        size = np.abs(np.asarray(s, dtype=float))
        small = size < _SERIES
        safe = np.where(small, 1.0, size)
        log = safe + np.log(-np.expm1(-safe) / safe)
        log = np.where(small, size / 2 + size**2 / 24, log)
        return np.where(np.asarray(s) < 0, log - size, log)  # E exp(-su) = exp(-s) E exp(su)

    def sympy_density(self, u: "sympy.Symbol") -> "sympy.Expr":
        """Give 1."""
        import sympy

        return sympy.S.One

    def interference(self, c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"]) -> Triple:
        """Give E ReLU(c u + b)^2 without dividing by more than the numerator is small."""
        end = b + c
        positive = np.minimum(b, end) >= 0
        mixed = ~positive & (np.maximum(b, end) > 0)
        top = np.where(mixed, np.maximum(b, end), 0.0)  # the largest z, less than |c|
        share = np.where(mixed, top / np.where(mixed, np.abs(c), 1.0), 0.0)  # the part of [0, 1] where z > 0
        # Where z rises through 0 the mean of u over z > 0 is 1 - share/2; where it falls, share/2.
        first_u = np.where(end > b, share * top * (0.5 - share / 6), share**2 * top / 6)
        value = np.where(positive, b * end + c**2 / 3, share * top**2 / 3)
        dc = np.where(positive, b + 2 * c / 3, 2 * first_u)
        db = np.where(positive, b + end, share * top)
        return value, dc, db

    def own_error(self, c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"]) -> Triple:
        """Give E (u - ReLU(c u + b))^2 as a sum of positive terms."""
        zero, rising = self.sign_change(c, b)
        lower = np.where(rising, zero, 0.0)  # z > 0 on (lower, upper)
        upper = np.where(rising, 1.0, zero)
        at_lower, at_upper = (1 - c) * lower - b, (1 - c) * upper - b  # u - z at both ends
        width = upper - lower
        square = width * (at_lower**2 + at_lower * at_upper + at_upper**2) / 3
        value = (lower**3 + 1 - upper**3) / 3 + square
        db = -width * (at_lower + at_upper)
        dc = -width * (at_lower * (2 * lower + upper) + at_upper * (lower + 2 * upper)) / 3
        return value, dc, db

    @staticmethod
    def sign_change(
        c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"]
    ) -> tuple[Float[ndarray, "*shape"], ndarray]:
        """Give where z = b + c u passes zero on [0, 1], one of the ends if nowhere, and whether z > 0 above it."""
        end = b + c
        mixed = (np.minimum(b, end) < 0) & (np.maximum(b, end) > 0)
        zero = np.where(mixed, -b / np.where(mixed, c, 1.0), np.where(np.maximum(b, end) > 0, 0.0, 1.0))
        rising = np.where(mixed, c > 0, True)
        return zero, rising


@sealed
@dataclass(frozen=True)
class Binary(ValueLaw):
    """The constant 1: a feature is on or off."""

    @property
    def support(self) -> tuple[float, float]:
        """The only value is 1."""
        return (1.0, 1.0)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """All of the probability sits at 1."""
        return ((1.0, 1.0),)

    @property
    def box(self) -> Box:
        """A corner of the unit cube."""
        return _CORNER

    def moment(self, k: int) -> float:
        """Give 1."""
        return 1.0

    def transform(self, a: Float[ndarray, "*shape"], order: int = 0) -> Complex[ndarray, "*shape"]:
        """Give the derivative of that order of exp(ia)."""
        return np.asarray(1j**order * np.exp(1j * a))

    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give 1 below 1, 0 from there on."""
        return np.where(np.asarray(x) < 1, 1.0, 0.0)

    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give 1."""
        return np.ones_like(q)

    def log_mgf(self, s: ArrayLike) -> ndarray:
        """Give s."""
        return np.asarray(s, dtype=float)

    def interference(self, c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"]) -> Triple:
        """Give ReLU(c + b)^2."""
        slope = 2 * np.maximum(b + c, 0)
        return slope**2 / 4, slope, slope

    def own_error(self, c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"]) -> Triple:
        """Give (1 - ReLU(c + b))^2."""
        z = b + c
        slope = -2 * (1 - np.maximum(z, 0)) * (z > 0)
        return (1 - np.maximum(z, 0)) ** 2, slope, slope


@sealed
@dataclass(frozen=True)
class Symmetrised(ValueLaw):
    """
    Another law's values, of either sign with equal probability.

    Attributes
    ----------
    law : ValueLaw
        The law of |u|, of non-negative values.
    """

    law: ValueLaw

    def __post_init__(self) -> None:
        """Refuse laws that have a sign already."""
        if self.law.support[0] < 0:
            raise ValueError(f"only laws of non-negative values are given a sign, not {self.law.name}")

    @property
    def name(self) -> str:
        """Named after the law of the sizes."""
        return f"symmetrised {self.law.name}"

    @property
    def support(self) -> tuple[float, float]:
        """As far to both sides."""
        high = self.law.support[1]
        return (-high, high)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Each atom is split between its two signs."""
        return tuple((sign * place, share / 2) for place, share in self.law.atoms for sign in (-1, 1))

    @property
    def strip(self) -> float:
        """That of the sizes."""
        return self.law.strip

    def moment(self, k: int) -> float:
        """Give E u^k, 0 for odd k."""
        return 0.0 if k % 2 else self.law.moment(k)

    def transform(self, a: Float[ndarray, "*shape"], order: int = 0) -> Complex[ndarray, "*shape"]:
        """Give the derivative of that order of E cos(au)."""
        return (self.law.transform(a, order) + (-1) ** order * self.law.transform(-np.asarray(a), order)) / 2

    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give E u^k 1(u > x)."""
        x = np.asarray(x, dtype=float)
        mirrored = (-1) ** k * (self.law.moment(k) - self.law.partial(k, -x))  # sizes below -x, negated
        at_end = sum(np.where(-x == place, share * (-place) ** k, 0.0) for place, share in self.law.atoms)
        return np.asarray((self.law.partial(k, np.maximum(x, 0)) + np.where(x < 0, mirrored - at_end, 0.0)) / 2)

    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give the mirrored quantile below one half, the law's own above."""
        share = np.abs(2 * q - 1)
        if not np.isfinite(self.law.support[1]):  # of q = 0 the size would be infinite
            share = np.minimum(share, 1 - np.finfo(share.dtype).epsneg)
        size = self.law.quantile(share)
        return np.where(q < 0.5, -size, size)

    def log_mgf(self, s: ArrayLike) -> ndarray:
        """Give log E cosh(su)."""
        both = np.logaddexp(self.law.log_mgf(s), self.law.log_mgf(-np.asarray(s, dtype=float)))
        return np.asarray(both - np.log(2))

    def expect(self, integrand: "sympy.Expr", u: "sympy.Symbol") -> "sympy.Expr":
        """Average over both signs."""
        return (self.law.expect(integrand, u) + self.law.expect(integrand.subs(u, -u), u)) / 2


UNIFORM, BINARY = Uniform(), Binary()
_BY_NAME: dict[str, ValueLaw] = {"uniform": UNIFORM, "binary": BINARY}


def value_law(values: object) -> ValueLaw:
    """
    Find the record of a value law.

    Parameters
    ----------
    values : ValueLaw, str, or frozen distribution of scipy.stats
        A record, the name of a law as ``theory.model.value_names.VALUE_GRAMMAR`` says, or a distribution such as
        ``scipy.stats.gamma(2)``.

    Returns
    -------
    ValueLaw
        The record.

    Raises
    ------
    ValueError
        If there is no law of that name, or it has no second moment.
    TypeError
        If it is neither a law nor a name nor a distribution.
    """
    if isinstance(values, ValueLaw):
        return _checked(values)
    if isinstance(values, str):
        if values in _BY_NAME:  # the usual ones do not wait for imports
            return _BY_NAME[values]
        from theory.model.value_names import value_law_of_name

        return _checked(value_law_of_name(values))
    if hasattr(values, "dist"):
        from theory.model.numerical_values import Numerical

        return _checked(Numerical.of(values))
    raise TypeError(
        f"values must be the name of a law, a ValueLaw or a frozen distribution of scipy.stats, got {values!r}"
    )


@lru_cache(maxsize=256)
def _checked(law: ValueLaw) -> ValueLaw:
    """Refuse a law without finite moments, or whose values are no numbers."""
    moments = [law.moment(k) for k in range(3)]
    if not np.isfinite(moments).all() or abs(moments[0] - 1) > 1e-9 or moments[2] <= 0:
        raise ValueError(f"{law.name} values must have a finite second moment, got E u^k = {moments} for k = 0, 1, 2")
    drawn = np.asarray(law.quantile(np.array([0.01, 0.5, 0.99])))
    if not np.isfinite(drawn).all() or (np.diff(drawn) < 0).any():
        raise ValueError(f"{law.name} values must have finite quantiles that do not fall, got {drawn.tolist()}")
    return law
