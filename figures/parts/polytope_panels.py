"""The picture of geometries: each at its optimum, and a table beside Thomson's problem."""

from figures.shared.script import COLOURS, headline, new_figure

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy import ndarray

__all__ = ["SAME_DEGREES", "draw", "is_edge"]

# Directions within so many degrees of Thomson's are the same geometry: heights and the like differ by less, others by
# more than 10.
SAME_DEGREES = 5.0


def draw(data: xr.Dataset) -> "Figure":
    """
    Draw planar geometries above, spatial ones in the middle, the comparison below.

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.polytopes.compute`` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    figure = new_figure(13.0, 9.2)
    above, below = figure.subfigures(2, 1, height_ratios=(2, 0.95))  # type: ignore[misc]
    _draw_geometries(above, data)
    _draw_comparison(below.subplots(), data)
    same = data["angle"].values < SAME_DEGREES
    headline(
        figure,
        f"Optimal geometries are small polytopes and their products; in {same.sum()} of {same.size} cases "
        "the best one in space is also how Thomson's charges arrange themselves",
    )
    return figure


def _draw_geometries(figure: "SubFigure", data: xr.Dataset) -> None:
    for k, name in enumerate(data["geometry"].values):
        shape = data.isel(geometry=k)
        spatial = bool(shape["spatial"])
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


def _draw_comparison(axes: "Axes", data: xr.Dataset) -> None:
    """A table: Thomson's optimum above, best solutions below, coloured where they are the same."""
    features, densities = data["features"].values, data["compared"].values
    for column, v in enumerate(features):
        thomson = str(data["thomson"].sel(charges=v).item())
        axes.text(column, -1, _wrapped(thomson), ha="center", va="center", fontsize=9)
        for row, p in enumerate(densities):
            here = data.sel(features=v, compared=p)
            same, angle = float(here["angle"]) < SAME_DEGREES, float(here["angle"])
            axes.fill_between([column - 0.48, column + 0.48], row - 0.46, row + 0.46, lw=0,
                              color=COLOURS[4 if same else 1], alpha=0.45)  # fmt: skip
            text = _wrapped(str(here["best"].item())) + ("" if np.isnan(angle) else f"\n{angle:.1f}°")
            axes.text(column, row, text, ha="center", va="center", fontsize=8.5, weight="bold" if same else "normal")
    axes.set_xticks(range(len(features)), [f"v = {v}" for v in features], fontsize=10)
    axes.xaxis.tick_top()
    rows = [f"density {p:g}" for p in densities]
    axes.set_yticks(range(-1, len(densities)), ["Thomson", *rows], fontsize=10)
    axes.set_xlim(-0.5, len(features) - 0.5)
    axes.set_ylim(len(densities) - 0.5, -1.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(
        "Best solution for v features in three dimensions, and its largest angle to Thomson's directions "
        "(blue, bold: the same geometry)", fontsize=10, loc="left",
    )  # fmt: skip


def _wrapped(name: str) -> str:
    """A product on several lines."""
    return name.replace(" + ", " +\n").replace("square ", "square\n").replace("unrepresented", "unrepr.")


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
        if is_edge(W, j, k):
            axes.plot(*W[:, [j, k]], color="0.75", lw=0.8)
    for j in range(W.shape[1]):
        colour = COLOURS[factor[j]]
        axes.plot(*np.stack([np.zeros(3), W[:, j]], axis=1), color=colour, lw=1.4)
        axes.plot(*W[:, j : j + 1], "o", color=colour, ms=5)
    axes.set_box_aspect((1, 1, 1), zoom=1.5)  # type: ignore[call-arg, arg-type]
    for setter in (axes.set_xlim, axes.set_ylim, axes.set_zlim):  # type: ignore[attr-defined]
        setter(-1.2, 1.2)
    axes.view_init(elev=18, azim=25)  # type: ignore[attr-defined]


def is_edge(W: "ndarray", j: int, k: int) -> bool:
    """
    Say whether two vertices are joined by an edge: some plane through both has all others on one side.

    Parameters
    ----------
    W : ndarray, shape (3, v)
        Vertices, the origin within their convex hull.
    j, k : int
        Two of them.

    Returns
    -------
    bool
        Whether the segment between them is an edge of the hull.
    """
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
