"""The explorer's numbers: every branch of minima over one feature's density, at several densities of the others."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from theory import Problem, tegum_products
from theory.geometry.recognition import recognise
from theory.tools.command import progress
from theory.tools.parallel import Workers, spread
from theory.transitions.crossovers import branches_of, crossover

if TYPE_CHECKING:
    from numpy import ndarray

    from theory.transitions.branches import Branch

__all__ = ["CASES", "compute", "compute_row"]

CASES = ((2, 1), (3, 2), (5, 2))
LOW, HIGH = 0.02, 0.98
_DENSITIES, _STOPS, _POINTS = 6, 31, 12
# Losses this close, relative, at a stop are one solution that two geometries' searches have found.
_SAME = 1e-9


def compute(workers: Workers = 1, densities: int = _DENSITIES, stops: int = _STOPS) -> dict[str, Any]:
    """
    Follow all geometries of all cases.

    Parameters
    ----------
    workers : int or str
        Processes.
    densities : int
        Densities of the other features.
    stops : int
        Densities of the one feature.

    Returns
    -------
    dict
        Plain lists and numbers, ready for JSON.
    """
    p, q = (np.round(np.geomspace(LOW, HIGH, count), 6) for count in (densities, stops))
    jobs = [(n, m, float(one), q.tolist()) for n, m in CASES for one in p]
    rows = list(progress(spread(compute_row, jobs, workers), total=len(jobs), label="branches"))
    cases = [
        {"n": n, "m": m, "p": p.tolist(), "rows": rows[k * densities : (k + 1) * densities]}
        for k, (n, m) in enumerate(CASES)
    ]
    return {"q": q.tolist(), "cases": cases}


def compute_row(n: int, m: int, p: float, q: list[float]) -> dict[str, Any]:
    """
    Follow every geometry at one density of the other features.

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
        on ``loss``, ``W``, ``b`` and ``curvature``; ``crossings``: where the best branch changes at a jump of W.
    """
    problem = Problem(n=n, m=m, density=p)
    found: list[tuple[str, Branch, dict[int, tuple[float, ndarray, ndarray, float, str]]]] = []
    for product in tegum_products(n, m):
        for branch in branches_of(problem, product.name, "relative density", q[0] / p, q[-1] / p, n - 1, _POINTS):
            at = _at_stops(branch, p, q)
            if at and not any(_known(at, other) for _, _, other in found):
                found.append((product.name, branch, at))
    best = [_best(found, k) for k in range(len(q))]
    crossings = []
    for k, (one, two) in enumerate(pairwise(best)):
        if one != two and one >= 0 and two >= 0:
            places = [c.value * p for c in crossover(found[one][1], found[two][1])]
            crossings += [{"q": round(v, 9), "branches": [one, two]} for v in places if q[k] <= v <= q[k + 1]]
    branches = [
        {
            "geometry": name,
            "first": min(at),
            "loss": [float(f"{at[k][0]:.12g}") for k in sorted(at)],
            "curvature": [float(f"{at[k][3]:.4g}") for k in sorted(at)],
            "looks": [at[k][4] for k in sorted(at)],
            "W": [np.round(at[k][1], 5).tolist() for k in sorted(at)],
            "b": [np.round(at[k][2], 5).tolist() for k in sorted(at)],
        }
        for name, _, at in found
    ]
    return {"branches": branches, "crossings": crossings}


def _at_stops(branch: "Branch", p: float, q: list[float]) -> "dict[int, tuple[float, ndarray, ndarray, float, str]]":
    """The branch at the stops that it covers, each turned like the one before it."""
    at: dict[int, tuple[float, ndarray, ndarray, float, str]] = {}
    before = None
    for k, one in enumerate(q):
        value = one / p
        if not branch.lowest <= value <= branch.highest:
            continue
        try:
            point = branch.at(value)
        except ArithmeticError:  # next to a fold
            continue
        if at and k - 1 not in at:
            break
        W = point.W if before is None else _turned(point.W, before)
        before = W
        at[k] = (point.loss, W, point.b, point.curvature, recognise(W).name)
    return at


def _turned(W: "ndarray", before: "ndarray") -> "ndarray":
    """Rotate or reflect hidden space so that W moves as little as it can."""
    U, _, V = np.linalg.svd(before @ W.T)
    return np.asarray(U @ V @ W)


def _known(at: "dict[int, tuple[float, ndarray, ndarray, float, str]]", other: dict[int, Any]) -> bool:
    """Whether a branch was found already: the same losses wherever it goes."""
    return all(k in other and abs(other[k][0] - at[k][0]) <= _SAME * at[k][0] for k in at)


def _best(found: list[Any], k: int) -> int:
    """Number of the branch with the least loss at a stop, -1 where there is none."""
    losses = [at[k][0] if k in at else np.inf for _, _, at in found]
    return int(np.argmin(losses)) if np.isfinite(losses).any() else -1
