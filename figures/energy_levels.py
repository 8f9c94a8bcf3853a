"""Energy levels of learning
=========================

Five equal features in two dimensions that learn: their dimensionalities D_i rest at levels and jump from one to the
next, and the way from digons to a pentagon is sticky (claim 34). The slides give neither a size nor a way to train.

(a) The exact loss of runs from small weights. Lines are exact stationary points of the loss, found by Newton's method
    from the middle of the rests (at least 3 % of the steps in which the loss falls at less than half its average rate)
    and labelled with their D_i: 1/2 and 1/2 for a digon, 1 and four times 1/4 for a feature opposite to four that share
    one direction, five times 2/5 for the pentagon.
(b), (c) D_i of two runs: one that ends in the pentagon, and one that stays in the digons, with the fifth feature beside
    one of them.
(d) Share of the runs that end with a feature in a digon, where pentagons cost less, by recipe.
(e) Models put into the exact minimum with two digons: share still there after so many steps at a constant rate.
(f) What holds them: the saddle point between digons and pentagon (one direction of descent, which leads to either of
    them), against density. The wall above the digons becomes vanishingly low where features are sparse.
"""

from figures.shared.script import Settings, main

from functools import partial
from itertools import pairwise

import numpy as np
import xarray as xr

from figures.parts.energy_measures import SHOWN, WINDOWS, course, ends, levels_of, lifetimes, optima, wall
from figures.parts.energy_panels import draw
from figures.shared.verdicts import Finding, Verdict, weighed
from theory.tools.threads import one_blas_thread

# The slides: models "jump": more than half of them, through two levels at least. "Sticky": so many runs stay behind.
_MOST, _LEVELS = 0.5, 2
# Sticky: so many runs end in digons, or stay there.
_STICKY = (0.1, 0.5)
# A rest is at a level whose loss it has to this part. A jump changes a D_i by more than any window.
_SAME_LOSS, _JUMP = 0.02, 0.05


def compute(settings: Settings) -> xr.Dataset:
    """Courses of training and the exact stationary points on the way; ends, lifetimes, and the wall of the digons."""
    with one_blas_thread():
        parts = [course(settings), ends(settings), lifetimes(settings), wall(settings), optima(settings)]
    data = xr.merge(parts, combine_attrs="no_conflicts")
    data.attrs["summary"] = "\n".join(f"{f.stated}: {f.found}" for f in judge(data)[0].findings)
    return data


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claim 34: are there levels, does training jump between them, and is the way to the pentagon sticky?"""
    recipes = [str(name) for name in data["recipe"].values]
    choices = {f"{name}, D_i within {w:g}": (k, w) for k, name in enumerate(recipes) for w in WINDOWS}
    jumps = weighed(
        "D_i rest at levels and jump between them during learning",
        lambda choice: _jumps(data, *choice),
        choices,
        f"{SHOWN}, D_i within {WINDOWS[-1]:g}",
    )
    ends_of = {
        f"{recipe}, {case}, sticky: {least:.0%}": (str(recipe), str(case), least)
        for least in _STICKY
        for recipe in data["end_recipe"].values
        for case in data["case"].values
    }
    stay = weighed(
        "from digon to pentagon is sticky: runs end in digons though pentagons cost less",
        lambda choice: _stay(data, *choice),
        ends_of,
        f"{SHOWN}, {_middle(data)}, sticky: {_STICKY[0]:.0%}",
    )
    lives = {
        f"{noise}, p = {p:g}, sticky: {least:.0%}": (str(noise), float(p), least)
        for least in _STICKY
        for noise in data["noise"].values
        for p in data["life_density"].values
    }
    last = weighed(
        "from digon to pentagon is sticky: models put into the digons stay there",
        partial(_last, data),
        lives,
        f"{data['noise'].values[0]}, p = 0.05, sticky: {_STICKY[0]:.0%}",
    )
    why = (
        "Descent from small weights passes from one stationary point of the exact loss to another, each with its own "
        "D_i; from Xavier's it mostly rests at the last one only. The digons with the fifth feature beside one of them "
        "are a minimum of their own, so that a run may end there; but the wall around it falls with about the cube of "
        "the density, and the noise of training carries models over it where features are sparse or rates are large."
    )
    return [Verdict(34, (jumps, _optimum(data), stay, last, _stations(data), _wall(data)), why)]


def _middle(data: xr.Dataset) -> str:
    return "n = 5, p = 0.05" if "n = 5, p = 0.05" in data["case"].values else str(data["case"].values[0])


def _jumps(data: xr.Dataset, k: int, window: float) -> tuple[str, bool]:
    """How many levels the runs of a recipe rest at: D_i and loss are those of one exact stationary point."""
    visited = levels_visited(data, k, window)
    several = np.mean([len(levels) >= _LEVELS for levels in visited])
    rests = sum(len(levels) for levels in visited)
    return (
        f"{several:.0%} of {len(visited)} runs rest at two or more of the exact levels, {rests / len(visited):.1f} on "
        "average",
        bool(several > _MOST),
    )


def levels_visited(data: xr.Dataset, k: int, window: float) -> list[list[int]]:
    """
    List the exact levels that each run of a recipe rests at, in order.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.
    k : int
        Number of the recipe.
    window : float
        Largest difference of a D_i from the level's.

    Returns
    -------
    list of list of int
        Numbers of levels (the highest loss first); one whose D_i are nearly those of the one before is left out.
    """
    loss, levels = levels_of(data)
    D, course_loss = np.sort(data["dimensionality"].values[k]), data["loss"].values[k]
    visited = []
    for run, own in zip(D, course_loss, strict=True):
        apart = np.abs(run[:, None, :] - levels).max(-1)
        near = (apart < window) & (np.abs(own[:, None] / loss - 1) < _SAME_LOSS)
        at = np.where(near.any(1), np.where(near, apart, np.inf).argmin(1), -1)
        # A look in passing is no rest: two snapshots in a row.
        stays = [int(one) for one, after in pairwise(at) if one == after and one >= 0]
        kept: list[int] = []
        for level in stays:
            if not kept or np.abs(levels[level] - levels[kept[-1]]).max() > _JUMP:
                kept.append(level)
        visited.append(kept)
    return visited


def _stay(data: xr.Dataset, recipe: str, case: str, least: float) -> tuple[str, bool]:
    share = float(data["digon_share"].sel(end_recipe=recipe, case=case))
    return f"{share:.0%} of {data.attrs['end_runs']} runs end with a feature in a digon", bool(share >= least)


def _last(data: xr.Dataset, choice: tuple[str, float, float]) -> tuple[str, bool]:
    noise, p, least = choice
    still = data["still"].sel(noise=noise, life_density=p)
    share, steps = float(still[-1]), data["life_step"].values
    gone = steps[(still.values < _MOST)]
    when = f", half of them gone by step {gone[0]}" if len(gone) else ""
    return f"{share:.0%} of {data.attrs['life_runs']} are still there after {steps[-1]} steps{when}", share >= least


def _optimum(data: xr.Dataset) -> Finding:
    D, p = data["optimal_dimensionality"].values, data["optimum_density"].values
    changes = np.abs(np.diff(D, axis=0)).max(1)
    jumps = changes > WINDOWS[-1]
    return Finding(
        "as features become sparser, the optimum jumps between configurations",
        f"D_i of the exact optimum at {len(p)} densities from {p[-1]:g} to {p[0]:g}: {int(jumps.sum())} jump, from "
        f"1/2 to 2/5 at p = {data.attrs['crossing']:.6f}; elsewhere they change by "
        f"{changes[~jumps].max(initial=0):.0e} at most",
        bool(jumps.any() and changes[~jumps].max(initial=0) < WINDOWS[0]),
    )


def _stations(data: xr.Dataset) -> Finding:
    """What the rests are, whoever stated it."""
    found, apart = data["rest_found"].values, data["rest_apart"].values
    loss, _ = levels_of(data)
    near = [f"{(found & (apart < w)).mean():.0%} within {w:g}" for w in WINDOWS]
    index = data["rest_index"].values[found]
    return Finding(
        "what a rest is",
        f"Newton's method leads from {found.sum()} of {len(found)} rests to a stationary point of the same loss: "
        f"{len(loss)} different ones, with up to {index.max()} directions of descent; D_i at the rest are its own in "
        f"{', '.join(near)}",
        None,
    )


def _wall(data: xr.Dataset) -> Finding:
    p, height = wall_height(data)
    slope = np.polyfit(np.log(p), np.log(height), 1)[0]
    joins = int(data["wall_joins"].values.sum())
    return Finding(
        "how high the wall between digons and pentagon is",
        f"{height[0]:.1e} of the zero model's loss at p = {p[0]:g}, {height[-1]:.1e} at p = {p[-1]:.3g}, with about "
        f"the power {slope:.1f} of the density; the saddle point has one direction of descent at "
        f"{int((data['wall_index'] == 1).sum())} of {len(p)} densities and leads down to the two minima at {joins}",
        None,
    )


def wall_height(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """
    Give the loss of the saddle point above that of the digons.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    density : ndarray, shape (k,)
        Ascending.
    height : ndarray, shape (k,)
        In units of the zero model's loss.
    """
    return data["wall_density"].values, (data["wall_saddle"] - data["wall_digons"]).values


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
