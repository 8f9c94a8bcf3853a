"""The picture of learning dynamics: loss, geometry, trajectories, and exact minima against density."""

from figures.shared.script import COLOURS, headline, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.parts.learning_rests import DRAWN, counts, stages_of_rests
from numerics.training.regimes import rests
from theory import optimise_polytope
from theory.packing.two_sets import SETS, STAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

__all__ = ["draw"]


def draw(data: xr.Dataset) -> "Figure":
    """
    Draw loss and eigenvalues on the left; trajectories and exact minima on the right.

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.learning_dynamics.compute`` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    figure = new_figure(13.0, 8.6)
    left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1))  # type: ignore[misc]
    above, below = left.subplots(2, 1)
    run = int(counts(data).argmax())
    _draw_loss(above, data, run)
    _draw_eigenvalues(below, data, run)
    top, bottom = right.subfigures(2, 1, height_ratios=(1, 1.05))
    turned = _upright(data["W"].values[run])
    _draw_side(top.add_subplot(1, 2, 1, projection="3d"), turned)
    _draw_top(top.add_subplot(1, 2, 2), turned)
    _draw_minima(bottom.subplots(), data)
    stages = np.unique([level for level in stages_of_rests(data) if level >= 0])
    at = int(np.argmin(np.abs(data["trained_density"].values - DRAWN)))
    headline(
        figure,
        f"While two sets of three features are learned the loss rests at {len(stages)} exact stationary points, one "
        f"per geometry; of the runs {_percents(data, at)} end in the octahedron at density {DRAWN:g}",
    )
    return figure


def _percents(data: xr.Dataset, at: int) -> str:
    shares = data["share"].isel(trained_density=at).values
    return " and ".join(
        f"{x:.0%} from {_in_words(init)} weights" for init, x in zip(data["init"].values, shares, strict=True)
    )


def _in_words(init: str) -> str:
    """A start as a name in a sentence."""
    return init.capitalize() if init == "xavier" else str(init)


def _shade(axes: "Axes", data: xr.Dataset, run: int) -> None:
    """Mark when the drawn run rests, in the colour of the level."""
    step = data["step"].values
    for (where, first, last), level in zip(rests(data["loss"].values), stages_of_rests(data), strict=True):
        if where == run:
            colour = COLOURS[level] if level >= 0 else "0.5"
            axes.axvspan(step[first], step[last], color=colour, alpha=0.13, lw=0)


def _draw_loss(axes: "Axes", data: xr.Dataset, run: int) -> None:
    step, loss = data["step"].values, data["loss"].values
    for k, name in enumerate(STAGES):
        level = float(data["level_loss"][k])
        axes.axhline(level, color=COLOURS[k], lw=1.3, ls="--")
        below = name in ("sets collapsed", "octahedron")
        axes.text(step[-1] * 0.995, level * (0.96 if below else 1.04), name, color=COLOURS[k], fontsize=9, ha="right",
                  va="top" if below else "bottom")  # fmt: skip
    axes.plot(step, np.delete(loss, run, axis=0).T, color="0.65", lw=0.8)
    axes.plot(step, loss[run], color="black", lw=2.0)
    _shade(axes, data, run)
    axes.set_yscale("log")
    axes.set_ylim(0.018, 1.5)
    axes.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5, 1], ["0.02", "0.05", "0.1", "0.2", "0.5", "1"])
    axes.minorticks_off()
    axes.set_xlim(0, step[-1])
    axes.set_ylabel("exact loss (zero model = 1)")
    axes.set_title(
        f"(a) {len(loss)} runs at density {DRAWN:g}; dashed: exact stationary points", fontsize=10, loc="left"
    )


def _draw_eigenvalues(axes: "Axes", data: xr.Dataset, run: int) -> None:
    step = data["step"].values
    axes.plot(step, data["dimensionality"].values[run], color=COLOURS[1], lw=1.0, alpha=0.8)
    axes.plot([], [], color=COLOURS[1], lw=1.0, label="dimensionalities $D_i$")
    axes.plot(step, data["eigenvalues"].values[run], color="black", lw=2.0)
    axes.plot([], [], color="black", lw=2.0, label="eigenvalues of $W W^T$")
    _shade(axes, data, run)
    for level in (1, 2):
        axes.axhline(level, color="0.75", lw=0.8, zorder=0)
    axes.set_xlim(0, step[-1])
    axes.set_xlabel("step")
    axes.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=9, loc="center right")
    axes.set_title("(b) geometry of the run drawn black above; shaded: its loss rests", fontsize=10, loc="left")


def _upright(W: "ndarray") -> "ndarray":
    """Turn a course of weights so that at its end the first set is above the second, shape (step, 3, 6)."""
    axis = W[-1, :, :3].sum(1) - W[-1, :, 3:].sum(1)
    basis, _ = np.linalg.qr(np.column_stack([axis, W[-1, :, 0], W[-1, :, 1]]))
    basis[:, 0] *= np.sign(basis[:, 0] @ axis)
    return np.asarray(basis[:, [1, 2, 0]].T @ W)


def _draw_side(axes: "Axes", W: "ndarray") -> None:
    for j in range(6):
        colour = COLOURS[0 if j < 3 else 5]
        axes.plot(*W[:, :, j].T, color=colour, lw=1.3)
        axes.plot(*W[-1, :, j : j + 1], "o" if j < 3 else "s", color=colour, ms=6)
    for members in SETS:
        axes.plot(*W[-1][:, [*members, members[0]]], color="0.7", lw=0.8)
    for setter in (axes.set_xlim, axes.set_ylim, axes.set_zlim):  # type: ignore[attr-defined]
        setter(-0.85, 0.85)
    for name, setter in (("u_1", axes.set_xlabel), ("u_2", axes.set_ylabel), ("u_3", axes.set_zlabel)):  # type: ignore[attr-defined]
        setter(f"$W_i \\cdot {name}$", fontsize=8, labelpad=-6)
    axes.zaxis.set_rotate_label(False)  # type: ignore[attr-defined]  # else it stands on its head
    axes.zaxis.label.set_rotation(90)  # type: ignore[attr-defined]
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):  # type: ignore[attr-defined]
        axis.set_ticks([-0.5, 0, 0.5])
    axes.tick_params(labelsize=7, pad=-3)
    axes.view_init(elev=14, azim=20)  # type: ignore[attr-defined]
    axes.set_title("(c) its weights; $u_3$ parts the sets", fontsize=10, loc="left")


def _draw_top(axes: "Axes", W: "ndarray") -> None:
    for j in range(6):
        colour = COLOURS[0 if j < 3 else 5]
        axes.plot(W[:, 0, j], W[:, 1, j], color=colour, lw=1.3)
        axes.plot(W[-1, 0, j], W[-1, 1, j], "o" if j < 3 else "s", color=colour, ms=7,
                  label=("first set", "second set")[j // 3] if j % 3 == 0 else None)  # fmt: skip
    for members in SETS:
        axes.plot(*W[-1][:2, [*members, members[0]]], color="0.7", lw=0.8)
    axes.set_aspect("equal")
    axes.set_xlim(-1.15, 1.15)
    axes.set_ylim(-1.15, 1.35)
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])
    axes.tick_params(labelsize=8)
    axes.set_xlabel(r"$W_i \cdot u_1$", fontsize=8)
    axes.set_ylabel(r"$W_i \cdot u_2$", fontsize=8)
    axes.legend(frameon=False, fontsize=9, loc="upper center", ncols=2, handletextpad=0.2, columnspacing=1.0)
    axes.set_title("and from above", fontsize=10, loc="left")


def _draw_minima(axes: "Axes", data: xr.Dataset) -> None:
    p, regular = data["density"].values, data["ideal_octahedron"].values
    axes.plot(p, data["octahedral_loss"] / regular, "-", color=COLOURS[4], lw=2.2, label="octahedron, turned")
    axes.plot(p, data["other_loss"] / regular, "-", color=COLOURS[2], lw=2.2, label="best other minimum")
    axes.axhline(1, color="0.6", lw=1, ls=":", label="regular octahedron: $3 d$")
    crossing = float(data["crossing"])
    axes.axvline(crossing, ymax=0.55, color="0.6", lw=0.8)
    axes.text(crossing * 1.03, 0.31, f"{crossing:.4f}", fontsize=9, ha="right", va="bottom")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.3, 40)
    trained = data["trained_density"].values
    for j, (init, marker) in enumerate(zip(data["init"].values, "os", strict=True)):
        scale = np.array([3 * optimise_polytope("digon", x).loss for x in trained])
        level = np.median(data["run_loss"].values[j], axis=1) / scale
        axes.plot(trained * (0.96, 1.04)[j], level, marker, color=COLOURS[(5, 3)[j]], ms=6, mec="white", ls="none",
                  label=f"median run from {_in_words(init)} weights")  # fmt: skip
        for x, share in zip(trained, data["share"].values[j], strict=True):
            axes.text(x, (0.62, 0.45)[j], f"{share:.0%}", color=COLOURS[(5, 3)[j]], fontsize=9, ha="center")
    ticks = [x for x in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if p[0] * 0.99 <= x <= p[-1] * 1.01]
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.minorticks_off()
    axes.invert_xaxis()
    axes.set_xlabel("density of a set  $1-S$      (dense → sparse)")
    axes.set_ylabel("loss / $3 d$")
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    axes.set_title("(d) exact minima; share of runs that end in the octahedron", fontsize=10, loc="left")
