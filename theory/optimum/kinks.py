"""Stationary points on kinks of the loss, where no gradient vanishes.

Where values have atoms, an output is 0 with positive probability on whole surfaces of parameters. If the feature's own
value is negative there, its loss is flat on one side of the surface and rises on the other, and minima sit on such
kinks. Clarke's condition takes the place of a vanishing gradient: 0 is a convex combination of gradients nearby.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.optimize import nnls

from theory.loss.objective import Objective
from theory.model.problem import Problem

__all__ = ["left_on_kink", "may_have_kinks", "on_a_kink", "shortest_gradient"]

# How far off gradients are sampled; how many, in units of the number of parameters; the weight of the condition that
# shares sum to 1, in units of the largest gradient.
_RADIUS, _MORE, _FIRM = 1e-6, 3, 1e3


def may_have_kinks(problem: Problem) -> bool:
    """
    Say whether outputs may be 0 with positive probability while their features are negative.

    Parameters
    ----------
    problem : Problem
        The problem.

    Returns
    -------
    bool
        Whether values have an atom below 0, the activation has a kink, and no noise smooths it.
    """
    sharp = bool(problem.activation.kinks) and not problem.terms.noise
    return sharp and any(v < 0 for v, _ in problem.features.values.atoms)


def on_a_kink(left: float) -> str:
    """
    Say that a point is stationary though no gradient vanishes there.

    Parameters
    ----------
    left : float
        What ``left_on_kink`` gives.

    Returns
    -------
    str
        A sentence.
    """
    return f"The loss has a kink here: gradients around it combine to {left:.1e} of the zero model's loss."


def left_on_kink(objective: Objective, x: Float[ndarray, " d"], held: Bool[ndarray, " d"] | None = None) -> float:
    """
    Say how far from stationary a point is that may lie on kinks.

    Parameters
    ----------
    objective : Objective
        The loss of a single problem.
    x : ndarray, shape (d,)
        The point.
    held : ndarray of bool, shape (d,), optional
        Parameters that do not count.

    Returns
    -------
    float
        Largest component of ``shortest_gradient``, in units of the zero model's loss; infinity if there are no kinks.
    """
    if not may_have_kinks(objective.problem):
        return np.inf
    free = np.ones(len(x), dtype=bool) if held is None else ~held
    found = shortest_gradient(lambda points: np.where(free, objective(points)[1], 0.0), x)
    return float(np.abs(found).max() / objective.problem.zero_loss)


def shortest_gradient(
    gradient: Callable[[Float[ndarray, "k d"]], Float[ndarray, "k d"]], x: Float[ndarray, " d"]
) -> Float[ndarray, " d"]:
    """
    Combine gradients around a point into the shortest vector there is.

    Parameters
    ----------
    gradient : callable
        Gives the gradients at points.
    x : ndarray, shape (d,)
        The point.

    Returns
    -------
    ndarray, shape (d,)
        The shortest convex combination of gradients at random points within 1e-6: 0 at a stationary point, smooth or
        not (Burke, Lewis and Overton 2005, A robust gradient sampling algorithm).
    """
    rng, number = np.random.default_rng(0), _MORE * (len(x) + 1)
    steps = rng.normal(size=(number, len(x)))
    steps *= _RADIUS * rng.uniform(size=(number, 1)) ** (1 / len(x)) / np.linalg.norm(steps, axis=1, keepdims=True)
    slopes = gradient(x + np.vstack([np.zeros_like(x), steps]))
    firm = _FIRM * max(float(np.abs(slopes).max()), 1e-300)
    share, _ = nnls(np.vstack([slopes.T, np.full(len(slopes), firm)]), np.append(np.zeros_like(x), firm))
    return np.asarray(share @ slopes / share.sum())
