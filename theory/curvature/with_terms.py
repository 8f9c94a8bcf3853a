"""Second derivatives, stability and Newton's method for problems with terms, in their free parameters.

Points are those of theory.loss.objective. Directions along which the loss cannot change are projected out: rotations of
hidden space, unless an L1 penalty singles out its axes; with a free decoder that nothing penalises, all linear maps of
hidden space; given biases; lengths of columns that do not count.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.curvature.expansion import KINK, Expansion, at_kink, clear_step, difference
from theory.loss.objective import Objective
from theory.loss.terms import checked_parameters
from theory.model.problem import Problem

__all__ = [
    "Stationary", "expand_with_terms", "fixed_directions", "hessian_with_terms", "solve_with_terms",
    "step_within",
]  # fmt: skip

# Newton steps: longest, shorter ones that are tried, and curvatures that count as none, in units of the zero model's.
_LONGEST, _LENGTHS, _SINGULAR = 0.3, (1.0, 0.5, 0.25, 0.1), 1e-9
# Gradient at which a point counts as stationary, in the same units; the accuracy of the engine is the limit.
_STATIONARY = 1e-9


def expand_with_terms(objective: Objective, x: Float[ndarray, " d"]) -> Expansion:
    """
    Expand the loss of a single problem to second order.

    Parameters
    ----------
    objective : Objective
        The loss.
    x : ndarray, shape (d,)
        A point.

    Returns
    -------
    Expansion
        In the entries of the point.
    """
    d, step = objective.size, step_within(objective, x)

    def slopes(step: float) -> tuple[ndarray, ndarray]:
        gradient = objective(np.concatenate([x + step * np.eye(d), x - step * np.eye(d)]))[1]
        return gradient[:d], gradient[d:]

    loss, here = (part[0] for part in objective(x[None]))
    H, up, down = difference(slopes, step, bool(at_kink(x[-objective.n :]).any()))
    H = (H + H.T) / 2
    jump = np.abs(up + down - 2 * here).max() / step
    noisy = bool(objective.terms.noise) and not objective.terms.l1  # noise leaves no kink
    kinked = not noisy and bool(jump > KINK * np.abs(H).max())
    return Expansion(float(loss), here, H, kinked, float(objective.problem.zero_loss))


def step_within(objective: Objective, x: Float[ndarray, " d"]) -> float:
    """
    Give a step of differences as ``theory.curvature.expansion.clear_step`` does.

    Parameters
    ----------
    objective : Objective
        The loss.
    x : ndarray, shape (d,)
        A point.

    Returns
    -------
    float
        The step, in all its entries.
    """
    theta, m = x.reshape(objective.rows + 1, objective.n), objective.m
    G = (theta[:m] if objective.terms.tied else theta[m:-1]).T @ theta[:m]
    return clear_step(G / max(1.0, float(np.abs(theta[:-1]).max())), theta[-1])


def hessian_with_terms(W: ArrayLike, b: ArrayLike, problem: Problem, W_out: ArrayLike | None) -> Float[ndarray, "d d"]:
    """
    Give the Hessian of the loss with all terms.

    Parameters
    ----------
    W, b, W_out : array_like
        Parameters of one model.
    problem : Problem
        A single problem.

    Returns
    -------
    ndarray, shape (d, d)
        In the entries of W, those of W_out^T where it is free, and b.
    """
    objective = Objective(problem, exact=True)
    return expand_with_terms(objective, objective.join(*checked_parameters(problem, W, b, W_out))).hessian


def fixed_directions(objective: Objective, x: Float[ndarray, " d"]) -> Float[ndarray, "d k"]:
    """
    Give the directions along which the loss cannot change.

    Parameters
    ----------
    objective : Objective
        The loss.
    x : ndarray, shape (d,)
        A point.

    Returns
    -------
    ndarray, shape (d, k)
        Orthonormal columns.
    """
    terms, m, n = objective.terms, objective.m, objective.n
    theta = x.reshape(objective.rows + 1, n)
    W, V = theta[:m], theta[m:-1]
    free = not (terms.tied or terms.decay or terms.noise or terms.l1 or terms.unit_norms)
    found = []
    for i in range(m):
        for j in range(m):
            if terms.l1 or (i >= j and not free):
                continue
            A = np.zeros((m, m))
            A[i, j] = 1.0
            if not free:
                A[j, i] = -1.0
            found.append(np.concatenate([A @ W, *([] if terms.tied else [-A.T @ V]), np.zeros((1, n))]))
    if terms.unit_norms:
        for j in range(n):
            found.append(np.zeros_like(theta))
            found[-1][:m, j] = W[:, j]
    couplings = (W.T if terms.tied else V.T) @ W
    silent = (theta[-1] + np.maximum(couplings, 0).sum(1) <= 0) & (not terms.noise)
    for k in np.flatnonzero(silent | (objective.bias is not None)):
        found.append(np.zeros_like(theta))
        found[-1][-1, k] = 1.0
    if not found:
        return np.zeros((objective.size, 0))
    basis, sizes, _ = np.linalg.svd(np.array(found).reshape(len(found), -1).T, full_matrices=False)
    return np.asarray(basis[:, sizes > 1e-6])


@dataclass(frozen=True, eq=False)
class Stationary:
    """
    Where Newton's method ended.

    Attributes
    ----------
    x : ndarray, shape (d,)
        The point.
    loss : float
        Its loss.
    gradient_norm : float
        Largest gradient component, in units of the zero model's loss.
    converged : bool
        Whether that is at most 1e-9 (1e-7 where a second derivative jumps).
    """

    x: Float[ndarray, " d"]
    loss: float
    gradient_norm: float
    converged: bool


def solve_with_terms(objective: Objective, x: Float[ndarray, " d"], iterations: int = 20) -> Stationary:
    """
    Find the stationary point nearest to a guess.

    Parameters
    ----------
    objective : Objective
        The loss of a single problem.
    x : ndarray, shape (d,)
        The guess.
    iterations : int
        Most Newton steps.

    Returns
    -------
    Stationary
        The point with the smallest gradient that was met.
    """
    x, scale = objective.held(x), float(objective.problem.zero_loss)
    for _ in range(iterations):
        local = expand_with_terms(objective, x)
        size = float(np.abs(local.gradient).max()) / scale
        limit = 1e2 * _STATIONARY if local.kinked else _STATIONARY
        if size <= limit:
            break
        fixed = fixed_directions(objective, x)
        rest = np.linalg.qr(fixed, mode="complete")[0][:, fixed.shape[1] :]
        values, vectors = np.linalg.eigh(rest.T @ local.hessian @ rest)
        solid = np.abs(values) > _SINGULAR * scale
        axes = rest @ vectors[:, solid]
        step = -axes @ ((axes.T @ local.gradient) / values[solid])
        step *= min(1.0, _LONGEST / max(float(np.linalg.norm(step)), 1e-300))
        trials = objective.held(x + np.array(_LENGTHS)[:, None] * step)
        sizes = np.abs(objective(trials)[1]).max(1) / scale
        better = np.flatnonzero(sizes < size)
        if not len(better):
            break
        x = trials[better[0]]
    loss, slope = objective(x[None])
    size = float(np.abs(slope).max()) / scale
    limit = 1e2 * _STATIONARY if expand_with_terms(objective, x).kinked else _STATIONARY
    return Stationary(x, float(loss[0]), size, size <= limit)
