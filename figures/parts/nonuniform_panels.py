"""The picture of features that differ in density."""

from figures.shared.script import COLOURS, headline, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.parts.nonuniform_measures import CASES, PUBLISHED, agreement, counted, frobenius

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

# What tells the cases apart.
_TOLD = ("important:\ndense", "important:\nsparse", "densities\nshuffled", "equal\nimportances")
# Norms below which a feature is not drawn as stored.
_FAINT = 0.1


def draw(data: xr.Dataset) -> "Figure":
    """Counts and norms above, case 4 and agreement below."""
    figure = new_figure(12.0, 11.0)
    grid = figure.add_gridspec(3, 2, height_ratios=(0.42, 1, 1))
    _draw_optima(figure.add_subplot(grid[0, :]), data)
    _draw_counts(figure.add_subplot(grid[1, 0]), data)
    _draw_frobenius(figure.add_subplot(grid[1, 1]), data)
    _draw_case_4(figure.add_subplot(grid[2, 0]), data)
    _draw_agreement(figure.add_subplot(grid[2, 1]), data)
    exact = counted(data["five_exact"], "five")
    five = [name for name, most in zip(CASES, exact.max("choice").values, strict=True) if most == 5]
    runs = counted(data["five_learned"], "five")
    headline(
        figure,
        f"Non-uniform sparsity: the exact optimum stores {int(exact.min())} to {int(exact.max())} of five features, "
        f"all five in {' and '.join(five) or 'no case'}; trained models store {float(runs.mean()):.1f} on average",
    )
    return figure


def _draw_optima(axes: "Axes", data: xr.Dataset) -> None:
    """W of the exact optimum of every case, and of the best learned model where it is another."""
    axes.axis("off")
    axes.set_title("exact optima, n = 5, m = 2; feature 1 (most important, or densest) to 5: dark to light; "
                   "rings are not stored", fontsize=10, loc="left")  # fmt: skip
    from matplotlib import colormaps

    shades = colormaps["viridis"](np.linspace(0, 0.92, data.sizes["five"]))
    width = 1 / (4 * data.sizes["choice"])
    for case in range(4):
        for k, choice in enumerate(data["choice"].values):
            W = data["five_exact_W"].isel(case=case, choice=k).values
            inset = axes.inset_axes(((case * data.sizes["choice"] + k) * width, -0.05, width, 0.78))
            for i in range(W.shape[1]):
                stored = np.linalg.norm(W[:, i]) > _FAINT
                inset.plot([0, W[0, i]], [0, W[1, i]], color=shades[i], lw=1.8)
                inset.plot(*W[:, i], "o", color=shades[i], mfc=shades[i] if stored else "none", ms=6 if stored else 9)
            inset.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal", xticks=[], yticks=[])
            inset.spines[:].set_visible(False)
            inset.set_title(f"{CASES[case]}\n{choice}", fontsize=8, pad=1)


def _draw_counts(axes: "Axes", data: xr.Dataset) -> None:
    runs = counted(data["five_learned"], "five").values
    exact, pairing = counted(data["five_exact"], "five").values, (data["five_pairing"] > 0).sum("five").values
    lines = ((exact, "-", "black", "exact optimum"), (pairing, ":", COLOURS[5], "ideal pairing"))
    for k, choice in enumerate(data["choice"].values):
        for case in range(4):
            x = case + 0.36 * (k - (runs.shape[0] - 1) / 2)
            values, numbers = np.unique(runs[k, case], return_counts=True)
            axes.scatter(np.full(len(values), x), values, s=28 * numbers, color=COLOURS[k], alpha=0.35, lw=0,
                         label=f"learned, {choice}" if not case else None)  # fmt: skip
            for value, number in zip(values, numbers, strict=True):
                axes.annotate(str(number), (x, value), (0, 7), textcoords="offset points", ha="center", fontsize=8)
            label = not case and not k
            for up, (y, style, colour, name) in zip((-0.12, -0.2), lines, strict=True):  # below the points
                level = y[k, case] + up
                axes.plot(
                    [x - 0.15, x + 0.15], [level, level], color=colour, ls=style, lw=2, label=name if label else None
                )
    axes.set_xticks(range(4), [f"{case}\n{told}" for case, told in zip(CASES, _TOLD, strict=True)])
    axes.set_yticks(range(6))
    axes.set_ylim(0.2, 5.5)
    axes.set_ylabel("features represented, of five")
    axes.legend(frameon=False, fontsize=8, loc="lower center", ncol=2, markerscale=0.6)
    axes.set_title(f"(a) n = 5, m = 2; numbers: how many runs of {runs.shape[-1]}", fontsize=10, loc="left")


def _draw_frobenius(axes: "Axes", data: xr.Dataset) -> None:
    learned, predicted = frobenius(data)
    order = [*PUBLISHED, "uniform dense"]
    for k, choice in enumerate(data["choice"].values):
        x = np.arange(len(order)) + 0.3 * (k - (data.sizes["choice"] - 1) / 2)
        norms = learned.sel(choice=choice, scenario=order)
        points = norms.transpose("scenario", "replicate").values.ravel()
        axes.plot(x.repeat(norms.sizes["replicate"]), points, "o", ms=4, color=COLOURS[k], label=f"learned, {choice}")
        ideal = predicted.sel(choice=choice, scenario=order).values
        axes.hlines(ideal, x - 0.13, x + 0.13, color=COLOURS[k], lw=2, label=f"ideal pairing, {choice}")
    axes.plot(range(len(PUBLISHED)), list(PUBLISHED.values()), "D", color="black", mfc="white", ms=6, label="published")
    axes.axhline(np.sqrt(40), color="0.6", lw=0.8, ls="--")
    axes.text(5.3, np.sqrt(40) + 0.05, r"$\sqrt{2m}$", ha="right", fontsize=9, color="0.4")
    axes.set_xticks(range(len(order)), [name.replace(" ", "\n") for name in order])
    axes.set_ylim(4, 12)
    axes.set_ylabel(r"Frobenius norm $|W|_F$")
    axes.legend(frameon=False, fontsize=8, ncol=2, loc="upper right")
    axes.set_title("(b) n = 80, m = 20, in the published order", fontsize=10, loc="left")


def _draw_case_4(axes: "Axes", data: xr.Dataset) -> None:
    for k, choice in enumerate(data["choice"].values):
        case = data.sel(choice=choice, scenario="case 4")
        p, norms = case["eighty_density"].values, case["eighty_learned"].transpose("eighty", "replicate").values
        axes.plot(p, norms, ".", color=COLOURS[k], ms=3, alpha=0.35)
        axes.plot(p, norms.mean(1), "o", color=COLOURS[k], ms=4, label=f"learned, {choice}: mean of runs")
        level = -0.08 - 0.08 * k
        stored = np.where(case["eighty_pairing"].values > 0, level, np.nan)
        axes.plot(p, stored, color=COLOURS[k], lw=4, solid_capstyle="butt", label=f"ideal pairing, {choice}: stored")
    axes.set_xscale("log")
    axes.set_xlim(1.1, float(data["eighty_density"].min()) / 1.1)
    axes.set_ylim(-0.25, 2.0)
    axes.set_xlabel("density of the feature      (dense → sparse)")
    axes.set_ylabel("norm $|W_i|$")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set_title("(c) case 4, n = 80: the sparsest are left out, and those with p near 1", fontsize=10, loc="left")


def _draw_agreement(axes: "Axes", data: xr.Dataset) -> None:
    shares = agreement(data)
    bars = (
        ("five exact", "n = 5, exact optimum"),
        ("five learned", "n = 5, training"),
        ("eighty learned", "n = 80, training"),
    )
    markers = ("s", "o", "^")
    for k, choice in enumerate(data["choice"].values):
        for j, (key, label) in enumerate(bars):
            share = shares[key].sel(choice=choice).values[:4]
            x = np.arange(4) + 0.24 * (j - 1) + 0.09 * (k - (data.sizes["choice"] - 1) / 2)
            axes.plot(x, share, markers[j], color=COLOURS[k], ms=7, mfc=COLOURS[k] if j else "white",
                      label=f"{label}, {choice}")  # fmt: skip
    axes.axhline(1, color="0.7", lw=0.8)
    axes.set_xticks(range(4), CASES)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("share of features decided alike")
    axes.legend(frameon=False, fontsize=8, loc="lower left", ncol=2)
    axes.set_title("(d) pair criterion (exact assignment) against optimum and training", fontsize=10, loc="left")
