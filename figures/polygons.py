"""Regular polygons in the one-sparse limit
========================================

Their optima in that limit, and which of them is best at which density (claim 25).

(a) Norm r and bias b that minimise lim L/p of a regular k-gon, k features of importance 1 in two dimensions, for k up
    to 24, with the two published pairs marked.
(b) What a hidden dimension earns by it: (k/3 - L/p)/2, the loss saved over leaving the features out. The digon and the
    dedicated feature take one dimension, all others two. At the optimum, the gradient in all of (W, b) vanishes up to
    the symmetry: every k-gon is a critical point.
(c) The same at finite density, in units of the loss p/3 - p^2/4 of an unrepresented feature: the best k-gon against
    density, with the densities at which one takes over from the next.
"""

from figures.shared.script import COLOURS, Settings, headline, main, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.optimize import brentq

from figures.shared.verdicts import Finding, Verdict, compare
from theory import POLYTOPES, one_sparse_optimum, optimise_polytope, unrepresented_loss
from theory.geometry.polytopes import regular_polygon
from theory.loss.one_sparse import limit_loss_and_gradient
from theory.tools.command import progress
from theory.tools.parallel import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

# Chen et al. 2023: norm and bias.
PUBLISHED = {5: (1.17046, -0.28230), 6: (1.32053, -0.61814)}
# Half a unit of the last published digit, and what rounding adds.
_LAST_DIGIT = 5.1e-6
# A gradient below this is none, a curvature above minus the second number is not negative: rounding and differences.
_NO_GRADIENT, _NO_CURVATURE = 1e-9, 1e-6
# Compared over densities: one dimension, then polygons. The square is a pair of digons.
COMPARED = ("dedicated", "digon", "triangle", "pentagon", "hexagon", "heptagon", "octagon")
LOWEST_DENSITY = 1e-3
# Savings closer than this part of an unrepresented feature's loss are a tie, which the simpler shape wins.
_TIE = 1e-6


def compute(settings: Settings) -> xr.Dataset:
    """The one-sparse optima of all polygons, and the best shape per dimension against density."""
    data = xr.merge([_limit(12 if settings.quick else 24), _densities(settings)])
    data.attrs["summary"] = _summary(data)
    return data


def _limit(largest: int) -> xr.Dataset:
    """Optimum of every k-gon as p -> 0, and how close to a minimum it is when every vertex may move."""
    rows = {k: _critical_point(k) for k in [2, *(k for k in range(3, largest + 1) if k != 4)]}
    rows[4] = {**rows[2], "loss": 2 * rows[2]["loss"]}  # a square is two digons in orthogonal dimensions
    k = sorted(rows)
    columns = {name: ("k", [rows[j][name] for j in k]) for name in ("norm", "bias", "loss", "gradient", "curvature")}
    data = xr.Dataset(columns, coords={"k": k})
    dimensions = np.where(np.array(k) == 2, 1, 2)
    return data.assign(benefit=("k", (np.array(k) / 3 - data["loss"].values) / dimensions))


def _critical_point(k: int) -> dict[str, float]:
    """Norm, bias, limit loss, largest component of its full gradient, lowest curvature (rotations projected out)."""
    polytope = POLYTOPES["digon"] if k == 2 else regular_polygon(k)
    optimum = one_sparse_optimum(polytope.name)
    W, b = polytope.embedding(optimum.parameters), polytope.biases(optimum.parameters)

    def gradient(x: "ndarray") -> "ndarray":
        _, dW, db = limit_loss_and_gradient(x[: W.size].reshape(W.shape), x[W.size :])
        return np.concatenate([dW.ravel(), db])

    x = np.concatenate([W.ravel(), b])
    step = 1e-6
    hessian = np.array([(gradient(x + step * e) - gradient(x - step * e)) / (2 * step) for e in np.eye(len(x))])
    if k > 2:
        turn = np.concatenate([np.stack([-W[1], W[0]]).ravel(), np.zeros(k)])
        turn /= np.linalg.norm(turn)
        hessian += 10.0 * np.outer(turn, turn)  # lifts the direction in which nothing changes
    return {
        "norm": optimum.parameters["norm"],
        "bias": optimum.parameters["bias"],
        "loss": optimum.loss,
        "gradient": float(np.abs(gradient(x)).max()),
        "curvature": float(np.linalg.eigvalsh((hessian + hessian.T) / 2)[0]),
    }


def saving(name: str, density: float) -> float:
    """
    Give what a dimension saves by a shape, in units of the loss of one unrepresented feature.

    Parameters
    ----------
    name : str
        A polytope.
    density : float
        Density p of its features.

    Returns
    -------
    float
        (v - loss / (p/3 - p^2/4)) / d; 1 for the dedicated feature, less than v/d.
    """
    polytope = POLYTOPES[name]
    return float((polytope.v - optimise_polytope(name, density).loss / unrepresented_loss(density)) / polytope.d)


def _densities(settings: Settings) -> xr.Dataset:
    """Savings over densities, and where the best shape changes."""
    density = np.geomspace(LOWEST_DENSITY, 1.0, 9 if settings.quick else 120)
    jobs = spread(_savings, [(name, density) for name in COMPARED], settings.workers)
    savings = np.array(list(progress(jobs, total=len(COMPARED), label="polygons")))
    winner = (savings > savings.max(0) - _TIE).argmax(0)
    changes = np.flatnonzero(np.diff(winner))
    crossings = [_crossing(COMPARED[winner[i]], COMPARED[winner[i + 1]], density[i], density[i + 1]) for i in changes]
    return xr.Dataset(
        {
            "saving": (("shape", "density"), savings),
            "best": ("density", winner),
            "sparser": ("crossing", [COMPARED[winner[i]] for i in changes]),
            "denser": ("crossing", [COMPARED[winner[i + 1]] for i in changes]),
        },
        coords={"shape": list(COMPARED), "density": density, "crossing": crossings},
    )


def _savings(name: str, density: "ndarray") -> list[float]:
    return [saving(name, float(p)) for p in density]


def _crossing(sparser: str, denser: str, low: float, high: float) -> float:
    """Density between two at which two shapes save equally."""

    def difference(log_density: float) -> float:
        p = float(np.exp(log_density))
        return saving(sparser, p) - saving(denser, p)

    ends = float(np.log(low)), float(np.log(high))
    return float(np.exp(brentq(difference, *ends, xtol=1e-8)))


def _summary(data: xr.Dataset) -> str:
    lines = []
    for k, (norm, bias) in PUBLISHED.items():
        row = data.sel(k=k)
        lines.append(f"k = {k}: r = {float(row['norm']):.5f}, b = {float(row['bias']):.5f} (published {norm}, {bias})")
    best = data["k"].values[np.argsort(-data["benefit"].values)]
    first = ", ".join(f"k = {k} ({float(data['benefit'].sel(k=k)):.5f})" for k in best[:4])
    minima = data["k"].values[data["curvature"].values > -_NO_CURVATURE]
    lines += [
        f"largest component of the gradient of any k-gon: {float(data['gradient'].max()):.1e}: critical points; "
        f"minima when every vertex may move: k = {', '.join(map(str, minima))}",
        f"largest benefits per dimension as p -> 0: {first}",
        *(
            f"{sparser} | {denser} at density {p:.6f}"
            for p, sparser, denser in zip(
                data["crossing"].values, data["sparser"].values, data["denser"].values, strict=True
            )
        ),
    ]
    return "\n".join(lines)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Compare with what is published on polygons in the one-sparse limit."""
    k, gradient = data["k"].values, float(data["gradient"].max())
    minima = k[data["curvature"].values > -_NO_CURVATURE]
    best = int(k[data["benefit"].values.argmax()])
    order = ", ".join([*data["sparser"].values, data["denser"].values[-1]])
    changes = ", ".join(f"{p:.4f}" for p in data["crossing"].values)
    findings = [
        Finding(
            "every regular k-gon is a critical point",
            f"largest component of the gradient up to k = {k.max()}: {gradient:.1e}",
            gradient < _NO_GRADIENT,
        )
    ]
    for j, (norm, bias) in PUBLISHED.items():
        findings += [
            compare(f"k = {j}: norm", norm, float(data["norm"].sel(k=j)), _LAST_DIGIT, 5),
            compare(f"k = {j}: bias", bias, float(data["bias"].sel(k=j)), _LAST_DIGIT, 5),
        ]
    findings += [
        Finding(
            "which k-gons are minima (left open)", f"k = {minima.min()} to {minima.max()}; others are saddles", None
        ),
        Finding(
            "the best k-gon per dimension (left open)",
            f"k = {best} as p → 0, saving {float(data['benefit'].max()):.5f} per dimension; from sparse to dense "
            f"{order}, changing at p = {changes}",
            None,
        ),
    ]
    why = (
        "Reflections and rotations of a regular polygon permute its features, so that the gradient at it is radial and "
        "equal for all: it vanishes with the derivatives by norm and bias. More vertices share a dimension among more "
        "features, but need a more negative bias against the interference of neighbours."
    )
    return [Verdict(25, tuple(findings), why)]


def draw(data: xr.Dataset) -> "Figure":
    """Optima and benefits against k above, densities below."""
    figure = new_figure(11.0, 8.0)
    grid = figure.add_gridspec(2, 2)
    _draw_optima(figure.add_subplot(grid[0, 0]), data)
    _draw_benefit(figure.add_subplot(grid[0, 1]), data)
    _draw_densities(figure.add_subplot(grid[1, :]), data)
    k, benefit = data["k"].values, data["benefit"].values
    stable = k[data["curvature"].values > -_NO_CURVATURE]
    headline(
        figure,
        f"In the one-sparse limit a dimension earns most from the {k[benefit.argmax()]}-gon; regular k-gons are minima "
        f"up to k = {stable.max()}, and give way to fewer vertices as features grow denser",
    )
    return figure


def _draw_optima(axes: "Axes", data: xr.Dataset) -> None:
    k = data["k"].values
    axes.plot(k, data["norm"], "o-", color=COLOURS[0], ms=4, lw=1, label="norm $r$")
    axes.plot(k, data["bias"], "s-", color=COLOURS[1], ms=4, lw=1, label="bias $b$")
    for j, pair in PUBLISHED.items():
        axes.plot([j, j], pair, "D", color="black", mfc="none", ms=9, label="published" if j == 5 else None)
    axes.axhline(0, color="0.7", lw=0.8)
    axes.set_xlabel("vertices $k$")
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    axes.set_ylim(top=2.7)
    axes.set_title("(a) optimal k-gon as p → 0", fontsize=10, loc="left")


def _draw_benefit(axes: "Axes", data: xr.Dataset) -> None:
    k, benefit = data["k"].values, data["benefit"].values
    stable = data["curvature"].values > -_NO_CURVATURE
    axes.plot(k, benefit, "-", color="0.75", lw=1)
    axes.plot(k[stable], benefit[stable], "o", color=COLOURS[0], ms=6, label="minimum in all of (W, b)")
    axes.plot(k[~stable], benefit[~stable], "o", color=COLOURS[0], mfc="white", ms=6, label="saddle")
    axes.axhline(2 / 3, color=COLOURS[5], lw=1, ls="--", label="digon: 2/3")
    axes.axhline(1 / 3, color=COLOURS[6], lw=1, ls=":", label="dedicated: 1/3")
    axes.set_xlabel("vertices $k$")
    axes.set_ylabel("benefit per dimension")
    axes.set_ylim(0.1, 0.95)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    axes.set_title("(b) what a dimension earns as p → 0", fontsize=10, loc="left")


def _draw_densities(axes: "Axes", data: xr.Dataset) -> None:
    p = data["density"].values
    for colour, name in zip(COLOURS, COMPARED, strict=False):
        axes.plot(p, data["saving"].sel(shape=name), color=colour, lw=1.7, label=name)
    for j, (crossing, name) in enumerate(zip(data["crossing"].values, data["sparser"].values, strict=True)):
        level = float(np.interp(np.log(crossing), np.log(p), data["saving"].max("shape")))
        axes.plot(crossing, level, "o", color="black", ms=5)
        axes.annotate(f"{name} | {data['denser'].values[j]}\n{crossing:.5f}", (crossing, level), xytext=(0, 14),
                      textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(p.max(), p.min())
    axes.set_ylim(0, 2.9)
    axes.set_xlabel("density  $1-S$      (dense → sparse)")
    axes.set_ylabel("saving per dimension\n(unrepresented feature = 1)")
    axes.legend(frameon=False, fontsize=9, loc="lower right", ncol=2)
    axes.set_title("(c) the best k-gon against density", fontsize=10, loc="left")


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
