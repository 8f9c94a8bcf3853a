"""The explorer's numbers: the competing minima over one feature's density, at several densities of the others.

The global search runs at every stop. What it finds at one is carried to its neighbours by descent, up and down, until
no stop is improved: each search repeats the others'. Minima of neighbours that lead to each other make a branch.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from theory import Problem, global_optimum, recognise, stability_of
from theory.optimum.landscape import Landscape
from theory.search.minima import Pool, settle
from theory.tools.command import progress
from theory.tools.parallel import Workers, spread

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["CASES", "compute", "compute_row"]

CASES = ((2, 1), (3, 2), (5, 2))
LOW, HIGH = 0.02, 0.98
# Every third stop is a density of the others, too: the diagonal of equal features is part of the diagram.
_STOPS, _EVERY = 31, 3
# Minima that are kept at a stop: the lowest, if their losses are below this multiple of the best.
_KEPT, _COMPETING = 8, 1.5
# Losses this close, relative, are one; gradients at the end, in units of the zero model's loss.
_SAME, _POLISHED = 1e-9, 1e-10
# Sweeps up and down at most, and halvings of a step between stops that holds a crossing.
_SWEEPS, _HALVINGS = 6, 24


def compute(workers: Workers = 1, stops: int = _STOPS) -> dict[str, Any]:
    """
    Find all competing minima of all cases.

    Parameters
    ----------
    workers : int or str
        Processes.
    stops : int
        Densities of the one feature; every third is one of the others'.

    Returns
    -------
    dict
        Plain lists and numbers, ready for JSON.
    """
    q = np.round(np.geomspace(LOW, HIGH, stops), 6).tolist()
    p = q[::_EVERY]
    jobs = [(n, m, one, q) for n, m in reversed(CASES) for one in p]
    done = dict(
        zip(
            [job[:3] for job in jobs],
            progress(spread(compute_row, jobs, workers), total=len(jobs), label="rows"),
            strict=True,
        )
    )
    return {"q": q, "cases": [{"n": n, "m": m, "p": p, "rows": [done[n, m, one] for one in p]} for n, m in CASES]}


def compute_row(n: int, m: int, p: float, q: list[float]) -> dict[str, Any]:
    """
    Find the competing minima at one density of the other features.

    Parameters
    ----------
    n, m : int
        Features and dimensions; the last feature is the one whose density changes.
    p : float
        Density of the other features.
    q : list of float
        Densities of the last one.

    Returns
    -------
    dict
        ``branches``: per branch of minima its ``geometry``, the ``first`` stop it covers, and at every stop from there
        on ``loss``, ``W``, ``b``, ``curvature`` and what it ``looks`` like; ``crossings``: where the best branch
        changes.
    """
    stops = [_Stop(Problem(n=n, m=m, density=[p] * (n - 1) + [one])) for one in q]
    for stop in stops:
        stop.search()
    for sweep in range(_SWEEPS):
        before = [stop.best for stop in stops]
        for here, there in pairwise(stops if sweep % 2 == 0 else stops[::-1]):
            there.reach(here.kept)
        if sweep > 0 and all(s.best > b * (1 - _SAME) for s, b in zip(stops, before, strict=True)):
            break
    chains = _chains(stops)
    return {"branches": [_branch(stops, *chain) for chain in chains], "crossings": _crossings(stops, chains, q)}


@dataclass(eq=False)
class _Stop:
    """The minima known at one density, each a point x = (W, b)."""

    problem: Problem
    curvature: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.landscape = Landscape(self.problem)
        self.pool = Pool(self.landscape)

    def search(self) -> None:
        """Run the global search and take what it met."""
        found = global_optimum(self.problem)
        met = [(found.W, found.b), *((other.W, other.b) for other in found.minima)]
        self.reach([np.concatenate([W.ravel(), b]) for W, b in met])

    def reach(self, points: "list[ndarray]") -> "tuple[list[int], ndarray]":
        """Descend from points of a neighbour; give the numbers of the minima, and where the descents ended."""
        if not points:
            return [], np.empty((0, self.problem.n * (self.problem.m + 1)))
        ends = settle(self.landscape, np.array(points), np.random.default_rng(0), _POLISHED)
        return self.pool.add(ends).tolist(), ends.x

    @property
    def best(self) -> float:
        """Least loss, in units of the zero model's."""
        return min(self.pool.value)

    @property
    def order(self) -> list[int]:
        """Numbers of the minima that compete, the lowest first; saddles that descents rest on are none."""
        near = [k for k in np.argsort(self.pool.value).tolist() if self.pool.value[k] <= _COMPETING * self.best]
        found: list[int] = []
        for k in near:
            if k not in self.curvature:
                W, b = self.parts(self.pool.x[k])
                known = stability_of(W, b, self.problem)
                self.curvature[k] = -np.inf if known.kind == "saddle" else known.smallest
            if self.curvature[k] > -np.inf:
                found.append(k)
            if len(found) == _KEPT:
                break
        return found or near[:1]  # at a bifurcation rounding decides

    @property
    def kept(self) -> "list[ndarray]":
        """The points of the minima that compete."""
        return [self.pool.x[k] for k in self.order]

    def parts(self, x: "ndarray") -> "tuple[ndarray, ndarray]":
        """W and b of a point."""
        W, b = self.landscape.split(x[None])
        return W[0], b[0]

    def loss(self, x: "ndarray") -> float:
        """The loss at a point."""
        return float(self.landscape.slopes(x[None])[0][0]) * self.landscape.scale


# A branch: its first stop, and per stop the minimum's number and its point, each reached from the one before.
_Chain = tuple[int, list[int], "list[ndarray]"]


def _chains(stops: list[_Stop]) -> list[_Chain]:
    """Minima of neighbouring stops from which descents lead to each other."""
    chains: list[_Chain] = [(0, [k], [stops[0].pool.x[k]]) for k in stops[0].order]
    grown = list(chains)
    for k, (here, there) in enumerate(pairwise(stops)):
        wanted = there.order
        forth, x = there.reach([chain[2][-1] for chain in grown])
        back, _ = here.reach([there.pool.x[j] for j in wanted])
        goes_on = []
        for chain, j, point in zip(grown, forth, x, strict=True):
            if j in wanted and back[wanted.index(j)] == chain[1][-1]:
                chain[1].append(j)
                chain[2].append(point)
                goes_on.append(chain)
        taken = {chain[1][-1] for chain in goes_on}
        new: list[_Chain] = [(k + 1, [j], [there.pool.x[j]]) for j in wanted if j not in taken]
        chains += new
        grown = goes_on + new
    return chains


def _branch(stops: list[_Stop], first: int, numbers: list[int], points: "list[ndarray]") -> dict[str, Any]:
    """A branch as the page takes it, each stop's W turned like the one before it."""
    losses, shapes = [], []
    before = None
    for stop, x in zip(stops[first:], points, strict=False):
        W, b = stop.parts(x)
        before = W = W if before is None else _turned(W, before)
        losses.append(float(f"{stop.loss(x):.12g}"))
        shapes.append((W, b, recognise(W).name))
    looks = [name for _, _, name in shapes]
    return {
        "geometry": Counter(looks).most_common(1)[0][0],
        "first": first,
        "loss": losses,
        "curvature": [float(f"{max(s.curvature[j], 0.0):.4g}") for s, j in zip(stops[first:], numbers, strict=False)],
        "looks": looks,
        "W": [np.round(W, 5).tolist() for W, _, _ in shapes],
        "b": [np.round(b, 5).tolist() for _, b, _ in shapes],
    }


def _turned(W: "ndarray", before: "ndarray") -> "ndarray":
    """Rotate or reflect hidden space so that W moves as little as it can."""
    U, _, V = np.linalg.svd(before @ W.T)
    return np.asarray(U @ V @ W)


def _crossings(stops: list[_Stop], chains: list[_Chain], q: list[float]) -> list[dict[str, Any]]:
    """Where the best branch changes, by bisection between the stops before and after."""
    best = [_best(stops, chains, k) for k in range(len(q))]
    found = []
    for k, (one, two) in enumerate(pairwise(best)):
        if one != two:
            points = [chains[c][2][at - chains[c][0]] for c, at in ((one, k), (two, k + 1))]
            found.append({"q": round(_crossing(stops[k].problem, points, q[k], q[k + 1]), 9), "branches": [one, two]})
    return found


def _best(stops: list[_Stop], chains: list[_Chain], k: int) -> int:
    """Number of the branch with the least loss at a stop."""
    at = {
        c: stops[k].pool.value[chain[1][k - chain[0]]]
        for c, chain in enumerate(chains)
        if 0 <= k - chain[0] < len(chain[1])
    }
    return min(at, key=lambda c: at[c])


def _crossing(problem: Problem, points: "list[ndarray]", low: float, high: float) -> float:
    """The density up to which descents from the first point end no higher than those from the second."""
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        landscape = Landscape(Problem(n=problem.n, m=problem.m, density=[*problem.density[:-1], middle]))
        one, two = settle(landscape, np.array(points), np.random.default_rng(0), _POLISHED).value
        low, high = (middle, high) if one <= two * (1 + _SAME) else (low, middle)
    return float(np.sqrt(low * high))
