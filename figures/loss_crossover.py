"""Loss crossovers
===============

Which geometry wins, at which density, and how one takes over from another.

(a) What storing a polytope changes, per dimension, against density; the best of all named along the lower envelope.
(b) Five features in two dimensions, the density of one of them varied: pentagon against two digons (claim 10).
(c) Two features in one dimension: where the idealised pair takes over, and where the optimised one does.
"""

from figures.shared.script import COLOURS, Settings, headline, main, new_figure

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.shared.verdicts import Finding, Verdict, compare
from theory import POLYTOPES, Problem, optimise_polytope
from theory.optimum.polytope import unrepresented_loss
from theory.tools.command import progress
from theory.tools.parallel import spread
from theory.transitions.crossovers import branches_of, crossover

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

    from theory.transitions.branches import Branch

# Five features, one of them apart: the setting of the literature.
BASE_DENSITY, LOW, HIGH = 0.05, 0.1, 10.0
# The slides: the pentagon gives way when one feature is "~2.5x less" dense than the others. Two digits are meant.
STATED_RATIO, _TWO_DIGITS = 2.5, 0.05
# Losses this close, relative, are equal.
_EQUAL = 1e-3
# Relative importance of the second feature in panel (c).
SECOND_IMPORTANCE = 0.3
# Polytopes that agree to this part of an unrepresented feature's loss are equally good; the simplest is named.
_TIE = 1e-4


def compute(settings: Settings) -> xr.Dataset:
    """Losses of the catalogue, branches of pentagon and digons, ideal and exact pair."""
    parts = [_catalogue(settings), _branches(settings), _pair(settings)]
    data = xr.merge(parts)
    data.attrs = {key: value for part in parts for key, value in part.attrs.items()}
    data.attrs["summary"] = "\n".join(
        [
            f"pentagon | 2 digons: relative density {data.attrs['crossing']:.8f} +- {data.attrs['crossing_error']:.0e},"
            f" 1/{1 / data.attrs['crossing']:.3f} of the others'; slope jumps by "
            f"{data.attrs['crossing_slope_jump']:.3e}; "
            f"the pentagon is metastable down to {data.attrs['spinodal']:.6f}",
            f"not represented | antipodal at r = {SECOND_IMPORTANCE}: p = {data.attrs['exact_pair']:.8f}, "
            f"idealised p = 4r/(2+5r) = {data.attrs['ideal_pair']:.8f}",
        ]
    )
    return data


def _catalogue(settings: Settings) -> xr.Dataset:
    """Change of loss per dimension by storing each polytope, in units of an unrepresented feature's loss."""
    density = np.geomspace(0.003, 1.0, 7 if settings.quick else 48)
    small = [p for p in POLYTOPES.values() if p.d and p.v <= (5 if settings.quick else 9)]
    names = [p.name for p in sorted(small, key=lambda p: p.v)]  # the simplest first, for the ties of the dense end
    jobs = spread(_changes, [(name, density) for name in names], settings.workers)
    change = np.array(list(progress(jobs, total=len(names), label="polytopes")))
    return xr.Dataset(
        {"change_per_dimension": (("polytope", "density"), change)}, coords={"polytope": names, "density": density}
    )


def _changes(name: str, density: "ndarray") -> list[float]:
    """One polytope at every density."""
    polytope = POLYTOPES[name]
    losses = [optimise_polytope(name, float(p)).loss / unrepresented_loss(float(p)) for p in density]
    return [(loss - polytope.v) / polytope.d for loss in losses]


def _branches(settings: Settings) -> xr.Dataset:
    """Pentagon and two digons over the relative density of one feature, and where they cross."""
    problem = Problem(n=5, m=2, density=BASE_DENSITY)
    points = 14 if settings.quick else 90
    found = [
        branches_of(problem, geometry, "relative density", LOW, HIGH, index=4, points=points)
        for geometry in ("pentagon", "2 digon")
    ]
    pentagon, digons = (_lowest(branches) for branches in found)
    crossing = crossover(pentagon, digons)[0]
    places = np.geomspace(LOW, HIGH, 5)
    shapes = [_best_at(found, float(np.clip(place, LOW, HIGH))) for place in places]
    return xr.Dataset(
        {
            "pentagon_loss": ("pentagon_at", pentagon.loss),
            "digons_loss": ("digons_at", digons.loss),
            "pentagon_norm": ("pentagon_at", np.linalg.norm(pentagon.W[:, :, 4], axis=1)),
            "digons_norm": ("digons_at", np.linalg.norm(digons.W[:, :, 4], axis=1)),
            "vertices": (("place", "dimension", "feature"), np.array(shapes)),
        },
        coords={"pentagon_at": pentagon.values, "digons_at": digons.values, "place": places},
        attrs={
            "crossing": crossing.value,
            "crossing_error": crossing.error,
            "crossing_loss": crossing.loss,
            "crossing_slope_jump": crossing.slope_jump,
            "spinodal": pentagon.lowest,
        },
    )


def _lowest(branches: "list[Branch]") -> "Branch":
    """The branch that is best where the feature is sparsest: there the geometries compete."""
    return min(branches, key=lambda branch: branch.loss[np.argmin(branch.values)])


def judge(data: xr.Dataset) -> list[Verdict]:
    """Compare the transition from the pentagon to two digons."""
    crossing, spinodal = data.attrs["crossing"], data.attrs["spinodal"]
    stated = 1 / STATED_RATIO
    logs = [_along(xr.apply_ufunc(np.log, data[f"{shape}_loss"]), stated) for shape in ("pentagon", "digons")]
    excess = np.expm1(logs[1] - logs[0])
    step = float(np.abs(np.diff(data["pentagon_norm"].sortby("pentagon_at").values)).max())
    sides = [_along(data[f"{shape}_norm"], crossing) for shape in ("pentagon", "digons")]
    jump = data.attrs["crossing_slope_jump"]
    findings = (
        compare("times sparser than the others, where two digons take over", STATED_RATIO, 1 / crossing, _TWO_DIGITS),
        Finding(
            f"at {STATED_RATIO:g} times sparser both cost the same",
            f"there two digons cost {excess:.1%} more than the pentagon",
            bool(abs(excess) < _EQUAL),
        ),
        Finding(
            "the pentagon deforms smoothly",
            f"one branch of minima from relative density {HIGH:g} down to {spinodal:.4f}; between recorded points the "
            f"norm of the varied feature changes by {step:.3f} at most",
            bool(spinodal < crossing and step < abs(sides[0] - sides[1])),
        ),
        Finding(
            "then it snaps",
            f"at the crossing the norm of the varied feature goes from {sides[0]:.3f} to {abs(sides[1]):.3f}",
            bool(abs(sides[0] - sides[1]) > 0.5),
        ),
        Finding(
            "the snap is a crossover of two loss curves",
            f"they cross at relative density {crossing:.6f}, where the slope of the optimal loss jumps by {jump:.3e}",
            bool(jump < 0),
        ),
    )
    why = (
        "Two digons leave the sparse feature out and pay its variance; the pentagon pays interference among all five. "
        "The first falls with the density faster, and the curves cross with different slopes. Between crossing and "
        f"spinodal, {1 / crossing:.2f} to {1 / spinodal:.2f} times sparser, the pentagon survives as a local minimum."
    )
    return [Verdict(10, findings, why)]


def _along(curve: xr.DataArray, value: float) -> float:
    """A number of one branch at a relative density, straight between its recorded points."""
    (at,) = curve.dims
    curve = curve.sortby(at)
    return float(np.interp(np.log(value), np.log(curve[at]), curve))


def _best_at(found: "list[list[Branch]]", value: float) -> "ndarray":
    """Embedding of the best branch at a relative density, the varied feature turned upwards."""
    here = [b.at(value) for branches in found for b in branches if b.lowest <= value <= b.highest]
    W = min(here, key=lambda point: point.loss).W
    other = W[:, 4] if np.linalg.norm(W[:, 4]) > 0.1 else W[:, 0]
    angle = np.pi / 2 - np.arctan2(other[1], other[0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ W


def _pair(settings: Settings) -> xr.Dataset:
    """Not represented against antipodal, n = 2 and m = 1, idealised and optimised."""
    r = SECOND_IMPORTANCE
    problem = Problem(n=2, m=1, density=0.1, importance=[1.0, r])
    low, high, points = 0.05, 0.6, 12 if settings.quick else 60
    alone, together = (
        _lowest(branches_of(problem, geometry, "density", low, high, points=points))
        for geometry in ("dedicated + unrepresented", "digon")
    )
    p = np.geomspace(low, high, 200)
    return xr.Dataset(
        {
            "alone_loss": ("alone_at", alone.loss),
            "together_loss": ("together_at", together.loss),
            "ideal_alone": ("pair_density", r * (p / 3 - p**2 / 4)),
            "ideal_together": ("pair_density", (1 + r) * p**2 / 6),
        },
        coords={"alone_at": alone.values, "together_at": together.values, "pair_density": p},
        attrs={"exact_pair": crossover(alone, together)[0].value, "ideal_pair": 4 * r / (2 + 5 * r)},
    )


def draw(data: xr.Dataset) -> "Figure":
    """One wide panel for the catalogue, two below it for the crossings."""
    figure = new_figure(10.5, 9.0)
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 1.05))
    _draw_catalogue(figure.add_subplot(grid[0, :]), data)
    _draw_branches(figure.add_subplot(grid[1, 0]), data)
    _draw_pair(figure.add_subplot(grid[1, 1]), data)
    headline(
        figure,
        f"The pentagon snaps to two digons where one feature is {1 / data.attrs['crossing']:.2f} times sparser, "
        f"and lasts, metastable, up to {1 / data.attrs['spinodal']:.2f} times",
    )
    return figure


def _draw_catalogue(axes: "Axes", data: xr.Dataset) -> None:
    p, saved = data["density"].values, -data["change_per_dimension"].values
    winner = (saved > saved.max(0) - _TIE).argmax(0)
    bests = list(dict.fromkeys(winner.tolist()))
    for i, curve in enumerate(saved):
        if i not in bests:
            axes.plot(p, curve, color="0.82", lw=0.8)
    for colour, i in zip(COLOURS, bests, strict=False):
        axes.plot(p, saved[i], color=colour, lw=1.8, label=str(data["polytope"].values[i]))
    axes.plot(p, saved.max(0), color="black", lw=0.8, ls=(0, (1, 2)))
    ends = [0, *(np.flatnonzero(np.diff(winner)) + 1), len(p) - 1]
    for k, (start, stop) in enumerate(pairwise(ends)):
        if p[start] > 0.8:  # everything dense is equally good: one feature per dimension, in any directions
            continue
        middle = min(max(int((start + stop) // 2), len(p) // 40), len(p) - 1 - len(p) // 40)
        name = str(data["polytope"].values[winner[start]])
        axes.annotate(
            name,
            (p[middle], saved[winner[start], middle]),
            xytext=(0, 14 + 11 * (k % 2)),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=9,
        )
    axes.set_xscale("log")
    axes.set_xlim(p.max(), p.min())
    axes.set_ylim(0.75, 1.2 * saved.max())
    axes.legend(frameon=False, fontsize=8, loc="lower right", ncol=3)
    axes.set_xlabel("density  $1-S$      (dense → sparse)")
    axes.set_ylabel("loss saved per dimension\n(unrepresented feature = 1)")
    axes.set_title("(a) what a polytope saves: the higher, the better; grey: never best", fontsize=10, loc="left")


def _draw_branches(axes: "Axes", data: xr.Dataset) -> None:
    crossing = data.attrs["crossing"]
    for name, label, colour, best in (
        ("pentagon", "pentagon", COLOURS[0], np.greater_equal),
        ("digons", "two digons", COLOURS[1], np.less_equal),
    ):
        x = np.append(data[f"{name}_at"].values, crossing)
        loss = np.append(data[f"{name}_loss"].values, data.attrs["crossing_loss"])
        order = np.argsort(x)
        x, loss = x[order], loss[order]
        axes.plot(x, loss, color=colour, lw=1.2, ls=(0, (3, 2)))
        wins = best(x, crossing)
        axes.plot(x[wins], loss[wins], color=colour, lw=2.2, label=label)
    axes.plot(crossing, data.attrs["crossing_loss"], "o", color="black", ms=5)
    axes.annotate(
        f"crossing at {crossing:.4f}\n(1/{1 / crossing:.2f} of the others)",
        (crossing, data.attrs["crossing_loss"]),
        xytext=(-135, -34),
        textcoords="offset points",
        fontsize=9,
        arrowprops={"arrowstyle": "-", "lw": 0.7},
    )
    axes.axvline(data.attrs["spinodal"], ymax=0.62, color=COLOURS[0], lw=0.8, ls=":")
    axes.text(data.attrs["spinodal"] * 1.06, 0.6, "pentagon ends here", fontsize=8, color=COLOURS[0],
              transform=axes.get_xaxis_transform(), va="top", ha="right")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    x_all = data["place"].values
    losses = np.concatenate([data["pentagon_loss"].values, data["digons_loss"].values])
    axes.set_ylim(0.85 * losses.min(), 3.5 * losses.max())
    axes.set_xlim(x_all.max(), x_all.min())
    axes.set_xlabel("density of one feature relative to the others'      (dense → sparse)")
    axes.set_ylabel("population loss")
    axes.legend(frameon=False, fontsize=9, loc="lower left")
    axes.set_title("(b) n = 5, m = 2, density 0.05: dashed = metastable", fontsize=10, loc="left")
    for k in range(data.sizes["place"]):
        _draw_vertices(axes.inset_axes((0.81 - 0.2 * k, 0.8, 0.17, 0.19)), data["vertices"].values[k])


def _draw_vertices(axes: "Axes", W: "ndarray") -> None:
    for j in range(W.shape[1]):
        colour = COLOURS[5] if j == W.shape[1] - 1 else "0.25"
        axes.plot([0, W[0, j]], [0, W[1, j]], color=colour, lw=1.0)
        axes.plot(W[0, j], W[1, j], "o", color=colour, ms=3.5)
    axes.set_xlim(-1.5, 1.5)
    axes.set_ylim(-1.5, 1.5)
    axes.set_aspect("equal")
    axes.axis("off")


def _draw_pair(axes: "Axes", data: xr.Dataset) -> None:
    unit = SECOND_IMPORTANCE
    for name, ideal, label, colour in (
        ("alone", "ideal_alone", "not represented", COLOURS[0]),
        ("together", "ideal_together", "antipodal", COLOURS[1]),
    ):
        x = data[f"{name}_at"].values
        axes.plot(x, data[f"{name}_loss"].values / x / unit, color=colour, lw=2.2, label=f"{label}, optimised")
        p = data["pair_density"].values
        axes.plot(p, data[ideal].values / p / unit, color=colour, lw=1.1, ls=(0, (1, 1.5)), label=f"{label}, idealised")
    for key, word, offset in (("exact_pair", "optimised", (-60, -50)), ("ideal_pair", "idealised", (12, 52))):
        p = data.attrs[key]
        axes.annotate(
            f"{word}: p = {p:.4f}",
            (p, 1 / 3 - p / 4),
            xytext=offset,
            textcoords="offset points",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "lw": 0.7},
        )
        axes.plot(p, 1 / 3 - p / 4, "o", color="black", ms=5)
    axes.set_xlim(data["pair_density"].values.max(), data["pair_density"].values.min())
    axes.set_xlabel("density  $1-S$      (dense → sparse)")
    axes.set_ylabel(r"loss / ($p\,r$)")
    axes.set_ylim(0, 0.42)
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    axes.set_title(f"(c) n = 2, m = 1, second feature of importance r = {unit}", fontsize=10, loc="left")


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
