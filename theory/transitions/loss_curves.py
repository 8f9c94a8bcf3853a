"""Losses of several geometries on one grid, as labelled arrays: what to plot, and to put into a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.tools.command import progress
from theory.transitions.branches import Branch
from theory.transitions.crossovers import branches_of
from theory.transitions.paths import ProblemPath

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves", "draw_curves"]

# Points to which a branch is followed; values between them are corrected by Newton's method.
_POINTS = 24


def curves(
    problem: Problem,
    geometries: Sequence[str],
    parameter: str = "density",
    values: ArrayLike | None = None,
    index: int = 0,
) -> "xr.Dataset":
    """
    Follow several geometries as a parameter of the problem changes, and put their losses on one grid.

    Parameters
    ----------
    problem : Problem
        A single problem.
    geometries : sequence of str
        Tegum products, such as ``["pentagon", "2 digon"]``; features that they do not mention are unrepresented.
    parameter : {"density", "relative density", "relative importance"}
        What changes: all densities (named by the largest), or the factor by which one feature's density or
        importance is multiplied.
    values : array_like, shape (k,), optional
        Values of the parameter, rising; by default 25 from 0.01 to 1 for a density, and from 0.1 to 10 for a factor,
        as far as densities stay at 1 or below.
    index : int
        The feature whose density or importance changes.

    Returns
    -------
    xarray.Dataset
        Over ``geometry`` and the parameter (blanks as underscores): ``loss`` of the geometry's best minimum, NaN where
        it has none; ``excess`` = loss / least loss of these geometries - 1; ``curvature``, the smallest. The least
        loss's geometry is ``best``, over the parameter ("" where none of them is a minimum). ``to_dataframe()`` gives
        a table, ``draw_curves`` a picture.

    Raises
    ------
    ValueError
        If there is no geometry or one of them is unknown or does not fit, values do not rise, or one lies outside the
        parameter's domain.

    Examples
    --------
    >>> found = curves(Problem(n=5, m=2, density=0.1), ["pentagon", "2 digon"], values=[0.1, 0.2, 0.3])
    >>> found["best"].values.tolist()
    ['pentagon', 'pentagon', '2 digon + unrepresented']
    >>> found["loss"].to_dataframe().shape
    (6, 1)
    """
    import xarray as xr

    require_problem(problem)
    path = ProblemPath(problem, parameter, index)
    grid = _grid(path, parameter, index, values)
    if isinstance(geometries, str) or not geometries:
        raise ValueError(f"geometries must be names such as ['pentagon', '2 digon'], got {geometries!r}")
    names, loss, curvature = [], [], []
    for geometry in progress(geometries, total=len(geometries), label="geometries"):
        found = branches_of(problem, geometry, parameter, grid[0], grid[-1], index, _POINTS)
        along = [_least(found, value) for value in grid]
        names.append(found[0].geometry if found else geometry)
        loss.append([one for one, _ in along])
        curvature.append([one for _, one in along])
    losses = np.array(loss)
    least = np.min(losses, axis=0, where=np.isfinite(losses), initial=np.inf)
    best = np.where(
        np.isfinite(least), np.array(names)[np.nanargmin(np.where(np.isnan(losses), np.inf, losses), 0)], ""
    )
    name = parameter.replace(" ", "_")
    over = ("geometry", name)
    return xr.Dataset(
        {
            "loss": (over, losses),
            "excess": (over, losses / np.where(np.isfinite(least), least, np.nan) - 1),
            "curvature": (over, np.array(curvature)),
            "best": (name, best),
        },
        coords={"geometry": names, name: grid},
        attrs={"n": problem.n, "m": problem.m, "parameter": parameter, "feature": index},
    )


def draw_curves(data: "xr.Dataset", ax: "Axes | None" = None, excess: bool = False) -> "Figure":
    """
    Draw the losses of several geometries over the parameter.

    Parameters
    ----------
    data : xarray.Dataset
        From ``curves``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a figure of its own by default.
    excess : bool
        Whether to draw by how much each loss is above the least of them, instead of the losses.

    Returns
    -------
    matplotlib.figure.Figure
        The picture; a notebook shows it.

    Examples
    --------
    >>> data = curves(Problem(n=2, m=1, density=0.1), ["digon", "dedicated"], "relative importance", [0.1, 0.3, 1.0])
    >>> draw_curves(data).axes[0].get_xlabel()
    'relative importance of feature 0'
    """
    from theory.tools.shown_figure import axes_of, whole_figure

    ax = axes_of(ax, 6, 4)
    parameter = str(data.attrs["parameter"])
    grid = data[parameter.replace(" ", "_")].values
    for name in data["geometry"].values:
        ax.plot(grid, data["excess" if excess else "loss"].sel(geometry=name).values, lw=1.8, label=str(name))
    ax.set_xscale("log")
    if not excess:
        ax.set_yscale("log")
    feature = "" if parameter == "density" else f" of feature {data.attrs['feature']}"
    ax.set(xlabel=f"{parameter}{feature}", ylabel="loss / least loss − 1" if excess else "population loss")
    ax.legend(frameon=False, fontsize=9)
    return whole_figure(ax)


def _grid(path: ProblemPath, parameter: str, index: int, values: ArrayLike | None) -> list[float]:
    """Values of the parameter, checked."""
    if values is None:
        low, high = (0.01, 1.0) if parameter == "density" else (0.1, 10.0)
        if parameter == "relative density":
            high = min(high, 1 / float(path.problem.density[index]))
        grid = np.geomspace(low, high, 25).tolist()
    else:
        grid = np.asarray(values, dtype=float).ravel().tolist()
    if len(grid) < 2 or (np.diff(grid) <= 0).any():
        raise ValueError(f"values must be at least two, and rise, got {grid}")
    for value in grid:
        path.check(value)
    return grid


def _least(branches: list[Branch], value: float) -> tuple[float, float]:
    """The least loss of the branches that cover a value, and its smallest curvature."""
    found = [(np.nan, np.nan)]
    for branch in branches:
        if branch.lowest <= value <= branch.highest:
            try:
                point = branch.at(value)
            except ArithmeticError:  # next to a fold
                continue
            found.append((point.loss, point.curvature))
    return min(found[1:], default=found[0])
