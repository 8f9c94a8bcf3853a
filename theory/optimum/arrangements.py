"""Which feature sits at which vertex of a geometry, where features are not equal.

Vertices are numbered factor by factor, factors in the canonical order of the product's name, and within a factor as in
its catalogue entry (``POLYTOPES[name].directions()``): polygons by angle. Arrangements are ranked by the loss of the
released solution, of which factors contribute one by one where features are independent
(theory.optimum.factors): under their symmetry, all pairings of features to digons would be equally good.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from theory.geometry.tegum import TegumProduct
from theory.model.problem import Problem
from theory.optimum.factors import FactorLosses, Place
from theory.optimum.landscape import Landscape
from theory.optimum.symmetric_start import symmetric_start
from theory.tools.trust_region import descend

__all__ = ["arrangements"]

# Orders from which pairs of features are exchanged: two deliberate ones and random ones; arrangements returned.
_RANDOM_ORDERS, _FOLLOWED = 6, 3
# Steps of descent after which arrangements of features that come in sets are compared.
_STEPS = 6
# Losses closer than this part are the same.
_EQUAL = 1e-9


def arrangements(problem: Problem, product: TegumProduct) -> list[Int[ndarray, " n"]]:
    """
    List ways to put a problem's features at the vertices of a product, those that look best first.

    Parameters
    ----------
    problem : Problem
        A single problem.
    product : TegumProduct
        Of exactly n features.

    Returns
    -------
    list of ndarray of int, shape (n,)
        Entry k of each is the feature at vertex k; at most three, ranked by the loss of the released solution. From
        each no exchange of two features leads to a lower one.
    """
    n = problem.n
    if len(set(problem.exchangeable.tolist())) == 1:
        return [np.arange(n)]
    rank = _RankByFactors(problem, product) if problem.features.independent else _RankWhole(problem, product)
    found: list[tuple[float, ndarray]] = []
    for start in _starting_orders(problem):
        loss, order = _exchanged(rank, start)
        if not any(abs(loss - other) <= _EQUAL * other for other, _ in found):
            found.append((loss, order))
    found.sort(key=lambda pair: pair[0])
    return [order for _, order in found[:_FOLLOWED]]


def _starting_orders(problem: Problem) -> Iterator[Int[ndarray, " n"]]:
    """Features by falling worth, the same folded (first beside last), and random orders."""
    n = problem.n
    worth = np.argsort(-problem.importance * problem.density, kind="stable")
    yield worth
    folded = worth.copy()
    folded[::2], folded[1::2] = worth[: (n + 1) // 2], worth[::-1][: n // 2]
    yield folded
    rng = np.random.default_rng(0)
    for _ in range(_RANDOM_ORDERS):
        yield rng.permutation(n)


def _exchanged(rank: "_RankByFactors | _RankWhole", order: Int[ndarray, " n"]) -> tuple[float, Int[ndarray, " n"]]:
    """Make the best exchange of two features as long as one helps."""
    loss = float(rank.losses(order[None])[0])
    while True:
        trials = np.array([_swap(order, i, j) for i, j in combinations(range(len(order)), 2)])
        losses = rank.losses(trials)
        best = int(losses.argmin())
        if losses[best] >= loss * (1 - _EQUAL):
            return loss, order
        order, loss = trials[best], float(losses[best])


def _swap(order: Int[ndarray, " n"], i: int, j: int) -> Int[ndarray, " n"]:
    other = order.copy()
    other[[i, j]] = order[[j, i]]
    return other


class _RankByFactors:
    """Losses of arrangements of independent features: sums over factors."""

    def __init__(self, problem: Problem, product: TegumProduct) -> None:
        self._losses, self._product = FactorLosses(problem), product

    def losses(self, orders: Int[ndarray, "k n"]) -> ndarray:
        """One loss per order."""
        placed = [list(self._places(order)) for order in orders]
        self._losses.prepare(place for places in placed for place in places)
        return np.array([self._losses.total(places) for places in placed])

    def _places(self, order: Int[ndarray, " n"]) -> Iterator[Place]:
        start = 0
        for polytope in self._product.polytopes:
            yield polytope.name, tuple(order[start : start + polytope.v].tolist())
            start += polytope.v


class _RankWhole:
    """Losses of arrangements of features that come in sets, after a few steps of descent."""

    def __init__(self, problem: Problem, product: TegumProduct) -> None:
        self._landscape, self._product = Landscape(problem), product
        self._known: dict[tuple[int, ...], float] = {}

    def losses(self, orders: Int[ndarray, "k n"]) -> ndarray:
        """One loss per order."""
        keys = [tuple(order.tolist()) for order in orders]
        missing = np.array([key for key in dict.fromkeys(keys) if key not in self._known], dtype=int)
        if len(missing):
            problem = self._landscape.problem
            starts = [symmetric_start(problem, self._product, order) for order in missing]
            x = self._landscape.join(*(np.array(part) for part in zip(*starts, strict=True)))
            found = descend(self._landscape, x, self._landscape.kinks, iterations=_STEPS).value
            self._known.update(zip(map(tuple, missing.tolist()), found.tolist(), strict=True))
        return np.array([self._known[key] for key in keys])
