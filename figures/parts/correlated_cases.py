"""The cases of correlated and anticorrelated features, and what is measured of their embeddings."""

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from theory import Anticorrelated, Correlated, Problem

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["CASES", "DRAWN", "Case", "cosines", "measured", "side_by_side"]

# The density of a set that is drawn.
DRAWN = 0.03
# Features whose columns are shorter than this have no direction.
_DEAD_NORM = 0.1


@dataclass(frozen=True)
class Case:
    """One of the claims: which sets, how many dimensions, and what is measured within the sets."""

    claim: int
    kind: type[Correlated] | type[Anticorrelated]
    sets: int
    size: int
    m: int
    measure: str
    title: str

    @property
    def members(self) -> list[list[int]]:
        """The features of every set."""
        return np.arange(self.sets * self.size).reshape(self.sets, self.size).tolist()

    def problem(self, density: "float | ndarray") -> Problem:
        """The problem at one density of the sets, or a batch of them."""
        return Problem(m=self.m, features=self.kind(self.members, density=density))


CASES = (
    Case(12, Correlated, 2, 2, 2, "largest |cos|", "2 sets of 2 correlated"),
    Case(13, Anticorrelated, 2, 2, 2, "largest cos", "2 sets of 2 anticorrelated"),
    Case(14, Correlated, 3, 2, 2, "largest cos", "3 sets of 2 correlated"),
    Case(15, Correlated, 2, 10, 10, "largest |cos|", "2 sets of 10 correlated"),
)


def cosines(W: "ndarray") -> "ndarray":
    """Cosines between the features; 0 for those without a direction."""
    norms = np.linalg.norm(W, axis=0)
    unit = np.where(norms > _DEAD_NORM, W / np.maximum(norms, _DEAD_NORM), 0.0)
    return np.asarray(unit.T @ unit)


def measured(case: Case, W: "ndarray") -> float:
    """The largest cosine, or absolute cosine, between two features of the same set."""
    C = cosines(W)
    within = np.array([C[i, j] for members in case.members for i, j in combinations(members, 2)])
    return float(np.abs(within).max() if "|" in case.measure else within.max())


def side_by_side(W: "ndarray", sets: list[list[int]]) -> int:
    """Count the pairs in the plane less than a right angle apart with no other feature strictly between them."""
    angle = np.arctan2(W[1], W[0])
    count = 0
    for i, j in sets:
        arc = (angle[j] - angle[i] + np.pi) % (2 * np.pi) - np.pi
        others = np.delete(angle, [i, j])
        along = ((others - angle[i]) * np.sign(arc)) % (2 * np.pi)
        inside = (along > 1e-3) & (along < abs(arc) - 1e-3)
        count += bool(abs(arc) < np.pi / 2) and not inside.any()
    return count
