"""Principal components and shared factors
=======================================

Claim 35: models of correlated features are most like principal component analysis at densities of 0.5 and more, and
anticorrelated features prefer to be in the same tegum factor, and antipodal.

(a) Three pairs of correlated features in two dimensions. How unlike PCA the best solution is (lines, exact) and models
    that learned (points), by three measures: the part of the variance that is lost by reading other directions than
    principal ones; the distance of W^T W from a projection on principal directions; and what is saved of PCA's loss.
    All three vanish for PCA. The slides' range is shaded. At density 1 features are independent: nothing is principal.
(b) Pairs of anticorrelated features that share a tegum factor, within a set and across sets, at the best solution and
    in training, and pairs that are opposite.
(c) The best solutions of (a): a column per feature, a colour per set.
(d) Cosines at the best solutions of (b); squares are sets. With two sets of three in three dimensions a digon is formed
    across the sets: its features are active together, but seldom, and no third feature fits opposite another. In two
    dimensions all six share one hexagon, with the features of a set a third of a turn apart and every antipode in the
    other set.

Best solutions are the lowest of exact minima from random starts, learned models, polygons and known forms.
"""

from figures.shared.script import Settings, main

import numpy as np
import xarray as xr

from figures.parts.factor_measures import MEASURES, OURS, STRAIGHT, anticorrelated, principal
from figures.parts.factor_panels import draw
from figures.shared.verdicts import Finding, Verdict, weighed
from theory.tools.threads import one_blas_thread

# The slide: from this density on.
STATED_FROM = 0.5
# Likenesses that differ by less are the same.
_SAME = 1e-9


def compute(settings: Settings) -> xr.Dataset:
    """Best solutions and learned models of three correlated pairs, and of anticorrelated sets."""
    with one_blas_thread():
        data = xr.merge([principal(settings), anticorrelated(settings)], combine_attrs="no_conflicts")
    data.attrs["summary"] = "\n".join(f"{f.stated}: {f.found}" for f in judge(data)[0].findings)
    return data


def unlikeness(data: xr.Dataset, values: np.ndarray) -> np.ndarray:
    """
    Turn the three measures into differences from principal component analysis.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.
    values : ndarray, shape (..., 3)
        In the order of ``data.measure``.

    Returns
    -------
    ndarray, shape (..., 3)
        0 for PCA: variance lost, distance from a projection, part of PCA's loss that is saved.
    """
    assert tuple(data["measure"].values) == MEASURES
    return np.stack([1 - values[..., 0], values[..., 1], 1 - values[..., 2]], axis=-1)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claim 35: where models are most like PCA, and what anticorrelated features share."""
    findings = [_most(data), _between(data), _together(data), _learned(data), _opposite(data), _crowded(data)]
    why = (
        "A dense pair is nearly always active as a whole, so that interference costs whatever its sign, and the ReLU "
        "cuts nothing off: what is left of the problem is linear. Two features that are never active together may be "
        "opposite at no cost, and there is only one opposite: in sets of three the third takes another direction."
    )
    return [Verdict(35, tuple(findings), why)]


def _most(data: xr.Dataset) -> Finding:
    p = data["pca_density"].values
    optimum = unlikeness(data, data["optimum"].values)
    sources = {"best solution": optimum}
    for recipe in data["pca_recipe"].values:
        sources[str(recipe)] = unlikeness(data, data["learned"].sel(pca_recipe=recipe).values).mean(1)
    choices = {f"{name}, {measure}": (values, k) for name, values in sources.items() for k, measure in
               enumerate(MEASURES)}  # fmt: skip

    def measure(choice: tuple[np.ndarray, int]) -> tuple[str, bool]:
        column = choice[0][:, choice[1]]
        stated, below = column[p >= STATED_FROM], column[p < STATED_FROM]
        text = (
            f"off PCA by at most {stated.max():.3f} from {STATED_FROM:g} on, by at least {below.min():.3f} at the "
            f"densities below, least at p = {p[int(column.argmin())]:g}"
        )
        return text, bool(stated.max() <= below.min() + _SAME)

    first = f"best solution, {MEASURES[1]}"
    return weighed("solutions are most PCA-like at densities of 0.5 and more", measure, choices, first)


def _between(data: xr.Dataset) -> Finding:
    p, values = data["pca_density"].values, unlikeness(data, data["optimum"].values)
    k = int(np.abs(p - STATED_FROM).argmin())
    return Finding(
        "what changes at that density",
        f"nothing: W^T W is off a projection by {', '.join(f'{x:.3f}' for x in values[:, 1])} at "
        f"p = {', '.join(f'{x:g}' for x in p)}; only the variance read is all principal from "
        f"p = {p[values[:, 0] < 1e-6].min(initial=np.inf):g} of these on, and at {p[k]:g} the loss is still "
        f"{values[k, 2]:.1%} below PCA's",
        None,
    )


def _has_factors(data: xr.Dataset, case: str) -> bool:
    """Whether not everything is in one factor, so that sharing one says something."""
    return bool((data["together"].sel(case=case, where="across") < 0.5).any())


def _together(data: xr.Dataset) -> Finding:
    """Sets, sizes and dimensions are choices like the density: the slides name none."""
    cases = [str(case) for case in data["case"].values if _has_factors(data, str(case))]
    choices = {f"{case}, {label}": (case, p) for case in cases for label, p in _densities(data).items()}

    def measure(choice: tuple[str, float]) -> tuple[str, bool]:
        here = data["together"].sel(case=choice[0], density=choice[1])
        within, across = (float(here.sel(where=where)) for where in ("within", "across"))
        return f"{within:.0%} of the pairs within sets share a factor, {across:.0%} of those across", within > across

    return weighed("anticorrelated features share a tegum factor", measure, choices, f"{cases[0]}, {_drawn(data)}")


def _learned(data: xr.Dataset) -> Finding:
    cases = [str(case) for case in data["case"].values if _has_factors(data, str(case))]
    choices = {
        f"{recipe}, {case}, {_drawn(data)}": (str(recipe), case) for recipe in data["recipe"].values for case in cases
    }

    def measure(choice: tuple[str, str]) -> tuple[str, bool]:
        here = data["together_learned"].sel(recipe=choice[0], case=choice[1])
        within, across = float(here.sel(where="within")), float(here.sel(where="across"))
        return f"{within:.0%} of the pairs within sets, {across:.0%} of those across", within > across

    return weighed(
        "in training anticorrelated features share a tegum factor",
        measure,
        choices,
        f"{OURS}, {cases[0]}, {_drawn(data)}",
    )


def _opposite(data: xr.Dataset) -> Finding:
    cases = [str(case) for case in data["case"].values]
    choices = {
        f"{case}, p = {p:g}, within {degrees:g} degrees": (case, float(p), float(degrees))
        for case in cases
        for degrees in STRAIGHT
        for p in data["density"].values
    }

    def measure(choice: tuple[str, float, float]) -> tuple[str, bool]:
        at = data["opposite"].sel(case=choice[0], density=choice[1], degrees=choice[2])
        within, across = float(at.sel(where="within")), float(at.sel(where="across"))
        return f"{within:.0%} of the pairs within sets are opposite, {across:.0%} of those across", within > across

    first = f"{cases[0]}, {_drawn(data)}, within {STRAIGHT[0]:g} degrees"
    return weighed("anticorrelated features are antipodal", measure, choices, first)


def _crowded(data: xr.Dataset) -> Finding:
    loss = data["best_loss"]
    free = [str(case) for case in data["case"].values if float(loss.sel(case=case).max()) < 1e-9]
    return Finding(
        "where it costs nothing",
        f"the loss is 0 for {', '.join(free) or 'none'}; else "
        + "; ".join(
            f"{case}: {', '.join(f'{x:.4f}' for x in loss.sel(case=case).values)} of the zero model's"
            for case in data["case"].values
            if str(case) not in free
        ),
        None,
    )


def _densities(data: xr.Dataset) -> dict[str, float]:
    return {f"p = {p:g}": float(p) for p in data["density"].values}


def _drawn(data: xr.Dataset) -> str:
    p = data["density"].values
    return f"p = {p[len(p) // 2]:g}"


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
