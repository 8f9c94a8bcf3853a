"""The picture of the staircase: averages, dimensionalities, and the band of losses."""

from figures.shared.script import COLOURS, headline, new_figure

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
SHORT = 0.25
_LEARNED, _BEST, _BELOW = "0.35", COLOURS[0], COLOURS[5]


def draw(data: xr.Dataset) -> "Figure":
    """
    Draw averages, dimensionalities, shares and losses over 1/(1-S).

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.staircase.compute`` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    figure = new_figure(12.0, 11.5)
    panels = figure.subplots(4, 1, sharex=True, height_ratios=(0.9, 1.5, 0.75, 0.9))
    for axes, panel in zip(panels, (_draw_averages, _draw_dimensionalities, _draw_shares, _draw_band), strict=True):
        panel(axes, data)
        axes.spines[["top", "right"]].set_visible(False)
    x, last = 1 / data["density"].values, panels[-1]
    last.set_xscale("log")
    last.set_xlim(x.min() * 0.94, x.max() * 1.06)
    last.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    last.minorticks_off()
    last.set_xlabel("1 / (1 − S)      (dense → sparse)", fontsize=12)
    headline(figure, _title(data))
    return figure


def _title(data: xr.Dataset) -> str:
    """What was found, by its numbers."""
    learned, below = data["learned_loss"].values, data["below_loss"].values[:, None]
    lower = int((learned < below).sum())
    who = "every trained model lies" if not lower else f"{learned.size - lower} of {learned.size} trained models lie"
    return (
        f"{data.attrs['n']} equal features in {data.attrs['m']} dimensions: {who} above the predicted floor, "
        "and the staircase of polytopes ends where even frames, D = m/k, begin to pay"
    )


def _draw_averages(axes: "Axes", data: xr.Dataset) -> None:
    x = 1 / data["density"].values
    for level in (1.0, 0.5):
        axes.axhline(level, color="0.8", lw=0.8, zorder=0)
    axes.plot(x, data["best_average"], color=_BEST, lw=2.5, label="best known arrangement")
    axes.plot(x, data["below_average"], color=_BELOW, lw=1.5, ls="--", label="even frame, predicted")
    axes.plot(x, data["learned_average"], "o", color=_LEARNED, ms=4)
    axes.plot([], [], "o", color=_LEARNED, ms=4, label="trained models")
    axes.set_ylabel("dimensions per\nfeature " r"$m / \|W\|_F^2$")
    axes.set_ylim(0, 1.15)
    axes.legend(frameon=False, fontsize=10, loc="upper right")


def _draw_dimensionalities(axes: "Axes", data: xr.Dataset) -> None:
    """Squares for the best arrangement, their area the number of features there; dots for trained features."""
    norm, D = data["learned_norm"].values, data["learned_dimensionality"].values
    density = data["density"].values
    rng = np.random.default_rng(0)
    x = np.broadcast_to(1 / density[:, None, None], D.shape) * np.exp(rng.uniform(-0.03, 0.03, D.shape))
    shown = norm >= SHORT
    axes.plot(x[shown], D[shown], "o", color=_LEARNED, ms=2, alpha=0.3, mew=0, zorder=2, rasterized=True)
    for level, name in NAMED.items():
        axes.axhline(level, color="0.87", lw=0.8, zorder=0)
        place = level - 0.018 * (name == "square antiprism") + 0.012 * (name == "pentagon")  # two that are close
        axes.text(1.0, place, f" {name}", transform=axes.get_yaxis_transform(), va="center", fontsize=10, color="0.3")
    for k in range(len(density)):
        values, counts = np.unique(data["best_dimensionality"].values[k].round(2), return_counts=True)
        axes.scatter(np.full(len(values), 1 / density[k]), values, s=14 + 5 * np.sqrt(counts) ** 1.3, marker="s",
                     facecolor="none", edgecolor=_BEST, lw=1.4, zorder=3)  # fmt: skip
    axes.plot(1 / density, data["below_dimensionality"], color=_BELOW, lw=1.5, ls="--", zorder=4)
    axes.plot([], [], "o", color=_LEARNED, ms=4, label="features of trained models")
    axes.scatter(
        [], [], marker="s", facecolor="none", edgecolor=_BEST, lw=1.4, label="features of the best arrangement"
    )
    axes.plot([], [], color=_BELOW, lw=1.5, ls="--", label="even frame, predicted: m/k")
    axes.set_ylim(-0.07, 1.12)
    axes.set_ylabel("dimensionality $D_i$")
    axes.legend(framealpha=0.9, edgecolor="none", fontsize=10, loc="upper right")


def _draw_shares(axes: "Axes", data: xr.Dataset) -> None:
    """Which part of the trained features is at each named value."""
    x = 1 / data["density"].values
    for k, (value, name) in enumerate(item for item in NAMED.items() if item[0] not in (0, 1)):
        axes.plot(x, 100 * data["share"].sel(value=value), marker="osv^D"[k], ms=4, lw=1.2, color=COLOURS[k],
                  label=f"{value:.3g} {name}")  # fmt: skip
    axes.set_ylim(-3, 103)
    axes.set_ylabel("trained features\nat a value (%)")
    axes.legend(frameon=False, fontsize=10, loc="upper right", ncols=2)


def _draw_band(axes: "Axes", data: xr.Dataset) -> None:
    """Losses above the estimate, in per cent of it."""
    x, below = 1 / data["density"].values, data["below_loss"].values
    best, product, learned = (
        100 * (data[f"{name}_loss"].values.T / below - 1) for name in ("best", "product", "learned")
    )
    axes.fill_between(x, 0, best, color=_BEST, alpha=0.2, lw=0, label="between estimate and best known")
    axes.plot(x, product, color=COLOURS[2], lw=1.5, ls=":", label="best product of polytopes and codes")
    axes.axhline(0, color=_BELOW, lw=1.5, ls="--", label="estimate: even frame, predicted")
    axes.plot(x, learned.T, "o", color=_LEARNED, ms=4)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    axes.set_ylim(min(-0.3, float(learned.min()) - 0.3), max(250.0, float(learned.max()) * 5))
    axes.set_ylabel("loss above the\nestimate (%)")
    axes.legend(frameon=False, fontsize=10, loc="upper center", ncols=3)
