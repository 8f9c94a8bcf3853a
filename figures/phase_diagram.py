"""Phase diagrams of an extra feature
==================================

Idealised candidates, exact optimum, and what gradient descent learns (claim 4); first-order and continuous boundaries
(claim 5).

Rows: two features in one dimension, three in two. Every learned cell is coloured by the best of several runs; where the
phase of its exact local minimum is not the predicted one, or not reached, the cell is marked. The order of a boundary
is that of the exact optimum: of first order where two solutions coexist and their losses cross, so that the slope of
the optimal loss jumps; continuous where they merge. A second, finer grid covers the part of n = 2, m = 1 where both
kinds meet.
"""

from figures.shared.script import Settings, headline, main, new_figure

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from figures.shared.verdicts import Finding, Verdict, compare
from numerics import phase_agreement
from numerics.agreement.phases import CAUSES
from theory.geometry.phases import PHASES
from theory.phase_diagram.diagram import exact_phase_diagram
from theory.phase_diagram.lines import boundary_segments
from theory.phase_diagram.picture import draw_exact, draw_ideal, phase_panel, picture_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PROBLEMS = ((2, 1), (3, 2))
# The relative importance at which the idealised candidates' boundary is compared, and the density they put it at: not
# represented and antipodal pair cost the same at p = 4r / (2 + 5r).
AT_IMPORTANCE, IDEAL_DENSITY = 0.1, 0.16
# The slides: the transition is of first order.
STATED_ORDER = 1
# Agreement to two digits; share of converged cells that must be in the predicted phase.
_TWO_DIGITS, _MOST = 0.005, 0.95
# Densities and importances around the stretch on which the boundary of n = 2, m = 1 is continuous.
_WINDOW = ((0.3, 0.9), (0.4, 0.97))
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
    "boundary_slope_jump",
    "boundary_phase_before",
    "boundary_phase_after",
    "boundary_solution_jump",
    "boundary_along",
    "boundary_cell",
    "boundary_neighbour",
    "ideal_winner",
    "ideal_loss_of_others",
    "ideal_loss_of_extra",
    "candidate_phase",
    "W",
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
        The variables of ``numerics.phase_agreement``, with the problem's name appended; over ``transition``, the
        transitions of the finer grid: ``fine_density``, ``fine_importance``, ``fine_order``, ``fine_slope_jump``.
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
    merged = xr.merge([*parts, _window(4 if settings.quick else 16, settings)], combine_attrs="drop")
    return merged.assign_attrs(phases=phases, summary="\n".join(texts), **effort)


def _window(resolution: int, settings: Settings) -> xr.Dataset:
    """The boundary of superposition of n = 2, m = 1 where it is of first order and where it is continuous."""
    fine = exact_phase_diagram(2, 1, resolution, *_WINDOW, settings.seed, settings.workers)
    changes = fine["boundary_phase_before"].values != fine["boundary_phase_after"].values
    order = np.argsort(fine["boundary_density"].values[changes])
    names = ("density", "importance", "order", "slope_jump")
    return xr.Dataset(
        {f"fine_{name}": ("transition", fine[f"boundary_{name}"].values[changes][order]) for name in names}
    )


def _summary(data: xr.Dataset) -> str:
    from numerics.agreement.tables import describe_grid

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


def judge(data: xr.Dataset) -> list[Verdict]:
    """Compare the phase diagrams, learned, idealised and exact, and the order of the transition."""
    diagrams, order = [], [_ideal_order()]
    for n, m in PROBLEMS:
        part, where = _part(data, n, m), f"n = {n}, m = {m}"
        diagrams += [_three_phases(part, where), _training(part, where), _boundary(part, where)]
        order.append(_orders(part["boundary_order"].values[_changes(part)], part["boundary_slope_jump"].values, where))
    order.append(_fine_orders(data))
    return [
        Verdict(
            4,
            tuple(diagrams),
            "The three solutions compete and the cheapest wins, which training confirms in nearly every cell away "
            "from the boundaries. The idealised pair has norms of 1 and no bias; optimised, it costs less, so that it "
            "pays up to a higher density.",
        ),
        Verdict(
            5,
            tuple(order),
            "Where the two solutions differ, their losses cross and the slope jumps. Between dense, nearly equally "
            "important features the pair instead grows out of the solution without it, as the norm of the extra "
            "feature rises from 0: there the optimal loss has no kink.",
        ),
    ]


def _changes(part: xr.Dataset) -> np.ndarray:
    """Which of the transitions change the phase."""
    return np.asarray(part["boundary_phase_before"].values != part["boundary_phase_after"].values)


def _three_phases(part: xr.Dataset, where: str) -> Finding:
    share = [float((part["phase"].values == k).mean()) for k in range(len(PHASES))]
    found = ", ".join(f"{name} in {s:.0%}" for name, s in zip(PHASES, share, strict=True))
    return Finding(f"{where}: three outcomes", f"{found} of the cells of the exact diagram", min(share) > 0)


def _training(part: xr.Dataset, where: str) -> Finding:
    """Compare the best runs that converged, away from the boundaries, with the exact optimum."""
    cause = part["cause"].values
    near = part["near_boundary"].values.astype(bool)
    converged = cause != CAUSES.index("not converged")
    agrees = part["agrees"].values.astype(bool)
    counted, wrong = converged & ~near, int((cause == CAUSES.index("theory wrong")).sum())
    ideal = float((part["ideal_phase"].values == part["learned_phase"].values)[converged].mean())
    return Finding(
        f"{where}: theory and training agree",
        f"the best run is in the phase of the exact optimum in {agrees[counted].mean():.2%} of the {counted.sum()} "
        f"cells away from boundaries whose best run converged ({(~converged & ~near).sum()} did not); a run is below "
        f"the optimum in {wrong} cells; the idealised phase is learned in {ideal:.1%} of all converged cells",
        bool(agrees[counted].mean() >= _MOST) and not wrong,
    )


def _boundary(part: xr.Dataset, where: str) -> Finding:
    """The boundary between not represented and superposition at one importance."""
    before, after = (part[f"boundary_phase_{end}"].values for end in ("before", "after"))
    here = np.isclose(part["boundary_importance"].values, AT_IMPORTANCE)
    here &= np.minimum(before, after) == PHASES.index("not represented")
    here &= np.maximum(before, after) == PHASES.index("superposition")
    exact = float(part["boundary_density"].values[here].max())
    what = f"{where}: idealised boundary of superposition at r = {AT_IMPORTANCE:g}: p"
    return compare(what, IDEAL_DENSITY, exact, _TWO_DIGITS, 6)


def _ideal_order() -> Finding:
    """The jump of slope where the idealised losses r (p/3 - p^2/4) and (1 + r) p^2 / 6 cross."""
    r = AT_IMPORTANCE
    p = 4 * r / (2 + 5 * r)
    jump = r * (1 / 3 - p / 2) - (1 + r) * p / 3
    order = 1 if abs(jump) > 0 else 2
    return Finding(
        f"idealised candidates: order of the transition = {STATED_ORDER}",
        f"{order}: the slope dL/dp jumps by {jump:.4f} at p = {p:.4f}, r = {r:g}",
        order == STATED_ORDER,
    )


def _orders(order: np.ndarray, jump: np.ndarray, where: str) -> Finding:
    first = int((order == 1).sum())
    return Finding(
        f"{where}, exact optimum: order of the transition = {STATED_ORDER}",
        f"first order at {first} of {len(order)} places on the boundaries, with jumps of dL/d log of up to "
        f"{np.abs(jump).max():.3g}; continuous at {len(order) - first}",
        bool((order == STATED_ORDER).all()),
    )


def _fine_orders(data: xr.Dataset) -> Finding:
    """The order along the boundary between dense and nearly equal features."""
    p, order = data["fine_density"].values, data["fine_order"].values
    continuous = p[order == 2]
    where = f", those with p from {continuous.min():.3f} to {continuous.max():.3f}" if len(continuous) else ""
    return Finding(
        f"n = 2, m = 1, dense features: order of the transition = {STATED_ORDER}",
        f"of {len(p)} places with p from {p.min():.3f} to {p.max():.3f} it is continuous at {len(continuous)}{where}",
        bool((order == STATED_ORDER).all()),
    )


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
    figure = new_figure(13.0, 8.8)
    rows = figure.subplots(len(PROBLEMS), 3, sharex=True, sharey=True)
    parts = [_part(data, n, m).assign_attrs(n=n, m=m) for n, m in PROBLEMS]
    for part, row in zip(parts, rows, strict=True):
        norm, overlap = (_of_best(part, name) for name in ("run_norm", "run_superposition"))
        phase_panel(row[2], part, norm, overlap)
        for line, order, within in boundary_segments(part):
            row[2].plot(*line.T, color=_LINE, lw=0.8 if within else 1.4, ls="-" if order == 1 else (0, (2.5, 1.5)))
        _mark_disagreement(row[2], part)
        row[0].set_ylabel(f"n = {part.attrs['n']}, m = {part.attrs['m']}\n\nrelative importance of the extra feature")
    runs = data.attrs["instances"]
    titles = ("idealised candidates", "exact optimum", f"gradient descent, best of {runs} runs")
    for axes, title in zip(rows[0], titles, strict=True):
        axes.set_title(title, fontsize=11)
    for axes in rows[-1]:
        axes.set_xlabel("density  $1-S$      (dense → sparse)")
    headline(figure, _headline(data))
    handles = [*picture_legend(), rows[0][2].get_legend_handles_labels()[0][0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.draw_without_rendering()  # labels are placed in panels of their final size
    for part, row in zip(parts, rows, strict=True):
        draw_ideal(row[0], part)
        draw_exact(row[1], part)
    return figure


def _headline(data: xr.Dataset) -> str:
    """How many of the cells are learned as predicted, and how much of the boundary is not of first order."""
    parts = [_part(data, n, m) for n, m in PROBLEMS]
    agrees = np.concatenate([part["agrees"].values.ravel() for part in parts]).mean()
    second = np.concatenate([part["boundary_order"].values[_changes(part)] == 2 for part in parts])
    return (
        f"Training learns the phase of the exact optimum in {agrees:.1%} of the cells; from phase to phase the optimum "
        f"changes at first order in {1 - second.mean():.0%} of the places, continuously in the others"
    )


def _of_best(part: xr.Dataset, name: str) -> np.ndarray:
    """A number of the best run of every cell."""
    return np.take_along_axis(part[name].values, part["best"].values[..., None].astype(int), -1)[..., 0]


def _mark_disagreement(axes: "Axes", part: xr.Dataset) -> None:
    i, j = np.nonzero(part["cause"].values != CAUSES.index("agrees"))
    p, r = part["density"].values[i], part["importance"].values[j]
    style: dict[str, Any] = {"color": "#C2185B", "ms": 7, "mew": 1.8, "ls": "", "clip_on": False}
    axes.plot(p, r, "x", **style, label="best run in another phase or minimum, or not converged")


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
