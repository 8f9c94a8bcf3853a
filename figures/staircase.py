"""Dimensions per feature: a staircase between an estimate from below and the best that is known
=============================================================================================

Equal features, n = 400 and m = 30: the average dimensionality m / sum of squared weights, which the slides see stick at
1 and 1/2 (claim 6), and the dimensionalities D_i of single features, which they see cluster at 1, 3/4, 2/3, 1/2, 2/5,
3/8 and 0 (claim 7).

No line is fitted to a trained model. Below stands the relaxed even frame, whose features share all dimensions: an
estimate from below. Above stands the best arrangement known: a knapsack over the catalogue's polytopes and spherical
codes, even frames found by minimising the exact loss, and mixtures of them. Grey dots are models trained from Xavier's
weights, three at every density, and their features; the verdicts also weigh a model by the paper's recipe at each.
Where features are dense, few of the named polytopes are found by training; where they are sparse, no product of small
polytopes is the optimum: k features share all dimensions, each with D_i = m/k, at no value that belongs to a polytope.
"""

from figures.shared.script import Settings, main

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from figures.parts.staircase_findings import judge, share_at, summary
from figures.parts.staircase_panels import NAMED, draw
from figures.shared.training import PAPER_RECIPE, trained
from theory import Problem, dimensionality, dimensions_per_feature, population_loss
from theory.frames.prediction import predict_even_frame
from theory.optimum.polytope import optimise_polytope
from theory.packing.best_product import factor_losses
from theory.packing.mixtures import best_mixture, frames_of_parts
from theory.tools.command import progress
from theory.tools.parallel import spread

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["compute", "draw", "judge"]


def compute(settings: Settings) -> xr.Dataset:
    """Estimate, best known arrangement and trained models, density by density."""
    n, m, steps, models = (40, 4, 1000, 1) if settings.quick else (400, 30, 4000, 3)
    densities = 1 / (10.0 ** np.array([0, 0.5, 1, 1.5]) if settings.quick else np.geomspace(1, 100, 47)[::2])
    count = len(densities)
    # A quick look takes the named polytopes only: those without a name take most of the time.
    polytopes = tuple(NAMED.values()) if settings.quick else None
    jobs = [(n, m, float(p), polytopes, settings.seed) for p in densities]
    parts = progress(spread(_predicted, jobs, settings.workers), total=count, label="best arrangements")
    data = xr.concat(list(parts), xr.DataArray(densities, dims="density", name="density"))
    recipe = {"steps": steps, "learning_rate": 1e-2, "init": "xavier"}
    data = data.assign(_learned(n, m, densities, models, recipe, settings).variables)
    paper = {**PAPER_RECIPE} | ({"steps": steps} if settings.quick else {})
    by_paper = _learned(n, m, densities, 1, paper, settings).rename(model="paper_model")
    data = data.assign({f"paper_{name}": values for name, values in by_paper.variables.items()})
    data["share"] = ("density", "value"), [share_at(data.isel(density=k)) for k in range(count)]
    data = data.assign_coords(value=list(NAMED), density=densities)
    data.attrs |= {"n": n, "m": m, "loss": "population loss, summed over features of importance 1", "steps": steps}
    data.attrs["summary"] = "\n".join(summary(data))
    return data


def _predicted(n: int, m: int, density: float, polytopes: Collection[str] | None, seed: int) -> xr.Dataset:
    """The estimate from below, the best product, the descended frame of all dimensions, and the best of all."""
    losses = factor_losses(density, n, m)
    if polytopes is not None:
        losses = {name: optimise_polytope(name, density).loss for name in polytopes}
    below = predict_even_frame(n, m, density)
    frames = frames_of_parts(n, m, density, seed=seed, stored=below.k)
    product, best = (best_mixture(n, m, density, some, losses) for some in ((), frames))
    whole = [frame for frame in frames if frame.W.shape[0] == m]
    frame_loss = whole[0].loss + (n - whole[0].W.shape[1]) * below.left_out_loss if whole else np.nan
    return xr.Dataset(
        {
            "below_loss": below.loss,
            "below_average": below.dimensions_per_feature,
            "stored": below.k,
            "below_norm": below.norm,
            "below_bias": below.bias,
            "below_dimensionality": below.dimensionality,
            "product": product.name,
            "product_loss": product.loss,
            "product_average": product.dimensions_per_feature,
            "product_dimensionality": ("feature", product.dimensionality),
            "frame_loss": frame_loss,
            "best": best.name,
            "best_loss": best.loss,
            "best_average": best.dimensions_per_feature,
            "best_dimensionality": ("feature", best.dimensionality),
        }
    )


def _learned(
    n: int, m: int, densities: "ndarray", models: int, recipe: Mapping[str, Any], settings: Settings
) -> xr.Dataset:
    """Trained models: averages, norms and dimensionalities of their features, and their exact losses."""
    problem = Problem(n=n, m=m, density=np.repeat(densities[:, None], n, axis=1))
    W, b, _ = (values.reshape(-1, *values.shape[2:]) for values in trained(problem, models, settings, **recipe))
    each = np.repeat(densities, models)
    jobs = spread(_exact_loss, [(W[k], b[k], m, float(p)) for k, p in enumerate(each)], settings.workers)
    losses = np.array(list(progress(jobs, total=len(each), label="exact losses")))
    shape = (len(densities), models)
    return xr.Dataset(
        {
            "learned_average": (("density", "model"), np.reshape(dimensions_per_feature(W), shape)),
            "learned_loss": (("density", "model"), losses.reshape(shape)),
            "learned_norm": (("density", "model", "feature"), np.linalg.norm(W, axis=1).reshape(*shape, n)),
            "learned_dimensionality": (("density", "model", "feature"), dimensionality(W).reshape(*shape, n)),
        }
    )


def _exact_loss(W: "ndarray", b: "ndarray", m: int, density: float) -> float:
    return float(population_loss(W, b, Problem(n=W.shape[1], m=m, density=density), rtol=1e-5))


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
