"""The picture of basins: shares beside losses."""

from figures.shared.script import COLOURS, headline, new_figure

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from numerics.agreement.basins import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["OTHER", "draw"]

# What geometries that are not shown by name are gathered as.
OTHER = "other"
_MARKERS = "osD^vP"


def draw(data: xr.Dataset) -> "Figure":
    """
    Draw shares beside losses, one row per problem.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    figure = new_figure(11.5, 11.5)
    rows = figure.subplots(data.sizes["problem"] + 1, 2, sharex="row")
    _draw_apart(rows[-1], data)
    for k, (left, right) in enumerate(rows[:-1]):
        part = data.isel(problem=k)
        _draw_shares(left, part)
        _draw_losses(right, part)
        left.set_title(f"{part['problem'].item()}: where {data.attrs['runs']} runs end", fontsize=11)
        right.set_title("exact branches (lines) and learned models (points)", fontsize=11)
        # Outside, where it covers no point of either panel.
        right.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
        for axes in (left, right):
            axes.set_xlabel("density  $1-S$      (dense → sparse)")
        left.invert_xaxis()  # shared with the panel beside it
    rows[-1, 0].invert_xaxis()
    headline(
        figure,
        "Gradient descent often ends in a geometry that is not optimal: in up to "
        f"{float(data['apart_not_optimal'].max()):.0%} of the runs where one of five features is sparser",
    )
    return figure


def _geometries(part: xr.Dataset) -> list[tuple[int, str, str, str]]:
    """Number, name, colour and marker of the geometries that occur."""
    names = [str(name) for name in part["name"].values]
    found = [(k, name) for k, name in enumerate(names) if name and float(part["share"].isel(geometry=k).max()) > 0]
    return [(k, name, "#8C8C8C" if name == OTHER else COLOURS[k], _MARKERS[k]) for k, name in found]


def _draw_shares(axes: "Axes", part: xr.Dataset) -> None:
    p = part["density"].values
    # Side by side, lest intervals hide one another.
    step = np.log(p[1] / p[0]) * 0.09
    geometries = _geometries(part)
    for place, (k, _, colour, marker) in enumerate(geometries):
        share, low, high = (part[name].isel(geometry=k).values for name in ("share", "low", "high"))
        shifted = p * np.exp(step * (place - (len(geometries) - 1) / 2))
        spread = np.maximum([share - low, high - share], 0)
        met = share > 0
        axes.plot(shifted, share, color=colour, lw=0.8, ls=":")
        axes.errorbar(
            shifted[met],
            share[met],
            spread[:, met],
            color=colour,
            marker=marker,
            ms=4.5,
            ls="",
            capsize=2,
            elinewidth=1,
        )
    axes.set_xscale("log")
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("share of the runs (95 % interval)")


def _draw_losses(axes: "Axes", part: xr.Dataset) -> None:
    fine, p = part["branch_density"].values, part["density"].values
    branches = part["branch_loss"].values
    lowest = np.nanmin(branches, axis=(0, 1))
    at_points = lowest[np.searchsorted(fine, p * (1 - 1e-12))]
    for k, name, colour, marker in _geometries(part):
        axes.plot(fine, branches[k].T / lowest[:, None], color=colour, lw=1.5)
        low, middle, high = (
            part[quantile].isel(geometry=k).values / at_points
            for quantile in ("learned_low", "learned", "learned_high")
        )
        spread = np.maximum([middle - low, high - middle], 0)
        style: dict[str, Any] = {"color": colour, "marker": marker, "ms": 4.5, "ls": "", "capsize": 2, "elinewidth": 1}
        axes.errorbar(p, middle, spread, label=name, **style)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0.93)
    _ratio_axis(axes)
    axes.set_ylabel("loss / lowest branch")


def _ratio_axis(axes: "Axes") -> None:
    """Logarithmic, with few round numbers whatever its range: those of every decade run into one another."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    ticks = [t for t in (1, 1.02, 1.05, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100) if low <= t <= high]
    kept: list[float] = []
    for tick in ticks:
        if not kept or np.log(tick / kept[-1]) > np.log(high / low) / 9:
            kept.append(tick)
    axes.set_yticks(kept, [f"{tick:g}" for tick in kept])
    axes.minorticks_off()


def _draw_apart(row: "np.ndarray", data: xr.Dataset) -> None:
    """The slides' setting: how many runs miss the optimal geometry, and their losses beside the two branches."""
    left, right = row
    x, missed, runs = data["relative"].values, data["apart_not_optimal"].values, data.attrs["runs"]
    low, high = np.array([wilson_interval(round(share * runs), runs) for share in missed]).T
    spread = np.maximum([missed - low, high - missed], 0)
    left.errorbar(x, missed, spread, color="black", marker="o", ms=4.5, ls=":", lw=0.8, capsize=2, elinewidth=1)
    left.set_ylim(-0.03, 1.03)
    left.set_ylabel("share not in the optimal geometry")
    left.set_title(f"one of five features sparser: {runs} runs", fontsize=11)
    lowest = np.fmin(data["apart_pentagon"].values, data["apart_digons"].values)
    branches = (("pentagon", "pentagon", COLOURS[0]), ("digons", "2 digon + unrepresented", COLOURS[1]))
    for name, label, colour in branches:
        right.plot(x, data[f"apart_{name}"] / lowest, color=colour, lw=1.5, label=label)
    ratio = data["apart_learned"].values / lowest[:, None]
    right.plot(x.repeat(ratio.shape[1]), ratio.ravel(), "o", color="black", ms=4, alpha=0.3, mew=0, label="learned")
    right.set_xscale("log")
    _ratio_axis(right)
    right.set_xticks([0.1, 0.2, 0.5, 1.0], ["0.1", "0.2", "0.5", "1"])
    right.set_xticks([], minor=True)
    right.set_ylabel("loss / lower branch")
    right.set_title("exact branches (lines) and learned models (points)", fontsize=11)
    right.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    for axes in (left, right):
        axes.set_xlabel("density of that feature relative to the others'\n(dense → sparse)")
