"""Which features share a factor: in words, and compared up to relabellings that a problem allows.

A relabelling changes nothing in a problem if features keep their density and importance, and sets become sets of the
same law in which every member keeps its role. Two geometries of the same name are the same arrangement if one such
relabelling carries the factors of one onto those of the other. Features are the edges between sets and factors, so that
this asks whether two graphs are the same; their connected parts are compared one by one.
"""

from collections import Counter
from collections.abc import Hashable
from functools import lru_cache
from itertools import combinations

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from theory.geometry.recognition import Recognition
from theory.model.problem import Problem
from theory.model.set_laws import SetLaw

__all__ = ["alike_members", "grouping_text", "same_grouping"]

# Density, importance, and the number of a law with a member's role in it.
_Kind = tuple[float, float, tuple[int, int]]
# Features whose factors are told one by one.
_TOLD = 12
# Images that are tried for the features of one connected part.
_TRIES = 20_000


def grouping_text(seen: Recognition) -> str:
    """
    Say which features share a factor.

    Parameters
    ----------
    seen : Recognition
        A recognised W.

    Returns
    -------
    str
        Features by number, from 0, factors in the order of the name: "0-2, 1-3" for "2 digon"; empty for more than
        twelve features.

    Examples
    --------
    >>> import theory
    >>> grouping_text(theory.recognise([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]))
    '0-1, 2'
    """
    if sum(len(factor.features) for factor in seen.factors) > _TOLD:
        return ""
    return ", ".join("-".join(map(str, sorted(factor.features))) for factor in seen.factors)


def same_grouping(problem: Problem, one: Recognition, other: Recognition) -> bool:
    """
    Whether two embeddings have the same factors of the same features, up to relabellings that the problem allows.

    Parameters
    ----------
    problem : Problem
        A single problem; features of the same density, importance and role in sets of the same law may be exchanged,
        and such sets as a whole.
    one, other : Recognition
        What the embeddings' columns form.

    Returns
    -------
    bool
        Whether a relabelling carries factors of one onto factors of the same name of the other. Where features sit
        within a factor does not matter. Relabellings within a set are those made of exchanges of two members that its
        law treats alike: all there are, but for some tables.

    Examples
    --------
    >>> import theory
    >>> features = theory.FeatureDistribution([[0, 1], [2, 3]], 0.2, "partial:0.7")
    >>> one, relabelled, other = (
    ...     theory.recognise([[1.0, *first], [0.0, *second]])
    ...     for first, second in (([0, -1, 0], [1, 0, -1]), ([0, 0, -1], [1, -1, 0]), ([-1, 0, 0], [0, 1, -1]))
    ... )
    >>> problem = theory.Problem(m=2, features=features)
    >>> same_grouping(problem, one, relabelled), same_grouping(problem, one, other)
    (True, False)
    """
    if one.name != other.name:
        return False
    kinds = _kinds(problem)
    if problem.features.independent:
        return _signatures(kinds, one) == _signatures(kinds, other)
    parts, left = _Parts(problem, kinds, one), _Parts(problem, kinds, other)
    free = left.connected
    for part in parts.connected:
        match = next((k for k, image in enumerate(free) if _carried(parts, part, left, image)), None)
        if match is None:
            return False
        free.pop(match)
    return True


def _signatures(kinds: list[_Kind], seen: Recognition) -> Counter[Hashable]:
    """Kinds of the features of every factor."""
    return Counter((factor.name, *sorted(kinds[i] for i in factor.features)) for factor in seen.factors)


class _Parts:
    """Features as edges between sets and factors."""

    def __init__(self, problem: Problem, kinds: list[_Kind], seen: Recognition) -> None:
        owner, factor = problem.features.set_of_feature, np.empty(problem.n, dtype=int)
        labels: list[Hashable] = list(kinds)
        for k, piece in enumerate(seen.factors):
            for i in piece.features:
                factor[i], labels[i] = k, (kinds[i], piece.name)
        self.labels = labels
        self.shared = 2 * (owner[:, None] == owner) + (factor[:, None] == factor)

    @property
    def connected(self) -> list[list[int]]:
        """Features of every connected part, each but the first sharing a set or factor with one before it."""
        left, parts = set(range(len(self.labels))), []
        while left:
            part = [min(left)]
            for i in part:  # grows on the way
                part += sorted(left.intersection(np.flatnonzero(self.shared[i]).tolist()) - set(part))
            left -= set(part)
            parts.append(part)
        return parts


def _carried(one: _Parts, part: list[int], other: _Parts, image: list[int]) -> bool:
    """Whether one connected part can be laid on another; False, too, where that is not found in many tries."""
    if Counter(one.labels[i] for i in part) != Counter(other.labels[i] for i in image):
        return False
    tries = [_TRIES]

    def extended(images: list[int]) -> bool:
        if len(images) == len(part):
            return True
        i, before = part[len(images)], part[: len(images)]
        for j in image:
            tries[0] -= 1
            if tries[0] < 0:
                return False
            if j in images or one.labels[i] != other.labels[j]:
                continue
            if np.array_equal(one.shared[i, before], other.shared[j, images]) and extended([*images, j]):
                return True
        return False

    return extended([])


def _kinds(problem: Problem) -> list[_Kind]:
    """What a relabelling must keep of every feature: density, importance, and its role in its set."""
    features, roles = problem.features, [(0, 0)] * problem.n
    laws: dict[Hashable, int] = {}
    for (members, law), density in zip(features.groups, features.density.tolist(), strict=True):
        if len(members) > 1:
            number = laws.setdefault((law, len(members), density), len(laws) + 1)
            for i, role in zip(members, alike_members(law, len(members)).tolist(), strict=True):
                roles[i] = (number, role)
    return list(zip(problem.density.tolist(), problem.importance.tolist(), roles, strict=True))


@lru_cache(maxsize=256)
def alike_members(law: SetLaw, members: int) -> Int[ndarray, " members"]:
    """
    Say which members of a set its law does not tell apart.

    Parameters
    ----------
    law : SetLaw
        The law, at the density of the set.
    members : int
        Size of the set.

    Returns
    -------
    ndarray of int, shape (members,)
        For every member the first one that it may be exchanged with, all others staying where they are.

    Examples
    --------
    >>> import theory
    >>> features = theory.FeatureDistribution([[0, 1, 2]], 0.2, "hierarchy:0.5")
    >>> alike_members(features.laws[0], 3)
    array([0, 1, 1])
    """
    e, first = np.random.default_rng(0).random(members), np.arange(members)
    for j, i in combinations(range(members), 2):
        if first[j] == j and first[i] == i:  # what is affine in each e_j and the same here is symmetric
            swapped = e.copy()
            swapped[[j, i]] = e[[i, j]]
            if np.isclose(law.generating(swapped), law.generating(e), rtol=1e-9, atol=0):
                first[i] = j
    first.flags.writeable = False
    return first
