"""Any distribution of scipy.stats as a value law; a continuous one's density as polynomials on panels, to rounding.

Moments, transform and partial moments come from the same panels (theory.model.panels), so that all members of the
record belong to one law. Quantiles are SciPy's own, except where it looks for each by itself, which takes milliseconds:
there they are roots of the integral of the polynomials.

Laws whose values lie more than some sixty standard deviations off (lognormal, Pareto, Student's t, stretched
exponentials) are heavy: no exponential moment exists, or none that helps, and the loss is integrated octave by octave
(theory.loss.engine.octaves), with an error that is stated. Laws that have a second moment and hardly more are refused.
"""

import math
import reprlib
import warnings
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.discrete_values import discrete_from, refused_parameters, table_from
from theory.model.fitted_panels import fitted_panels
from theory.model.heavy_panels import HeavyPanels
from theory.model.histogram_values import Histogram
from theory.model.panels import TABLE_ERROR, Panels
from theory.model.value_protocol import ValueLaw
from theory.tools.expressions import expression
from theory.tools.locking import sealed
from theory.tools.numbers import shortest

if TYPE_CHECKING:
    import sympy

__all__ = ["Numerical", "scipy_law"]

# A higher moment of a heavy law exists if its outermost panels hold less than this part of it, and if SciPy's formula,
# which continues it to where there is none, gives what all panels do.
_SETTLED, _ALIKE = 1e-4, 1e-3
# So many times as far off as most values lie, a law on the line has no more probability than 1.
_SHARE, _FAR = 0.01, 20.0


@sealed
@dataclass(frozen=True)
class Numerical(ValueLaw):
    """
    A continuous distribution of scipy.stats.

    Attributes
    ----------
    distribution : str
        Its name there.
    parameters : tuple of float
        Shape parameters, and if there are more numbers, location and scale.

    Raises
    ------
    ValueError
        If there is no such distribution, its parameters are out of range, or it has no second moment.

    Examples
    --------
    >>> round(Numerical("weibull_min", (2.0,)).mean, 6)
    0.886227
    """

    distribution: str
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what SciPy does not know, and what has no second moment."""
        frozen = self._frozen
        with np.errstate(all="ignore"):
            low, high = frozen.support()
        if not low < high:
            raise ValueError(refused_parameters(self.distribution, self.parameters))
        inner = frozen.ppf([_SHARE, 1 - _SHARE])
        if frozen.cdf(inner[1] + _FAR * (inner[1] - inner[0])) > 1 + _SHARE:
            raise ValueError(f"{self.name} is a law on the circle; vonmises_line is one on the line")
        if not (math.isfinite(frozen.mean()) and math.isfinite(frozen.var())):
            raise ValueError(
                f"{self.name} values must have a finite second moment, but their variance is {frozen.var():g}"
            )

    @classmethod
    def of(cls, frozen: Any) -> ValueLaw:
        """
        Take a frozen distribution of scipy.stats, continuous or discrete.

        Parameters
        ----------
        frozen : scipy.stats frozen distribution
            Such as ``scipy.stats.weibull_min(2)``.

        Returns
        -------
        ValueLaw
            Its law: with closed forms where there are some (uniform, expon, gamma, norm, halfnorm, laplace).

        Raises
        ------
        TypeError
            If it is no frozen distribution of scipy.stats.
        ValueError
            If it has no second moment, or too many discrete values.
        """
        import scipy.stats

        from theory.model.value_names import closed_form

        dist: Any = vars(frozen).get("dist", frozen)
        if isinstance(dist, scipy.stats.rv_histogram) and dist is not frozen:
            return Histogram.of(frozen)
        if isinstance(dist, scipy.stats.rv_discrete) and hasattr(dist, "xk") and dist is not frozen:
            return table_from(frozen)
        known = getattr(scipy.stats, str(getattr(dist, "name", None)), None)
        if known is None or dist is frozen or type(dist) is not type(known):
            raise TypeError(
                "values must be a ValueLaw, a name, or a frozen distribution of scipy.stats such as "
                f"scipy.stats.gamma(2), got {reprlib.repr(frozen)}"
            )
        if isinstance(dist, scipy.stats.rv_discrete):
            return discrete_from(frozen)
        shapes, location, scale = dist._parse_args(*frozen.args, **frozen.kwds)
        if any(np.ndim(x) for x in (*shapes, location, scale)):
            raise ValueError(f"all features have one law, but scipy.stats.{dist.name} has arrays of parameters")
        closed = closed_form(dist.name, tuple(map(float, shapes)), float(location), float(scale))
        if closed is not None:
            return closed
        placed = () if (location, scale) == (0, 1) else (location, scale)
        return cls(dist.name, tuple(float(x) for x in (*shapes, *placed)))

    @property
    def name(self) -> str:
        """As commands take it."""
        return "scipy:" + ",".join([self.distribution, *map(shortest, self.parameters)])

    @property
    def _frozen(self) -> Any:
        import scipy.stats

        return _frozen(self.distribution, self.parameters, scipy.stats.rv_continuous)

    @property
    def _panels(self) -> Panels:
        return _panels_of(self)

    @property
    def support(self) -> tuple[float, float]:
        """What was not cut off; of heavy laws all that SciPy says."""
        edges = self._panels.edges
        if not self.heavy:
            return (float(edges[0]), float(edges[-1]))
        return _support_of(self)

    @property
    def strip(self) -> float:
        """All frequencies, values being bounded; none of heavy laws."""
        return 0.0 if self.heavy else np.inf

    @property
    def heavy(self) -> bool:
        """Whether values lie so far off that the exact loss asks for ``losses``."""
        return isinstance(self._panels, HeavyPanels)

    @property
    def neglected(self) -> float:
        """E u^2 of values further off than the last panel of a heavy law."""
        return self._panels.neglected if isinstance(self._panels, HeavyPanels) else 0.0

    @property
    def transform_error(self) -> float:
        """About what the density's polynomials, and the table, may be wrong by in the transform."""
        return self._panels.error + TABLE_ERROR

    def scaled(self, factor: float) -> "Numerical":
        """Give the same distribution with location and scale multiplied, whose panels are as accurate in their unit."""
        shapes, location, scale = self._frozen.dist._parse_args(*self.parameters)
        return Numerical(self.distribution, (*map(float, shapes), factor * float(location), factor * float(scale)))

    def moment(self, k: int) -> float:
        """Give E u^k; infinite where a heavy law has none, or one that converges too slowly to be told from none."""
        parts = self._panels.totals[k]
        if k <= 2 or not self.heavy:
            return float(parts.sum())
        with warnings.catch_warnings(), np.errstate(invalid="ignore", over="ignore"):
            warnings.simplefilter("ignore")
            size, said = float(np.abs(parts).sum()), float(self._frozen.moment(k))
            outermost = np.abs(parts[[0, -1]])[~np.isfinite(self.support)]
            exists = outermost.max() <= _SETTLED * size and abs(parts.sum() - said) <= _ALIKE * size
        return said if exists else math.inf

    def losses(self, a: Float[ndarray, "*shape"]) -> tuple[Complex[ndarray, "*shape"], Complex[ndarray, "*shape"]]:
        """Give e(a) - 1 and e'(a) - e'(0)."""
        panels = self._panels
        return panels.losses(np.asarray(a, dtype=float)) if isinstance(panels, HeavyPanels) else super().losses(a)

    def transform(self, a: Float[ndarray, "*shape"], order: int = 0) -> Complex[ndarray, "*shape"]:
        """Give the derivative of that order of the transform."""
        return self._panels.transforms(np.asarray(a, dtype=float), (order,))[0]

    def transforms(self, a: Float[ndarray, "*shape"], order: int) -> tuple[Complex[ndarray, "*shape"], ...]:
        """Give the transform and its derivatives."""
        return self._panels.transforms(np.asarray(a, dtype=float), tuple(range(order + 1)))

    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give E u^k 1(u > x)."""
        x = np.asarray(x, dtype=float)
        return self._panels.beyond(k, x.ravel()).reshape(x.shape)

    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give the quantile, between what was cut off."""
        import scipy.stats

        frozen = self._frozen
        if type(frozen.dist)._ppf is scipy.stats.rv_continuous._ppf:
            return self._panels.quantile(q.astype(float)).astype(q.dtype)
        below, above = self._panels.cut
        share = below + (1 - below - above) * q.astype(float)
        edges = self._panels.edges
        with np.errstate(all="ignore"):
            return np.clip(frozen.ppf(share), edges[0], edges[-1]).astype(q.dtype)

    def log_mgf(self, s: ArrayLike) -> ndarray:
        """Give a bound of log E exp(su): chords of a convex function, and beyond the table the largest exponent."""
        if self.heavy:
            return super().log_mgf(s)
        at, values = self._panels.log_mgf_table
        s = np.asarray(s, dtype=float)
        low, high = self.support
        inside = np.interp(s, at, values)
        return np.where((s < at[0]) | (s > at[-1]), np.maximum(s * low, s * high), inside)

    def sympy_density(self, u: "sympy.Symbol") -> "sympy.Expr | None":
        """Give the density of a beta law on [0, 1]; None for others."""
        if self.distribution != "beta" or len(self.parameters) != 2:
            return None
        import sympy

        u = expression(u)
        a, b = (sympy.nsimplify(x) for x in self.parameters)
        return u ** (a - 1) * (1 - u) ** (b - 1) / sympy.beta(a, b)


@lru_cache(maxsize=32)
def _panels_of(law: Numerical) -> Panels:
    with np.errstate(all="ignore"):  # SciPy's densities may overflow at the ends of their support
        return fitted_panels(law.name, law._frozen)


@lru_cache(maxsize=32)
def _support_of(law: Numerical) -> tuple[float, float]:
    low, high = law._frozen.support()
    return (float(low), float(high))


def scipy_law(distribution: str, parameters: tuple[float, ...] = ()) -> ValueLaw:
    """
    Find the law of a distribution of scipy.stats by its name there.

    Parameters
    ----------
    distribution : str
        Its name, such as "weibull_min" or "poisson".
    parameters : tuple of float
        Shape parameters, and if there are more numbers, location and (of continuous ones) scale.

    Returns
    -------
    ValueLaw
        As from ``Numerical.of``.

    Raises
    ------
    ValueError
        If there is no such distribution, its parameters are out of range, or it has no second moment.
    """
    import scipy.stats

    if isinstance(getattr(scipy.stats, distribution, None), scipy.stats.rv_discrete):
        return Numerical.of(_frozen(distribution, parameters, scipy.stats.rv_discrete))
    return Numerical.of(Numerical(distribution, parameters)._frozen)


def _frozen(distribution: str, parameters: tuple[float, ...], kind: Any) -> Any:
    """A distribution with its parameters, whose number is checked."""
    import scipy.stats

    dist = getattr(scipy.stats, distribution, None)
    if not isinstance(dist, kind):
        raise ValueError(_no_such(distribution))
    least, placed = len(dist.shapes.split(",")) if dist.shapes else 0, 1 if kind is scipy.stats.rv_discrete else 2
    if not least <= len(parameters) <= least + placed:
        raise ValueError(
            f"scipy.stats.{distribution} wants {least} shape parameters{f' ({dist.shapes})' if least else ''}, then a "
            f"location{' and a scale' if placed > 1 else ''} if need be, got {parameters}"
        )
    return dist(*parameters)


def _no_such(distribution: str) -> str:
    """What to say of a name that SciPy does not know: those that it takes for similar."""
    import scipy.stats

    kinds = (scipy.stats.rv_continuous, scipy.stats.rv_discrete)
    known = [name for name, dist in vars(scipy.stats).items() if isinstance(dist, kinds)]
    near = get_close_matches(distribution, known, n=3)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    return (
        f"scipy.stats has no distribution named {distribution!r}; laws of it are written scipy:NAME,PARAMETER,..., "
        f"such as scipy:weibull_min,2{hint}"
    )
