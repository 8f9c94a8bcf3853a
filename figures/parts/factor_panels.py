"""The picture of principal components and shared factors: curves, bars, columns and cosines."""

from figures.shared.script import COLOURS, headline, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.parts.factor_measures import PAIRS, STRAIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

# Densities whose best solutions are shown.
_SHOWN = (0.05, 0.2, 0.4, 0.5, 0.9)
_NAMES = ("variance lost", "$W^TW$ off a projection", "loss saved against PCA")


def draw(data: xr.Dataset) -> "Figure":
    """
    Draw curves and bars above, columns and cosines below.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    figure = new_figure(13.5, 10.0)
    grid = figure.add_gridspec(3, 10, height_ratios=(1.45, 1, 1))
    _likeness(figure.add_subplot(grid[0, :5]), data)
    _bars(figure.add_subplot(grid[0, 5:]), data)
    p = data["pca_density"].values
    shown = sorted({int(np.abs(p - at).argmin()) for at in _SHOWN}, reverse=True)  # from dense to sparse
    for column, k in enumerate(shown):
        axes = figure.add_subplot(grid[1, 2 * column : 2 * column + 2])
        _columns(axes, data["optimum_W"].values[k])
        axes.set_title(f"{'' if column else '(c) correlated pairs,  '}p = {p[k]:g}", fontsize=11, loc="left")
    for column, case in enumerate(data["case"].values):
        axes = figure.add_subplot(grid[2, 2 * column : 2 * column + 2])
        _cosines(axes, data["cosine"].sel(case=case).values, str(case))
        axes.set_title(f"(d) {case}" if not column else str(case), fontsize=11, loc="left")
    off = 1 - data["optimum"].values[:, 2]
    order = bool((np.diff(data["optimum"].values[:, 1]) < 0).all())
    share = data["together"].mean("density").values
    headline(
        figure,
        f"The denser the pairs, the more the optimum is like PCA{', without any step' if order else ''}: its loss is "
        f"{off[0]:.0%} below PCA's at p = {p[0]:g}, {off[-1]:.1%} at {p[-1]:g}; of anticorrelated pairs "
        f"{share[:, 0].min():.0%} to {share[:, 0].max():.0%} share a factor",
    )
    return figure


def _likeness(axes: "Axes", data: xr.Dataset) -> None:
    p = data["pca_density"].values

    def off(values: np.ndarray) -> tuple[np.ndarray, ...]:
        return 1 - values[..., 0], values[..., 1], 1 - values[..., 2]

    axes.axvspan(0.5, 1.0, color=COLOURS[6], alpha=0.15, lw=0)
    axes.text(0.98, 0.97, "slides: most PCA-like", transform=axes.get_xaxis_transform(), va="top", fontsize=9)
    for k, values in enumerate(off(data["optimum"].values)):
        axes.plot(p, values, color=COLOURS[k], lw=2, label=_NAMES[k])
    for j, recipe in enumerate(data["pca_recipe"].values):
        for k, values in enumerate(off(data["learned"].sel(pca_recipe=recipe).values)):
            axes.plot(p, values.mean(1), "ox"[j], color=COLOURS[k], ms=5, alpha=0.7)
        axes.plot([], [], "ox"[j], color=COLOURS[7], ms=5, label=f"mean of learned models: {recipe}")
    axes.plot([], [], color=COLOURS[7], lw=2, label="best solution")
    axes.set_xlim(1, 0)
    axes.set_xlabel("density of a pair  $1-S$      (dense → sparse)")
    axes.set_ylabel("difference from PCA")
    axes.set_title("(a) three correlated pairs in two dimensions", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=9)


def _bars(axes: "Axes", data: xr.Dataset) -> None:
    cases = data["case"].values
    groups = [("share a factor, best solution", data["together"].mean("density").values)]
    for recipe in data["recipe"].values:
        share = data["together_learned"].sel(recipe=recipe).values
        groups.append((f"share a factor, {recipe}", share))
    opposite = data["opposite"].sel(degrees=STRAIGHT[0]).mean("density").values
    groups.append((f"opposite to {STRAIGHT[0]:g} degrees, best solution", opposite))
    width = 0.84 / len(groups)
    for k, (label, share) in enumerate(groups):
        at = np.arange(len(cases)) + width * (k - (len(groups) - 1) / 2)
        colour = COLOURS[k if k < len(groups) - 1 else 3]
        axes.bar(at - width / 4, 100 * share[:, 0], 0.45 * width, color=colour, label=label)
        axes.bar(at + width / 4, 100 * share[:, 1], 0.45 * width, color=colour, alpha=0.35)
    axes.bar([0], [0], color=COLOURS[6], label="full: pairs within a set")
    axes.bar([0], [0], color=COLOURS[6], alpha=0.35, label="pale: pairs across sets")
    axes.set_xticks(np.arange(len(cases)), [str(case).replace(", ", "\n") for case in cases])
    axes.set_ylim(0, 150)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_ylabel("pairs of features, %")
    axes.set_title("(b) anticorrelated features, mean over densities (learned: one)", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=8, ncol=2, loc="upper left")


def _columns(axes: "Axes", W: np.ndarray) -> None:
    limit = 1.15 * np.abs(W).max()
    for colour, members in zip(COLOURS, PAIRS, strict=False):
        for j in members:
            axes.annotate(
                "", tuple(W[:, j]), (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2, "alpha": 0.8}
            )
    axes.set_xlim(-limit, limit)
    axes.set_ylim(-limit, limit)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])


def _cosines(axes: "Axes", C: np.ndarray, case: str) -> None:
    n = int((~np.isnan(C).all(0)).sum())
    size = int(case.split("sets of ")[1].split(",")[0])
    axes.imshow(C[:n, :n], cmap="RdBu_r", vmin=-1, vmax=1)
    for i in range(n):
        for j in range(n):
            if not np.isnan(C[i, j]):
                dark = abs(C[i, j]) > 0.6
                axes.text(j, i, f"{C[i, j]:.1f}".replace("-0.0", "0.0"), ha="center", va="center", fontsize=7,
                          color="white" if dark else "black")  # fmt: skip
    for start in range(0, n, size):
        axes.plot(
            [start - 0.5, start + size - 0.5, start + size - 0.5, start - 0.5, start - 0.5],
            [start - 0.5, start - 0.5, start + size - 0.5, start + size - 0.5, start - 0.5],
            color=COLOURS[7],
            lw=2,
            clip_on=False,
        )
    axes.set_xticks([])
    axes.set_yticks([])
