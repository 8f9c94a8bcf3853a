"""What the staircase's numbers mean: plateaus of the average, clusters of single features, and the band of losses."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.parts.staircase_panels import NAMED, SHORT
from figures.shared.verdicts import NORMS, Finding, Verdict, by_recipe, weighed

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["clusters", "even_fall", "judge", "plateau", "represented", "share_at", "summary"]

# Where the slides see the average stick; NAMED has the values of single features.
STICKY = (1.0, 0.5)
# An average this near to a level, relatively, is there; it sticks if it stays this many times as long, in the logarithm
# of 1/(1-S), as one that falls evenly. First what is shown, then what it is weighed against.
_AT_LEVEL, _STICKS = 0.05, 2.0
_LEVELS, _TIMES = (0.02, 0.05, 0.1), (1.5, 2.0, 3.0)
# A feature is at a named value within less than half the least distance of two, 2/5 - 3/8 = 0.025. A cluster has twice
# the features of its surroundings, out to three times as far, and more than one feature in a thousand.
_AT_VALUE, _CLUSTER, _FEW = 0.01, 2.0, 0.001
_WINDOWS = (0.005, 0.01, 0.02)
# A feature with so much of a dimension has all of it.
_FULL = (0.8, 0.9, 0.95)


def represented(data: xr.Dataset, recipe: str = "", least: float = SHORT) -> "ndarray":
    """The dimensionalities of all features that trained models represent, with norms from ``least`` on."""
    D, norm = (data[f"{recipe}learned_{name}"].values for name in ("dimensionality", "norm"))
    return np.asarray(D[norm >= least])


def plateau(x: "ndarray", average: "ndarray", level: float, within: float = _AT_LEVEL) -> tuple[float, float, float]:
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
    within : float
        Largest relative distance from it.

    Returns
    -------
    share : float
        Part of the range of log x in which the average, interpolated, is that near to the level.
    first, last : float
        The values of x where that begins and ends; NaN if it never is.
    """
    fine = np.linspace(np.log(x[0]), np.log(x[-1]), 10_001)
    there = np.abs(np.interp(fine, np.log(x), average) / level - 1) < within
    ends = np.exp(fine[there][[0, -1]]) if there.any() else [np.nan, np.nan]
    return float(there.mean()), float(ends[0]), float(ends[1])


def even_fall(average: "ndarray", within: float = _AT_LEVEL) -> float:
    """Part of the range in which an average that falls evenly, in logarithms, is near to any level on its way."""
    return float(np.log((1 + within) / (1 - within)) / np.log(average.max() / average.min()))


def clusters(D: "ndarray", value: float, window: float = _AT_VALUE) -> tuple[float, float]:
    """
    Count the features at a named value, beside those that its surroundings make one expect.

    Parameters
    ----------
    D : ndarray, shape (features,)
        Dimensionalities.
    value : float
        The value.
    window : float
        Features that near are at the value.

    Returns
    -------
    float
        Share of the features at the value.
    float
        Share that an even spread of those around it would put there: up to three windows away, but at no named value.
    """

    def at(x: "ndarray") -> "ndarray":
        return np.abs(x - value) < window

    def around(x: "ndarray") -> "ndarray":
        named = np.abs(x[:, None] - np.array([*NAMED, value])).min(1) < window
        return (np.abs(x - value) < 3 * window) & ~named

    scale = np.linspace(0, 1, 100_001)  # no feature is outside, which cuts windows in half at its ends
    return float(at(D).mean()), float(around(D).mean() * at(scale).sum() / around(scale).sum())


def predicted_values(data: xr.Dataset) -> "ndarray":
    """All dimensionalities in the best products, at any density."""
    return np.unique(data["dimensionality"].values[data["multiplicity"].values > 0].round(6))


def share_at(row: xr.Dataset) -> list[float]:
    """Share of one density's represented trained features within 0.01 of each named value; at 0, of all features."""
    D, short = represented(row), row["learned_norm"].values < SHORT
    at = [float((np.abs(D - value) < _AT_VALUE).mean()) if len(D) else 0.0 for value in NAMED if value]
    return [*at, float(short.mean())]


def held_at(row: xr.Dataset, value: float) -> int:
    """How many features the best known arrangement has within 0.01 of a value."""
    return int((np.abs(row["best_dimensionality"].values - value) < _AT_VALUE).sum())


def summary(data: xr.Dataset) -> list[str]:
    """The band, the best arrangements, what is learned, and the clusters."""
    lines = ["1/(1-S)  estimate  best known  product  learned (least, most)  best arrangement"]
    for k in range(data.sizes["density"]):
        row = data.isel(density=k)
        learned = row["learned_loss"].values
        lines.append(
            f"{1 / float(row['density']):7.2f} {float(row['below_loss']):9.4f} {float(row['best_loss']):10.4f} "
            f"{float(row['product_loss']):10.4f} {learned.min():9.4f} {learned.max():9.4f}   {row['best'].item()}"
        )
    D = represented(data)
    for value, name in NAMED.items():
        if value:
            share, expected = clusters(D, value)
            lines.append(f"D = {value:.4g} ({name}): {share:.2%} of trained features at it, {expected:.2%} expected")
    return lines


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claims 6 and 7."""
    return [_sticky_verdict(data), _cluster_verdict(data)]


def _sticky_verdict(data: xr.Dataset) -> Verdict:
    x, best = 1 / data["density"].values, data["best_average"].values
    findings = []
    for level in STICKY:
        exact = _sticks(x, best, level, _AT_LEVEL, _STICKS)
        findings.append(Finding(f"the best arrangement average sticks at {level:g}", *exact))
        findings.append(_trained_average(data, level))
    findings += _full_dimension(data)
    digons = [str(best).split(" + ")[0].endswith("digon") for best in data["best"].values]
    average = best[digons]
    if len(average):
        found = f"where the best arrangement is all digons the average is {average.min():.4f} to {average.max():.4f}"
        findings.append(Finding("whether 1/2 is exact is not said", f"{found}; each digon's D_i is 1/2", None))
    return Verdict(
        6,
        tuple(findings),
        "Where features are dense a model projects on m dimensions, as the linear model does: the average is 1, but "
        "many features share the dimensions. Digons are the best factors over a range of densities; where their norms "
        "are above 1, to make up for what the antipode takes, the average is a little below 1/2.",
    )


def _sticks(x: "ndarray", average: "ndarray", level: float, within: float, times: float) -> tuple[str, bool]:
    """For how long an average stays at a level, and whether that is so many times as long as an even fall would."""
    (share, first, last), even = plateau(x, average, level, within), even_fall(average, within)
    where = f", from {first:.2f} to {last:.2f}" if share else ""
    found = f"within {within:.0%} of it in {share:.1%} of the range of log 1/(1-S){where}; an even fall: {even:.1%}"
    return found, bool(share > times * even)


def _trained_average(data: xr.Dataset, level: float) -> Finding:
    x = 1 / data["density"].values

    def sticks(choice: tuple[str, tuple[float, float]]) -> tuple[str, bool]:
        recipe, (within, times) = choice
        return _sticks(x, data[f"{recipe}learned_average"].values.mean(1), level, within, times)

    choices = {_times(within, times): (within, times) for within in _LEVELS for times in _TIMES}
    chosen = _times(_AT_LEVEL, _STICKS)
    return weighed(f"the trained average sticks at {level:g}", sticks, by_recipe(choices), chosen)


def _times(within: float, times: float) -> str:
    return f"to {within:.0%}, {times:g} times an even fall"


def _full_dimension(data: xr.Dataset) -> list[Finding]:
    """Whether features of models with an average of 1 have a dimension of their own, wherever there are such models."""
    full = {recipe: np.abs(data[f"{recipe}learned_average"].values - 1) < _AT_LEVEL for recipe in ("", "paper_")}
    if not all(models.any() for models in full.values()):
        return []

    def largest(choice: tuple[str, float]) -> tuple[str, bool]:
        recipe, least = choice
        models = full[recipe]
        D, norm = (data[f"{recipe}learned_{name}"].values[models] for name in ("dimensionality", "norm"))
        found = f"of {int((norm >= SHORT).sum())} features in {models.sum()} trained models with that average"
        return f"{found}, the largest D_i is {D.max():.3f}", bool(D.max() > least)

    choices = {f"D_i above {least:g}": least for least in _FULL}
    return [weighed("at 1 the feature gets a full dimension", largest, by_recipe(choices), "D_i above 0.9")]


def _cluster_verdict(data: xr.Dataset) -> Verdict:
    findings = [_cluster(data, value, name) if value else _unrepresented(data) for value, name in NAMED.items()]
    return Verdict(
        7,
        (*findings, *_missed(data), *_band(data)),
        "A feature of a tegum product has the dimensionality of its factor, d/v if that is a tight frame. Factors "
        "share no dimensions, so clusters last as long as splitting the space pays; beyond, k features share all "
        "dimensions, each with m/k, which changes with the density.",
    )


def _cluster(data: xr.Dataset, value: float, name: str) -> Finding:
    best = data["best_dimensionality"].values
    nearest = best.flat[np.abs(best - value).argmin()]

    def stands_out(choice: tuple[str, tuple[float, float]]) -> tuple[str, bool]:
        recipe, (least, window) = choice
        share, expected = clusters(represented(data, recipe, least), value, window)
        found = f"{share:.2%} of the represented trained features, {expected:.2%} by the surroundings; nearest in a"
        return f"{found} best known arrangement: {nearest:.4f}", share > max(_CLUSTER * expected, _FEW)

    choices = {_near(least, window): (least, window) for least in NORMS for window in _WINDOWS}
    chosen = _near(SHORT, _AT_VALUE)
    return weighed(f"clusters at {value:.4g} ({name})", stands_out, by_recipe(choices), chosen)


def _near(least: float, window: float) -> str:
    return f"within {window:g}, norm above {least:g}"


def _unrepresented(data: xr.Dataset) -> Finding:
    def left_out(choice: tuple[str, float]) -> tuple[str, bool]:
        recipe, least = choice
        short = float((data[f"{recipe}learned_norm"] < least).mean())
        return f"{short:.0%} of all trained features", short > _FEW

    choices = {f"norm below {least:g}": least for least in NORMS}
    return weighed("clusters at 0", left_out, by_recipe(choices), f"norm below {SHORT:g}")


def _missed(data: xr.Dataset) -> list[Finding]:
    """Where the best arrangement has tetrahedra or triangles, and what training has there."""
    findings = []
    for value, name in ((3 / 4, "tetrahedra"), (2 / 3, "triangles")):
        rows = [data.isel(density=k) for k in range(data.sizes["density"])]
        rows = [row for row in rows if held_at(row, value)]
        if rows:
            x = [1 / float(row["density"]) for row in rows]
            trained = [float((np.abs(represented(row) - value) < _AT_VALUE).mean()) for row in rows]
            missed = [float(row["learned_loss"].min() / row["best_loss"]) - 1 for row in rows]
            found = (
                f"{name} hold {min(held_at(row, value) for row in rows)} to {max(held_at(row, value) for row in rows)} "
                f"features of the best arrangement from 1/(1-S) = {min(x):.3g} to {max(x):.3g}; of the represented "
                f"trained features at most {max(trained):.1%} are at {value:.3g}, and the best of three models costs "
                f"{min(missed):.1%} to {max(missed):.1%} more"
            )
            findings.append(Finding(f"whether training finds the {name} where they win", found, None))
    return findings


def _band(data: xr.Dataset) -> list[Finding]:
    """Models against the estimate from below and the best known, and what beats products."""
    x, learned = 1 / data["density"].values, data["learned_loss"].values
    below, best, product = (data[f"{name}_loss"].values for name in ("below", "best", "product"))
    ratio, width = (
        learned / below[:, None] - 1,
        np.maximum(best / below - 1, 0),
    )  # digons attain the estimate, to rounding
    found = (
        f"the {learned.size} models cost {ratio.min():.1%} to {ratio.max():.1%} more than the estimate, "
        f"{int((ratio < 0).sum())} of them less; {int((learned <= best[:, None]).sum())} cost no more than the best "
        f"known, which exceeds the estimate by {width.min():.1%} to {width.max():.1%}"
    )
    findings = [Finding("whether trained models lie in or above the predicted band", found, None)]
    beaten = learned.min(1) < product
    if beaten.any():
        last = data.isel(density=-1)
        D = represented(last)
        found = (
            f"from 1/(1-S) = {x[beaten].min():.3g} on trained models beat the best product of polytopes and codes, "
            f"by up to {(1 - learned.min(1) / product).max():.1%}; at the sparsest {len(D) / data.sizes['model']:.0f} "
            f"features have D_i = {D.mean():.4f} with a standard deviation of {D.std():.4f}: one frame over all "
            "dimensions"
        )
        findings.append(Finding("whether the values belong to small polytopes at every density", found, None))
    return findings
