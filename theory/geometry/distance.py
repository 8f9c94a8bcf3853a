"""How far two embeddings are apart, when rotations of hidden space and exchanges of equal features do not count.

Procrustes gives the best rotation for a known order of the features, the assignment problem the best order for a known
rotation. The two alternate from many first guesses: a few columns that span the space are laid on every ordered choice
of columns of the other embedding.
"""

from itertools import islice, permutations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import linear_sum_assignment

from theory.tools.arrays import detached

__all__ = ["distance", "embedding_distance", "rotated_distance"]

# First guesses that are looked at, and those of the smallest misfit that are followed to the end.
_MOST_FRAMES, _FOLLOWED = 5040, 12
# Assigning features of different kinds to one another costs more than any distance.
_FORBIDDEN = 1e6


def rotated_distance(W: Float[ndarray, "m n"], target: Float[ndarray, "m n"]) -> float:
    """
    Measure the distance of two embeddings after the best rotation or reflection.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        An embedding.
    target : ndarray, shape (m, n)
        Another.

    Returns
    -------
    float
        min over orthogonal R of |R W - target|, in the Frobenius norm, by that of the target where it is not zero.
    """
    R, _ = orthogonal_procrustes(W.T, target.T)
    return float(np.linalg.norm(W.T @ R - target.T) / (np.linalg.norm(target) or 1.0))


def embedding_distance(W: ArrayLike, target: ArrayLike, kinds: ArrayLike | None = None) -> float:
    """
    Measure the distance of two embeddings after the best rotation, reflection and order of equal features.

    Parameters
    ----------
    W : array_like, shape (m, n)
        An embedding.
    target : array_like, shape (m, n)
        Another.
    kinds : array_like of int, shape (n,), optional
        Features may change places with those of the same kind; by default all may.

    Returns
    -------
    float
        min over orthogonal R and orders of |R W - target|, in the Frobenius norm, by that of the target where it is
        not zero. An upper bound beyond seven features or so: not every order can be tried.

    Examples
    --------
    >>> embedding_distance([[1.0, 0.0], [0.0, 0.5]], [[0.0, 1.0], [0.5, 0.0]])
    0.0
    """
    A, B = np.asarray(detached(W), float), np.asarray(detached(target), float)
    kind = np.zeros(A.shape[1], int) if kinds is None else np.asarray(kinds, int)
    cost = _FORBIDDEN * (kind[:, None] != kind)
    best = rotated_distance(A, B)
    for R in _first_rotations(A, B, kind):
        best = min(best, _alternated(A, B, R, cost))
    return 0.0 if best < 1e-12 else best


def _first_rotations(
    A: Float[ndarray, "m n"], B: Float[ndarray, "m n"], kind: Int[ndarray, " n"]
) -> list[Float[ndarray, "m m"]]:
    """Rotations that lay spanning columns of A on columns of B with like inner products, the likeliest first."""
    anchors = _spanning(A)
    if not anchors:
        return []
    chosen = np.array(list(islice(permutations(range(A.shape[1]), len(anchors)), _MOST_FRAMES)))
    chosen = chosen[(kind[chosen] == kind[anchors]).all(1)]
    inner, outer = A[:, anchors].T @ A[:, anchors], B.T @ B
    misfit = ((outer[chosen[:, :, None], chosen[:, None, :]] - inner) ** 2).sum((1, 2))
    likeliest = chosen[np.argsort(misfit, kind="stable")[:_FOLLOWED]]
    return [orthogonal_procrustes(A[:, anchors].T, B[:, order].T)[0] for order in likeliest]


def _spanning(A: Float[ndarray, "m n"]) -> list[int]:
    """Columns that span the columns' space, each the farthest from the span of those before it."""
    rest, columns = A.copy(), []
    for _ in range(min(A.shape)):
        sizes = np.linalg.norm(rest, axis=0)
        column = int(sizes.argmax())
        if sizes[column] < 1e-3:
            break
        columns.append(column)
        axis = rest[:, column] / sizes[column]
        rest -= np.outer(axis, axis @ rest)
    return columns


def _alternated(
    A: Float[ndarray, "m n"], B: Float[ndarray, "m n"], R: Float[ndarray, "m m"], cost: Float[ndarray, "n n"]
) -> float:
    """Assign features, rotate to fit, and again until nothing changes; R turns rows of A.T onto those of B.T."""
    order: ndarray | None = None
    for _ in range(20):
        gain = A.T @ R @ B - cost
        previous, order = order, linear_sum_assignment(gain, maximize=True)[1]
        if previous is not None and np.array_equal(order, previous):
            break
        R = orthogonal_procrustes(A.T, B[:, order].T)[0]
    return rotated_distance(A, B[:, order])


def distance(
    W: Float[ndarray, "m n"], b: Float[ndarray, " n"], other_W: Float[ndarray, "m n"], other_b: Float[ndarray, " n"]
) -> float:
    """
    Give the largest difference of two solutions' couplings and biases, which rotations leave alone.

    Parameters
    ----------
    W, other_W : ndarray, shape (m, n)
        Embeddings.
    b, other_b : ndarray, shape (n,)
        Biases.

    Returns
    -------
    float
        max(|G - G'|, |b - b'|), >= 0.
    """
    return max(float(np.abs(W.T @ W - other_W.T @ other_W).max()), float(np.abs(b - other_b).max()))
