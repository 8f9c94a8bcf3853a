"""Compressed sensing: what can be recovered from the projection
=============================================================

n features are projected on h = W x in m < n dimensions; x can be recovered from h only if it is sparse (claim 20).
Features are non-negative, as in the toy models; n = 100 and m = 30.

(a) The share of signals with k active features that L1 recovery finds exactly (least sum x_i with W x = h and x >= 0, a
    linear program), for random W and for the W of the sparsest trained model. Line: theory, from the statistical
    dimension of the cone of better directions. Non-negativity alone, without sparsity, determines almost nothing.
(b) The error against density, in units of a feature that is left out: the toy model's own readout ReLU(W^T h + b),
    trained, with its exact loss; the best tegum product of polytopes of at most three dimensions; the best linear
    readout, 1 - m/n; L1 recovery, whose threshold in (a) is at the density marked.
(c) The number of active features, per dimension, of which half of the signals are recovered, for other m: measured, in
    theory, and what non-negativity alone allows (Wendel), nothing below m = n/2.
"""

from figures.shared.script import COLOURS, Settings, headline, main, new_figure

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.optimize import linprog

from figures.shared.verdicts import Finding, Verdict, weighed
from numerics import sample, train
from theory import Problem, optimise_polytope, population_loss, unrepresented_loss
from theory.frames.recovery import l1_success, l1_threshold, nonnegative_success
from theory.packing.knapsack import pack
from theory.tools.command import progress
from theory.tools.parallel import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

# Shares of dense and of very sparse signals that can be recovered, according to the slides.
STATED_DENSE, STATED_SPARSE = 0.0, 1.0
WITHIN = 0.05
# Active features per dimension that make a signal dense, or sparse; the slides name no number.
DENSE, SPARSE = (1.0, 3 / 4), (1 / 30, 1 / 10, 1 / 6)
POLYTOPES_USED = ("unrepresented", "dedicated", "digon", "triangle", "pentagon", "tetrahedron", "square antiprism")
# Recovered to the accuracy of the linear programs.
_EXACT = 1e-6


def compute(settings: Settings) -> xr.Dataset:
    """Train the toy models, recover from their projection and from random ones, and from other dimensions."""
    n, m = (40, 12) if settings.quick else (100, 30)
    density = np.array([1.0, 0.1, 0.01] if settings.quick else [1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.01])
    problem = Problem(m=m, density=np.repeat(density[:, None], n, axis=1))
    run = train(problem, instances=1, steps=800 if settings.quick else 5000, batch=256 if settings.quick else 1024,
                seed=settings.seed, learning_rate=0.01, workers=settings.workers, snapshots=[])  # fmt: skip
    W, unit = run["W"].values, np.array([unrepresented_loss(p) for p in density])
    data = xr.Dataset(
        {
            "readout": ("density", population_loss(W, run["b"].values, problem, rtol=1e-4) / unit / n),
            "tegum": ("density", [_tegum(n, m, p) / n for p in density] / unit),
        },
        coords={"density": density},
    )
    data = data.merge(_against_active(W[density.argmin()], settings))
    data = data.merge(_against_density(W, density, settings)).merge(_thresholds(n, settings))
    data.attrs.update(n=n, m=m, trials=_trials(settings), threshold=l1_threshold(m, n))
    data.attrs["summary"] = _summary(data)
    return data


def _tegum(n: int, m: int, density: float) -> float:
    """Loss of the best tegum product of a few small polytopes."""
    product = pack(n, m, {name: optimise_polytope(name, density).loss for name in POLYTOPES_USED})
    return float(sum(count * optimise_polytope(name, density).loss for name, count in product.factors.items()))


def recover(W: "ndarray", h: "ndarray") -> "ndarray":
    """
    Recover non-negative features by L1 minimisation.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Projection.
    h : ndarray, shape (m,)
        What is known of the features, W x.

    Returns
    -------
    ndarray, shape (n,)
        The x >= 0 of least sum with W x = h; NaN if the solver finds none.
    """
    program = linprog(np.ones(W.shape[1]), A_eq=W, b_eq=h, method="highs")
    return np.full(W.shape[1], np.nan) if program.x is None else np.asarray(program.x)


def _recovered(k: int, m: int, n: int, trials: int, seed: list[int], W: "ndarray | None" = None) -> float:
    """Share of signals with k active features, drawn with their projections, that are recovered."""
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(trials):
        projection = rng.standard_normal((m, n)) if W is None else W
        x = np.zeros(n)
        x[rng.choice(n, k, replace=False)] = rng.random(k)
        hits += bool(np.abs(recover(projection, projection @ x) - x).max() < _EXACT)
    return hits / trials


def _trials(settings: Settings) -> int:
    """Signals per number of active features."""
    return 20 if settings.quick else 200


def _against_active(W: "ndarray", settings: Settings) -> xr.Dataset:
    """Shares recovered against the number of active features."""
    m, n = W.shape
    trials = _trials(settings)
    active = np.arange(1, m + 1, 3 if settings.quick else 1)
    jobs = [(int(k), m, n, trials, [settings.seed, 20, int(k)], V) for V in (None, W) for k in active]
    shares = _all(_recovered, jobs, settings, "recovery").reshape(2, len(active))
    return xr.Dataset(
        {
            "recovered": (("projection", "active"), shares),
            "theory": ("active", [l1_success(int(k), m, n) for k in active]),
            "nonnegative": ("active", [nonnegative_success(int(k), m, n) for k in active]),
        },
        coords={"projection": ["random", "trained"], "active": active},
    )


def _all(function: Callable[..., float], jobs: list, settings: Settings, label: str) -> "ndarray":
    results = spread(function, jobs, settings.workers)
    return np.array(list(progress(results, total=len(jobs), label=label)))


def _error(W: "ndarray | None", m: int, n: int, density: float, signals: int, seed: list[int]) -> float:
    """Mean squared error of L1 recovery per feature, in units of a left-out feature's."""
    rng = np.random.default_rng(seed)
    total = 0.0
    for x in sample(Problem(n=n, m=m, density=density).features, signals, rng):
        projection = rng.standard_normal((m, n)) if W is None else W
        total += float(((recover(projection, projection @ x) - x) ** 2).sum())
    return total / signals / n / float(unrepresented_loss(density))


def _against_density(W: "ndarray", density: "ndarray", settings: Settings) -> xr.Dataset:
    """Errors of L1 recovery at the densities of the trained models."""
    _, m, n = W.shape
    signals = 8 if settings.quick else 300
    jobs = [
        (V[j] if V is not None else None, m, n, float(p), signals, [settings.seed, 21, j])
        for V in (None, W)
        for j, p in enumerate(density)
    ]
    errors = _all(_error, jobs, settings, "densities").reshape(2, len(density))
    return xr.Dataset({"l1_error": (("projection", "density"), errors)},
                      coords={"projection": ["random", "trained"], "density": density})  # fmt: skip


def _thresholds(n: int, settings: Settings) -> xr.Dataset:
    """Numbers of active features at which half of the signals are recovered, for several dimensions."""
    dimensions = (
        [n // 5, n // 2] if settings.quick else [n // 10, n // 5, 3 * n // 10, n // 2, 7 * n // 10, 9 * n // 10]
    )
    trials = 12 if settings.quick else 80
    grids = []
    for m in dimensions:
        expected = l1_threshold(m, n)
        grids.append(np.unique(np.clip(np.round(expected * np.linspace(0.6, 1.4, 7)), 1, n - 1)).astype(int))
    jobs = [
        (int(k), m, n, trials, [settings.seed, 22, m, int(k)])
        for m, grid in zip(dimensions, grids, strict=True)
        for k in grid
    ]
    shares = np.split(_all(_recovered, jobs, settings, "dimensions"), np.cumsum([len(grid) for grid in grids])[:-1])
    measured = [_half(grid, share) for grid, share in zip(grids, shares, strict=True)]
    return xr.Dataset({"half_measured": ("dimension", measured),
                       "half_theory": ("dimension", [l1_threshold(m, n) for m in dimensions])},
                      coords={"dimension": dimensions})  # fmt: skip


def _half(active: "ndarray", share: "ndarray") -> float:
    """Where a falling share passes 1/2: the interpolation of its isotonic envelope."""
    falling = (np.minimum.accumulate(share) + np.maximum.accumulate(share[::-1])[::-1]) / 2
    return float(np.interp(-0.5, -falling, active))


def _summary(data: xr.Dataset) -> str:
    k, p = data["active"].values, data["density"].values.tolist()
    random, trained = data["recovered"].values
    errors = {name: data[name].values.round(4).tolist() for name in ("readout", "tegum", "l1_error")}
    lines = [
        f"n = {data.attrs['n']}, m = {data.attrs['m']}: half of the signals recovered at k = "
        f"{data.attrs['threshold']:.2f} in theory, {_half(k, random):.2f} measured with random W, "
        f"{_half(k, trained):.2f} with the trained one",
        f"k = {k.tolist()}: random {random.round(3).tolist()}, theory {data['theory'].values.round(3).tolist()}, "
        f"trained {trained.round(3).tolist()}",
        f"error at p = {p}: readout {errors['readout']}, tegum {errors['tegum']}, L1 random and trained "
        f"{errors['l1_error']}",
        f"half at m = {data['dimension'].values.tolist()}: measured {data['half_measured'].values.round(2).tolist()}, "
        f"theory {data['half_theory'].values.round(2).tolist()}",
    ]
    return "\n".join(lines)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claim 20: nothing is recovered when dense, everything when sparse enough, with the threshold measured."""
    n, m = data.attrs["n"], data.attrs["m"]
    random = data["recovered"].sel(projection="random").values
    k = data["active"].values
    sparsest, densest = int(data["density"].values.argmin()), int(data["density"].values.argmax())
    readout, l1 = data["readout"].values, data["l1_error"].sel(projection="random").values
    findings = (
        _share_recovered(data, "dense", STATED_DENSE, DENSE),
        _share_recovered(data, "sparse", STATED_SPARSE, SPARSE),
        Finding("where sparse ends is not said",
                f"half are recovered at k = {_half(k, random):.1f} measured, {data.attrs['threshold']:.1f} in theory, "
                f"{_half(k, data['recovered'][1].values):.1f} with trained W", None),
        Finding("what else there is of dense signals",
                f"non-negativity alone determines {float(data['nonnegative'][-1]):.1e} of those with {k[-1]} active "
                f"features; at p = 1 the error is {readout[densest]:.3f} of leaving features out (readout; linear "
                f"{1 - m / n:.3f})", None),
        Finding("the toy model recovers sparse features better than dense ones",
                f"error of its readout {readout[sparsest]:.4f} at p = {data['density'].values[sparsest]:g}, never 0 "
                f"(ReLU(W^T h + b) is one step of a decoder); L1 recovery with random W {l1[sparsest]:.1e}",
                bool(readout[sparsest] < readout[densest] / 2)),
    )  # fmt: skip
    why = (
        "Every signal that differs by an element of the null space of W, of dimension n - m, has the same projection. "
        "Only if few features are active does the true one stand out, as the sparsest."
    )
    return [Verdict(20, findings, why)]


def _share_recovered(data: xr.Dataset, kind: str, stated: float, shares: tuple[float, ...]) -> Finding:
    """The share that L1 recovers, for either projection and for every reasonable number of active features."""
    active, m = data["active"].values, data.attrs["m"]

    def measure(choice: tuple[str, int]) -> tuple[str, bool]:
        projection, place = choice
        share = float(data["recovered"].sel(projection=projection)[place])
        return f"{share:.3f} of the signals", bool(abs(share - stated) <= WITHIN)

    places = [int(np.abs(active - share * m).argmin()) for share in shares]
    choices = {
        f"{active[place]} active features for {m} dimensions, {projection} W": (str(projection), place)
        for projection in data["projection"].values
        for place in places
    }
    return weighed(f"of {kind} signals a share of {stated:g} can be recovered", measure, choices, next(iter(choices)))


def draw(data: xr.Dataset) -> "Figure":
    """Active features, density, dimension."""
    figure = new_figure(14.0, 5.0)
    left, middle, right = figure.subplots(1, 3)
    _draw_active(left, data)
    _draw_density(middle, data)
    _draw_dimensions(right, data)
    share = data.attrs["threshold"] / data.attrs["n"]
    sparsest = int(data["density"].values.argmin())
    error = float(data["readout"][sparsest])
    headline(
        figure,
        f"Signals are recovered from {data.attrs['m']} of {data.attrs['n']} dimensions only if they are sparse: below "
        f"density {share:.2g} by L1 minimisation; the toy model's own readout keeps {error:.1%} of the error at "
        f"{float(data['density'][sparsest]):g}",
    )
    return figure


def _draw_active(axes: "Axes", data: xr.Dataset) -> None:
    k, n, m = data["active"].values, data.attrs["n"], data.attrs["m"]
    fine = np.arange(1, m + 1)
    axes.plot(fine, [l1_success(int(j), m, n) for j in fine], color=COLOURS[0], lw=1.8, label="L1, random W, theory")
    for j, (colour, label) in enumerate(((COLOURS[0], "L1, random W"), (COLOURS[5], "L1, W of the toy model"))):
        share = data["recovered"].values[j]
        error = np.sqrt(np.maximum(share * (1 - share), 1e-12) / data.attrs["trials"])
        axes.errorbar(k, share, error, fmt="os"[j], color=colour, ms=5, capsize=2, label=label)
    axes.plot(k, data["nonnegative"], color=COLOURS[6], lw=1.8, ls="--", label="non-negativity alone, theory")
    axes.axvline(m, color="black", lw=0.8, ls=":")
    axes.text(m, 0.5, "k = m ", ha="right", fontsize=9)
    axes.set_xlabel("active features $k$")
    axes.set_ylabel("share of signals recovered")
    axes.set_ylim(-0.03, 1.03)
    axes.legend(frameon=False, fontsize=9, loc="upper right", bbox_to_anchor=(0.95, 1))
    axes.set_title(f"(a) n = {n}, m = {m}", fontsize=11, loc="left")


def _draw_density(axes: "Axes", data: xr.Dataset) -> None:
    p, n, m = data["density"].values, data.attrs["n"], data.attrs["m"]
    axes.axhline(1 - m / n, color="black", lw=1.4, label=f"best linear readout: 1 - m/n = {1 - m / n:g}")
    axes.plot(p, data["tegum"], color=COLOURS[2], lw=1.6, label="tegum products of small polytopes, theory")
    axes.plot(p, data["readout"], "D", color=COLOURS[2], ms=6, label="toy model, trained (exact loss)")
    for j, (colour, label) in enumerate(((COLOURS[0], "L1, random W"), (COLOURS[5], "L1, W of the toy model"))):
        axes.plot(p, np.maximum(data["l1_error"].values[j], 1e-4), "os"[j], color=colour, ms=6, label=label)
    axes.axvline(data.attrs["threshold"] / n, color=COLOURS[0], lw=1, ls=":")
    axes.text(data.attrs["threshold"] / n, 6, " threshold of L1", fontsize=8, color=COLOURS[0])
    axes.set(xscale="log", yscale="log", xlim=(1.4, 0.7 * p.min()), ylim=(8e-5, 20))
    axes.set_xlabel("density  $1-S$      (dense → sparse)")
    axes.set_ylabel("error (left-out feature = 1)")
    axes.legend(facecolor="white", framealpha=1, edgecolor="none", fontsize=8, loc="lower left")
    axes.set_title("(b) error, cut off at 1e-4", fontsize=11, loc="left")


def _draw_dimensions(axes: "Axes", data: xr.Dataset) -> None:
    n, m = data.attrs["n"], data["dimension"].values
    fine = np.unique(np.linspace(n // 20, 19 * n // 20, 25).astype(int))
    axes.plot(fine / n, [l1_threshold(int(j), n) / j for j in fine], color=COLOURS[0], lw=1.8, label="L1, theory")
    axes.plot(m / n, data["half_measured"] / m, "o", color=COLOURS[0], ms=7, label="L1, measured")
    x = np.linspace(0.5, 1, 50)
    axes.plot(x, 2 - 1 / x, color=COLOURS[6], lw=1.8, ls="--", label="non-negativity alone: 2 - n/m")
    axes.axhline(1, color="black", lw=0.8, ls=":")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.1)
    axes.set_xlabel("dimensions per feature $m/n$")
    axes.set_ylabel("active features per dimension $k/m$")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, 0.9))
    axes.set_title("(c) half of the signals recovered", fontsize=11, loc="left")


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
