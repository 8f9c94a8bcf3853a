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

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.common import COLOURS, Settings, main, new_figure
from figures.verdicts import Finding, Verdict
from numerics import train
from theory import Problem, best_pairing
from theory.search import random_starts, refine, revive

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

    from theory import Pairing

CHOICES = ("p 1 to 1/20", "p 1/2 to 1/100")
_DENSITIES = ((1.0, 1 / 20), (1 / 2, 1 / 100))
# Importance of the last of the five, and of the eighty, features; the first has 1.
_LAST_IMPORTANCE = {5: (0.9**4, 0.7**4), 80: (1 / 100, 1 / 10)}
CASES = ("case 1", "case 2", "case 3", "case 4")
SCENARIOS = (*CASES, "uniform sparse", "uniform dense")
# What the source reports; its uniform "instance of lowest sparsity" can only be the sparsest one, see the summary.
PUBLISHED = {"uniform sparse": 7.55, "case 2": 6.6, "case 4": 6.43, "case 3": 5.75, "case 1": 4.98}
# The source: never more than 4 of the five are represented, and about 3 mostly.
STATED_MOST, STATED_USUAL, _ABOUT = 4, 3.0, 0.5
# The source: "a few" of the densest are not learned in case 4.
STATED_LEFT_OUT = 1
REPRESENTED, FAINT = 0.5, 0.1


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


def _counts(norms: xr.DataArray, feature: str, threshold: float = REPRESENTED) -> xr.DataArray:
    return (norms > threshold).sum(feature)


def agreement(data: xr.Dataset) -> dict[str, xr.DataArray]:
    """
    Share of features on which the ideal pairing decides as training, or as the exact optimum, does.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    dict from str to xarray.DataArray
        "five exact", "five learned" per choice and case; "eighty learned" per choice and scenario.
    """
    five, eighty = data["five_pairing"] > 0, data["eighty_pairing"] > 0
    return {
        "five exact": ((data["five_exact"] > REPRESENTED) == five).mean("five"),
        "five learned": ((data["five_learned"] > REPRESENTED) == five).mean(("five", "instance")),
        "eighty learned": ((data["eighty_learned"] > REPRESENTED) == eighty).mean(("eighty", "replicate")),
    }


def frobenius(data: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """
    Frobenius norms of the eighty features' embeddings.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    learned : xarray.DataArray
        Per choice, scenario and replicate.
    predicted : xarray.DataArray
        Of the ideal pairing: the square root of the number of represented features.
    """
    learned = (data["eighty_learned"] ** 2).sum("eighty") ** 0.5
    predicted = (data["eighty_pairing"] > 0).sum("eighty") ** 0.5
    return learned, predicted


def _summary(data: xr.Dataset) -> str:
    lines = []
    learned, predicted = frobenius(data)
    shares = agreement(data)
    for choice in data["choice"].values:
        here = data.sel(choice=choice)
        exact, runs = _counts(here["five_exact"], "five"), _counts(here["five_learned"], "five")
        faint = _counts(here["five_learned"], "five", FAINT)
        lines += [
            f"{choice}, n = 5, m = 2, cases 1 to 4: represented in the exact optimum {exact.values.tolist()}; "
            f"learned on average {runs.mean('instance').values.round(2).tolist()}, "
            f"all five in {(runs == 5).sum('instance').values.tolist()} of {runs.sizes['instance']} runs "
            f"({(faint == 5).sum('instance').values.tolist()} if norms above {FAINT} count)",
            f"  n = 80, m = 20, |W|_F largest learned (ideal pairing): {_table(learned, predicted, choice)}",
            f"  the criterion decides as training does for {shares['eighty learned'].sel(choice=choice).mean():.1%} of "
            f"n = 80, {shares['five learned'].sel(choice=choice).mean():.1%} of n = 5, and as the exact optimum for "
            f"{shares['five exact'].sel(choice=choice).mean():.1%} of n = 5",
            f"  case 4, n = 5: {_densest_of_five(here)}",
            f"  case 4, n = 80: {_left_out(here)}",
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


def _densest_of_five(here: xr.Dataset) -> str:
    """Which of the five the exact optimum leaves out in case 4, densest first, and how often runs leave out each."""
    exact = np.flatnonzero(here["five_exact"].sel(case="case 4").values <= REPRESENTED) + 1
    runs = (here["five_learned"].sel(case="case 4") <= REPRESENTED).transpose("instance", "five").values.sum(0)
    return f"the exact optimum leaves out {exact.tolist()} (1 the densest); runs that leave out each: {runs.tolist()}"


def _left_out(here: xr.Dataset) -> str:
    """Densities between which features are represented in case 4: predicted, and learned by half of the runs."""
    case = here.sel(scenario="case 4")
    p = case["eighty_density"].values
    learned = (case["eighty_learned"] > REPRESENTED).mean("replicate").values >= 0.5
    words = []
    for name, stored in (("predicted", case["eighty_pairing"].values > 0), ("learned", learned)):
        kept = np.flatnonzero(stored)
        words.append(
            f"{name} {stored.sum()} features with densities {p[kept[-1]]:.3f} to {p[kept[0]]:.3f}, leaving out the "
            f"{kept[0]} densest and the {79 - kept[-1]} sparsest"
        )
    return "; ".join(words)


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
            "oppose each other, as in case 2, all five features are worth nearly the same, and a pentagon holds them.",
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
    exact, runs = _counts(here["five_exact"], "five").values, _counts(here["five_learned"], "five")
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


def draw(data: xr.Dataset) -> "Figure":
    """Counts and norms above, case 4 and agreement below."""
    figure = new_figure(12.0, 8.6)
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 1))
    _draw_counts(figure.add_subplot(grid[0, 0]), data)
    _draw_frobenius(figure.add_subplot(grid[0, 1]), data)
    _draw_case_4(figure.add_subplot(grid[1, 0]), data)
    _draw_agreement(figure.add_subplot(grid[1, 1]), data)
    return figure


def _draw_counts(axes: "Axes", data: xr.Dataset) -> None:
    runs = _counts(data["five_learned"], "five").values
    exact, pairing = _counts(data["five_exact"], "five").values, (data["five_pairing"] > 0).sum("five").values
    lines = ((exact, "-", "black", "exact optimum"), (pairing, ":", COLOURS[5], "ideal pairing"))
    for k, choice in enumerate(data["choice"].values):
        for case in range(4):
            x = case + 0.36 * (k - (runs.shape[0] - 1) / 2)
            values, numbers = np.unique(runs[k, case], return_counts=True)
            axes.scatter(np.full(len(values), x), values, s=28 * numbers, color=COLOURS[k], alpha=0.35, lw=0,
                         label=f"learned, {choice}" if not case else None)  # fmt: skip
            for value, number in zip(values, numbers, strict=True):
                axes.annotate(str(number), (x, value), ha="center", va="center", fontsize=8, zorder=5)
            label = not case and not k
            for y, style, colour, name in lines:
                level = y[k, case]
                axes.plot(
                    [x - 0.15, x + 0.15], [level, level], color=colour, ls=style, lw=2, label=name if label else None
                )
    axes.set_xticks(range(4), CASES)
    axes.set_yticks(range(6))
    axes.set_ylim(0.2, 5.5)
    axes.set_ylabel("features represented, of five")
    axes.legend(frameon=False, fontsize=8, loc="lower center", ncol=2, markerscale=0.6)
    axes.set_title("(a) n = 5, m = 2; numbers: how many of eight runs", fontsize=10, loc="left")


def _draw_frobenius(axes: "Axes", data: xr.Dataset) -> None:
    learned, predicted = frobenius(data)
    order = [*PUBLISHED, "uniform dense"]
    for k, choice in enumerate(data["choice"].values):
        x = np.arange(len(order)) + 0.3 * (k - (data.sizes["choice"] - 1) / 2)
        norms = learned.sel(choice=choice, scenario=order)
        points = norms.transpose("scenario", "replicate").values.ravel()
        axes.plot(x.repeat(norms.sizes["replicate"]), points, "o", ms=4, color=COLOURS[k], label=f"learned, {choice}")
        ideal = predicted.sel(choice=choice, scenario=order).values
        axes.hlines(ideal, x - 0.13, x + 0.13, color=COLOURS[k], lw=2, label=f"ideal pairing, {choice}")
    axes.plot(range(len(PUBLISHED)), list(PUBLISHED.values()), "D", color="black", mfc="white", ms=6, label="published")
    axes.axhline(np.sqrt(40), color="0.6", lw=0.8, ls="--")
    axes.text(5.3, np.sqrt(40) + 0.05, r"$\sqrt{2m}$", ha="right", fontsize=9, color="0.4")
    axes.set_xticks(range(len(order)), [name.replace(" ", "\n") for name in order])
    axes.set_ylim(4, 12)
    axes.set_ylabel(r"Frobenius norm $|W|_F$")
    axes.legend(frameon=False, fontsize=8, ncol=2, loc="upper right")
    axes.set_title("(b) n = 80, m = 20, in the published order", fontsize=10, loc="left")


def _draw_case_4(axes: "Axes", data: xr.Dataset) -> None:
    for k, choice in enumerate(data["choice"].values):
        case = data.sel(choice=choice, scenario="case 4")
        p, norms = case["eighty_density"].values, case["eighty_learned"].transpose("eighty", "replicate").values
        axes.plot(p, norms, ".", color=COLOURS[k], ms=3, alpha=0.35)
        axes.plot(p, norms.mean(1), "o", color=COLOURS[k], ms=4, label=f"learned, {choice}: mean of runs")
        level = -0.08 - 0.08 * k
        stored = np.where(case["eighty_pairing"].values > 0, level, np.nan)
        axes.plot(p, stored, color=COLOURS[k], lw=4, solid_capstyle="butt", label=f"ideal pairing, {choice}: stored")
    axes.set_xscale("log")
    axes.set_xlim(1.1, float(data["eighty_density"].min()) / 1.1)
    axes.set_ylim(-0.25, 2.0)
    axes.set_xlabel("density of the feature      (dense → sparse)")
    axes.set_ylabel("norm $|W_i|$")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set_title("(c) case 4, n = 80: the sparsest are left out, and those with p near 1", fontsize=10, loc="left")


def _draw_agreement(axes: "Axes", data: xr.Dataset) -> None:
    shares = agreement(data)
    bars = (
        ("five exact", "n = 5, exact optimum"),
        ("five learned", "n = 5, training"),
        ("eighty learned", "n = 80, training"),
    )
    markers = ("s", "o", "^")
    for k, choice in enumerate(data["choice"].values):
        for j, (key, label) in enumerate(bars):
            share = shares[key].sel(choice=choice).values[:4]
            x = np.arange(4) + 0.24 * (j - 1) + 0.09 * (k - (data.sizes["choice"] - 1) / 2)
            axes.plot(x, share, markers[j], color=COLOURS[k], ms=7, mfc=COLOURS[k] if j else "white",
                      label=f"{label}, {choice}")  # fmt: skip
    axes.axhline(1, color="0.7", lw=0.8)
    axes.set_xticks(range(4), CASES)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("share of features decided alike")
    axes.legend(frameon=False, fontsize=8, loc="lower left", ncol=2)
    axes.set_title("(d) pair criterion (exact assignment) against optimum and training", fontsize=10, loc="left")


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
