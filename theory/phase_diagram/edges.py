"""Edges between neighbouring cells of a phase diagram: solutions compared at points along them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from theory.geometry.phases import UNDETERMINED, phase_of
from theory.loss.objective import losses
from theory.model.extra_feature import extra_feature_problem
from theory.model.problem import Problem
from theory.model.variant import STANDARD, Variant
from theory.optimum.local_minima import LocalMinima, few_nodes, refine, row_errors, search_nodes
from theory.phase_diagram.grid import Grid
from theory.phase_diagram.solutions import signature

__all__ = ["FINE", "Comparison", "Edges", "Solution", "at_rows", "choose", "solution_of", "with_rows"]

# Neighbouring cells of one phase whose solutions differ by more than this are suspected of a transition.
_SUSPICIOUS = 0.1
# Branches that coexist differ by far more than this, and those that merge by far less.
_COEXISTING = 0.01
# Losses of minima are known to the square of their gradients; only at the end the solutions themselves matter.
_ROUGH, FINE, _ITERATIONS = 1e-8, 1e-10, 100
# Frees a solution that has become a saddle point, and is too small to leave the valley of a minimum.
_KICK = 1e-3
# Edges are cut into so many pieces, each of which may have a transition.
_PIECES = 3
# Part of an edge over which the loss of a fixed solution, smooth in density and importance, is differenced.
_DIFFERENCE = 1e-4

# W, b, and what is known of the inverse Hessian there.
Solution = tuple[Float[ndarray, "k m n"], Float[ndarray, "k n"], Float[ndarray, "k d d"]]
Some = tuple[Float[ndarray, "some m n"], Float[ndarray, "some n"], Float[ndarray, "some d d"]]


def solution_of(found: LocalMinima) -> Solution:
    """
    Give what a search goes on from.

    Parameters
    ----------
    found : LocalMinima
        Where k searches ended.

    Returns
    -------
    tuple of ndarray
        W (k, m, n), b (k, n) and the approximate inverse Hessians (k, d, d).
    """
    return found.W, found.b, found.inverse


def choose(condition: ndarray, yes: Solution, no: Solution) -> Solution:
    """
    Choose between two solutions, edge by edge.

    Parameters
    ----------
    condition : ndarray of bool, shape (k,)
        Whether to take the first.
    yes, no : tuple of ndarray
        Solutions of k edges, as ``solution_of`` gives them.

    Returns
    -------
    tuple of ndarray
        The chosen solutions.
    """
    W, b, inverse = (np.where(condition.reshape(-1, *[1] * (x.ndim - 1)), x, y) for x, y in zip(yes, no, strict=True))
    return W, b, inverse


def at_rows(solution: Solution, rows: Int[ndarray, " some"]) -> Some:
    """
    Give the solutions of some edges.

    Parameters
    ----------
    solution : tuple of ndarray
        Solutions of k edges.
    rows : ndarray of int
        Which.

    Returns
    -------
    tuple of ndarray
        Theirs.
    """
    W, b, inverse = solution
    return W[rows], b[rows], inverse[rows]


def with_rows(solution: Solution, rows: Int[ndarray, " some"], by: Some) -> Solution:
    """
    Put other solutions in the place of those of some edges.

    Parameters
    ----------
    solution : tuple of ndarray
        Solutions of k edges.
    rows : ndarray of int
        Which to replace.
    by : tuple of ndarray
        What by.

    Returns
    -------
    tuple of ndarray
        Solutions of all k edges.
    """
    W, b, inverse = (part.copy() for part in solution)
    W[rows], b[rows], inverse[rows] = by
    return W, b, inverse


def _searched_losses(problem: Problem, W: Float[ndarray, "k m n"], b: Float[ndarray, "k n"]) -> Float[ndarray, " k"]:
    """
    Losses as searches compare them: with the same nodes at every point where errors are integrated.

    What is cut off then changes smoothly, so that differences are known far better than losses.
    """
    if not problem.terms.plain or not (search_nodes(problem) or few_nodes(problem)):
        return losses(problem, W, b)
    values = row_errors(problem)(W.swapaxes(-1, -2) @ W, b, np.arange(len(b))).value
    return np.asarray((problem.importance * values).sum(-1))


def _nearer(found: LocalMinima, first: Solution, second: Solution) -> ndarray:
    """Whether minima look more like the first solutions than like the second."""
    mark = signature(found.W, found.b)
    return np.asarray(np.abs(mark - signature(*first[:2])).sum(-1) < np.abs(mark - signature(*second[:2])).sum(-1))


@dataclass(frozen=True, eq=False)
class Comparison:
    """
    Two solutions refined at the same point of each of k edges.

    Attributes
    ----------
    first, second : LocalMinima
        The minima, one per edge.
    slope_first, slope_second : ndarray, shape (k,)
        Derivative of their losses in the fraction of the way along the edge, (W, b) held fixed.
    distance : ndarray, shape (k,)
        Largest difference of their signatures.
    coexist : ndarray of bool, shape (k,)
        Whether they differ by more than merging solutions do.
    on_first_side : ndarray of bool, shape (k,)
        Whether the point belongs to the first solution's side of the transition.
    """

    first: LocalMinima
    second: LocalMinima
    slope_first: Float[ndarray, " k"]
    slope_second: Float[ndarray, " k"]
    distance: Float[ndarray, " k"]
    coexist: Bool[ndarray, " k"]
    on_first_side: Bool[ndarray, " k"]


@dataclass(frozen=True, eq=False)
class Edges:
    """
    Pairs of neighbouring cells, joined by straight lines in log density and log importance; or pieces of such lines.

    Attributes
    ----------
    cell, neighbour : ndarray of int, shape (k,)
        Flat numbers of the cells; the neighbour has the larger density or importance.
    start, end : ndarray, shape (k, 2)
        Log density and log importance of both ends.
    phase, next_phase : ndarray of int, shape (k,)
        Phases at both ends.
    first, second : tuple of ndarray
        The best solutions known at both ends.
    variant : Variant
        What is asked besides sizes, density and importance.
    """

    cell: Int[ndarray, " k"]
    neighbour: Int[ndarray, " k"]
    start: Float[ndarray, "k 2"]
    end: Float[ndarray, "k 2"]
    phase: Int[ndarray, " k"]
    next_phase: Int[ndarray, " k"]
    first: Solution
    second: Solution
    variant: Variant = STANDARD

    @classmethod
    def between(cls, grid: Grid, phase: Int[ndarray, "P R"]) -> "Edges":
        """Build the edges of a grid on which a transition is suspected; where nothing is determined, there is none."""
        number = np.arange(phase.size).reshape(phase.shape)
        pairs = [(number[:-1].ravel(), number[1:].ravel()), (number[:, :-1].ravel(), number[:, 1:].ravel())]
        cell, neighbour = (np.concatenate(part) for part in zip(*pairs, strict=True))
        label = phase.ravel()
        determined = (label[cell] != UNDETERMINED) & (label[neighbour] != UNDETERMINED)
        cell, neighbour = cell[determined], neighbour[determined]
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
            next_phase=label[neighbour],
            first=(W[cell], b[cell], inverse[cell]),
            second=(W[neighbour], b[neighbour], inverse[neighbour]),
            variant=grid.variant,
        ).suspicious()

    @classmethod
    def joined(cls, parts: "Sequence[Edges]") -> "Edges":
        """Several lots of edges in one."""

        def together(values: list[Any]) -> Any:
            if isinstance(values[0], Variant):
                return values[0]
            several = isinstance(values[0], tuple)
            return tuple(map(np.concatenate, zip(*values, strict=True))) if several else np.concatenate(values)

        return cls(**{f.name: together([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def part(self, rows: Int[ndarray, " some"]) -> "Edges":
        """Some of the edges."""
        values: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Variant):
                values[f.name] = value
            else:
                values[f.name] = at_rows(value, rows) if isinstance(value, tuple) else value[rows]
        return Edges(**values)

    @property
    def changes_phase(self) -> ndarray:
        """Whether the neighbour's phase is another."""
        return np.asarray(self.phase != self.next_phase)

    @property
    def integrated(self) -> bool:
        """Whether errors are integrated to an accuracy, so that every solution costs much."""
        m, n = self.first[0].shape[1:]
        return few_nodes(extra_feature_problem(n, m, *self.point(np.zeros(len(self.cell))), self.variant))

    @property
    def length(self) -> ndarray:
        """Length of every edge in the logarithm of the parameter that varies along it."""
        return np.abs(self.end - self.start).sum(1)

    def point(self, fraction: ndarray) -> tuple[ndarray, ndarray]:
        """Density and importance at a fraction of the way."""
        logs = self.start + fraction[:, None] * (self.end - self.start)
        return np.minimum(np.exp(logs[:, 0]), 1.0), np.exp(logs[:, 1])

    def compare(self, fraction: ndarray, first: Solution, second: Solution, tolerance: float = _ROUGH) -> Comparison:
        """Refine both solutions at the same point, and say on which side of the transition it lies."""
        one, two = self._refined((fraction, first), (fraction, second), tolerance=tolerance)
        distance = np.abs(signature(one.W, one.b) - signature(two.W, two.b)).max(-1, initial=0.0)
        coexist = distance > _COEXISTING
        slope_first, slope_second = self._slopes(fraction, one, two)
        merged_side = np.where(self.changes_phase, phase_of(one.W) == self.phase, _nearer(one, self.first, self.second))
        return Comparison(
            first=one,
            second=two,
            slope_first=slope_first,
            slope_second=slope_second,
            distance=distance,
            coexist=coexist,
            on_first_side=np.where(coexist, one.loss < two.loss, merged_side),
        )

    def _refined(self, *places: tuple[ndarray, Solution], tolerance: float = _ROUGH) -> list[LocalMinima]:
        """Minima near several solutions per edge, each at a fraction of the way; all in one search."""
        W, b, inverse = (np.concatenate(part) for part in zip(*(solution for _, solution in places), strict=True))
        m, n = W.shape[1:]
        points = zip(*(self.point(fraction) for fraction, _ in places), strict=True)
        p, r = (np.concatenate(values) for values in points)
        problem = extra_feature_problem(n, m, p, r, self.variant)
        found = refine(problem, W, b, tolerance, _ITERATIONS, inverse)
        return [found.at(rows) for rows in np.arange(len(W)).reshape(len(places), -1)]

    def freed(self, fraction: ndarray, first: Solution, second: Solution) -> tuple[Solution, Solution]:
        """
        Local minima near solutions that may have become saddle points.

        Descent may be possible to one side only (the ReLU makes the loss change its curvature at zero overlap),
        so that a kick is tried both ways.
        """
        first, second = self._freed((fraction, first), (fraction, second))
        return first, second

    def _freed(self, *places: tuple[ndarray, Solution]) -> list[Solution]:
        """The lower of the two local minima to which a kick and its opposite lead, at several places."""
        kick = _KICK * np.random.default_rng(0).standard_normal(self.first[0].shape[1:])
        kicked = [(at, (W + sign * kick, b, H)) for sign in (1, -1) for at, (W, b, H) in places]
        found = self._refined(*kicked)
        pairs = zip(found[: len(places)], found[len(places) :], strict=True)
        return [choose(there.loss < back.loss, solution_of(there), solution_of(back)) for there, back in pairs]

    def pieces(self) -> "Edges":
        """
        Cut edges into pieces, and keep those with a transition on them.

        Between two cells a third solution may be the best: one that is met where a branch of minima ends. Both cells'
        solutions are therefore followed all along the edge and back again, and the best at every point is kept. What is
        followed keeps its symmetry, on a saddle too: the best is kicked off it.
        """
        places = np.linspace(0, 1, _PIECES + 1)
        there, back = self._followed(places, self.first, self.second)
        returned = self._followed(places, back[0], there[-1])
        tracks = [there, back, *returned]
        best = [self._best_at(place, *found) for place, *found in zip(places, *tracks, strict=True)]
        inner = [np.full(len(self.cell), place) for place in places[1:-1]]
        best[1:-1] = self._freed(*zip(inner, best[1:-1], strict=True))
        best[0], best[-1] = self.first, self.second
        phases = [self.phase, *(phase_of(solution[0]) for solution in best[1:-1]), self.next_phase]
        along = self.end - self.start
        return Edges.joined(
            [
                replace(
                    self,
                    start=self.start + places[k] * along,
                    end=self.start + places[k + 1] * along,
                    phase=phases[k],
                    next_phase=phases[k + 1],
                    first=best[k],
                    second=best[k + 1],
                )
                for k in range(_PIECES)
            ]
        ).suspicious()

    def _followed(self, places: ndarray, first: Solution, second: Solution) -> tuple[list[Solution], list[Solution]]:
        """
        Solutions at places along the edges, each refined from the one before, which is taken as it is.

        The first is followed from the start of the edges, the second from their end.
        """
        there, back = [first], [second]
        for one, other in zip(places[1:], places[-2::-1], strict=True):
            fractions = (np.full(len(self.cell), place) for place in (one, other))
            found = self._refined(*zip(fractions, (there[-1], back[-1]), strict=True))
            there.append(solution_of(found[0]))
            back.append(solution_of(found[1]))
        return there, back[::-1]

    def _best_at(self, place: float, *solutions: Solution) -> Solution:
        """The one of the lowest loss."""
        W, b = (np.stack([solution[k] for solution in solutions]) for k in (0, 1))
        p, r = (np.tile(values, len(solutions)) for values in self.point(np.full(len(self.cell), place)))
        m, n = W.shape[2:]
        problem = extra_feature_problem(n, m, p, r, self.variant)
        found = _searched_losses(problem, W.reshape(-1, m, n), b.reshape(-1, n)).reshape(len(solutions), -1)
        lowest = np.argmin(found, axis=0)
        best = solutions[0]
        for k, solution in enumerate(solutions):
            best = choose(lowest == k, solution, best)
        return best

    def suspicious(self) -> "Edges":
        """Edges on which the phase changes, or the solution by more than a smooth change could be."""
        change = np.abs(signature(*self.first[:2]) - signature(*self.second[:2])).max(-1, initial=0.0)
        return self.part(np.flatnonzero(self.changes_phase | (change > _SUSPICIOUS)))

    def _slopes(self, fraction: ndarray, *solutions: LocalMinima) -> list[ndarray]:
        """Envelope theorem: the optimal loss moves like the loss of the solution held fixed; all in one call."""
        down, up = np.maximum(fraction - _DIFFERENCE, 0), np.minimum(fraction + _DIFFERENCE, 1)
        W = np.concatenate([found.W for found in solutions for _ in (down, up)])
        b = np.concatenate([found.b for found in solutions for _ in (down, up)])
        p, r = (
            np.tile(np.concatenate(ends), len(solutions)) for ends in zip(self.point(down), self.point(up), strict=True)
        )
        m, n = W.shape[1:]
        found = _searched_losses(extra_feature_problem(n, m, p, r, self.variant), W, b).reshape(len(solutions), 2, -1)
        return list((found[:, 1] - found[:, 0]) / (up - down))
