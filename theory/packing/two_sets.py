"""Two sets of three correlated features in three dimensions: the stationary points that a descent passes.

With right angles between the parts all of them are known in closed form. Let p be the density of a set. A feature that
is left out costs its variance u = p/3 - p^2/4, a set of k that is collapsed to one direction of its own p (k-1)/12
(theory.packing.collapse), and a digon of features from different sets, which are independent, d: an optimal digon's
loss.

Two collapsed sets at opposite ends of one direction, G = 1/3 within and -1/3 between the sets, give back
ReLU(s - t)/3 if s and t are the sums of the set's own values and of the other's. While one set is active this is as
good as a direction of its own. While both are, each set loses 1 - 2/3 E[s (s-t)+] + 1/3 E[(s-t)+^2] = 601/840: the
second moment is Var(s-t)/2 = 1/4, s + t is uncorrelated with (s-t)+ by the symmetry x -> 1-x, and (s-t)+ has the mean
(3^7 - 6 2^7 + 15)/7! = 239/840 (Irwin and Hall).
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from theory.model.features import Correlated
from theory.model.problem import Problem
from theory.optimum.polytope import optimise_polytope, unrepresented_loss
from theory.packing.collapse import collapsed_loss

__all__ = ["STAGES", "angles", "ideal_stages", "is_octahedron", "two_sets"]

SETS = ((0, 1, 2), (3, 4, 5))
STAGES = ("nothing", "one set collapsed", "sets opposite", "sets collapsed", "pairs collapsed + digon", "octahedron")
# Angles of an octahedron may be off by so many degrees, and its columns no shorter than half of what they should be.
_DEGREES, _SHORTEST = 10.0, 0.5


def two_sets(density: float) -> Problem:
    """
    Give the problem.

    Parameters
    ----------
    density : float
        Probability p that a set is active, in (0, 1].

    Returns
    -------
    Problem
        n = 6 features in the sets 0, 1, 2 and 3, 4, 5, m = 3, importance 1.
    """
    return Problem(m=3, features=Correlated(SETS, density=density))


def ideal_stages(density: float) -> dict[str, tuple[Float[ndarray, "3 6"], Float[ndarray, " 6"], float]]:
    """
    Give the stages of a descent with all right angles exact.

    Parameters
    ----------
    density : float
        Probability p that a set is active, in (0, 1].

    Returns
    -------
    dict from str to tuple
        Embedding, biases, and loss in closed form of each of ``STAGES``. Nothing, one set and both sets collapsed are
        stationary as they are; the others gain a little by turning away from right angles.
    """
    digon = optimise_polytope("digon", density)
    r, bias, u = abs(float(digon.W[0, 0])), float(digon.b[0]), unrepresented_loss(density)
    x, y, z = np.eye(3)
    nothing, no_bias, mean = np.zeros((3, 3)), np.zeros(3), np.full(3, density / 2)
    set_x, set_y = (np.stack([axis] * 3, axis=1) / np.sqrt(3) for axis in (x, y))
    pair_x = np.stack([x / np.sqrt(2), x / np.sqrt(2), r * z], axis=1)
    pair_y = np.stack([y / np.sqrt(2), y / np.sqrt(2), -r * z], axis=1)
    last = np.array([0, 0, bias])
    of_set, of_pair = (float(collapsed_loss(density, size)) for size in (3, 2))
    parts = [
        (nothing, nothing, mean, mean, 6 * u),
        (set_x, nothing, no_bias, mean, of_set + 3 * u),
        (set_x, -set_x, no_bias, no_bias, density * (1 - density) / 3 + 601 * density**2 / 420),
        (set_x, set_y, no_bias, no_bias, 2 * of_set),
        (pair_x, pair_y, last, last, 2 * of_pair + digon.loss),
        (r * np.eye(3), -r * np.eye(3), np.full(3, bias), np.full(3, bias), 3 * digon.loss),
    ]
    return {
        name: (np.concatenate([A, B], axis=1), np.concatenate([a, b]), loss)
        for name, (A, B, a, b, loss) in zip(STAGES, parts, strict=True)
    }


def angles(W: Float[ndarray, "3 6"]) -> tuple[float, float]:
    """
    Measure how far an embedding is from an octahedron with partners from different sets, in degrees.

    Parameters
    ----------
    W : ndarray, shape (3, 6)
        Embedding.

    Returns
    -------
    float
        Smallest angle between partners, the sets matched so that the angles are largest.
    float
        Largest deviation of any other two features from a right angle.
    """
    U = W / np.maximum(np.linalg.norm(W, axis=0), 1e-12)
    degrees = np.degrees(np.arccos(np.clip(U.T @ U, -1, 1)))
    row, column = linear_sum_assignment(-degrees[:3, 3:])
    others = ~np.eye(6, dtype=bool)
    others[row, 3 + column] = others[3 + column, row] = False
    return float(degrees[row, 3 + column].min()), float(np.abs(degrees[others] - 90).max())


def is_octahedron(W: Float[ndarray, "3 6"]) -> bool:
    """
    Say whether features of different sets form three antipodal pairs at right angles.

    Parameters
    ----------
    W : ndarray, shape (3, 6)
        Embedding.

    Returns
    -------
    bool
        Whether all features are represented and no angle is off by 10 degrees.
    """
    partners, others = angles(W)
    represented = np.linalg.norm(W, axis=0).min() > _SHORTEST
    return bool(represented and partners > 180 - _DEGREES and others < _DEGREES)
