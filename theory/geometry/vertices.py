"""Where the vertices of polytopes lie: unit vectors as columns, in the standard position of each shape."""

from itertools import combinations, product

import numpy as np
from jaxtyping import Float
from numpy import ndarray

__all__ = [
    "antiprism",
    "axis",
    "cell24",
    "cube",
    "deformed",
    "digon",
    "icosahedron",
    "origin",
    "polygon",
    "rectified_simplex",
    "simplex",
]


def origin() -> Float[ndarray, "0 1"]:
    """
    Give the unrepresented feature's direction: none.

    Returns
    -------
    ndarray, shape (0, 1)
        No dimensions, one vertex.
    """
    return np.zeros((0, 1))


def axis() -> Float[ndarray, "1 1"]:
    """
    Give the direction of a feature that has a dimension to itself.

    Returns
    -------
    ndarray, shape (1, 1)
        The unit vector.
    """
    return np.ones((1, 1))


def digon() -> Float[ndarray, "1 2"]:
    """
    Give an antipodal pair.

    Returns
    -------
    ndarray, shape (1, 2)
        Two opposite unit vectors on a line.
    """
    return np.array([[1.0, -1.0]])


def polygon(k: int) -> Float[ndarray, "2 k"]:
    """
    Give a regular polygon.

    Parameters
    ----------
    k : int
        Vertices, >= 3.

    Returns
    -------
    ndarray, shape (2, k)
        Unit vectors at the angles 2 pi j / k.
    """
    angle = 2 * np.pi * np.arange(k) / k
    return np.stack([np.cos(angle), np.sin(angle)])


def simplex(d: int) -> Float[ndarray, "d v"]:
    """
    Give a regular simplex.

    Parameters
    ----------
    d : int
        Dimensions, >= 1.

    Returns
    -------
    ndarray, shape (d, d + 1)
        Unit vectors with cosine -1/d between any two.
    """
    # Vertex j is the first to leave the span of its predecessors; the rest of it balances all later vertices.
    W = np.zeros((d, d + 1))
    for j in range(d):
        W[j, j] = np.sqrt(1 - np.sum(W[:j, j] ** 2))
        W[j, j + 1 :] = -W[j, j] / (d - j)
    return W


def cube() -> Float[ndarray, "3 8"]:
    """
    Give the vertices of a cube: four antipodal pairs that lean on one another.

    Returns
    -------
    ndarray, shape (3, 8)
        Unit vectors (+-1, +-1, +-1) / sqrt(3).
    """
    return np.asarray(np.array(list(product((1.0, -1.0), repeat=3))).T / np.sqrt(3))


def antiprism(k: int, height: float) -> Float[ndarray, "3 v"]:
    """
    Give an antiprism: two parallel regular polygons, one turned against the other by half a step.

    Parameters
    ----------
    k : int
        Vertices of each polygon, >= 3.
    height : float
        Cosine of the angle between vertex and axis, in (0, 1): 1/sqrt(3) makes a tight frame.

    Returns
    -------
    ndarray, shape (3, 2 * k)
        Unit vectors, alternately above and below.
    """
    angle = np.pi * np.arange(2 * k) / k
    radius = np.sqrt(max(0.0, 1 - height**2))
    side = np.where(np.arange(2 * k) % 2 == 0, 1.0, -1.0)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height * side])


def deformed(default: Float[ndarray, "d v"], ways: Float[ndarray, "k d v"], **amounts: float) -> Float[ndarray, "d v"]:
    """
    Move vertices by given amounts in given ways.

    Parameters
    ----------
    default : ndarray, shape (d, v)
        Unit vectors to begin with.
    ways : ndarray, shape (k, d, v)
        Displacements of all vertices.
    **amounts : float
        How much of each is added, in their order.

    Returns
    -------
    ndarray, shape (d, v)
        Unit vectors.
    """
    U = default + np.tensordot(np.array(list(amounts.values())), ways, axes=1)
    return np.asarray(U / np.linalg.norm(U, axis=0))


def icosahedron() -> Float[ndarray, "3 12"]:
    """
    Give the vertices of a regular icosahedron: six antipodal pairs, all at the same |cosine| 1/sqrt(5).

    Returns
    -------
    ndarray, shape (3, 12)
        Unit vectors, opposite vertices next to each other.
    """
    golden = (1 + np.sqrt(5)) / 2
    half = np.array([[0, 1, golden], [1, golden, 0], [golden, 0, 1], [0, 1, -golden], [1, -golden, 0], [-golden, 0, 1]])
    half /= np.sqrt(1 + golden**2)
    return np.asarray(np.repeat(half, 2, axis=0).T * np.tile([1.0, -1.0], 6))


def cell24() -> Float[ndarray, "4 24"]:
    """
    Give the vertices of the 24-cell: twelve antipodal pairs in four dimensions.

    Returns
    -------
    ndarray, shape (4, 24)
        Unit vectors (+-1, +-1, 0, 0) / sqrt(2) and their permutations, opposite vertices next to each other.
    """
    pairs = [(i, j, sign) for i, j in combinations(range(4), 2) for sign in (1.0, -1.0)]
    half = np.array([np.eye(4)[i] + sign * np.eye(4)[j] for i, j, sign in pairs]) / np.sqrt(2)
    return np.asarray(np.repeat(half, 2, axis=0).T * np.tile([1.0, -1.0], 12))


def rectified_simplex(d: int) -> Float[ndarray, "d v"]:
    """
    Give the midpoints of a simplex's edges.

    Parameters
    ----------
    d : int
        Dimensions, >= 2.

    Returns
    -------
    ndarray, shape (d, d * (d + 1) // 2)
        Unit vectors, one for each pair of the simplex's vertices.
    """
    S = simplex(d)
    first, second = np.triu_indices(d + 1, 1)
    U = S[:, first] + S[:, second]
    return np.asarray(U / np.linalg.norm(U, axis=0))
