"""Regimes of a training: where its loss rests, and whether the weights rest with it."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import spearmanr

__all__ = ["coincidence", "rests"]

# A loss rests where its logarithm falls at less than half the average rate, for this part of the training.
_SLOW, _SHORTEST = 0.5, 0.03


def rests(loss: Float[ndarray, "runs snapshots"]) -> list[tuple[int, int, int]]:
    """
    Find the stretches in which a loss hardly falls.

    Parameters
    ----------
    loss : ndarray, shape (runs, snapshots)
        Losses > 0 at evenly spaced steps, lower at the end than at the start; without noise.

    Returns
    -------
    list of tuple of int
        Run, first and last snapshot of each stretch of at least 3 % of the training in which the logarithm of the
        loss falls at less than half the run's average rate.

    Examples
    --------
    >>> rests(np.array([[8.0, 4.0, 4.0, 4.0, 2.0, 1.0]]))
    [(0, 1, 3)]
    """
    fall = -np.diff(np.log(loss), axis=1)
    slow = fall < _SLOW * fall.mean(axis=1, keepdims=True)
    found = []
    for run, row in enumerate(slow):
        steps = np.flatnonzero(row)
        for part in np.split(steps, np.flatnonzero(np.diff(steps) > 1) + 1):
            if len(part) >= max(_SHORTEST * len(row), 1):
                found.append((run, int(part[0]), int(part[-1]) + 1))
    return found


def coincidence(
    loss: Float[ndarray, "runs snapshots"], W: Float[ndarray, "runs snapshots m n"]
) -> tuple[Float[ndarray, " runs"], Float[ndarray, " runs"]]:
    """
    Correlate how fast the loss falls with how fast the couplings change.

    Parameters
    ----------
    loss : ndarray, shape (runs, snapshots)
        Losses > 0 at evenly spaced steps.
    W : ndarray, shape (runs, snapshots, m, n)
        Embeddings; what counts is W^T W, which rotations of hidden space leave alone.

    Returns
    -------
    together : ndarray, shape (runs,)
        Rank correlation over time of the falls of the loss's logarithm with the changes of W^T W.
    apart : ndarray, shape (runs,)
        The largest such correlation if one of them is shifted in time, round the ends, by at least a tenth of the
        training: what two unrelated courses of this kind would show.
    """
    G = W.swapaxes(-1, -2) @ W
    change = np.linalg.norm(np.diff(G, axis=1), axis=(-1, -2))
    fall = -np.diff(np.log(loss), axis=1)
    steps = fall.shape[1]
    shifts = range(steps // 10, steps - steps // 10, max(steps // 50, 1))
    pairs = list(zip(fall, change, strict=True))
    together = np.array([spearmanr(f, c)[0] for f, c in pairs])
    apart = np.array([max(spearmanr(np.roll(f, shift), c)[0] for shift in shifts) for f, c in pairs])
    return together, apart
