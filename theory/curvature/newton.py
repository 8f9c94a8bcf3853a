"""Newton's method on the gradient: the stationary point of the loss nearest to a guess, stable or not.

Descent ends in minima only. A branch of solutions, however, goes on as a saddle where it loses its stability, and a
geometry's symmetric optimum may be one. Rotations of hidden space and dead directions are left out of every step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.curvature.expansion import Expansion, expand
from theory.curvature.stability import projected_spectrum, symmetry_directions
from theory.model.problem import Problem

__all__ = ["Expander", "StationaryPoint", "solve_stationary"]

Expander = Callable[[ndarray, ndarray, Problem], Expansion]

# Largest gradient component at which a point counts as stationary, in units of the zero model's loss; the loss is then
# off by about its square.
_TOLERANCE = 1e-10
# At a kink the Hessian is an average of both sides, and the last digits come slowly.
_KINKED_TOLERANCE = 1e-8
# Longest Newton step: further away the second-order model means little.
_LONGEST = 0.3
# Shorter steps that are tried, in parts of the whole.
_LENGTHS = (0.5, 0.25, 0.1)
# Beyond zero by so much a bias has left the kink at zero; the gradient has not changed yet.
_PAST_ZERO = 1e-8
# Directions whose curvature is below this part of the zero model's loss are left alone: rounding would fill them.
_SINGULAR = 1e-9


@dataclass(frozen=True, eq=False)
class StationaryPoint:
    """
    Where Newton's method ended.

    Attributes
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    b : ndarray, shape (n,)
        Output biases.
    expansion : Expansion
        Of the loss there.
    gradient_norm : float
        Largest gradient component, in units of the zero model's loss.
    converged : bool
        Whether that is at most the tolerance (1e-8 where the second derivative jumps).
    """

    W: Float[ndarray, "m n"]
    b: Float[ndarray, " n"]
    expansion: Expansion
    gradient_norm: float
    converged: bool


def solve_stationary(
    W: Float[ndarray, "m n"],
    b: Float[ndarray, " n"],
    problem: Problem,
    iterations: int = 12,
    expansion: Expander = expand,
    tolerance: float = _TOLERANCE,
) -> StationaryPoint:
    """
    Find the stationary point nearest to a guess.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Guess of the embedding.
    b : ndarray, shape (n,)
        Guess of the biases.
    problem : Problem
        A single problem.
    iterations : int
        Most Newton steps.
    expansion : callable
        Expands the loss: ``expand``, or ``quick_expand`` where the solution alone is of interest.
    tolerance : float
        Largest gradient component at which a point without a kink counts as stationary, in units of the zero model's
        loss.

    Returns
    -------
    StationaryPoint
        The point with the smallest gradient that was met.
    """

    def judge(W: ndarray, b: ndarray) -> StationaryPoint:
        local = expansion(W, b, problem)
        size = float(np.abs(local.gradient).max()) / local.scale
        return StationaryPoint(W, b, local, size, size <= (_KINKED_TOLERANCE if local.kinked else tolerance))

    best = judge(W, b)
    for _ in range(iterations):
        if best.converged:
            break
        for moved in _trials(best, _newton_step(best)):
            trial = judge(*moved)
            if trial.gradient_norm < best.gradient_norm:
                break
        else:
            break
        best = trial
    return best


def _trials(point: StationaryPoint, step: Float[ndarray, " d"]) -> Iterator[tuple[ndarray, ndarray]]:
    """
    Where to look for a smaller gradient: at the end of the step, and along it.

    Curvatures jump where a bias passes zero, at low density by a factor 1/p, so that a step across leads far astray.
    It is tried with such biases just behind zero, where the next step knows the new curvature.
    """
    move, shift = step[: point.W.size].reshape(point.W.shape), step[point.W.size :]
    yield point.W + move, point.b + shift
    crossing = np.where(point.b > 0, point.b + shift < -_PAST_ZERO, point.b + shift > _PAST_ZERO)
    if crossing.any():
        yield point.W + move, np.where(crossing, np.where(point.b > 0, -_PAST_ZERO, _PAST_ZERO), point.b + shift)
    for length in _LENGTHS:
        yield point.W + length * move, point.b + length * shift


def _newton_step(point: StationaryPoint) -> Float[ndarray, " d"]:
    """Solve for a vanishing gradient outside the symmetry directions, within a bounded length."""
    local = point.expansion
    values, vectors = projected_spectrum(local.hessian, symmetry_directions(point.W, point.b))
    solid = np.abs(values) > _SINGULAR * local.scale
    along = vectors[:, solid].T @ local.gradient
    step = -vectors[:, solid] @ (along / values[solid])
    return np.asarray(step * min(1.0, _LONGEST / max(float(np.linalg.norm(step)), 1e-300)))
