"""Quasi-Newton minimisation of many small problems at once.

SciPy minimises one function at a time; a phase diagram asks for some hundred thousand minimisations in nine variables,
where the interpreter's overhead would dominate. Here one BFGS iteration advances all of them. The line search bisects
for the weak Wolfe conditions, which needs no second derivatives and tolerates their jumps (the population loss has one
where a bias passes zero).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

__all__ = ["Minima", "minimise"]

Objective = Callable[[ndarray, ndarray], tuple[ndarray, ndarray]]

_ARMIJO = 1e-4
_WOLFE = 0.9
_LINE_SEARCH_STEPS = 20
# Decreases below the rounding error of the value cannot be told from increases: near a minimum the slope decides.
_ROUNDING = 1e-15
# Longest first step, and longest step ever, in the variables' own units (norms and biases of order one).
_FIRST_STEP = 0.1
_LONGEST_STEP = 1.0


@dataclass(frozen=True, eq=False)
class Minima:
    """
    Where the minimisations ended.

    Attributes
    ----------
    x : ndarray, shape (problems, d)
        Final points.
    value : ndarray, shape (problems,)
        Objective there.
    gradient : ndarray, shape (problems, d)
        Its gradient there.
    converged : ndarray of bool, shape (problems,)
        Whether the largest gradient component fell to the tolerance.
    inverse : ndarray, shape (problems, d, d)
        What was learned of the inverse Hessian: positive definite, and a good start for a problem nearby.
    """

    x: Float[ndarray, "problems d"]
    value: Float[ndarray, " problems"]
    gradient: Float[ndarray, "problems d"]
    converged: Bool[ndarray, " problems"]
    inverse: Float[ndarray, "problems d d"]


def minimise(
    objective: Objective,
    start: Float[ndarray, "problems d"],
    tolerance: float = 1e-8,
    iterations: int = 300,
    inverse: Float[ndarray, "problems d d"] | None = None,
) -> Minima:
    """
    Minimise many functions of d variables, each from its own start.

    Parameters
    ----------
    objective : callable
        ``objective(x, which)`` takes points of shape (k, d) and the numbers (k,) of the problems they belong
        to, and returns values (k,) and gradients (k, d).
    start : ndarray, shape (problems, d)
        Starting points.
    tolerance : float
        Largest gradient component at which a problem counts as solved.
    iterations : int
        Most iterations for any problem.
    inverse : ndarray, shape (problems, d, d), optional
        Approximate inverse Hessians to begin with, positive definite; steepest descent by default.

    Returns
    -------
    Minima
        Final points; those that could not be improved further without converging are marked.
    """
    x = np.array(start, dtype=float)
    problems, d = x.shape
    value, gradient = objective(x, np.arange(problems))
    fresh = np.full(problems, inverse is None)
    inverse = np.tile(np.eye(d), (problems, 1, 1)) if inverse is None else inverse.copy()
    running = np.abs(gradient).max(-1) > tolerance
    for _ in range(iterations):
        now = np.flatnonzero(running)
        if not len(now):
            break
        step = _direction(inverse[now], gradient[now], fresh[now])
        new_x, new_value, new_gradient = _line_search(objective, x[now], value[now], gradient[now], step, now)
        s, y = new_x - x[now], new_gradient - gradient[now]
        moved = (new_value < value[now] - _ROUNDING * np.abs(value[now])) | (
            np.abs(new_gradient).max(-1) < 0.9 * np.abs(gradient[now]).max(-1)
        )
        x[now], value[now], gradient[now] = new_x, new_value, new_gradient
        inverse[now] = _update(inverse[now], s, y, fresh[now])
        stuck = ~moved & fresh[now]
        fresh[now] = ~moved  # a search without progress restarts from steepest descent; a second one ends it
        inverse[now[~moved]] = np.eye(d)
        running[now] = (np.abs(new_gradient).max(-1) > tolerance) & ~stuck
    return Minima(x, value, gradient, np.abs(gradient).max(-1) <= tolerance, inverse)


def _direction(
    inverse: Float[ndarray, "k d d"], gradient: Float[ndarray, "k d"], fresh: Bool[ndarray, " k"]
) -> Float[ndarray, "k d"]:
    """Quasi-Newton steps, kept downhill and bounded."""
    step = -np.einsum("kij,kj->ki", inverse, gradient)
    uphill = (step * gradient).sum(-1) >= 0
    step[uphill] = -gradient[uphill]
    length = np.sqrt((step**2).sum(-1))
    bound = np.where(fresh, _FIRST_STEP, _LONGEST_STEP)
    return step * np.minimum(1.0, bound / np.maximum(length, 1e-300))[:, None]


def _line_search(
    objective: Objective,
    x: Float[ndarray, "k d"],
    value: Float[ndarray, " k"],
    gradient: Float[ndarray, "k d"],
    step: Float[ndarray, "k d"],
    which: Int[ndarray, " k"],
) -> tuple[ndarray, ndarray, ndarray]:
    """Bisect for the weak Wolfe conditions; return points, values and gradients."""
    rounding = _ROUNDING * np.abs(value)
    slope = (gradient * step).sum(-1)
    low, high, length = np.zeros(len(x)), np.full(len(x), np.inf), np.ones(len(x))
    best_x, best_value, best_gradient = x.copy(), value.copy(), gradient.copy()
    todo = np.arange(len(x))
    for _ in range(_LINE_SEARCH_STEPS):
        trial = x[todo] + length[todo, None] * step[todo]
        f, g = objective(trial, which[todo])
        decrease = f <= value[todo] + _ARMIJO * length[todo] * slope[todo] + rounding[todo]
        flat_enough = (g * step[todo]).sum(-1) >= _WOLFE * slope[todo]
        better = decrease & (f <= best_value[todo] + rounding[todo])
        best_x[todo[better]], best_value[todo[better]] = trial[better], f[better]
        best_gradient[todo[better]] = g[better]
        high[todo[~decrease]] = length[todo[~decrease]]
        short = decrease & ~flat_enough
        low[todo[short]] = length[todo[short]]
        todo = todo[~(decrease & flat_enough)]
        if not len(todo):
            break
        length[todo] = np.where(np.isinf(high[todo]), 2 * low[todo], (low[todo] + high[todo]) / 2)
    return best_x, best_value, best_gradient


def _update(
    inverse: Float[ndarray, "k d d"],
    s: Float[ndarray, "k d"],
    y: Float[ndarray, "k d"],
    fresh: Bool[ndarray, " k"],
) -> Float[ndarray, "k d d"]:
    """BFGS update of the inverse Hessian, skipped where the curvature is not safely positive."""
    sy, yy = (s * y).sum(-1), (y * y).sum(-1)
    good = sy > 1e-12 * np.sqrt((s * s).sum(-1) * yy)
    rho = np.where(good, 1 / np.where(good, sy, 1.0), 0.0)[:, None, None]
    scale = np.where(fresh & good, sy / np.where(good, yy, 1.0), 1.0)[:, None, None]
    inverse = scale * inverse
    Hy = np.einsum("kij,kj->ki", inverse, y)
    cross = s[:, :, None] * Hy[:, None, :]
    curvature = (1 + rho[:, :, 0] * (y * Hy).sum(-1)[:, None])[:, :, None] * s[:, :, None] * s[:, None, :]
    return inverse + rho * (curvature - cross - cross.swapaxes(-1, -2))
