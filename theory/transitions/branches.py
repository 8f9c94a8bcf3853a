"""Branches of solutions: one stationary point of the loss, followed as a parameter of the problem changes.

``follow`` goes step by step: the tangent predicts, Newton's method on the gradient corrects, and a step is halved when
the correction leaps further than a prediction errs, lest another branch be taken for this one. On the way it watches
the smallest curvature. A minimum ends at its spinodal, where that curvature vanishes (theory.transitions.spinodals):

- "fold": it meets a saddle and both vanish; beyond there is no such solution;
- "symmetry breaking": the solution goes on as a saddle, and falls to solutions with less symmetry;
- "spinodal": the solution goes on as a saddle without having lost a symmetry, as where an unrepresented feature begins
  to overlap with a dedicated one (to one side only: the loss has a kink there).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.geometry.recognition import recognise
from theory.model.problem import Problem
from theory.transitions.continuation import End, advance, walk
from theory.transitions.paths import ProblemPath
from theory.transitions.points import BranchPoint, correct

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Branch", "Solution", "follow", "follow_both_ways"]

# Recorded points from which a value between them is approached, the nearest first.
_NEIGHBOURS = 4
# What a branch knows at every value of the parameter.
_CURVES = ("loss", "slope", "smallest_eigenvalue")
_AT_EVERY_POINT = ("values", "W", "b", *_CURVES)


@runtime_checkable
class Solution(Protocol):
    """Anything with an embedding and biases: an optimum, a recorded model, a point of a branch."""

    @property
    def W(self) -> ndarray:
        """Embedding, shape (m, n)."""

    @property
    def b(self) -> ndarray:
        """Biases, shape (n,)."""


@dataclass(frozen=True, eq=False)
class Branch:
    """
    A stationary point along a path of problems.

    Attributes
    ----------
    path : ProblemPath
        Problem, parameter and feature that it belongs to.
    values : ndarray, shape (k,)
        Values of the parameter, in the order in which they were visited.
    W : ndarray, shape (k, m, n)
        Embeddings.
    b : ndarray, shape (k, n)
        Biases.
    loss : ndarray, shape (k,)
        Population losses.
    slope : ndarray, shape (k,)
        dL / d parameter at fixed (W, b), which is the slope of the loss along the branch (envelope theorem).
    smallest_eigenvalue : ndarray, shape (k,)
        Smallest curvature, rotations and dead directions projected out; at a kink the smaller of both sides.
    beginning, end : str
        Why the branch stops at its first and last value: "reached" (asked for no more), "spinodal", "fold",
        "symmetry breaking", or "lost" (Newton's method failed, no bifurcation found).
    bifurcations : tuple of float
        Where it lost or gained stability on the way, if unstable parts were followed.
    geometry : str
        What it looks like where it was started.

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.1)
    >>> branch = theory.follow(problem, theory.optimise(problem, "digon"), stop=0.2, points=3)
    >>> branch.geometry, branch.end, branch.values.round(3).tolist()
    ('digon', 'reached', [0.1, 0.141, 0.2])
    """

    path: ProblemPath
    values: Float[ndarray, " k"]
    W: Float[ndarray, "k m n"]
    b: Float[ndarray, "k n"]
    loss: Float[ndarray, " k"]
    slope: Float[ndarray, " k"]
    smallest_eigenvalue: Float[ndarray, " k"]
    beginning: End
    end: End
    bifurcations: tuple[float, ...]
    geometry: str

    @property
    def lowest(self) -> float:
        """Smallest value of the parameter."""
        return float(self.values.min())

    @property
    def highest(self) -> float:
        """Largest value of the parameter."""
        return float(self.values.max())

    def why(self, value: float) -> End:
        """
        Say why the branch ends on the side of a value.

        Parameters
        ----------
        value : float
            ``lowest`` or ``highest``.

        Returns
        -------
        str
            The reason.
        """
        return self.beginning if abs(value - self.values[0]) < abs(value - self.values[-1]) else self.end

    def at(self, value: float) -> BranchPoint:
        """
        Compute the solution at any value that the branch covers.

        Parameters
        ----------
        value : float
            Value of the parameter, within ``lowest`` ... ``highest``.

        Returns
        -------
        BranchPoint
            Converged to machine precision (seven digits above nine coupled features).

        Raises
        ------
        ValueError
            If the value lies outside.
        ArithmeticError
            If Newton's method fails on the way, as may happen next to a fold.
        """
        if not self.lowest * (1 - 1e-12) <= value <= self.highest * (1 + 1e-12):
            raise ValueError(f"the branch covers {self.lowest:g} ... {self.highest:g}, got {value:g}")
        for near in np.argsort(np.abs(np.log(self.values / value)))[:_NEIGHBOURS].tolist():
            start = float(self.values[near])
            if start != value and self._singular(near):
                continue  # from a fold two solutions lead away
            point = correct(self.path, start, self.W[near], self.b[near])
            reached = advance(point, value)
            if reached is not None:
                return reached
        raise ArithmeticError(f"Newton's method lost the branch on the way to {self.path.parameter} = {value:g}")

    def _singular(self, k: int) -> bool:
        """Whether a recorded point is a bifurcation at an end of the branch."""
        ends = {0: self.beginning, len(self.values) - 1: self.end}
        return ends.get(k, "reached") != "reached"

    def draw(self, ax: "Axes | None" = None) -> "Figure":
        """
        Draw the loss along the branch.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a figure of its own by default.

        Returns
        -------
        matplotlib.figure.Figure
            The picture; a notebook shows it.
        """
        from theory.transitions.branch_picture import draw_branch

        return draw_branch(self, ax)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from theory.transitions.branch_picture import branch_html

        return branch_html(self)

    def dataset(self) -> "xr.Dataset":
        """
        Put the branch into a labelled dataset.

        Returns
        -------
        xarray.Dataset
            Over the parameter's value; the ends are attributes.
        """
        import xarray as xr

        name = self.path.parameter.replace(" ", "_")
        along = {curve: (name, getattr(self, curve)) for curve in _CURVES}
        return xr.Dataset(
            {**along, "W": ((name, "dimension", "feature"), self.W), "b": ((name, "feature"), self.b)},
            coords={name: self.values},
            attrs={
                "geometry": self.geometry,
                "beginning": self.beginning,
                "end": self.end,
                "feature": self.path.index,
                "bifurcations": list(self.bifurcations),
            },
        )


def follow(
    problem: Problem,
    solution: Solution,
    parameter: str = "density",
    start: float | None = None,
    stop: float | None = None,
    index: int = 0,
    points: int = 100,
    values: Sequence[float] | None = None,
    unstable: bool = False,
) -> Branch:
    """
    Follow a solution as a parameter of its problem changes.

    Parameters
    ----------
    problem : Problem
        A single problem.
    solution : Solution
        Anything with W (m, n) and b (n,) near a stationary point of the problem at the start.
    parameter : {"density", "relative density", "relative importance"}
        What changes: all densities (named by the largest), or the factor by which one feature's density or
        importance is multiplied.
    start : float, optional
        First value; by default the problem's own (1 for relative parameters).
    stop : float
        Last value, if the branch gets that far.
    index : int
        The feature whose density or importance changes.
    points : int
        Values to visit, evenly spaced in the logarithm; steps between them are halved where needed.
    values : sequence of float, optional
        Values to visit, instead of start, stop and points; monotonic.
    unstable : bool
        Whether to go on where the solution becomes a saddle.

    Returns
    -------
    Branch
        The solutions, and why they end.

    Raises
    ------
    ValueError
        If a value lies outside the parameter's domain, or the solution is not near a stationary point, or is a
        saddle while ``unstable`` is False.

    Examples
    --------
    >>> from theory import Problem, optimise
    >>> branch = follow(Problem(n=2, m=1, density=0.1), optimise(Problem(n=2, m=1, density=0.1), "digon"), stop=0.2)
    >>> branch.geometry, branch.end
    ('digon', 'reached')
    """
    path = ProblemPath(problem, parameter, index)
    targets = _targets(path, start, stop, points, values)
    first = correct(path, targets[0], np.asarray(solution.W, float), np.asarray(solution.b, float))
    if not first.converged:
        raise ValueError(
            f"the solution is not near a stationary point at {parameter} = {targets[0]:g}: Newton's method leaves a "
            f"gradient of {first.gradient_norm:.1e} of the zero model's loss"
        )
    if not (unstable or first.stable):
        raise ValueError(
            f"the solution is a saddle at {parameter} = {targets[0]:g} (smallest curvature "
            f"{first.curvature:.3g}); pass unstable=True to follow it"
        )
    visited, end, bifurcations = walk(first, targets[1:], unstable)
    return _assemble(path, visited, "reached", end, bifurcations)


def follow_both_ways(
    problem: Problem,
    solution: Solution,
    parameter: str,
    low: float,
    high: float,
    at: float,
    index: int = 0,
    points: int = 100,
    unstable: bool = False,
) -> Branch:
    """
    Follow a solution downward and upward.

    Parameters
    ----------
    problem : Problem
        A single problem.
    solution : Solution
        Near a stationary point where the parameter is ``at``.
    parameter : str
        As for ``follow``.
    low, high : float
        Range of the parameter.
    at : float
        Where the solution is, within the range.
    index, points, unstable : optional
        As for ``follow``; points are divided between both ways.

    Returns
    -------
    Branch
        With ascending values.

    Raises
    ------
    ValueError
        As for ``follow``.

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.1)
    >>> pair = theory.optimise(problem, "digon")
    >>> branch = theory.follow_both_ways(problem, pair, "density", 0.05, 0.2, at=0.1, points=4)
    >>> branch.lowest, branch.highest
    (0.05, 0.2)
    """
    if not low <= at <= high:
        raise ValueError(f"the start must lie within {low:g} ... {high:g}, got {at:g}")
    share = np.log(at / low) / np.log(high / low)
    below = 2 + int(points * share)
    ways = [
        follow(problem, solution, parameter, at, end, index, count, unstable=unstable)
        for end, count in ((low, below), (high, 2 + points - below + 2))
        if end != at
    ]
    if len(ways) == 1:
        only = ways[0]
        return only if only.values[-1] >= only.values[0] else _reversed(only)
    down, up = _reversed(ways[0]), ways[1]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(down, name), getattr(up, name)[1:]]) for name in _AT_EVERY_POINT
    }
    return replace(up, beginning=down.beginning, bifurcations=down.bifurcations + up.bifurcations, **joined)


def _reversed(branch: Branch) -> Branch:
    backwards = {name: getattr(branch, name)[::-1] for name in (*_AT_EVERY_POINT, "bifurcations")}
    return replace(branch, beginning=branch.end, end=branch.beginning, **backwards)


def _targets(
    path: ProblemPath, start: float | None, stop: float | None, points: int, values: Sequence[float] | None
) -> list[float]:
    """Values to visit, checked."""
    if values is not None:
        targets = [float(v) for v in values]
        steps = np.diff(targets)
        if len(targets) < 2 or not ((steps > 0).all() or (steps < 0).all()):
            raise ValueError("values must be at least two, and rise or fall throughout")
    else:
        if stop is None:
            raise ValueError("give stop, the last value of the parameter, or the values to visit")
        if points < 2:
            raise ValueError(f"points must be at least 2, got {points}")
        first = path.current if start is None else float(start)
        path.check(first)
        path.check(float(stop))
        targets = np.geomspace(first, float(stop), points).tolist()
        targets[-1] = float(stop)
    for value in targets:
        path.check(value)
    return targets


def _assemble(
    path: ProblemPath, visited: list[BranchPoint], beginning: End, end: End, bifurcations: tuple[float, ...]
) -> Branch:
    return Branch(
        path=path,
        values=np.array([p.value for p in visited]),
        W=np.array([p.W for p in visited]),
        b=np.array([p.b for p in visited]),
        loss=np.array([p.loss for p in visited]),
        slope=np.array([p.slope for p in visited]),
        smallest_eigenvalue=np.array([p.curvature for p in visited]),
        beginning=beginning,
        end=end,
        bifurcations=bifurcations,
        geometry=recognise(visited[0].W).name,
    )
