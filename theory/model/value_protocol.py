"""What a value law must say, and what follows from it: the record that every law of an active feature's value is.

A record says of its law all that theory and trainer ask for: moments, characteristic function, the parts of moments
beyond a point, quantiles. What a record does not give is derived from what it must give, or the few who need it refuse
in one sentence.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.tools.expressions import expression

if TYPE_CHECKING:
    import sympy

__all__ = ["Box", "FrozenDistribution", "Triple", "ValueLaw", "ValueLike"]

Triple = tuple[Float[ndarray, "*shape"], Float[ndarray, "*shape"], Float[ndarray, "*shape"]]


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


@dataclass(frozen=True, eq=False)  # records that are no dataclasses differ from one another
class ValueLaw(ABC):
    """
    The law of an active feature's value u. Records are immutable, hashable and can be pickled.

    Subclasses are frozen dataclasses; they give ``moment``, ``transform``, ``partial`` and ``quantile``, and more where
    they know more.

    Examples
    --------
    >>> import theory
    >>> theory.Problem(n=2, m=1, density=0.1, values="binary").features.values.moment(2)
    1.0
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
    def heavy(self) -> bool:
        """Whether the law has no exponential moment, so that the exact loss asks for ``losses``."""
        return False

    @property
    def neglected(self) -> float:
        """E u^2 of the values that the record leaves out."""
        return 0.0

    @property
    def transform_error(self) -> float:
        """What the transform may be wrong by; 0 for rounding alone."""
        return 0.0

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

    def losses(self, a: Float[ndarray, "*shape"]) -> tuple[Complex[ndarray, "*shape"], Complex[ndarray, "*shape"]]:
        """Give e(a) - 1 and e'(a) - e'(0); heavy laws to the last digits of these differences at small arguments."""
        e, slope = self.transforms(a, 1)
        return e - 1, slope - 1j * self.mean

    @abstractmethod
    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give E u^k 1(u > x) for k = 0, 1, 2."""

    @abstractmethod
    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give the value below which a share q in [0, 1) of all values lies, in the precision of q."""

    def scaled(self, factor: float) -> "ValueLaw":
        """Give the law of factor u, factor > 0; in a record of its own where that is more accurate."""
        from theory.model.affine_values import Affine

        return Affine(self, 0.0, factor, self.name)

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
        x = np.asarray(x, dtype=float)
        at_end = sum(np.where(-x == place, share * place**k, 0.0) for place, share in self.atoms)
        below = (-1) ** k * (self.moment(k) - self.partial(k, -x) - at_end)
        return np.asarray(self.partial(k, x) + np.maximum(below, 0.0))

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
            If the law has neither a density with a formula nor only atoms, or its density is that of another law.
        TypeError
            If it is text, which is not executed.
        """
        import sympy

        integrand, u = expression(integrand), expression(u)
        density = self.sympy_density(u)
        if density is not None:
            if not _fits(self):
                raise ValueError(f"sympy_density of {self.name} values is not the density of the law's moments")
            return _averaged(self, integrand, u)
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


@runtime_checkable
class FrozenDistribution(Protocol):
    """A frozen distribution of scipy.stats, which is not imported for its name."""

    dist: Any
    args: tuple[Any, ...]
    kwds: dict[str, Any]


# What names a law wherever one is asked for.
ValueLike: TypeAlias = ValueLaw | str | FrozenDistribution


def _averaged(law: ValueLaw, integrand: "sympy.Expr", u: "sympy.Symbol") -> "sympy.Expr":
    """Integrate a polynomial with the law's density."""
    import sympy

    low, high = (sympy.nsimplify(end) for end in law.support)
    return sympy.integrate(sympy.expand(integrand) * law.sympy_density(u), (u, low, high))


@lru_cache(maxsize=64)
def _fits(law: ValueLaw) -> bool:
    """Whether the density with a formula has the law's moments."""
    import sympy

    u = sympy.Symbol("u", real=True)
    return all(abs(float(_averaged(law, u**k, u)) - law.moment(k)) <= 1e-9 * law.square ** (k / 2) for k in range(3))
