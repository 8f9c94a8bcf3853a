"""Value laws: what an active feature's value is, one record a law.

A record says of its law all that theory and trainer ask for: moments, characteristic function, the parts of moments
beyond a point, quantiles. What a record does not give is derived from what it must give, or the few who need it refuse
in one sentence. Written for U[0, 1] and for the constant 1; any other law is a subclass of ``ValueLaw``.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import sympy

__all__ = ["BINARY", "UNIFORM", "Binary", "Box", "Symmetrised", "Uniform", "ValueLaw", "value_law"]

Triple = tuple[Float[ndarray, "*shape"], Float[ndarray, "*shape"], Float[ndarray, "*shape"]]

# Below this argument quotients of sines and cosines lose digits, and a few terms of their series are exact.
_SERIES = 0.05
# Stands for an argument of 0, which quotients would turn into NaN; small enough to change no phase.
_NO_ZERO = 1e-300
# Below this argument a series replaces quotients that lose a digit per order.
_NEAR = 1.0
_TERMS = 18  # 1/17! is below the rounding error


@dataclass(frozen=True)
class Box:
    """
    What enumeration of active sets can treat exactly: a constant, or a value uniform between 0 and a constant.

    Attributes
    ----------
    height : float
        The constant, > 0.
    filled : bool
        Whether the value is uniform on [0, height]; else it is height.
    """

    height: float
    filled: bool


@dataclass(frozen=True)
class ValueLaw(ABC):
    """
    The law of an active feature's value u. Records are immutable, hashable and can be pickled.

    Subclasses are frozen dataclasses; they give ``moment``, ``transform``, ``partial`` and ``quantile``, and more where
    they know more.
    """

    @property
    def name(self) -> str:
        """How results and messages call the law."""
        return type(self).__name__.lower()

    @property
    def support(self) -> tuple[float, float]:
        """Smallest interval that holds every value; may be infinite."""
        return (-np.inf, np.inf)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Values of positive probability, and these probabilities."""
        return ()

    @property
    def constant(self) -> float | None:
        """The value, if there is only one."""
        return next((place for place, share in self.atoms if share == 1), None)

    @property
    def strip(self) -> float:
        """E exp(iau) is analytic for |Im a| below this."""
        low, high = self.support
        return np.inf if np.isfinite(low) and np.isfinite(high) else 0.0

    @property
    def box(self) -> Box | None:
        """What exact enumeration needs, if it applies."""
        return None

    @abstractmethod
    def moment(self, k: int) -> float:
        """Give E u^k for k = 0 ... 4."""

    @abstractmethod
    def transform(self, a: Float[ndarray, "*shape"], order: int = 0) -> Complex[ndarray, "*shape"]:
        """Give the derivative of that order, 0 ... 3, of e(a) = E exp(iau)."""

    def transforms(self, a: Float[ndarray, "*shape"], order: int) -> tuple[Complex[ndarray, "*shape"], ...]:
        """Give e(a) and its derivatives up to that order, 0 ... 3; quicker together where they share functions."""
        return tuple(self.transform(a, k) for k in range(order + 1))

    @abstractmethod
    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give E u^k 1(u > x) for k = 0, 1, 2."""

    @abstractmethod
    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give the value below which a share q in [0, 1) of all values lies, in the precision of q."""

    @property
    def mean(self) -> float:
        """E u."""
        return self.moment(1)

    @property
    def square(self) -> float:
        """E u^2."""
        return self.moment(2)

    def log_mgf(self, s: ArrayLike) -> ndarray:
        """Give log E exp(su), or an upper bound of it; infinite where it does not exist or is not known."""
        low, high = self.support
        if not (np.isfinite(low) and np.isfinite(high)):
            return np.where(np.asarray(s) == 0, 0.0, np.inf)
        return np.asarray(np.maximum(np.asarray(s) * low, np.asarray(s) * high))

    def tail(self, k: int, x: ArrayLike) -> ndarray:
        """Give E |u|^k 1(|u| > x) for k = 0, 1, 2 and x >= 0."""
        below = (-1) ** k * (self.moment(k) - self.partial(k, -np.asarray(x)))
        return np.asarray(self.partial(k, np.asarray(x)) + np.maximum(below, 0.0))

    def sympy_density(self, u: "sympy.Symbol") -> "sympy.Expr | None":
        """Give the probability density on the support as an expression in u; None if it has no formula."""
        return None

    def expect(self, integrand: "sympy.Expr", u: "sympy.Symbol") -> "sympy.Expr":
        """
        Average a SymPy expression over the value.

        Parameters
        ----------
        integrand : Expr
            Expression in u, a polynomial where the law has a density.
        u : Symbol
            The value.

        Returns
        -------
        Expr
            E f(u).

        Raises
        ------
        ValueError
            If the law has neither a density with a formula nor only atoms.
        """
        import sympy

        density = self.sympy_density(u)
        if density is not None:
            low, high = (sympy.nsimplify(end) for end in self.support)
            return sympy.integrate(sympy.expand(integrand) * density, (u, low, high))
        if not self.atoms or abs(sum(share for _, share in self.atoms) - 1) > 1e-12:
            raise ValueError(f"{self.name} values have no density with a formula; give sympy_density")
        return sympy.Add(*(sympy.nsimplify(share) * integrand.subs(u, sympy.nsimplify(x)) for x, share in self.atoms))

    def interference(self, c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"]) -> Triple:
        """
        Give E ReLU(c u + b)^2, what an active feature does to another feature's output.

        Parameters
        ----------
        c : ndarray
            Coupling g_ij of the active feature to the output.
        b : ndarray, broadcastable
            Bias of the output.

        Returns
        -------
        value, dc, db : ndarray
            The expectation and its derivatives in coupling and bias.

        References
        ----------
        Elhage et al. 2022, "Toy Models of Superposition", the one-sparse loss L_1, second term.
        """
        zeroth, first, second = self.positive_moments(c, b)
        value = c * c * second + 2 * b * c * first + b * b * zeroth
        return np.maximum(value, 0.0), 2 * (c * second + b * first), 2 * (c * first + b * zeroth)

    def own_error(self, c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"]) -> Triple:
        """
        Give E (u - ReLU(c u + b))^2, how well an active feature is reconstructed.

        Parameters
        ----------
        c : ndarray
            Coupling g_ii = |W_i|^2 of the feature to its own output.
        b : ndarray, broadcastable
            Bias of the output.

        Returns
        -------
        value, dc, db : ndarray
            The expectation and its derivatives in coupling and bias.

        References
        ----------
        Elhage et al. 2022, "Toy Models of Superposition", the one-sparse loss L_1, first term.
        """
        zeroth, first, second = self.positive_moments(c, b)
        missed = self.square - second  # E u^2 where the output is silent
        value = missed + (1 - c) ** 2 * second - 2 * (1 - c) * b * first + b * b * zeroth
        return (
            np.maximum(value, 0.0),
            -2 * ((1 - c) * second - b * first),
            -2 * ((1 - c) * first - b * zeroth),
        )

    def positive_moments(self, c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"]) -> Triple:
        """
        Give E u^k 1(c u + b > 0) for k = 0, 1, 2.

        Parameters
        ----------
        c : ndarray
            Coupling.
        b : ndarray, broadcastable
            Bias.

        Returns
        -------
        zeroth, first, second : ndarray
            One for each k.
        """
        c, b = np.broadcast_arrays(np.asarray(c, dtype=float), np.asarray(b, dtype=float))
        flat = c == 0
        with np.errstate(over="ignore"):
            zero = np.clip(-b / np.where(flat, 1.0, c), -1e300, 1e300)
        found = []
        for k in range(3):
            whole, above = self.moment(k), self.partial(k, zero)
            at_zero = sum(np.where(zero == place, share * place**k, 0.0) for place, share in self.atoms)
            part = np.where(c > 0, above, whole - above - at_zero)
            found.append(np.where(flat, np.where(b > 0, whole, 0.0), part))
        zeroth, first, second = found
        return zeroth, first, second


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
        return Box(1.0, filled=True)

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
        return Box(1.0, filled=False)

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


UNIFORM, BINARY = Uniform(), Binary()
_BY_NAME: dict[str, ValueLaw] = {"uniform": UNIFORM, "binary": BINARY}


def value_law(values: object) -> ValueLaw:
    """
    Find the record of a value law.

    Parameters
    ----------
    values : ValueLaw or {"uniform", "binary"}
        A record, or the name of one.

    Returns
    -------
    ValueLaw
        The record.

    Raises
    ------
    ValueError
        If there is no law of that name.
    TypeError
        If it is neither a law nor a name.
    """
    if isinstance(values, ValueLaw):
        return values
    if isinstance(values, str):
        if values not in _BY_NAME:
            raise ValueError(f"values must be {' or '.join(map(repr, _BY_NAME))}, got {values!r}")
        return _BY_NAME[values]
    raise TypeError(f"values must be the name of a law or a ValueLaw, got {values!r}")
