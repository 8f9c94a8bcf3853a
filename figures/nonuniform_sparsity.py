"""Features that differ in density
===============================

How many are represented (claim 22), the norms of the embeddings (claim 23), what decides which are left out (claim 24),
and which of the others have a dimension of their own (claim 36).

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
(d) The share of features that this criterion decides as training does; the verdict weighs stored and left-out ones
    alike.

The source leaves all parameters out. Chosen here: densities geometric from 1 to 1/20, the range of the literature, and
importances 0.9^i for five features, geometric from 1 to 1/100 for eighty. A second choice shows what hangs on it:
densities from 1/2 to 1/100, importances 0.7^i and geometric from 1 to 1/10. A feature counts as represented from norm
1/2 on in the picture; verdicts take norms from 0.1 to 0.9, and the paper's recipe of training beside the project's.
"""

from figures.shared.script import Settings, main

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from figures.parts.nonuniform_findings import five_findings, frobenius_findings, left_out_findings, overlap_findings
from figures.parts.nonuniform_measures import CASES, SCENARIOS, agreement, counted, frobenius
from figures.parts.nonuniform_panels import draw
from figures.shared.training import PAPER_RECIPE, Trained, trained
from figures.shared.verdicts import Verdict
from theory import Problem, best_pairing, feature_norms, superposition
from theory.optimum.local_minima import random_starts, refine, revive
from theory.search.criterion import check_criterion

if TYPE_CHECKING:
    from numpy import ndarray

    from theory import Pairing

CHOICES = ("p 1 to 1/20", "p 1/2 to 1/100")
_DENSITIES = ((1.0, 1 / 20), (1 / 2, 1 / 100))
# Importance of the last of the five, and of the eighty, features; the first has 1.
_LAST_IMPORTANCE = {5: (0.9**4, 0.7**4), 80: (1 / 100, 1 / 10)}
# Random problems on which rules are tried: features, dimensions, how many.
_RULES = ((4, 1, 200), (5, 1, 200), (4, 2, 200), (5, 2, 200))


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
    data = xr.merge([small, large, _left_out_ideally(), _criteria(settings)])
    data = data.assign_coords(choice=list(CHOICES[: len(choices)]))
    data.attrs["summary"] = _summary(data)
    return data


def _paper(steps: int, settings: Settings) -> dict[str, Any]:
    """The paper's recipe; for a quick look with fewer steps."""
    return {**PAPER_RECIPE, **({"steps": steps} if settings.quick else {})}


def _five(choice: int, settings: Settings) -> xr.Dataset:
    """Exact optima, pairings and training of five features in two dimensions."""
    density, importance = (rows[:4] for rows in scenarios(5, choice, settings.seed))
    problem = Problem(m=2, density=density, importance=importance)
    instances, steps = (8, 1500) if settings.quick else (24, 10_000)
    learned = trained(problem, instances, settings, steps=steps)
    paper = trained(problem, instances, settings, **_paper(steps, settings))
    exact_W, exact_loss = _exact_optima(problem, learned, 40 if settings.quick else 120, settings.seed)
    pairings = [_pairing(problem, row) for row in range(4)]
    dims = ("case", "instance", "five")
    return xr.Dataset(
        {
            "five_density": (("case", "five"), density),
            "five_importance": (("case", "five"), importance),
            "five_exact": (("case", "five"), feature_norms(exact_W)),
            "five_exact_W": (("case", "two", "five"), exact_W),
            "five_exact_loss": ("case", exact_loss),
            "five_pairing": (("case", "five"), np.array([_stored(pairing, 5) for pairing in pairings])),
            "five_pairing_loss": ("case", [pairing.loss for pairing in pairings]),
            "five_learned": (dims, feature_norms(learned.W)),
            "five_learned_W": (("case", "instance", "two", "five"), learned.W),
            "five_paper": (dims, feature_norms(paper.W)),
        },
        coords={"case": list(CASES)},
    )


def _eighty(choice: int, settings: Settings) -> xr.Dataset:
    """Pairings and training of eighty features in twenty dimensions."""
    density, importance = scenarios(80, choice, settings.seed)
    problem = Problem(m=20, density=density, importance=importance)
    instances, steps, orders = (1, 800, 2) if settings.quick else (8, 3000, 8)
    learned = trained(problem, instances, settings, steps=steps).W
    paper = trained(problem, 1 if settings.quick else 3, settings, **_paper(steps, settings)).W
    # Case 3 in other random orders; the first is the one above.
    mixed = np.array([scenarios(80, choice, settings.seed + k)[0][2] for k in range(orders)])
    weight = np.tile(importance[2], (orders - 1, 1))
    others = Problem(m=20, density=mixed[1:], importance=weight)
    few = (instances + 1) // 2
    reordered = np.concatenate([learned[2:3, :few], trained(others, few, settings, steps=steps).W])
    stored = np.array([_stored(_pairing(problem, row), 80) for row in range(len(SCENARIOS))])
    run, own, order = (
        ("scenario", "replicate", "eighty"), ("scenario", "paper_replicate", "eighty"), ("order", "few", "eighty"),
    )  # fmt: skip
    return xr.Dataset(
        {
            "eighty_density": (("scenario", "eighty"), density),
            "eighty_importance": (("scenario", "eighty"), importance),
            "eighty_pairing": (("scenario", "eighty"), stored),
            "eighty_learned": (run, feature_norms(learned)),
            "eighty_overlap": (run, superposition(learned)),
            "paper_learned": (own, feature_norms(paper)),
            "paper_overlap": (own, superposition(paper)),
            "order_density": (("order", "eighty"), mixed),
            "order_learned": (order, feature_norms(reordered)),
            "order_overlap": (order, superposition(reordered)),
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


def _criteria(settings: Settings) -> xr.Dataset:
    """How often rules decide as the exact optimum of random problems, stored and left-out features weighing alike."""
    cases = ((4, 1, 12),) if settings.quick else _RULES
    found = [check_criterion(n, m, problems, seed=settings.seed) for n, m, problems in cases]
    return xr.Dataset(
        {
            "rule_n": ("rule_case", [n for n, _, _ in cases]),
            "rule_m": ("rule_case", [m for _, m, _ in cases]),
            "rule_stored": ("rule_case", [agreement.baseline for agreement in found]),
            "rule_pair": ("rule_case", [agreement.balanced for agreement in found]),
            "rule_marginal": ("rule_case", [agreement.marginal for agreement in found]),
        }
    )


def _pairing(problem: Problem, row: int) -> "Pairing":
    return best_pairing(Problem(m=problem.m, density=problem.density[row], importance=problem.importance[row]))


def _stored(pairing: "Pairing", n: int) -> "ndarray":
    return ~np.isin(np.arange(n), pairing.unrepresented)


def _exact_optima(problem: Problem, learned: Trained, starts: int, seed: int) -> tuple["ndarray", "ndarray"]:
    """Best local minima of the exact loss, from random starts and from what was learned: W (k, m, n), loss (k,)."""
    rng = np.random.default_rng(seed)
    k, (m, n) = problem.batch_shape[0], (problem.m, problem.n)
    random_W, random_b = random_starts(problem, k * starts, rng)
    known_W, known_b = learned.W, learned.b
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
        lines += [
            f"{choice}, n = 5, m = 2, cases 1 to 4: represented in the exact optimum {exact.values.tolist()}; "
            f"learned on average {runs.mean('instance').values.round(2).tolist()}, "
            f"all five in {(runs == 5).sum('instance').values.tolist()} of {runs.sizes['instance']} runs",
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
    """Claims 22 to 24 and 36, for every choice of parameters, recipes and thresholds."""
    return [
        Verdict(
            22,
            tuple(five_findings(data)),
            "A feature is represented where it pays, which depends on importance and density together. Where they "
            "oppose each other, as in case 2, all five are worth storing, and share the two dimensions. Up to half "
            "of the runs find that. With densities from 1 to 1/20 the weakest feature has a norm below 0.9 then, so "
            "that the count depends on the norm from which on a feature counts.",
        ),
        Verdict(
            23,
            tuple(frobenius_findings(data)),
            "The squared norm is about the number of represented features. It is largest where all are equally sparse "
            "and smallest where the important ones are dense; a uniform dense model has one feature per dimension, so "
            "that the published uniform norm is that of the sparsest instance.",
        ),
        Verdict(
            24,
            tuple(left_out_findings(data)),
            "An ideal dimension saves p/3 - p^2/4 with one feature and 2p/3 - 5p^2/6 with a pair, whose best, 2/15 at "
            "p = 2/5, is more than any feature saves alone (1/9): dimensions go to pairs, and features near p = 1 make "
            "bad partners. The sparsest have little to save. What a feature gains by itself decides worse, since the "
            "others move to make room: the decision is an assignment of features to dimensions.",
        ),
        Verdict(
            36,
            tuple(overlap_findings(data)),
            "A dedicated dimension pays for features that are dense, which make bad partners, if they are important; "
            "in case 1 the most important are the densest, in case 2 the sparsest.",
        ),
    ]


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
