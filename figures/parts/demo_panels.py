"""The picture of superposition demonstrated."""

from figures.shared.script import COLOURS, headline, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.parts.demo_problems import DENSITIES, SIZES, first_pair
from theory import feature_norms, superposition

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import SymLogNorm
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["draw"]


def draw(data: xr.Dataset) -> "Figure":
    """Rows of models, columns of densities, counts below."""
    figure = new_figure(14.0, 13.0)
    rows = [("small", "linear"), ("small", "relu"), ("large", "relu")]
    grid = figure.add_gridspec(6, 7, height_ratios=(1, 1, 0.8, 1, 0.8, 1.3))
    at = 0
    for size, model in rows:
        for k in range(7):
            axes = figure.add_subplot(grid[at, k])
            image, strip = _draw_couplings(axes, data, f"{size}_{model}", k)
            if not at:
                axes.set_title(f"1 − S = {DENSITIES[k]:.3g}", fontsize=11)
            if not k:
                axes.set_ylabel(f"{'linear' if model == 'linear' else 'ReLU'}, n = {SIZES[size][0]}\n$W^TW$ | $b$")
        at += 1
        if model == "relu":
            for k in range(7):
                _draw_norms(figure.add_subplot(grid[at, k]), data, size, k)
            at += 1
    figure.colorbar(image, ax=figure.axes[:7], label="$W^TW$", shrink=0.9)
    bar = figure.colorbar(strip, ax=figure.axes[7:14], label="bias $b$", shrink=0.9)
    bar.set_ticks([-0.5, -0.1, -0.01, 0, 0.01, 0.1, 0.5], labels=["-0.5", "-0.1", "-0.01", "0", "0.01", "0.1", "0.5"])
    bar.minorticks_off()
    from matplotlib.cm import ScalarMappable

    shades = ScalarMappable()
    shades.set_clim(0, 2)
    figure.colorbar(shades, ax=figure.axes[14:21], label="superposition", shrink=0.9)
    _draw_counts(figure.add_subplot(grid[5, :]), data)
    n, m, _ = SIZES["small"]
    linear, relu = (data[f"small_{model}_counts"].values for model in ("linear", "relu"))
    headline(
        figure,
        f"Of {n} features in {m} dimensions a linear model keeps {_range(linear)} at every density, a ReLU model "
        f"{_range(relu[0])} when dense and {_range(relu[-1])} when sparse: "
        "pairs first, then all that is stored is shared",
    )
    return figure


def _range(counts: np.ndarray) -> str:
    low, high = counts.min(), counts.max()
    return f"{low}" if low == high else f"{low} to {high}"


def _draw_couplings(axes: "Axes", data: xr.Dataset, name: str, k: int) -> "tuple[AxesImage, AxesImage]":
    W, b = data[f"{name}_W"].values[k], data[f"{name}_b"].values[k]
    n = W.shape[1]
    image = axes.imshow(W.T @ W, cmap="RdBu_r", vmin=-1.2, vmax=1.2, interpolation="nearest")
    strip = axes.imshow(b[:, None], cmap="PuOr", norm=_bias_scale(), interpolation="nearest",
                        extent=(1.08 * n, 1.2 * n, n - 0.5, -0.5))  # fmt: skip
    axes.set_xlim(-0.5, 1.2 * n)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    return image, strip


def _bias_scale() -> "SymLogNorm":
    """Biases of sparse features are small: beyond a hundredth their colours follow the logarithm."""
    from matplotlib.colors import SymLogNorm

    return SymLogNorm(0.01, vmin=-0.5, vmax=0.5)


def _draw_norms(axes: "Axes", data: xr.Dataset, size: str, k: int) -> None:
    W = data[f"{size}_relu_W"].values[k]
    from matplotlib import colormaps

    shade = colormaps["viridis"](np.clip(superposition(W) / 2, 0, 1))
    axes.barh(np.arange(W.shape[1]), feature_norms(W), color=shade, height=0.9)
    axes.set_ylim(W.shape[1] - 0.5, -0.5)
    axes.set_xlim(0, 1.5)
    axes.set_yticks([])
    axes.tick_params(labelsize=8)
    if not k:
        axes.set_ylabel("norms $|W_i|$\n(most important on top)", fontsize=9)


def _draw_counts(axes: "Axes", data: xr.Dataset) -> None:
    for colour, (size, (n, m, _)) in zip(COLOURS, SIZES.items(), strict=False):
        axes.step(data["fine_density"], data[f"{size}_ideal"] / m, where="mid", color=colour, lw=1.6,
                  label=f"ideal pairing, n = {n}, m = {m}")  # fmt: skip
        counts = data[f"{size}_relu_counts"].values / m
        axes.plot(DENSITIES.repeat(counts.shape[1]), counts.ravel(), "o", color=colour, alpha=0.5, ms=5,
                  label=f"learned, n = {n}, m = {m}")  # fmt: skip
        axes.axvline(first_pair(size), color=colour, lw=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_xlim(1.1, 0.0009)
    axes.set_ylim(0, 4)
    axes.set_xlabel("density  1 − S      (dense → sparse);  dotted: the first pair pays, ideally stored")
    axes.set_ylabel("represented features\nper dimension")
    axes.legend(frameon=False, fontsize=9, loc="lower right", ncol=2)
