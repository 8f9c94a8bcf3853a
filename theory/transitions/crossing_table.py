"""The table of crossings between uniform geometries: equal features, tegum products of the catalogue.

In a tegum product the loss is the sum of the factors' losses, each optimised at the density in question, so that the
losses of all products follow from those of a dozen polytopes. Crossings are bracketed on a grid of densities and
refined with exact losses. Whether the two solutions are minima of the full loss there, and how far they remain so, is
found by following them (theory.transitions.branches).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

from theory.geometry.polytopes import POLYTOPES
from theory.geometry.recognition import recognise
from theory.geometry.tegum import TegumProduct, tegum_products
from theory.model.problem import Problem
from theory.optimum.named_geometry import optimise
from theory.optimum.polytope import optimise_polytope
from theory.tools.command import progress
from theory.transitions.branches import follow
from theory.transitions.paths import ProblemPath

__all__ = ["DENSITIES", "UniformCrossing", "crossing_table", "uniform_crossings"]

# Densities at which all losses are compared: crossings closer together than neighbours would be missed.
DENSITIES = np.geomspace(1e-3, 1.0, 61)
# Accuracy of a root, in parts of the density; that of losses adds to it.
_ACCURACY = 1e-10
# Losses of polytopes of up to six features are enumerated; those of more are known to nine digits.
_EXACT_FEATURES, _EXACT, _QUADRATURE = 6, 1e-13, 1e-9
# Losses that differ by less than this part are equal: where a polytope does not pay, it shrinks to nothing.
_EQUAL = 1e-7
# Interpolated losses that differ by less than this part do not tell which product is better.
_RANKED = 1e-5
_POINTS = 16


@dataclass(frozen=True)
class UniformCrossing:
    """
    A crossing of two uniform geometries.

    Attributes
    ----------
    n, m : int
        Features and dimensions.
    rank : int
        1 where the best geometry changes, 2 where the second best does, and so on.
    below, above : str
        Geometry that is better at lower, and at higher densities.
    density : float
        Density p of every feature at the crossing.
    error : float
        How far that may be off.
    loss : float
        Loss of both there, summed over features.
    slope_jump : float
        Slope dL/dp of the geometry above minus that of the geometry below: never positive.
    lower_spinodal : float
        Density down to which the geometry above remains a minimum of the full loss; NaN if it is none at the
        crossing, or was not asked for.
    lower_end : str
        Why it ends there; "saddle" if it is no minimum at the crossing, "" if it was not asked for.
    upper_spinodal : float
        Density up to which the geometry below remains a minimum.
    upper_end : str
        Why it ends there.
    """

    n: int
    m: int
    rank: int
    below: str
    above: str
    density: float
    error: float
    loss: float
    slope_jump: float
    lower_spinodal: float = float("nan")
    lower_end: str = ""
    upper_spinodal: float = float("nan")
    upper_end: str = ""


@lru_cache(maxsize=50_000)
def _factor_loss(name: str, density: float) -> float:
    return optimise_polytope(name, density).loss


@lru_cache(maxsize=10_000)
def _factor_slope(name: str, density: float) -> float:
    """Slope of a factor's loss in the density (envelope theorem)."""
    found = optimise_polytope(name, density)
    d, v = max(1, len(found.W)), len(found.b)
    W = found.W if len(found.W) else np.zeros((1, v))
    return ProblemPath(Problem(n=v, m=d, density=density), "density").derivative(W, found.b, density)[0]


def _loss(factors: Iterable[tuple[str, int]], density: float) -> float:
    return sum(count * _factor_loss(name, density) for name, count in factors)


def _accuracy(factors: Iterable[tuple[str, int]], density: float) -> float:
    """Uncertainty of a loss."""
    return sum(
        abs(count) * _factor_loss(name, density) * (_EXACT if POLYTOPES[name].v <= _EXACT_FEATURES else _QUADRATURE)
        for name, count in factors
    )


def _difference(one: TegumProduct, two: TegumProduct) -> tuple[tuple[str, int], ...]:
    """Factors of the second less those of the first: equal ones do not enter a crossing."""
    counts = dict(two.counts)
    for name, count in one.counts:
        counts[name] = counts.get(name, 0) - count
    return tuple(sorted((name, count) for name, count in counts.items() if count))


@lru_cache(maxsize=10_000)
def _root(factors: tuple[tuple[str, int], ...], low: float, high: float) -> float:
    """Density at which a difference of losses vanishes."""
    return float(brentq(lambda p: _loss(factors, p), low, high, xtol=_ACCURACY * low, rtol=1e-14))


def _crossing(n: int, m: int, one: TegumProduct, two: TegumProduct, low: float, high: float) -> UniformCrossing:
    """Refine a crossing between neighbouring densities of the grid."""
    factors = _difference(one, two)
    p = _root(factors, low, high)
    jump = sum(count * _factor_slope(name, p) for name, count in factors)
    below, above = (one, two) if jump < 0 else (two, one)
    return UniformCrossing(
        n=n,
        m=m,
        rank=0,
        below=below.name,
        above=above.name,
        density=p,
        error=_ACCURACY * p + _accuracy(factors, p) / max(abs(jump), 1e-300),
        loss=_loss(one.counts, p),
        slope_jump=-abs(jump),
    )


def uniform_crossings(
    n: int, m: int, metastable: bool = True, densities: Float[ndarray, " k"] = DENSITIES
) -> list[UniformCrossing]:
    """
    Find all crossings between the uniform geometries of one problem.

    Parameters
    ----------
    n, m : int
        Features and hidden dimensions, m < n.
    metastable : bool
        Whether to follow the geometries that exchange the lead to their spinodals.
    densities : ndarray, shape (k,)
        Ascending densities between which crossings are looked for.

    Returns
    -------
    list of UniformCrossing
        Those where the best geometry changes first, by density; then the others.
    """
    products = [q for q in tegum_products(n, m) if sum(_is_itself(q, float(p)) for p in densities) >= 2]
    losses = np.array([[_loss(product.counts, float(p)) for p in densities] for product in products])
    valid = np.array([[_is_itself(product, float(p)) for p in densities] for product in products])
    between = [CubicSpline(np.log(densities[ok]), loss[ok]) for ok, loss in zip(valid, losses, strict=True)]
    found = []
    for k in range(len(densities) - 1):
        there = np.flatnonzero(valid[:, k] & valid[:, k + 1]).tolist()
        for i, j in _exchanged(losses[:, k], losses[:, k + 1], there):
            t = _rough_root(between[i], between[j], densities[k : k + 2])
            rank = 1 + sum(float(between[q](t)) < float(between[i](t)) * (1 - _RANKED) for q in there)
            ends = float(densities[k]), float(densities[k + 1])
            found.append(replace(_crossing(n, m, products[i], products[j], *ends), rank=rank))
    found = sorted(found, key=lambda c: (c.rank > 1, c.density))
    return [_with_spinodals(c) if metastable and c.rank == 1 else c for c in found]


def _is_itself(product: TegumProduct, density: float) -> bool:
    """
    Whether the factors are what they are called.

    Where an irreducible optimum without symmetry does not pay, its free shape turns into a product of others.
    """
    return all(_keeps_shape(name, density) for name, _ in product.counts if POLYTOPES[name].shape)


@lru_cache(maxsize=10_000)
def _keeps_shape(name: str, density: float) -> bool:
    return recognise(optimise_polytope(name, density).W).name == name


def _rough_root(one: CubicSpline, two: CubicSpline, bracket: Float[ndarray, "2"]) -> float:
    """Logarithm of the density at which two interpolated losses are equal."""

    def gap(t: float) -> float:
        return float(one(t)) - float(two(t))

    low, high = np.log(bracket).tolist()
    return float(brentq(gap, low, high))


def _exchanged(
    low: Float[ndarray, " products"], high: Float[ndarray, " products"], among: list[int]
) -> list[tuple[int, int]]:
    """Pairs of products whose order differs at two densities."""
    return [
        (i, j)
        for a, i in enumerate(among)
        for j in among[a + 1 :]
        if (low[i] - low[j]) * (high[i] - high[j]) < 0
        and abs(low[i] - low[j]) > _EQUAL * low[i]
        and abs(high[i] - high[j]) > _EQUAL * high[i]
    ]


def _with_spinodals(crossing: UniformCrossing) -> UniformCrossing:
    """Follow the geometry above downward, and the geometry below upward, as long as they are minima."""
    lower, lower_end = _survival(crossing, crossing.above, float(DENSITIES[0]))
    upper, upper_end = _survival(crossing, crossing.below, float(DENSITIES[-1]))
    return replace(crossing, lower_spinodal=lower, lower_end=lower_end, upper_spinodal=upper, upper_end=upper_end)


def _survival(crossing: UniformCrossing, geometry: str, stop: float) -> tuple[float, str]:
    """Where a geometry ends to be a minimum."""
    problem = Problem(n=crossing.n, m=crossing.m, density=crossing.density)
    optimum = optimise(problem, geometry)
    if optimum.stability == "saddle":
        return float("nan"), "saddle"
    try:
        branch = follow(problem, optimum, "density", stop=stop, points=_POINTS)
    except ValueError:  # Newton's method finds no stationary point of the accuracy it wants
        return float("nan"), "lost"
    return float(branch.values[-1]), branch.end


def crossing_table(n_max: int = 9, m_max: int = 3) -> list[UniformCrossing]:
    """
    Find all crossings between the uniform geometries of all small problems.

    Parameters
    ----------
    n_max : int
        Largest number of features, 2 to 9.
    m_max : int
        Largest number of hidden dimensions, 1 to 4.

    Returns
    -------
    list of UniformCrossing
        By m, n, and as ``uniform_crossings`` orders them.

    Raises
    ------
    ValueError
        If a size is out of range.
    """
    if not 2 <= n_max <= 9:
        raise ValueError(f"n-max must lie in 2 ... 9, got {n_max}")
    if not 1 <= m_max <= 4:
        raise ValueError(f"m-max must lie in 1 ... 4, got {m_max}")
    names = [p.name for p in POLYTOPES.values() if p.v <= n_max and p.d <= m_max]
    for name, p in progress([(name, p) for name in names for p in DENSITIES], label="losses"):
        _factor_loss(name, float(p))
    sizes = [(n, m) for m in range(1, m_max + 1) for n in range(m + 1, n_max + 1)]
    return [c for n, m in progress(sizes, label="crossings") for c in uniform_crossings(n, m)]
