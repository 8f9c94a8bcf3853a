"""Basins of gradient descent
==========================

Which geometry runs end in, against the density, beside the exact losses of the branches (claim 11).

Left: shares of the runs, with 95 % Wilson intervals. Right: exact branches of minima as lines, relative to the lowest
loss at each density; a line ends where its solution stops being a minimum, and different minima may share a name.
Points: the exact losses of the learned models, median with the range of the middle 90 %.

Last row: the slides' own setting, five features in two dimensions at density 0.05, one of them sparser. Left: the share
of the runs that end in another geometry than the optimum's. Right: pentagon and two digons as lines, every learned
model as a point.
"""

from figures.shared.script import Settings, main

from dataclasses import dataclass

import numpy as np
import xarray as xr

from figures.parts.basins_panels import OTHER, draw
from figures.shared.verdicts import Finding, Verdict, weighed
from numerics import train
from numerics.agreement.basins import wilson_interval
from numerics.agreement.references import exact_losses, nearest_minima
from theory import Problem, optimise, recognise_many
from theory.optimum.local_minima import LocalMinima
from theory.tools.threads import one_blas_thread
from theory.transitions.branches import follow_both_ways

PROBLEMS = ((5, 2), (6, 3))
# The setting of the literature: the density of all features, and that of one of them relative to it.
BASE_DENSITY = 0.05
RELATIVE, _QUICK_RELATIVE = (0.1, 0.12, 0.14, 0.18, 0.25, 0.35, 0.5, 1.0), (0.1, 0.2, 0.4)
# The slides: a non-optimal solution is what fitting "often" produces: one run in ten, in four, or in two.
STATED_OFTEN = (0.1, 0.25, 0.5)
# Enough to leave a saddle point by.
_NUDGE = 1e-3
# Geometries shown by name; the rest is gathered.
_SHOWN = 5
# Different minima may look alike to recognition: so many branches are followed per name. Minima whose loss is a
# branch's to within the second number lie on it.
_VARIANTS, _SAME_LOSS = 3, 5e-3


@dataclass(frozen=True)
class _Effort:
    low: float
    high: float
    densities: int
    runs: int
    steps: int
    points: int


# Up to a density of 0.6 there are geometries to tell apart: at 1 the model is linear, all projections equally good.
_FULL, _QUICK = _Effort(0.01, 0.6, 14, 64, 3000, 60), _Effort(0.05, 0.4, 3, 6, 600, 12)


@dataclass(frozen=True, eq=False)
class _Start:
    """A solution from which a branch is followed."""

    W: np.ndarray
    b: np.ndarray


def compute(settings: Settings) -> xr.Dataset:
    """
    Train at many densities, find the exact minimum of every run, and follow the commonest minima as branches.

    Parameters
    ----------
    settings : Settings
        How to compute.

    Returns
    -------
    xarray.Dataset
        Over ``problem``, ``density`` and ``geometry``: ``share`` with bounds ``low`` and ``high``, learned loss
        ``learned_low``, ``learned`` and ``learned_high`` (quantiles 5 %, 50 %, 95 % of the exact losses); over
        ``branch_density``: ``branch_loss`` of up to three branches (``variant``), NaN where they are no minima. Shares
        of the runs whose exact minimum has another geometry than the lowest: ``not_optimal``, and ``apart_not_optimal``
        over ``relative``, with the exact losses ``apart_learned`` of the runs and ``apart_pentagon`` and
        ``apart_digons`` of the branches, NaN where the pentagon is no minimum.
    """
    effort = _QUICK if settings.quick else _FULL
    parts = [_one_problem(n, m, effort, settings) for n, m in PROBLEMS]
    names = [part.attrs["names"] for part in parts]
    data = xr.concat([part.drop_attrs() for part in parts], dim="problem").assign_coords(
        problem=[f"n = {n}, m = {m}" for n, m in PROBLEMS], name=(("problem", "geometry"), np.array(names, dtype=str))
    )
    data = data.merge(_one_apart(effort, settings))
    return data.assign_attrs(runs=effort.runs, steps=effort.steps, summary=_summary(data))


def _one_apart(effort: _Effort, settings: Settings) -> xr.Dataset:
    """Five features in two dimensions, one of them sparser: the share of the runs that miss the optimum."""
    relative = _QUICK_RELATIVE if settings.quick else RELATIVE
    density = np.full((len(relative), 5), BASE_DENSITY)
    density[:, -1] *= relative
    problem = Problem(m=2, density=density)
    learned = train(problem, effort.runs, steps=effort.steps, seed=settings.seed, learning_rate=1e-2,
                    workers=settings.workers, snapshots=())  # fmt: skip
    with one_blas_thread():
        W, b = learned["W"].values.astype(float), learned["b"].values.astype(float)
        runs = problem.repeated(effort.runs)
        geometry = recognise_many(nearest_minima(runs, W, b).W).reshape(len(relative), -1)
        loss = exact_losses(runs, W, b).reshape(len(relative), -1)
        digons = _nudged(problem, density, "2 digon", settings.seed)
        pentagon = _nudged(problem, density, "pentagon", settings.seed)
    # Beyond its spinodal the pentagon is a saddle point, from which a nudge leads elsewhere.
    pentagon_loss = np.where(recognise_many(pentagon.W) == "pentagon", pentagon.loss, np.nan)
    best = np.where(pentagon_loss < digons.loss, "pentagon", recognise_many(digons.W))
    return xr.Dataset(
        {
            "apart_not_optimal": ("relative", (geometry != best[:, None]).mean(1)),
            "apart_learned": (("relative", "run"), loss),
            "apart_pentagon": ("relative", pentagon_loss),
            "apart_digons": ("relative", digons.loss),
        },
        coords={"relative": list(relative)},
    )


def _nudged(problem: Problem, density: np.ndarray, name: str, seed: int) -> LocalMinima:
    """The minima below a geometry at all densities, a little away from its symmetry."""
    found = [optimise(Problem(m=2, density=row), name) for row in density]
    W, b = np.array([one.W for one in found]), np.array([one.b for one in found])
    return nearest_minima(problem, W + _NUDGE * np.random.default_rng(seed).standard_normal(W.shape), b)


def _summary(data: xr.Dataset) -> str:
    """Shares with intervals, density by density."""
    lines = []
    for part in (data.isel(problem=k) for k in range(data.sizes["problem"])):
        lines += [part["problem"].item(), f"{'density':>9}  share of the runs, 95 % interval"]
        for i, p in enumerate(part["density"].values):
            row = part.isel(density=i)
            told = []
            for k in np.argsort(-row["share"].values, kind="stable"):
                share, low, high = (float(row[name][k]) for name in ("share", "low", "high"))
                if share > 0:
                    told.append(f"{row['name'].values[k]} {share:.0%} ({low:.0%}–{high:.0%})")
            lines.append(f"{p:>9.4f}  {', '.join(told)}")
    return "\n".join(lines)


def _one_problem(n: int, m: int, effort: _Effort, settings: Settings) -> xr.Dataset:
    p = np.geomspace(effort.low, effort.high, effort.densities)
    problem = Problem(m=m, density=np.repeat(p[:, None], n, axis=1))
    learned = train(
        problem,
        effort.runs,
        steps=effort.steps,
        seed=settings.seed,
        learning_rate=1e-2,
        workers=settings.workers,
        snapshots=(),
    )
    runs, W, b = problem.repeated(effort.runs), learned["W"].values.astype(float), learned["b"].values.astype(float)
    with one_blas_thread():
        minima, loss = nearest_minima(runs, W, b), exact_losses(runs, W, b)
        geometry = recognise_many(minima.W)
        common, counts = np.unique(geometry, return_counts=True)
        names = [str(name) for name in common[np.argsort(-counts, kind="stable")][:_SHOWN]]
        fine = np.unique(np.concatenate([p, np.geomspace(p[0], p[-1], effort.points)]))
        lines = np.full((_SHOWN + 1, _VARIANTS, len(fine)), np.nan)
        for k, name in enumerate(names):
            lines[k] = _branches(problem, minima, geometry == name, effort.runs, fine)
    names += [OTHER] * (_SHOWN + 1 - len(names))
    named = geometry.reshape(len(p), -1)
    lowest = named[np.arange(len(p)), minima.loss.reshape(len(p), -1).argmin(1)]
    return _statistics(geometry.reshape(len(p), -1), loss.reshape(len(p), -1), names).assign(
        branch_loss=(("geometry", "variant", "branch_density"), lines),
        not_optimal=("density", (named != lowest[:, None]).mean(1)),
        branch_density=("branch_density", fine),
        density=("density", p),
    )


def _branches(problem: Problem, minima: LocalMinima, members: np.ndarray, runs: int, fine: np.ndarray) -> np.ndarray:
    """Losses of the distinct branches that runs of one geometry ended on; NaN where a branch is no minimum."""
    lines = np.full((_VARIANTS, len(fine)), np.nan)
    by_density = members.reshape(-1, runs).sum(1)
    order = np.argsort(-by_density[np.arange(len(members)) // runs], kind="stable")
    found = 0
    for place in order[members[order]]:
        p = problem.density[place // runs, 0]
        here = lines[:, np.abs(np.log(fine / p)).argmin()]
        if found == _VARIANTS or (np.abs(here / minima.loss[place] - 1) < _SAME_LOSS).any():
            continue
        lines[found] = _followed(Problem(n=problem.n, m=problem.m, density=p), minima, int(place), fine)
        found += 1
    return lines


def _followed(problem: Problem, minima: LocalMinima, place: int, fine: np.ndarray) -> np.ndarray:
    """Loss of the branch through one minimum at the densities that it covers; NaN elsewhere."""
    start, p = _Start(minima.W[place], minima.b[place]), float(problem.density[0])
    branch = follow_both_ways(problem, start, "density", fine[0], fine[-1], p, points=len(fine))
    covered = (fine >= branch.lowest * (1 - 1e-9)) & (fine <= branch.highest * (1 + 1e-9))
    loss = np.full(len(fine), np.nan)
    order = np.argsort(branch.values)
    along = np.log(fine[covered])
    loss[covered] = np.exp(np.interp(along, np.log(branch.values[order]), np.log(branch.loss[order])))
    return loss


def _statistics(geometry: np.ndarray, loss: np.ndarray, names: list[str]) -> xr.Dataset:
    """Shares with intervals, and quantiles of the learned losses, per density and geometry."""
    shown = np.where(np.isin(geometry, names), geometry, OTHER)
    slots = [name if k == names.index(name) else "" for k, name in enumerate(names)]
    results = np.full((6, len(geometry), len(names)), np.nan)
    for i, row in enumerate(shown):
        for k, name in enumerate(slots):
            here = row == name
            results[:3, i, k] = (here.mean(), *wilson_interval(int(here.sum()), len(row)))
            if here.any():
                results[3:, i, k] = np.quantile(loss[i][here], [0.05, 0.5, 0.95])
    variables = ("share", "low", "high", "learned_low", "learned", "learned_high")
    dims = ("density", "geometry")
    data = xr.Dataset({name: (dims, values) for name, values in zip(variables, results, strict=True)})
    return data.assign_attrs(names=slots)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Compare how often runs end above the optimum with what the slides say."""
    findings = [_often(data["apart_not_optimal"].values, f"density {BASE_DENSITY:g}, one feature sparser: often in a "
                       "non-optimal geometry", "relative density", data["relative"].values), _crossover(data),
                _metastable(data)]  # fmt: skip
    for part in (data.isel(problem=k) for k in range(data.sizes["problem"])):
        name = f"{part['problem'].item()}, equal features: the same"
        findings.append(_often(part["not_optimal"].values, name, "density", part["density"].values))
    why = (
        "Beyond its crossing with another a geometry remains a local minimum of the exact loss, and descent, which "
        "only goes down, does not leave it. Where features are equal and sparse, one geometry is far better than the "
        "others and nearly every run finds it; runs miss the optimum near crossings and beyond them."
    )
    return [Verdict(11, tuple(findings), why)]


def _often(missed: np.ndarray, stated: str, axis: str, places: np.ndarray) -> Finding:
    """Whether runs miss the optimum often, whatever often is, where they do most or in the median place."""
    k = int(missed.argmax())
    shares = {"where most do": float(missed[k]), "in the median": float(np.median(missed))}
    told = (
        f"{missed.min():.0%} to {missed[k]:.0%} of the runs, most at {axis} {places[k]:.3g}, in the median "
        f"{np.median(missed):.0%}"
    )
    choices = {
        f"{where}, often: {least:.0%} of the runs": (share, least)
        for where, share in shares.items()
        for least in STATED_OFTEN
    }
    return weighed(stated, lambda choice: (told, choice[0] >= choice[1]), choices, next(iter(choices)))


def _metastable(data: xr.Dataset) -> Finding:
    """Runs off the optimum where the pentagon is a worse minimum, and where it is none any more."""
    missed, pentagon = data["apart_not_optimal"].values, data["apart_pentagon"].values
    worse, gone = pentagon > data["apart_digons"].values, np.isnan(pentagon)
    runs = data.attrs["runs"]
    # No threshold: the intervals of both shares are apart.
    least, most = (
        wilson_interval(round(missed[where].sum() * runs), int(where.sum()) * runs)[end]
        for where, end in ((worse, 0), (gone, 1))
    )
    return Finding(
        "descent has trouble moving between geometries",
        f"where the pentagon is a minimum, but not the best, {missed[worse].mean():.0%} of the runs miss the two "
        f"digons; where it is no minimum any more, {missed[gone].mean():.0%} do",
        bool(least > most),
    )


def _crossover(data: xr.Dataset) -> Finding:
    """Whether pentagon and two digons exchange the lead as one feature becomes sparser."""
    difference = (data["apart_digons"] / data["apart_pentagon"] - 1).dropna("relative").values
    return Finding(
        "each geometry has a loss curve of its own, and they cross",
        f"two digons cost {', '.join(f'{d:+.1%}' for d in difference)} relative to the pentagon, where it is a minimum",
        bool(difference.min() < 0 < difference.max()),
    )


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
