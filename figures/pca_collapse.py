"""The PCA-like regime
===================

How many correlated pairs collapse to one direction each, against density: 3 sets of 2 correlated features, n = 6 and
m = 2 (claim 16). The slides: all sets collapsed at densities 0.25 to 0.5, two at 0.15 to 0.2, one at 0.05 to 0.15, none
below 0.05.

Lines are exact: the best minimum with each number of collapsed sets, from random starts at every density and followed
to the neighbouring densities, both ways. The transitions of the global optimum are bisected. Points are learned models,
classified by the exact minimum that they belong to. A set counts as collapsed if its columns differ by less than 1e-3
of the longer one there; the verdict also takes learned sets as they are, less than 3 to 20 degrees apart, by the
project's and by the paper's recipe.

The optimum agrees with the slides up to two collapsed sets, with transitions at 0.0713 and 0.1626; just below the
second, the features of one more set are only about 10 degrees apart. All three sets collapse only from 0.3936 on.
Between 0.25 and there the best solution has two collapsed sets, yet at 0.30 most learned models have three: what the
slides state is closer to where gradient descent ends than to the optimum.
"""

from figures.shared.script import Settings, main

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from figures.parts.pca_panels import COUNTS, HIGH, LOW, SETS, STATED, draw
from figures.shared.training import PAPER_RECIPE, trained
from figures.shared.verdicts import ANGLES, PAPER, Finding, Verdict, weighed
from numerics.agreement.references import exact_losses, nearest_minima
from theory import Correlated, Problem
from theory.optimum.local_minima import LocalMinima, random_starts, refine
from theory.packing.collapse import collapsed_sets
from theory.tools.threads import one_blas_thread

if TYPE_CHECKING:
    from numpy import ndarray

    Solution = tuple[ndarray, ndarray]

COLLAPSED = 1e-3
# A learned set may count as collapsed by the angle of its features; shorter ones have none.
_DEAD_NORM = 0.1
# The slides: what is stored of a collapsed set; degrees that make no difference.
PRINCIPAL, _SAME_DIRECTION = np.array([1.0, 1.0]) / np.sqrt(2), 0.1
# A stated range is right if most of it is, of its length in log density.
_MOST = 0.5
# Densities of trained models beside those evenly spaced.
_WITHIN_TWO = (0.165, 0.18, 0.195)
# Where a transition is bracketed this closely, relative to the density, bisection ends.
_BRACKET, _QUICK_BRACKET = 1e-6, 1e-3
# Solutions are shaken by so much before descent, lest they rest on saddle points.
_SHAKE = 1e-3
# Starts beside the random ones, for solutions that are lowest only in narrow ranges of densities: three collapsed sets
# as a digon and an axis, and one collapsed set with a second almost so, its features about 10 degrees apart.
_KNOWN = np.array(
    [
        [[0.7, 0.7, -0.7, -0.7, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.7, 0.7]],
        [[0.98, 0.05, -0.72, -0.72, 0.01, 0.01], [0.0, 0.98, -0.01, 0.10, -0.72, -0.72]],
    ]
)


def problems(density: "ndarray") -> Problem:
    """A batch of problems, one per density of the sets."""
    features = Correlated(SETS, density=np.repeat(density[:, None], len(SETS), axis=1))
    return Problem(m=2, features=features, importance=np.ones((len(density), 6)))


def compute(settings: Settings) -> xr.Dataset:
    """Exact minima by number of collapsed sets, the transitions of the best, and learned models."""
    points, starts = (5, 3) if settings.quick else (24, 8)
    density = np.geomspace(LOW, HIGH, points)
    with one_blas_thread():
        W, b, loss = _lines(density, starts, settings.seed)
        transitions = _transitions(density, W, b, loss, _QUICK_BRACKET if settings.quick else _BRACKET)
        learned = _learned(settings)
    # In units of the zero model's loss, 6 p / 3.
    data = xr.Dataset(
        {
            "loss": (("density", "collapsed"), loss / (2 * density[:, None])),
            "W": (("density", "collapsed", "i", "j"), W),
        },
        coords={"density": density, "collapsed": np.arange(COUNTS)},
    )
    data = data.assign(learned.variables)
    data["stated"] = ("collapsed", "end"), np.array(list(STATED.values()))
    data["transition"] = "change", np.array([t[0] for t in transitions])
    data["before"] = "change", np.array([t[1] for t in transitions])
    data["after"] = "change", np.array([t[2] for t in transitions])
    data["jump"] = "change", np.array([t[3] for t in transitions])
    data.attrs["summary"] = "\n".join(_summary(data))
    return data


def _lines(density: "ndarray", starts: int, seed: int) -> "tuple[ndarray, ndarray, ndarray]":
    """The best minimum with each number of collapsed sets at every density; NaN where there is none."""
    rng = np.random.default_rng(seed)
    W, b = random_starts(problems(density[:1]), len(density) * starts, rng)
    W[::starts], W[1::starts] = _KNOWN
    found = refine(problems(np.repeat(density, starts)), W, b, tolerance=1e-6)
    best = (
        np.full((len(density), COUNTS, 2, 6), np.nan),
        np.full((len(density), COUNTS, 6), np.nan),
        np.full((len(density), COUNTS), np.nan),
    )
    _keep(best, found, np.repeat(np.arange(len(density)), starts))
    steps = [*range(1, len(density)), *range(len(density) - 2, -1, -1)]
    for place, came in zip(steps, [*range(len(density) - 1), *range(len(density) - 1, 0, -1)], strict=True):
        here = np.flatnonzero(~np.isnan(best[2][came]))
        # A nudge off the symmetric solutions: where collapse has become a saddle point, it is left.
        shaken = best[0][came, here] + _SHAKE * rng.standard_normal((len(here), 2, 6))
        again = refine(problems(np.full(len(here), density[place])), shaken, best[1][came, here], tolerance=1e-6)
        _keep(best, again, np.full(len(here), place))
    return best


def _keep(best: "tuple[ndarray, ndarray, ndarray]", found: LocalMinima, place: "ndarray") -> None:
    """Enter minima that are better than what was known with as many collapsed sets."""
    counts = collapsed_sets(found.W, SETS, COLLAPSED)
    for k in np.flatnonzero(found.converged):
        here = place[k], counts[k]
        if not best[2][here] <= found.loss[k]:
            best[0][here], best[1][here], best[2][here] = found.W[k], found.b[k], found.loss[k]


@dataclass(eq=False)
class _Bracket:
    """Two densities between which the number of collapsed sets changes at the optimum, and the optima there."""

    low: float
    high: float
    below: "Solution"
    above: "Solution"
    excesses: dict[float, float] = field(default_factory=dict)

    def place(self, closed: float) -> float:
        """
        Where to look next.

        The losses of both sides are equal on the straight line through the last two differences. Just beside that
        place, on the side of the wider part of the bracket, the next look closes in from there. Every third look is
        halfway, lest sides that have merged, and differ by rounding only, mislead for long.
        """
        if len(self.excesses) > 1 and len(self.excesses) % 3:
            (p, here), (q, there) = list(self.excesses.items())[-2:]
            root = q - there * (q - p) / (there - here) if there != here else np.nan
            root += (0.4 if self.high - root > root - self.low else -0.4) * closed * self.high
            if self.low < root < self.high:
                return root
        return (self.low + self.high) / 2

    def narrowed(self, p: float, best: "Solution", excess: float) -> "list[_Bracket]":
        """The bracket on the side of the change; a number in between makes two changes of it."""
        self.excesses[p] = excess
        if _count(best) == _count(self.below):
            self.low, self.below = p, best
        elif _count(best) == _count(self.above):
            self.high, self.above = p, best
        else:
            return [_Bracket(self.low, p, self.below, best), _Bracket(p, self.high, best, self.above)]
        return [self]


def _count(solution: "Solution") -> int:
    return int(collapsed_sets(solution[0], SETS, COLLAPSED))


def _transitions(
    density: "ndarray", W: "ndarray", b: "ndarray", loss: "ndarray", closed: float
) -> list[tuple[float, int, int, float]]:
    """Densities where the number of collapsed sets changes at the optimum, the numbers, and the change of norms."""
    optima = [(W[k, count], b[k, count]) for k, count in enumerate(np.nanargmin(loss, axis=1))]
    wide = [
        _Bracket(float(density[k]), float(density[k + 1]), optima[k], optima[k + 1])
        for k in np.flatnonzero(np.diff(np.nanargmin(loss, axis=1)))
    ]
    found = []
    while wide:
        places = [bracket.place(closed) for bracket in wide]
        looks = zip(wide, places, _optima_between(places, wide), strict=True)
        narrower = [new for bracket, p, look in looks for new in bracket.narrowed(p, *look)]
        found += [bracket for bracket in narrower if bracket.high - bracket.low <= closed * bracket.high]
        wide = [bracket for bracket in narrower if bracket.high - bracket.low > closed * bracket.high]
    return sorted(_transition(bracket) for bracket in found)


def _transition(bracket: _Bracket) -> tuple[float, int, int, float]:
    norms = [np.sort(np.linalg.norm(W, axis=0)) for W, _ in (bracket.below, bracket.above)]
    middle = (bracket.low + bracket.high) / 2
    return middle, _count(bracket.below), _count(bracket.above), float(np.abs(norms[0] - norms[1]).max())


def _optima_between(places: list[float], brackets: list[_Bracket]) -> "list[tuple[Solution, float]]":
    """The best minima below the ends' and the known solutions, and by how much the lower end's is above the other's."""
    each = 2 + len(_KNOWN)
    W = np.array([start for x in brackets for start in (x.below[0], x.above[0], *_KNOWN)])
    b = np.array([start for x in brackets for start in (x.below[1], x.above[1], *np.zeros((len(_KNOWN), 6)))])
    shake = _SHAKE * np.random.default_rng(0).standard_normal((each, *W.shape[1:]))
    found = refine(problems(np.repeat(places, each)), W + np.tile(shake, (len(places), 1, 1)), b, tolerance=1e-6)
    results = []
    for start in range(0, len(W), each):
        k = start + int(np.argmin(found.loss[start : start + each]))
        results.append(((found.W[k], found.b[k]), float(found.loss[start] - found.loss[start + 1])))
    return results


def _learned(settings: Settings) -> xr.Dataset:
    """Trained models: exact losses, collapsed sets of the minima they belong to, and angles within their sets."""
    points, runs, steps = (4, 4, 400) if settings.quick else (11, 16, 2000)
    p = np.geomspace(LOW, HIGH, points)
    if not settings.quick:  # only one of these lies in the shortest range of the slides
        p = np.sort([*p, *_WITHIN_TWO])
        points = len(p)
    W, b = _trained(p, runs, {"steps": steps, "learning_rate": 1e-2}, settings)
    by_paper, _ = _trained(p, runs // 2, PAPER_RECIPE, settings)
    batch = problems(np.repeat(p, runs))
    minima = nearest_minima(batch, W, b)
    counts = collapsed_sets(minima.W, SETS, COLLAPSED).reshape(points, runs)
    loss = exact_losses(batch, W, b).reshape(points, runs) / (2 * p[:, None])
    return xr.Dataset(
        {
            "run_collapsed": (("run_density", "run"), counts),
            "run_loss": (("run_density", "run"), loss),
            "run_angle": (("run_density", "run", "set"), _angles(W).reshape(points, runs, -1)),
            "paper_angle": (("run_density", "paper_run", "set"), _angles(by_paper).reshape(points, runs // 2, -1)),
        },
        coords={"run_density": p},
    )


def _trained(p: "ndarray", runs: int, recipe: Mapping[str, Any], settings: Settings) -> "tuple[ndarray, ndarray]":
    """W and b of trained models, those of a density being neighbours."""
    features = Correlated(SETS, density=np.repeat(p[:, None], len(SETS), axis=1))
    W, b, _ = trained(Problem(m=2, features=features), runs, settings, progress=False, **recipe)
    return W.reshape(-1, 2, 6), b.reshape(-1, 6)


def _angles(W: "ndarray") -> "ndarray":
    """Angles within the sets, in degrees; NaN for a feature without a direction."""
    first, second = (W[:, :, [pair[k] for pair in SETS]] for k in (0, 1))
    norms = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    lost = np.minimum(*norms) < _DEAD_NORM
    cosine = (first * second).sum(1) / np.where(lost, 1.0, norms[0] * norms[1])
    return np.where(lost, np.nan, np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _summary(data: xr.Dataset) -> list[str]:
    """The transitions of the optimum, and the document's ranges beside them."""
    lines = [
        f"optimum: {int(t['before'])} -> {int(t['after'])} collapsed sets at density {float(t['transition']):.8f} "
        f"(norms change by {float(t['jump']):.1e})"
        for t in (data.isel(change=k) for k in range(data.sizes["change"]))
    ]
    for count, (low, high) in STATED.items():
        start, stop = optimal_range(data, count)
        lines.append(f"{count} collapsed: stated {low:g} to {high:g}, exact {start:.4f} to {stop:.4f}")
    shares = [(data["run_collapsed"] == count).mean("run").values for count in range(COUNTS)]
    for k, p in enumerate(data["run_density"].values):
        lines.append(
            f"learned, density {p:.4f}: shares with 0, 1, 2, 3 collapsed sets "
            + ", ".join(f"{share[k]:.0%}" for share in shares)
        )
    return lines


def optimal_range(data: xr.Dataset, count: int) -> tuple[float, float]:
    """Densities between which the optimum has so many collapsed sets."""
    p, before, after = (data[name].values for name in ("transition", "before", "after"))
    inside = [x for x, k in zip(p, after, strict=True) if k == count]
    out = [x for x, k in zip(p, before, strict=True) if k == count]
    return (float(min(inside)) if inside else 0.0), (float(max(out)) if out else 1.0)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Compare the stated ranges with the optimum and with training."""
    findings = []
    for count, stated in STATED.items():
        findings += [_in_optimum(data, count, stated), _in_training(data, count, stated)]
    angle = _away_from_principal(data)
    findings.append(
        Finding(
            "a collapsed set is stored along (a + b) / sqrt 2",
            f"the direction of the features that is stored differs from it by {angle:.4f} degrees at most",
            angle < _SAME_DIRECTION,
        )
    )
    why = (
        "A collapsed set loses the difference of its two features, p/12 at any density, and needs one direction only. "
        "Two columns of its own keep both, but meet those of the other sets the more often the denser they are, so "
        "that sets collapse one after the other. Descent often ends with more sets collapsed than the optimum."
    )
    return [Verdict(16, tuple(findings), why)]


def _in_optimum(data: xr.Dataset, count: int, stated: tuple[float, float]) -> Finding:
    """Compare a stated range with the exact one, from the lowest density looked at."""
    low, high = np.log(max(stated[0], LOW)), np.log(stated[1])
    start, stop = optimal_range(data, count)
    inside = max(min(high, np.log(stop)) - max(low, np.log(max(start, LOW))), 0.0) / (high - low)
    return Finding(
        f"{count} sets collapsed for densities {stated[0]:g} to {stated[1]:g}",
        f"the optimum for {start:.7f} to {stop:.7f}, which is {inside:.0%} of the stated range",
        bool(inside > _MOST),
    )


def _in_training(data: xr.Dataset, count: int, stated: tuple[float, float]) -> Finding:
    """Compare a stated range with what most learned models do there, by exact minima and by angles."""
    p = data["run_density"].values
    here = (p >= stated[0]) & (p <= stated[1])
    what = f"training: {count} sets collapsed there"
    if not here.any():
        return Finding(what, "no runs in this range", None)

    def measure(choice: tuple[str, float]) -> tuple[str, bool]:
        name, angle = choice
        values = data[name].values
        found = values[here] if name == "run_collapsed" else (values[here] < angle).sum(-1)
        share = float((found == count).mean())
        return f"in {share:.0%} of the runs", share > _MOST

    sources = {"": "run_angle", f"{PAPER}, ": "paper_angle"}
    exact = f"at the nearest exact minima, densities {', '.join(f'{x:.3f}' for x in p[here])}"
    by_angle = {
        f"{recipe}less than {angle:g} degrees apart": (name, angle)
        for recipe, name in sources.items()
        for angle in ANGLES
    }
    return weighed(what, measure, {exact: ("run_collapsed", 0.0), **by_angle}, exact)


def _away_from_principal(data: xr.Dataset) -> float:
    """Largest angle between what a collapsed set of an optimum stores and (a + b) / sqrt 2, in degrees."""
    cosines = []
    for W, loss in zip(data["W"].values, data["loss"].values, strict=True):
        best = W[int(np.nanargmin(loss))]
        stored = [np.linalg.svd(best[:, pair])[2][0] for pair in SETS if collapsed_sets(best, [pair], COLLAPSED)]
        cosines += [abs(direction @ PRINCIPAL) for direction in stored]
    return float(np.degrees(np.arccos(np.clip(min(cosines), -1, 1))))


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
