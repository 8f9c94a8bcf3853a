"""Where two branches exchange the lead, how, and how long the loser survives.

At a crossing of first order two distinct solutions have the same loss, and the slope of the optimal loss jumps by the
difference of their partial derivatives (envelope theorem). A continuous transition has one solution grow out of the
other: the branches meet there, with the same slope. On either side of a crossing of first order the loser remains a
minimum until its spinodal: the metastable interval.

``python -m theory.transitions`` writes the table of crossings between uniform geometries
(theory.transitions.crossing_table).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import CubicHermiteSpline

from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.optimum.named_geometry import optimise
from theory.tools.html import facts
from theory.transitions.branches import Branch, follow_both_ways
from theory.transitions.continuation import End
from theory.transitions.paths import ProblemPath

__all__ = ["Crossing", "branches_of", "crossover", "crossover_between"]

# Solutions closer than this in couplings and biases are one branch, or two that meet.
_SAME = 1e-3
# Branches whose ranges end within this part of one another may meet there.
_MEETING = 1e-3
# Couplings at a bifurcation grow like the root of the distance: what is left of them at that distance.
_NEARLY_SAME = 0.1
_EQUAL_LOSS, _ROUNDING = 1e-8, 1e-11
# Relative accuracy with which branches locate a bifurcation (theory.transitions.spinodals), at a kink that of the
# curvature.
_BIFURCATION = 1e-7
_STEPS, _ACCURACY = 40, 1e-12
# Points at which a branch is recorded for finding crossings, and places at which a geometry's branches are looked for.
_POINTS, _PLACES = 60, 5


@dataclass(frozen=True)
class Crossing:
    """
    A crossing of two branches.

    Attributes
    ----------
    value : float
        Value of the parameter.
    error : float
        How far that may be off, from the accuracy of the losses and the last correction.
    loss : float
        Loss of both solutions there.
    slope_jump : float
        Jump of the slope of the better branch's loss as the parameter grows; never positive.
    order : {"first", "continuous"}
        Whether distinct solutions cross, or one grows out of the other.
    below, above : str
        Geometry that is better at smaller, and at larger values of the parameter.
    metastable : (float, float)
        From where the geometry ``above`` exists as a minimum, to where the geometry ``below`` does.
    ends : (str, str)
        Why they end there; "reached" means that the range looked at ends first.

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.3)
    >>> found = theory.crossover_between(problem, "digon", "dedicated", "relative importance", 0.05, 0.9)[0]
    >>> found.below, found.above, found.order, f"{found.value:.6f}"
    ('dedicated + unrepresented', 'digon', 'first', '0.204699')
    """

    value: float
    error: float
    loss: float
    slope_jump: float
    order: Literal["first", "continuous"]
    below: str
    above: str
    metastable: tuple[float, float]
    ends: tuple[End, End]

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        low, high = self.metastable
        known = {
            "crossing": f"{self.below} → {self.above}",
            "at": f"{self.value:.10g} ± {self.error:.1g}",
            "loss": f"{self.loss:.10g}",
            "order": f"{self.order}, slope jumps by {self.slope_jump:.4g}",
            "metastable": f"{low:.6g} … {high:.6g}",
        }
        return facts(known)


def crossover(first: Branch, second: Branch) -> tuple[Crossing, ...]:
    """
    Find all crossings of two branches.

    Parameters
    ----------
    first, second : Branch
        Branches over the same path of problems.

    Returns
    -------
    tuple of Crossing
        Ascending in the parameter. Crossings are bracketed between recorded points of the branches and refined
        until the parameter changes by less than 1e-12 of itself; two crossings between neighbouring points would
        be missed.

    Raises
    ------
    ValueError
        If the branches belong to different problems or parameters.

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.3)
    >>> pair, = theory.branches_of(problem, "digon", "relative importance", 0.05, 0.9)
    >>> alone, = theory.branches_of(problem, "dedicated", "relative importance", 0.05, 0.9)
    >>> [f"{crossing.value:.6f}" for crossing in theory.crossover(pair, alone)]
    ['0.204699']
    """
    if not _same_path(first.path, second.path):
        raise ValueError("the branches must belong to one problem, parameter and feature")
    low, high = max(first.lowest, second.lowest), min(first.highest, second.highest)
    crossings = _meetings(first, second)
    if low < high:
        grid = _grid(first, second, low, high)
        difference = _interpolated(second)(grid) - _interpolated(first)(grid)
        # Where branches have merged their losses differ by rounding only.
        difference[np.abs(difference) < _ROUNDING * _interpolated(first)(grid)] = 0.0
        for k in np.flatnonzero(difference[1:] * difference[:-1] < 0).tolist():
            # Interpolation may put the sign to the wrong side of a recorded point: one more on either side.
            found = _refined(first, second, float(grid[max(k - 1, 0)]), float(grid[min(k + 2, len(grid) - 1)]))
            if found is not None:
                crossings.append(found)
    return tuple(sorted(crossings, key=lambda crossing: crossing.value))


def _same_path(one: ProblemPath, two: ProblemPath) -> bool:
    a, b = one.problem, two.problem
    return (
        (one.parameter, one.index, a.m, a.features.sets) == (two.parameter, two.index, b.m, b.features.sets)
        and a.features.laws == b.features.laws
        and a.features.values == b.features.values
        and a.activation == b.activation
        and np.array_equal(a.features.density, b.features.density)
        and np.array_equal(a.importance, b.importance)
    )


def _interpolated(branch: Branch) -> CubicHermiteSpline:
    """Loss between the recorded points, from losses and slopes."""
    values = np.unique(branch.values)
    first = [int(np.flatnonzero(branch.values == value)[0]) for value in values]
    return CubicHermiteSpline(values, branch.loss[first], branch.slope[first])


def _grid(first: Branch, second: Branch, low: float, high: float) -> Float[ndarray, " k"]:
    values = np.concatenate([first.values, second.values, [low, high]])
    return np.unique(values[(values >= low) & (values <= high)])


def _refined(first: Branch, second: Branch, low: float, high: float) -> Crossing | None:
    """Newton's method with the envelope slopes, kept within its bracket."""
    rising = second.at(low).loss < first.at(low).loss
    if rising == (second.at(high).loss < first.at(high).loss):
        return None  # what looked like a crossing was the error of the interpolation
    now, move = (low * high) ** 0.5, np.inf
    for _ in range(_STEPS):
        one, two = first.at(now), second.at(now)
        gap, jump = two.loss - one.loss, two.slope - one.slope
        if one.separation(two.W, two.b) < _SAME:
            return None  # the branches run together: what differs is rounding
        newton = now - gap / jump if jump else np.inf
        move = abs(newton - now)
        if move <= _ACCURACY * now:
            break
        low, high = (now, high) if (gap < 0) == rising else (low, now)
        now = float(newton) if low < newton < high else float((low * high) ** 0.5)
    one, two = first.at(now), second.at(now)
    jump = two.slope - one.slope
    below, above = (first, second) if jump < 0 else (second, first)
    accuracy = sum(_loss_accuracy(point.problem, point.loss) for point in (one, two))
    return Crossing(
        value=now,
        error=move + accuracy / max(abs(jump), 1e-300),
        loss=one.loss,
        slope_jump=-abs(jump),
        order="first",
        below=below.geometry,
        above=above.geometry,
        metastable=(above.lowest, below.highest),
        ends=(above.why(above.lowest), below.why(below.highest)),
    )


def _loss_accuracy(problem: Problem, loss: float) -> float:
    """Rounding of an enumerated loss; nine digits of one computed with fixed nodes."""
    return loss * (1e-14 if problem.n <= 9 else 1e-9)


def _meetings(first: Branch, second: Branch) -> list[Crossing]:
    """Continuous transitions: where one branch loses its stability, the other is the same solution."""
    found: list[Crossing] = []
    for ending, other in ((first, second), (second, first)):
        for value in (ending.lowest, ending.highest):
            within = other.lowest * (1 - _MEETING) <= value <= other.highest * (1 + _MEETING)
            if ending.why(value) == "reached" or not within:
                continue
            met = _meeting(ending, other, value)
            if met is not None and not any(abs(met.value - known.value) < _MEETING * value for known in found):
                found.append(met)
    return found


def _meeting(ending: Branch, other: Branch, value: float) -> Crossing | None:
    """Compare two branches where one of them ends."""
    one, two = ending.at(value), other.at(float(np.clip(value, other.lowest, other.highest)))
    if one.separation(two.W, two.b) > _NEARLY_SAME:
        return None
    upper = value == ending.highest
    below, above = (ending, other) if upper else (other, ending)
    jump = (two.slope - one.slope) * (1 if upper else -1)
    return Crossing(
        value=value,
        error=abs(two.value - value) + _BIFURCATION * value,
        loss=one.loss,
        slope_jump=min(0.0, jump),
        order="continuous",
        below=below.geometry,
        above=above.geometry,
        metastable=(value, value),
        ends=(above.why(above.lowest), below.why(below.highest)),
    )


def branches_of(
    problem: Problem,
    geometry: str,
    parameter: str,
    low: float,
    high: float,
    index: int = 0,
    points: int = _POINTS,
) -> list[Branch]:
    """
    Find the branches of minima that a geometry has.

    Parameters
    ----------
    problem : Problem
        A single problem.
    geometry : str
        A tegum product.
    parameter : str
        What changes, as for ``follow``.
    low, high : float
        Range of the parameter.
    index : int
        The feature whose density or importance changes.
    points : int
        Points per branch.

    Returns
    -------
    list of Branch
        Distinct branches through the geometry's optima at five places in the range, over as much of the range as
        they remain minima; none if the geometry never is one. There may be several: where one feature differs, it
        can sit at different vertices.

    Raises
    ------
    ValueError
        If the geometry is unknown or does not fit, or the range lies outside the parameter's domain.

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.1)
    >>> found = theory.branches_of(problem, "digon", "density", 0.05, 0.2, points=4)
    >>> [(branch.geometry, branch.beginning, branch.end) for branch in found]
    [('digon', 'reached', 'reached')]
    """
    require_problem(problem)
    path = ProblemPath(problem, parameter, index)
    for value in (low, high):
        path.check(value)
    found: list[Branch] = []
    for value in np.geomspace(low, high, _PLACES):
        place = float(np.clip(value, low, high))
        optimum = optimise(path.at(place), geometry)
        if not optimum.converged or optimum.stability == "saddle":
            continue
        known = any(
            branch.lowest <= place <= branch.highest
            and abs(branch.at(place).loss - optimum.loss) < _EQUAL_LOSS * optimum.loss  # equal up to a symmetry
            for branch in found
        )
        if not known:
            found.append(follow_both_ways(problem, optimum, parameter, low, high, place, index, points))
    return found


def crossover_between(
    problem: Problem,
    first: str,
    second: str,
    parameter: str,
    low: float,
    high: float,
    index: int = 0,
) -> tuple[Crossing, ...]:
    """
    Find all crossings between two geometries.

    Parameters
    ----------
    problem : Problem
        A single problem.
    first, second : str
        Tegum products.
    parameter : str
        What changes, as for ``follow``.
    low, high : float
        Range of the parameter.
    index : int
        The feature whose density or importance changes.

    Returns
    -------
    tuple of Crossing
        Crossings of every branch of minima of the one with every one of the other, ascending.

    Raises
    ------
    ValueError
        If a geometry is unknown or does not fit, or the range lies outside the parameter's domain.

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.3)
    >>> found = theory.crossover_between(problem, "digon", "dedicated", "relative importance", 0.05, 0.9)[0]
    >>> f"{found.value:.6f}", found.order
    ('0.204699', 'first')
    """
    branches = [branches_of(problem, name, parameter, low, high, index) for name in (first, second)]
    crossings = [crossing for a in branches[0] for b in branches[1] for crossing in crossover(a, b)]
    return tuple(sorted(crossings, key=lambda crossing: crossing.value))
