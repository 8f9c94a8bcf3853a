"""Expected squared errors when one feature is active: the closed forms of one-dimensional couplings.

With u uniform on [0, 1], z = b + c u and e = u - ReLU z for the active feature's own output, e = - ReLU z for another.
Divisions are by a coupling only where z changes sign, and there the numerator is at most as large.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.problem import Problem, check_parameters

__all__ = [
    "OneSparse",
    "interference",
    "limit_loss",
    "limit_loss_and_gradient",
    "one_sparse_loss",
    "own_error",
    "sign_change",
]

Triple = tuple[Float[ndarray, "*shape"], Float[ndarray, "*shape"], Float[ndarray, "*shape"]]


def interference(c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"], values: str = "uniform") -> Triple:
    """
    Give E ReLU(c u + b)^2, what an active feature does to another feature's output.

    Parameters
    ----------
    c : ndarray
        Coupling g_ij of the active feature to the output.
    b : ndarray, broadcastable
        Bias of the output.
    values : {"uniform", "binary"}
        Law of the active feature's value u: U[0, 1], or 1.

    Returns
    -------
    value, dc, db : ndarray
        The expectation and its derivatives in coupling and bias.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", the one-sparse loss L_1, second term.
    """
    if values == "binary":
        slope = 2 * np.maximum(b + c, 0)
        return slope**2 / 4, slope, slope
    end = b + c
    positive = np.minimum(b, end) >= 0
    mixed = ~positive & (np.maximum(b, end) > 0)
    top = np.where(mixed, np.maximum(b, end), 0.0)  # the largest z, less than |c|
    share = np.where(mixed, top / np.where(mixed, np.abs(c), 1.0), 0.0)  # the part of [0, 1] where z > 0
    # Where z rises through 0 the mean of u over z > 0 is 1 - share/2; where it falls, share/2.
    first_u = np.where(end > b, share * top * (0.5 - share / 6), share**2 * top / 6)
    value = np.where(positive, b * end + c**2 / 3, share * top**2 / 3)
    dc = np.where(positive, b + 2 * c / 3, 2 * first_u)
    db = np.where(positive, b + end, share * top)
    return value, dc, db


def own_error(c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"], values: str = "uniform") -> Triple:
    """
    Give E (u - ReLU(c u + b))^2, how well an active feature is reconstructed.

    Parameters
    ----------
    c : ndarray
        Coupling g_ii = |W_i|^2 of the feature to its own output.
    b : ndarray, broadcastable
        Bias of the output.
    values : {"uniform", "binary"}
        Law of the active feature's value u: U[0, 1], or 1.

    Returns
    -------
    value, dc, db : ndarray
        The expectation and its derivatives in coupling and bias.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", the one-sparse loss L_1, first term.
    """
    if values == "binary":
        z = b + c
        slope = -2 * (1 - np.maximum(z, 0)) * (z > 0)
        return (1 - np.maximum(z, 0)) ** 2, slope, slope
    zero, rising = sign_change(c, b)
    lower = np.where(rising, zero, 0.0)  # z > 0 on (lower, upper)
    upper = np.where(rising, 1.0, zero)
    at_lower, at_upper = (1 - c) * lower - b, (1 - c) * upper - b  # u - z at both ends
    width = upper - lower
    square = width * (at_lower**2 + at_lower * at_upper + at_upper**2) / 3
    value = (lower**3 + 1 - upper**3) / 3 + square
    db = -width * (at_lower + at_upper)
    dc = -width * (at_lower * (2 * lower + upper) + at_upper * (lower + 2 * upper)) / 3
    return value, dc, db


def sign_change(
    c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"]
) -> tuple[Float[ndarray, "*shape"], Bool[ndarray, "*shape"]]:
    """
    Give where z = b + c u passes zero on [0, 1].

    Parameters
    ----------
    c : ndarray
        Coupling.
    b : ndarray, broadcastable
        Bias.

    Returns
    -------
    zero : ndarray
        That u; one of the ends, 0 or 1, if there is none inside.
    rising : ndarray of bool
        Whether z > 0 above it, and not below.
    """
    end = b + c
    mixed = (np.minimum(b, end) < 0) & (np.maximum(b, end) > 0)
    zero = np.where(mixed, -b / np.where(mixed, c, 1.0), np.where(np.maximum(b, end) > 0, 0.0, 1.0))
    rising = np.where(mixed, c > 0, True)
    return zero, rising


@dataclass(frozen=True, eq=False)
class OneSparse:
    """
    The loss when exactly one feature is active, and its simplification at x = 1.

    Attributes
    ----------
    loss : float
        L_1 = sum_i I_i Int (x - ReLU(|W_i|^2 x + b_i))^2 + sum_{i != j} I_i Int ReLU(W_i . W_j x + b_i)^2 over [0, 1].
    at_one : float
        The same with x = 1 instead of the integrals.
    own_error : ndarray, shape (n,)
        First sum of L_1 by feature.
    interference : ndarray, shape (n, n)
        Second sum of L_1: entry (i, j) is what feature j does to output i; 0 on the diagonal.
    """

    loss: float
    at_one: float
    own_error: Float[ndarray, " n"]
    interference: Float[ndarray, "n n"]


def one_sparse_loss(W: ArrayLike, b: ArrayLike, problem: Problem) -> OneSparse:
    """
    Compute the one-sparse loss L_1 of the ReLU model.

    Parameters
    ----------
    W : array_like, shape (m, n)
        Embedding.
    b : array_like, shape (n,)
        Output bias.
    problem : Problem
        Gives importances; densities do not matter.

    Returns
    -------
    OneSparse
        Summed over which feature is active (not averaged), as in the literature; the population loss tends to
        p L_1 as every density p tends to 0 and the biases of represented features are not positive.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section "Mathematical Understanding".
    """
    W, b = check_parameters(W, b, problem)
    G, importance = W.T @ W, problem.importance
    own = np.arange(problem.n)
    parts = []
    for values in ("uniform", "binary"):
        mine, _, _ = own_error(G[own, own], b, values)
        others, _, _ = interference(G, b[:, None], values)
        others[own, own] = 0.0
        parts.append((importance * mine, importance[:, None] * others))
    (mine, others), (mine_at_one, others_at_one) = parts
    return OneSparse(
        loss=float(mine.sum() + others.sum()),
        at_one=float(mine_at_one.sum() + others_at_one.sum()),
        own_error=mine,
        interference=others,
    )


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
