"""Where the phase of the extra feature changes, to many digits, and whether it jumps or grows.

Between two neighbouring cells of different phase the transition is bisected: both cells' solutions are refined at the
midpoint, and the better one decides which side it belongs to. At the end both are refined at one and the same point.
If they stay different there, two branches coexist and cross: the transition is of first order, and the slope of the
optimal loss jumps by the difference of their partial derivatives (envelope theorem). If they merge, it is continuous.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from joblib import Parallel, delayed
from numpy import ndarray

from theory.command import progress
from theory.loss import output_errors
from theory.metrics import feature_norms, superposition
from theory.phase_cells import extra_feature_problem, signature
from theory.phase_grid import Grid
from theory.search import LocalMinima, refine

__all__ = ["PHASES", "Boundary", "classify", "find_boundaries"]

PHASES = ("not represented", "dedicated", "superposition")

# A norm, or an overlap with the other features' embeddings, below this counts as none. Where the optimum is exactly
# zero the search leaves about 1e-6; where a feature fades in continuously this sets where it counts as there.
_NEGLIGIBLE = 0.01
# Neighbouring cells of one phase whose solutions differ by more than this are suspected of a transition.
_SUSPICIOUS = 0.1
_STEPS = 10
_EQUAL_SLOPES = 1e-5
# Edges are independent of one another; they are handled in so many parts, whatever the number of workers.
_PARTS = 2
# Branches that coexist differ by far more than this, and those that merge by far less.
_COEXISTING = 0.01
_TOLERANCE, _ITERATIONS = 1e-10, 300
_KICK = 1e-3
# Part of an edge over which the loss of a fixed solution, smooth in density and importance, is differenced.
_DIFFERENCE = 1e-4


@dataclass(frozen=True, eq=False)
class Boundary:
    """
    Transitions found between neighbouring cells, one entry each.

    Attributes
    ----------
    density, importance : ndarray, shape (k,)
        Where the transition is.
    cell, neighbour : ndarray of int, shape (k,)
        Flat numbers of the two cells; the neighbour has the larger density or importance.
    order : ndarray of int, shape (k,)
        1 where branches cross, 2 where the optimum changes continuously.
    slope_jump : ndarray, shape (k,)
        Jump of dL*/d log(parameter) across the transition, in the direction of growing density or importance.
    solution_jump : ndarray, shape (k,)
        Largest difference of squared norms, overlaps or biases between the two solutions.
    """

    density: Float[ndarray, " k"]
    importance: Float[ndarray, " k"]
    cell: Int[ndarray, " k"]
    neighbour: Int[ndarray, " k"]
    order: Int[ndarray, " k"]
    slope_jump: Float[ndarray, " k"]
    solution_jump: Float[ndarray, " k"]


def classify(W: Float[ndarray, "*batch m n"]) -> Int[ndarray, "*batch"]:
    """
    Say what became of the last feature.

    Parameters
    ----------
    W : ndarray, shape (*batch, m, n)
        Embeddings.

    Returns
    -------
    ndarray of int, shape (*batch,)
        Index into ``PHASES``: 0 not represented, 1 dedicated (orthogonal to all others), 2 in superposition.

    Examples
    --------
    >>> int(classify(np.array([[1.0, -1.0]])))
    2
    """
    norm = feature_norms(W)[..., -1]
    overlap = np.sqrt(superposition(W)[..., -1])
    return np.where(norm < _NEGLIGIBLE, 0, np.where(overlap < _NEGLIGIBLE, 1, 2))


def find_boundaries(grid: Grid, phase: Int[ndarray, "P R"], workers: int = 1) -> Boundary:
    """
    Locate every transition between neighbouring cells: changes of phase, and crossings of branches within one.

    Parameters
    ----------
    grid : Grid
        Global optimum in every cell.
    phase : ndarray of int, shape (P, R)
        Phase of every cell, as ``classify`` gives it.
    workers : int
        Processes to use; the result does not depend on it.

    Returns
    -------
    Boundary
        One entry per pair of neighbouring cells with a transition between them.
    """
    edges = _Edges.between(grid, phase)
    rows = np.array_split(np.arange(len(edges.cell)), _PARTS)
    jobs = Parallel(n_jobs=workers, return_as="generator")(delayed(_locate)(edges.part(some)) for some in rows)
    parts = list(progress(jobs, total=len(rows), label=f"{len(edges.cell)} transitions"))
    return Boundary(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Boundary)})


def _locate(edges: "_Edges") -> Boundary:
    """Close in on the transition along every edge."""
    count = len(edges.cell)
    low, high, now = np.zeros(count), np.ones(count), np.full(count, 0.5)
    first, second = edges.first, edges.second
    for _ in range(_STEPS):
        state = edges.compare(now, first, second)
        low = np.where(state.on_first_side, now, low)
        high = np.where(state.on_first_side, high, now)
        # While branches coexist both are followed; once they have merged, only one side learns.
        first = _choose(state.coexist | state.on_first_side, _solution(state.first), first)
        second = _choose(state.coexist | ~state.on_first_side, _solution(state.second), second)
        difference = state.slope_second - state.slope_first
        newton = now + (state.second.loss - state.first.loss) / -np.where(difference == 0, np.nan, difference)
        use_newton = state.coexist & (newton >= low) & (newton <= high)
        now = np.where(use_newton, newton, (low + high) / 2)
    state = edges.compare(now, *edges.freed(now, first, second))
    density, importance = edges.point(now)
    slope_jump = np.where(state.coexist, (state.slope_second - state.slope_first) / edges.length, 0.0)
    # Others are smooth after all, only steep; or two degenerate optima, of equal slope, where all features are dense.
    real = edges.changes_phase | (np.abs(slope_jump) > _EQUAL_SLOPES * state.first.loss)
    return Boundary(
        density=density[real],
        importance=importance[real],
        cell=edges.cell[real],
        neighbour=edges.neighbour[real],
        order=np.where(state.coexist, 1, 2)[real],
        slope_jump=slope_jump[real],
        solution_jump=state.distance[real],
    )


# W, b, and what is known of the inverse Hessian there.
Solution = tuple[Float[ndarray, "k m n"], Float[ndarray, "k n"], Float[ndarray, "k d d"]]


def _solution(found: LocalMinima) -> Solution:
    return found.W, found.b, found.inverse


def _choose(condition: ndarray, yes: Solution, no: Solution) -> Solution:
    W, b, inverse = (np.where(condition.reshape(-1, *[1] * (x.ndim - 1)), x, y) for x, y in zip(yes, no, strict=True))
    return W, b, inverse


def _nearer(found: LocalMinima, first: Solution, second: Solution) -> ndarray:
    """Whether minima look more like the first solutions than like the second."""
    mark = signature(found.W, found.b)
    return np.asarray(np.abs(mark - signature(*first[:2])).sum(-1) < np.abs(mark - signature(*second[:2])).sum(-1))


@dataclass(frozen=True, eq=False)
class _Comparison:
    """Two solutions refined at the same point of every edge."""

    first: LocalMinima
    second: LocalMinima
    slope_first: ndarray  # derivative of the loss along the edge, (W, b) held fixed
    slope_second: ndarray
    distance: ndarray
    coexist: ndarray  # the solutions differ
    on_first_side: ndarray


@dataclass(frozen=True, eq=False)
class _Edges:
    """Pairs of neighbouring cells, joined by straight lines in log density and log importance."""

    cell: ndarray
    neighbour: ndarray
    start: ndarray  # (k, 2): log density, log importance
    end: ndarray
    phase: ndarray  # phase of the cell
    changes_phase: ndarray  # the neighbour's phase is another
    first: Solution  # the grid's solutions in both cells
    second: Solution

    @classmethod
    def between(cls, grid: Grid, phase: ndarray) -> "_Edges":
        number = np.arange(phase.size).reshape(phase.shape)
        pairs = [(number[:-1].ravel(), number[1:].ravel()), (number[:, :-1].ravel(), number[:, 1:].ravel())]
        cell, neighbour = (np.concatenate(part) for part in zip(*pairs, strict=True))
        label = phase.ravel()
        marks = signature(grid.W, grid.b).reshape(phase.size, -1)
        changes_phase = label[cell] != label[neighbour]
        keep = changes_phase | (np.abs(marks[cell] - marks[neighbour]).max(-1) > _SUSPICIOUS)
        cell, neighbour = cell[keep], neighbour[keep]
        logs = np.stack(
            [
                np.repeat(np.log(grid.density), phase.shape[1]),
                np.tile(np.log(grid.importance), phase.shape[0]),
            ],
            1,
        )
        W, b, inverse = (x.reshape(phase.size, *x.shape[2:]) for x in (grid.W, grid.b, grid.inverse))
        return cls(
            cell=cell,
            neighbour=neighbour,
            start=logs[cell],
            end=logs[neighbour],
            phase=label[cell],
            changes_phase=changes_phase[keep],
            first=(W[cell], b[cell], inverse[cell]),
            second=(W[neighbour], b[neighbour], inverse[neighbour]),
        )

    def part(self, rows: Int[ndarray, " some"]) -> "_Edges":
        """Some of the edges."""
        values: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            values[f.name] = tuple(v[rows] for v in value) if isinstance(value, tuple) else value[rows]
        return _Edges(**values)

    @property
    def length(self) -> ndarray:
        """Length of every edge in the logarithm of the parameter that varies along it."""
        return np.abs(self.end - self.start).sum(1)

    def point(self, fraction: ndarray) -> tuple[ndarray, ndarray]:
        """Density and importance at a fraction of the way."""
        logs = self.start + fraction[:, None] * (self.end - self.start)
        return np.minimum(np.exp(logs[:, 0]), 1.0), np.exp(logs[:, 1])

    def compare(self, fraction: ndarray, first: Solution, second: Solution) -> _Comparison:
        """Refine both solutions at the same point, and say on which side of the transition it lies."""
        one, two = self._refine(fraction, first, second)
        distance = np.abs(signature(one.W, one.b) - signature(two.W, two.b)).max(-1, initial=0.0)
        coexist = distance > _COEXISTING
        merged_side = np.where(self.changes_phase, classify(one.W) == self.phase, _nearer(one, self.first, self.second))
        return _Comparison(
            first=one,
            second=two,
            slope_first=self._slope(fraction, one),
            slope_second=self._slope(fraction, two),
            distance=distance,
            coexist=coexist,
            on_first_side=np.where(coexist, one.loss < two.loss, merged_side),
        )

    def _refine(self, fraction: ndarray, *solutions: Solution) -> list[LocalMinima]:
        """Minima near several solutions per edge, all at the same point of it."""
        W, b, inverse = (np.concatenate(part) for part in zip(*solutions, strict=True))
        m, n = W.shape[1:]
        problem = extra_feature_problem(n, m, *(np.tile(x, len(solutions)) for x in self.point(fraction)))
        found = refine(problem, W, b, _TOLERANCE, _ITERATIONS, inverse)
        return [found.at(rows) for rows in np.arange(len(W)).reshape(len(solutions), -1)]

    def freed(self, fraction: ndarray, first: Solution, second: Solution) -> tuple[Solution, Solution]:
        """
        Local minima near solutions that may have become saddle points.

        Descent may be possible to one side only (the ReLU makes the loss change its curvature at zero overlap),
        so that a kick is tried both ways.
        """
        kick = _KICK * np.random.default_rng(0).standard_normal(first[0].shape[1:])
        kicked = [(W + sign * kick, b, inverse) for W, b, inverse in (first, second) for sign in (1, -1)]
        found = self._refine(fraction, *kicked)
        one, two = (
            _choose(there.loss < back.loss, _solution(there), _solution(back)) for there, back in (found[:2], found[2:])
        )
        return one, two

    def _slope(self, fraction: ndarray, solution: LocalMinima) -> ndarray:
        """Envelope theorem: the optimal loss moves like the loss of the solution held fixed."""
        down, up = np.maximum(fraction - _DIFFERENCE, 0), np.minimum(fraction + _DIFFERENCE, 1)
        n = solution.b.shape[1]
        G = solution.W.swapaxes(-1, -2) @ solution.W
        losses = []
        for place in (down, up):
            problem = extra_feature_problem(n, solution.W.shape[1], *self.point(place))
            losses.append((problem.importance * output_errors(G, solution.b, problem).value).sum(-1))
        return (losses[1] - losses[0]) / (up - down)
