"""The picture of the privileged basis: W neuron by neuron, counts and losses."""

from figures.shared.script import COLOURS, headline, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.parts.privileged_measures import MODELS, MONOSEMANTIC, M, N, best, monosemantic, of_best

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

__all__ = ["draw"]


def draw(data: xr.Dataset) -> "Figure":
    """
    Draw neurons above, counts and losses below.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    figure = new_figure(13.0, 10.0)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.45, 1))[:, 0]
    shown = range(data.sizes["density"])
    panels = above.subplots(2, len(shown), sharex=True, sharey="row")
    chosen = best(data)
    for j, label in enumerate(MODELS.values()):
        for axes, k in zip(panels[j], shown, strict=True):
            _draw_neurons(axes, data["W"].values[j, k, chosen[j, k]])
            if not j:
                axes.set_title(f"p = {data['density'].values[k]:g}", fontsize=11)
        drawn = data["W"].values[j, shown, chosen[j, shown]]
        reach = [np.where(s * drawn > 0, drawn, 0).sum(-1) for s in (-1, 1)]
        panels[j, 0].set_ylim(1.08 * reach[0].min(), 1.08 * reach[1].max())
        panels[j, 0].set_ylabel(f"{label}\nweights of the neuron", fontsize=9)
    for axes in panels[1]:
        axes.set_xlabel("neuron", fontsize=9)
    above.suptitle("(a) W, neuron by neuron", fontsize=11, x=0.02, ha="left")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    above.legend(handles, labels, loc="outside lower center", ncol=N, frameon=False, fontsize=9,
                 title="feature, most important first", columnspacing=1.2, handlelength=1)  # fmt: skip
    left, middle, right = below.subplots(1, 3)
    _draw_counts(left, data)
    _draw_rotations(middle, data)
    _draw_losses(right, data)
    counts = of_best(data, monosemantic(data, MONOSEMANTIC))
    p = data["density"].values
    headline(
        figure,
        f"A ReLU on the hidden layer makes neurons readable: {counts[0].max():.0f} of {M} are monosemantic at density "
        f"{p[counts[0].argmax()]:g}, {counts[0, p.argmin()]:.0f} at {p.min():g}; without it "
        f"{counts[1].max():.0f} at most",
    )
    return figure


def _draw_neurons(axes: "Axes", W: "ndarray") -> None:
    """Stacked bars: positive weights upwards, negative ones downwards."""
    import matplotlib

    order = np.lexsort((-np.abs(W).max(1), np.abs(W).argmax(1)))
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.95, N))
    for sign in (1, -1):
        bottom = np.zeros(M)
        for i in range(N):
            height = np.where(sign * W[order, i] > 0, W[order, i], 0)
            label = str(i + 1) if sign > 0 else None
            axes.bar(np.arange(M) + 1, height, 0.8, bottom, color=colours[i], label=label, edgecolor="white", lw=0.4)
            bottom += height
    axes.axhline(0, color="black", lw=0.8)
    axes.use_sticky_edges = False
    axes.set_xticks(np.arange(M) + 1)


def _draw_counts(axes: "Axes", data: xr.Dataset) -> None:
    p = data["density"].values
    low, mid, high = (of_best(data, monosemantic(data, t)) for t in (0.95, MONOSEMANTIC, 0.7))
    for j, label in enumerate(MODELS.values()):
        colour, x = COLOURS[(0, 5)[j]], p * (1.05, 0.95)[j]
        axes.errorbar(x, mid[j], [mid[j] - low[j], high[j] - mid[j]], fmt="os"[j], color=colour, ms=7, capsize=4,
                      label=f"{label}, best")  # fmt: skip
        axes.plot(x, monosemantic(data)[j].mean(1), color=colour, lw=1, label="mean of instances" if not j else None)
    chance = (data["rotated_share"].values[0] > MONOSEMANTIC).sum(-1).mean((1, 2))
    axes.plot(p, chance, color=COLOURS[6], ls="--", lw=1.4, label="randomly rotated")
    _density_axis(axes, data)
    axes.set_ylim(-0.2, 7.6)
    axes.set_yticks(range(M + 1))
    axes.set_ylabel("monosemantic neurons")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    axes.set_title("(b) monosemantic neurons of 5", fontsize=11, loc="left")


def _draw_rotations(axes: "Axes", data: xr.Dataset) -> None:
    for j, label in enumerate(MODELS.values()):
        values = data["rotated"].values[j].reshape(data.sizes["density"], -1)
        mid = np.median(values, axis=1)
        spread = np.quantile(values, [0.1, 0.9], axis=1)
        axes.errorbar(data["density"], mid, np.abs(spread - mid), fmt="os"[j], color=COLOURS[(0, 5)[j]], ms=7,
                      capsize=4, label=label)  # fmt: skip
    axes.axhline(1, color=COLOURS[6], lw=1)
    axes.set_yscale("log")
    _density_axis(axes, data)
    axes.set_ylabel("loss after a rotation / loss\n(median, 10 to 90 %)")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set_title("(c) what a rotation costs", fontsize=11, loc="left")


def _draw_losses(axes: "Axes", data: xr.Dataset) -> None:
    p = data["density"].values
    axes.axhline(1, color="black", lw=1.4, label="monosemantic, theory")
    axes.plot(p, data["pairing"], color=COLOURS[5], lw=1.4, ls="--", label="ideal pairing, no hidden ReLU")
    for j, label in enumerate(MODELS.values()):
        x = np.repeat(p, data.sizes["instance"])
        axes.plot(x, data["loss"].values[j].ravel(), "os"[j], color=COLOURS[(0, 5)[j]], ms=4, alpha=0.4)
        axes.plot(p, data["loss"].values[j].min(1), "os"[j], color=COLOURS[(0, 5)[j]], ms=7, label=label)
    axes.set_ylim(0, 1.75)  # room for the legend
    _density_axis(axes, data)
    axes.set_ylabel("loss (monosemantic = 1)")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    axes.set_title("(d) loss of all instances, best large", fontsize=11, loc="left")


def _density_axis(axes: "Axes", data: xr.Dataset) -> None:
    axes.set_xscale("log")
    axes.set_xlim(1.5, 0.65 * float(data["density"].min()))
    axes.set_xlabel("density  $1-S$      (dense → sparse)")
