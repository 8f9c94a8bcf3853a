"""Phase diagrams of an extra feature: idealised candidates, exact optimum, and what gradient descent learns.

Rows: two features in one dimension, three in two. Every learned cell is coloured by the best of several runs; where the
phase of its exact local minimum is not the predicted one, or not reached, the cell is marked.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from figures.common import Settings, main, new_figure
from numerics import phase_agreement
from theory.plots import phase_panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PROBLEMS = ((2, 1), (3, 2))
_LINE = "#1a1a1a"
# What the picture needs of each comparison; everything but the axes, which are shared, is renamed.
_SHARED = ("density", "importance")
_KEPT = (
    "phase",
    "norm",
    "superposition",
    "ideal_phase",
    "boundary_density",
    "boundary_importance",
    "boundary_order",
    "boundary_phase_before",
    "boundary_phase_after",
    "run_norm",
    "run_superposition",
    "run_loss",
    "best",
    "learned_phase",
    "learned_gap",
    "learned_local_gap",
    "near_boundary",
    "share",
    "agrees",
    "cause",
    "loss",
)


def compute(settings: Settings) -> xr.Dataset:
    """
    Compare the exact and the learned phase diagram of both problems.

    Parameters
    ----------
    settings : Settings
        How to compute.

    Returns
    -------
    xarray.Dataset
        The variables of ``numerics.phase_agreement``, with the problem's name appended.
    """
    effort: dict[str, Any] = (
        {"resolution": 5, "instances": 2, "steps": 600} if settings.quick else {"resolution": 30, "instances": 8}
    )
    parts, texts, phases = [], [], ""
    for n, m in PROBLEMS:
        data = phase_agreement(n, m, seed=settings.seed, workers=settings.workers, **effort)
        parts.append(_labelled(data[list(_KEPT)], n, m))
        texts.append(_summary(data))
        phases = data.attrs["phases"]
    merged = xr.merge(parts, combine_attrs="drop")
    return merged.assign_attrs(phases=phases, summary="\n".join(texts), **effort)


def _summary(data: xr.Dataset) -> str:
    from numerics.agreement_tables import describe_grid

    return describe_grid(data) + "\n"


def _labelled(data: xr.Dataset, n: int, m: int) -> xr.Dataset:
    names = [str(name) for name in (*data.variables, *data.dims) if name not in _SHARED]
    return data.rename({name: f"{name}_n{n}_m{m}" for name in dict.fromkeys(names)})


def _part(data: xr.Dataset, n: int, m: int) -> xr.Dataset:
    """One problem's variables under their own names."""
    ending = f"_n{n}_m{m}"
    names = [str(name) for name in data.data_vars if str(name).endswith(ending)]
    part = data[names]
    old = dict.fromkeys([*names, *(str(d) for d in part.dims if str(d).endswith(ending))])
    return part.rename({name: name.removesuffix(ending) for name in old}).assign_attrs(data.attrs)


def draw(data: xr.Dataset) -> "Figure":
    """
    Draw one row of three panels per problem.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    figure = new_figure(11.5, 8.2)
    rows = figure.subplots(len(PROBLEMS), 3, sharex=True, sharey=True)
    for (n, m), row in zip(PROBLEMS, rows, strict=True):
        part = _part(data, n, m)
        ideal = part["ideal_phase"].values
        phase_panel(row[0], part, (ideal > 0).astype(float), (ideal == 2).astype(float), ideal)
        phase_panel(row[1], part, part["norm"].values, part["superposition"].values, part["phase"].values)
        norm, overlap = (_of_best(part, name) for name in ("run_norm", "run_superposition"))
        phase_panel(row[2], part, norm, overlap, part["learned_phase"].values)
        for text in [text for axes in row for text in axes.texts]:
            text.set_fontsize(7.5)  # narrow phases, small panels
        for axes in row[1:]:
            _mark_boundaries(axes, part)
        _mark_disagreement(row[2], part)
        row[0].set_ylabel(f"n = {n}, m = {m}\n\nrelative importance of the extra feature")
    runs = data.attrs["instances"]
    titles = ("idealised candidates", "exact optimum", f"gradient descent, best of {runs} runs")
    for axes, title in zip(rows[0], titles, strict=True):
        axes.set_title(title, fontsize=11)
    for axes in rows[-1]:
        axes.set_xlabel("density  $1-S$      (dense → sparse)")
    figure.suptitle("What becomes of an extra feature: predicted and learned")
    handles, labels = rows[0][2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _of_best(part: xr.Dataset, name: str) -> np.ndarray:
    """A number of the best run of every cell."""
    return np.take_along_axis(part[name].values, part["best"].values[..., None].astype(int), -1)[..., 0]


def _mark_boundaries(axes: "Axes", part: xr.Dataset) -> None:
    """The exact boundaries, where they cross the lines between cell centres."""
    changes = part["boundary_phase_before"].values != part["boundary_phase_after"].values
    p, r, order = (part[f"boundary_{name}"].values for name in ("density", "importance", "order"))
    first, second = changes & (order == 1), changes & (order == 2)
    axes.plot(p[first], r[first], ".", color=_LINE, ms=3.5, label="predicted boundary, first order")
    axes.plot(
        p[second], r[second], "o", mfc="white", mec=_LINE, mew=0.7, ms=3.2, label="predicted boundary, continuous"
    )


def _mark_disagreement(axes: "Axes", part: xr.Dataset) -> None:
    i, j = np.nonzero(~part["agrees"].values.astype(bool))
    p, r = part["density"].values[i], part["importance"].values[j]
    style: dict[str, Any] = {"color": "#C2185B", "ms": 7, "mew": 1.8, "ls": "", "clip_on": False}
    axes.plot(p, r, "x", **style, label="best run in another phase, or not converged")


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
