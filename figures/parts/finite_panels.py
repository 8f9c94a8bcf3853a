"""The picture of training on a finite data set: six panels."""

from figures.shared.script import COLOURS, headline, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.parts.finite_training import FRESH, MODELS, SPARSITIES
from figures.shared.measures import off_diagonal_norm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(data: xr.Dataset) -> "Figure":
    """
    Draw losses above, gains, couplings and the law of the excess below.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    figure = new_figure(13.0, 8.6)
    above, (gain, size, law) = figure.subplots(2, 3)
    known = np.array([s for s in data["samples"].values if s != FRESH])
    fresh = data["true_loss"].sel(samples=FRESH).mean("run")
    for k, axes in enumerate(above):
        _losses(axes, data, known, fresh, k)
    above[0].set_ylabel("loss / that with fresh samples")
    _gain(gain, data, known)
    _couplings(size, data, known)
    excess = (data["true_loss"].sel(samples=known).mean("run") / fresh - 1).values
    _law(law, excess, known)
    few, many = excess[1, :, 0], excess[1, :, -1]
    headline(
        figure,
        f"Trained on {known[0]} fixed samples a ReLU model costs {few.min():.0%} to {few.max():.0%} more than with "
        f"fresh ones, on {known[-1]} {many.min():.1%} to {many.max():.1%}".replace("-", "−"),
    )
    return figure


def _losses(axes: "Axes", data: xr.Dataset, known: np.ndarray, fresh: xr.DataArray, k: int) -> None:
    for j, (model, label) in enumerate(MODELS.items()):
        unit = float(fresh.sel(model=model).isel(sparsity=k))
        for name, style in (("true_loss", "-"), ("seen_loss", "--")):
            runs = data[name].sel(model=model, samples=known).isel(sparsity=k).values / unit
            axes.plot(known, runs.mean(1), style, marker="o", ms=3, color=COLOURS[j], lw=1.8,
                      label=label if style == "-" else None)  # fmt: skip
    axes.axhline(1, color=COLOURS[6], lw=0.8)
    axes.plot([], [], "-", color=COLOURS[7], label="on everything")
    axes.plot([], [], "--", color=COLOURS[7], label="on the data set")
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    wide = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4)  # closer ones would cover each other
    every = wide if high > 10 * low else (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5)
    ticks = [tick for tick in every if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("samples in the data set")
    axes.set_title(f"({'abc'[k]}) S = {SPARSITIES[k]:g}", fontsize=11, loc="left")
    if k == 2:
        axes.legend(frameon=False, fontsize=9)


def _gain(axes: "Axes", data: xr.Dataset, known: np.ndarray) -> None:
    loss = data["true_loss"].sel(samples=known).mean("run")
    linear = loss.sel(model="linear").values
    for j, model in enumerate(("relu", "relu_hidden"), start=1):
        gain = 100 * (1 - loss.sel(model=model).values / linear)
        for k in range(len(SPARSITIES)):
            axes.plot(known, gain[k], (":", "--", "-")[k], marker="o", ms=3, color=COLOURS[j], lw=1.8)
    axes.axhline(0, color=COLOURS[6], lw=0.8)
    _keys(axes, ("relu", "relu_hidden"))
    axes.set_xscale("log")
    axes.set_xlabel("samples in the data set")
    axes.set_ylabel("loss below the linear model's, %")
    axes.set_title("(d) gain of the ReLU on everything", fontsize=11, loc="left")


def _couplings(axes: "Axes", data: xr.Dataset, known: np.ndarray) -> None:
    norm = off_diagonal_norm(data["W"].sel(samples=known).values).mean(-1)
    for j in range(len(MODELS)):
        for k in (0, len(SPARSITIES) - 1):
            axes.plot(known, norm[j, k], (":", "--", "-")[k], marker="o", ms=3, color=COLOURS[j], lw=1.8)
    axes.set_xscale("log")
    axes.set_ylim(0, None)
    axes.set_xlabel("samples in the data set")
    axes.set_ylabel("$|W^TW|_F$ off the diagonal")
    axes.set_title(f"(e) couplings, S = {SPARSITIES[0]:g} (dotted), {SPARSITIES[-1]:g}", fontsize=11, loc="left")


def _law(axes: "Axes", excess: np.ndarray, known: np.ndarray) -> None:
    for j in range(len(MODELS)):
        for k in range(len(SPARSITIES)):
            axes.plot(known, np.where(excess[j, k] > 0, excess[j, k], np.nan) * known, (":", "--", "-")[k], marker="o",
                      ms=3, color=COLOURS[j], lw=1.8)  # fmt: skip
    _keys(axes, ())
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("samples in the data set")
    axes.set_ylabel("excess over fresh samples × samples")
    axes.set_title("(f) level where the excess falls as 1 / samples", fontsize=11, loc="left")


def _keys(axes: "Axes", models: tuple[str, ...]) -> None:
    for j, (model, label) in enumerate(MODELS.items()):
        if model in models:
            axes.plot([], [], color=COLOURS[j], label=label)
    for k, sparsity in enumerate(SPARSITIES):
        axes.plot([], [], (":", "--", "-")[k], color=COLOURS[7], label=f"S = {sparsity:g}")
    axes.legend(frameon=False, fontsize=9)
