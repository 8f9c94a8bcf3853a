"""Where a branch loses its stability: at a fold, or at a bifurcation that it passes as a saddle."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import brentq

from theory.curvature.expansion import expand
from theory.curvature.stability import projected_spectrum, symmetry_directions
from theory.geometry.symmetries import generators
from theory.transitions.points import BranchPoint, correct

__all__ = ["breaks_symmetry", "locate_fold", "locate_spinodal"]

# Accuracy of a located bifurcation, in the logarithm of the parameter (and along the arc near a fold).
_ACCURACY = 1e-10
# A mode that changes by more than this part of itself under a symmetry of the solution breaks it.
_BROKEN = 1e-3
# Arc along which a fold is looked for: first step and furthest, in the norms' own units.
_FIRST_ARC, _LAST_ARC = 1e-3, 0.5
_NEWTON_STEPS, _TOLERANCE = 12, 1e-10


def locate_spinodal(before: BranchPoint, after: BranchPoint) -> BranchPoint:
    """
    Find where the smallest curvature of a branch vanishes.

    Parameters
    ----------
    before, after : BranchPoint
        Neighbours on one branch, one stable and one not.

    Returns
    -------
    BranchPoint
        The point where stability changes, to 1e-10 in the logarithm of the parameter.
    """
    low, high = np.log(before.value), np.log(after.value)
    points = {low: before, high: after}
    # The stable end may owe its stability to the tolerance: look for where the curvature leaves that.
    worst = min(point.curvature / point.expansion.scale for point in (before, after) if point.stable)
    level = 0.0 if worst > 0 else worst - 1e-9

    def curvature(t: float) -> float:
        if t not in points:
            value = float(np.exp(t))
            points[t] = correct(before.path, value, *before.predicted(value), before)
        point = points[t]
        return point.curvature / point.expansion.scale - level

    t = brentq(curvature, low, high, xtol=_ACCURACY, rtol=1e-14)
    return points[min(points, key=lambda s: abs(s - t))]


@dataclass(frozen=True, eq=False)
class _Arc:
    """The branch near a fold, parametrised by the distance s along the mode that becomes soft."""

    origin: BranchPoint
    mode: Float[ndarray, " d"]

    def solve(self, s: float, guess: tuple[ndarray, float]) -> tuple[ndarray, float, float] | None:
        """Stationary point at distance s: (W, b), logarithm of the parameter, and smallest curvature; or None."""
        x, t = guess
        W_shape, size = self.origin.W.shape, self.origin.W.size
        for _ in range(_NEWTON_STEPS):
            value = float(np.exp(t))
            if not 0 < value <= self.origin.path.largest:
                return None
            W, b = x[:size].reshape(W_shape), x[size:]
            local = expand(W, b, self.origin.path.at(value))
            fixed = symmetry_directions(W, b)
            miss = self.mode @ (x - self.origin.x) - s
            if np.abs(local.gradient).max() <= _TOLERANCE * local.scale and abs(miss) < 1e-12:
                return x, t, float(projected_spectrum(local.hessian, fixed)[0][0]) / local.scale
            mixed = self.origin.path.derivative(W, b, value)[1] * value
            Q = np.linalg.qr(fixed, mode="complete")[0][:, fixed.shape[1] :]
            system = np.block(
                [[Q.T @ local.hessian @ Q, (Q.T @ mixed)[:, None]], [(self.mode @ Q)[None], np.zeros((1, 1))]]
            )
            step = np.linalg.lstsq(system, -np.r_[Q.T @ local.gradient, miss], rcond=1e-14)[0]
            x, t = x + Q @ step[:-1], t + float(np.clip(step[-1], -0.1, 0.1))
        return None


def locate_fold(last: BranchPoint, direction: float) -> BranchPoint | None:
    """
    Find the fold that ends a branch.

    Parameters
    ----------
    last : BranchPoint
        Last point that natural continuation reached.
    direction : float
        +1 if the parameter was growing, -1 if it was falling.

    Returns
    -------
    BranchPoint or None
        The fold, its parameter to about 1e-10; None if no fold is near.

    Notes
    -----
    At a fold the parameter turns back, while the solution moves on along the mode that becomes soft. With the
    distance along that mode as the unknown's coordinate, the stationary points form a smooth curve through the
    fold, and the smallest eigenvalue changes its sign there.
    """
    values, vectors = projected_spectrum(last.expansion.hessian, symmetry_directions(last.W, last.b))
    soft = vectors[:, int(np.abs(values).argmin())]
    arc = _Arc(last, soft * (np.sign(soft @ last.tangent * direction) or 1.0))
    start = last.x, float(np.log(last.value)), float(values[0]) / last.expansion.scale
    found, s, step = {0.0: start}, 0.0, _FIRST_ARC
    while s < _LAST_ARC:
        here = found[s]
        there = arc.solve(s + step, (here[0] + step * arc.mode, here[1]))
        if there is None:
            if step < _FIRST_ARC / 8:
                return None
            step /= 4
            continue
        s += step
        found[s] = there
        if there[2] * start[2] < 0:
            return _fold_between(arc, found, s - step, s)
        step *= 2
    return None


def _fold_between(
    arc: _Arc, found: dict[float, tuple[ndarray, float, float]], low: float, high: float
) -> BranchPoint | None:
    """Find the zero of the smallest curvature along the arc."""

    def curvature(s: float) -> float:
        if s not in found:
            near = min(found, key=lambda r: abs(r - s))
            x, t, _ = found[near]
            there = arc.solve(s, (x + (s - near) * arc.mode, t))
            if there is None:
                return float("nan")
            found[s] = there
        return found[s][2]

    s = brentq(curvature, min(k for k in found if abs(k - low) < 1e-12), high, xtol=_ACCURACY, rtol=1e-14)
    x, t, _ = found[min(found, key=lambda r: abs(r - s))]
    path, size = arc.origin.path, arc.origin.W.size
    W, b, value = x[:size].reshape(arc.origin.W.shape), x[size:], float(np.exp(t))
    local = expand(W, b, path.at(value))
    norm = float(np.abs(local.gradient).max()) / local.scale
    return BranchPoint(path, value, W, b, local, norm, True)


def breaks_symmetry(point: BranchPoint, mode: Float[ndarray, " d"]) -> bool:
    """
    Say whether a mode changes a solution's symmetry.

    Parameters
    ----------
    point : BranchPoint
        The solution.
    mode : ndarray, shape (d,)
        A direction in (W, b).

    Returns
    -------
    bool
        Whether some permutation of features that leaves couplings, biases and problem alone does not leave the
        mode's change of couplings and biases alone.
    """
    size = point.W.size
    V, c = mode[:size].reshape(point.W.shape), mode[size:]
    dG = point.W.T @ V + V.T @ point.W
    G = point.W.T @ point.W
    marks = np.stack([point.b, point.problem.density, point.problem.importance])
    for order in generators(G, marks):
        change = max(np.abs(dG[np.ix_(order, order)] - dG).max(), np.abs(c[order] - c).max())
        if change > _BROKEN * max(np.abs(dG).max(), np.abs(c).max()):
            return True
    return False
