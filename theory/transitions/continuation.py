"""Steps along a branch: predict along the tangent, correct by Newton's method, and never leap to another branch."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from theory.transitions.points import BranchPoint, correct
from theory.transitions.spinodals import breaks_symmetry, locate_fold, locate_spinodal

__all__ = ["End", "advance", "walk"]

End = Literal["reached", "spinodal", "fold", "symmetry breaking", "lost"]

# Steps are halved down to this (in the logarithm of the parameter) before the branch counts as ended.
_LEAST_STEP = 1e-5
# Steps between two values asked for: where so many are needed, Newton's method hardly converges.
_MOST_STEPS = 200
# A corrected solution may lie this far from the predicted one, in couplings and biases: absolutely, and as a part of
# the predicted change. Distinct branches of solutions with norms of order one are further apart.
_LEAP, _RELATIVE_LEAP = 2e-3, 0.25


def walk(
    first: BranchPoint, targets: Sequence[float], unstable: bool
) -> tuple[list[BranchPoint], End, tuple[float, ...]]:
    """
    Visit values of the parameter until the branch ends.

    Parameters
    ----------
    first : BranchPoint
        Where to start.
    targets : sequence of float
        Values to visit, monotonic.
    unstable : bool
        Whether to go on where stability is lost.

    Returns
    -------
    visited : list of BranchPoint
        The first point and those at the targets, and the bifurcation that ends the branch, if one does.
    end : str
        Why the walk ended.
    bifurcations : tuple of float
        Values at which stability changed.
    """
    visited, stride = [first], np.inf
    bifurcations: list[float] = []
    for target in targets:
        here, steps = visited[-1], 0
        while here.value != target:
            there = _step_towards(here, target, stride) if steps < _MOST_STEPS else None
            if there is None:
                fold = locate_fold(here, np.sign(target - here.value))
                if fold is None:
                    return visited, "lost", tuple(bifurcations)
                return [*visited, fold], "fold", tuple(bifurcations)
            stride, steps = 2 * abs(float(np.log(there.value / here.value))), steps + 1
            if here.stable != there.stable:
                turn = locate_spinodal(here, there)
                bifurcations.append(turn.value)
                if not unstable:
                    return [*visited, turn], _kind_of_end(turn), tuple(bifurcations)
            here = there
        visited.append(here)
    return visited, "reached", tuple(bifurcations)


def _kind_of_end(point: BranchPoint) -> End:
    """Name the loss of stability of a solution that goes on as a saddle."""
    if not point.details.kinked and breaks_symmetry(point, point.details.direction):
        return "symmetry breaking"
    return "spinodal"


def _step_towards(here: BranchPoint, target: float, longest: float = np.inf) -> BranchPoint | None:
    """Take the longest step towards a value, of those tried, that stays on the branch."""
    whole = float(np.log(target / here.value))
    share = 1.0 if longest > 0.9 * abs(whole) else longest / abs(whole)  # no sliver is left before the target
    while abs(share * whole) > _LEAST_STEP or share == 1.0:
        value = target if share == 1.0 else float(here.value * np.exp(share * whole))
        there = _stepped(here, value)
        if there is not None:
            return there
        share /= 2
    return None


def _stepped(here: BranchPoint, value: float) -> BranchPoint | None:
    """Predict and correct; None if Newton's method fails or leaps."""
    W, b = here.predicted(value)
    there = correct(here.path, value, W, b, here)
    moved = here.separation(W, b)
    # The tangent is blind near a fold, where it points along the branch at infinite slope.
    usual = there.converged and moved < 0.3
    return there if usual and there.separation(W, b) <= _LEAP + _RELATIVE_LEAP * moved else None


def advance(here: BranchPoint, target: float) -> BranchPoint | None:
    """
    Go to a value of the parameter, whatever becomes of stability.

    Parameters
    ----------
    here : BranchPoint
        Where to start.
    target : float
        Value to go to.

    Returns
    -------
    BranchPoint or None
        The point there; None if the branch ends before.
    """
    for _ in range(_MOST_STEPS):
        if here.value == target:
            return here
        there = _step_towards(here, target)
        if there is None:
            return None
        here = there
    return None
