"""The best tegum product as a knapsack over the catalogue, solved by dynamic programming."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.geometry.polytopes import POLYTOPES, Polytope, polygon_name
from theory.geometry.tegum import TegumProduct

__all__ = ["check_sizes", "fitting_polytopes", "pack"]

# Larger polygons are left out: with more features they save less than the heptagon (tests try densities).
_LARGEST_POLYGON = 12
# A saving that exceeds another by less than this part of u is a rounding error; the smaller factor is kept.
_ROUNDING = 1e-8


def fitting_polytopes(n: int, m: int) -> list[Polytope]:
    """Polytopes that fit, the fewest dimensions and vertices first."""
    too_large = {polygon_name(k) for k in range(_LARGEST_POLYGON + 1, n + 1)}
    fitting = (p for p in POLYTOPES.values() if p.v <= n and p.d <= m and p.name not in too_large)
    return sorted(fitting, key=lambda p: (p.d, p.v))


def check_sizes(n: int, m: int) -> None:
    """Refuse numbers of features and dimensions below 1."""
    for name, value in (("n", n), ("m", m)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be a whole number, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def pack(n: int, m: int, losses: Mapping[str, float]) -> TegumProduct:
    """
    Choose factors so that the sum of their losses is smallest.

    Parameters
    ----------
    n : int
        Number of features, all of equal density and importance, >= 1.
    m : int
        Hidden dimensions, >= 1.
    losses : mapping from str to float
        Loss of each polytope that may be used; that of "unrepresented" is needed. They may be population
        losses at one density, or limits of L/p.

    Returns
    -------
    TegumProduct
        A product of exactly n features in at most m dimensions with the smallest sum of losses. Of equally
        good ones it is one with small factors.

    Raises
    ------
    TypeError
        If n or m is not a whole number.
    ValueError
        If n or m is below 1, the loss of "unrepresented" is missing, or a name is not in the catalogue.

    Examples
    --------
    >>> pack(5, 2, {"unrepresented": 1 / 3, "digon": 0.0, "pentagon": 0.0791}).name
    'pentagon'
    """
    check_sizes(n, m)
    if "unrepresented" not in losses:
        raise ValueError("losses must tell that of 'unrepresented', which fills up the features")
    unknown = [name for name in losses if name not in POLYTOPES]
    if unknown:
        raise ValueError(f"losses must be of catalogue polytopes, got {unknown[0]!r}")
    u = losses["unrepresented"]
    items = [POLYTOPES[name] for name in losses if POLYTOPES[name].d]
    items = sorted((p for p in items if p.v <= n and p.d <= m), key=lambda p: (p.d, p.v))
    savings = np.array([p.v * u - losses[p.name] for p in items])
    counts = _counts(_choices(n, m, items, savings, _ROUNDING * abs(u)), items)
    used = sum(POLYTOPES[name].v * count for name, count in counts.items())
    return TegumProduct({**counts, "unrepresented": n - used})


def _choices(
    n: int, m: int, items: list[Polytope], savings: Float[ndarray, " items"], margin: float
) -> Int[ndarray, "dimensions features"]:
    """Last item of the best selection for at most d dimensions and v features; -1 leaves a dimension."""
    best = np.zeros((m + 1, n + 1))
    choice = np.full((m + 1, n + 1), -1)
    for d in range(1, m + 1):
        best[d] = best[d - 1]
        for k, item in enumerate(items):
            if item.d > d:
                break  # items come by dimensions
            value = best[d - item.d, : n + 1 - item.v] + savings[k]
            better = value > best[d, item.v :] + margin
            best[d, item.v :][better] = value[better]
            choice[d, item.v :][better] = k
    return choice


def _counts(choice: Int[ndarray, "dimensions features"], items: list[Polytope]) -> dict[str, int]:
    """Walk back through the choices."""
    d, v = choice.shape[0] - 1, choice.shape[1] - 1
    counts: dict[str, int] = {}
    while d > 0:
        k = choice[d, v]
        if k < 0:
            d -= 1
            continue
        item = items[k]
        counts[item.name] = counts.get(item.name, 0) + 1
        d, v = d - item.d, v - item.v
    return counts
