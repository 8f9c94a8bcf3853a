"""Discrete value laws: a constant, or a few values with probabilities."""

import math
import reprlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.value_protocol import Box, ValueLaw
from theory.tools.locking import sealed
from theory.tools.numbers import shortest

__all__ = ["Discrete", "discrete_from", "refused_parameters", "table_from"]

# Shares that sum to 1 up to this are typed decimals.
_SUM = 1e-9
# Transforms are polynomials from so many values on, if a lattice has at most so many places for each of them, and they
# lie so many places from the first on average at most: rounding grows with that.
_FEW_ATOMS, _SPARSEST, _MEAN_PLACE = 4, 3, 10.0
# Of a distribution of SciPy: part of all probability, or of E u^2, that a value must have to be kept; how much further
# from the median than its outermost quantiles values are looked for; most that are kept, and that are looked through.
_NEGLIGIBLE, _FURTHER, _MOST_VALUES, _MOST_LISTED = 1e-16, 0.5, 256, 1_000_000


@sealed
@dataclass(frozen=True)
class Discrete(ValueLaw):
    """
    A few values with probabilities; a constant if it is one.

    Attributes
    ----------
    values : tuple of float
        Different values, not all 0; kept in ascending order.
    probabilities : tuple of float
        One each, > 0, with the sum 1; equal ones if left out.
    label : str
        How commands call the law, if not by its values; records that differ in it alone are equal.

    Raises
    ------
    ValueError
        If they are no law.

    Examples
    --------
    >>> Discrete((1.0, 3.0), (0.25, 0.75)).mean
    2.5
    """

    values: tuple[float, ...]
    probabilities: tuple[float, ...] = ()
    label: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        """Sort, and refuse what is no law."""
        values = tuple(float(v) for v in self.values)
        shares = tuple(float(q) for q in self.probabilities) or (1 / max(len(values), 1),) * len(values)
        if not values or not all(math.isfinite(v) for v in values) or len(set(values)) < len(values):
            raise ValueError(
                "the values of a discrete law must be different finite numbers (of equal ones add up the "
                f"probabilities), got {reprlib.repr(self.values)}"
            )
        if len(shares) != len(values) or not all(q > 0 for q in shares) or abs(sum(shares) - 1) > _SUM:
            raise ValueError(
                f"a discrete law of {len(values)} values needs as many probabilities > 0 that sum to 1, got "
                f"{reprlib.repr(self.probabilities)} with the sum {sum(shares):g}"
            )
        if not any(values):
            raise ValueError("the only value of a discrete law must not be 0: the features would never show")
        order, total = np.argsort(values), math.fsum(shares)
        object.__setattr__(self, "values", tuple(values[k] for k in order))
        object.__setattr__(self, "probabilities", tuple(shares[k] / total for k in order))

    @property
    def name(self) -> str:
        """As commands take it, to the last digit."""
        if self.label:
            return self.label
        if len(self.values) == 1:
            return f"constant:{shortest(self.values[0])}"
        return "discrete:" + ",".join(f"{shortest(v)}@{shortest(q)}" for v, q in self.atoms)

    @property
    def support(self) -> tuple[float, float]:
        """From the smallest value to the largest."""
        return (self.values[0], self.values[-1])

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """The values and their probabilities."""
        return tuple(zip(self.values, self.probabilities, strict=True))

    @property
    def box(self) -> Box | None:
        """A corner, for a positive constant."""
        return Box(self.values[0], filled=False) if len(self.values) == 1 and self.values[0] > 0 else None

    def moment(self, k: int) -> float:
        """Give E u^k."""
        return math.fsum(q * v**k for v, q in self.atoms)

    def transform(self, a: Float[ndarray, "*shape"], order: int = 0) -> Complex[ndarray, "*shape"]:
        """Give the derivative of that order of the sum of q exp(iav)."""
        return self._sums(a, (order,))[0]

    def transforms(self, a: Float[ndarray, "*shape"], order: int) -> tuple[Complex[ndarray, "*shape"], ...]:
        """Give the transform and its derivatives."""
        return self._sums(a, tuple(range(order + 1)))

    def _sums(self, a: Float[ndarray, "*shape"], orders: tuple[int, ...]) -> tuple[Complex[ndarray, "*shape"], ...]:
        """Derivatives of these orders: polynomials in exp(iah) where values are multiples of h, else atom by atom."""
        turns = 1j * np.asarray(a, dtype=float)
        found = tuple(np.zeros(turns.shape, dtype=complex) for _ in orders)
        if self._lattice is None:
            for v, q in self.atoms:
                turned = np.exp(turns * v)
                for sums, order in zip(found, orders, strict=True):
                    sums += q * (1j * v) ** order * turned
            return found
        step, places, shares = self._lattice
        turned, first = np.exp(turns * step), np.exp(turns * (step * places[0]))
        for sums, order in zip(found, orders, strict=True):
            for c in ((1j * step * places) ** order * shares)[::-1]:
                sums *= turned
                sums += c
            sums *= first
        return found

    @cached_property
    def _lattice(self) -> tuple[float, Float[ndarray, " places"], Float[ndarray, " places"]] | None:
        """A step, whole numbers in a row, and the probabilities of step times these; None if values are others."""
        values = np.array(self.values)
        step = float(np.diff(values).min(initial=np.inf))
        if len(values) < _FEW_ATOMS or not (values / step == np.rint(values / step)).all():
            return None
        places = np.arange(round(values[0] / step), round(values[-1] / step) + 1.0)
        shares = np.zeros(len(places))
        shares[np.rint(values / step - places[0]).astype(int)] = self.probabilities
        # Horner's rule on the unit circle is wrong by less than twice the mean place, in units of rounding
        dense = len(places) <= _SPARSEST * len(values)
        return (step, places, shares) if dense and shares @ (places - places[0]) <= _MEAN_PLACE else None

    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give E u^k 1(u > x)."""
        return np.asarray(sum(np.where(np.asarray(x) < v, q * v**k, 0.0) for v, q in self.atoms))

    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give the value whose share of [0, 1) q falls on."""
        ends = np.cumsum(self.probabilities)[:-1]
        return np.asarray(self.values, dtype=q.dtype)[np.searchsorted(ends, q, side="right")]

    def log_mgf(self, s: ArrayLike) -> ndarray:
        """Give the logarithm of the sum of q exp(sv)."""
        exponents = np.stack([np.asarray(s, dtype=float) * v + math.log(q) for v, q in self.atoms])
        return np.asarray(np.logaddexp.reduce(exponents, axis=0))


def discrete_from(frozen: Any) -> Discrete:
    """
    Take a discrete distribution of scipy.stats, values of negligible probability left out.

    Parameters
    ----------
    frozen : scipy.stats frozen distribution
        Such as ``scipy.stats.poisson(2)``.

    Returns
    -------
    Discrete
        Its law.

    Raises
    ------
    ValueError
        If its parameters are out of range, it has no second moment, or more than 256 values that are not negligible.
    """
    name = f"scipy.stats.{frozen.dist.name}"
    if math.isnan(frozen.support()[0]):
        raise ValueError(refused_parameters(frozen.dist.name, frozen.args))
    if not math.isfinite(frozen.var()):  # SciPy would look for its quantiles without end
        raise ValueError(f"{name} values must have a finite second moment, but their variance is {frozen.var():g}")
    low, median, high = frozen.ppf([1e-15, 0.5, 1 - 1e-15])
    low, high = low - np.ceil(_FURTHER * (median - low)) - 5, high + np.ceil(_FURTHER * (high - median)) + 5
    values = np.arange(low, high + 1) if high - low < _MOST_LISTED else np.empty(0)
    share = frozen.pmf(values)
    square = float(frozen.var() + frozen.mean() ** 2)
    kept = share * np.maximum(1.0, values**2 / square) > _NEGLIGIBLE
    if not len(values) or kept.sum() > _MOST_VALUES:
        raise ValueError(
            f"{name} has more than the {_MOST_VALUES} values to tell apart that a discrete law may have; truncate it "
            "and give discrete:VALUE@PROBABILITY,..., or take a continuous law like it"
        )
    if abs(share[kept].sum() - 1) > _SUM:
        raise ValueError(f"the values of scipy.stats.{frozen.dist.name} do not lie one apart")
    shapes, location, _ = frozen.dist._parse_args(*frozen.args, **frozen.kwds)
    parameters = (*shapes, location) if location else shapes
    label = "scipy:" + ",".join([frozen.dist.name, *(shortest(x) for x in parameters)])
    return Discrete(tuple(values[kept].tolist()), tuple((share[kept] / share[kept].sum()).tolist()), label)


def table_from(frozen: Any) -> Discrete:
    """
    Take the values and probabilities of a ``scipy.stats.rv_discrete(values=...)``.

    Parameters
    ----------
    frozen : scipy.stats frozen distribution
        Such as ``scipy.stats.rv_discrete(values=([1, 3], [0.25, 0.75]))()``.

    Returns
    -------
    Discrete
        Its law.
    """
    _, location, _ = frozen.dist._parse_args(*frozen.args, **frozen.kwds)
    kept = frozen.dist.pk > 0
    values, shares = np.asarray(frozen.dist.xk)[kept] + location, np.asarray(frozen.dist.pk)[kept]
    return Discrete(tuple(values.tolist()), tuple(shares.tolist()))


def refused_parameters(distribution: str, parameters: tuple[float, ...]) -> str:
    """
    Say what is wrong with parameters that SciPy refuses.

    Parameters
    ----------
    distribution : str
        The name of a distribution of scipy.stats.
    parameters : tuple of float
        Shape parameters, and perhaps location and scale.

    Returns
    -------
    str
        The message.
    """
    return (
        f"scipy.stats.{distribution} refuses the parameters {parameters}: its page in SciPy's manual says in which "
        "range the shape parameters must lie, and a scale must be > 0"
    )
