"""The picture of the energy levels of learning: six panels."""

from figures.shared.script import COLOURS, headline, new_figure

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.parts.energy_measures import HALF, levels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_TICKS = (0.0, 0.25, 1 / 3, 0.4, 0.5, 1.0)
# Losses of levels closer than this share of the axis share a label.
_LABEL_APART = 0.045


def draw(data: xr.Dataset) -> "Figure":
    """
    Draw the six panels.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    figure = new_figure(13.5, 8.6)
    (first, second, third), (fourth, fifth, sixth) = figure.subplots(2, 3)
    leaves, stays = _examples(data)
    _losses(first, data, leaves, stays)
    _course(second, data, leaves, "(b) a run that ends in the pentagon")
    kept = data["dimensionality"].values[0, stays, -1].max() > HALF
    _course(third, data, stays, "(c) a run that stays in the digons" if kept else "(c) another run")
    _ends(fourth, data)
    _lives(fifth, data)
    _wall(sixth, data)
    found = data["rest_found"].values
    headline(
        figure,
        f"Learning rests at exact stationary points ({found.sum()} of {len(found)} rests) and jumps on; up to "
        f"{data['digon_share'].values.max():.0%} of the runs stay in digons",
    )
    return figure


def _examples(data: xr.Dataset) -> tuple[int, int]:
    """The run to the pentagon with most rests, and the run that stays in the digons with most of them."""
    stays = data["dimensionality"].values[0, :, -1].max(-1) > HALF
    rests = np.bincount(data["rest"].values[data["rest_found"].values, 0], minlength=len(stays))
    second = np.where(stays, rests, -1).argmax() if stays.any() else np.argsort(rests)[-2]
    return int(np.where(stays, -1, rests).argmax()), int(second)


def _losses(axes: "Axes", data: xr.Dataset, leaves: int, stays: int) -> None:
    step, loss = data["step"].values[0], data["loss"].values[0]
    for run in loss:
        axes.plot(step, run, color=COLOURS[6], lw=0.6, alpha=0.5)
    axes.plot(step, loss[leaves], color=COLOURS[0], lw=2, label="run of (b)")
    axes.plot(step, loss[stays], color=COLOURS[5], lw=2, label="run of (c)")
    placed: list[float] = []
    for value, D in zip(*levels_of(data), strict=True):
        axes.axhline(value, color=COLOURS[2], lw=0.7, ls=":")
        if all(abs(value - other) > _LABEL_APART for other in placed):
            placed.append(float(value))
            axes.text(1.03 * step[-1], value, _in_words(D), va="center", fontsize=8, color=COLOURS[2],
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4})  # fmt: skip
    axes.set_xlabel("step")
    axes.set_ylabel("exact loss / zero model's")
    axes.set_xlim(-0.05 * step[-1], 1.5 * step[-1])  # labels to the right of the runs
    axes.set_xticks(np.linspace(0, step[-1], 4))
    axes.set_ylim(0, 1.15)
    axes.set_title("(a) rests at exact stationary points, their $D_i$", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=9, loc="upper right", ncol=2)


def _in_words(D: np.ndarray) -> str:
    """Dimensionalities as fractions where they are simple ones: "1, 4 x 1/4"."""
    values, counts = np.unique(np.round(D, 2), return_counts=True)
    parts = []
    for value, count in sorted(zip(values, counts, strict=True), reverse=True):
        simple = Fraction(float(value)).limit_denominator(5)
        text = str(simple) if abs(float(simple) - value) < 0.008 else f"{value:.2f}"
        parts.append(text if count == 1 else f"{count}×{text}")
    return ", ".join(parts)


def _course(axes: "Axes", data: xr.Dataset, run: int, title: str) -> None:
    step, D = data["step"].values[0], data["dimensionality"].values[0, run]
    for k in range(D.shape[1]):
        axes.plot(step, D[:, k], color=COLOURS[k], lw=1.8)
    for tick in _TICKS[1:]:
        axes.axhline(tick, color=COLOURS[6], lw=0.6, ls=":")
    for row, found in zip(data["rest"].values, data["rest_found"].values, strict=True):
        if row[0] == run and found:
            axes.axvspan(step[row[1]], step[row[2]], color=COLOURS[2], alpha=0.1, lw=0)
    axes.set_yticks(_TICKS, [str(Fraction(tick).limit_denominator(5)) for tick in _TICKS])
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("step  (shaded: rests at a stationary point)")
    axes.set_ylabel("dimensionality $D_i$ of the five features")
    axes.set_title(title, fontsize=11, loc="left")


def _ends(axes: "Axes", data: xr.Dataset) -> None:
    cases, recipes = data["case"].values, data["end_recipe"].values
    width = 0.8 / len(recipes)
    for k, recipe in enumerate(recipes):
        share = 100 * data["digon_share"].sel(end_recipe=recipe).values
        at = np.arange(len(cases)) + width * (k - (len(recipes) - 1) / 2)
        axes.bar(at, share, 0.9 * width, color=COLOURS[k], label=str(recipe))
        for x, value in zip(at, share, strict=True):
            axes.text(x, value, f"{value:.0f}", ha="center", va="bottom", fontsize=7)
    axes.set_xticks(np.arange(len(cases)), [str(case).replace(", ", "\n") for case in cases])
    axes.set_ylim(0, 1.5 * max(100 * data["digon_share"].values.max(), 10))
    axes.set_ylabel("runs that end in digons, %")
    axes.set_title("(d) no digon is optimal: runs that end in one", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=8, ncol=2, loc="upper left")


def _lives(axes: "Axes", data: xr.Dataset) -> None:
    for j, noise in enumerate(data["noise"].values):
        for k, p in enumerate(data["life_density"].values):
            still = 100 * data["still"].sel(noise=noise, life_density=p).values
            axes.plot(data["life_step"], still, color=COLOURS[j], ls=("-", "--", ":")[k], lw=1.6)
    for j, noise in enumerate(data["noise"].values):
        axes.plot([], [], color=COLOURS[j], label=str(noise))
    for k, p in enumerate(data["life_density"].values):
        axes.plot([], [], color=COLOURS[7], ls=("-", "--", ":")[k], label=f"p = {p:g}")
    axes.set_xscale("log")
    axes.set_ylim(-3, 140)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_xlabel("steps since they were put there")
    axes.set_ylabel("models still in the digons, %")
    axes.set_title("(e) how long digons last", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=8, ncol=2, loc="upper left")


def _wall(axes: "Axes", data: xr.Dataset) -> None:
    p = data["wall_density"].values
    base = data["wall_digons"].values
    axes.plot(p, (data["wall_saddle"].values - base), "o-", ms=4, color=COLOURS[5], label="wall: saddle point − digons")
    axes.plot(p, base - data["wall_pentagon"].values, "s-", ms=4, color=COLOURS[0], label="gain: digons − pentagon")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.invert_xaxis()
    ticks = (0.1, 0.05, 0.02)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(r"density  $1-S$      (dense → sparse)")
    axes.set_ylabel("difference of exact losses / zero model's")
    axes.set_title("(f) what holds them there, and what they miss", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=9)
