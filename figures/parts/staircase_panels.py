"""The picture of the staircase: averages, dimensionalities, and what training misses."""

from figures.shared.script import COLOURS, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["NAMED", "SHORT", "draw"]

# Dimensionalities that the slides name, and their polytopes.
NAMED = {
    1: "dedicated",
    3 / 4: "tetrahedron",
    2 / 3: "triangle",
    1 / 2: "digon",
    2 / 5: "pentagon",
    3 / 8: "square antiprism",
    0: "unrepresented",
}
# Features with shorter columns are unrepresented.
SHORT = 0.2


def draw(data: xr.Dataset) -> "Figure":
    """
    Draw averages, dimensionalities and losses over 1/(1-S).

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.staircase.compute`` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    figure = new_figure(11.0, 10.5)
    above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=(1, 1.6, 0.6))
    _draw_averages(above, data)
    _draw_dimensionalities(middle, data)
    _draw_excess(below, data)
    x = 1 / data["density"].values
    below.set_xscale("log")
    below.set_xlim(x.min() * 0.95, x.max() * 1.05)
    below.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    below.minorticks_off()
    below.set_xlabel("1 / (1 − S)      (dense → sparse)")
    return figure


def _draw_averages(axes: "Axes", data: xr.Dataset) -> None:
    x, trained = 1 / data["density"].values, 1 / data["trained"].values
    for level in (1.0, 0.5):
        axes.axhline(level, color="0.8", lw=0.8, zorder=0)
    axes.plot(x, data["dimensions_per_feature"], color=COLOURS[0], lw=2, label="best tegum product")
    axes.plot(trained, data["learned_average"], "o", color="0.35", ms=5, label="trained")
    axes.set_ylabel(r"dimensions per feature" "\n" r"$m / \|W\|_F^2$")
    axes.set_ylim(0, 1.1)
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    axes.set_title(f"n = {data.attrs['n']} equal features in m = {data.attrs['m']} dimensions", fontsize=10, loc="left")


def _draw_dimensionalities(axes: "Axes", data: xr.Dataset) -> None:
    """Marks for the factors, their area the number of features they hold; dots for trained features."""
    norm, D = data["learned_norm"].values, data["learned_dimensionality"].values
    rng = np.random.default_rng(0)
    x = np.broadcast_to(1 / data["trained"].values[:, None], D.shape) * np.exp(rng.uniform(-0.025, 0.025, D.shape))
    shown = norm >= SHORT
    axes.plot(x[shown], D[shown], "o", color="0.35", ms=2.5, alpha=0.4, mew=0, zorder=3)
    axes.plot([], [], "o", color="0.35", ms=4, label="trained features")
    for level, name in NAMED.items():
        axes.axhline(level, color="0.85", lw=0.8, zorder=0)
        place = level - 0.012 * (name == "square antiprism") + 0.008 * (name == "pentagon")  # two that are close
        axes.text(1.0, place, f" {name}", transform=axes.get_yaxis_transform(), va="center", fontsize=9, color="0.35")
    x = 1 / data["density"].values
    used = [str(name) for name in data["factor"].values if name != "unrepresented"]
    for k, name in enumerate(used):
        count = data["multiplicity"].sel(factor=name).values
        if not count.any():
            continue
        axes.scatter(
            x,
            data["dimensionality"].sel(factor=name).values,
            s=8 + 40 * np.sqrt(count / count.max()) * (count > 0),
            color=COLOURS[k % 6],
            marker="os^Dv"[(k // 6) % 5],
            label=name,
            lw=0,
            zorder=2,
        )
    axes.set_ylim(-0.03, 1.08)
    axes.set_ylabel("dimensionality $D_i$")
    axes.legend(framealpha=1, edgecolor="none", fontsize=9, ncols=3, loc="upper right")


def _draw_excess(axes: "Axes", data: xr.Dataset) -> None:
    axes.axhline(0, color=COLOURS[0], lw=2)
    axes.plot(1 / data["trained"].values, 100 * data["excess"].values, "o", color="0.35", ms=5)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_yticks([-10, -1, 0, 1, 10], ["-10", "-1", "0", "1", "10"])
    axes.set_ylim(-60, 10)
    axes.set_ylabel("trained loss above\nbest product's (%)")
