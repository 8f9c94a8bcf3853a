"""When correlated features collapse: one direction for a whole set, against a direction for each of its features.

A set of k correlated features that shares one direction of its own has G_ij = 1/k within the set, W_i = u / sqrt(k):
the k-dimensional form of (a + b) / sqrt(2). With b = 0 each output is x'_i = s / k, s the sum of the set's values.
While the set is active the values are independent and alike, so E[x_i | s] = s / k: no function of the stored number
predicts better, and while it is not, the outputs are 0 and right. What remains is k Var(x_i) (1 - 1/k):

    L = p (k - 1) / 12,    p the density of the set, Var(x_i) = 1/12,

at every density. Storing one feature of the set and giving the others their mean as bias costs (k - 1) (p/3 - p^2/4).
That is more for all p < 1, for 1/3 - p/4 > 1/12 there, and the same at p = 1: in one dimension a set always collapses.

Two sets of two in two dimensions have an alternative: local orthogonal bases, each feature antipodal to one of the
other set. Every output then depends on two features of different sets, which are independent, so that the loss is
that of two digons of independent features. Both are equally good where a digon's loss is p/12. With b = 0 and norm 1 a
digon's is p^2/3 and the threshold p = 1/4; optimised it is the root that ``collapse_density`` gives. Turning the two
digons away from the right angle gains a little more, so that the exact optimum changes at a slightly higher density.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.features import density_array
from theory.optimum.polytope import optimise_polytope

__all__ = ["collapse_density", "collapsed_loss", "collapsed_sets"]

# A column shorter than this stores nothing.
_DEAD_NORM = 0.1


def collapsed_loss(density: ArrayLike, size: int = 2) -> Float[ndarray, "..."] | float:
    """
    Give the loss of a correlated set that is stored along one direction of its own.

    Parameters
    ----------
    density : array_like
        Probability p that the set is active, in (0, 1]; values uniform on [0, 1].
    size : int
        Number k of features in the set, >= 1, of importance 1.

    Returns
    -------
    float or ndarray
        p (k - 1) / 12, summed over the set's features.

    Raises
    ------
    ValueError
        If a density lies outside (0, 1] or the size is below 1.

    Notes
    -----
    Holds for W_i = u / sqrt(k) with a unit vector u orthogonal to all other features, and b = 0.

    Examples
    --------
    >>> collapsed_loss(0.3)
    0.024999999999999998
    """
    if size < 1:
        raise ValueError(f"a set has at least 1 feature, got size = {size}")
    loss = density_array(density) * (size - 1) / 12
    return loss if loss.ndim else float(loss)


def collapse_density() -> float:
    """
    Find where two collapsed pairs are as good as two digons across the sets.

    Returns
    -------
    float
        Density of the sets, 0.254268726: the root of digon loss = p / 12, with optimised norm and bias. Below it, two
        sets of two correlated features in two dimensions are better stored orthogonally within the sets.

    Examples
    --------
    >>> round(collapse_density(), 8)
    0.25426873
    """
    from scipy.optimize import brentq

    return float(brentq(lambda p: optimise_polytope("digon", p).loss / p - 1 / 12, 0.1, 0.5, xtol=1e-12))


def collapsed_sets(
    W: Float[ndarray, "*batch m n"], sets: Sequence[Sequence[int]], tolerance: float = 0.05
) -> Int[ndarray, "*batch"]:
    """
    Count the sets whose features all have the same column.

    Parameters
    ----------
    W : ndarray, shape (m, n) or (*batch, m, n)
        Embeddings; column W_j is feature j's direction.
    sets : sequence of sequences of int
        The features of each set.
    tolerance : float
        Largest distance of a column from the first of its set, in units of the longest column of the set. Sets whose
        longest column is shorter than 0.1 are not represented and do not count.

    Returns
    -------
    ndarray of int, shape () or (*batch,)
        Number of collapsed sets.

    Examples
    --------
    >>> int(collapsed_sets(np.array([[0.7, 0.7, 0.0, 1.0]]), [[0, 1], [2, 3]]))
    1
    """
    count = np.zeros(W.shape[:-2], dtype=int)
    for members in sets:
        columns = W[..., list(members)]
        longest = np.linalg.norm(columns, axis=-2).max(-1)
        apart = np.linalg.norm(columns - columns[..., :1], axis=-2).max(-1)
        count += (apart <= tolerance * longest) & (longest > _DEAD_NORM)
    return count
