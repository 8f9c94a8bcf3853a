"""Exact errors of outputs that couple to few features, whatever the number of features.

Output i reads z_i = b_i + sum_j g_ij x_j. Independent features with g_ij = 0 do not enter, so that it is enough to
enumerate the active sets among those that do: a pentagon's outputs cost the same alone as beside three digons. The
derivative in a coupling that vanishes follows from that in the bias,

    df_i / dg_ij = -2 E[(x_i - z_i) 1(z_i > 0) x_j] = E x_j df_i / db_i ,

since x_j is independent of all that output i reads.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.enumeration import active_patterns, expected_squared_error, max_features
from theory.loss.population import OutputErrors, output_errors
from theory.loss.reads import own_then_read, reads
from theory.model.problem import Problem

__all__ = ["decoupled_errors"]

# Features that one output may read and be enumerated. Beyond six the quadrature is faster, but second derivatives and
# continuation want the last digits; from ten on enumeration takes too long.
_MOST_COUPLED = 9


def _enumerable(G: Float[ndarray, "k n n"], problem: Problem) -> bool:
    """Whether features are few, or independent and every output reads few of them."""
    values = problem.features.values
    most = max_features(values)
    if problem.n <= most:
        return True
    few = reads(G, np.arange(problem.n)).sum(-1).max() <= max(most, _MOST_COUPLED)
    return bool(few) and values.box is not None and problem.features.independent


def decoupled_errors(
    G: Float[ndarray, "k n n"], b: Float[ndarray, "k n"], problem: Problem, nodes: int | None = None, rtol: float = 1e-7
) -> OutputErrors:
    """
    Compute the expected squared error of every output, with its gradient, exactly where that is possible.

    Parameters
    ----------
    G : ndarray, shape (k, n, n)
        Couplings of k models; row i concerns output i, and rows are independent.
    b : ndarray, shape (k, n)
        Output biases.
    problem : Problem
        A single problem, the same for all models.
    nodes : int, optional
        Nodes of the quadrature where errors cannot be enumerated; by default as many as the accuracy asks for.
    rtol : float
        That relative accuracy.

    Returns
    -------
    OutputErrors
        As from ``output_errors``.
    """
    if not _enumerable(G, problem):  # all models alike, so that differences between them mean something
        return output_errors(G, b, problem, nodes=nodes, rtol=rtol)
    if not (problem.features.independent and problem.activation.kinks):
        return output_errors(G, b, problem)
    return OutputErrors(*_enumerated(G, b, problem))


def _enumerated(
    G: Float[ndarray, "k n n"], b: Float[ndarray, "k n"], problem: Problem
) -> tuple[Float[ndarray, "k n"], Float[ndarray, "k n n"], Float[ndarray, "k n"]]:
    """Enumerate every output over the features that it reads, outputs that read equally many together."""
    k, n = b.shape
    rows, bias = G.reshape(-1, n), b.ravel()
    own = np.tile(np.arange(n), k)
    read = reads(rows, own)
    order = own_then_read(read, own)
    value, db, dc = np.empty(k * n), np.empty(k * n), np.empty((k * n, n))
    count = read.sum(1)
    for size in np.unique(count):
        r = np.flatnonzero(count == size)
        features = order[r, :size]
        p = problem.density[features][:, None, :]
        weight = np.where(active_patterns(int(size)), p, 1 - p).prod(-1)
        coupling = np.take_along_axis(rows[r], features, 1)
        value[r], slope, db[r] = expected_squared_error(
            coupling, bias[r], weight, problem.features.values, problem.activation
        )
        dc[r] = problem.features.mean * db[r, None]
        dc[r[:, None], features] = slope
    return value.reshape(k, n), dc.reshape(k, n, n), db.reshape(k, n)
