"""The one-sparse limit of the ReLU model's loss: at most one feature is active at a time.

With features of equal density p, and biases b <= 0, the population loss divided by p tends to

    L_1 = sum_i I_i [ E (u - ReLU(g_ii u + b_i))^2 + sum_{j != i} E ReLU(g_ij u + b_i)^2 ] ,   u a value,

as p -> 0. (A positive bias would cost b_i^2 / p with no feature active: in the limit there is none.) The two closed
forms stand in the value law's record (theory.model.values).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.activations import RELU, Activation
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.model.values import BINARY, UNIFORM, ValueLaw

__all__ = ["OneSparse", "errors_alone", "limit_loss", "limit_loss_and_gradient", "one_sparse_loss"]


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

    Examples
    --------
    >>> import theory
    >>> parts = theory.one_sparse_loss([[1.0, -1.0]], [0.0, 0.0], theory.Problem(n=2, m=1, density=0.1))
    >>> round(float(parts.loss), 6)
    0.0
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

    Examples
    --------
    >>> import theory
    >>> parts = theory.one_sparse_loss([[1.0, -0.5]], [0.0, 0.0], theory.Problem(n=2, m=1, density=0.1))
    >>> round(float(parts.loss), 6)
    0.1875
    """
    require_problem(problem)
    problem.plain("one_sparse_loss")
    W, b = problem.checked(W, b)
    G, importance = W.T @ W, problem.importance
    own = np.arange(problem.n)
    parts = []
    for values in (UNIFORM, BINARY):
        others = errors_alone(G, b, values)[0]
        mine = others[own, own]  # a copy
        others[own, own] = 0.0
        parts.append((importance * mine, importance[:, None] * others))
    (mine, others), (mine_at_one, others_at_one) = parts
    return OneSparse(
        loss=float(mine.sum() + others.sum()),
        at_one=float(mine_at_one.sum() + others_at_one.sum()),
        own_error=mine,
        interference=others,
    )


def errors_alone(
    G: Float[ndarray, "*batch output n"],
    b: Float[ndarray, "*batch output"],
    values: ValueLaw,
    activation: Activation = RELU,
    outputs: Int[ndarray, " output"] | None = None,
) -> tuple[Float[ndarray, "*batch output n"], Float[ndarray, "*batch output n"], Float[ndarray, "*batch output n"]]:
    """
    Give E[(x_i - f(z_i))^2 | only feature j is active] for every output i and feature j, with its derivatives.

    Parameters
    ----------
    G : ndarray, shape (*batch, output, n)
        Couplings W^T W, or some rows of it.
    b : ndarray, shape (*batch, output)
        Output biases.
    values : ValueLaw
        Law of an active feature's value.
    activation : Activation
        The output activation f, of at most two straight pieces that meet at 0.
    outputs : ndarray of int, shape (output,), optional
        The own feature of each output; all n features in order by default.

    Returns
    -------
    value, dc, db : ndarray, shape (*batch, output, n)
        Errors, and their derivatives in the coupling g_ij and the bias.
    """
    outputs = np.arange(G.shape[-1]) if outputs is None else outputs
    own = (..., np.arange(len(outputs)), outputs)
    left, bend, mean, square = activation.left, activation.bend, values.mean, values.square
    errors = list(values.interference(G, b[..., None])) if bend else [np.zeros_like(G) for _ in range(3)]
    rest = bend * (2 * left + bend)
    mine = [(rest - bend) * part[own] for part in errors]  # of what the ReLU's own error is more than that
    for part in errors:
        part *= rest
    if bend:
        for part, more in zip(mine, values.own_error(G[own], b), strict=True):
            part += bend * more
    for part, of_own in zip(errors, mine, strict=True):
        part[own] = of_own
    if left:
        bias = b[..., None]
        errors[0] += left**2 * (G**2 * square + 2 * G * bias * mean + bias**2)
        errors[1] += 2 * left**2 * (G * square + bias * mean)
        errors[2] += 2 * left**2 * (G * mean + bias)
        errors[0][own] += (1 - bend) * square - 2 * left * (square * G[own] + b * mean)
        errors[1][own] -= 2 * left * square
        errors[2][own] -= 2 * left * mean
    return errors[0], errors[1], errors[2]


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
    errors = errors_alone(gram, b_, UNIFORM)[0]
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
    errors, coupling, shift = errors_alone(gram, b_, UNIFORM)
    A = weight[:, None] * coupling
    return float(weight @ errors.sum(1)), W_ @ (A + A.T), weight * shift.sum(1)
