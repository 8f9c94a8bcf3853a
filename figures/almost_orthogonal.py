"""Almost orthogonal directions against dimension
==============================================

How many unit vectors fit into d dimensions if all pairwise angles are to lie between 90 - a and 90 + a degrees, so that
no cosine exceeds eps = sin a in size (claim 19, with a = 1 degree; also for a = 30, 15 and 5).

(a) Vectors per dimension between guaranteed lower bounds and upper bounds (shaded), and sets that were constructed and
    measured: random greedy ones, root systems, quadratic phases.
(b) 89 to 91 degrees. Up to d = 1/eps^2 = 3283 Welch's bound leaves room for little more than d vectors; then there are
    at once about d^2/2.
(c) 89 to 91 degrees: the growth ln N / d. An exponential has a constant one; it takes over at millions of dimensions.

The lower bounds are greedy covering by random directions, ``N >= 1/P(|u . v| > eps)``, of which the
Johnson-Lindenstrauss lemma is a weaker form, exp(d eps^2/4); phases of polynomials over prime fields; and Kerdock sets.
The upper bounds are Welch's, with all tensor powers, and Rankin's. All are derived in ``theory.frames.directions``.
"""

from figures.shared.script import COLOURS, Settings, headline, main, new_figure

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.optimize import brentq

from figures.shared.verdicts import Finding, Verdict
from theory import coherence
from theory.frames.directions import largest_cosine, log_covering, log_explicit, log_guaranteed, log_upper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

# Half the width of the interval of angles, in degrees; the first is the documents'.
ANGLES = (1, 5, 15, 30)
# Growth per dimension that "exponentially" promises at least, and the dimension from which on it is promised.
STATED_GROWTH = 0.0
STATED_FROM = 1
GREEDY = {15: (4, 8, 16, 24, 32, 48, 64, 80, 96, 112), 30: (3, 4, 6, 8, 12, 16, 20, 24, 28, 32)}
# The smallest primes p > 1/eps^2: quadratic phases are almost orthogonal from 2p dimensions on.
PRIMES = {1: 3299, 5: 137, 15: 17, 30: 5}
WIDTHS = (768, 4096, 12288)


def greedy_set(d: int, eps: float, candidates: int, rng: np.random.Generator) -> "ndarray":
    """
    Keep every random direction that is almost orthogonal to all those kept before.

    Parameters
    ----------
    d : int
        Dimension.
    eps : float
        Largest |cosine|.
    candidates : int
        Number of directions to try.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (d, vectors)
        The set.
    """
    kept = np.empty((0, d))
    for _ in range(candidates // 500):
        u = rng.standard_normal((500, d))
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        u = u[(np.abs(u @ kept.T) <= eps).all(1)] if len(kept) else u
        clash = np.abs(u @ u.T) > eps
        chosen: list[int] = []
        for i in range(len(u)):
            if not clash[i, chosen].any():
                chosen.append(i)
        kept = np.vstack([kept, u[chosen]])
    return kept.T


def phase_coherence(p: int) -> float:
    """
    Measure the largest |cosine| between quadratic phases and their multiples by i.

    Parameters
    ----------
    p : int
        An odd prime.

    Returns
    -------
    float
        Of all 2 p^2 vectors in 2p dimensions. Inner products depend on the difference of two polynomials only, and
        those with a x^2 + b x for all b are one Fourier transform.
    """
    x = np.arange(p)
    largest = 0.0
    for a in range(p):
        products = np.fft.fft(np.exp(2j * np.pi * (a * x * x % p) / p)) / p
        if a == 0:
            products[0] = 0  # a vector with itself, and with its multiple by i, to which it is orthogonal
        largest = max(largest, float(np.abs(products.real).max()), float(np.abs(products.imag).max()))
    return largest


def root_systems() -> dict[int, "ndarray"]:
    """
    Give the lines of the root systems D4, E6, E7 and E8, 60 or 90 degrees apart.

    Returns
    -------
    dict from int to ndarray, shape (8, lines)
        By the dimension that they span.
    """
    pairs = [np.eye(8)[i] + s * np.eye(8)[j] for i in range(8) for j in range(i) for s in (1, -1)]
    halves = [np.array(s) / 2 for s in product((1, -1), repeat=8) if s[0] == 1 and np.prod(s) == 1]
    e8 = np.array(pairs + halves)
    e7 = e8[np.abs(e8 @ e8[-1]) < 1e-9]
    partner = e8[np.flatnonzero(np.abs(e8 @ e8[-1]) == 1)[0]]
    e6 = e7[np.abs(e7 @ partner) < 1e-9]
    d4 = np.array([v for v in pairs if not v[4:].any()])
    return {4: d4.T, 6: e6.T, 7: e7.T, 8: e8.T}


def compute(settings: Settings) -> xr.Dataset:
    """Bounds over dimensions, measured sets, and the dimensions where the bounds for 1 degree pass landmarks."""
    points = 30 if settings.quick else 160
    d = np.unique(np.geomspace(3, 1e7, points).round())
    bounds = {
        name: (("angle", "dimension"), [[bound(x, largest_cosine(a)) for x in d] for a in ANGLES])
        for name, bound in (("guaranteed", log_guaranteed), ("covering", log_covering), ("upper", log_upper))
    }
    data = xr.Dataset(bounds, coords={"angle": list(ANGLES), "dimension": d}).merge(_measured(settings))
    data.attrs.update(_landmarks(largest_cosine(ANGLES[0])))
    data.attrs["summary"] = _summary(data)
    return data


def _measured(settings: Settings) -> xr.Dataset:
    """Construct sets and measure their coherence."""
    candidates = 3000 if settings.quick else 40_000
    rng = np.random.default_rng([settings.seed, 19])
    rows: list[tuple[str, int, int, int, float]] = []
    for angle, dimensions in GREEDY.items():
        for d in dimensions[: 6 if settings.quick else None]:
            V = greedy_set(d, largest_cosine(angle), candidates, rng)
            rows.append(("greedy", angle, d, V.shape[1], float(coherence(V))))
    for d, V in root_systems().items():
        rows.append(("roots", 30, d, V.shape[1], float(coherence(V))))
    for angle, p in PRIMES.items():
        rows.append(("phases", angle, 2 * p, 2 * p * p, phase_coherence(p)))
    names = ("kind", "set_angle", "set_dimension", "vectors", "coherence")
    return xr.Dataset(
        {name: ("set", list(column)) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    )


def _landmarks(eps: float) -> dict[str, float]:
    """Where the bounds pass twice the dimension, where an exponential takes over, and growth rates."""
    covering = brentq(lambda t: log_covering(np.exp(t), eps) - np.log(2) - t, np.log(3e4), np.log(1e6))
    d = np.geomspace(1e5, 1e7, 300)
    polynomial = d[[log_explicit(x, eps) > log_covering(x, eps) for x in d]]
    growth = {
        name: (bound(1e7, eps) - bound(5e6, eps)) / 5e6
        for name, bound in (("growth_guaranteed", log_guaranteed), ("growth_upper", log_upper))
    }
    return {
        "eps": eps,
        "welch_singular": eps**-2,
        "twice_possible": (1 + eps**2) / (2 * eps**2),  # Welch's bound is 2d there
        "twice_guaranteed": 4.0 ** np.ceil(-np.log2(eps)),  # the first Kerdock set
        "twice_by_covering": float(np.exp(covering)),
        "polynomials_until": float(polynomial.max()),
        "welch_at_1000": float(np.exp(log_upper(1000, eps))),
        **growth,
    }


def _summary(data: xr.Dataset) -> str:
    lines = [
        "89 to 91 degrees: Welch's bound at d = 1000 {welch_at_1000:.1f}, twice d possible from {twice_possible:.1f}, "
        "no bound by Welch's first from {welch_singular:.1f}; twice d guaranteed from {twice_guaranteed:.0f} by a "
        "Kerdock set, from {twice_by_covering:.0f} by covering, which beats polynomials from {polynomials_until:.2g}; "
        "ln N grows per dimension by {growth_guaranteed:.4g} at least, {growth_upper:.4g} at most".format(**data.attrs)
    ]
    for kind in ("greedy", "roots", "phases"):
        of_kind = data["kind"].values == kind
        names = ("set_angle", "set_dimension", "vectors", "coherence")
        rows = zip(*(data[name].values[of_kind].tolist() for name in names), strict=True)
        lines.append(
            f"{kind}: " + ", ".join(f"{n} in d = {d} (+-{a} degrees, |cos| <= {c:.4f})" for a, d, n, c in rows)
        )
    return "\n".join(lines)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claim 19: the growth is exponential, but not in the dimensions that networks have."""
    at = data.attrs
    first = (data["kind"].values == "phases") & (data["set_angle"].values == ANGLES[0])
    n, d, c = (float(data[name].values[first][0]) for name in ("vectors", "set_dimension", "coherence"))
    findings = (
        Finding(f"the number grows exponentially with the dimension, ln N by more than {STATED_GROWTH:g} per dimension",
                f"between {at['growth_guaranteed']:.3g} and {at['growth_upper']:.3g} per dimension at ten million "
                f"dimensions: twice as many for every {np.log(2) / at['growth_guaranteed']:.0f} more, at the least",
                bool(at["growth_guaranteed"] > STATED_GROWTH)),
        Finding(f"from dimension {STATED_FROM} on",
                f"no: at d = 1000 at most {at['welch_at_1000']:.0f}, not 2d below d = {at['twice_possible']:.0f}; more "
                f"than 2d are guaranteed from d = {at['twice_guaranteed']:.0f}, by random directions from "
                f"{at['twice_by_covering']:.0f}; an exponential beats the polynomials d^k from about "
                f"{at['polynomials_until']:.1g}",
                bool(at["twice_guaranteed"] <= STATED_FROM)),
        Finding("many more directions than dimensions", f"{n:.0f} measured in d = {d:.0f}, none further than "
                f"{np.degrees(np.arcsin(c)):.4f} degrees from a right angle", bool(n > 2 * d and c <= at["eps"])),
    )  # fmt: skip
    why = (
        "Random directions have cosines of size 1/sqrt(d). While that is above eps = 0.0175, until d = 3283, nothing "
        "but an almost orthonormal basis fits (Welch); beyond, the caps that directions forbid each other shrink like "
        "exp(-d eps^2/2), an exponential with a rate of 1/6566."
    )
    return [Verdict(19, findings, why)]


def draw(data: xr.Dataset) -> "Figure":
    """All angles, then 89 to 91 degrees: per dimension, and growth."""
    figure = new_figure(14.0, 5.2)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
    _draw_angles(left, data)
    _draw_one_degree(middle, data)
    _draw_growth(right, data)
    angle = ANGLES[0]
    d, guaranteed = data["dimension"].values, data["guaranteed"].sel(angle=angle).values
    most = f"{d[-1]:,.0f}".replace(",", " ")
    headline(
        figure,
        f"Almost orthogonal directions grow exponentially with the dimension, but slowly: between {90 - angle}° and "
        f"{90 + angle}° at least e^{guaranteed[-1]:.0f} fit into {most} dimensions, a rate of "
        f"{guaranteed[-1] / d[-1]:.5f} per dimension",
    )
    return figure


def _draw_angles(axes: "Axes", data: xr.Dataset) -> None:
    d = data["dimension"].values
    colours = dict(zip(ANGLES, (COLOURS[5], COLOURS[1], COLOURS[2], COLOURS[0]), strict=True))
    for angle, colour in colours.items():
        low, high = (np.exp(np.minimum(data[name].sel(angle=angle).values, 60)) / d for name in ("guaranteed", "upper"))
        axes.fill_between(d, low, high, color=colour, alpha=0.13, lw=0)
        axes.plot(d, low, color=colour, lw=1.8, label=f"{90 - angle}° to {90 + angle}°")
        axes.plot(d, high, color=colour, lw=1, ls="--")
    for kind, marker in (("greedy", "o"), ("roots", "D"), ("phases", "*")):
        for angle, colour in colours.items():
            chosen = (data["kind"].values == kind) & (data["set_angle"].values == angle)
            x, y = data["set_dimension"].values[chosen], data["vectors"].values[chosen]
            axes.plot(x, y / x, marker, color=colour, ms=11 if marker == "*" else 5, mec="black", mew=0.5)
    for marker, name in (("o", "greedy, measured"), ("D", "root systems"), ("*", "quadratic phases")):
        axes.plot([], [], marker, color="white", mec="black", label=name, ms=9 if marker == "*" else 5)
    axes.set(xscale="log", yscale="log", xlim=(3, 3e4), ylim=(1e-3, 1e9))
    axes.set_yticks([1e0, 1e2, 1e4, 1e6, 1e8])  # below is room for the legend
    axes.minorticks_off()
    axes.set_xlabel("dimension $d$")
    axes.set_ylabel("vectors per dimension $N/d$")
    axes.legend(frameon=False, fontsize=8, loc="lower left", ncol=2)
    axes.set_title("(a) guaranteed (solid) to upper bound (dashed)", fontsize=10, loc="left")


def _draw_one_degree(axes: "Axes", data: xr.Dataset) -> None:
    eps = largest_cosine(ANGLES[0])
    d = np.unique(
        np.concatenate(
            [
                np.geomspace(100, 3e5, 250),
                np.linspace(3e3, 3e5, 150),
                [4095.9, 4096.0, data.attrs["welch_singular"] - 0.1],
            ]
        )
    )
    for name, bound, colour, style in (
        ("upper bound", log_upper, COLOURS[5], "--"),
        ("guaranteed: explicit", log_explicit, COLOURS[0], "-"),
        ("guaranteed: covering", log_covering, COLOURS[2], "-"),
    ):
        axes.plot(d, np.exp(np.minimum([bound(x, eps) for x in d], 60)) / d, style, color=colour, lw=1.8, label=name)
    axes.plot(d, np.exp(np.minimum(d * eps**2 / 4, 60)) / d, color=COLOURS[6], lw=1.2, ls=":")
    axes.text(0.98, 0.03, "dotted: Johnson-Lindenstrauss $e^{dε^2/4}$", transform=axes.transAxes, ha="right",
              fontsize=8, color="0.35")  # fmt: skip
    axes.axvspan(min(WIDTHS), max(WIDTHS), color="0.88", lw=0, zorder=0)
    axes.plot(d, np.ones_like(d), color="black", lw=0.8)
    axes.set(yscale="log", xlim=(0, 3e5), ylim=(0.004, 1e16))
    axes.set_xticks([0, 1e5, 2e5, 3e5], ["0", "100 000", "200 000", "300 000"])
    axes.set_xlabel(f"dimension $d$  (grey: widths of transformers, {min(WIDTHS)} to {max(WIDTHS)})")
    axes.set_ylabel("vectors per dimension $N/d$")
    # Between the two guaranteed bounds, where no line runs.
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0.35, 1.0), handlelength=1.4)
    axes.set_title("(b) 89° to 91°: straight lines are exponential", fontsize=10, loc="left")


def _draw_growth(axes: "Axes", data: xr.Dataset) -> None:
    cell = data.sel(angle=ANGLES[0])
    d = data["dimension"].values
    eps = largest_cosine(ANGLES[0])
    for name, colour, style in (("upper", COLOURS[5], "--"), ("guaranteed", COLOURS[0], "-")):
        axes.plot(d, cell[name] / d, style, color=colour, lw=1.8, label=f"{name} bound" if name == "upper" else name)
    axes.plot(d, np.maximum(cell["covering"], 1e-12) / d, color=COLOURS[2], lw=1.4, label="covering")
    axes.axhline(-0.5 * np.log1p(-(eps**2)), color=COLOURS[2], lw=1, ls=":", label="$-½\\ln(1-ε^2)$ = 1/6565")
    axes.plot(d, np.log(d) / d, color=COLOURS[6], lw=1.2, label="orthonormal basis: $\\ln(d)/d$")
    axes.set(xscale="log", yscale="log", xlim=(100, 1e7), ylim=(1e-6, 0.1))
    axes.set_xlabel("dimension $d$")
    axes.set_ylabel("growth $\\ln N/d$")
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    axes.set_title("(c) 89° to 91°: exponential if constant", fontsize=10, loc="left")


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
