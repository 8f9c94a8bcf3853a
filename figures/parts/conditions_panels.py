"""The picture of the conditions of superposition: six panels."""

from figures.shared.script import COLOURS, headline, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_DENSITY = "density  $1-S$      (dense → sparse)"


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
    figure = new_figure(13.0, 8.4)
    (first, second, third), (fourth, fifth, sixth) = figure.subplots(2, 3)
    _geometries(first, data, "three", "2 dedicated", "(a) three equal features: shared even when dense")
    first.set_ylabel("loss / that of leaving one out")
    _geometries(second, data, "six", "2 digon", "(b) six equal features: a hexagon if sparse")
    second.set_ylabel("loss / that of two digons")
    _transfer(third, data)
    _importance(fourth, data)
    _reach(fifth, data)
    _sharing(sixth, data)
    densest = data["three_density"].values.argmax()
    shared = data["three_loss"].isel(three_density=densest)
    gain = float(1 - shared.min() / shared.sel(three_geometry="2 dedicated"))
    excess = float(data["transfer_excess"].max())
    headline(
        figure,
        f"Three equal features share a plane even at density {float(data['three_density'][densest]):g} ({gain:.1%} "
        f"less loss than with one left out); weights made for sparser features cost up to {excess:.0%} more than the "
        "best",
    )
    return figure


def _dense_to_sparse(axes: "Axes") -> None:
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_xlabel(_DENSITY)


def _geometries(axes: "Axes", data: xr.Dataset, name: str, reference: str, title: str) -> None:
    """Losses of geometries relative to one of them."""
    loss, p = data[f"{name}_loss"], data[f"{name}_density"].values
    base = loss.sel({f"{name}_geometry": reference}).values
    for k, geometry in enumerate(loss[f"{name}_geometry"].values):
        label = {"2 dedicated": "one feature left out", "pentagon": "pentagon, one left out",
                 "2 digon": "two digons, two left out"}.get(str(geometry), str(geometry))  # fmt: skip
        axes.plot(p, loss.sel({f"{name}_geometry": geometry}).values / base, color=COLOURS[k], lw=2, label=label)
    crossing = data.attrs[{"three": "triangle_crossing", "six": "hexagon_crossing"}[name]]
    axes.axvline(crossing, color=COLOURS[6], lw=1, ls=":")
    axes.text(crossing, 0.03, f" p = {crossing:.4f}", transform=axes.get_xaxis_transform(), fontsize=9)
    _dense_to_sparse(axes)
    axes.set_title(title, fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=9)


def _transfer(axes: "Axes", data: xr.Dataset) -> None:
    for k, trained in enumerate(data["trained_at"].values):
        axes.plot(data["evaluated_at"], 100 * data["transfer_excess"].values[k], "o-", ms=4, color=COLOURS[k],
                  label=f"optimal at p = {trained:g}")  # fmt: skip
    _dense_to_sparse(axes)
    ticks = (0.5, 0.3, 0.2, 0.1, 0.05, 0.03)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylabel("loss above the optimum there, %")
    axes.set_title("(c) five features, met denser than expected", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=9)


def _importance(axes: "Axes", data: xr.Dataset) -> None:
    for k, (name, label) in enumerate((("pentagon", "pentagon"), ("2_digon", "two digons, one left out"))):
        where = f"{name}_importance"
        axes.plot(data[where], 1e3 * data[f"{where}_loss"], color=COLOURS[k], lw=2, label=label)
    crossing = data.attrs["importance_crossing"]
    axes.axvline(crossing, ymax=0.8, color=COLOURS[6], lw=1, ls=":")  # not through the legend
    axes.text(crossing, 0.03, f" {crossing:.4f}", transform=axes.get_xaxis_transform(), fontsize=9)
    axes.set_xscale("log")
    axes.set_xlabel("importance of one feature, relative to the others")
    axes.set_ylabel("loss, in thousandths")
    axes.set_title("(d) one importance varied: deform, then snap", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=9)


def _reach(axes: "Axes", data: xr.Dataset) -> None:
    S, most, y = data["polytope_superposition"].values, data["polytope_reach"].values, np.arange(data.sizes["polytope"])
    axes.barh(y + 0.2, S, 0.38, color=COLOURS[0], label="superposition of a feature")
    axes.barh(y - 0.2, most, 0.38, color=COLOURS[1], label="what all others can activate of it")
    axes.axvline(1, ymax=0.85, color=COLOURS[7], lw=1, ls=":")
    axes.set_yticks(y, data["polytope"].values)
    axes.set_ylim(-0.6, len(y) + 0.6)  # room for the legend
    axes.set_xlabel("(the feature's own full activation = 1)")
    axes.set_title("(e) superposition is not activation", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=9, loc="upper right")


def _sharing(axes: "Axes", data: xr.Dataset) -> None:
    p = data["sharing_density"].values
    axes.plot(p, data["sharing_per_dimension"], "o-", ms=4, color=COLOURS[0], label="features per dimension")
    axes.plot(p, data["sharing_superposition"], "s-", ms=4, color=COLOURS[2], label="superposition of a feature")
    axes.plot(p, data["sharing_interference"], "D-", ms=4, color=COLOURS[5], label="interference it meets when active")
    _dense_to_sparse(axes)
    axes.set_ylim(0, 4.6)  # room for the legend
    axes.set_title("(f) sparser: more is shared, less is met", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=9)
