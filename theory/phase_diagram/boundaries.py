"""Where the phase of the extra feature changes, to many digits, and whether it jumps or grows.

Between two neighbouring cells of different phase the transition is bisected: both cells' solutions are refined at the
midpoint, and the better one decides which side it belongs to. At the end both are refined at one and the same point.
If they stay different there, two branches coexist and cross: the transition is of first order, and the slope of the
optimal loss jumps by the difference of their partial derivatives (envelope theorem). If they merge, it is continuous.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.phase_diagram.edges import FINE, Edges, choose, solution_of
from theory.phase_diagram.grid import Grid
from theory.tools.command import progress
from theory.tools.parallel import Workers, spread

__all__ = ["Boundary", "find_boundaries"]


_STEPS = 10
_EQUAL_SLOPES = 1e-5
# Edges are independent of one another; they are handled in so many parts, whatever the number of workers.
_PARTS = 2
# A crossing may lie at the very end of a piece: so far beyond Newton's method may point.
_MARGIN = 1e-6


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
        Phase of every cell, as ``phase_of`` gives it.
    workers : int or str
        Processes to use, or the address of a Dask scheduler; the result does not depend on it.

    Returns
    -------
    Boundary
        One entry per transition; where a third solution is the best between two cells, they have two.
    """
    edges = Edges.between(grid, phase)
    rows = np.array_split(np.arange(len(edges.cell)), _PARTS)
    jobs = spread(_locate, [(edges.part(some),) for some in rows], workers)
    parts = list(progress(jobs, total=len(rows), label=f"{len(edges.cell)} transitions"))
    return _joined(parts)


def _joined(parts: Sequence[Boundary]) -> Boundary:
    return Boundary(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Boundary)})


def _locate(edges: "Edges") -> Boundary:
    """Close in on the transitions along every edge."""
    edges = edges.pieces() if len(edges.cell) else edges
    count = len(edges.cell)
    if not count:
        return _NONE
    low, high, now = np.zeros(count), np.ones(count), np.full(count, 0.5)
    first, second = edges.first, edges.second
    for _ in range(_STEPS):
        state = edges.compare(now, first, second)
        low = np.where(state.on_first_side, now, low)
        high = np.where(state.on_first_side, high, now)
        # While branches coexist both are followed; once they have merged, only one side learns.
        first = choose(state.coexist | state.on_first_side, solution_of(state.first), first)
        second = choose(state.coexist | ~state.on_first_side, solution_of(state.second), second)
        difference = state.slope_second - state.slope_first
        newton = now + (state.second.loss - state.first.loss) / -np.where(difference == 0, np.nan, difference)
        use_newton = state.coexist & (newton >= low - _MARGIN) & (newton <= high + _MARGIN)
        now = np.where(use_newton, newton.clip(0, 1), (low + high) / 2)
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
