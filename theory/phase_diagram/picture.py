"""Pictures of theory's datasets, shared by the commands and the figure scripts."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from theory.geometry.phases import UNDETERMINED, ideal_candidates
from theory.model.variant import Variant
from theory.phase_diagram.labels import EXTRA_COLOUR, OTHERS_COLOUR, Labels
from theory.phase_diagram.lines import boundary_segments, ideal_boundaries, ideal_uprights, uprights
from theory.phase_diagram.text import headline

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = [
    "draw_exact",
    "draw_ideal",
    "draw_phase_diagram",
    "phase_colours",
    "phase_panel",
    "picture_legend",
]

_ABSENT, _DEDICATED, _SHARED = (np.array(c) for c in ((0.93, 0.93, 0.92), (0.17, 0.42, 0.69), (0.92, 0.55, 0.14)))
_LINE = "#1a1a1a"
# Line styles by order of the transition; widths of lines between phases and within one.
_STYLES: dict[int, Any] = {1: "-", 2: (0, (2.5, 1.5))}
_BETWEEN, _WITHIN = 1.6, 0.8
# Cells whose loss is zero.
_HATCHED: dict[str, Any] = {"fc": "white", "ec": "#BBBBBB", "lw": 0, "hatch": "////", "zorder": 1.5}
# Upright lines at least so long, as a part of the axis, have their density beside them.
_LONG = 0.2
# Characters of a title per inch.
_CHARACTERS = 12.2


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
    figure = ShownFigure(figsize=(9.6 if zoom is None else 13.6, 5.4), layout="constrained", dpi=150)
    panels = figure.subplots(1, 2 if zoom is None else 3)
    shown = [data, data, *(() if zoom is None else (zoom,))]
    for axes, one in zip(panels, shown, strict=True):
        _set_axes(axes, one)
        axes.set_xlabel("density  $1-S$      (dense → sparse)")
    panels[0].set_ylabel("relative importance of the extra feature")
    panels[0].set_title("idealised candidates (norm 1, bias fixed)", fontsize=10)
    panels[1].set_title("exact optimum over all $(W, b)$", fontsize=10)
    panels[1].tick_params(labelleft=False)
    variant = Variant.read(data.attrs)
    most = int(_CHARACTERS * figure.get_figwidth())
    title = [line for text in (headline(data), variant) for line in _in_lines(text, most)]
    figure.suptitle("\n".join(title), fontsize=11)
    free = any((one[name] == UNDETERMINED).any() for one in shown for name in ("phase", "ideal_phase"))
    _add_legend(figure, bool(free), data.attrs["m"] <= 2)
    if zoom is not None:
        panels[2].spines[:].set(color=EXTRA_COLOUR, linewidth=1.6)
        panels[2].set_title("the frame, on a finer grid", fontsize=10)
    figure.draw_without_rendering()  # labels are placed in panels of their final size
    draw_ideal(panels[0], data)
    if zoom is not None:
        (p_low, p_high), (r_low, r_high) = (zoom[name].values[[0, -1]] for name in ("density", "importance"))
        frame = Rectangle((p_low, r_low), p_high - p_low, r_high - r_low, fill=False, ec=EXTRA_COLOUR, lw=1.2, zorder=4)
        panels[1].add_patch(frame)
        draw_exact(panels[2], zoom)
    draw_exact(panels[1], data)
    return figure


def _in_lines(text: str, most: int) -> list[str]:
    """Break a title that is longer than this after semicolons or, without them, commas."""
    if len(text) <= most:
        return [text] if text else []
    sign = "; " if "; " in text else ", "
    first, found, rest = text.partition(sign)
    return [first + found.rstrip(), *_in_lines(rest, most)] if rest else [text]


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
    phase = data["ideal_phase"].values
    colours = phase_panel(axes, data, *_ideal_looks(phase), phase == UNDETERMINED)
    curves = [np.stack([p, r], 1) for p, r, _ in ideal_boundaries(data)]
    uprights = [(p, low, high) for p, low, high in ideal_uprights(data)]
    for curve in curves:
        axes.plot(*curve.T, color=_LINE, lw=_BETWEEN)
    for p, low, high in uprights:
        axes.plot([p, p], [low, high], color=_LINE, lw=_WITHIN)
    lines = [*curves, *(np.array([[p, low], [p, high]]) for p, low, high in uprights)]
    labels = Labels(axes, data["density"].values, data["importance"].values, colours, lines)
    _label_uprights(labels, data, [(*line, _as_fraction(line[0])) for line in uprights])
    winner = data["ideal_winner"].values
    embeddings = [candidate.embedding for candidate in ideal_candidates(data.attrs["n"], data.attrs["m"]).values()]
    labels.regions(np.where(phase == UNDETERMINED, -1, winner), phase, np.array(embeddings)[winner], sketches)


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
    phase = data["phase"].values
    colours = phase_panel(axes, data, data["norm"].values, data["superposition"].values, phase == UNDETERMINED)
    lines = []
    for line, order, within in boundary_segments(data):
        axes.plot(*line.T, color=_LINE, lw=_WITHIN if within else _BETWEEN, ls=_STYLES[order], solid_capstyle="round")
        lines.append(line)
    labels = Labels(axes, data["density"].values, data["importance"].values, colours, lines)
    _label_uprights(labels, data, [(p, low, high, f"{p:.3f}") for p, low, high in uprights(data)])
    labels.regions(_regions(data), phase, data["W"].values, sketches)


def _label_uprights(labels: Labels, data: "xr.Dataset", lines: list[tuple[float, float, float, str]]) -> None:
    """Say at which densities the others go from one arrangement to another."""
    bottom, top = data["importance"].values[[0, -1]]
    for p, low, high, value in lines:
        if np.log(high / low) >= _LONG * np.log(top / bottom):
            labels.density(p, low, high, f"p = {value}")


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
        Line2D([], [], color=_LINE, lw=_BETWEEN, label="first order: the optimum jumps to another phase"),
        Line2D([], [], color=_LINE, lw=_WITHIN, label="first order within a phase; ends where $W$ no longer jumps"),
        Line2D([], [], color=_LINE, lw=_BETWEEN, ls=_STYLES[2], label="continuous transition"),
        Line2D([], [], color=EXTRA_COLOUR, label="the extra feature's $W_i$", **dot),
        Line2D([], [], color=OTHERS_COLOUR, label="the others'", **dot),
    ]


def _add_legend(figure: "Figure", free: bool, sketches: bool) -> None:
    """Explain colours, lines and, if there are any, sketches, in a column each, and cells of loss zero."""
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.patches import Patch

    frame: dict[str, Any] = {"ec": "#999999", "lw": 0.5}
    blend = tuple(Patch(fc=phase_colours(np.array(1.0), np.array(mix))) for mix in np.linspace(0, 1, 9))
    entries: list[tuple[Any, str]] = [
        (Patch(fc=_ABSENT, **frame), "not represented (paler: shorter $W_i$)"),
        (Patch(fc=_DEDICATED, **frame), "dedicated"),
        (blend, "in superposition (bluer: less overlap)"),
        *((line, str(line.get_label())) for line in picture_legend()[: None if sketches else -2]),
        *([(Patch(**_HATCHED | {"lw": 0.5}), "loss zero: not determined")] if free else []),
    ]
    handles, labels = zip(*entries, strict=True)
    drawn = {tuple: HandlerTuple(ndivide=None, pad=0)}
    figure.legend(handles, labels, handler_map=drawn, loc="outside lower center", ncols=3, frameon=False, fontsize=9)


def _as_fraction(p: float) -> str:
    """A density as a fraction, if it is one of small numbers."""
    fraction = Fraction(p).limit_denominator(20)
    return str(fraction) if abs(float(fraction) - p) < 1e-4 else f"{p:.3f}"


def _set_axes(axes: "Axes", data: "xr.Dataset") -> None:
    """Logarithmic axes, dense to sparse; those of less than two decades have labels of their own."""
    p, r = data["density"].values, data["importance"].values
    axes.set(xscale="log", yscale="log", xlim=(p.max(), p.min()), ylim=(r.min(), r.max()))
    _label_short_axes(axes, data)


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
    """Number the regions: cells with no transition between them belong together, if both are determined or neither."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    number = np.arange(data["phase"].size).reshape(data["phase"].shape)
    low = np.concatenate([number[:-1].ravel(), number[:, :-1].ravel()])
    high = np.concatenate([number[1:].ravel(), number[:, 1:].ravel()])
    crossed = set(zip(data["boundary_cell"].values.tolist(), data["boundary_neighbour"].values.tolist(), strict=True))
    free = np.array([edge not in crossed for edge in zip(low.tolist(), high.tolist(), strict=True)], dtype=bool)
    known = data["phase"].values.ravel() != UNDETERMINED
    free &= known[low] == known[high]
    graph = coo_array((np.ones(free.sum()), (low[free], high[free])), shape=(number.size,) * 2)
    return np.asarray(connected_components(graph, directed=False)[1]).reshape(number.shape)


def phase_panel(
    axes: "Axes",
    data: "xr.Dataset",
    norm: Float[ndarray, "P R"],
    superposition: Float[ndarray, "P R"],
    undetermined: Bool[ndarray, "P R"] | None = None,
) -> Float[ndarray, "P R 3"]:
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
    undetermined : ndarray of bool, shape (P, R), optional
        Cells that are hatched: those where nothing is determined.

    Returns
    -------
    ndarray, shape (P, R, 3)
        The cells' colours.
    """
    from matplotlib.patches import Rectangle

    p, r = (_edges(data[name].values) for name in ("density", "importance"))
    colours = phase_colours(norm, superposition)
    if undetermined is not None:
        colours[undetermined] = 1.0
        for i, row in enumerate(undetermined):
            ends = np.flatnonzero(np.diff(row, prepend=False, append=False))
            for low, high in zip(ends[::2], ends[1::2], strict=True):
                axes.add_patch(Rectangle((p[i], r[low]), p[i + 1] - p[i], r[high] - r[low], **_HATCHED))
    axes.pcolormesh(p, r, colours.swapaxes(0, 1), shading="flat", rasterized=True)
    _set_axes(axes, data)
    return colours


def _edges(centres: Float[ndarray, " k"]) -> Float[ndarray, " k+1"]:
    """Edges of cells whose centres are evenly spaced in the logarithm."""
    logs = np.log(centres)
    half = (logs[1] - logs[0]) / 2
    return np.exp(np.concatenate([logs - half, logs[-1:] + half]))


def _ideal_looks(phase: Int[ndarray, "P R"]) -> tuple[ndarray, ndarray]:
    """Norm and superposition of the extra feature in the best idealised candidate: 0 or 1 each."""
    return (phase > 0).astype(float), (phase == 2).astype(float)
