"""Agreement in words: the tables that the command prints."""

import numpy as np
import xarray as xr

from numerics.agreement.asked import numbers_told, wrapped
from numerics.agreement.basins import basin_statistics
from numerics.agreement.phases import CAUSES, NEAR, agreement_shares
from numerics.agreement.references import ASKED
from numerics.agreement.verdicts import ARRANGEMENTS, CONVERGED, EQUAL, TINY, VERDICTS
from theory.geometry.phases import CELL_PHASES, UNDETERMINED

__all__ = ["describe_comparison", "describe_grid", "describe_runs"]

# Rows of a table of runs or cells; the rest is counted.
_MOST_ROWS = 30


def describe_runs(data: xr.Dataset) -> str:
    """
    Describe how learned models compare with the exact theory.

    Parameters
    ----------
    data : xarray.Dataset
        As ``judge`` returns it.

    Returns
    -------
    str
        Optimum, geometries with their shares, gaps and distances, verdicts; single models one by one if they are few.
    """
    runs = data.sizes["instance"]
    lines = [
        f"{_sizes(data)}, {_counted(runs, 'model')}",
        *wrapped(
            [
                *(numbers_told(name, np.atleast_1d(data.attrs[name])) for name in ("density", "importance")),
                data.attrs["asked"],
            ]
        ),
        *_optimum_lines(data),
        "",
        *_geometry_table(data),
        "",
    ]
    part = "of the zero model's" if _nothing_left(data) else "relative"
    rows = (
        ("optimum_gap", f"exact loss above the {'optimum' if _certain(data) else 'best known'}, {part}"),
        ("local_gap", f"exact loss above its local minimum, {part}"),
        ("local_distance", "distance of W from its local minimum"),
        *(() if _nothing_left(data) else (("branch_distance", "distance of W from the nearest exact branch"),)),
    )
    width = max(len(label) for _, label in rows)
    lines.append(f"{'':{width}}{'median':>11}{'95 %':>11}{'largest':>11}")
    for name, label in rows:
        values = data[name].values
        if np.isfinite(values).all():
            lines.append(f"{label:{width}}" + "".join(f"{np.quantile(values, q):>11.2e}" for q in (0.5, 0.95, 1.0)))
    within = float((data["local_gap"].values <= CONVERGED).mean())
    lines += ["", f"{within:.1%} of the models are within {_share(data, CONVERGED)} of an exact local minimum"]
    unfinished = int((~data["local_converged"].values.astype(bool)).sum())
    if unfinished:
        whose = "its" if unfinished == 1 else "their"
        lines.append(f"{_counted(unfinished, 'descent')} to a local minimum stopped short of {whose} tolerance")
    lines += _verdict_lines(data)
    if runs <= _MOST_ROWS:
        lines += ["", *_single_models(data)]
    return "\n".join(lines)


def _counted(number: int, what: str) -> str:
    """Say how many there are, such as "1 model" or "2 models"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _sizes(data: xr.Dataset) -> str:
    n, m = int(data.attrs["n"]), int(data.attrs["m"])
    return f"n = {_counted(n, 'feature')}, m = {_counted(m, 'dimension')}"


def _nothing_left(data: xr.Dataset) -> bool:
    """Whether the optimum's loss is zero to rounding, so that losses are all that can be judged."""
    return bool((data["arrangement"].values == ARRANGEMENTS.index("not determined")).all())


def _share(data: xr.Dataset, part: float) -> str:
    """A part of the loss that gaps are told in units of."""
    return f"{part:.1%} of the zero model's loss" if _nothing_left(data) else f"{part:.1%}"


def _told(loss: float, data: xr.Dataset, most: int) -> str:
    """A loss with no more digits than are known of it, at least one."""
    unit = float(data.attrs["zero_loss"])
    error = float(data.attrs["loss_accuracy"]) * (loss if loss > TINY * unit else unit)
    if loss < error:
        return f"< {error:.0e}"
    digits = most if error == 0 else min(max(int(np.log10(loss / error)), 1), most)
    return f"{loss:#.{digits}g}".replace(".e", "e").rstrip(".")


def _optimum_lines(data: xr.Dataset) -> list[str]:
    """What models are compared with, and how well losses are known if that is less than usual."""
    kind, loss = data.attrs["optimum_kind"], float(data.attrs["optimum_loss"])
    if _nothing_left(data):
        return [
            f"{kind}: loss {loss:.1e}, zero to rounding; the zero model's is {data.attrs['zero_loss']:.4g} "
            "(summed over features)",
            f"a loss of zero need not determine a geometry; {_arrangement(data)} is one that has it: "
            "only losses are judged",
        ]
    lines = [f"{kind}: {_arrangement(data)}, loss {_told(loss, data, 8)} (summed over features)"]
    accuracy = float(data.attrs["loss_accuracy"])
    if accuracy > ASKED:
        lines.append(f"losses are known to {accuracy:.1e} of themselves, and told to so many digits")
    return lines


def _arrangement(data: xr.Dataset) -> str:
    """The optimum's geometry, with the features of its factors where they are few."""
    shared = data.attrs["optimum_sharing"]
    return f"{data.attrs['optimum_geometry']}{f' ({shared})' if shared else ''}"


def _geometry_table(data: xr.Dataset) -> list[str]:
    """Geometry of the minimum that runs belong to, with shares and losses; how many are arranged as predicted."""
    geometry = data["local_geometry"].values
    lines = [f"{'geometry of the local minimum':34}{'models':>7}{'share':>8}{'95 % interval':>17}{'lowest loss':>14}"]
    statistics = basin_statistics(geometry)
    for name in statistics["geometry"].values:
        row = statistics.sel(geometry=name)
        lowest = data["local_loss"].values[geometry == name].min()
        interval = f"{float(row['low']):.1%} – {float(row['high']):.1%}"
        lines.append(
            f"{name:34}{int(row['runs']):>7}{float(row['share']):>8.1%}{interval:>17}{_told(lowest, data, 7):>14}"
        )
    return lines if _nothing_left(data) else [*lines, *_arrangement_lines(data)]


def _arrangement_lines(data: xr.Dataset) -> list[str]:
    """In how many models the predicted features share a factor, at the optimum's loss."""
    known, found = data.attrs["optimum_geometry"], data["arrangement"].values
    predicted, tied = (found == ARRANGEMENTS.index(name) for name in ("as predicted", "another of the same loss"))
    word = "predicted" if _certain(data) else "best known"
    lines = [
        f"arranged as {word}, {_arrangement(data)} or a relabelling of it, at its loss: {predicted.mean():.1%} of the "
        "models"
    ]
    if tied.any():
        lines.append(f"another arrangement of the same loss: {tied.mean():.1%} of the models")
    named = (data["geometry"].values == known) & ~predicted & ~tied
    if named.any():
        lines.append(
            f"{known} with other features in its factors, or at another loss: {named.mean():.1%} of the models"
        )
    return lines


def _certain(data: xr.Dataset) -> bool:
    """Whether what models are compared with may be called the optimum."""
    return bool(data.attrs["optimum_kind"] == "global optimum")


def _verdict_lines(data: xr.Dataset) -> list[str]:
    known = "optimum" if _certain(data) else "best known"
    wrong = "THE THEORY IS WRONG HERE" if _certain(data) else "the search missed it"
    meaning = {
        "optimum": f"at the {known}: its local minimum's loss to {_share(data, EQUAL)}",
        "metastable": "at another local minimum",
        "not converged": f"more than {_share(data, CONVERGED)} above the nearest local minimum",
        "below the theory": f"lower than the theory's {known}: {wrong}",
    }
    verdict, dead = data["verdict"].values, data["dead"].values
    lines = []
    for k, name in enumerate(VERDICTS):
        count = int((verdict == k).sum())
        if count:
            silent = int((dead[verdict == k] > 0).sum())
            note = f"; {silent} of them with an output that never fires" if silent else ""
            lines.append(f"{count:>6}  {meaning[name]}{note}")
    return lines


def _single_models(data: xr.Dataset) -> list[str]:
    gap = "optimum gap" if _certain(data) else "known gap"
    lines = [
        f"{'model':>5}  {'exact loss':>12}{gap:>13}{'local gap':>11}{'distance':>10}  "
        "geometry, features of its factors (branch)"
    ]
    for k in range(data.sizes["instance"]):
        one = data.isel(instance=k)
        branch, geometry, shared = (str(one[name].values) for name in ("branch_geometry", "geometry", "sharing"))
        away = np.nan if _nothing_left(data) else float(one["branch_distance"])
        lines.append(
            f"{k:>5}  {_told(float(one['exact_loss']), data, 7):>12}{float(one['optimum_gap']):>13.2e}"
            f"{float(one['local_gap']):>11.2e}{f'{away:.4f}' if np.isfinite(away) else '':>10}  {geometry}"
            + (f", {shared}" if shared else "")
            + (f" ({branch})" if branch != geometry and np.isfinite(away) else "")
        )
    return lines


def describe_comparison(sampled: xr.Dataset, exact: xr.Dataset) -> str:
    """
    Describe what sampling noise changes, run by run from the same initial parameters.

    Parameters
    ----------
    sampled : xarray.Dataset
        Runs trained on samples, as ``judge`` returns them.
    exact : xarray.Dataset
        Runs trained on the exact loss, from the same initial parameters in the same order.

    Returns
    -------
    str
        How many runs end in the same basin, and a table of those that do not.
    """
    one, two = sampled["local_loss"].values, exact["local_loss"].values
    same = np.abs(one - two) <= EQUAL * np.minimum(one, two)
    low_noise, low_exact = int((~same & (one < two)).sum()), int((~same & (two < one)).sum())
    lines = [
        "the same initial parameters, trained on samples and on the exact loss",
        f"{same.mean():.1%} of {_counted(same.size, 'run')} end at a minimum of the same loss (to {EQUAL:.1%}) either "
        f"way; noise leads to a lower one in {low_noise}, to a higher one in {low_exact}",
        f"median gap to the local minimum: {np.median(sampled['local_gap']):.1e} with noise, "
        f"{np.median(exact['local_gap']):.1e} without",
    ]
    if not same.all():
        pairs = np.stack([sampled["local_geometry"].values[~same], exact["local_geometry"].values[~same]], 1)
        kinds, counts = np.unique(pairs, axis=0, return_counts=True)
        lines += ["", f"{'with noise':34}{'without noise':34}{'runs':>5}"]
        for k in np.argsort(-counts, kind="stable")[:_MOST_ROWS]:
            lines.append(f"{kinds[k, 0]:34}{kinds[k, 1]:34}{counts[k]:>5}")
    return "\n".join(lines)


def describe_grid(data: xr.Dataset) -> str:
    """
    Describe how the learned phase diagram compares with the exact one.

    Parameters
    ----------
    data : xarray.Dataset
        As ``phase_agreement`` returns it.

    Returns
    -------
    str
        Percentages of agreement, shares of the runs per phase, and every disagreement.
    """
    shares = agreement_shares(data)
    runs = data.sizes["run"]
    lines = [
        f"{_sizes(data)}, {_counted(data['phase'].size, 'cell')}, best of {_counted(runs, 'run')} per cell",
        *wrapped([data.attrs.get("asked", "")]),
        "",
        f"{'cells':38}{'number':>8}{'agree':>8}{'':>9}{'agree, bare W':>16}",
        _agreement_line(f"further than {NEAR:.0%} from a boundary", shares.far_cells, shares.far, shares.far_bare),
        _agreement_line(f"within {NEAR:.0%} of a boundary", shares.near_cells, shares.near, shares.near_bare),
        "",
        f"{'phase of the extra feature':28}{'predicted':>11}{'best run':>11}{'all runs':>11}{'runs that find it':>20}",
    ]
    predicted, learned, every = (data[name].values for name in ("phase", "learned_phase", "run_phase"))
    for k, name in enumerate(CELL_PHASES):
        here = predicted == k
        if k == UNDETERMINED and not here.any():
            continue
        found = f"{(every[here] == k).mean():.1%}" if here.any() else "–"
        shares_of = [f"{(values == k).mean():.1%}" for values in (predicted, learned, every)]
        if k == UNDETERMINED:  # no phase of a model
            found, shares_of[1:] = "–", ["–", "–"]
        lines.append(f"{name:28}" + "".join(f"{share:>11}" for share in shares_of) + f"{found:>20}")
    gap = data["learned_gap"].values
    lines += [
        "",
        f"exact loss of the best run above the optimum: median {np.median(gap):.1e}, largest {gap.max():.1e}; within "
        f"{CONVERGED:.1%} in {(gap <= CONVERGED).mean():.1%} of the cells",
        "",
        *_disagreements(data),
    ]
    return "\n".join(lines)


def _agreement_line(label: str, cells: int, agree: int, bare: int) -> str:
    if not cells:
        return f"{label:38}{0:>8}"
    return f"{label:38}{cells:>8}{agree:>8}{agree / cells:>9.2%}{bare:>8}{bare / cells:>8.2%}"


def _named(phase: int) -> str:
    """A cell's phase, or that of its best run, which may have diverged."""
    return CELL_PHASES[phase] if phase >= 0 else "diverged"


def _disagreements(data: xr.Dataset) -> list[str]:
    """Every cell whose best run is in another phase or minimum than predicted, not converged, or beats the theory."""
    cause = data["cause"].values
    cells = np.argwhere(cause > 0)
    if not len(cells):
        return ["the best run is at the exact optimum in every cell, and no run is below it"]
    width = max(18, 2 + max(len(_named(k)) for k in data["phase"].values[cause > 0]))
    lines = [
        f"{'density':>9}{'importance':>12}  {'predicted':{width}}{'learned':18}{'loss gap':>10}{'its minimum':>13}  "
        f"{'boundary':9}cause"
    ]
    for i, j in cells:
        one = data.isel(density=i, importance=j)
        lines.append(
            f"{float(one['density']):>9.4f}{float(one['importance']):>12.4f}  "
            f"{_named(int(one['phase'])):{width}}{_named(int(one['learned_phase'])):18}"
            f"{float(one['learned_gap']):>10.1e}{float(one['learned_local_gap']):>13.1e}  "
            f"{'near' if one['near_boundary'] else 'far':9}{CAUSES[int(one['cause'])]}"
        )
    return lines
