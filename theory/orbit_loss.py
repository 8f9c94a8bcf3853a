"""The exact loss of a polytope of equal features from one output per orbit.

Vertices of an orbit have equal errors, so that one of them stands for all: a v-gon costs a v-th of what
``population_loss`` spends on it. Few features are enumerated (theory.enumeration); for more,
theory.quadrature integrates that one output.
"""

import warnings

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.enumeration import MAX_FEATURES, active_patterns, expected_squared_error
from theory.features import Independent
from theory.polytopes import Polytope
from theory.quadrature import quadrature

__all__ = ["orbit_loss_and_gradient", "output_error"]

# Relative accuracy of an output's error; nodes are doubled until the last doubling changed less. Where couplings are
# small but not tiny the nodes run out before; the result is then good to the accuracy below, or there is a warning.
_ACCURACY, _ACCEPTABLE = 1e-9, 1e-6
_FIRST_NODES, _MANY_NODES, _MOST_NODES = 256, 2**11, 2**14
# Up to so many features enumeration is quicker than so many nodes.
_ENUMERABLE = 10
# Beside couplings 1/_HARDLY times as large, a feature's own fluctuations change the error by less than 1e-12 p; but
# the nodes would have to reach 1/_HARDLY times as far.
_HARDLY = 1e-6

Gradient = tuple[float, Float[ndarray, " n"], float]


def orbit_loss_and_gradient(
    polytope: Polytope, density: float, W: Float[ndarray, "d v"], b: Float[ndarray, " v"]
) -> tuple[float, Float[ndarray, "d v"], Float[ndarray, " v"]]:
    """
    Give the population loss of a polytope whose features have equal density and importance 1.

    Parameters
    ----------
    polytope : Polytope
        Says which vertices are exchanged by symmetry; W and b must have that symmetry.
    density : float
        Probability p = 1 - S that a feature is active, in (0, 1]; values are uniform on [0, 1].
    W : ndarray, shape (d, v)
        Embedding.
    b : ndarray, shape (v,)
        Output biases.

    Returns
    -------
    loss : float
        E sum_i (x_i - x'_i)^2 over the polytope's features.
    dW, db : ndarray
        Gradients of the sum over orbits of (size times the error of one output). Along symmetric directions
        they agree with those of the loss; other directions mean nothing.
    """
    G = W.T @ W
    loss, A, db = 0.0, np.zeros_like(G), np.zeros_like(b)
    for orbit in range(max(polytope.orbits) + 1):
        output, size = polytope.orbits.index(orbit), polytope.orbits.count(orbit)
        order = np.r_[output, np.delete(np.arange(len(b)), output)]
        value, dc, slope = output_error(G[output, order], float(b[output]), density)
        loss += size * value
        A[output, order] = size * dc
        db[output] = size * slope
    return loss, W @ (A + A.T), db


def output_error(c: Float[ndarray, " n"], b: float, density: float) -> Gradient:
    """
    Give the expected squared error of one output among n features of equal density.

    Parameters
    ----------
    c : ndarray, shape (n,)
        Couplings of the output, its own feature first.
    b : float
        Its bias.
    density : float
        Probability that a feature is active, in (0, 1]; values are uniform on [0, 1].

    Returns
    -------
    value : float
        E (x_0 - ReLU(c . x + b))^2.
    dc : ndarray, shape (n,)
        Its gradient in the couplings.
    db : float
        Its derivative in the bias.

    Warns
    -----
    RuntimeWarning
        If the nodes run out before the accuracy is reached.
    """
    touching = np.abs(c) > _HARDLY * np.abs(c).max()
    touching[0] = True
    if not touching.all():
        # The others act as a bias, their mean: E f(b + c_j x_j) = f(b + c_j p/2) + O(c_j^2 p).
        value, slope, db = output_error(c[touching], b + density / 2 * float(c[~touching].sum()), density)
        dc = np.full(len(c), density / 2 * db)
        dc[touching] = slope
        return value, dc, db
    return _enumerated(c, b, density) if len(c) <= MAX_FEATURES["uniform"] else _integrated(c, b, density)


def _enumerated(c: Float[ndarray, " n"], b: float, p: float) -> Gradient:
    """Sum over all sets of active features."""
    active = active_patterns(len(c)).sum(1)
    weight = p**active * (1 - p) ** (len(c) - active)
    values, dcs, dbs = expected_squared_error(c[None], np.array([b]), weight[None], "uniform")
    return float(values[0]), dcs[0], float(dbs[0])


def _integrated(c: Float[ndarray, " n"], b: float, p: float) -> Gradient:
    """As many nodes as the accuracy asks for; enumeration after all if they are too many."""
    limit = {"max_nodes": _MANY_NODES} if len(c) <= _ENUMERABLE else {}
    found = quadrature(
        c[None, None], np.full((1, 1), b), Independent(np.full(len(c), p)), np.ones((1, 1)),
        rtol=_ACCURACY, outputs=np.zeros(1, dtype=int), **limit,
    )  # fmt: skip
    value, miss = float(found.value[0, 0]), float(found.error[0, 0])
    if miss > _ACCURACY * value and limit:
        return _enumerated(c, b, p)
    if miss > _ACCEPTABLE * value:
        warnings.warn(f"an output's error is {value:.6e}, known to {miss:.1e} only", RuntimeWarning, stacklevel=2)
    return value, found.dG[0, 0], float(found.db[0, 0])
