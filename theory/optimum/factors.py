"""Losses of a product's factors, each released from its symmetry, for given features at its vertices.

Factors of independent features lie in orthogonal subspaces, and stay there when they are released: the derivative of an
output's error in a coupling to another factor's feature j is E x_j times that in the bias, which vanishes. So the loss
of an arrangement is a sum over factors, each of which depends on the features at its own vertices only.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.geometry.polytopes import POLYTOPES
from theory.model.features import Independent
from theory.model.problem import Problem
from theory.optimum.local_minima import refine
from theory.optimum.polytope import optimise_polytope

__all__ = ["FactorLosses", "Place"]

# A factor and the features at its vertices, in order.
Place = tuple[str, tuple[int, ...]]

# Gradient, in units of the zero model's loss, at which losses rank arrangements, and the densities, in steps of this
# ratio, at which the symmetric solutions are computed that releases start from.
_TOLERANCE, _STEPS, _RATIO = 1e-7, 200, 1.2


class FactorLosses:
    """
    Losses of released factors, remembered.

    Parameters
    ----------
    problem : Problem
        A single problem of independent features.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._kinds = problem.exchangeable
        self._known: dict[Place, float] = {}
        self._alone = problem.importance * (np.diag(problem.features.second_moment) - problem.features.mean**2)

    def total(self, places: Iterable[Place]) -> float:
        """Loss of an arrangement: the sum over its factors."""
        return sum(self._loss(place) for place in places)

    def prepare(self, places: Iterable[Place]) -> None:
        """Compute the losses of many factors together."""
        wanted = {self._key(place): place for place in places if place[0] != "unrepresented"}
        missing = {key: place for key, place in wanted.items() if key not in self._known}
        for name in {name for name, _ in missing}:
            some = {key: members for key, (other, members) in missing.items() if other == name}
            losses = self._released(name, np.array(list(some.values())))
            self._known.update(zip(some, losses.tolist(), strict=True))

    def _loss(self, place: Place) -> float:
        name, members = place
        if name == "unrepresented":
            return float(self._alone[list(members)].sum())
        self.prepare([place])
        return self._known[self._key(place)]

    def _key(self, place: Place) -> Place:
        """The same for arrangements that symmetry exchanges."""
        name, members = place
        kinds = tuple(int(self._kinds[j]) for j in members)
        return name, _canonical(name, kinds)

    def _released(self, name: str, members: ndarray) -> Float[ndarray, " k"]:
        """Run the symmetric solution of one polytope down, for different features at its vertices."""
        density, weight = self.problem.density[members], self.problem.importance[members]
        rounded = _RATIO ** np.round(np.log(density.mean(1)) / np.log(_RATIO))
        starts = {p: optimise_polytope(name, min(float(p), 1.0)) for p in np.unique(rounded)}
        W, b = (np.array([getattr(starts[p], part) for p in rounded]) for part in ("W", "b"))
        # A factor's optimum depends on the ratios of its importances only.
        weight = weight / np.maximum(weight.max(1, keepdims=True), np.finfo(float).tiny)
        batch = Problem(
            m=POLYTOPES[name].d, features=Independent(density, self.problem.features.values), importance=weight
        )
        loss = refine(batch, W, b, _TOLERANCE, _STEPS).loss
        return np.asarray(loss * self.problem.importance[members].max(1))


def _canonical(name: str, kinds: tuple[int, ...]) -> tuple[int, ...]:
    """The first of all orders of the vertices that a polytope's symmetry leaves equal; polygons and simplices only."""
    polytope = POLYTOPES[name]
    if polytope.v == polytope.d + 1:
        return tuple(sorted(kinds))
    if polytope.d != 2 or polytope.shape or max(polytope.orbits):
        return kinds
    turned = [kinds[k:] + kinds[:k] for k in range(len(kinds))]
    return min(min(turned), min(one[::-1] for one in turned))
