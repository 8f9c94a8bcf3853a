"""Which features an output reads: the one rule for all that treat small couplings apart.

Output i reads z_i = b_i + sum_j g_ij x_j. A coupling below NEGLIGIBLE changes its error by less than its rounding:
products of orthogonal columns are not exactly 0. One below FAINT of the largest acts as a bias, its mean; the feature's
own fluctuations change the error by the order of their square, 1e-12 p, so that only the derivative wants them.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

__all__ = ["FAINT", "NEGLIGIBLE", "own_then_read", "reads"]

NEGLIGIBLE, FAINT = 1e-14, 1e-6


def reads(
    G: Float[ndarray, "*rows n"], own: Int[ndarray, "*#rows"], but_faint: bool = False
) -> Bool[ndarray, "*rows n"]:
    """
    Say which features outputs read.

    Parameters
    ----------
    G : ndarray, shape (*rows, n)
        Couplings; row i concerns one output.
    own : ndarray of int, shape (*rows,)
        Which feature each output is to reconstruct; it counts as read.
    but_faint : bool
        Whether couplings of at most FAINT of the largest of all given are not read, because they are made up for; by
        default those of at most NEGLIGIBLE are not.

    Returns
    -------
    ndarray of bool, shape (*rows, n)
        True where the coupling is read.
    """
    size = np.abs(G)
    least = FAINT * float(size.max(initial=0.0)) if but_faint else NEGLIGIBLE
    return np.asarray((size > least) | (np.arange(G.shape[-1]) == own[..., None]))


def own_then_read(read: Bool[ndarray, "rows n"], own: Int[ndarray, " rows"]) -> Int[ndarray, "rows n"]:
    """
    Order features: an output's own, those that it reads, the others.

    Parameters
    ----------
    read : ndarray of bool, shape (rows, n)
        As from ``reads``.
    own : ndarray of int, shape (rows,)
        Which feature is each output's own.

    Returns
    -------
    ndarray of int, shape (rows, n)
        Features in that order.
    """
    rank = np.where(np.arange(read.shape[1]) == own[:, None], 0, np.where(read, 1, 2))
    return np.argsort(rank, axis=1, kind="stable")
