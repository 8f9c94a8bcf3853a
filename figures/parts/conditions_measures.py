"""The numbers of the conditions of superposition: optima of few features, losses of given models, trained ones."""

from figures.shared.script import Settings

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy import ndarray

from numerics import train
from theory import (
    Problem,
    branches_of,
    crossover_between,
    dimensions_per_feature,
    feature_norms,
    global_optimum,
    optimise,
    optimise_polytope,
    population_loss,
    recognise,
    superposition,
)
from theory.loss.decomposition import by_active_features

__all__ = ["importances", "learned_hexagons", "plane", "reach", "relu_gain", "sharing", "transfer"]

# Features with shorter columns are unrepresented.
_SHORT = 0.2
# The pentagon whose importance or density varies, as in the slides; a model at one density evaluated at denser ones.
_BASE_DENSITY, _TRAINED_AT = 0.05, (0.3, 0.1, 0.03)
_POLYTOPES = ("digon", "triangle", "tetrahedron", "pentagon", "hexagon", "square antiprism", "cube")
_HEXAGON_AT = (0.07, 0.05, 0.03, 0.01)
_CROSSINGS = {"three": ("triangle", "digon + dedicated", 0.3, 0.7), "six": ("hexagon", "pentagon", 0.03, 0.15)}
_CROSSING_NAMES = {"three": "triangle_crossing", "six": "hexagon_crossing"}


def plane(settings: Settings, n: int, geometries: Sequence[str], name: str) -> xr.Dataset:
    """Exact losses of geometries of n equal features in the plane, in units of the zero model's, by density."""
    p = np.geomspace(0.01, 0.95, 7 if settings.quick else 33)
    p = np.unique(np.append(p, [0.1, 0.3, 0.6, 0.9, 1.0]))
    loss = np.empty((len(p), len(geometries)))
    for k, density in enumerate(p):
        problem = Problem(n=n, m=2, density=density)
        loss[k] = [optimise(problem, geometry).loss / problem.zero_loss for geometry in geometries]
    first, second, low, high = _CROSSINGS[name]
    problem = Problem(n=n, m=2, density=low)
    crossings = crossover_between(problem, first, second, "density", low, high)
    return xr.Dataset(
        {f"{name}_loss": ((f"{name}_density", f"{name}_geometry"), loss)},
        coords={f"{name}_density": p, f"{name}_geometry": list(geometries)},
        attrs={_CROSSING_NAMES[name]: crossings[0].value},
    )


def learned_hexagons(settings: Settings) -> xr.Dataset:
    """How many trained models of six features end as a hexagon."""
    runs, steps = (8, 1500) if settings.quick else (100, 10_000)
    share = []
    for k, density in enumerate(_HEXAGON_AT):
        learned = train(Problem(n=6, m=2, density=density), instances=runs, steps=steps, seed=settings.seed + k,
                        workers=settings.workers, progress=False)  # fmt: skip
        names = [recognise(W).name for W in learned["W"].values.reshape(-1, 2, 6)]
        share.append(names.count("hexagon") / runs)
    return xr.Dataset(
        {"hexagon_share": ("hexagon_density", share)},
        coords={"hexagon_density": list(_HEXAGON_AT)},
        attrs={"hexagon_runs": runs},
    )


def transfer(settings: Settings) -> xr.Dataset:
    """Optima of five features at one density, evaluated exactly at denser ones, beside the optima there."""
    at = np.geomspace(_TRAINED_AT[-1], 0.5, 4 if settings.quick else 15)
    there = [global_optimum(Problem(n=5, m=2, density=p), seed=settings.seed) for p in at]
    excess, additive = (np.full((len(_TRAINED_AT), len(at)), np.nan) for _ in range(2))
    for i, trained in enumerate(_TRAINED_AT):
        best = global_optimum(Problem(n=5, m=2, density=trained), seed=settings.seed)
        for j, p in enumerate(at):
            if p < trained * (1 - 1e-9):
                continue
            parts = by_active_features(best.W, best.b, Problem(n=5, m=2, density=p))
            excess[i, j] = parts.sum() / there[j].loss - 1
            additive[i, j] = parts[2:].sum() / parts.sum()
    over = ("trained_at", "evaluated_at")
    return xr.Dataset(
        {"transfer_excess": (over, excess), "transfer_additive": (over, additive)},
        coords={"trained_at": list(_TRAINED_AT), "evaluated_at": at},
        attrs={"transfer_n": 5},
    )


def importances(settings: Settings) -> xr.Dataset:
    """The pentagon and two digons as one feature becomes less important, with their crossing."""
    problem = Problem(n=5, m=2, density=_BASE_DENSITY)
    (crossing,) = crossover_between(problem, "pentagon", "2 digon", "relative importance", 0.1, 1.0)
    data, attrs = {}, {"importance_crossing": crossing.value, "importance_slope_jump": crossing.slope_jump}
    for name in ("pentagon", "2 digon"):
        branch = min(branches_of(problem, name, "relative importance", 0.1, 1.0), key=lambda branch: branch.loss.min())
        where = f"{name.replace(' ', '_')}_importance"
        data[f"{where}_loss"] = (where, branch.loss)
        data[where] = (where, branch.values)
        if name == "pentagon":
            data["importance_norm"] = (where, feature_norms(branch.W)[:, 0])
            attrs["importance_spinodal"] = float(branch.values.min())
    return xr.Dataset(data, attrs=attrs)


def reach() -> xr.Dataset:
    """How strongly all other features together can activate a feature, and how much superposition it is in."""
    rows = []
    for name in _POLYTOPES:
        W = _optimum(name)
        along = (W / feature_norms(W)).T @ W
        others = np.maximum(along - np.diag(np.diag(along)), 0).sum(1)
        k = int(superposition(W).argmax())
        rows.append((superposition(W)[k], others[k] / feature_norms(W)[k]))
    over = np.array(rows)
    return xr.Dataset(
        {"polytope_superposition": ("polytope", over[:, 0]), "polytope_reach": ("polytope", over[:, 1])},
        coords={"polytope": list(_POLYTOPES)},
    )


def _optimum(name: str) -> ndarray:
    """W of a polytope of the catalogue at its optimum."""
    return optimise_polytope(name, _BASE_DENSITY).W


def relu_gain(settings: Settings) -> xr.Dataset:
    """Exact losses with and without a ReLU for random models, linear models with and without superposition."""
    rng = np.random.default_rng([settings.seed, 31])
    tried = 40 if settings.quick else 400
    worst = -np.inf
    for _ in range(tried):
        n, m = int(rng.integers(2, 7)), int(rng.integers(1, 4))
        problem = Problem(n=n, m=m, density=rng.uniform(0.01, 1, n), importance=rng.uniform(0.1, 1, n))
        W, b = rng.normal(size=(m, n)) * rng.uniform(0.1, 2), rng.normal(size=n) * rng.uniform(0, 1)
        linear = population_loss(W, b, problem, "linear")
        worst = max(worst, float(population_loss(W, b, problem) / linear) - 1)
    gain = -np.inf
    problem = Problem(n=5, m=2, density=0.1, importance=0.8 ** np.arange(5))
    best = float((problem.importance[2:] * (0.1 / 3 - 0.1**2 / 4)).sum())
    for _ in range(tried):
        W = np.linalg.qr(rng.normal(size=(5, 2)))[0].T
        b = (np.eye(5) - W.T @ W) @ np.full(5, 0.05)
        gain = max(gain, 1 - float(population_loss(W, b, problem, "linear")) / best)
    half = Problem(n=2, m=1, density=0.5, importance=[1.0, 0.0])
    saved = population_loss(np.zeros((1, 2)), np.zeros(2), half) - population_loss(np.zeros((1, 2)), [0.25, 0.0], half)
    return xr.Dataset(attrs={"relu_worst": worst, "relu_tried": tried, "linear_gain": gain, "linear_tried": tried,
                             "bias_gain": saved})  # fmt: skip


def sharing(settings: Settings) -> xr.Dataset:
    """Superposition of the exact optimum of five features, and the interference that an active one meets."""
    p = np.geomspace(0.9, 0.01, 4 if settings.quick else 9)
    rows = []
    for density in p:
        W = global_optimum(Problem(n=5, m=2, density=density), seed=settings.seed).W
        stored = feature_norms(W) > _SHORT
        G = (W.T @ W)[stored] * ~np.eye(5, dtype=bool)[stored]
        met = (G**2).sum(1) * (density / 3 - density**2 / 4) + (G.sum(1) * density / 2) ** 2
        rows.append((1 / dimensions_per_feature(W), superposition(W)[stored].mean(), np.sqrt(met.mean())))
    columns = np.array(rows).T
    names = ("sharing_per_dimension", "sharing_superposition", "sharing_interference")
    return xr.Dataset(
        {name: ("sharing_density", column) for name, column in zip(names, columns, strict=True)},
        coords={"sharing_density": p},
    )
