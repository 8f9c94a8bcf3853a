"""The best tegum product as a knapsack over the catalogue, solved by dynamic programming."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from theory.geometry.polytopes import POLYTOPES, Polytope, polygon_name
from theory.geometry.tegum import TegumProduct

__all__ = ["Factor", "check_sizes", "fitting_polytopes", "pack", "pack_factors"]

# Larger polygons are left out: with more features they save less than the heptagon (tests try densities).
_LARGEST_POLYGON = 12
# A saving that exceeds another by less than this part of u is a rounding error; the smaller factor is kept.
_ROUNDING = 1e-8


class Factor(NamedTuple):
    """Something that holds v features in d dimensions of its own, and the loss of these features."""

    name: str
    d: int
    v: int
    loss: float


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
    factors = [Factor(name, POLYTOPES[name].d, POLYTOPES[name].v, loss) for name, loss in losses.items()]
    counts = pack_factors(n, m, [factor for factor in factors if factor.d], losses["unrepresented"])
    used = sum(POLYTOPES[name].v * count for name, count in counts.items())
    return TegumProduct({**counts, "unrepresented": n - used})


def pack_factors(n: int, m: int, factors: Sequence[Factor], unrepresented: float) -> dict[str, int]:
    """
    Choose among factors of any kind, in orthogonal subspaces, so that the sum of all n features' losses is smallest.

    Parameters
    ----------
    n : int
        Number of features, all of equal density and importance, >= 1.
    m : int
        Hidden dimensions, >= 1.
    factors : sequence of Factor
        What may be used, as often as one likes; names must differ.
    unrepresented : float
        Loss of a feature that is left out.

    Returns
    -------
    dict from str to int
        How often each chosen factor occurs; features that none holds are left out. Of equally good choices it is one
        with small factors.
    """
    items = sorted((factor for factor in factors if factor.v <= n and factor.d <= m), key=lambda f: (f.d, f.v))
    return _counts(_choices(n, m, items, unrepresented), items)


def _choices(n: int, m: int, items: list[Factor], unrepresented: float) -> Int[ndarray, "dimensions features"]:
    """Last item of the best selection for at most d dimensions and v features; -1 leaves a dimension."""
    margin = _ROUNDING * abs(unrepresented)
    best = np.zeros((m + 1, n + 1))
    choice = np.full((m + 1, n + 1), -1)
    for d in range(1, m + 1):
        best[d] = best[d - 1]
        for k, item in enumerate(items):
            if item.d > d:
                break  # items come by dimensions
            saving = item.v * unrepresented - item.loss
            value = best[d - item.d, : n + 1 - item.v] + saving
            better = value > best[d, item.v :] + margin
            best[d, item.v :][better] = value[better]
            choice[d, item.v :][better] = k
    return choice


def _counts(choice: Int[ndarray, "dimensions features"], items: list[Factor]) -> dict[str, int]:
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
