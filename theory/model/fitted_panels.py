"""Fit a law's density by polynomials on panels (theory.model.panels).

Panels are halved until the last coefficients say nothing, at a singular end until its mass times its width does not.

Where values have no bound, those are cut off that hold a part of 1e-13 of E u^2: what is left is the law. Where that is
further away than some standard deviations the law is heavy (theory.model.heavy_panels), with panels that grow in
octaves until what follows holds 1e-11 of E u^2.
"""

import math
from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.model.panels import ORDERS, POINTS, TABLE_END, WEIGHTS, Panels

__all__ = ["fitted_panels", "polynomial_panels"]

# Degree of the polynomials; the coefficients beyond it tell the error.
_DEGREE = 23
# A panel is accepted when these, times its width, are below this part of all probability.
_ACCURACY, _DEEPEST = 1e-15, 60
# Halving does not help where a density's change with the last digit of u is of the size of what is missed.
_NOISE = 4.0
_MASS = 1e-8  # what densities may miss of probability 1
# What may be cut off of E u^2, up to which distance in standard deviations; and of heavy laws, in octaves of them.
_CUT, _NEAR = 1e-13, 60.0
_HEAVY_CUT, _MOST_OCTAVES, _LEFT_OUT = 1e-11, 320, 1e-7
# Values at the nodes to Legendre coefficients.
_NODES = len(POINTS)
_TO_LEGENDRE = (np.arange(_NODES)[:, None] + 0.5) * np.polynomial.legendre.legvander(POINTS, _NODES - 1).T * WEIGHTS


def fitted_panels(name: str, frozen: Any) -> Panels:
    """
    Fit a density.

    Parameters
    ----------
    name : str
        The law, for messages.
    frozen : scipy.stats frozen distribution
        Continuous, with a second moment.

    Returns
    -------
    Panels
        Its density as polynomials.

    Raises
    ------
    ValueError
        If the density is too rough, does not integrate to 1, or has too heavy a tail.
    """
    ends = _range(frozen)
    heavy = ends is None
    outer: list[float] = []
    neglected = 0.0
    if ends is None:
        outer, neglected = _octaves(name, frozen)
        ends = (outer[0], outer[-1])
    low, high = ends
    support = frozen.support()
    cut = tuple(
        float(part(end)) if sign * end < sign * edge else 0.0
        for part, end, edge, sign in ((frozen.cdf, low, support[0], -1), (frozen.sf, high, support[1], 1))
    )
    inner = frozen.ppf([0.001, 0.03, 0.2, 0.5, 0.8, 0.97, 0.999])
    edges = np.unique(np.concatenate([[low], inner[(inner > low) & (inner < high)], outer, [high]]))
    todo = [(a, b, 0) for a, b in pairwise(edges.tolist())]
    done: list[tuple[float, float, ndarray]] = []
    error, scale = 0.0, max(frozen.std(), 1e-300)
    while todo:
        a, b, depth = todo.pop()
        m, w = (a + b) / 2, (b - a) / 2
        with np.errstate(all="ignore"):
            density = frozen.pdf(m + w * POINTS)
            mass = float(frozen.cdf(b) - frozen.cdf(a))
        c = _TO_LEGENDRE @ np.where(np.isfinite(density), density, 0.0)
        far = max(1.0, (abs(m) + w) / scale) if heavy else 1.0  # what is far off counts by its square
        miss = 2 * w * float(np.abs(c[_DEGREE + 1 :]).max()) * far**2 if np.isfinite(density).all() else np.inf
        tiny = mass * w / scale * far < _ACCURACY
        unseen = mass > _MASS and 2 * w * c[0] < mass / 2  # all between the nodes, as next to the end of a density
        settled = miss < _ACCURACY * 10 and not unseen
        noisy = not settled and not tiny and miss < _NOISE * _rounded(frozen, m, w, density)
        if settled or tiny or noisy or depth >= _DEEPEST:
            if tiny and not settled:  # only its mass counts
                c, miss = np.zeros(_NODES), mass * w / scale * far
                c[0] = mass / (2 * w)
            elif noisy:  # the mass is known, and what is missed moves it within the panel
                c *= mass / (2 * w * c[0])
                miss *= min(1.0, TABLE_END * w / scale)
            done.append((a, b, c[: _DEGREE + 1]))
            error += miss
        else:
            todo += [(a, m, depth + 1), (m, b, depth + 1)]
    done.sort(key=lambda panel: panel[0])
    edges = np.array([panel[0] for panel in done] + [done[-1][1]])
    mass = math.fsum((b - a) * float(c[0]) for a, b, c in done)
    if min(cut) < -_MASS or abs(mass - 1) > _MASS:
        raise ValueError(
            f"the density of {name} integrates to {mass:.9g} instead of 1 between SciPy's quantiles: the two do not "
            "belong together; take other parameters"
        )
    if error > 1e-9:
        raise ValueError(f"the density of {name} is too rough: polynomials miss it by {error:.1e}")
    fitted = polynomial_panels(edges, np.array([panel[2] for panel in done]), (cut[0], cut[1]), error)
    if not heavy:
        return fitted
    from theory.model.heavy_panels import HeavyPanels

    return HeavyPanels(**{field.name: getattr(fitted, field.name) for field in fields(Panels)}, neglected=neglected)


def _rounded(frozen: Any, m: float, w: float, density: Float[ndarray, " nodes"]) -> float:
    """How much probability of a panel depends on the last digit of u, as next to a singularity away from 0."""
    with np.errstate(all="ignore"):
        change = 2 * w * float(np.abs(frozen.pdf(np.nextafter(m + w * POINTS, -np.inf)) - density).max())
    return change if math.isfinite(change) else 0.0


def polynomial_panels(
    edges: Float[ndarray, " ends"],
    c: Float[ndarray, "K terms"],
    cut: tuple[float, float] = (0.0, 0.0),
    error: float = 0.0,
) -> Panels:
    """
    Give the law whose density is polynomials.

    Parameters
    ----------
    edges : ndarray, shape (K + 1,)
        Ends of the panels.
    c : ndarray, shape (K, degree + 1)
        Legendre coefficients of the density, up to a factor that makes the total probability 1.
    cut : (float, float)
        Probability below and above, which is left out.
    error : float
        About what the polynomials miss of the probability.

    Returns
    -------
    Panels
        With the coefficients of powers of u times the density.
    """
    m, w = (edges[1:] + edges[:-1])[:, None] / 2, np.diff(edges)[:, None] / 2
    nodes = m + w * POINTS
    density = c @ np.polynomial.legendre.legvander(POINTS, c.shape[1] - 1).T
    density /= (w * WEIGHTS * density).sum()
    coefficients = []
    for _ in range(ORDERS):
        with np.errstate(over="ignore", invalid="ignore"):  # powers that heavy laws do not use
            coefficients.append(density @ _TO_LEGENDRE.T)
            density = nodes * density
    weights = w * WEIGHTS * (coefficients[0] @ np.polynomial.legendre.legvander(POINTS, _NODES - 1).T)
    return Panels(edges, np.array(coefficients), nodes, weights, cut, error)


def _range(frozen: Any) -> tuple[float, float] | None:
    """Where the law is cut off; None if that is too far away."""
    from scipy.integrate import quad

    low, high = (float(end) for end in frozen.support())
    square, scale = float(frozen.var() + frozen.mean() ** 2), float(frozen.std())

    def second(u: float) -> float:
        return float(u * u * frozen.pdf(u))

    def far(sign: int) -> float:
        """The nearest of a few distances beyond which a negligible part of E u^2 lies; infinite if too far."""
        for distance in 2.0 ** np.arange(2, np.log2(_NEAR), 0.5):
            place = float(frozen.mean()) + sign * distance * scale
            shares = frozen.sf(place) if sign > 0 else frozen.cdf(place)
            if not (low < place < high) or shares * place**2 > _CUT * square:
                continue
            ends = (place, high) if sign > 0 else (low, place)
            # A full output has no warnings: what a bad integral would let through, the mass of the panels refuses.
            if quad(second, ends[0], ends[1], limit=200, full_output=1)[0] <= _CUT * square:
                return distance * scale
        return math.inf

    ends = []
    for end, sign in ((low, -1), (high, 1)):
        if math.isfinite(end):
            ends.append(end)
            continue
        distance = far(sign)
        if not math.isfinite(distance):
            return None
        ends.append(float(frozen.mean()) + sign * distance)
    return ends[0], ends[1]


def _octaves(name: str, frozen: Any) -> tuple[list[float], float]:
    """Ends of octaves of distance from the mean until those that follow hold little of E u^2; and what they hold."""
    low, high = (float(end) for end in frozen.support())
    mean, scale = float(frozen.mean()), float(frozen.std())
    square = scale**2 + mean**2
    edges, neglected = [end for end in (low, high) if math.isfinite(end)], 0.0
    for end, sign in ((low, -1), (high, 1)):
        if math.isfinite(end):
            continue
        parts: list[float] = []
        distance, left = 2.0 * scale, math.inf
        for _ in range(_MOST_OCTAVES):
            u = mean + sign * distance * (1.5 + 0.5 * POINTS)
            with np.errstate(all="ignore"):
                parts.append(float((0.5 * distance * WEIGHTS * np.nan_to_num(frozen.pdf(u)) * u**2).sum()) / square)
            edges += [mean + sign * distance, mean + sign * 2 * distance]
            distance *= 2
            if len(parts) > 4:
                fall = (parts[-1] / max(parts[-5], 1e-300)) ** 0.25
                left = parts[-1] * fall / (1 - fall) if fall < 1 else math.inf
            if left < _HEAVY_CUT:
                break
        if not left < _LEFT_OUT:
            raise ValueError(
                f"{name} values have too heavy a tail: more than {_LEFT_OUT:g} of E u^2 lies beyond "
                f"{distance / scale:.0e} standard deviations; truncate the law"
            )
        neglected += left * square
    inside = [edge for edge in edges if low <= edge <= high]
    return sorted(set(inside)), neglected
