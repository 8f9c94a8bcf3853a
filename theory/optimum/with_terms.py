"""Local minima of problems with terms, over all free parameters, for many starts and many problems at once.

An L1 penalty has a kink wherever an entry of W vanishes, and minima sit on such kinks: entries that a descent leaves
near 0 are set to 0 and held there, the rest descends on, and what is held is let go if the loss falls to either side.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from theory.loss.objective import Objective
from theory.model.problem import Problem
from theory.optimum.local_minima import LocalMinima
from theory.tools.quasi_newton import Minima, minimise

__all__ = ["refine_with_terms"]

# Entries of W below this may belong at 0; how far those that do not are pushed off it.
_NEAR_KINK, _PUSH = 0.02, 0.02
# One-sided slopes at a kink: step, and what counts as falling, in units of the zero model's loss.
_STEP, _FALLING = 1e-5, 1e-6
_ROUNDS = 8
# Accuracy and iterations of the descent before.
_ROUGH, _ROUGH_ITERATIONS = 1e-4, 80


def refine_with_terms(
    problem: Problem,
    W: Float[ndarray, "k m n"],
    b: Float[ndarray, "k n"],
    W_out: Float[ndarray, "k n m"] | None = None,
    tolerance: float = 1e-8,
    iterations: int = 300,
    inverse: Float[ndarray, "k d d"] | None = None,
) -> LocalMinima:
    """
    Run every start down to a local minimum of its own problem.

    Parameters
    ----------
    problem : Problem
        A batch of k problems (one axis).
    W : ndarray, shape (k, m, n)
        Starting embeddings.
    b : ndarray, shape (k, n)
        Starting biases.
    W_out : ndarray, shape (k, n, m), optional
        Starting decoders, where they are free; W^T by default.
    tolerance : float
        Largest gradient component at the end, in units of the zero model's loss.
    iterations : int
        Most quasi-Newton iterations.
    inverse : ndarray, shape (k, d, d), optional
        What a search nearby learned of the inverse Hessians.

    Returns
    -------
    LocalMinima
        One minimum per start, in the same order.

    Raises
    ------
    ValueError
        If the terms are such that the loss has no minimum.
    """
    problem.terms.require_optimum()
    objective = Objective(problem)
    scale = np.asarray(problem.zero_loss)
    held = np.zeros((len(W), objective.size), dtype=bool)

    def descend(
        x: ndarray,
        rows: ndarray,
        inverse: ndarray | None = None,
        tolerance: float = tolerance,
        iterations: int = iterations,
    ) -> Minima:
        def scaled(x: ndarray, which: ndarray) -> tuple[ndarray, ndarray]:
            loss, slope = objective(x, rows[which])
            slope = np.where(held[rows[which]], 0.0, slope)
            return loss / scale[rows[which]], slope / scale[rows[which], None]

        return minimise(scaled, x, tolerance, iterations, inverse)

    every = np.arange(len(W))
    if problem.terms.l1:  # to where it shows which entries belong at 0: almost on a kink the engine is slow
        objective.rtol, exact = _ROUGH, objective.rtol
        found = descend(objective.join(W, b, W_out), every, inverse, _ROUGH, min(iterations, _ROUGH_ITERATIONS))
        objective.rtol = exact
    else:
        found = descend(objective.join(W, b, W_out), every, inverse)
    x, value, slope, converged = objective.held(found.x), found.value, found.gradient, found.converged
    if problem.terms.l1:
        x, value, slope, converged = (part.copy() for part in (x, value, slope, converged))
        todo = every
        for _ in range(_ROUNDS):
            start, held[todo] = _snapped(objective, x[todo], scale[todo], todo)
            moved = descend(start, todo)
            x[todo], value[todo], slope[todo] = objective.held(moved.x), moved.value, moved.gradient
            free = _falling(objective, x[todo], held[todo], scale[todo], todo)
            converged[todo] = moved.converged & ~free.any(1)
            x[todo] += _PUSH * free
            todo = todo[free.any(1)]
            if not len(todo):
                break
    W_, b_, V = objective.split(x)
    return LocalMinima(W_, b_, value * scale, converged, np.abs(slope).max(-1), found.inverse, V)


def _snapped(
    objective: Objective, x: Float[ndarray, "k d"], scale: Float[ndarray, " k"], rows: Int[ndarray, " k"]
) -> tuple[Float[ndarray, "k d"], Bool[ndarray, "k d"]]:
    """Set those small entries of W to 0, one after the other from the smallest, that the loss lets or prefers there."""
    x, held = x.copy(), np.zeros(x.shape, dtype=bool)
    weights = objective.m * objective.n
    order = np.argsort(np.abs(x[:, :weights]), axis=1)
    loss = objective(x, rows)[0]
    for k in range(weights):
        entry = order[:, k]
        at = np.arange(len(x)), entry
        small = np.abs(x[at]) < _NEAR_KINK
        if not small.any():
            break
        trial = x.copy()
        trial[at] = np.where(small, 0.0, x[at])
        # the rest has not adapted yet: a small loss is allowed, and undone by what is let go again
        changed = objective(trial, rows)[0]
        take = small & (changed <= loss + 1e-3 * scale)
        x[take], loss = trial[take], np.where(take, changed, loss)
        held[at] = take
    return x, held


def _falling(
    objective: Objective,
    x: Float[ndarray, "k d"],
    held: Bool[ndarray, "k d"],
    scale: Float[ndarray, " k"],
    rows: Int[ndarray, " k"],
) -> Int[ndarray, "k d"]:
    """The side (-1, 1) to which the loss falls from a held entry, or 0."""
    side = np.zeros(x.shape, dtype=int)
    here = objective(x, rows)[0]
    for entry in np.flatnonzero(held.any(0)):
        for sign in (-1, 1):
            moved = x.copy()
            moved[:, entry] += sign * _STEP
            slope = (objective(moved, rows)[0] - here) / (_STEP * scale)
            side[:, entry] = np.where(held[:, entry] & (slope < -_FALLING), sign, side[:, entry])
    return side
