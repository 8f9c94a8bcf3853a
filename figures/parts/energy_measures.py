"""Exact stationary points that training passes, the wall between digons and pentagon, and how long digons last."""

from figures.shared.script import Settings

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy import ndarray
from scipy.optimize import brentq

from figures.shared.training import PAPER_RECIPE
from figures.shared.verdicts import PAPER
from numerics import train
from numerics.agreement.references import exact_losses
from numerics.training.regimes import rests
from theory import Problem, dimensionality, global_optimum, optimise, population_loss, stability_of
from theory.curvature.newton import solve_stationary
from theory.optimum.local_minima import refine

__all__ = ["HALF", "SHOWN", "WINDOWS", "course", "ends", "five", "levels_of", "lifetimes", "optima", "wall"]

# The slides' density of the pentagon and its digons.
_DENSITY = 0.05
# D_i is at a level within so much.
WINDOWS = (0.005, 0.01, 0.02)
# A loss within this part of an exact one is at it; Newton's method may have gone further off.
_SAME_LOSS = 0.02
# D_i of a digon is 1/2, of a pentagon 2/5: who has more than this is still in a digon.
HALF = 0.45
SHOWN = "small weights, Adam 1e-3"
RECIPES: Mapping[str, Mapping[str, Any]] = {
    SHOWN: {"init": "small", "learning_rate": 1e-3, "schedule": "constant", "steps": 6000},
    "Xavier, Adam 1e-3": {"init": "xavier", "learning_rate": 1e-3, "schedule": "constant", "steps": 6000},
    "Xavier, Adam 1e-2": {"init": "xavier", "learning_rate": 1e-2, "schedule": "cosine", "steps": 3000},
    PAPER: {"init": "xavier", **PAPER_RECIPE},
}
# Features, dimensions and density of trainings: pentagons cost less than digons at all of them (at n = 10 the optimum
# is the rectified 5-cell, whose D_i are 2/5 too).
_CASES = ((5, 2, 0.02), (5, 2, 0.05), (5, 2, 0.1), (10, 4, 0.05))
# Constant rates and batches under which models that were put into the digons may leave them.
_NOISES: Mapping[str, Mapping[str, Any]] = {
    "Adam 1e-3, batch 1024": {"learning_rate": 1e-3, "batch": 1024},
    "Adam 1e-2, batch 1024": {"learning_rate": 1e-2, "batch": 1024},
    "Adam 1e-2, batch 64": {"learning_rate": 1e-2, "batch": 64},
}
# Coarse forms at density 0.1 of the digons with the fifth feature beside one of them, and of the saddle point on the
# way from there to the pentagon: where Newton's method starts.
_DIGONS = np.array([[1.05, -1.0, 0.0, 0.0, 0.4], [0.0, 0.0, 1.0, -1.0, 0.0]]), np.array([-0.15, 0.0, 0.0, 0.0, 0.01])
_SADDLE = (
    np.array([[1.04, -1.02, -0.015, -0.016, 0.37], [-0.055, 0.0, 1.015, -1.01, 0.064]]),
    np.array([-0.13, 0.0, -0.013, -0.006, 0.024]),
)
_COARSE_AT = 0.1
# Off the saddle point by this much, descent leaves to either side.
_ASIDE = 0.01


class Rest(NamedTuple):
    """A stretch of a run in which the loss hardly falls."""

    run: int
    first: int
    last: int


def five(density: float = _DENSITY) -> Problem:
    """Five equal features in two dimensions."""
    return Problem(n=5, m=2, density=density)


def course(settings: Settings) -> xr.Dataset:
    """Courses of training by recipe, their rests, and the stationary points that Newton's method finds there."""
    runs = 4 if settings.quick else 24
    recipes = [SHOWN, "Xavier, Adam 1e-2"] if settings.quick else list(RECIPES)
    loss, D = zip(*(_trained(recipe, runs, settings) for recipe in recipes), strict=True)
    data = xr.Dataset(
        {
            "loss": (("recipe", "run", "snapshot"), np.array([part[0] for part in loss])),
            "dimensionality": (("recipe", "run", "snapshot", "feature"), np.array(D)),
            "step": (("recipe", "snapshot"), np.array([part[1] for part in loss])),
        },
        coords={"recipe": recipes},
    )
    W, b = loss[0][2:]
    return xr.merge([data, _stationary(data["loss"].values[0], D[0], W, b)], combine_attrs="no_conflicts")


def _trained(recipe: str, runs: int, settings: Settings) -> tuple[tuple[ndarray, ...], ndarray]:
    """Exact losses, steps, W and b at snapshots of a training, and the dimensionalities."""
    steps = int(RECIPES[recipe]["steps"])
    snapshots = np.linspace(0, steps, 301).astype(int)
    learned = train(five(), runs, seed=settings.seed, snapshots=snapshots.tolist(), progress=False,
                    workers=settings.workers, **RECIPES[recipe])  # fmt: skip
    W, b = (learned[name].values.astype(float).swapaxes(0, 1) for name in ("W_curve", "b_curve"))
    loss = exact_losses(five(), W.reshape(-1, 2, 5), b.reshape(-1, 5)).reshape(W.shape[:2]) / five().zero_loss
    return (loss, snapshots, W, b), dimensionality(W)


def _stationary(loss: ndarray, D: ndarray, W: ndarray, b: ndarray) -> xr.Dataset:
    """The exact stationary point nearest to the middle of every rest."""
    stretches = [Rest(*rest) for rest in rests(loss)]
    exact, own, falling, found = [], [], [], []
    for rest in stretches:
        k = (rest.first + rest.last) // 2
        point = solve_stationary(W[rest.run, k], b[rest.run, k], five(), iterations=25)
        judged = stability_of(point.W, point.b, five())
        own.append(dimensionality(point.W))
        exact.append(float(population_loss(point.W, point.b, five())) / five().zero_loss)
        # Curvatures nearer to zero than the kinks' rounding are not counted.
        falling.append(int((judged.spectrum < -1e-6).sum()))
        found.append(point.converged and abs(exact[-1] - loss[rest.run, k]) < _SAME_LOSS * loss[rest.run, k])
    middle = np.array([D[rest.run, (rest.first + rest.last) // 2] for rest in stretches])
    return xr.Dataset(
        {
            "rest": (("stretch", "of"), np.array(stretches)),
            "rest_loss": ("stretch", exact),
            "rest_found": ("stretch", found),
            "rest_index": ("stretch", falling),
            "rest_dimensionality": (("stretch", "feature"), np.array(own)),
            "rest_apart": ("stretch", np.abs(middle - np.array(own)).max(1)),
        },
        coords={"of": ["run", "first", "last"]},
    )


def levels_of(data: xr.Dataset) -> tuple[ndarray, ndarray]:
    """Distinct stationary points of the rests, by loss: losses (k,), and dimensionalities in order (k, 5)."""
    known = data["rest_found"].values
    loss, D = data["rest_loss"].values[known], np.sort(data["rest_dimensionality"].values[known])
    order = np.argsort(-loss)
    kept: list[int] = []
    for k in order:
        if not any(abs(loss[k] - loss[j]) < 1e-5 and np.abs(D[k] - D[j]).max() < WINDOWS[0] for j in kept):
            kept.append(int(k))
    return loss[kept], D[kept]


def optima(settings: Settings) -> xr.Dataset:
    """Dimensionalities of the exact optimum against density, and where digons and pentagon cost the same."""
    p = np.geomspace(0.02, 0.4, 3 if settings.quick else 13)
    best = [global_optimum(five(float(x)), seed=settings.seed) for x in p]

    def excess(x: float) -> float:
        return float(optimise(five(x), "2 digon").loss - optimise(five(x), "pentagon").loss) / x

    return xr.Dataset(
        {"optimal_dimensionality": (("optimum_density", "feature"), np.sort([dimensionality(one.W) for one in best]))},
        coords={"optimum_density": p},
        attrs={"crossing": float(brentq(excess, 0.1, 0.3, xtol=1e-9))},
    )


def ends(settings: Settings) -> xr.Dataset:
    """Share of the runs with features in digons at the end, where pentagons cost less."""
    recipes = [SHOWN, "Xavier, Adam 1e-2"] if settings.quick else list(RECIPES)
    cases = _CASES[1:2] if settings.quick else _CASES
    share = np.zeros((len(recipes), len(cases)))
    runs = 8 if settings.quick else 48
    for k, recipe in enumerate(recipes):
        for j, (n, m, p) in enumerate(cases):
            learned = train(Problem(n=n, m=m, density=p), runs, seed=settings.seed + 1, snapshots=(), progress=False,
                            workers=settings.workers, **RECIPES[recipe])  # fmt: skip
            share[k, j] = _halved(learned["W"].values).mean()
    return xr.Dataset(
        {"digon_share": (("end_recipe", "case"), share), "case_density": ("case", [p for _, _, p in cases])},
        coords={"end_recipe": recipes, "case": [f"n = {n}, p = {p:g}" for n, _, p in cases]},
        attrs={"end_runs": runs},
    )


def _halved(W: ndarray) -> ndarray:
    """Whether any feature has half a dimension or more."""
    return np.asarray(dimensionality(W.astype(float)).max(-1) > HALF)


def lifetimes(settings: Settings) -> xr.Dataset:
    """Share of the models that are still in the digons, after so many steps from their exact minimum."""
    densities = (0.05,) if settings.quick else (0.02, 0.05, 0.1)
    runs, steps = (8, 1000) if settings.quick else (32, 10_000)
    snapshots = np.unique(np.geomspace(10, steps, 30).astype(int))
    left = np.zeros((len(_NOISES), len(densities), len(snapshots)))
    for j, p in enumerate(densities):
        start = _digons(p)
        for k, noise in enumerate(_NOISES.values()):
            learned = train(five(p), runs, init=start, steps=steps, schedule="constant", seed=settings.seed,
                            snapshots=snapshots.tolist(), progress=False, workers=settings.workers,
                            **noise)  # fmt: skip
            left[k, j] = _halved(learned["W_curve"].values).mean(1)
    return xr.Dataset(
        {"still": (("noise", "life_density", "life_step"), left)},
        coords={"noise": list(_NOISES), "life_density": list(densities), "life_step": snapshots},
        attrs={"life_runs": runs},
    )


def _digons(p: float) -> tuple[ndarray, ndarray]:
    """The exact minimum with two digons, the fifth feature beside one of them if that is a minimum."""
    found = refine(five(p).repeated(1), _DIGONS[0][None], _DIGONS[1][None], tolerance=1e-10, iterations=1000)
    return found.W[0], found.b[0]


def wall(settings: Settings) -> xr.Dataset:
    """Losses of the digons, of the pentagon and of the saddle point between them against density."""
    down, up = (np.geomspace(_COARSE_AT, end, 3 if settings.quick else 10) for end in (0.02, 0.15))
    rows: dict[float, tuple[float, ...]] = {}
    for path in (down, up):
        W, b = _SADDLE
        for p in path:
            problem = five(float(p))
            point = solve_stationary(W, b, problem, iterations=40)
            W, b = point.W, point.b
            judged = stability_of(W, b, problem)
            digons = float(population_loss(*_digons(float(p)), problem))
            pentagon = optimise(problem, "pentagon").loss
            leads = sorted(_descended(problem, W, b, sign * _ASIDE * judged.direction) for sign in (-1, 1))
            joins = point.converged and np.allclose(leads, sorted((digons, pentagon)), rtol=1e-6)
            here = (digons, float(population_loss(W, b, problem)), pentagon)
            rows[float(p)] = (
                *(float(x / problem.zero_loss) for x in here),
                float((judged.spectrum < 0).sum()),
                float(joins),
            )
    p = np.array(sorted(rows))
    table = np.array([rows[x] for x in p])
    names = ("wall_digons", "wall_saddle", "wall_pentagon", "wall_index", "wall_joins")
    return xr.Dataset(
        {name: ("wall_density", column) for name, column in zip(names, table.T, strict=True)},
        coords={"wall_density": p},
    )


def _descended(problem: Problem, W: ndarray, b: ndarray, step: ndarray) -> float:
    """Loss of the minimum below a point beside a saddle."""
    start = W + step[: W.size].reshape(W.shape), b + step[W.size :]
    found = refine(problem.repeated(1), start[0][None], start[1][None], tolerance=1e-9, iterations=1000)
    return float(found.loss[0])
