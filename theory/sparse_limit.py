"""The one-sparse limit of the ReLU model's loss: at most one feature is active at a time.

With features of equal density p, and biases b <= 0, the population loss divided by p tends to

    L_1 = sum_i I_i [ E (u - ReLU(g_ii u + b_i))^2 + sum_{j != i} E ReLU(g_ij u + b_i)^2 ] ,   u uniform on
    [0, 1],

as p -> 0. (A positive bias would cost b_i^2 / p with no feature active: in the limit there is none.)
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.one_active import interference, own_error

__all__ = ["limit_loss", "limit_loss_and_gradient"]


def _checked(W: ArrayLike, b: ArrayLike | float, importance: ArrayLike | float) -> tuple[ndarray, ndarray, ndarray]:
    """Bring W, b and the importance to finite arrays whose shapes fit, scalars given a feature axis."""
    try:
        W_, b_, weight = (np.asarray(a, dtype=float) for a in (W, b, importance))
    except (TypeError, ValueError):
        raise TypeError("W, b and importance must be arrays of numbers") from None
    if W_.ndim < 2:
        raise ValueError(f"W must have shape (m, n) or (*batch, m, n), got shape {W_.shape}")
    n = W_.shape[-1]
    for name, array in (("b", b_), ("importance", weight)):
        if array.ndim and array.shape[-1] != n:
            raise ValueError(f"{name} must be a scalar or have shape ({n},), one per feature, got shape {array.shape}")
    if not (np.isfinite(W_).all() and np.isfinite(b_).all()):
        raise ValueError("W and b must be finite, got NaN or infinity")
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError("importance must be finite and >= 0")
    ones = np.ones(n)
    return W_, b_ * ones, weight * ones


def limit_loss(
    W: ArrayLike, b: ArrayLike | float, importance: ArrayLike | float = 1.0
) -> Float[ndarray, "*batch"] | float:
    """
    Give the one-sparse loss L_1 of the ReLU model with uniform values.

    Parameters
    ----------
    W : array_like, shape (m, n) or (*batch, m, n)
        Embedding; column i is feature i's direction.
    b : array_like, shape () or (n,) or (*batch, n)
        Output biases; the reconstruction is ReLU(W^T W x + b).
    importance : array_like, shape () or (n,) or (*batch, n)
        Weight of each feature, >= 0.

    Returns
    -------
    float or ndarray, shape (*batch,)
        Sum over features, >= 0: the loss with exactly one feature active, summed over which one. For b <= 0
        it is the limit of L/p as the common density p goes to 0; with a positive bias that limit is infinite.

    Raises
    ------
    TypeError
        If an argument is not numeric.
    ValueError
        If shapes do not fit, a number is not finite, or an importance is negative.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition"; Chen et al. 2023, "Dynamical versus Bayesian Phase
    Transitions in a Toy Model of Superposition".

    Examples
    --------
    >>> limit_loss([[1.0, -1.0]], 0.0)  # an antipodal pair loses nothing
    0.0
    """
    W_, b_, weight = _checked(W, b, importance)
    gram = np.swapaxes(W_, -1, -2) @ W_
    diagonal = np.arange(gram.shape[-1])
    errors = interference(gram, b_[..., :, None])[0]
    errors[..., diagonal, diagonal] = own_error(gram[..., diagonal, diagonal], b_)[0]
    total: ndarray | float = (weight * errors.sum(-1)).sum(-1)
    return total if isinstance(total, ndarray) else float(total)


def limit_loss_and_gradient(
    W: Float[ndarray, "m n"], b: Float[ndarray, " n"], importance: ArrayLike | float = 1.0
) -> tuple[float, Float[ndarray, "m n"], Float[ndarray, " n"]]:
    """
    Give the one-sparse loss L_1 with its gradient.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Embedding; column i is feature i's direction.
    b : ndarray, shape (n,)
        Output biases.
    importance : array_like, shape () or (n,)
        Weight of each feature, >= 0.

    Returns
    -------
    loss : float
        As ``limit_loss``.
    dW : ndarray, shape (m, n)
        Gradient in W.
    db : ndarray, shape (n,)
        Gradient in b.

    Raises
    ------
    TypeError
        If an argument is not numeric.
    ValueError
        If shapes do not fit, a number is not finite, or an importance is negative.
    """
    W_, b_, weight = _checked(W, b, importance)
    gram = W_.T @ W_
    errors, coupling, shift = interference(gram, b_[:, None])
    for part, own in zip((errors, coupling, shift), own_error(np.diagonal(gram), b_), strict=True):
        np.fill_diagonal(part, own)
    A = weight[:, None] * coupling
    return float(weight @ errors.sum(1)), W_ @ (A + A.T), weight * shift.sum(1)
