"""What the numbers on features that differ in density say of the documents' statements, for every reasonable choice."""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import xarray as xr
from numpy import ndarray
from scipy.stats import mannwhitneyu

from figures.parts.nonuniform_measures import CASES, PUBLISHED, REPRESENTED, balanced, counted, frobenius
from figures.shared.verdicts import NORMS, PAPER, Finding, weighed

__all__ = ["STATED_LEFT_OUT", "STATED_MOST", "STATED_USUAL", "five_findings", "frobenius_findings",
           "left_out_findings", "overlap_findings"]  # fmt: skip

# The source: never more than 4 of the five are represented, and about 3 (to the nearest whole number) in a lot of
# scenarios: in at least two, or three, of the four.
STATED_MOST, STATED_USUAL, _ABOUT, _LOT = 4, 3.0, 0.5, (2, 3)
# The source: "a couple" of the densest are not learned in case 4.
STATED_LEFT_OUT = 2
# Overlaps from which on a feature is in superposition.
OVERLAPS = (0.05, 0.1, 0.25)
_OVERLAP = 0.1
# What is dedicated at most: nothing in case 2, where "none is ever"; in case 4 "barring a few exceptions". "Midway":
# neither end is nearer than one of these parts.
_EXCEPTIONS, _MIDWAY = {1: 0.0, 3: 0.05}, (0.05, 0.15, 0.25)
# Areas under the curve that differ by less do not tell which of two contributes more.
_SAME_AREA = 0.02

# Densities, prefix of a recipe's variables, least norm of a represented feature, least overlap of a shared one.
_OverlapChoice = tuple[str, str, float, float]
_Measure = Callable[[_OverlapChoice], tuple[str, bool]]


def _usual(data: xr.Dataset) -> str:
    return f"{data['choice'].values[0]}, norm above {REPRESENTED:g}"


def _recipes(
    data: xr.Dataset, own: str, paper: str, norms: tuple[float, ...] = NORMS
) -> dict[str, tuple[str, str, float]]:
    """Choices of densities, recipe and least norm: label to (densities, variable, norm)."""
    choices = {}
    for densities, norm in product(data["choice"].values, norms):
        choices[f"{densities}, norm above {norm:g}"] = (str(densities), own, norm)
    for densities in data["choice"].values:
        choices[f"{densities}, {PAPER}, norm above {REPRESENTED:g}"] = (str(densities), paper, REPRESENTED)
    return choices


def five_findings(data: xr.Dataset) -> Iterator[Finding]:
    """
    Judge how many of five features are represented (claim 22).

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.nonuniform_sparsity.compute`` returns it.

    Yields
    ------
    Finding
        In training, for every choice of densities, recipe and norm; at the exact optimum, for every one of densities.
    """

    def counts(choice: tuple[str, str, float]) -> xr.DataArray:
        densities, name, norm = choice
        return counted(data[name].sel(choice=densities), "five", norm)

    def most(choice: tuple[str, str, float]) -> tuple[str, bool]:
        runs = counts(choice)
        all_five = (runs == 5).sum("instance").values
        return (
            f"all five in {', '.join(map(str, all_five))} of {runs.sizes['instance']} runs of cases 1 to 4",
            bool(runs.max() <= STATED_MOST),
        )

    def usual(choice: tuple[tuple[str, str, float], int]) -> tuple[str, bool]:
        which, least = choice
        mean = counts(which).mean("instance").transpose("case").values
        count = int((np.abs(mean - STATED_USUAL) < _ABOUT).sum())
        return f"{_row(mean)} on average in cases 1 to 4, near {STATED_USUAL:g} in {count}", count >= least

    choices = _recipes(data, "five_learned", "five_paper")
    yield weighed("never are all five represented in training", most, choices, _usual(data))
    lots = {f"{label}, {least} cases or more": (which, least) for least in _LOT for label, which in choices.items()}
    first = f"{_usual(data)}, {_LOT[0]} cases or more"
    yield weighed(f"about {STATED_USUAL:g} in a lot of cases", usual, lots, first)
    for densities in data["choice"].values:
        exact = counted(data["five_exact"].sel(choice=densities), "five").values
        yield Finding(
            f"{densities}: at the exact optimum",
            f"{', '.join(map(str, exact))} represented in cases 1 to 4",
            bool((exact <= STATED_MOST).all()),
        )


def frobenius_findings(data: xr.Dataset) -> Iterator[Finding]:
    """
    Judge the order and the size of the Frobenius norms of eighty features (claim 23).

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.nonuniform_sparsity.compute`` returns it.

    Yields
    ------
    Finding
        With every choice of densities, and, where it matters, every random order of case 3.
    """
    largest = frobenius(data)[0].max("replicate")
    mixed = ((data["order_learned"] ** 2).sum("eighty") ** 0.5).max("few")
    stated = [str(name) for name in sorted(PUBLISHED, key=lambda name: -PUBLISHED[name])]

    def norms(densities: str, order: int = 0) -> dict[str, float]:
        found = {str(name): float(largest.sel(choice=densities, scenario=name)) for name in PUBLISHED}
        if order:
            found["case 3"] = float(mixed.sel(choice=densities).isel(order=order))
        return found

    def in_order(choice: tuple[str, int]) -> tuple[str, bool]:
        found = norms(*choice)
        ours = sorted(found, key=lambda name: -found[name])
        return " > ".join(f"{name} {found[name]:.2f}" for name in ours), ours == stated

    def highest(densities: str) -> tuple[str, bool]:
        found = norms(densities)
        uniform, rest = found.pop("uniform sparse"), max(found.values())
        return f"{uniform:.2f}, the others at most {rest:.2f}", uniform > rest

    def lowest_sparsity(densities: str) -> tuple[str, bool]:
        dense = float(largest.sel(choice=densities, scenario="uniform dense"))
        found = norms(densities)
        above = sum(norm > dense for norm in found.values())
        return f"that instance has {dense:.2f}, less than {above} of the {len(found)} others", not above

    def more(choice: tuple[str, float]) -> tuple[str, bool]:
        stored = data["eighty_learned"].sel(choice=choice[0]) > choice[1]
        count = {str(name): float(stored.sel(scenario=name).sum("eighty").mean()) for name in PUBLISHED}
        uniform, rest = count.pop("uniform sparse"), max(count.values())
        return f"{uniform:.1f} represented on average, in the other cases at most {rest:.1f}", uniform > rest

    densities = {str(name): str(name) for name in data["choice"].values}
    first = next(iter(densities))
    counted_from = {f"{name}, norm above {norm:g}": (name, norm) for name in densities for norm in NORMS}
    orders = {f"{name}, order {k + 1} of case 3": (name, k) for name in densities for k in range(data.sizes["order"])}
    yield weighed("the uniform (sparse) norm is the highest", highest, densities, first)
    yield weighed(
        "with uniform (sparse) densities more features are represented",
        more,
        counted_from,
        f"{first}, norm above {REPRESENTED:g}",
    )
    yield weighed(f"order {' > '.join(stated)}", in_order, orders, f"{first}, order 1 of case 3")
    yield weighed("the uniform norm is that of the instance of lowest sparsity", lowest_sparsity, densities, first)
    for name in densities:
        found = ", ".join(f"{norm:.2f}" for norm in norms(name).values())
        numbers = ", ".join(f"{norm:g}" for norm in PUBLISHED.values())
        yield Finding(f"{name}: norms {numbers} (parameters not given)", found, None)


def left_out_findings(data: xr.Dataset) -> Iterator[Finding]:
    """
    Judge which features are left out in case 4, and what decides it (claim 24).

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.nonuniform_sparsity.compute`` returns it.

    Yields
    ------
    Finding
        In training; beyond it at the optimum of five features and in the ideal pairing; and the rules.
    """

    def left_out(choice: tuple[str, str, float]) -> tuple[str, bool]:
        densities, name, norm = choice
        case = (data[name].sel(choice=densities, scenario="case 4") > norm).transpose("eighty", ...)
        kept = np.flatnonzero(case.values.mean(1) >= 0.5)
        dense, sparse = kept[0], 79 - kept[-1]
        return f"most runs leave out the {dense} densest and the {sparse} sparsest", bool(dense >= STATED_LEFT_OUT)

    choices = _recipes(data, "eighty_learned", "paper_learned")
    yield weighed("a few of the densest features are not learned", left_out, choices, _usual(data))
    for densities in data["parameters"].values:
        row = data.sel(parameters=densities)
        yield Finding(
            f"{densities}, n = 80: the ideal pairing",
            f"leaves out the {int(row['densest_left_out'])} densest and the {int(row['sparsest_left_out'])} sparsest",
            None,
        )
    for densities in data["choice"].values:
        missing = np.flatnonzero(data["five_exact"].sel(choice=densities, case="case 4").values <= REPRESENTED)
        yield Finding(
            f"{densities}, n = 5: the exact optimum",
            f"leaves out number {', '.join(str(j + 1) for j in missing)} of 5, 1 being the densest",
            None,
        )
    yield _rules(data)


def _rules(data: xr.Dataset) -> Finding:
    """Which combination governs it: how often each rule decides as the exact optimum and as training do."""
    words = []
    for k in range(data.sizes["rule_case"]):
        row = data.isel(rule_case=k)
        words.append(
            f"n = {int(row['rule_n'])}, m = {int(row['rule_m'])} ({float(row['rule_stored']):.0%} stored): "
            f"{float(row['rule_pair']):.0%}, {float(row['rule_marginal']):.0%}"
        )
    trained = balanced(data["eighty_learned"] > REPRESENTED, data["eighty_pairing"] > 0)
    return Finding(
        "which combination of sparsity and importance governs it (open)",
        "feature j joins i on a dimension if (I_i + I_j) p_i < I_j (2 - 3 p_j / 2), the dimensions assigned optimally. "
        "Of stored and of left-out features it decides as the exact optimum of random problems, on average (50% by "
        "saying that all are stored), and so does what the feature alone gains at the optimum of the others: "
        f"{'; '.join(words)}. The pairing decides as training does for {trained:.0%}, n = 80",
        None,
    )


def overlap_findings(data: xr.Dataset) -> Iterator[Finding]:
    """
    Judge what is dedicated and what is in superposition, case by case (claim 36).

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.nonuniform_sparsity.compute`` returns it.

    Yields
    ------
    Finding
        For every choice of densities, recipe, norm and overlap.
    """

    def parts(choice: _OverlapChoice) -> tuple[ndarray, ndarray]:
        """Represented features, and those of them in superposition, per case."""
        densities, name, norm, overlap = choice
        here = data.sel(choice=densities, scenario=list(CASES))
        stored = here[f"{name}_learned"] > norm
        shared = stored & (here[f"{name}_overlap"] > overlap)
        mean = [d for d in stored.dims if d not in ("scenario", "eighty")]
        return stored.sum("eighty").mean(mean).values, shared.sum("eighty").mean(mean).values

    def lowest(choice: _OverlapChoice) -> tuple[str, bool]:
        stored, shared = parts(choice)
        told = f"represented {_row(stored)}, in superposition {_row(shared)} in cases 1 to 4"
        return told, bool(stored.argmin() == 0 and shared.argmin() == 0)

    def all_shared(case: int) -> _Measure:
        def measure(choice: _OverlapChoice) -> tuple[str, bool]:
            stored, shared = parts(choice)
            alone = 1 - shared[case] / stored[case]
            return f"{alone:.0%} of {stored[case]:.1f} represented are dedicated", bool(alone <= _EXCEPTIONS[case])

        return measure

    def midway(choice: tuple[_OverlapChoice, float]) -> tuple[str, bool]:
        which, least = choice
        stored, shared = parts(which)
        alone = 1 - shared / stored
        place = (alone[2] - alone[1]) / (alone[0] - alone[1]) if alone[0] != alone[1] else np.nan
        told = f"dedicated {alone[0]:.0%}, {alone[1]:.0%} and {alone[2]:.0%} in cases 1, 2 and 3"
        return told, bool(least < place < 1 - least)

    choices, usual = _overlap_choices(data), _usual(data)
    yield weighed("case 1 has the fewest features, and the least superposition", lowest, choices, usual)
    yield weighed("case 2: all represented features are in superposition", all_shared(1), choices, usual)
    parts_off = {f"{label}, off both by {least:g}": (which, least) for least in _MIDWAY for label, which in
                 choices.items()}  # fmt: skip
    first = f"{usual}, off both by {_MIDWAY[0]:g}"
    yield weighed("case 3 lies about midway between cases 1 and 2", midway, parts_off, first)
    yield weighed("case 4: nearly all represented features are in superposition", all_shared(3), choices, usual)
    yield _importance_or_density(data)


def _overlap_choices(data: xr.Dataset) -> dict[str, _OverlapChoice]:
    """Every norm, every overlap and both recipes, for each choice of densities."""
    choices: dict[str, _OverlapChoice] = {}
    for densities in map(str, data["choice"].values):
        for norm in NORMS:
            choices[f"{densities}, norm above {norm:g}"] = (densities, "eighty", norm, _OVERLAP)
        for overlap in OVERLAPS:
            if overlap != _OVERLAP:
                label = f"{densities}, in superposition from {overlap:g}"
                choices[label] = (densities, "eighty", REPRESENTED, overlap)
        choices[f"{densities}, {PAPER}"] = (densities, "paper", REPRESENTED, _OVERLAP)
    return choices


def _importance_or_density(data: xr.Dataset) -> Finding:
    """Which of the two tells better, in case 3, what is dedicated: for every random order and overlap."""

    def importance(choice: tuple[str, int, float]) -> tuple[str, bool]:
        densities, order, overlap = choice
        here = data.sel(choice=densities).isel(order=order)
        stored = here["order_learned"].transpose("few", "eighty").values > REPRESENTED
        alone = stored & (here["order_overlap"].transpose("few", "eighty").values <= overlap)
        weight = data["eighty_importance"].sel(choice=densities, scenario="case 3").values
        areas = [abs(_area(alone, values) - 0.5) for values in (weight, here["order_density"].values)]
        told = f"area under the curve {0.5 + areas[0]:.2f} for importance, {0.5 + areas[1]:.2f} for density"
        return told, bool(areas[0] > areas[1] + _SAME_AREA)

    orders = {
        f"{densities}, order {k + 1}, in superposition from {overlap:g}": (str(densities), k, overlap)
        for densities in data["choice"].values
        for k in range(data.sizes["order"])
        for overlap in OVERLAPS
    }
    first = f"{data['choice'].values[0]}, order 1, in superposition from {_OVERLAP:g}"
    return weighed("importance tells better than density which are dedicated", importance, orders, first)


def _row(values: ndarray) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def _area(chosen: ndarray, values: ndarray) -> float:
    """Area under the receiver's curve: how often a chosen feature has the larger value than another one."""
    values = np.broadcast_to(values, chosen.shape)
    if chosen.all() or not chosen.any():
        return 0.5
    pairs = mannwhitneyu(values[chosen], values[~chosen]).statistic
    return float(pairs / (chosen.sum() * (~chosen).sum()))
