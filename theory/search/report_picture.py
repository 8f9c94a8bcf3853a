"""The picture of a report: W, W^T W, dimensionalities with their named levels, and every feature's balance."""

from typing import TYPE_CHECKING

import numpy as np

from theory.geometry.pictures import FEW, draw_couplings, draw_embedding

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_report"]

# Levels of the dimensionality that have names.
LEVELS = ((1.0, "dedicated"), (3 / 4, "tetrahedron"), (2 / 3, "triangle"), (1 / 2, "digon"), (2 / 5, "pentagon"),
          (3 / 8, "antiprism"))  # fmt: skip
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#E69F00", "#009E73", "#8C8C8C"


def draw_report(data: "xr.Dataset", first: int = 6) -> "Figure":
    """
    Draw a report, one row of four panels per instance.

    Parameters
    ----------
    data : xarray.Dataset
        As in ``ModelReport.data``.
    first : int
        Instances to draw at most.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    from theory.tools.shown_figure import ShownFigure

    rows = min(first, data.sizes["instance"])
    figure = ShownFigure(figsize=(14, 0.4 + 3.5 * rows), layout="constrained", dpi=110, facecolor="white")
    grid = figure.add_gridspec(rows, 4, width_ratios=(1.1, 1.1, 1.2, 1.5))
    for k in range(rows):
        one = data.isel(instance=k)
        axes = [figure.add_subplot(grid[k, column]) for column in range(4)]
        draw_embedding(one["W"].values, axes[0])
        axes[0].set_title(f"model {k}: {_short(str(one['geometry'].values))}", fontsize=10, loc="left")
        draw_couplings(one["W"].values, axes[1], one["W_out"].values if "W_out" in one else None)
        _draw_dimensionality(axes[2], one)
        _draw_balance(axes[3], one)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= 34 else name[:31] + "..."


def _draw_dimensionality(axes: "Axes", one: "xr.Dataset") -> None:
    D = one["dimensionality"].values
    m, n = one["W"].shape
    low = D.max() < min(level for level, _ in LEVELS)  # evenly shared by many, below every polytope
    for level, name in [(m / n, "all alike: m/n")] if low else LEVELS:
        axes.axhline(level, color="0.8", lw=0.8, zorder=0)
        side = {"pentagon": "bottom", "antiprism": "top"}.get(name, "center")
        axes.text(1.01, level, name, fontsize=7, va=side, transform=axes.get_yaxis_transform(), color="0.35")
    axes.plot(np.arange(n), D, "o", color=_BLUE, ms=6 if n <= FEW else 2.5)
    top = 1.3 * max(D.max(), m / n) if low else 1.08
    axes.set(ylim=(-0.05 * top, top), xlim=(-0.6, n - 0.4), xlabel="feature", ylabel="dimensionality  $D_i$")
    if n <= 12:
        axes.set_xticks(range(n))


def _draw_balance(axes: "Axes", one: "xr.Dataset") -> None:
    """What representing a feature saves, and what the others cost it."""
    n = one.sizes["feature"]
    at = np.arange(n)
    benefit, suffered, worth = (one[name].values for name in ("benefit", "interference_received", "worth"))
    axes.bar(at, benefit, color=_GREEN, width=0.8, label="benefit")
    axes.bar(at, -suffered, color=_ORANGE, width=0.8, label="interference")
    axes.plot(at, worth, "_", color="black", ms=9 if n <= FEW else 2, label="worth")
    axes.axhline(0, color="0.4", lw=0.8)
    axes.set(xlim=(-0.6, n - 0.4), xlabel="feature", ylabel="saved (+) and lost (−), of the loss")
    loss, gap, status = float(one["loss"]), float(one["gap"]), str(one["status"].values)
    word = "best known" if status == "best known" else "optimum"
    unit = " of the zero model's loss" if str(one["arrangement"].values) == "not determined" else ""
    told = "" if status == "not searched" else f", {round(gap, 6) + 0.0:+.2%}{unit} against {word}"
    axes.set_title(f"loss {loss:.5g}{told}", fontsize=10, loc="left")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.38 * (high - low))
    axes.legend(fontsize=7, frameon=False, loc="upper left", ncols=3, columnspacing=0.8, handlelength=1.2)
    if n <= 12:
        axes.set_xticks(range(n))
