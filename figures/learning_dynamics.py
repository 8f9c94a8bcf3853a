"""Learning dynamics of two correlated sets
========================================

Claim 17: the loss passes through distinct regimes that match geometric changes of the weights, and two sets of three
correlated features end in a triangular antiprism: an octahedron, its antipodal pairs of features from different sets
(n = 6, m = 3). The slides give neither a density nor a way to start. Drawn is density 0.05 of a set, small weights;
panel (d) shows what hangs on it.

(a) The exact loss of models on the way, in units of the zero model's. Lines are exact stationary points of the loss,
    known in closed form with right angles between the parts: u = p/3 - p^2/4 for a feature left out; p/6 for a set
    collapsed to one direction of its own, (a + b + c)/sqrt 3; p (1-p)/3 + 601 p^2/420 for two sets collapsed to
    opposite vectors; p/12 for a pair collapsed to one direction; and d for an optimal digon across the sets, whose
    features are independent. The regular octahedron is 3 d. Where the parts gain a little by turning away from right
    angles, the line is at the stationary point itself.
(b) Eigenvalues of W W^T: 1 along a collapsed set or pair, 2 along a digon. Each regime of the loss is one of these
    triples. The dimensionalities D_i tell less: they are 1/2 for collapsed pairs, and for the octahedron. Shaded are
    rests: at least 3 % of the steps, in which the loss falls at less than half its average rate.
(c) The trajectories of the weights, from the side and from above.
(d) Exact minima against density in units of 3 d, the regular octahedron: where the octahedron is the optimum, and in
    which share of runs gradient descent ends there.
"""

from figures.shared.script import Settings, main

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy.optimize import brentq

from figures.parts.learning_panels import draw
from figures.parts.learning_rests import DRAWN, GEOMETRY, NEAR, counts, course_from, stages_of_rests
from figures.shared.training import PAPER_RECIPE
from figures.shared.verdicts import PAPER, Finding, Verdict, weighed
from numerics import train
from numerics.agreement.references import exact_losses, nearest_minima
from numerics.training.regimes import coincidence
from theory import dimensionality, recognise
from theory.curvature.newton import solve_stationary
from theory.optimum.local_minima import random_starts, refine
from theory.packing.two_sets import STAGES, angles, ideal_stages, is_octahedron, two_sets
from theory.tools.threads import one_blas_thread

if TYPE_CHECKING:
    from numpy import ndarray

# What the slides state: "several" regimes; antipodal partners lie half a turn apart.
STATED_REGIMES, STATED_ANGLE = 3, 180.0
# Where learning may start, and the prefix of its variables.
STARTS = {"from small weights": "", "from Xavier's weights": "xavier_", PAPER: "paper_"}
# Its angles may be off by so many degrees.
_DEGREES = 10.0
# Coarse forms of solutions that are the best beyond the octahedron: starts beside the random ones.
_KNOWN = np.array(
    [
        [[-0.5, -0.8, -0.5, 0.8, 0.5, 0.5], [0.6, -0.5, 0.6, -0.5, 0.6, 0.6], [-0.7, 0.0, 0.7, 0.0, 0.7, -0.7]],
        [[0.0, 0.6, -0.6, 0.0, 0.6, -0.6], [0.4, 0.5, 0.5, -0.4, -0.5, -0.5], [0.4, 0.4, 0.4, 0.4, 0.4, 0.4]],
    ]
)


def compute(settings: Settings) -> xr.Dataset:
    """The levels, the course of training, where it ends, and the exact minima against density."""
    with one_blas_thread():
        courses = [_course(settings), _course(settings, "xavier"), _course(settings, "paper")]
        data = xr.merge([_levels(), *courses, _minima(settings), _ends(settings)])
    data.attrs["summary"] = "\n".join(_summary(data))
    return data


def _levels() -> xr.Dataset:
    """Loss and eigenvalues of W W^T at the stationary points nearest to the ideal ones; the last is a minimum."""
    here, ideal = two_sets(DRAWN), ideal_stages(DRAWN)
    points = [solve_stationary(W, b, here, iterations=15) for W, b, _ in ideal.values()]
    W, b = (np.array([getattr(point, name) for point in points]) for name in ("W", "b"))
    W[-1:], b[-1:] = _octahedral(DRAWN)
    loss = exact_losses(here, W, b)
    return xr.Dataset(
        {
            "level_loss": ("level", loss / (2 * DRAWN)),
            "level_ideal": ("level", np.array([loss for _, _, loss in ideal.values()]) / (2 * DRAWN)),
            "level_eigenvalues": (("level", "direction"), _eigenvalues(W)),
            "octahedron": (("dimension", "feature"), W[-1]),
        },
        coords={"level": list(STAGES)},
    )


def _eigenvalues(W: "ndarray") -> "ndarray":
    """Of W W^T, ascending: how much is stored along each hidden direction."""
    return np.asarray(np.linalg.eigvalsh(W @ W.swapaxes(-1, -2)))


def _octahedral(density: float, W: "ndarray | None" = None) -> "tuple[ndarray, ndarray]":
    """The minimum nearest to the octahedron, as batches of one: slightly turned, because that saves a little."""
    start, b, _ = ideal_stages(density)["octahedron"]
    # Off the regular octahedron, which is a saddle point at low density.
    W = start[None] + 0.02 * np.random.default_rng(0).standard_normal((1, 3, 6)) if W is None else W
    found = refine(two_sets(density).repeated(1), W, b[None], tolerance=1e-7)
    return found.W, found.b


def _course(settings: Settings, start: str = "small") -> xr.Dataset:
    """Training at a constant rate from small or from Xavier's weights: weights and exact loss at many steps."""
    runs, rate, every = (3, 3e-3, 20) if settings.quick else (16, 1e-3, 20)
    recipe: dict[str, Any] = {"steps": 2000 if settings.quick else 6000, "learning_rate": rate, "schedule": "constant"}
    if start == "paper":
        runs, recipe = runs // 2 + 1, dict(PAPER_RECIPE)
    snapshots = range(0, recipe["steps"] + 1, every)
    learned = train(two_sets(DRAWN), runs, init="small" if start == "small" else "xavier", seed=settings.seed,
                    snapshots=snapshots, progress=False, **recipe)  # fmt: skip
    W, b = (learned[name].values.astype(float).swapaxes(0, 1) for name in ("W_curve", "b_curve"))
    loss = exact_losses(two_sets(DRAWN), W.reshape(-1, 3, 6), b.reshape(-1, 6)).reshape(W.shape[:2])
    prefix = "" if start == "small" else f"{start}_"
    run, step = f"{prefix}run", f"{prefix}step"
    return xr.Dataset(
        {
            f"{prefix}loss": ((run, step), loss / (2 * DRAWN)),
            f"{prefix}W": ((run, step, "dimension", "feature"), W),
            f"{prefix}eigenvalues": ((run, step, "direction"), _eigenvalues(W)),
            f"{prefix}dimensionality": ((run, step, "feature"), dimensionality(W)),
        },
        coords={step: np.array(snapshots)},
    )


def _minima(settings: Settings) -> xr.Dataset:
    """The octahedral minimum and the best other one against density, and where they cross."""
    density = np.array([DRAWN, 0.2]) if settings.quick else np.array([*np.geomspace(0.01, 0.5, 13), DRAWN])
    density.sort()
    rows = [_at_density(float(p), 0 if settings.quick else 12, settings.seed) for p in density]
    crossing, W = _crossing(rows, density)
    return xr.Dataset(
        {
            "octahedral_loss": ("density", [row[0] for row in rows]),
            "other_loss": ("density", [row[1] for row in rows]),
            "other_name": ("density", [recognise(row[2]).name for row in rows]),
            "ideal_octahedron": ("density", [ideal_stages(p)["octahedron"][2] for p in density]),
            "crossing": crossing,
            "other_at_crossing": (("dimension", "feature"), W),
        },
        coords={"density": density},
    )


def _at_density(p: float, starts: int, seed: int) -> "tuple[float, float, ndarray]":
    """Loss of the octahedral minimum (NaN if there is none), of the best other one, and the latter's W."""
    octahedron, bias, _ = ideal_stages(p)["octahedron"]
    # A feature left behind with a negative bias stays so: the minimum in which gradient descent is trapped.
    trapped, silent = octahedron.copy(), bias.copy()
    trapped[:, 0], silent[0] = 0.1 * octahedron[:, 0], -0.3
    W, b = random_starts(two_sets(p), starts, np.random.default_rng(seed))
    W, b = np.concatenate([_octahedral(p)[0], trapped[None], _KNOWN, W]), np.concatenate([np.zeros((4, 6)), b])
    b[1] = silent
    W[1:] += 0.02 * np.random.default_rng(seed).standard_normal(W[1:].shape)  # off saddle points
    found = refine(two_sets(p).repeated(len(W)), W, b, tolerance=1e-6)
    octahedral = np.array([is_octahedron(w) for w in found.W])
    own = float(np.min(found.loss[octahedral], initial=np.inf))
    best = np.flatnonzero(~octahedral)[found.loss[~octahedral].argmin()]
    return own if np.isfinite(own) else np.nan, float(found.loss[best]), found.W[best]


def _crossing(rows: "list[tuple[float, float, ndarray]]", density: "ndarray") -> "tuple[float, ndarray]":
    """Density at which another minimum is as good as the octahedral one, and that minimum there."""
    after = int(np.argmax([not own < other for own, other, _ in rows]))
    other, own = rows[after][2][None], _octahedral(float(density[after - 1]))[0]

    def both(p: float) -> "tuple[ndarray, ndarray]":
        found = refine(two_sets(p).repeated(2), np.concatenate([own, other]), np.zeros((2, 6)), tolerance=1e-6)
        return found.loss / p, found.W

    def excess(p: float) -> float:
        losses, _ = both(p)
        return float(losses[0] - losses[1])

    crossing = float(brentq(excess, 0.97 * density[after - 1], density[after], xtol=1e-5))
    return crossing, both(crossing)[1][1]


def _ends(settings: Settings) -> xr.Dataset:
    """Shares of runs whose nearest exact minimum is the octahedron, by initial weights and density."""
    densities = [DRAWN] if settings.quick else [0.02, DRAWN, 0.1, 0.2]
    runs, steps = (4, 500) if settings.quick else (64, 3000)
    share, loss = np.zeros((2, len(densities))), np.zeros((2, len(densities), runs))
    for j, init in enumerate(("small", "xavier")):
        for k, p in enumerate(densities):
            learned = train(two_sets(p), runs, steps=steps, learning_rate=1e-2, init=init, seed=settings.seed,
                            workers=settings.workers, snapshots=(), progress=False)  # fmt: skip
            W, b = learned["W"].values.astype(float), learned["b"].values.astype(float)
            minima = nearest_minima(two_sets(p).repeated(runs), W, b)
            share[j, k] = np.mean([is_octahedron(w) for w in minima.W])
            loss[j, k] = exact_losses(two_sets(p), W, b)
    return xr.Dataset(
        {"share": (("init", "trained_density"), share), "run_loss": (("init", "trained_density", "instance"), loss)},
        coords={"init": ["small", "xavier"], "trained_density": densities},
    )


def _summary(data: xr.Dataset) -> list[str]:
    """Levels, rests, coincidence, ends and the crossing."""
    at, (together, apart) = stages_of_rests(data), coincidence(data["loss"].values, data["W"].values)
    lines = [
        f"{name}: loss {float(level['level_loss']):.6f} (closed form {float(level['level_ideal']):.6f}), eigenvalues "
        f"{np.round(level['level_eigenvalues'].values, 3)}; rests there: {int((at == k).sum())} of {len(at)}"
        for k, name in enumerate(STAGES)
        for level in [data.isel(level=k)]
    ]
    partners, others = angles(data["octahedron"].values)
    lines += [
        f"rests of a run: {counts(data).tolist()}",
        f"falls of the loss and changes of the couplings: median rank correlation {np.median(together):.3f} (lowest "
        f"{together.min():.3f}), shifted in time at most {apart.max():.3f}",
        f"octahedron at density {DRAWN:g}: partners at least {partners:.2f} degrees apart, other angles within "
        f"{others:.2f} degrees of a right angle",
        f"the octahedron is the optimum up to density {float(data['crossing']):.6f}; there "
        f"{recognise(data['other_at_crossing'].values).name} takes over",
    ]
    for init in data["init"].values:
        shares = data["share"].sel(init=init).values
        lines.append(
            f"runs from {init} weights that end in the octahedron: "
            + ", ".join(f"{x:.0%} at {p:g}" for p, x in zip(data["trained_density"].values, shares, strict=True))
        )
    return lines


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claim 17: regimes, whether they match the geometry, and where training ends."""
    why = (
        "Descent from small weights goes from one saddle point of the exact loss to the next: first a set is stored by "
        "its sum, its principal component, then its features come apart as hidden directions become free. Partners "
        "come from different sets because these are independent, so that a pair costs no more than a digon."
    )
    return [Verdict(17, (*_findings_on_regimes(data), *_findings_on_ends(data)), why)]


def _findings_on_regimes(data: xr.Dataset) -> tuple[Finding, ...]:
    """Are there regimes, and are they geometries? From small weights, Xavier's, and by the paper's recipe."""

    def several(start: str) -> tuple[str, bool]:
        count = float(np.median(counts(course_from(data, start))))
        return f"{2 * count:g} in the median run: {count:g} falls with a rest after each", 2 * count >= STATED_REGIMES

    def geometries(start: str) -> tuple[str, bool]:
        at = stages_of_rests(course_from(data, start))
        if not len(at):
            return "no rests", False
        told = (
            f"{(at >= 0).mean():.0%} of {len(at)} rests have the loss and the eigenvalues of W W^T of an exact "
            f"stationary point (to {NEAR:.0%} and {GEOMETRY:g})"
        )
        return told, bool((at >= 0).mean() > 0.5)

    def together(start: str) -> tuple[str, bool]:
        course = course_from(data, start)
        at_once, apart = coincidence(course["loss"].values, course["W"].values)
        told = (
            f"falls of the loss and changes of the couplings: median rank correlation {np.median(at_once):.2f}; if "
            f"they are shifted in time, at most {apart.max():.2f} in any run"
        )
        return told, bool((at_once > apart).all())

    small = next(iter(STARTS))
    return (
        weighed(f"the loss passes through several regimes: at least {STATED_REGIMES}", several, STARTS, small),
        weighed("the regimes correspond to geometries", geometries, STARTS, small),
        weighed("regimes change when the geometry does", together, STARTS, small),
    )


def _findings_on_ends(data: xr.Dataset) -> tuple[Finding, ...]:
    """Is the end an octahedron, and at which densities?"""
    partners, others = angles(data["octahedron"].values)
    drawn = data.sel(density=DRAWN, method="nearest")
    best = bool(drawn["octahedral_loss"] < drawn["other_loss"])
    below = data["share"].values[:, data["trained_density"].values < float(data["crossing"])]
    return (
        Finding(
            f"the solution is an octahedron, partners from different sets and {STATED_ANGLE:g} degrees apart",
            f"the optimum at density {DRAWN:g} is{'' if best else ' not'} one: partners {partners:.1f} degrees apart, "
            f"other angles within {others:.1f} degrees of a right angle",
            best and abs(partners - STATED_ANGLE) < _DEGREES and others < _DEGREES,
        ),
        Finding(
            "models end there",
            f"{below.min():.0%} to {below.max():.0%} of the runs where it is the optimum, by density and start",
            bool(below.min() > 0.5),
        ),
        Finding(
            "no density is given",
            f"the octahedron is the optimum up to density {float(data['crossing']):.4f}, and not beyond",
            None,
        ),
    )


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
