"""Thomson's problem: charges on a sphere, as far apart as they get; and how far two sets of directions differ.

The literature compares the geometries of superposition with its solutions. Both spread points over a sphere, but
Coulomb's energy sum 1/|u_i - u_j| is not the loss of a toy model, to which angles beyond a quarter turn are alike while
one feature is active.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import linear_sum_assignment, minimize

__all__ = ["coulomb_energy", "largest_angle", "thomson_optimum"]

_GRADIENT = 1e-9


def coulomb_energy(X: Float[ndarray, "3 v"]) -> tuple[float, Float[ndarray, "3 v"]]:
    """
    Compute the energy of unit charges in given directions.

    Parameters
    ----------
    X : ndarray, shape (3, v)
        Vectors to the charges, not zero; their lengths do not matter.

    Returns
    -------
    float
        Sum over pairs of 1 / distance on the unit sphere.
    ndarray, shape (3, v)
        Its gradient.

    Examples
    --------
    >>> coulomb_energy(np.array([[1.0, -1.0], [0.0, 0.0], [0.0, 0.0]]))[0]
    0.5
    """
    length = np.linalg.norm(X, axis=0)
    U = X / length
    apart = U[:, :, None] - U[:, None, :]
    distance = np.sqrt((apart**2).sum(0)) + np.diag(np.full(X.shape[1], np.inf))  # a charge does not feel itself
    force = -(apart / distance**3).sum(2)
    return float((1 / distance).sum() / 2), (force - U * (force * U).sum(0)) / length


def thomson_optimum(v: int, starts: int, rng: np.random.Generator) -> tuple[Float[ndarray, "3 v"], float]:
    """
    Search for the arrangement of charges on the sphere with the least energy.

    Parameters
    ----------
    v : int
        Number of charges, >= 2.
    starts : int
        Random starts, >= 1.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    ndarray, shape (3, v)
        Directions of the charges.
    float
        Their energy, the smallest found.
    """

    def function(x: Float[ndarray, " coordinates"]) -> tuple[float, Float[ndarray, " coordinates"]]:
        energy, gradient = coulomb_energy(x.reshape(3, v))
        return energy, gradient.ravel()

    runs = (
        minimize(function, rng.standard_normal(3 * v), jac=True, method="BFGS", options={"gtol": _GRADIENT})
        for _ in range(starts)
    )
    best = min(runs, key=lambda run: float(run.fun))
    U = best.x.reshape(3, v)
    return U / np.linalg.norm(U, axis=0), float(best.fun)


def largest_angle(U: Float[ndarray, "3 v"], V: Float[ndarray, "3 v"]) -> float:
    """
    Lay one set of directions on another, and measure what is left between them.

    Parameters
    ----------
    U, V : ndarray, shape (3, v)
        Unit vectors in any order.

    Returns
    -------
    float
        Largest angle between matched directions, in degrees, where rotation, reflection and order are those with the
        smallest sum of squared distances.
    """
    best, angle = np.inf, 180.0
    for R in _rotations(U, V):
        for _ in range(3):
            order = linear_sum_assignment((R @ U).T @ V, maximize=True)[1]
            R = orthogonal_procrustes(U.T, V[:, order].T)[0].T
        off = R @ U - V[:, order]
        if (error := float((off**2).sum())) < best:
            best, angle = error, float(np.degrees(2 * np.arcsin(np.linalg.norm(off, axis=0).max() / 2)))
    return angle


def _rotations(U: Float[ndarray, "3 v"], V: Float[ndarray, "3 v"]) -> Iterator[Float[ndarray, "3 3"]]:
    """Rotations and reflections that lay two of the first directions on any two of the others."""
    second = 1 + int(np.abs(U[:, 0] @ U[:, 1:]).argmin())
    frame = _frame(U[:, 0], U[:, second])
    for i in range(V.shape[1]):
        for j in range(V.shape[1]):
            if i != j and abs(V[:, i] @ V[:, j]) < 0.999:  # opposite directions make no frame
                for handedness in (1, -1):
                    yield _frame(V[:, i], V[:, j]) @ np.diag([1, 1, handedness]) @ frame.T


def _frame(a: Float[ndarray, " 3"], b: Float[ndarray, " 3"]) -> Float[ndarray, "3 3"]:
    """Orthonormal columns: the first vector, what the second adds to it, and what is normal to both."""
    beside = b - a * (a @ b)
    beside /= np.linalg.norm(beside)
    return np.stack([a, beside, np.cross(a, beside)], axis=1)
