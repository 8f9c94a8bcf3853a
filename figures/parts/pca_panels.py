"""The picture of the PCA-like regime."""

from figures.shared.script import COLOURS, headline, new_figure

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

__all__ = ["COUNTS", "HIGH", "LOW", "SETS", "STATED", "draw"]

SETS = [[0, 1], [2, 3], [4, 5]]
# None of them collapsed, one, two, all.
COUNTS = 4
LOW, HIGH = 0.02, 0.6
# What the slides state: lowest and highest density for each number of collapsed sets.
STATED = {0: (0.0, 0.05), 1: (0.05, 0.15), 2: (0.15, 0.2), 3: (0.25, 0.5)}
_MARKERS = "osD^"
# In the logarithm of a loss, from one density to the next.
_JUMP = 0.2


def draw(data: xr.Dataset) -> "Figure":
    """Number of collapsed sets above, losses and shapes below."""
    figure = new_figure(10.5, 10.6)
    top, middle, bottom = figure.subplots(3, 1, height_ratios=(1, 0.42, 1.15))
    _draw_counts(top, data)
    _draw_shapes(middle, data)
    _draw_losses(bottom, data)
    for axes in (top, bottom):
        _density_axis(axes)
    top.set_xlabel("")
    places = [f"{p:.3f}" for p in data["transition"].values[::-1]]
    headline(
        figure,
        f"Correlated pairs collapse one by one as features grow denser: from dense to sparse the optimum changes at "
        f"densities {', '.join(places)}",
    )
    return figure


def _density_axis(axes: "Axes") -> None:
    axes.set_xscale("log")
    axes.set_xlim(1.05 * HIGH, LOW / 1.05)
    ticks = [0.6, 0.4, 0.25, 0.2, 0.15, 0.1, 0.05, 0.02]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_xlabel("density of a set  $1-S$      (dense → sparse)")


def _draw_shapes(axes: "Axes", data: xr.Dataset) -> None:
    """The optimum between every two transitions, from dense to sparse, in a row of its own."""
    axes.axis("off")
    p, best = data["density"].values, np.nanargmin(data["loss"].values, axis=1)
    # Runs of densities with one count of collapsed sets; the shape in the middle of each.
    ends = [0, *(np.flatnonzero(np.diff(best)) + 1), len(p)]
    middles = [(start + stop) // 2 for start, stop in pairwise(ends)][::-1]
    for place, k in enumerate(middles):
        width = 1 / len(middles)
        inset = axes.inset_axes((place * width, -0.05, width, 1.0))
        _draw_vertices(inset, data["W"].values[k, best[k]], f"{best[k]} collapsed, p = {p[k]:.2g}")


def _draw_counts(axes: "Axes", data: xr.Dataset) -> None:
    p = data["transition"].values
    levels = [int(data["before"].values[0]), *data["after"].values.astype(int)]
    axes.stairs(levels, [LOW, *p, HIGH], baseline=None, color="black", lw=2.2, label="exact optimum")
    for count, (low, high) in STATED.items():
        axes.plot([max(low, LOW), high], [count + 0.16] * 2, color=COLOURS[5], lw=5, solid_capstyle="butt",
                  label="stated on the slides" if count == 0 else None)  # fmt: skip
    counts, places = data["run_collapsed"].values, data["run_density"].values
    for count in range(COUNTS):
        share = (counts == count).mean(1)
        axes.scatter(places, np.full(len(places), count - 0.2), s=260 * share, color=COLOURS[0], lw=0)
    axes.scatter([], [], s=100, color=COLOURS[0], lw=0, label="learned (area: share of the runs)")
    for x in p:
        axes.annotate(f"{x:.4f}", (x, 0.0), xycoords=axes.get_xaxis_transform(), xytext=(-3, 4), ha="right",
                      textcoords="offset points", fontsize=9)  # fmt: skip
        axes.axvline(x, color="0.7", lw=0.8, zorder=0)
    axes.set_yticks(range(COUNTS))
    axes.set_ylim(-0.75, 3.6)
    axes.set_ylabel("collapsed sets")
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    axes.set_title(
        "(a) 3 sets of 2 correlated features, n = 6, m = 2; optima between the steps below", fontsize=10, loc="left"
    )


def _broken(ratio: "ndarray") -> "ndarray":
    """Break a curve where it goes over to another minimum with as many collapsed sets."""
    jumps = np.abs(np.diff(np.log(ratio), prepend=np.log(ratio[:1]))) > _JUMP
    alone = jumps & np.r_[jumps[1:], True]
    return np.where(jumps & ~alone, np.nan, ratio)


def _draw_losses(axes: "Axes", data: xr.Dataset) -> None:
    p, loss = data["density"].values, data["loss"].values
    best = np.nanmin(loss, axis=1)
    runs, counts = data["run_loss"].values, data["run_collapsed"].values
    places = data["run_density"].values
    at_runs = np.exp(np.interp(np.log(places), np.log(p), np.log(best)))
    for count in range(COUNTS):
        axes.plot(
            p, _broken(loss[:, count] / best), ".-", ms=3, color=COLOURS[count], lw=1.8, label=f"{count} collapsed"
        )
        k, run = np.nonzero(counts == count)
        shift = np.exp(0.018 * (count - 1.5))
        axes.plot(places[k] * shift, runs[k, run] / at_runs[k], _MARKERS[count], color=COLOURS[count], ms=4, alpha=0.5,
                  mew=0)  # fmt: skip
    axes.set_yscale("log")
    axes.set_yticks([1, 1.5, 2, 3, 4, 6], ["1", "1.5", "2", "3", "4", "6"])
    axes.set_ylim(0.9, 6)
    axes.set_ylabel("loss / lowest exact loss")
    axes.set_title("(b) what another number of collapsed sets costs", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=9, loc="upper left", title="lines: exact minima; points: learned",
                title_fontsize=9, ncols=2)  # fmt: skip


def _draw_vertices(axes: "Axes", W: "ndarray", title: str) -> None:
    for s, members in enumerate(SETS):
        for k, j in enumerate(members):
            axes.plot([0, W[0, j]], [0, W[1, j]], color=COLOURS[s + 4], lw=1.2)
            axes.plot(
                W[0, j], W[1, j], "osD"[s], color=COLOURS[s + 4], mfc="none" if k else COLOURS[s + 4], ms=4 + 2 * k
            )
    axes.set_xlim(-1.3, 1.3)
    axes.set_ylim(-1.3, 1.3)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(title, fontsize=9, pad=2)
