"""Pictures of theory's datasets, shared by the commands and the figure scripts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.model.variant import Variant

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["draw_phase_diagram", "phase_colours", "phase_panel"]

_ABSENT, _DEDICATED, _SHARED = (np.array(c) for c in ((0.93, 0.93, 0.92), (0.17, 0.42, 0.69), (0.92, 0.55, 0.14)))
_LINE = "#1a1a1a"
_DASHED = (0, (2.5, 1.5))


def phase_colours(
    norm: Float[ndarray, "*shape"], superposition: Float[ndarray, "*shape"]
) -> Float[ndarray, "*shape 3"]:
    """
    Colour a feature by norm and superposition, as in the literature's phase diagrams.

    Parameters
    ----------
    norm : ndarray
        |W_i|; 0 is light grey, 1 full colour.
    superposition : ndarray
        sum_j (W_i_hat . W_j)^2; 0 is blue (dedicated), 1 or more orange (in superposition).

    Returns
    -------
    ndarray, shape (..., 3)
        RGB in [0, 1].
    """
    strength, mix = np.clip(norm, 0, 1)[..., None], np.clip(superposition, 0, 1)[..., None]
    return (1 - strength) * _ABSENT + strength * ((1 - mix) * _DEDICATED + mix * _SHARED)


def draw_phase_diagram(data: "xr.Dataset", ax: "Axes | None" = None) -> "Figure":
    """
    Draw the idealised candidates beside the exact optimum.

    Parameters
    ----------
    data : xarray.Dataset
        As ``exact_phase_diagram`` returns it.
    ax : matplotlib.axes.Axes, optional
        Where to draw the exact optimum alone; by default a figure of both panels.

    Returns
    -------
    matplotlib.figure.Figure
        Density falling to the right, importance of the extra feature growing upwards; a notebook shows it.

    Examples
    --------
    >>> from theory import exact_phase_diagram
    >>> figure = draw_phase_diagram(exact_phase_diagram(2, 1, resolution=3))
    >>> [axes.get_title() for axes in figure.axes]
    ['idealised candidates (norm 1, bias fixed)', 'exact optimum over all $(W, b)$']
    """
    from theory.tools.shown_figure import ShownFigure

    variant = Variant.read(data.attrs)
    if ax is not None:
        _draw_exact(ax, data)
        _name_axes(ax)
        whole = ax.get_figure(root=True)
        assert whole is not None
        return whole
    figure = ShownFigure(figsize=(9.6, 4.9), layout="constrained", dpi=150)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    ideal_norm, ideal_superposition = _ideal_looks(data)
    phase_panel(left, data, ideal_norm, ideal_superposition, data["ideal_phase"].values)
    for p, r in _ideal_boundaries(data):
        left.plot(p, r, color=_LINE, lw=1.4)
    _draw_exact(right, data)
    left.set_title("idealised candidates (norm 1, bias fixed)", fontsize=10)
    for axes in (left, right):
        _name_axes(axes)
    right.set_ylabel("")
    figure.suptitle(
        f"What becomes of an extra feature: n = {data.attrs['n']} features, m = {data.attrs['m']} dimensions"
        + (f"\n{variant}" if variant else "")
    )
    figure.legend(handles=_legend(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _draw_exact(axes: "Axes", data: "xr.Dataset") -> None:
    """The exact optimum's panel, with its boundaries by their order."""
    phase_panel(axes, data, data["norm"].values, data["superposition"].values, data["phase"].values)
    for order, style in ((1, "-"), (2, _DASHED)):
        for line, which in _boundary_segments(data):
            if which == order:
                axes.plot(line[:, 0], line[:, 1], color=_LINE, lw=1.4, ls=style, solid_capstyle="round")
    axes.set_title("exact optimum over all $(W, b)$", fontsize=10)


def _name_axes(axes: "Axes") -> None:
    axes.set_xlabel("density  $1-S$      (dense → sparse)")
    axes.set_ylabel("relative importance of the extra feature")


def _legend() -> "list[Line2D]":
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=_LINE, lw=1.4, label="first-order transition: branches cross"),
        Line2D([], [], color=_LINE, lw=1.4, ls=_DASHED, label="continuous transition"),
    ]


def phase_panel(
    axes: "Axes",
    data: "xr.Dataset",
    norm: Float[ndarray, "P R"],
    superposition: Float[ndarray, "P R"],
    phase: Int[ndarray, "P R"],
) -> None:
    """
    Fill one panel with coloured cells, and name the phases where they are widest.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    data : xarray.Dataset
        Gives the axes ``density`` and ``importance`` and the names of the phases.
    norm, superposition : ndarray, shape (P, R)
        What the extra feature looks like in every cell.
    phase : ndarray of int, shape (P, R)
        Phase of every cell, for the labels.
    """
    p, r = data["density"].values, data["importance"].values
    colours = phase_colours(norm, superposition).swapaxes(0, 1)
    axes.pcolormesh(_edges(p), _edges(r), colours, shading="flat", rasterized=True)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(p.max(), p.min())
    axes.set_ylim(r.min(), r.max())
    for k, name in enumerate(data.attrs["phases"].split("; ")):
        place = _widest_place(phase == k)
        if place is not None:
            text = {"superposition": "in superposition"}.get(name, name)
            axes.text(
                p[place[0]], r[place[1]], text.replace(" ", "\n", 1), ha="center", va="center", fontsize=9,
                color="white" if name == "dedicated" else "black",
            )  # fmt: skip


def _edges(centres: Float[ndarray, " k"]) -> Float[ndarray, " k+1"]:
    """Edges of cells whose centres are evenly spaced in the logarithm."""
    logs = np.log(centres)
    half = (logs[1] - logs[0]) / 2
    return np.exp(np.concatenate([logs - half, logs[-1:] + half]))


def _widest_place(region: ndarray) -> tuple[int, int] | None:
    """The cell that lies deepest inside a region, if it is deep enough for a label."""
    from scipy.ndimage import distance_transform_cdt

    depth = distance_transform_cdt(np.pad(region, 1), metric="chessboard")[1:-1, 1:-1]
    if depth.max() < max(2, 0.08 * len(region)):
        return None
    places = np.argwhere(depth >= 0.9 * depth.max())
    middle = places[np.abs(places - places.mean(0)).sum(1).argmin()]
    return int(middle[0]), int(middle[1])


def _ideal_looks(data: "xr.Dataset") -> tuple[ndarray, ndarray]:
    """Norm and superposition of the extra feature in the best idealised candidate: 0 or 1 each."""
    phase = data["ideal_phase"].values
    return (phase > 0).astype(float), (phase == 2).astype(float)


def _ideal_boundaries(data: "xr.Dataset") -> Iterator[tuple[ndarray, ndarray]]:
    """Where two idealised candidates share the lowest loss: exact, since the loss is linear in the importance."""
    from scipy.interpolate import CubicSpline

    coarse = data["density"].values
    p = np.geomspace(coarse[0], coarse[-1], 1500)
    others, extra = (
        CubicSpline(np.log(coarse), data[name].values, axis=1)(np.log(p))
        for name in ("ideal_loss_of_others", "ideal_loss_of_extra")
    )
    for i in range(len(others)):
        for j in range(i):
            slope = extra[i] - extra[j]
            with np.errstate(divide="ignore", invalid="ignore"):
                r = (others[j] - others[i]) / slope
                best = (others + r * extra).min(0)
                tied = (r > 0) & (others[i] + r * extra[i] <= best * (1 + 1e-9))
            if tied.any() and data["candidate_phase"].values[i] != data["candidate_phase"].values[j]:
                yield p, np.where(tied, r, np.nan)


def _boundary_segments(data: "xr.Dataset") -> Iterator[tuple[Float[ndarray, "2 2"], int]]:
    """Join the transitions found on the edges between cells by straight pieces, square by square of four cells."""
    columns = data.sizes["importance"]
    points: dict[tuple[int, int], list[tuple[ndarray, int]]] = {}
    for k in range(data.sizes["boundary"]):
        edge = int(data["boundary_cell"].values[k]), int(data["boundary_neighbour"].values[k])
        place = np.array([data["boundary_density"].values[k], data["boundary_importance"].values[k]])
        points.setdefault(edge, []).append((place, int(data["boundary_order"].values[k])))
    for row in range(data.sizes["density"] - 1):
        for column in range(columns - 1):
            a = row * columns + column
            around = [(a, a + 1), (a, a + columns), (a + 1, a + 1 + columns), (a + columns, a + columns + 1)]
            found = [point for edge in around for point in points.get(edge, [])]
            if len(found) == 2:
                yield np.array([found[0][0], found[1][0]]), min(found[0][1], found[1][1])
            elif len(found) > 2:
                centre = np.exp(np.mean([np.log(place) for place, _ in found], axis=0))
                for place, order in found:
                    yield np.array([place, centre]), order
