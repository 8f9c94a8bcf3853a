"""Value laws: what an active feature's value is, one record a law.

Here are U[0, 1], the constant 1, and any law with a random sign; others are families with parameters
(theory.model.value_families), discrete (theory.model.discrete_values), taken from scipy.stats
(theory.model.numerical_values), or any subclass of ``ValueLaw`` (theory.model.value_protocol).
"""

import math
import reprlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.consistency import value_contradiction
from theory.model.value_protocol import Box, Triple, ValueLaw, ValueLike
from theory.tools.expressions import expression
from theory.tools.locking import sealed

if TYPE_CHECKING:
    import sympy

__all__ = [
    "BINARY", "UNIFORM", "Binary", "Box", "Symmetrised", "Uniform", "ValueLaw", "ValueLike",
    "value_law",
]  # fmt: skip

# Below this argument logarithms of quotients lose digits, and a few terms of their series are exact.
_SERIES = 0.05
# The same of quotients of sines and cosines, and of their quotients; the series of s' / x and (s' / x)' / x in powers
# of x^2, with s = sin(x) / x, to the last digit there.
_CLOSE, _NEAR = 0.3, 1.0
_SINC_SLOPE = np.array([(-1) ** k * 2 * k / math.factorial(2 * k + 1) for k in range(1, 11)])
_SINC_BEND = np.array([(-1) ** k * 2 * k * (2 * k - 2) / math.factorial(2 * k + 1) for k in range(2, 12)])
# Stands for an argument of 0, which quotients would turn into NaN: it changes no phase, and its inverse has a square.
_NO_ZERO = 1e-140
# Values all below this, or above its inverse, have no squares in double precision.
_SMALLEST = 1e-140


def _turned(sine: ndarray, cosine: ndarray, real: ndarray, imaginary: ndarray | None) -> ndarray:
    """Multiply by exp(ix), without complex arithmetic."""
    found = np.empty(sine.shape, dtype=complex)
    if imaginary is None:
        found.real, found.imag = cosine * real, sine * real
    else:
        found.real, found.imag = cosine * real - sine * imaginary, cosine * imaginary + sine * real
    return found


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
        # With x = a / 2 and s = sin(x) / x it is exp(ix) s, and s'' = -s - 2 s' / x. This is the inner loop of every
        # quadrature: real arithmetic in place, no np.where, and one tangent, which NumPy vectorises, for sine and
        # cosine: with c = 2 / (1 + tan(x/2)^2) they are c tan(x/2) and c - 1.
        shape = np.shape(a)
        x = np.multiply(0.5, a, out=np.empty(shape))
        size = np.abs(x)
        if size.min(initial=1.0) < _NO_ZERO:
            np.copysign(np.maximum(size, _NO_ZERO), a, out=x)
        sine = np.multiply(0.5, x, out=np.empty(shape))
        np.tan(sine, out=sine)
        cosine = np.square(sine, out=np.empty(shape))
        cosine += 1
        np.divide(2, cosine, out=cosine)
        sine *= cosine
        cosine -= 1
        inverse = 1 / x
        sinc = sine * inverse
        whole = _turned(sine, cosine, sinc, None)
        if not order:
            return (whole,)
        slope = np.subtract(cosine, sinc, out=np.empty(shape))
        slope *= inverse
        if order == 1:
            small = size < _CLOSE
            near_x = x[small]
            slope[small] = near_x * np.polynomial.polynomial.polyval(near_x * near_x, _SINC_SLOPE[:6])
            # the turned slope, and i times half the transform
            cosine *= slope
            sine *= slope
            first = np.empty(shape, dtype=complex)
            np.subtract(cosine, whole.imag, out=first.real)
            np.add(sine, whole.real, out=first.imag)
            first *= 0.5
            return whole, first
        near = size < _NEAR
        over_x = np.asarray(slope * inverse)  # s' / x
        over_x[near] = np.polynomial.polynomial.polyval(x[near] ** 2, _SINC_SLOPE)
        np.multiply(x, over_x, out=slope)
        curvature = -sinc - 2 * over_x
        found = [whole, 0.5 * _turned(sine, cosine, slope, sinc)]
        found.append(0.25 * _turned(sine, cosine, curvature - sinc, 2 * slope))
        if order > 2:
            change = np.asarray((curvature - over_x) * inverse * inverse)  # (s' / x)' / x
            change[near] = np.polynomial.polynomial.polyval(x[near] ** 2, _SINC_BEND)
            third = -slope - 2 * x * change
            found.append(0.125 * _turned(sine, cosine, third - 3 * slope, 3 * curvature - sinc))
        return tuple(found)

    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give E u^k 1(u > x)."""
        start = np.clip(x, 0, 1)
        return np.asarray((1 - math.prod((start,) * (k + 1))) / (k + 1))  # powers other than squares take long

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
        """Each atom is split between its two signs, but for one at 0."""
        return tuple(
            (sign * place, share / 2 if place else share)
            for place, share in self.law.atoms
            for sign in ((-1, 1) if place else (1,))
        )

    @property
    def strip(self) -> float:
        """That of the sizes."""
        return self.law.strip

    @property
    def heavy(self) -> bool:
        """As the sizes."""
        return self.law.heavy

    @property
    def neglected(self) -> float:
        """That of the sizes."""
        return self.law.neglected

    @property
    def transform_error(self) -> float:
        """That of the sizes."""
        return self.law.transform_error

    def scaled(self, factor: float) -> "Symmetrised":
        """Give the same of scaled sizes."""
        return Symmetrised(self.law.scaled(factor))

    def losses(self, a: Float[ndarray, "*shape"]) -> tuple[Complex[ndarray, "*shape"], Complex[ndarray, "*shape"]]:
        """Give E cos(au) - 1 and its derivative."""
        gone, slope = self.law.losses(np.asarray(a, dtype=float))
        return gone.real.astype(complex), slope.real.astype(complex)  # both of whose parts in -a change sign

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
        rising = np.where(x < 0, self.law.moment(k), self.law.partial(k, np.maximum(x, 0)))
        return np.asarray((rising + np.where(x < 0, mirrored - at_end, 0.0)) / 2)

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
        integrand, u = expression(integrand), expression(u)
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
    if hasattr(values, "_histogram") or hasattr(values, "xk"):  # a law without parameters, which SciPy would freeze
        values = values()  # type: ignore[operator]
    if hasattr(values, "dist"):
        from theory.model.numerical_values import Numerical

        return _checked(Numerical.of(values))
    raise TypeError(
        "values must be the name of a law, a ValueLaw or a frozen distribution of scipy.stats, made by a call such as "
        "scipy.stats.gamma(2), or for a sample theory.sample_law(sample), without its zeros, whose share belongs into "
        f"the density; got {reprlib.repr(values)}"
    )


@lru_cache(maxsize=256)
def _checked(law: ValueLaw) -> ValueLaw:
    """Refuse a law without finite moments, whose values are no numbers, or whose members are of different laws."""
    try:
        moments = [law.moment(k) for k in range(3)]
    except OverflowError:
        moments = [np.inf] * 3
    drawn = np.asarray(law.quantile(np.array([0.01, 0.5, 0.99])))
    if not np.isfinite(drawn).all() or (np.diff(drawn) < 0).any():
        raise ValueError(f"{law.name} values must have finite quantiles that do not fall, got {drawn.tolist()}")
    ends = law.support if math.isfinite(law.support[1] - law.support[0]) else drawn
    size = float(np.abs(ends).max())
    if size and not _SMALLEST < size < 1 / _SMALLEST:
        raise ValueError(f"squares of {law.name} values are no numbers in double precision: take another unit")
    if not np.isfinite(moments).all() or abs(moments[0] - 1) > 1e-9 or moments[2] <= 0:
        raise ValueError(f"{law.name} values must have a finite second moment, got E u^k = {moments} for k = 0, 1, 2")
    contradiction = value_contradiction(law)
    if contradiction:
        raise ValueError(f"the members of {law.name} values are of different laws: {contradiction}")
    return law
