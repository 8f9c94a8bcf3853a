"""Pictures of theory's datasets, shared by the commands and the figure scripts."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.geometry.metrics import feature_norms, superposition
from theory.geometry.phases import ideal_candidates
from theory.model.variant import Variant
from theory.phase_diagram.lines import boundary_segments, ideal_boundaries, ideal_uprights, uprights

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = [
    "draw_exact",
    "draw_ideal",
    "draw_phase_diagram",
    "headline",
    "phase_colours",
    "phase_panel",
    "picture_legend",
]

_ABSENT, _DEDICATED, _SHARED = (np.array(c) for c in ((0.93, 0.93, 0.92), (0.17, 0.42, 0.69), (0.92, 0.55, 0.14)))
_PHASES = np.array([_ABSENT, _DEDICATED, _SHARED])
_LINE, _EXTRA, _OTHER = "#1a1a1a", "#C2185B", "#444444"
# Line styles by order of the transition.
_STYLES: dict[int, Any] = {1: "-", 2: (0, (2.5, 1.5))}
# Points; norms below which a feature is not drawn as stored.
_SKETCH, _FAINT = 32.0, 0.05
# Regions so many cells deep, as shares of the grid, hold a name and a sketch, or a small sketch alone.
_WIDE, _NARROW = 0.08, 0.04


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


def draw_phase_diagram(data: "xr.Dataset", zoom: "xr.Dataset | None" = None, ax: "Axes | None" = None) -> "Figure":
    """
    Draw the idealised candidates beside the exact optimum, with the W of every region.

    Parameters
    ----------
    data : xarray.Dataset
        As ``theory.phase_diagram.diagram.exact_phase_diagram`` returns it.
    zoom : xarray.Dataset, optional
        A part of the same diagram on a finer grid, drawn as a third panel.
    ax : matplotlib.axes.Axes, optional
        Where to draw the exact optimum alone; by default a figure of all panels.

    Returns
    -------
    matplotlib.figure.Figure
        Panels: density falling to the right, importance of the extra feature growing upwards; a notebook shows it.

    Examples
    --------
    >>> from theory import exact_phase_diagram
    >>> figure = draw_phase_diagram(exact_phase_diagram(2, 1, resolution=3))
    >>> [axes.get_title() for axes in figure.axes]
    ['idealised candidates (norm 1, bias fixed)', 'exact optimum over all $(W, b)$']
    """
    from matplotlib.patches import Rectangle

    from theory.tools.shown_figure import ShownFigure, whole_figure

    if ax is not None:
        draw_exact(ax, data)
        ax.set(xlabel="density  $1-S$      (dense → sparse)", ylabel="relative importance of the extra feature")
        return whole_figure(ax)
    figure = ShownFigure(figsize=(9.6 if zoom is None else 13.6, 5.2), layout="constrained", dpi=150)
    panels = figure.subplots(1, 2 if zoom is None else 3)
    draw_ideal(panels[0], data)
    draw_exact(panels[1], data)
    panels[0].set_title("idealised candidates (norm 1, bias fixed)", fontsize=10)
    panels[1].set_title("exact optimum over all $(W, b)$", fontsize=10)
    panels[1].tick_params(labelleft=False)
    if zoom is not None:
        draw_exact(panels[2], zoom)
        (p_low, p_high), (r_low, r_high) = (zoom[name].values[[0, -1]] for name in ("density", "importance"))
        frame = Rectangle((p_low, r_low), p_high - p_low, r_high - r_low, fill=False, ec=_EXTRA, lw=1.2, zorder=4)
        panels[1].add_patch(frame)
        panels[2].spines[:].set(color=_EXTRA, linewidth=1.6)
        panels[2].set_title("the frame, on a finer grid", fontsize=10)
        _label_short_axes(panels[2], zoom)
    for axes in panels[:2]:
        _label_short_axes(axes, data)
    panels[0].set_ylabel("relative importance of the extra feature")
    for axes in panels:
        axes.set_xlabel("density  $1-S$      (dense → sparse)")
    variant = Variant.read(data.attrs)
    figure.suptitle(
        headline(data if zoom is None else zoom) + (f"\n{variant}" if variant else ""),
        fontsize=12,
    )
    figure.legend(handles=_whole_legend(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def headline(data: "xr.Dataset") -> str:
    """
    Say in one line what the diagram shows.

    Parameters
    ----------
    data : xarray.Dataset
        As ``exact_phase_diagram`` returns it.

    Returns
    -------
    str
        Up to which density the extra feature is in superposition, exactly and idealised.
    """
    shared = data.attrs["phases"].split("; ").index("superposition")
    low, high = data["importance"].values[[0, -1]]
    ends = [data[f"boundary_phase_{side}"].values == shared for side in ("before", "after")]
    exact = data["boundary_density"].values[ends[0] | ends[1]]
    curves = [p[(r >= low) & (r <= high)] for p, r, phases in ideal_boundaries(data) if shared in phases]
    ideal = np.concatenate([np.empty(0), *curves])
    reach, told = (
        f"up to p = {p.max():.2f}" if len(p) else "everywhere" if (data[which] == shared).all() else "nowhere"
        for p, which in ((exact, "phase"), (ideal, "ideal_phase"))
    )
    return (
        f"n = {data.attrs['n']}, m = {data.attrs['m']}: an extra feature is in superposition {reach}; idealised, {told}"
    )


def draw_ideal(axes: "Axes", data: "xr.Dataset", sketches: bool = True) -> None:
    """
    Draw the best idealised candidates: cells, boundaries, and the W of every candidate.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    data : xarray.Dataset
        As ``exact_phase_diagram`` returns it.
    sketches : bool
        Whether to sketch the W of every candidate.
    """
    norm, superposition = _ideal_looks(data)
    phase_panel(axes, data, norm, superposition)
    for curve, r, _ in ideal_boundaries(data):
        axes.plot(curve, r, color=_LINE, lw=1.4)
    for p, low, high in ideal_uprights(data):
        axes.plot([p, p], [low, high], color=_LINE, lw=1.4)
        _label_upright(axes, p, low, high, _as_fraction(p))
    winner = data["ideal_winner"].values
    embeddings = [candidate.embedding for candidate in ideal_candidates(data.attrs["n"], data.attrs["m"]).values()]
    _name_regions(axes, data, winner, data["ideal_phase"].values, np.array(embeddings)[winner], sketches)


def draw_exact(axes: "Axes", data: "xr.Dataset", sketches: bool = True) -> None:
    """
    Draw the exact optimum: cells, boundaries with their order, and the W in the middle of every region.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    data : xarray.Dataset
        As ``exact_phase_diagram`` returns it.
    sketches : bool
        Whether to sketch the W in the middle of every region.
    """
    phase_panel(axes, data, data["norm"].values, data["superposition"].values)
    for line, order in boundary_segments(data):
        axes.plot(*line.T, color=_LINE, lw=1.4, ls=_STYLES[order], solid_capstyle="round")
    for p, low, high in uprights(data):
        _label_upright(axes, p, low, high, f"{p:.3f}")
    _name_regions(axes, data, _regions(data), data["phase"].values, data["W"].values, sketches)


def picture_legend() -> "list[Line2D]":
    """
    Explain the lines and sketches of a phase diagram.

    Returns
    -------
    list of matplotlib.lines.Line2D
        Handles with their labels.
    """
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"ls": "-", "marker": "o", "ms": 5, "lw": 1.4}
    return [
        Line2D([], [], color=_LINE, lw=1.4, label="first-order transition: branches cross"),
        Line2D([], [], color=_LINE, lw=1.4, ls=_STYLES[2], label="continuous transition"),
        Line2D([], [], color=_EXTRA, label="the extra feature's $W_i$", **dot),
        Line2D([], [], color=_OTHER, label="the others'", **dot),
    ]


def _whole_legend() -> "list[Line2D]":
    """Colours in the upper row, lines and sketches in the lower: a legend is filled column by column."""
    from matplotlib.lines import Line2D

    colours = [
        Line2D([], [], ls="", marker="s", ms=9, mfc=tuple(colour), mec="#999999", mew=0.5, label=label)
        for colour, label in zip(
            _PHASES, ("not represented (paler: shorter $W_i$)", "dedicated", "in superposition"), strict=True
        )
    ]
    upper = [*colours, Line2D([], [], ls="", label=" ")]
    return [handle for pair in zip(upper, picture_legend(), strict=True) for handle in pair]


def _label_upright(axes: "Axes", p: float, low: float, high: float, value: str) -> None:
    """Say at which density the others go from one arrangement to another, where there is room."""
    bottom, top = axes.get_ylim()
    if np.log(high / low) < 0.2 * np.log(top / bottom):
        return
    place = low**0.3 * high**0.7
    axes.annotate(f"p = {value}", (p, place), (3, 0), textcoords="offset points", rotation=90, fontsize=8.5,
                  color="white", va="center", zorder=6)  # fmt: skip


def _as_fraction(p: float) -> str:
    """A density as a fraction, if it is one of small numbers."""
    fraction = Fraction(p).limit_denominator(20)
    return str(fraction) if abs(float(fraction) - p) < 1e-4 else f"{p:.3f}"


def _label_short_axes(axes: "Axes", data: "xr.Dataset") -> None:
    """Give logarithmic axes of less than two decades a few labels; powers of ten alone would be too few."""
    for axis, name in ((axes.xaxis, "density"), (axes.yaxis, "importance")):
        low, high = data[name].values[[0, -1]]
        if high < 99 * low:
            ticks = _round_ticks(low, high)
            axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.set_ticks([], minor=True)


def _round_ticks(low: float, high: float) -> ndarray:
    """A few round numbers within a short range."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    locator = MaxNLocator(5) if high < 10 * low else LogLocator(subs=(1, 2, 5))
    ticks = np.asarray(locator.tick_values(low, high))
    return ticks[(ticks >= low * (1 - 1e-9)) & (ticks <= high * (1 + 1e-9))]


def _regions(data: "xr.Dataset") -> Int[ndarray, "P R"]:
    """Number the regions: cells with no transition between them belong together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    number = np.arange(data["phase"].size).reshape(data["phase"].shape)
    low = np.concatenate([number[:-1].ravel(), number[:, :-1].ravel()])
    high = np.concatenate([number[1:].ravel(), number[:, 1:].ravel()])
    crossed = set(zip(data["boundary_cell"].values.tolist(), data["boundary_neighbour"].values.tolist(), strict=True))
    free = np.array([edge not in crossed for edge in zip(low.tolist(), high.tolist(), strict=True)], dtype=bool)
    graph = coo_array((np.ones(free.sum()), (low[free], high[free])), shape=(number.size,) * 2)
    return np.asarray(connected_components(graph, directed=False)[1]).reshape(number.shape)


def _name_regions(
    axes: "Axes", data: "xr.Dataset", region: ndarray, phase: ndarray, W: Float[ndarray, "P R m n"], sketches: bool
) -> None:
    """Name the phase of every region that is wide enough, and sketch the W in its middle."""
    p, r = data["density"].values, data["importance"].values
    names = data.attrs["phases"].split("; ")
    named: set[int] = set()
    places = {int(k): _widest_place(region == k) for k in np.unique(region)}
    typical = {k: _looks_like(W[place], int(phase[place])) for k, (place, _) in places.items()}
    for k in sorted(places, key=lambda k: (not typical[k], -int((region == k).sum()))):
        place, depth = places[k]
        wide = depth >= max(2, _WIDE * len(region))
        if not (wide or (sketches and depth >= max(2, _NARROW * len(region)))):
            continue
        at = (float(p[place[0]]), float(r[place[1]]))
        drawn = sketches and W.shape[-2] <= 2
        inward = 1 if at[1] ** 2 > r[0] * r[-1] else -1  # names are nearer to the middle than their sketches
        aside = 6 if np.log(p[-1] / at[0]) < 0.12 * np.log(p[-1] / p[0]) else 0  # off the left edge
        above = 7 if inward < 0 and np.log(at[1] / r[0]) < 0.12 * np.log(r[-1] / r[0]) else 0  # off the lower edge
        if drawn:
            moved = (aside, 10 * inward + above) if wide else (0, 0)
            _sketch(axes, W[place], at, _SKETCH if wide else 0.75 * _SKETCH, moved)
        which = int(phase[place])
        if wide and which not in named:  # the regions of one phase have one colour
            named.add(which)
            text = {"superposition": "in superposition"}.get(names[which], names[which]).replace(" ", "\n", 1)
            side = ("top" if inward > 0 else "bottom") if drawn else "center"
            axes.annotate(text, at, (aside, inward * (9 - _SKETCH / 2) + above if drawn else 0),
                          textcoords="offset points", ha="center", va=side, fontsize=9, zorder=6,
                          color="white" if names[which] == "dedicated" else "black")  # fmt: skip


def _looks_like(W: Float[ndarray, "m n"], phase: int) -> bool:
    """Whether the extra feature's colour is nearest to that of its phase: a faint or slight overlap is not orange."""
    (colour,) = phase_colours(feature_norms(W)[-1:], superposition(W)[-1:])
    return int(np.abs(_PHASES - colour).sum(1).argmin()) == phase


def _sketch(
    axes: "Axes", W: Float[ndarray, "m n"], at: tuple[float, float], size: float, moved: tuple[float, float]
) -> None:
    """Draw the columns of W as lines from the origin, the extra feature to the right; what is not stored is a ring."""
    from matplotlib.lines import Line2D
    from matplotlib.offsetbox import AnnotationBbox, DrawingArea

    planar = np.concatenate([W, np.zeros((2 - len(W), W.shape[1]))])
    norms = np.linalg.norm(planar, axis=0)
    strongest = planar[:, -1 if norms[-1] > _FAINT else norms.argmax()]
    angle = np.arctan2(strongest[1], strongest[0])
    planar = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ planar
    area = DrawingArea(size, size)
    for i in range(W.shape[1]):
        colour = _EXTRA if i == W.shape[1] - 1 else _OTHER
        x, y = size / 2 + size * 0.36 * planar[:, i]
        stored = np.linalg.norm(planar[:, i]) > _FAINT
        area.add_artist(Line2D([size / 2, x], [size / 2, y], color=colour, lw=1.5))
        area.add_artist(
            Line2D([x], [y], color=colour, marker="o", ms=4.5 if stored else 6.5, mfc=colour if stored else "none")
        )
    style = {"boxstyle": "round,pad=0.02", "fc": "white", "ec": "none", "alpha": 0.92}
    box = AnnotationBbox(area, at, moved, boxcoords="offset points", pad=0.0, bboxprops=style)
    box.set_zorder(5)
    axes.add_artist(box)


def phase_panel(
    axes: "Axes",
    data: "xr.Dataset",
    norm: Float[ndarray, "P R"],
    superposition: Float[ndarray, "P R"],
) -> None:
    """
    Fill one panel with coloured cells.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    data : xarray.Dataset
        Gives the axes ``density`` and ``importance``.
    norm, superposition : ndarray, shape (P, R)
        What the extra feature looks like in every cell.
    """
    p, r = data["density"].values, data["importance"].values
    colours = phase_colours(norm, superposition).swapaxes(0, 1)
    axes.pcolormesh(_edges(p), _edges(r), colours, shading="flat", rasterized=True)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(p.max(), p.min())
    axes.set_ylim(r.min(), r.max())


def _edges(centres: Float[ndarray, " k"]) -> Float[ndarray, " k+1"]:
    """Edges of cells whose centres are evenly spaced in the logarithm."""
    logs = np.log(centres)
    half = (logs[1] - logs[0]) / 2
    return np.exp(np.concatenate([logs - half, logs[-1:] + half]))


def _widest_place(region: ndarray) -> tuple[tuple[int, int], int]:
    """The cell that lies deepest inside a region, and how many cells deep."""
    from scipy.ndimage import distance_transform_cdt

    depth = distance_transform_cdt(np.pad(region, 1), metric="chessboard")[1:-1, 1:-1]
    places = np.argwhere(depth >= 0.9 * depth.max())
    middle = places[np.abs(places - places.mean(0)).sum(1).argmin()]
    return (int(middle[0]), int(middle[1])), int(depth.max())


def _ideal_looks(data: "xr.Dataset") -> tuple[ndarray, ndarray]:
    """Norm and superposition of the extra feature in the best idealised candidate: 0 or 1 each."""
    phase = data["ideal_phase"].values
    return (phase > 0).astype(float), (phase == 2).astype(float)
