"""When two solutions of a cell are the same: signatures that rotations and exchanges of equal features leave alone."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

__all__ = ["SAME_BRANCH", "distinct", "signature"]

# Solutions whose norms, overlaps and biases differ by less than this count as the same branch.
SAME_BRANCH = 0.15


def signature(W: Float[ndarray, "*batch m n"], b: Float[ndarray, "*batch n"]) -> Float[ndarray, "*batch s"]:
    """
    Describe a solution by numbers that rotations, and permutations of the equal features, leave alone.

    Parameters
    ----------
    W : ndarray, shape (*batch, m, n)
        Embeddings; the last feature is the extra one.
    b : ndarray, shape (*batch, n)
        Biases.

    Returns
    -------
    ndarray, shape (*batch, 4 n - 2)
        Squared norms, sums of squared overlaps and biases, the extra feature's and the others' in order, and
        the extra feature's couplings in order.
    """
    G = W.swapaxes(-1, -2) @ W
    own = np.arange(W.shape[-1])
    norms = G[..., own, own]
    overlaps = np.sqrt(np.maximum((G**2).sum(-1) - norms**2, 0))
    parts = [part for values in (norms, overlaps, b) for part in (values[..., -1:], np.sort(values[..., :-1], axis=-1))]
    return np.concatenate([*parts, np.sort(G[..., -1, :-1], axis=-1)], axis=-1)


def distinct(
    signatures: Float[ndarray, "cells starts s"], order: Int[ndarray, "cells starts"], count: int
) -> Int[ndarray, "cells count"]:
    """
    Pick, in the given order, starts whose signatures differ; repeat the first where there are not enough.

    Parameters
    ----------
    signatures : ndarray, shape (cells, starts, s)
        As ``signature`` gives them.
    order : ndarray of int, shape (cells, starts)
        Starts of every cell, the best first.
    count : int
        How many to pick.

    Returns
    -------
    ndarray of int, shape (cells, count)
        Numbers of the picked starts.
    """
    cells = np.arange(len(order))
    free = np.ones(order.shape, dtype=bool)
    picks = np.repeat(order[:, :1], count, axis=1)
    for k in range(count):
        ranked_free = np.take_along_axis(free, order, 1)
        first = ranked_free.argmax(1)
        pick = np.where(ranked_free.any(1), order[cells, first], order[:, 0])
        picks[:, k] = pick
        distance = np.abs(signatures - signatures[cells, pick][:, None]).max(-1)
        free &= distance > SAME_BRANCH
    return picks
