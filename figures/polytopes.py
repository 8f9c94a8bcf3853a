"""The geometries of superposition: optimised polytopes of the catalogue, in the plane and in space.

Each is drawn at its optimum, with the density at which it was optimised, its norms, and the dimensionality of its
features. Bipyramids are tegum products: their factors, in colours of their own, lie in orthogonal subspaces (claim 8).
"""

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.common import COLOURS, Settings, main, new_figure
from theory import dimensionality, optimise_polytope, parse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

# What is drawn, and a density at which it is among the best known (0.003 where it is only in the sparse limit).
PLANE = {"digon": 0.2, "triangle": 0.5, "2 digon": 0.2, "pentagon": 0.1, "hexagon": 0.01, "heptagon": 0.003}
SPACE = {
    "tetrahedron": 0.5,
    "triangle + digon": 0.3,
    "3 digon": 0.2,
    "pentagon + digon": 0.1,
    "square antiprism": 0.03,
    "cube": 0.003,
}


def compute(settings: Settings) -> xr.Dataset:
    """Optimise every factor of every geometry."""
    data = {}
    for name, density in {**PLANE, **SPACE}.items():
        polytopes = parse(name).polytopes
        optima = [optimise_polytope(polytope.name, density) for polytope in polytopes]
        d, v = sum(p.d for p in polytopes), sum(p.v for p in polytopes)
        W, row, column = np.zeros((3, v)), 0, 0
        for optimum in optima:
            rows, columns = optimum.W.shape
            W[row : row + rows, column : column + columns] = optimum.W
            row, column = row + rows, column + columns
        factor = np.repeat(np.arange(len(polytopes)), [p.v for p in polytopes])
        data[name] = (W, factor, np.concatenate([o.b for o in optima]), dimensionality(W[:d]), density)
    most = max(len(values[1]) for values in data.values())

    def padded(values: "ndarray", fill: float) -> "ndarray":
        return np.pad(values.astype(float), [*([(0, 0)] * (values.ndim - 1)), (0, most - values.shape[-1])],
                      constant_values=fill)  # fmt: skip

    rows = list(data.values())
    return xr.Dataset(
        {
            "W": (("geometry", "dimension", "vertex"), np.array([padded(r[0], np.nan) for r in rows])),
            "factor": (("geometry", "vertex"), np.array([padded(r[1], -1) for r in rows]).astype(int)),
            "b": (("geometry", "vertex"), np.array([padded(r[2], np.nan) for r in rows])),
            "dimensionality": (("geometry", "vertex"), np.array([padded(r[3], np.nan) for r in rows])),
            "density": ("geometry", [r[4] for r in rows]),
        },
        coords={"geometry": list(data)},
    )


def draw(data: xr.Dataset) -> "Figure":
    """Planar geometries above, spatial ones below."""
    figure = new_figure(13.0, 6.4)
    for k, name in enumerate(data["geometry"].values):
        shape = data.isel(geometry=k)
        spatial = str(name) in SPACE
        axes = figure.add_subplot(2, 6, k + 1, **({"projection": "3d"} if spatial else {}))
        used = shape["factor"].values >= 0
        W, factor = shape["W"].values[:, used], shape["factor"].values[used]
        (_draw_space if spatial else _draw_plane)(axes, W, factor)
        values = np.unique(shape["dimensionality"].values[used].round(3))
        norms = np.linalg.norm(W, axis=0)
        axes.set_title(
            f"{name}\n$D_i$ = {', '.join(f'{d:g}' for d in values)},  |W| = {norms.min():.2f}"
            f"{f'–{norms.max():.2f}' if np.ptp(norms) > 0.005 else ''}\nat density {float(shape['density']):g}",
            fontsize=8.5,
        )
        axes.set_axis_off()
    return figure


def _draw_plane(axes: "Axes", W: "ndarray", factor: "ndarray") -> None:
    for j in range(W.shape[1]):
        colour = COLOURS[factor[j]]
        axes.plot([0, W[0, j]], [0, W[1, j]], color=colour, lw=1.4)
        axes.plot(W[0, j], W[1, j], "o", color=colour, ms=6)
    axes.set_xlim(-1.6, 1.6)
    axes.set_ylim(-1.6, 1.6)
    axes.set_aspect("equal")


def _draw_space(axes: "Axes", W: "ndarray", factor: "ndarray") -> None:
    for j, k in combinations(range(W.shape[1]), 2):
        if _is_edge(W, j, k):
            axes.plot(*W[:, [j, k]], color="0.75", lw=0.8)
    for j in range(W.shape[1]):
        colour = COLOURS[factor[j]]
        axes.plot(*np.stack([np.zeros(3), W[:, j]], axis=1), color=colour, lw=1.4)
        axes.plot(*W[:, j : j + 1], "o", color=colour, ms=5)
    axes.set_box_aspect((1, 1, 1), zoom=1.5)  # type: ignore[call-arg, arg-type]
    for setter in (axes.set_xlim, axes.set_ylim, axes.set_zlim):  # type: ignore[attr-defined]
        setter(-1.2, 1.2)
    axes.view_init(elev=18, azim=25)  # type: ignore[attr-defined]


def _is_edge(W: "ndarray", j: int, k: int) -> bool:
    """Whether a segment lies on the convex hull: some plane through it has all vertices on one side."""
    from scipy.optimize import linprog

    others = [i for i in range(W.shape[1]) if i not in (j, k)]
    # Find a direction u with u . W_j = u . W_k = 1 and u . W_i <= 1 - margin; an edge allows a positive margin.
    constraints = np.column_stack([W[:, others].T, np.ones(len(others))])
    equal = np.column_stack([W[:, [j, k]].T, np.zeros(2)])
    solution = linprog(
        [0, 0, 0, -1], A_ub=constraints, b_ub=np.ones(len(others)), A_eq=equal, b_eq=np.ones(2),
        bounds=[(None, None)] * 3 + [(None, 1)],
    )  # fmt: skip
    return bool(solution.success and solution.x is not None and solution.x[-1] > 1e-6)


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
