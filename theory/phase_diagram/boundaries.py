"""Where the phase of the extra feature changes, to many digits, and whether it jumps or grows.

Between two neighbouring cells of different phase the transition is bisected: both cells' solutions are refined at the
midpoint, and the better one decides which side it belongs to. At the end both are refined at one and the same point.
If they stay different there, two branches coexist and cross: the transition is of first order, and the slope of the
optimal loss jumps by the difference of their partial derivatives (envelope theorem). If they merge, it is continuous.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.phase_diagram.cells import is_quick
from theory.phase_diagram.edges import FINE, Comparison, Edges, at_rows, choose, solution_of, with_rows
from theory.phase_diagram.grid import Grid
from theory.tools.command import progress
from theory.tools.parallel import Workers, spread

__all__ = ["Boundary", "find_boundaries"]


_STEPS = 10
_EQUAL_SLOPES = 1e-5
# Edges are independent of one another; where a grid takes long enough they are handled in so many parts, whatever the
# number of workers. Each has every so many-th edge: those side by side take about as long.
_PARTS = 2
# Where errors are integrated to an accuracy, parts have no more edges than this, which take some seconds each.
_DEAR_EDGES = 32
# A crossing may lie at the very end of a piece: so far beyond Newton's method may point.
_MARGIN = 1e-6
# Part of a piece by which a crossing, found by Newton's method, moves at most when it is not looked for any further.
_SETTLED = 1e-9


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
    before, after : ndarray of int, shape (k,)
        Phases on the cell's and on the neighbour's side of the transition.
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
    before: Int[ndarray, " k"]
    after: Int[ndarray, " k"]
    order: Int[ndarray, " k"]
    slope_jump: Float[ndarray, " k"]
    solution_jump: Float[ndarray, " k"]


_NONE = Boundary(*np.empty((2, 0)), *np.empty((5, 0), dtype=int), *np.empty((2, 0)))


def find_boundaries(grid: Grid, phase: Int[ndarray, "P R"], workers: Workers = 1) -> Boundary:
    """
    Locate every transition between neighbouring cells: changes of phase, and crossings of branches within one.

    Parameters
    ----------
    grid : Grid
        Global optimum in every cell.
    phase : ndarray of int, shape (P, R)
        Phase of every cell, as ``phase_of`` gives it, or ``UNDETERMINED``.
    workers : int or str
        Processes to use, or the address of a Dask scheduler; the result does not depend on it.

    Returns
    -------
    Boundary
        One entry per transition; where a third solution is the best between two cells, they have two.
    """
    edges = Edges.between(grid, phase)
    undivided = is_quick(grid.b.shape[-1], phase.size, grid.variant.values, grid.variant.terms)
    dear = _PARTS * math.ceil(len(edges.cell) / (_PARTS * _DEAR_EDGES)) if edges.integrated else 0
    count = 1 if undivided else max(_PARTS, dear)
    rows = [np.arange(k, len(edges.cell), count) for k in range(count)]
    jobs = spread(_locate, [(edges.part(some),) for some in rows], workers)
    parts = list(progress(jobs, label="edges between cells", sizes=[len(some) for some in rows]))
    return _joined(parts)


def _joined(parts: Sequence[Boundary]) -> Boundary:
    """All transitions, those of one edge side by side in the order in which they lie on it."""
    values = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Boundary)}
    order = np.lexsort((values["importance"], values["density"], values["neighbour"], values["cell"]))
    return Boundary(**{name: value[order] for name, value in values.items()})


def _next(state: Comparison, here: ndarray, low: ndarray, high: ndarray) -> tuple[ndarray, ndarray]:
    """Where to look next: where branches that coexist cross by Newton's method, else halfway; and which it is."""
    difference = state.slope_second - state.slope_first
    newton = here + (state.second.loss - state.first.loss) / -np.where(difference == 0, np.nan, difference)
    crossing = state.coexist & (newton >= low - _MARGIN) & (newton <= high + _MARGIN)
    return np.where(crossing, newton.clip(0, 1), (low + high) / 2), crossing


def _locate(edges: "Edges") -> Boundary:
    """Close in on the transitions along every edge."""
    edges = edges.pieces() if len(edges.cell) else edges
    count = len(edges.cell)
    if not count:
        return _NONE
    low, high, now = np.zeros(count), np.ones(count), np.full(count, 0.5)
    first, second, moving = edges.first, edges.second, np.arange(count)
    for _ in range(_STEPS):
        here = now[moving]
        one, two = at_rows(first, moving), at_rows(second, moving)
        state = edges.part(moving).compare(here, one, two)
        low[moving] = np.where(state.on_first_side, here, low[moving])
        high[moving] = np.where(state.on_first_side, high[moving], here)
        # While branches coexist both are followed; once they have merged, only one side learns.
        one = choose(state.coexist | state.on_first_side, solution_of(state.first), one)
        two = choose(state.coexist | ~state.on_first_side, solution_of(state.second), two)
        first, second = with_rows(first, moving, one), with_rows(second, moving, two)
        now[moving], crossing = _next(state, here, low[moving], high[moving])
        moving = moving[~crossing | (np.abs(now[moving] - here) > _SETTLED)]
        if not len(moving):
            break
    state = edges.compare(now, *edges.freed(now, first, second), tolerance=FINE)
    density, importance = edges.point(now)
    slope_jump = np.where(state.coexist, (state.slope_second - state.slope_first) / edges.length, 0.0)
    # Others are smooth after all, only steep; or two degenerate optima, of equal slope, where all features are dense.
    real = edges.changes_phase | (np.abs(slope_jump) > _EQUAL_SLOPES * state.first.loss)
    return Boundary(
        density=density[real],
        importance=importance[real],
        cell=edges.cell[real],
        neighbour=edges.neighbour[real],
        before=edges.phase[real],
        after=edges.next_phase[real],
        order=np.where(state.coexist, 1, 2)[real],
        slope_jump=slope_jump[real],
        solution_jump=state.distance[real],
    )
