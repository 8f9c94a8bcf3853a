"""The staircase of dimensions per feature that the best tegum product predicts, n = 400 and m = 30 (claims 6 and 7).

Equal features. At every density the cheapest product of catalogue polytopes is found exactly by dynamic programming
over their optimised losses. Above: m / |W|_F^2, which the literature sees stick at 1 and 1/2. Below: the dimensionality
D_i of the features of every factor, with the values that the literature names.
"""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from joblib import Parallel, delayed

from figures.common import COLOURS, Settings, main, new_figure
from theory import staircase
from theory.command import progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Dimensionalities that the literature names, and their polytopes.
NAMED = {
    1: "dedicated",
    3 / 4: "tetrahedron",
    2 / 3: "triangle",
    1 / 2: "digon",
    2 / 5: "pentagon",
    3 / 8: "square antiprism",
}


def compute(settings: Settings) -> xr.Dataset:
    """The best tegum product at every density."""
    n, m, count = (40, 4, 8) if settings.quick else (400, 30, 40)
    densities = 1 / np.geomspace(1, 100, count)
    jobs = Parallel(n_jobs=settings.workers, return_as="generator")(
        delayed(staircase)(n, m, [float(p)]) for p in densities
    )
    steps = list(progress(jobs, total=count, label="densities"))
    data = xr.concat(steps, "density", join="outer", combine_attrs="drop_conflicts", data_vars="all")
    data["multiplicity"] = data["multiplicity"].fillna(0).astype(int)
    lines = [f"1/(1-S) = {1 / float(p):7.2f}   m/|W|^2 = {float(d):.4f}   {product.item()}" for p, d, product in zip(
        data["density"], data["dimensions_per_feature"], data["product"], strict=True)]  # fmt: skip
    data.attrs["summary"] = "\n".join(lines)
    return data


def draw(data: xr.Dataset) -> "Figure":
    """Two panels over 1/(1-S)."""
    figure = new_figure(10.0, 8.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.3))
    x = 1 / data["density"].values
    above.plot(x, data["dimensions_per_feature"].values, color=COLOURS[0], lw=2, marker="o", ms=3.5)
    for level in (1.0, 0.5):
        above.axhline(level, color="0.8", lw=0.8, zorder=0)
    above.set_ylabel(r"dimensions per feature  $m / \|W\|_F^2$")
    above.set_ylim(0, 1.08)
    above.set_title(
        f"best tegum product of n = {data.attrs['n']} equal features in m = {data.attrs['m']} dimensions",
        fontsize=10,
        loc="left",
    )
    _draw_dimensionalities(below, data)
    above.set_xscale("log")
    above.set_xlim(x.min() * 0.95, x.max() * 1.05)
    below.set_xlabel("1 / (1 − S)      (dense → sparse)")
    return figure


def _draw_dimensionalities(axes: "Axes", data: xr.Dataset) -> None:
    """One dot per density and factor, its area the number of features it holds."""
    x = 1 / data["density"].values
    for level, name in NAMED.items():
        axes.axhline(level, color="0.85", lw=0.8, zorder=0)
        axes.text(1.0, level, f" {name}", transform=axes.get_yaxis_transform(), va="center", fontsize=8, color="0.35")
    used = [str(name) for name in data["factor"].values if name != "unrepresented"]
    for k, name in enumerate(used):
        dimensionality = data["dimensionality"].sel(factor=name).values
        count = data["multiplicity"].sel(factor=name).values
        axes.scatter(
            x,
            dimensionality,
            s=12 + 60 * np.sqrt(count / max(count.max(), 1)) * (count > 0),
            color=COLOURS[k % 7],
            marker="os^Dv"[(k // 7) % 5],
            label=name,
            alpha=0.85,
            lw=0,
        )
    axes.set_ylim(0, 1.08)
    axes.set_ylabel("dimensionality $D_i$ of the factors' features")
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
