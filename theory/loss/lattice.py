"""Sets of active features, and the states of a recursion over them: each feature off, fixed at 1 or integrated over."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

__all__ = ["Lattice", "Level", "active_patterns", "lattice_of", "own_first"]


@dataclass(frozen=True, eq=False)
class Level:
    """The states with a given number of integrated features, and where their faces are."""

    states: slice
    feature: ndarray  # (s, level): which features are integrated over
    at_zero: ndarray  # (s, level): the state with that feature off
    at_one: ndarray  # (s, level): the state with that feature fixed at 1
    as_face: ndarray  # (s, n - level): which of the faces of the next level this is; its "one" faces come first


@dataclass(frozen=True, eq=False)
class Lattice:
    """All states of n features, level by level; feature 0 is the output's own."""

    fixed: ndarray  # (3^n, n) float: feature is fixed at 1
    integrated: ndarray  # (3^n, n) float: feature is integrated over
    levels: tuple[Level, ...]
    tops: ndarray  # (2^n,): the state that integrates over a pattern's active features


@lru_cache(maxsize=16)
def lattice_of(n: int) -> Lattice:
    """Number the states of n features, those of a level side by side."""
    power = 3 ** np.arange(n)
    digits = (np.arange(3**n)[:, None] // power) % 3  # 0 off, 1 fixed at one, 2 integrated
    count = (digits == 2).sum(1)
    codes = np.argsort(count, kind="stable")  # states of a level are neighbours: slices need no copies
    place = np.empty_like(codes)
    place[codes] = np.arange(len(codes))
    digits = digits[codes]
    ends = np.cumsum(np.bincount(count, minlength=n + 1))
    levels: list[Level] = []
    faces = np.empty((0, 0), dtype=int)  # of the level above: (face, s * level)
    for level in range(n, -1, -1):
        states = slice(ends[level] - np.count_nonzero(count == level), ends[level])
        own = codes[states][:, None]
        feature = np.nonzero(digits[states] == 2)[1].reshape(len(own), level)
        as_face = np.argsort(faces.ravel(), kind="stable").reshape(len(own), -1) if level < n else faces
        at_one, at_zero = place[own - power[feature]], place[own - 2 * power[feature]]
        levels.insert(0, Level(states, feature, at_zero, at_one, as_face))
        faces = np.stack([at_one, at_zero])
    return Lattice(
        fixed=(digits == 1).astype(float),
        integrated=(digits == 2).astype(float),
        levels=tuple(levels),
        tops=place[active_patterns(n) @ (2 * power)],
    )


def active_patterns(n: int) -> Bool[ndarray, "patterns n"]:
    """
    List every set of active features.

    Parameters
    ----------
    n : int
        Number of features.

    Returns
    -------
    ndarray of bool, shape (2**n, n)
        Row k says which features are active: the bits of k, lowest first.

    Examples
    --------
    >>> active_patterns(2).astype(int)
    array([[0, 0],
           [1, 0],
           [0, 1],
           [1, 1]])
    """
    return (np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1


@lru_cache(maxsize=32)
def own_first(n: int) -> tuple[Int[ndarray, "n n"], Int[ndarray, "n patterns"]]:
    """
    Give the orders of features that put each output's own feature first.

    Parameters
    ----------
    n : int
        Number of features.

    Returns
    -------
    order : ndarray of int, shape (n, n)
        Row i exchanges features 0 and i.
    patterns : ndarray of int, shape (n, 2**n)
        Row i: where each pattern of the exchanged features stands in ``active_patterns(n)``.
    """
    own = np.arange(n)
    order = np.tile(own, (n, 1))
    order[own, 0], order[own, own] = own, 0
    k = np.arange(2**n)
    differ = (k ^ (k >> own[:, None])) & 1  # bits 0 and i differ: flip both
    return order, k ^ differ ^ (differ << own[:, None])
