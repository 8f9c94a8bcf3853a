"""Quasi-Newton minimisation of many small problems at once.

SciPy minimises one function at a time; a phase diagram asks for some hundred thousand minimisations in nine variables,
where the interpreter's overhead would dominate. Here every call evaluates all of them, each at its own stage of BFGS.
The line search bisects for the weak Wolfe conditions, which needs no second derivatives and tolerates their jumps (the
population loss has one where a bias passes zero).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

__all__ = ["ROUNDING", "Minima", "minimise"]

Objective = Callable[[ndarray, ndarray], tuple[ndarray, ndarray]]

_ARMIJO = 1e-4
_WOLFE = 0.9
_LINE_SEARCH_STEPS = 20
# Decreases below the rounding error of the value cannot be told from increases: near a minimum the slope decides. Where
# values are noisier than that, a line search that could gain less than the noise is over after so many steps; without
# noise, slopes tell ends of flat valleys apart.
ROUNDING, _FAIR_STEPS = 1e-15, 3
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
    noise: float = ROUNDING,
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
    noise : float
        What rounding may change a value by, as part of it.

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
    done = np.zeros(problems, dtype=int)
    now = np.flatnonzero(np.abs(gradient).max(-1) > tolerance) if iterations else np.zeros(0, dtype=int)
    search = _LineSearch.begin(x[now], value[now], gradient[now], _direction(inverse[now], gradient[now], fresh[now]))
    while len(now):
        # One call for all of them, wherever each is in its own line search.
        over = search.advance(*objective(search.trial(), now), noise)
        if not over.any():
            continue
        which = np.flatnonzero(over)
        at, (new_x, new_value, new_gradient) = now[which], search.best(which)
        s, y = new_x - x[at], new_gradient - gradient[at]
        moved = (new_value < value[at] - noise * np.abs(value[at])) | (
            np.abs(new_gradient).max(-1) < 0.9 * np.abs(gradient[at]).max(-1)
        )
        x[at], value[at], gradient[at] = new_x, new_value, new_gradient
        inverse[at] = _update(inverse[at], s, y, fresh[at])
        stuck = ~moved & fresh[at]
        fresh[at] = ~moved  # a search without progress restarts from steepest descent; a second one ends it
        inverse[at[~moved]] = np.eye(d)
        done[at] += 1
        running = (np.abs(new_gradient).max(-1) > tolerance) & ~stuck & (done[at] < iterations)
        step = _direction(inverse[at], new_gradient, fresh[at])
        search.restart(which, new_x, new_value, new_gradient, step)
        if not running.all():
            kept = np.delete(np.arange(len(now)), which[~running])
            now, search = now[kept], search.take(kept)
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


@dataclass(frozen=True, eq=False)
class _LineSearch:
    """Line searches that bisect for the weak Wolfe conditions, each at a step of its own; one row per search."""

    x: ndarray
    value: ndarray
    step: ndarray
    slope: ndarray
    low: ndarray
    high: ndarray
    length: ndarray
    steps: ndarray
    best_x: ndarray
    best_value: ndarray
    best_gradient: ndarray

    @classmethod
    def begin(cls, x: ndarray, value: ndarray, gradient: ndarray, step: ndarray) -> "_LineSearch":
        """Start at x, downhill along a step."""
        k = len(x)
        return cls(
            x=x.copy(),
            value=value.copy(),
            step=step,
            slope=(gradient * step).sum(-1),
            low=np.zeros(k),
            high=np.full(k, np.inf),
            length=np.ones(k),
            steps=np.zeros(k, dtype=int),
            best_x=x.copy(),
            best_value=value.copy(),
            best_gradient=gradient.copy(),
        )

    def take(self, which: Int[ndarray, " some"]) -> "_LineSearch":
        """Keep some of the searches."""
        return _LineSearch(*(getattr(self, f.name)[which] for f in fields(self)))

    def restart(
        self, which: Int[ndarray, " some"], x: ndarray, value: ndarray, gradient: ndarray, step: ndarray
    ) -> None:
        """Begin anew with some of the searches."""
        self.x[which] = self.best_x[which] = x
        self.value[which] = self.best_value[which] = value
        self.best_gradient[which] = gradient
        self.step[which], self.slope[which] = step, (gradient * step).sum(-1)
        self.low[which], self.high[which], self.length[which], self.steps[which] = 0.0, np.inf, 1.0, 0

    def trial(self) -> Float[ndarray, "k d"]:
        """Give the points to try next."""
        return self.x + self.length[:, None] * self.step

    def best(self, which: Int[ndarray, " some"]) -> tuple[ndarray, ndarray, ndarray]:
        """Give points, values and gradients that some of the searches found."""
        return self.best_x[which], self.best_value[which], self.best_gradient[which]

    def advance(self, f: Float[ndarray, " k"], g: Float[ndarray, "k d"], noise: float) -> Bool[ndarray, " k"]:
        """Learn value and gradient at the points that were tried; say which searches are over."""
        rounding = noise * np.abs(self.value)
        decrease = f <= self.value + _ARMIJO * self.length * self.slope + rounding
        flat_enough = (g * self.step).sum(-1) >= _WOLFE * self.slope
        better = decrease & (f <= self.best_value + rounding)
        self.best_x[better] = self.trial()[better]
        self.best_value[better], self.best_gradient[better] = f[better], g[better]
        self.high[~decrease] = self.length[~decrease]
        short = decrease & ~flat_enough
        self.low[short] = self.length[short]
        self.steps[:] += 1
        hopeless = (self.steps >= _FAIR_STEPS) & (-self.length * self.slope <= rounding) & (noise > ROUNDING)
        with np.errstate(invalid="ignore"):
            self.length[:] = np.where(np.isinf(self.high), 2 * self.low, (self.low + self.high) / 2)
        return (decrease & flat_enough) | hopeless | (self.steps >= _LINE_SEARCH_STEPS)


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
    scaled = fresh & good
    if scaled.any():
        inverse = np.where(scaled, sy / np.where(good, yy, 1.0), 1.0)[:, None, None] * inverse
    Hy = np.einsum("kij,kj->ki", inverse, y)
    cross = s[:, :, None] * Hy[:, None, :]
    change = ((1 + rho[:, :, 0] * (y * Hy).sum(-1)[:, None]) * s)[:, :, None] * s[:, None, :]
    change -= cross
    change -= cross.swapaxes(-1, -2)
    change *= rho
    change += inverse
    return change
