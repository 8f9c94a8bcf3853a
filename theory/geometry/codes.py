"""Spherical codes of few cosines: neighbours in root systems and in strongly regular graphs, as unit vectors.

All are tight frames whose points see the same cosines, equally often. ``derived`` makes the smaller ones: the
neighbours of one point at one cosine, seen from there.

    E8 roots (240 in 8)     at 1/2 -> 56 in 7, at 1/3 -> 27 in 6, at 1/4 -> half 5-cube (16 in 5), at 1/5 -> 10 in 4
    McLaughlin (275 in 22)  at 1/6 -> 162 in 21, at -1/4 -> 112 in 21; itself at 1/5 from 276 lines in 23

References
----------
Cohn and Kumar 2007, "Universally optimal distribution of points on spheres", table 1; Conway and Sloane, "Sphere
Packings, Lattices and Groups", chapters 4, 10 and 14.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import combinations, product

import numpy as np
from jaxtyping import Float
from numpy import ndarray

__all__ = ["code", "derived_code", "e8_roots", "from_cosines", "half_cube", "higman_sims", "mclaughlin"]


def half_cube(d: int) -> Float[ndarray, "d v"]:
    """
    Give every second vertex of a cube.

    Parameters
    ----------
    d : int
        Dimensions, >= 1.

    Returns
    -------
    ndarray, shape (d, 2 ** (d - 1))
        Unit vectors with an even number of negative entries.
    """
    corners = np.array(list(product((1.0, -1.0), repeat=d)))
    return np.asarray(corners[corners.prod(1) > 0].T / np.sqrt(d))


def e8_roots() -> Float[ndarray, "8 240"]:
    """
    Give the roots of E8.

    Returns
    -------
    ndarray, shape (8, 240)
        Unit vectors: (+-1, +-1, 0^6) / sqrt(2) in any order, and the half cube.
    """
    e = np.eye(8)
    integral = [s * e[i] + t * e[j] for i, j in combinations(range(8), 2) for s in (1, -1) for t in (1, -1)]
    return np.hstack([np.array(integral).T / np.sqrt(2), half_cube(8)])


def derived_code(U: Float[ndarray, "d v"], cosine: float) -> Float[ndarray, "lower points"]:
    """
    Give the points at one cosine from the first, seen from there.

    Parameters
    ----------
    U : ndarray, shape (d, v)
        Unit vectors.
    cosine : float
        Their cosine with the first.

    Returns
    -------
    ndarray, shape (d - 1, points)
        Unit vectors: their parts orthogonal to the first, scaled to norm 1.
    """
    near = U[:, np.abs(U[:, 0] @ U - cosine) < 1e-9]
    away = near - cosine * U[:, :1]
    return from_cosines(away.T @ away / (1 - cosine**2), len(U) - 1)


def from_cosines(G: Float[ndarray, "v v"], d: int) -> Float[ndarray, "d v"]:
    """
    Give vectors with given cosines.

    Parameters
    ----------
    G : ndarray, shape (v, v)
        Cosines, of rank d.
    d : int
        Dimensions.

    Returns
    -------
    ndarray, shape (d, v)
        Unit vectors; each of the first d independent ones is the first to leave the span of those before it.
    """
    left, rows = np.array(G), list[ndarray]()
    for j in range(len(G)):
        if left[j, j] > 1e-6 and len(rows) < d:
            rows.append(left[j] / np.sqrt(left[j, j]))
            left = left - np.outer(rows[-1], rows[-1])
    U = np.array(rows)
    return np.asarray(U / np.linalg.norm(U, axis=0))


def _golay_words() -> ndarray:
    """The 4096 words of the extended Golay code: squares modulo 23, shifted, with a parity bit."""
    squares = np.zeros(23, dtype=int)
    squares[[x * x % 23 for x in range(1, 12)]] = 1
    shifts = [np.roll(squares, k) for k in range(23)]
    words = {(0,) * 23}
    for row in shifts:
        if tuple(row) not in words:
            words |= {tuple((np.array(word) + row) % 2) for word in words}
    short = np.array(sorted(words))
    return np.c_[short, short.sum(1) % 2]


@lru_cache(maxsize=1)
def _steiner() -> ndarray:
    """Blocks of S(5, 8, 24), the Golay words of weight 8: shape (759, 24)."""
    words = _golay_words()
    return np.asarray(words[words.sum(1) == 8])


def higman_sims() -> Float[ndarray, "22 100"]:
    """
    Give the code of the Higman-Sims graph.

    Returns
    -------
    ndarray, shape (22, 100)
        Unit vectors, neighbours in the graph at the cosine -4/11, others at 1/11.

    Notes
    -----
    A vertex, joined to the 22 points of S(3, 6, 22); each point joined to the 21 blocks that hold it; blocks joined if
    they are disjoint. S(3, 6, 22) are the blocks of S(5, 8, 24) through two points.
    """
    octads = _steiner()
    blocks = octads[(octads[:, 0] == 1) & (octads[:, 1] == 1)][:, 2:]
    A = np.zeros((100, 100))
    A[0, 1:23] = 1
    A[1:23, 23:] = blocks.T
    A[23:, 23:] = blocks @ blocks.T == 0
    A = np.maximum(A, A.T)
    G = np.where(A > 0, -4 / 11, 1 / 11)
    np.fill_diagonal(G, 1.0)
    return from_cosines(G, 22)


def mclaughlin() -> Float[ndarray, "22 275"]:
    """
    Give the code of the McLaughlin graph.

    Returns
    -------
    ndarray, shape (22, 275)
        Unit vectors, neighbours in the graph of valency 112 at the cosine -1/4, others at 1/6.

    Notes
    -----
    276 lines in 23 dimensions at the same |cosine| 1/5: the points and blocks of S(4, 7, 23), which are the blocks of
    S(5, 8, 24) through a point; cosine 1/5 between points, between a block and its points, and between blocks that
    share three points, else -1/5. With vectors along them at 1/5 from the first, the others are the code, seen from
    there.
    """
    octads = _steiner()
    blocks = octads[octads[:, 0] == 1][:, 1:]
    S = np.ones((276, 276))
    S[:23, 23:] = 2 * blocks.T - 1
    S[23:, :23] = S[:23, 23:].T
    S[23:, 23:] = np.where(blocks @ blocks.T == 1, -1, 1)
    S *= S[0] * S[0][:, None]
    lines = S / 5
    np.fill_diagonal(lines, 1.0)
    return derived_code(from_cosines(lines, 23), 1 / 5)


@lru_cache(maxsize=16)
def code(points: int) -> Float[ndarray, "d points"]:
    """
    Give a code by its number of points.

    Parameters
    ----------
    points : {16, 27, 56, 240, 100, 112, 162, 275}
        How many.

    Returns
    -------
    ndarray, shape (d, points)
        Unit vectors in 5, 6, 7, 8, 22, 21, 21 or 22 dimensions; read-only.

    Raises
    ------
    ValueError
        If there is no code of so many points here.
    """
    makers: dict[int, Callable[[], ndarray]] = {
        240: e8_roots,
        56: lambda: derived_code(code(240), 1 / 2),
        27: lambda: derived_code(code(56), 1 / 3),
        16: lambda: half_cube(5),
        100: higman_sims,
        275: mclaughlin,
        162: lambda: derived_code(code(275), 1 / 6),
        112: lambda: derived_code(code(275), -1 / 4),
    }
    if points not in makers:
        raise ValueError(f"codes here have {', '.join(map(str, makers))} points, got {points}")
    U = makers[points]()
    U.flags.writeable = False
    return U
