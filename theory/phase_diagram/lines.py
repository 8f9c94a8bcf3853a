"""The lines of a phase diagram's picture: boundaries of idealised candidates, and of the exact optimum."""

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["boundary_segments", "ideal_boundaries", "ideal_uprights", "uprights"]

# Transitions of one kind differ by less than this, in the logarithm of how far the solution jumps.
_ONE_KIND = 0.7
# Jumps smaller than this are as good as none: the kind is then continuous.
_NO_JUMP = 0.01
# A boundary is upright if its densities spread by less than this, relatively, over so many neighbouring cells.
_UPRIGHT, _CELLS = 1e-3, 5
# Losses that differ by less than this part of the largest, which rounding and interpolation leave, are equal.
_TIED = 1e-9


def ideal_boundaries(data: "xr.Dataset") -> Iterator[tuple[ndarray, ndarray, set[int]]]:
    """
    Find where two idealised candidates share the lowest loss: exact, since that is linear in the importance.

    Parameters
    ----------
    data : xarray.Dataset
        As ``exact_phase_diagram`` returns it.

    Yields
    ------
    density, importance : ndarray, shape (k,)
        A curve; importance is nan where others are better.
    phases : set of int
        The extra feature's phases on both sides.
    """
    p, others, extra = _ideal_parts(data)
    phase = data["candidate_phase"].values
    for i, j in combinations(range(len(others)), 2):
        slope = extra[i] - extra[j]
        with np.errstate(divide="ignore", invalid="ignore"):
            r = (others[j] - others[i]) / slope
            best = (others + r * extra).min(0)
            tied = (r > 0) & (others[i] + r * extra[i] <= best * (1 + 1e-9))
        if tied.any() and phase[i] != phase[j]:
            yield p, np.where(tied, r, np.nan), {int(phase[i]), int(phase[j])}


def ideal_uprights(data: "xr.Dataset") -> Iterator[tuple[float, float, float]]:
    """
    Find where two idealised candidates that serve the extra feature alike cost the same: at one density.

    Parameters
    ----------
    data : xarray.Dataset
        As ``exact_phase_diagram`` returns it.

    Yields
    ------
    density, lowest, highest : float
        The density, and between which of the diagram's importances it divides the plane.
    """
    p, others, extra = _ideal_parts(data)
    low, high = data["importance"].values[[0, -1]].tolist()
    r = np.geomspace(low, high, 400)
    for i, j in combinations(range(len(others)), 2):
        difference = others[i] - others[j]
        difference[np.abs(difference) <= _TIED * others.max(0)] = 0.0  # candidates that cost the same cross nowhere
        if np.abs(extra[i] - extra[j]).max() > 1e-9:
            continue
        apart = np.flatnonzero(difference)
        for at in np.flatnonzero(difference[apart[:-1]] * difference[apart[1:]] < 0):
            k, after = apart[at], apart[at + 1]
            share = difference[k] / (difference[k] - difference[after])
            here, rest = (x[:, k] + share * (x[:, after] - x[:, k]) for x in (others, extra))
            best = (here[:, None] + rest[:, None] * r).min(0)
            tied = here[i] + rest[i] * r <= best * (1 + 1e-6)
            if tied.any():
                yield float(p[k] * (p[after] / p[k]) ** share), float(r[tied].min()), float(r[tied].max())


def _ideal_parts(data: "xr.Dataset") -> tuple[ndarray, ndarray, ndarray]:
    """Densities, and the candidates' losses there: of the others, and of the extra feature at importance 1."""
    from scipy.interpolate import CubicSpline

    coarse = data["density"].values
    p = np.geomspace(coarse[0], coarse[-1], 1500)
    names = ("ideal_loss_of_others", "ideal_loss_of_extra")
    others, extra = (CubicSpline(np.log(coarse), data[name].values, axis=1)(np.log(p)) for name in names)
    return p, others, extra


def uprights(data: "xr.Dataset") -> Iterator[tuple[float, float, float]]:
    """
    Find boundaries of the exact optimum within a phase that lie at one density: the others' own transitions.

    Parameters
    ----------
    data : xarray.Dataset
        As ``exact_phase_diagram`` returns it.

    Yields
    ------
    density, lowest, highest : float
        The density, and between which importances the boundary was found.
    """
    within = data["boundary_phase_before"].values == data["boundary_phase_after"].values
    within &= data["boundary_along"].values == "density"
    p, r = data["boundary_density"].values[within], data["boundary_importance"].values[within]
    if not len(p):
        return
    order = np.argsort(p)
    cuts = np.flatnonzero(np.diff(np.log(p[order])) > _UPRIGHT / _CELLS) + 1
    for rows in np.split(order, cuts):
        if len(rows) >= _CELLS and np.ptp(np.log(p[rows])) < _UPRIGHT:
            yield float(np.median(p[rows])), float(r[rows].min()), float(r[rows].max())


def boundary_segments(data: "xr.Dataset") -> Iterator[tuple[Float[ndarray, "2 2"], int, bool]]:
    """
    Join the transitions found on the edges between cells by straight pieces, square by square of four cells.

    Where two boundaries pass through one square, transitions of the same kind are joined; where three meet, all are.

    Parameters
    ----------
    data : xarray.Dataset
        As ``exact_phase_diagram`` returns it.

    Yields
    ------
    ends : ndarray, shape (2, 2)
        Density and importance of both ends of a piece.
    order : int
        1 where branches cross, 2 where the optimum changes continuously.
    within : bool
        Whether the phase is the same on both sides.
    """
    columns = data.sizes["importance"]
    names = ("density", "importance", "order", "solution_jump", "phase_before", "phase_after", "cell", "neighbour")
    table = zip(*(data[f"boundary_{name}"].values for name in names), strict=True)
    points: dict[tuple[int, int], list[_Point]] = {}
    for p, r, order, jump, before, after, cell, neighbour in table:
        kind = (int(min(before, after)), int(max(before, after)), float(np.log(max(jump, _NO_JUMP))))
        points.setdefault((int(cell), int(neighbour)), []).append((np.array([p, r]), int(order), kind))
    for row in range(data.sizes["density"] - 1):
        for column in range(columns - 1):
            a = row * columns + column
            around = [(a, a + 1), (a, a + columns), (a + 1, a + 1 + columns), (a + columns, a + columns + 1)]
            yield from _joined([points.get(edge, []) for edge in around])


# A transition: where it is, its order, and its kind: the phases it joins and the logarithm of its jump.
_Point = tuple[ndarray, int, tuple[int, int, float]]


def _joined(sides: "list[list[_Point]]") -> Iterator[tuple[ndarray, int, bool]]:
    """The pieces within one square, whose four sides hold some transitions."""
    left = [(side, point) for side, found in enumerate(sides) for point in found]
    while len(left) > 3:  # two boundaries at least: the two transitions that are most alike belong to one of them
        pairs = [
            (_unlike(one[1], two[1]), i, j)
            for (i, one), (j, two) in combinations(enumerate(left), 2)
            if one[0] != two[0]
        ]
        cost, i, j = min(pairs, default=(np.inf, 0, 0))
        if cost > _ONE_KIND:
            break
        yield _piece(left[i][1], left[j][1])
        left = [item for k, item in enumerate(left) if k not in (i, j)]
    found = [point for _, point in left]
    if len(found) == 2:
        yield _piece(*found)
    elif len(found) > 2:
        centre = np.exp(np.mean([np.log(place) for place, *_ in found], axis=0))
        for place, order, kind in found:
            yield np.array([place, centre]), order, kind[0] == kind[1]


def _unlike(one: "_Point", two: "_Point") -> float:
    return abs(one[2][2] - two[2][2]) if one[2][:2] == two[2][:2] else np.inf


def _piece(one: "_Point", two: "_Point") -> tuple[ndarray, int, bool]:
    return np.array([one[0], two[0]]), min(one[1], two[1]), all(kind[0] == kind[1] for _, _, kind in (one, two))
