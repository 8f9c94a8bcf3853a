"""The picture of correlated and anticorrelated features."""

from figures.shared.script import COLOURS, headline, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment

from figures.parts.correlated_cases import CASES, DRAWN, Case, cosines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

__all__ = ["draw"]

_MARKERS, _SHOWN_RUNS = "osD", 6


def draw(data: xr.Dataset) -> "Figure":
    """One column per claim: best solution, learned models, and the measure against density."""
    figure = new_figure(13.0, 9.6)
    grid = figure.add_gridspec(3, 4, height_ratios=(1, 1, 0.8))
    k = int(np.argmin(np.abs(data["density"].values - DRAWN)))
    for column, case in enumerate(CASES):
        part = data.sel(claim=case.claim)
        top, middle, bottom = (figure.add_subplot(grid[row, column]) for row in range(3))
        best, runs = data[f"best_W_{case.claim}"].values[k], data[f"run_W_{case.claim}"].values[k]
        if case.m == 2:
            _draw_plane(top, case, best)
            _draw_runs(middle, case, runs, part.isel(density=k))
        else:
            _draw_gram(top, best)
            _draw_aligned(middle, runs[int(np.nanargmin(part.isel(density=k)["run_loss"].values))])
        top.set_title(f"claim {case.claim}: {case.title}\nbest solution, density {DRAWN:g}", fontsize=10)
        _draw_measure(bottom, case, part)
    shares = [float(data.sel(claim=case.claim).isel(density=k)["share_at_optimum"]) for case in CASES]
    reached = [f"{share:.0%}" for share in shares if not np.isnan(share)]
    headline(
        figure,
        "Correlated features go into orthogonal directions, anticorrelated ones into opposite directions; of the "
        f"trained models {', '.join(reached)} reach the best solution (left to right, density {DRAWN:g})",
    )
    return figure


def _oriented(W: "ndarray") -> "ndarray":
    """Turn and flip the plane: the first feature to the right, the second upwards."""
    angle = np.arctan2(W[1, 0], W[0, 0])
    turned = np.asarray(np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ W)
    turned[1] *= -1 if turned[1, 1] < 0 else 1
    return turned


def _draw_plane(axes: "Axes", case: Case, W: "ndarray", size: float = 7.0) -> None:
    W = _oriented(W)
    for s, members in enumerate(case.members):
        for k, j in enumerate(members):
            axes.plot([0, W[0, j]], [0, W[1, j]], color=COLOURS[s], lw=0.25 * size)
            # The second feature of a set is drawn larger and hollow: a collapsed set shows both.
            fill = COLOURS[s] if k == 0 else "none"
            axes.plot(W[0, j], W[1, j], _MARKERS[s], color=COLOURS[s], mfc=fill, ms=size * (1 + 0.45 * k))
    axes.set_xlim(-1.45, 1.45)
    axes.set_ylim(-1.45, 1.45)
    axes.set_aspect("equal")
    axes.axis("off")


def _draw_runs(axes: "Axes", case: Case, runs: "ndarray", part: xr.Dataset) -> None:
    axes.axis("off")
    share = float(part["share_at_optimum"])
    count = int((~np.isnan(part["run_value"].values)).sum())
    axes.set_title(f"first {_SHOWN_RUNS} learned models (loss);\n{share:.0%} of {count} reach the optimum", fontsize=9)
    for k in range(min(_SHOWN_RUNS, len(runs))):
        inset = axes.inset_axes((0.34 * (k % 3) - 0.02, 0.5 - 0.52 * (k // 3), 0.36, 0.42))
        _draw_plane(inset, case, runs[k], size=3.5)
        inset.set_title(f"{float(part['run_loss'].values[k]):.2g}", fontsize=8, pad=1)


def _partnered(W: "ndarray") -> "ndarray":
    """Order the second set: each feature at the place of the one of the first that it opposes most."""
    half = W.shape[1] // 2
    _, order = linear_sum_assignment(cosines(W)[:half, half:])
    return np.asarray(W[:, [*range(half), *(half + order)]])


def _draw_gram(axes: "Axes", W: "ndarray") -> None:
    W = _partnered(W)
    image = axes.imshow(W.T @ W, cmap="RdBu_r", vmin=-1, vmax=1)
    _frame_sets(axes, W.shape[1], both=True)
    axes.set_xlabel("$W^T W$; second set in the order of the first's", fontsize=9)
    axes.figure.colorbar(image, ax=axes, shrink=0.8)


def _draw_aligned(axes: "Axes", W: "ndarray") -> None:
    W = _partnered(W)
    U, _, Vt = np.linalg.svd(W[:, : W.shape[1] // 2])
    axes.imshow(Vt.T @ U.T @ W, cmap="RdBu_r", vmin=-1, vmax=1)
    _frame_sets(axes, W.shape[1], both=False)
    axes.set_xlabel("feature", fontsize=9)
    axes.set_ylabel("hidden dimension", fontsize=9)
    axes.set_title("$W$ of the best learned model,\nturned to the first set's basis", fontsize=9)


def _frame_sets(axes: "Axes", n: int, both: bool) -> None:
    axes.axvline(n / 2 - 0.5, color="black", lw=1)
    if both:
        axes.axhline(n / 2 - 0.5, color="black", lw=1)
    axes.set_xticks([n / 4 - 0.5, 3 * n / 4 - 0.5], ["first set", "second set"], fontsize=9)
    axes.set_yticks([])


def _draw_measure(axes: "Axes", case: Case, part: xr.Dataset) -> None:
    p, rng = part["density"].values, np.random.default_rng(0)
    spread = p[:, None] * np.exp(rng.uniform(-0.12, 0.12, part["run_value"].shape))
    axes.plot(spread.ravel(), part["run_value"].values.ravel(), "o", color=COLOURS[1], ms=4, alpha=0.55, mew=0)
    axes.plot([], [], "o", color=COLOURS[1], ms=4, label="learned")
    axes.plot(p, part["best_value"].values, "-_", color="black", ms=16, mew=2, lw=1.2, label="best solution")
    axes.set_xscale("log")
    axes.set_xlim(0.17, 0.006)
    axes.set_xticks([0.1, 0.03, 0.01], ["0.1", "0.03", "0.01"])
    axes.minorticks_off()
    axes.set_ylim((-1.08, 1.08) if case.claim == 13 else (-0.04, 1.08))
    axes.set_xlabel("density of a set  $1-S$   (dense → sparse)")
    axes.set_ylabel(f"{case.measure} within a set")
    if case.claim == 12:
        axes.legend(frameon=False, fontsize=9)
