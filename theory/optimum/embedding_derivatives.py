"""How a polytope's embedding changes with norms and shape: its derivatives in the parameters that symmetry leaves."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.geometry.polytopes import Polytope

__all__ = ["embedding_derivatives"]

# Steps of the central differences in shape parameters, first and second derivatives: coordinates are smooth and of
# order 1, errors 1e-10 and 1e-7.
_STEP, _SECOND_STEP = 1e-5, 1e-4


def embedding_derivatives(
    polytope: Polytope, x: Float[ndarray, " k"]
) -> tuple[Float[ndarray, "d v"], Float[ndarray, "k d v"], Float[ndarray, "k k d v"]]:
    """
    Give a polytope's W with its derivatives in the parameters.

    Parameters
    ----------
    polytope : Polytope
        A catalogue entry of at least one dimension.
    x : ndarray, shape (k,)
        Its parameters, in their order.

    Returns
    -------
    W : ndarray, shape (d, v)
        Embedding.
    first : ndarray, shape (k, d, v)
        Its derivatives; those in the biases vanish.
    second : ndarray, shape (k, k, d, v)
        Its second derivatives.
    """
    orbits, k, norms, shapes = np.array(polytope.orbits), len(x), len(polytope.norm_names), len(polytope.shape)
    belongs = (orbits == np.arange(norms)[:, None]).astype(float)
    norm = x[orbits]
    U, dU, ddU = _directions(polytope, x[norms : norms + shapes])
    shape = slice(norms, norms + shapes)
    dW, ddW = np.zeros((k, *U.shape)), np.zeros((k, k, *U.shape))
    dW[:norms] = belongs[:, None, :] * U
    dW[shape] = norm * dU
    ddW[:norms, shape] = belongs[:, None, None, :] * dU
    ddW[shape, :norms] = ddW[:norms, shape].swapaxes(0, 1)
    ddW[shape, shape] = norm * ddU
    return norm * U, dW, ddW


def _directions(
    polytope: Polytope, shape: Float[ndarray, " s"]
) -> tuple[Float[ndarray, "d v"], Float[ndarray, "s d v"], Float[ndarray, "s s d v"]]:
    """The vertices' directions with their derivatives in the shape parameters, from central differences."""
    s, eye = len(shape), np.eye(len(shape))

    def at(*moves: ndarray) -> ndarray:
        return np.asarray(polytope.construct(**dict(zip(polytope.shape, (shape + sum(moves)).tolist(), strict=True))))

    U = at()
    dU, ddU = np.zeros((s, *U.shape)), np.zeros((s, s, *U.shape))
    for i, e in enumerate(eye):
        dU[i] = (at(_STEP * e) - at(-_STEP * e)) / (2 * _STEP)
        for j, f in enumerate(eye[: i + 1]):
            e_, f_ = _SECOND_STEP * e, _SECOND_STEP * f
            ddU[i, j] = (at(e_, f_) - at(e_, -f_) - at(-e_, f_) + at(-e_, -f_)) / (4 * _SECOND_STEP**2)
            ddU[j, i] = ddU[i, j]
    return U, dU, ddU
