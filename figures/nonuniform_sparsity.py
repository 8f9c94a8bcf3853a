"""Features that differ in density
===============================

How many are represented (claim 22), the norms of the embeddings (claim 23), and what decides which are left out
(claim 24).

Four cases: importance and density fall together (1), importance falls while density rises (2), importance falls and
densities come in random order (3), importance is constant and density falls (4).

(a) Five features in two dimensions: the number represented, in the exact optimum and in training.
(b) Eighty features in twenty dimensions: Frobenius norms beside those of the ideal pairing, whose square is its number
    of represented features, and beside the published ones.
(c) Case 4 of the eighty: norms against density. An ideal dimension saves p/3 - p^2/4 with one feature on it
    and 2p/3 - 5p^2/6 with an antipodal pair. The pair's saving is largest at p = 2/5, 2/15, and exceeds what any single
    feature can save (1/9, at p = 2/3): dimensions go to pairs around 2/5, so that features near p = 1 are left
    out, and so are the sparsest. Feature j joins i on a dimension if (I_i + I_j) p_i < I_j (2 - 3 p_j / 2); which
    features get the m dimensions is the assignment that theory.best_pairing solves.
(d) The share of features that this criterion decides as training does.

The source leaves all parameters out. Chosen here: densities geometric from 1 to 1/20, the range of the literature, and
importances 0.9^i for five features, geometric from 1 to 1/100 for eighty. A second choice shows what hangs on it:
densities from 1/2 to 1/100, importances 0.7^i and geometric from 1 to 1/10. A feature counts as represented from norm
1/2 on; both counts are kept, from 1/2 and from 1/10 on.
"""

from figures.shared.script import Settings, main

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.parts.nonuniform_measures import (
    CASES,
    FAINT,
    PUBLISHED,
    REPRESENTED,
    SCENARIOS,
    agreement,
    counted,
    frobenius,
)
from figures.parts.nonuniform_panels import draw
from figures.shared.verdicts import Finding, Verdict
from numerics import train
from theory import Problem, best_pairing
from theory.optimum.local_minima import random_starts, refine, revive

if TYPE_CHECKING:
    from numpy import ndarray

    from theory import Pairing

CHOICES = ("p 1 to 1/20", "p 1/2 to 1/100")
_DENSITIES = ((1.0, 1 / 20), (1 / 2, 1 / 100))
# Importance of the last of the five, and of the eighty, features; the first has 1.
_LAST_IMPORTANCE = {5: (0.9**4, 0.7**4), 80: (1 / 100, 1 / 10)}
# The source: never more than 4 of the five are represented, and about 3 mostly.
STATED_MOST, STATED_USUAL, _ABOUT = 4, 3.0, 0.5
# The source: "a few" of the densest are not learned in case 4.
STATED_LEFT_OUT = 1


def scenarios(n: int, choice: int, seed: int = 0) -> tuple["ndarray", "ndarray"]:
    """
    Give densities and importances of the four cases, and of uniform densities at both ends of the range.

    Parameters
    ----------
    n : int
        5 or 80 features.
    choice : int
        Which of the two choices of parameters.
    seed : int
        Seed of case 3's order.

    Returns
    -------
    density, importance : ndarray, shape (6, n)
        Rows as in SCENARIOS.
    """
    high, low = _DENSITIES[choice]
    p = np.geomspace(high, low, n)
    weight = np.geomspace(1.0, _LAST_IMPORTANCE[n][choice], n)
    mixed = np.random.default_rng(seed).permutation(p)
    density = np.stack([p, p[::-1], mixed, p, np.full(n, low), np.full(n, high)])
    importance = np.stack([weight, weight, weight, np.ones(n), weight, weight])
    return density, importance


def compute(settings: Settings) -> xr.Dataset:
    """Both sizes, for one choice of parameters (quick) or both."""
    choices = range(1 if settings.quick else len(CHOICES))
    small = xr.concat([_five(choice, settings) for choice in choices], "choice")
    large = xr.concat([_eighty(choice, settings) for choice in choices], "choice")
    data = xr.merge([small, large, _left_out_ideally()]).assign_coords(choice=list(CHOICES[: len(choices)]))
    data.attrs["summary"] = _summary(data)
    return data


def _five(choice: int, settings: Settings) -> xr.Dataset:
    """Exact optima, pairings and training of five features in two dimensions."""
    density, importance = (rows[:4] for rows in scenarios(5, choice, settings.seed))
    problem = Problem(m=2, density=density, importance=importance)
    learned = train(problem, instances=8, steps=1500 if settings.quick else 10_000, seed=settings.seed,
                    workers=settings.workers)  # fmt: skip
    norms = np.linalg.norm(learned["W"].values, axis=1).reshape(4, 8, 5)
    exact_W, exact_loss = _exact_optima(problem, learned, 40 if settings.quick else 120, settings.seed)
    pairings = [_pairing(problem, row) for row in range(4)]
    return xr.Dataset(
        {
            "five_density": (("case", "five"), density),
            "five_importance": (("case", "five"), importance),
            "five_exact": (("case", "five"), np.linalg.norm(exact_W, axis=1)),
            "five_exact_loss": ("case", exact_loss),
            "five_pairing": (("case", "five"), np.array([_stored(pairing, 5) for pairing in pairings])),
            "five_pairing_loss": ("case", [pairing.loss for pairing in pairings]),
            "five_learned": (("case", "instance", "five"), norms),
        },
        coords={"case": list(CASES)},
    )


def _eighty(choice: int, settings: Settings) -> xr.Dataset:
    """Pairings and training of eighty features in twenty dimensions."""
    density, importance = scenarios(80, choice, settings.seed)
    problem = Problem(m=20, density=density, importance=importance)
    instances, steps = (1, 800) if settings.quick else (8, 3000)
    learned = train(problem, instances=instances, steps=steps, seed=settings.seed, workers=settings.workers)
    norms = np.linalg.norm(learned["W"].values, axis=1).reshape(len(SCENARIOS), instances, 80)
    stored = np.array([_stored(_pairing(problem, row), 80) for row in range(len(SCENARIOS))])
    return xr.Dataset(
        {
            "eighty_density": (("scenario", "eighty"), density),
            "eighty_pairing": (("scenario", "eighty"), stored),
            "eighty_learned": (("scenario", "replicate", "eighty"), norms),
        },
        coords={"scenario": list(SCENARIOS)},
    )


def _left_out_ideally() -> xr.Dataset:
    """How many of the densest and of the sparsest of eighty features the ideal pairing leaves out in case 4."""
    kept = []
    for choice in range(len(CHOICES)):
        density, importance = scenarios(80, choice)
        kept.append(np.flatnonzero(_stored(_pairing(Problem(m=20, density=density, importance=importance), 3), 80)))
    return xr.Dataset(
        {
            "densest_left_out": ("parameters", [some[0] for some in kept]),
            "sparsest_left_out": ("parameters", [79 - some[-1] for some in kept]),
        },
        coords={"parameters": list(CHOICES)},
    )


def _pairing(problem: Problem, row: int) -> "Pairing":
    return best_pairing(Problem(m=problem.m, density=problem.density[row], importance=problem.importance[row]))


def _stored(pairing: "Pairing", n: int) -> "ndarray":
    return ~np.isin(np.arange(n), pairing.unrepresented)


def _exact_optima(problem: Problem, learned: xr.Dataset, starts: int, seed: int) -> tuple["ndarray", "ndarray"]:
    """Best local minima of the exact loss, from random starts and from what was learned: W (k, m, n), loss (k,)."""
    rng = np.random.default_rng(seed)
    k, (m, n) = problem.batch_shape[0], (problem.m, problem.n)
    random_W, random_b = random_starts(problem, k * starts, rng)
    known_W, known_b = learned["W"].values.reshape(k, -1, m, n), learned["b"].values.reshape(k, -1, n)
    W = np.concatenate([random_W.reshape(k, starts, m, n), known_W], axis=1)
    b = np.concatenate([random_b.reshape(k, starts, n), known_b], axis=1)
    each = W.shape[1]
    rows = np.repeat(np.arange(k), each)
    batch = Problem(m=m, density=problem.density[rows], importance=problem.importance[rows])
    found = revive(batch, refine(batch, W.reshape(-1, m, n), b.reshape(-1, n), tolerance=1e-6), rng)
    best = found.loss.reshape(k, each).argmin(1) + np.arange(k) * each
    return found.W[best], found.loss[best]


def _summary(data: xr.Dataset) -> str:
    lines = []
    learned, predicted = frobenius(data)
    shares = agreement(data)
    for choice in data["choice"].values:
        here = data.sel(choice=choice)
        exact, runs = counted(here["five_exact"], "five"), counted(here["five_learned"], "five")
        faint = counted(here["five_learned"], "five", FAINT)
        lines += [
            f"{choice}, n = 5, m = 2, cases 1 to 4: represented in the exact optimum {exact.values.tolist()}; "
            f"learned on average {runs.mean('instance').values.round(2).tolist()}, "
            f"all five in {(runs == 5).sum('instance').values.tolist()} of {runs.sizes['instance']} runs "
            f"({(faint == 5).sum('instance').values.tolist()} if norms above {FAINT} count)",
            f"  n = 80, m = 20, |W|_F largest learned (ideal pairing): {_table(learned, predicted, choice)}",
            f"  the criterion decides as training does for {shares['eighty learned'].sel(choice=choice).mean():.1%} of "
            f"n = 80, {shares['five learned'].sel(choice=choice).mean():.1%} of n = 5, and as the exact optimum for "
            f"{shares['five exact'].sel(choice=choice).mean():.1%} of n = 5",
        ]
    bound = np.sqrt(2 * 20)
    lines.append(
        f"the published uniform norm of 7.55 exceeds that of all digons, sqrt(2 m) = {bound:.2f}; a dense model has "
        f"sqrt(m) = {np.sqrt(20):.2f}, so that it belongs to the sparsest instance, not to that of lowest sparsity"
    )
    return "\n".join(lines)


def _table(learned: xr.DataArray, predicted: xr.DataArray, choice: str) -> str:
    largest = learned.sel(choice=choice).max("replicate")
    order = largest.sortby(largest, ascending=False)["scenario"].values
    return ", ".join(
        f"{name} {float(largest.sel(scenario=name)):.2f} ({float(predicted.sel(choice=choice, scenario=name)):.2f})"
        for name in order
    )


def judge(data: xr.Dataset) -> list[Verdict]:
    """Compare counts, norms and what is left out with the source, for every choice of parameters."""
    counts, norms, left_out = [], [], []
    for choice in data["choice"].values:
        here = data.sel(choice=choice)
        counts += _counted(here, str(choice))
        norms += _normed(here, str(choice))
        left_out.append(_five_left_out(here, str(choice)))
    ideal = [_eighty_left_out(data, str(name)) for name in data["parameters"].values]
    return [
        Verdict(
            22,
            tuple(counts),
            "A feature is represented where it pays, which depends on importance and density together. Where they "
            "oppose each other, as in case 2, all five are worth storing, and share the two dimensions.",
        ),
        Verdict(
            23,
            tuple(norms),
            "The squared norm is about the number of represented features. It is largest where all are equally sparse "
            "and smallest where the important ones are dense; a uniform dense model has one feature per dimension, so "
            "that the published uniform norm is that of the sparsest instance.",
        ),
        Verdict(
            24,
            (*ideal, *left_out, _criterion(data)),
            "An ideal dimension saves p/3 - p^2/4 with one feature and 2p/3 - 5p^2/6 with a pair, whose best, 2/15 at "
            "p = 2/5, is more than any feature saves alone (1/9): dimensions go to pairs, and features near p = 1 make "
            "bad partners. The sparsest have nothing to save. Without densities near 1 only the sparsest are left out.",
        ),
    ]


def _counted(here: xr.Dataset, choice: str) -> list[Finding]:
    """How many of five features are represented."""
    exact, runs = counted(here["five_exact"], "five").values, counted(here["five_learned"], "five")
    most, usual, all_five = runs.max("instance").values, float(runs.mean()), (runs == 5).sum("instance").values
    return [
        Finding(
            f"{choice}: at most {STATED_MOST} of five represented",
            f"in the exact optimum of cases 1 to 4: {', '.join(map(str, exact))}",
            bool((exact <= STATED_MOST).all()),
        ),
        Finding(
            f"{choice}: at most {STATED_MOST} in training",
            f"at most {', '.join(map(str, most))}, all five in {', '.join(map(str, all_five))} of "
            f"{runs.sizes['instance']} runs",
            bool((most <= STATED_MOST).all()),
        ),
        Finding(
            f"{choice}: about {STATED_USUAL:g} mostly", f"{usual:.2f} on average", abs(usual - STATED_USUAL) < _ABOUT
        ),
    ]


def _normed(here: xr.Dataset, choice: str) -> list[Finding]:
    """Order and size of the Frobenius norms of eighty features."""
    learned = frobenius(here)[0].max("replicate")
    found = learned.sel(scenario=list(PUBLISHED)).values
    order = [str(name) for name in sorted(PUBLISHED, key=lambda name: -PUBLISHED[name])]
    ours = [str(name) for name in learned.sel(scenario=order).sortby(-learned.sel(scenario=order))["scenario"].values]
    dense = float(learned.sel(scenario="uniform dense"))
    stated = ", ".join(f"{norm:g}" for norm in PUBLISHED.values())
    return [
        Finding(f"{choice}: order {' > '.join(order)}", " > ".join(ours), ours == order),
        Finding(
            f"{choice}: the uniform norm, the largest, is that of the instance of lowest sparsity",
            f"that instance has {dense:.2f}, less than {int((found > dense).sum())} of the {len(found)} others; the "
            f"sparsest {float(learned.sel(scenario='uniform sparse')):.2f}",
            bool(dense >= found.max()),
        ),
        Finding(f"{choice}: norms {stated} (parameters not given)", ", ".join(f"{norm:.2f}" for norm in found), None),
    ]


def _eighty_left_out(data: xr.Dataset, name: str) -> Finding:
    """What the ideal pairing of eighty features leaves out in case 4, and what training does, if it was trained."""
    row = data.sel(parameters=name)
    dense, sparse = int(row["densest_left_out"]), int(row["sparsest_left_out"])
    trained = ""
    if name in data["choice"].values:
        case = data.sel(choice=name, scenario="case 4")["eighty_learned"]
        kept = np.flatnonzero(((case > REPRESENTED).mean("replicate") >= 0.5).values)
        trained = f"; most learned models the {kept[0]} densest and the {79 - kept[-1]} sparsest"
    return Finding(
        f"{name}, n = 80: a few of the densest features are not learned",
        f"the ideal pairing leaves out the {dense} densest and the {sparse} sparsest{trained}",
        dense >= STATED_LEFT_OUT,
    )


def _five_left_out(here: xr.Dataset, choice: str) -> Finding:
    """Which of the five features the exact optimum leaves out in case 4."""
    missing = np.flatnonzero(here["five_exact"].sel(case="case 4").values <= REPRESENTED)
    return Finding(
        f"{choice}, n = 5: the densest is not learned",
        f"the exact optimum leaves out number {', '.join(str(j + 1) for j in missing)} of 5, 1 being the densest",
        0 in missing,
    )


def _criterion(data: xr.Dataset) -> Finding:
    """Which combination governs it: the pair criterion, and how often it decides as training and the optimum do."""
    shares = {
        key: share.mean([d for d in share.dims if d != "choice"]).values for key, share in agreement(data).items()
    }
    words = {key: ", ".join(f"{share:.1%}" for share in values) for key, values in shares.items()}
    return Finding(
        "which combination of sparsity and importance governs it (open)",
        "feature j joins i on a dimension if (I_i + I_j) p_i < I_j (2 - 3 p_j / 2), the m dimensions being assigned "
        f"optimally: decides as training for {words['eighty learned']} of the features of n = 80 and "
        f"{words['five learned']} of n = 5, as the exact optimum for {words['five exact']} of n = 5",
        None,
    )


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
