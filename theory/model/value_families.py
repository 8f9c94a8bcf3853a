"""Families of value laws with closed forms: gamma (exponential), normal, half-normal."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.value_protocol import ValueLaw
from theory.tools.expressions import expression
from theory.tools.locking import sealed
from theory.tools.numbers import shortest

if TYPE_CHECKING:
    import sympy

__all__ = ["Gamma", "HalfNormal", "Normal", "require"]

# Beyond this argument the Faddeeva function is its asymptotic series to the last digit, and its recursion is not.
_FAR, _FAR_TERMS = 8.0, 24


def require(name: str, value: float, positive: bool = False) -> None:
    """
    Refuse a parameter that is no finite number, or not positive where it must be.

    Parameters
    ----------
    name : str
        What it is, as the message says it.
    value : float
        The parameter.
    positive : bool
        Whether it must be > 0.

    Raises
    ------
    ValueError
        If it is not.
    """
    if not math.isfinite(value) or (positive and value <= 0):
        raise ValueError(f"{name} must be a finite number{' > 0' if positive else ''}, got {value!r}")


def _tell(kind: str, *parameters: float) -> str:
    return f"{kind}:{','.join(map(shortest, parameters))}"


@sealed
@dataclass(frozen=True)
class Gamma(ValueLaw):
    """
    Gamma law with density u^(k-1) exp(-u/s) / (Gamma(k) s^k); exponential for k = 1.

    Attributes
    ----------
    shape : float
        k, > 0.
    scale : float
        s, > 0.
    """

    shape: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no parameter."""
        require("the shape of a gamma law", self.shape, positive=True)
        require("the scale of a gamma or exponential law", self.scale, positive=True)

    @property
    def name(self) -> str:
        """As commands take it."""
        return _tell("exponential", self.scale) if self.shape == 1 else _tell("gamma", self.shape, self.scale)

    @property
    def support(self) -> tuple[float, float]:
        """All positive numbers."""
        return (0.0, np.inf)

    @property
    def strip(self) -> float:
        """The pole lies at -i/s."""
        return 1 / self.scale

    def _rising(self, k: int) -> float:
        return math.prod(self.shape + j for j in range(k))

    def moment(self, k: int) -> float:
        """Give s^k (shape)_k."""
        return self.scale**k * self._rising(k)

    def transform(self, a: Float[ndarray, "*shape"], order: int = 0) -> Complex[ndarray, "*shape"]:
        """Give the derivative of that order of (1 - ias)^(-shape)."""
        return self.moment(order) * 1j**order * (1 - 1j * self.scale * np.asarray(a)) ** (-self.shape - order)

    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give E u^k 1(u > x), an incomplete gamma function."""
        from scipy.special import gammaincc

        at = np.maximum(np.asarray(x, dtype=float), 0.0) / self.scale
        return np.asarray(self.moment(k) * gammaincc(self.shape + k, at))

    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give the inverse of the incomplete gamma function."""
        if self.shape == 1:
            return np.asarray(-np.log1p(-q) * q.dtype.type(self.scale))
        from scipy.special import gammaincinv

        return np.asarray(gammaincinv(q.dtype.type(self.shape), q) * q.dtype.type(self.scale))

    def log_mgf(self, s: ArrayLike) -> ndarray:
        """Give -shape log(1 - s scale)."""
        left = 1 - np.asarray(s, dtype=float) * self.scale
        return np.where(left > 0, -self.shape * np.log(np.where(left > 0, left, 1.0)), np.inf)

    def sympy_density(self, u: "sympy.Symbol") -> "sympy.Expr":
        """Give the density."""
        import sympy

        u = expression(u)
        k, s = sympy.nsimplify(self.shape), sympy.nsimplify(self.scale)
        return u ** (k - 1) * sympy.exp(-u / s) / (sympy.gamma(k) * s**k)


@sealed
@dataclass(frozen=True)
class Normal(ValueLaw):
    """
    Normal law.

    Attributes
    ----------
    centre : float
        Mean.
    deviation : float
        Standard deviation, > 0.
    """

    centre: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no parameter."""
        require("the mean of a normal law", self.centre)
        require("the standard deviation of a normal law", self.deviation, positive=True)

    @property
    def name(self) -> str:
        """As commands take it."""
        return _tell("normal", self.centre, self.deviation)

    @property
    def strip(self) -> float:
        """The transform is entire."""
        return np.inf

    def moment(self, k: int) -> float:
        """Give E u^k by its recursion."""
        before, now = 0.0, 1.0
        for j in range(k):
            before, now = now, self.centre * now + j * self.deviation**2 * before
        return now

    def transform(self, a: Float[ndarray, "*shape"], order: int = 0) -> Complex[ndarray, "*shape"]:
        """Give the derivative of that order of exp(i mean a - variance a^2 / 2), a Hermite polynomial times it."""
        return self.transforms(a, order)[order]

    def transforms(self, a: Float[ndarray, "*shape"], order: int) -> tuple[Complex[ndarray, "*shape"], ...]:
        """Give the transform and its derivatives, each from the two before."""
        variance = self.deviation**2
        slope = 1j * self.centre - variance * np.asarray(a)
        found = [np.asarray(np.exp(1j * self.centre * a - variance * np.asarray(a) ** 2 / 2))]
        for j in range(order):
            found.append(slope * found[j] - (j * variance * found[j - 1] if j else 0.0))
        return tuple(found)

    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give E u^k 1(u > x)."""
        return _normal_partial(k, x, self.centre, self.deviation)

    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give the normal quantile; of q = 0 that of the smallest q that is told from it."""
        from scipy.special import ndtri

        q = np.maximum(q, np.finfo(q.dtype).epsneg)
        return np.asarray(q.dtype.type(self.centre) + q.dtype.type(self.deviation) * ndtri(q))

    def log_mgf(self, s: ArrayLike) -> ndarray:
        """Give mean s + variance s^2 / 2."""
        s = np.asarray(s, dtype=float)
        return np.asarray(self.centre * s + (self.deviation * s) ** 2 / 2)

    def sympy_density(self, u: "sympy.Symbol") -> "sympy.Expr":
        """Give the density."""
        import sympy

        u = expression(u)
        centre, deviation = sympy.nsimplify(self.centre), sympy.nsimplify(self.deviation)
        return sympy.exp(-((u - centre) ** 2) / (2 * deviation**2)) / (deviation * sympy.sqrt(2 * sympy.pi))


def _normal_partial(k: int, x: ArrayLike, centre: float, deviation: float) -> ndarray:
    """E u^k 1(u > x) for k = 0, 1, 2."""
    from scipy.special import ndtr

    v = np.clip((np.asarray(x, dtype=float) - centre) / deviation, -40, 40)  # beyond, the density is zero
    above, bell = ndtr(-v), np.exp(-v * v / 2) / math.sqrt(2 * math.pi)
    standard = (above, bell, v * bell + above)
    return np.asarray(sum(math.comb(k, j) * centre ** (k - j) * deviation**j * standard[j] for j in range(k + 1)))


@sealed
@dataclass(frozen=True)
class HalfNormal(ValueLaw):
    """
    The size of a normal variable of mean 0.

    Attributes
    ----------
    scale : float
        Its standard deviation, > 0.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no parameter."""
        require("the scale of a half-normal law", self.scale, positive=True)

    @property
    def name(self) -> str:
        """As commands take it."""
        return _tell("half-normal", self.scale)

    @property
    def support(self) -> tuple[float, float]:
        """All positive numbers."""
        return (0.0, np.inf)

    @property
    def strip(self) -> float:
        """The transform is entire."""
        return np.inf

    def moment(self, k: int) -> float:
        """Give E |v|^k s^k of a standard normal v."""
        return self.scale**k * 2 ** (k / 2) * math.gamma((k + 1) / 2) / math.sqrt(math.pi)

    def transform(self, a: Float[ndarray, "*shape"], order: int = 0) -> Complex[ndarray, "*shape"]:
        """Give the derivative of that order of w(s a / sqrt 2), w the Faddeeva function."""
        return self.transforms(a, order)[order]

    def transforms(self, a: Float[ndarray, "*shape"], order: int) -> tuple[Complex[ndarray, "*shape"], ...]:
        """Give w and its derivatives: w' = -2 z w + 2i / sqrt(pi), and so on."""
        from scipy.special import wofz

        unit = self.scale / math.sqrt(2)
        z = np.asarray(unit * np.asarray(a, dtype=float))
        far = np.abs(z) > _FAR
        near = z[~far]
        w = [wofz(near)]
        if order:
            w.append(-2 * near * w[0] + 2j / math.sqrt(math.pi))
        for k in range(2, order + 1):
            w.append(-2 * (near * w[k - 1] + (k - 1) * w[k - 2]))
        found = tuple(np.empty(z.shape, dtype=complex) for _ in w)
        for k, (one, whole) in enumerate(zip(w, found, strict=True)):
            whole[~far], whole[far] = unit**k * one, unit**k * _far_faddeeva(z[far], k)
        return found

    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give E u^k 1(u > x)."""
        return 2 * _normal_partial(k, np.maximum(np.asarray(x, dtype=float), 0.0), 0.0, self.scale)

    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give the upper half of the normal quantiles."""
        from scipy.special import ndtri

        # -ndtri((1 - q) / 2) keeps the digits near q = 1
        return np.asarray(q.dtype.type(self.scale) * np.abs(ndtri((1 - q) / 2)))

    def log_mgf(self, s: ArrayLike) -> ndarray:
        """Give log(2 Phi(s)) + s^2 / 2 in units of the scale."""
        from scipy.special import log_ndtr

        y = np.asarray(s, dtype=float) * self.scale
        return np.asarray(math.log(2) + log_ndtr(y) + y * y / 2)

    def sympy_density(self, u: "sympy.Symbol") -> "sympy.Expr":
        """Give the density."""
        import sympy

        u = expression(u)
        s = sympy.nsimplify(self.scale)
        return sympy.sqrt(2 / sympy.pi) / s * sympy.exp(-(u**2) / (2 * s**2))


def _far_faddeeva(z: Float[ndarray, " far"], order: int) -> Complex[ndarray, " far"]:
    """Derivative of i / sqrt(pi) sum of (2m-1)!! / (2^m z^(2m+1)), by Horner's rule in 1 / z^2."""
    coefficients, factor = [], (-1.0) ** order / math.sqrt(math.pi)
    for m in range(_FAR_TERMS):
        coefficients.append(factor * math.prod(range(2 * m + 1, 2 * m + 1 + order)))
        factor *= (2 * m + 1) / 2
    inverse = 1 / z
    square, total = inverse * inverse, np.zeros(z.shape)
    for c in reversed(coefficients):
        total *= square
        total += c
    return 1j * total * inverse ** (order + 1)
