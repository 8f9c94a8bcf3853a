"""What correlated and anticorrelated features do, judged over densities, angles, readings and recipes of training."""

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import xarray as xr
from numpy import ndarray

from figures.parts.correlated_cases import CASES, DRAWN, Case, cosines, side_by_side
from figures.shared.verdicts import ANGLES, PAPER, Finding, weighed
from numerics.agreement.basins import wilson_interval

__all__ = ["STATED_ANGLE", "basis_findings", "pair_findings", "three_set_findings"]

# Angles within a set, in degrees, as the slides state them.
STATED_ANGLE = {12: 90.0, 13: 180.0, 15: 90.0}
# The slides: sets side by side, and those of them that collapse at the optimum.
STATED_SIDE_BY_SIDE, STATED_COLLAPSED = 3, 0
# "Prefer": most runs; or more than by chance, which of three pairings of four features takes each as often.
_MOST, _CHANCE = 0.5, 1 / 3
# A collapsed set at an exact minimum, in the picture.
_NO_ANGLE = "exact minimum"

# Where models come from (a variable), at which density, how far off an angle may be, and how it is read.
_Choice = tuple[str, float, float, str]


def off(case: Case, W: ndarray) -> ndarray:
    """
    Say how far the angles within the sets are from what is stated.

    Parameters
    ----------
    case : Case
        Which sets.
    W : ndarray, shape (*batch, m, n)
        Embeddings.

    Returns
    -------
    ndarray, shape (*batch, pairs)
        In degrees, for each pair of features of the same set; 90 for a feature without a direction.
    """
    pairs = [pair for members in case.members for pair in combinations(members, 2)]
    C = np.array([cosines(w) for w in W.reshape(-1, *W.shape[-2:])])
    within = np.array([[c[i, j] for i, j in pairs] for c in C]).reshape(*W.shape[:-2], len(pairs))
    angle = np.degrees(np.arccos(np.clip(within, -1, 1)))
    return np.abs(angle - STATED_ANGLE[case.claim])


def _embeddings(data: xr.Dataset, name: str, density: float) -> ndarray:
    """Embeddings of one variable at one density."""
    axis = next(str(d) for d in data[name].dims if "density" in str(d))
    return np.asarray(data[name].isel({axis: int(np.abs(data[axis].values - density).argmin())}).values)


def _best(data: xr.Dataset, case: Case, readings: dict[str, Callable[[ndarray], ndarray]]) -> Finding:
    """The angles of the best solution."""

    def measure(choice: tuple[float, float, str]) -> tuple[str, bool]:
        density, angle, reading = choice
        W = _embeddings(data, f"best_W_{case.claim}", density)
        distance = float(readings[reading](off(case, W)))
        return f"{distance:.2f} degrees off", distance < angle

    choices = {
        f"density {p:g}, {reading}to {angle:g} degrees": (float(p), angle, reading)
        for p in data["density"].values
        for reading in readings
        for angle in ANGLES
    }
    chosen = f"density {DRAWN:g}, {next(iter(readings))}to {ANGLES[0]:g} degrees"
    return weighed(f"best solution: angle within sets = {STATED_ANGLE[case.claim]:g} degrees", measure, choices, chosen)


def _trained(
    data: xr.Dataset, case: Case, readings: dict[str, Callable[[ndarray], ndarray]], by_chance: bool, wide: bool = False
) -> Finding:
    """The angles of what training gives."""

    def measure(choice: tuple[str, float, float, str, str]) -> tuple[str, bool]:
        name, density, angle, reading, preferred = choice
        inside = readings[reading](off(case, _embeddings(data, name, density))) < angle
        share, low = float(inside.mean()), wilson_interval(int(inside.sum()), inside.size)[0]
        return f"{share:.0%} of {inside.size} runs", share > _MOST if preferred == "most" else low > _CHANCE

    sources = [(f"run_W_{case.claim}", "density", ""), (f"paper_W_{case.claim}", "density", f"{PAPER}, ")]
    if wide:
        sources += [("wide_W", "wide_density", ""), ("wide_paper_W", "wide_density", f"{PAPER}, ")]
    wanted = {"most": "most runs", **({"chance": "more than by chance"} if by_chance else {})}
    choices = {
        f"{recipe}density {p:g}, {reading}to {angle:g} degrees, {words}": (name, float(p), angle, reading, preferred)
        for preferred, words in wanted.items()
        for name, axis, recipe in sources
        for p in data[axis].values
        for reading in readings
        for angle in ANGLES
    }
    chosen = f"density {DRAWN:g}, {next(iter(readings))}to {ANGLES[1]:g} degrees, most runs"
    return weighed("training: models prefer this", measure, choices, chosen)


_FARTHEST: dict[str, Callable[[ndarray], ndarray]] = {"": lambda off: off.max(-1)}
_BASES: dict[str, Callable[[ndarray], ndarray]] = {
    "the farthest pair, ": lambda off: off.max(-1),
    "the median pair, ": lambda off: np.median(off, axis=-1),
}


def pair_findings(data: xr.Dataset, case: Case) -> Iterator[Finding]:
    """
    Judge two sets of two, correlated (claim 12) or anticorrelated (claim 13).

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.correlated_features.compute`` returns it.
    case : Case
        Which of them.

    Yields
    ------
    Finding
        At the best solution and in training.
    """
    opposite = STATED_ANGLE[case.claim] > 90
    yield _best(data, case, _FARTHEST)
    yield _trained(data, case, _FARTHEST, by_chance=opposite, wide=opposite)


def basis_findings(data: xr.Dataset) -> Iterator[Finding]:
    """
    Judge two sets of ten (claim 15).

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.correlated_features.compute`` returns it.

    Yields
    ------
    Finding
        At the best solution and in training, by the farthest and by the median pair.
    """
    yield _best(data, CASES[3], _BASES)
    yield _trained(data, CASES[3], _BASES, by_chance=False)


def three_set_findings(data: xr.Dataset) -> Iterator[Finding]:
    """
    Judge three sets of two in a plane (claim 14).

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.correlated_features.compute`` returns it.

    Yields
    ------
    Finding
        Side by side, sometimes collapsed, and whether that is a failure.
    """
    yield from _beside_findings(data)
    yield from _collapse_findings(data)


# Where the models of claim 14 stand, by how they were trained.
_THREE_SETS = {"": "run_W_14", f"{PAPER}, ": "paper_W_14"}


def _beside_findings(data: xr.Dataset) -> Iterator[Finding]:
    """Whether all sets lie side by side, at the best solution and in training."""
    case, densities = CASES[2], [float(p) for p in data["density"].values]
    best = data["best_side_by_side"].sel(claim=case.claim)

    def beside(density: float) -> tuple[str, bool]:
        count = int(best.sel(density=density, method="nearest"))
        return f"{count} of {len(case.members)} sets", count == STATED_SIDE_BY_SIDE

    def learned(choice: tuple[str, float]) -> tuple[str, bool]:
        W = _embeddings(data, *choice)
        share = float(np.mean([side_by_side(w, case.members) == STATED_SIDE_BY_SIDE for w in W]))
        return f"{share:.0%} of {len(W)} runs", share > _MOST

    yield weighed(
        f"all {STATED_SIDE_BY_SIDE} sets side by side at the best solution",
        beside,
        {f"density {p:g}": p for p in densities},
        f"density {DRAWN:g}",
    )
    yield weighed(
        f"training: models prefer all {STATED_SIDE_BY_SIDE} sets side by side",
        learned,
        {f"{recipe}density {p:g}": (name, p) for recipe, name in _THREE_SETS.items() for p in densities},
        f"density {DRAWN:g}",
    )


def _collapse_findings(data: xr.Dataset) -> Iterator[Finding]:
    """Whether sets collapse in training, and at the optimum."""
    case, densities = CASES[2], [float(p) for p in data["density"].values]
    minima = data["run_collapsed"].sel(claim=case.claim)

    def apart(W: ndarray) -> ndarray:
        """Angles within the sets, in degrees."""
        C = np.array([cosines(w) for w in W.reshape(-1, *W.shape[-2:])])
        within = np.array([[c[i, j] for i, j in case.members] for c in C])
        return np.degrees(np.arccos(np.clip(within, -1, 1))).reshape(*W.shape[:-2], -1)

    def collapses(choice: tuple[str, float, float]) -> tuple[str, bool]:
        name, density, angle = choice
        if name == _NO_ANGLE:
            runs = minima.sel(density=density, method="nearest").values
            share = float((runs[~np.isnan(runs)] > 0).mean())
        else:
            share = float((apart(_embeddings(data, name, density)) < angle).any(-1).mean())
        return f"in {share:.0%} of the runs", 0 < share < 1

    def at_optimum(choice: tuple[float, float]) -> tuple[str, bool]:
        density, angle = choice
        count = int((apart(_embeddings(data, "best_W_14", density)) < angle).sum())
        return f"{count} sets", count == STATED_COLLAPSED

    by_angle = {
        f"{recipe}density {p:g}, less than {angle:g} degrees apart": (name, p, angle)
        for recipe, name in _THREE_SETS.items()
        for p in densities
        for angle in ANGLES
    }
    exact = {f"density {p:g}, the nearest exact minimum": (_NO_ANGLE, p, 0.0) for p in densities}
    yield weighed(
        "sometimes a set collapses", collapses, exact | by_angle, f"density {DRAWN:g}, the nearest exact minimum"
    )
    yield weighed(
        f"that is a failure: {STATED_COLLAPSED} sets collapse at the optimum",
        at_optimum,
        {f"density {p:g}, less than {angle:g} degrees apart": (p, angle) for p in densities for angle in ANGLES},
        f"density {DRAWN:g}, less than {ANGLES[1]:g} degrees apart",
    )
