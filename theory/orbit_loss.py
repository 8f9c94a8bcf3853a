"""The exact loss of a polytope of equal features from one output per orbit.

Vertices of an orbit have equal errors, so that one of them stands for all: a v-gon costs a v-th of what
``population_loss`` spends on it.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.geometry.polytopes import Polytope
from theory.loss.sparse_couplings import output_error
from theory.optimum.symmetric import representatives

__all__ = ["orbit_loss_and_gradient"]


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
    for output, size, order in zip(*representatives(polytope), strict=True):
        value, dc, slope = output_error(G[output, order], float(b[output]), density)
        loss += int(size) * value
        A[output, order] = size * dc
        db[output] = size * slope
    return loss, W @ (A + A.T), db
