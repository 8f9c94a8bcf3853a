"""Dimensions per feature: a predicted staircase under trained models
==================================================================

Equal features, n = 400 and m = 30: the average dimensionality m / sum of squared weights, which the slides see stick at
1 and 1/2 (claim 6), and the dimensionalities D_i of single features, which they see cluster at 1, 3/4, 2/3, 1/2, 2/5,
3/8 and 0 (claim 7).

Lines and large marks are predicted without training: at every density the cheapest tegum product of the catalogue's
polytopes, found exactly by dynamic programming over their optimised losses. Grey dots are trained models and their
features. Below: by how much the trained models' exact loss exceeds that of the best product. Where it is lower, no
product of polytopes in up to four dimensions is the optimum: gradient descent spreads many features over all dimensions
at once, each with the same D_i, at no value that belongs to a polytope.
"""

from figures.shared.script import Settings, main

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.parts.staircase_panels import NAMED, SHORT, draw
from figures.shared.verdicts import Finding, Verdict
from numerics import train
from theory import Problem, dimensionality, dimensions_per_feature, population_loss, predicted_staircase
from theory.tools.command import progress
from theory.tools.parallel import spread

if TYPE_CHECKING:
    from numpy import ndarray

# Where the slides see the average stick; NAMED has the values of single features.
STICKY = (1.0, 0.5)
# An average this near to a level, relatively, is there; it sticks if it stays this many times as long, in the logarithm
# of 1/(1-S), as one that falls evenly.
_AT_LEVEL, _STICKS = 0.05, 2.0
# A feature is at a named value within less than half the least distance of two, 2/5 - 3/8 = 0.025. A cluster has twice
# the features of its surroundings, out to so far.
_AT_VALUE, _AROUND, _CLUSTER = 0.01, 0.03, 2.0


def compute(settings: Settings) -> xr.Dataset:
    """The best tegum product at every density, and a trained model at every second one."""
    n, m, count, steps = (40, 4, 9, 1000) if settings.quick else (400, 30, 47, 4000)
    densities = 1 / np.geomspace(1, 100, count)
    # A quick look takes the named polytopes only: those without a name take most of the time.
    polytopes = tuple(NAMED.values()) if settings.quick else None
    jobs = spread(predicted_staircase, [(n, m, [float(p)], polytopes) for p in densities], settings.workers)
    parts = list(progress(jobs, total=count, label="products"))
    data = xr.concat(parts, "density", join="outer", combine_attrs="drop_conflicts", data_vars="all")
    data["multiplicity"] = data["multiplicity"].fillna(0).astype(int)
    data = data.sortby("density", ascending=False)
    data = data.assign(_learned(n, m, densities[::2], steps, settings).variables)
    data["excess"] = "trained", data["learned_loss"].values / data["loss"].values[::2] - 1
    data.attrs["summary"] = "\n".join(_summary(data))
    return data


def _learned(n: int, m: int, densities: "ndarray", steps: int, settings: Settings) -> xr.Dataset:
    """One trained model per density: averages, its features' norms and dimensionalities, and its exact loss."""
    problem = Problem(n=n, m=m, density=np.repeat(densities[:, None], n, axis=1))
    # From small weights: from those of the usual size the loss is still 30 % too high after 4000 steps at density 1.
    learned = train(problem, 1, steps=steps, learning_rate=1e-2, init="small", seed=settings.seed,
                    workers=settings.workers, snapshots=())  # fmt: skip
    W, b = learned["W"].values.astype(float), learned["b"].values.astype(float)
    jobs = spread(_exact_loss, [(W[k], b[k], m, float(p)) for k, p in enumerate(densities)], settings.workers)
    return xr.Dataset(
        {
            "learned_average": ("trained", dimensions_per_feature(W)),
            "learned_loss": ("trained", list(progress(jobs, total=len(densities), label="exact losses"))),
            "learned_norm": (("trained", "feature"), np.linalg.norm(W, axis=1)),
            "learned_dimensionality": (("trained", "feature"), dimensionality(W)),
        },
        coords={"trained": densities},
    )


def _exact_loss(W: "ndarray", b: "ndarray", m: int, density: float) -> float:
    return float(population_loss(W, b, Problem(n=W.shape[1], m=m, density=density), rtol=1e-5))


def represented(data: xr.Dataset) -> "ndarray":
    """The dimensionalities of all features that trained models represent."""
    return np.asarray(data["learned_dimensionality"].values[data["learned_norm"].values >= SHORT])


def plateau(x: "ndarray", average: "ndarray", level: float) -> tuple[float, float, float]:
    """
    Say where an average stays at a level.

    Parameters
    ----------
    x : ndarray, shape (k,)
        1/(1-S), ascending.
    average : ndarray, shape (k,)
        Dimensions per feature there.
    level : float
        The level.

    Returns
    -------
    share : float
        Part of the range of log x in which the average, interpolated, is within 5 % of the level.
    first, last : float
        The values of x where that begins and ends; NaN if it never is.
    """
    fine = np.linspace(np.log(x[0]), np.log(x[-1]), 10_001)
    there = np.abs(np.interp(fine, np.log(x), average) / level - 1) < _AT_LEVEL
    ends = np.exp(fine[there][[0, -1]]) if there.any() else [np.nan, np.nan]
    return float(there.mean()), float(ends[0]), float(ends[1])


def even_fall(average: "ndarray") -> float:
    """Part of the range in which an average that falls evenly, in logarithms, is within 5 % of any level on its way."""
    return float(np.log((1 + _AT_LEVEL) / (1 - _AT_LEVEL)) / np.log(average.max() / average.min()))


def clusters(D: "ndarray", value: float) -> tuple[float, float]:
    """
    Count the features at a named value, beside those that its surroundings make one expect.

    Parameters
    ----------
    D : ndarray, shape (features,)
        Dimensionalities.
    value : float
        The value.

    Returns
    -------
    float
        Share of the features within 0.01 of the value.
    float
        Share that an even spread of those around it would put there: within 0.03, but at no named value.
    """

    def at(x: "ndarray") -> "ndarray":
        return np.abs(x - value) < _AT_VALUE

    def around(x: "ndarray") -> "ndarray":
        named = np.abs(x[:, None] - np.array([*NAMED, value])).min(1) < _AT_VALUE
        return (np.abs(x - value) < _AROUND) & ~named

    scale = np.linspace(0, 1, 100_001)  # no feature is outside, which cuts windows in half at its ends
    return float(at(D).mean()), float(around(D).mean() * at(scale).sum() / around(scale).sum())


def predicted_values(data: xr.Dataset) -> "ndarray":
    """All dimensionalities in the best products, at any density."""
    return np.unique(data["dimensionality"].values[data["multiplicity"].values > 0].round(6))


def _summary(data: xr.Dataset) -> list[str]:
    """The products, sticky levels, clusters, and what training misses."""
    lines = [
        f"1/(1-S) = {1 / float(row['density']):7.2f}   m/|W|^2 = {float(row['dimensions_per_feature']):.4f}   "
        f"{row['product'].item()}"
        for row in (data.isel(density=k) for k in range(data.sizes["density"]))
    ]
    lines += [
        f"trained, 1/(1-S) = {1 / float(row['trained']):7.2f}   m/|W|^2 = {float(row['learned_average']):.4f}   "
        f"{int((row['learned_norm'] >= SHORT).sum())} features   loss {float(row['excess']):+.2%} from the product's"
        for row in (data.isel(trained=k) for k in range(data.sizes["trained"]))
    ]
    D = represented(data)
    for value, name in NAMED.items():
        share, expected = clusters(D, value)
        lines.append(f"D = {value:.4g} ({name}): {share:.2%} of trained features at it, {expected:.2%} expected")
    return lines


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claims 6 and 7."""
    return [_sticky_verdict(data), _cluster_verdict(data)]


def _sticky_verdict(data: xr.Dataset) -> Verdict:
    findings = []
    for level in STICKY:
        for who, place, name in (
            ("predicted", "density", "dimensions_per_feature"),
            ("trained", "trained", "learned_average"),
        ):
            average = data[name].values
            (share, first, last), even = plateau(1 / data[place].values, average, level), even_fall(average)
            where = f", from {first:.2f} to {last:.2f}" if share else ""
            findings.append(
                Finding(
                    f"the {'best product' if who == 'predicted' else 'trained'} average sticks at {level:g}",
                    f"{who}: within {_AT_LEVEL:.0%} of it in {share:.1%} of the range of log 1/(1-S){where}; an even "
                    f"fall: {even:.1%}",
                    share > _STICKS * even,
                )
            )
    full = np.abs(data["learned_average"].values - 1) < _AT_LEVEL
    if full.any():
        D, shown = (data[name].values[full] for name in ("learned_dimensionality", "learned_norm"))
        found = (
            f"of {int((shown >= SHORT).sum())} features in {full.sum()} trained models with that average, the largest"
        )
        findings.append(
            Finding("at 1 the feature gets a full dimension", f"{found} D_i is {D.max():.3f}", bool(D.max() > 0.9))
        )
    digons = [str(product).split(" + ")[0].endswith("digon") for product in data["product"].values]
    averages = data["dimensions_per_feature"].values[digons]
    if len(averages):
        found = f"where the best product is all digons the average is {averages.min():.4f} to {averages.max():.4f}"
        findings.append(Finding("whether 1/2 is exact is not said", f"{found}; each digon's D_i is 1/2", None))
    return Verdict(
        6,
        tuple(findings),
        "Where features are dense a model projects on m dimensions, as the linear model does: the average is 1, but "
        "many features share the dimensions. Digons are the best factors over a range of densities; where their norms "
        "are above 1, to make up for what the antipode takes, the average is a little below 1/2.",
    )


def _cluster_verdict(data: xr.Dataset) -> Verdict:
    D, predicted = represented(data), predicted_values(data)
    findings = []
    for value, name in NAMED.items():
        if name == "unrepresented":
            short = float((data["learned_norm"] < SHORT).mean())
            findings.append(Finding(f"clusters at {value:g}", f"{short:.0%} of all trained features", short > 0.01))
            continue
        share, expected = clusters(D, value)
        nearest = predicted[np.abs(predicted - value).argmin()]
        findings.append(
            Finding(
                f"clusters at {value:.4g} ({name})",
                f"{share:.2%} of the represented trained features within {_AT_VALUE:g}, {expected:.2%} by the "
                f"surroundings; nearest in a predicted product: {nearest:.4f}",
                share > max(_CLUSTER * expected, 0.001),
            )
        )
    lower = data["excess"].values < 0
    if lower.any():
        first = float(1 / data["trained"].values[lower].max())
        last = data["learned_dimensionality"].values[-1][data["learned_norm"].values[-1] >= SHORT]
        found = (
            f"from 1/(1-S) = {first:.3g} on trained models beat the best product, by up to "
            f"{-data['excess'].values.min():.1%}; at the sparsest {len(last)} features have D_i = {last.mean():.4f} "
            f"with a standard deviation of {last.std():.4f}: one frame over all dimensions"
        )
        findings.append(Finding("whether the values belong to small polytopes at every density", found, None))
    return Verdict(
        7,
        tuple(findings),
        "A feature of a tegum product has the dimensionality of its factor, d/v if that is a tight frame. Factors "
        "share no dimensions, so clusters last as long as splitting the space pays.",
    )


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
