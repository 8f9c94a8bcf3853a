"""A density as polynomials on panels, to rounding.

On a panel of centre m and half width w, with P_l the Legendre polynomials, a density sum_l c_l P_l((u - m) / w) has the
transform w exp(iam) sum_l 2 i^l c_l j_l(aw), at any frequency. Panels are halved until the last coefficients say
nothing, at a singular end until its mass times its width does not. Moments and partial moments are integrals of the
same polynomials.

Where values have no bound, those are cut off that hold a part of 1e-13 of E u^2: what is left is the law. Where that is
further away than some standard deviations the law is heavy (theory.model.heavy_panels), with panels that grow in
octaves until what follows holds 1e-11 of E u^2.
"""

import math
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Int
from numpy import ndarray

__all__ = ["TABLE_ERROR", "Panels", "fitted_panels", "oscillating"]

# Degree of the polynomials, and nodes per panel; the coefficients beyond the degree tell the error.
_DEGREE, _NODES = 23, 32
# A panel is accepted when these, times its width, are below this part of all probability.
_ACCURACY, _DEEPEST = 1e-15, 60
# Halving does not help where a density's change with the last digit of u is of the size of what is missed.
_NOISE = 4.0
_MASS = 1e-8  # what densities may miss of probability 1
# Arguments aw up to which nodes are summed instead of Bessel functions, whose upward recursion needs aw > degree.
_SLOW = 26.0
# What may be cut off of E u^2, up to which distance in standard deviations; and of heavy laws, in octaves of them.
_CUT, _NEAR = 1e-13, 60.0
_HEAVY_CUT, _MOST_OCTAVES, _LEFT_OUT = 1e-11, 320, 1e-7
# The transform is tabulated up to this frequency times the standard deviation, for interpolation from the values and
# three derivatives at both ends of a cell, whose error is below E u^8 step^8 / (8! 2^8).
_TABLE_END, TABLE_ERROR, _MOST_CELLS = 1000.0, 1e-13, 400_000
# Quantiles: points of a panel between which one is looked for, and steps of Newton's method.
_STEPS, _NEWTON = 32, 6
# Orders that are tabulated: four for each of the orders 0 ... 3.
_ORDERS = 7
_X, _W = np.polynomial.legendre.leggauss(_NODES)
# Values at the nodes to Legendre coefficients.
_TO_LEGENDRE = (np.arange(_NODES)[:, None] + 0.5) * np.polynomial.legendre.legvander(_X, _NODES - 1).T * _W


@dataclass(frozen=True, eq=False)
class Panels:
    """
    Panels, their nodes, and Legendre coefficients of u^r times the density.

    Attributes
    ----------
    edges : ndarray, shape (K + 1,)
        Ends of the panels.
    coefficients : ndarray, shape (orders, K, degree + 1)
        Of u^r times the density, r = 0, 1, ...
    nodes, weights : ndarray, shape (K, nodes)
        Values, and probability there.
    cut : (float, float)
        Probability below and above, which is left out.
    error : float
        About what the polynomials miss of the probability.
    """

    edges: Float[ndarray, " ends"]
    coefficients: Float[ndarray, "orders K terms"]
    nodes: Float[ndarray, "K nodes"]
    weights: Float[ndarray, "K nodes"]
    cut: tuple[float, float]
    error: float

    @cached_property
    def middle(self) -> ndarray:
        return (self.edges[1:] + self.edges[:-1]) / 2

    @cached_property
    def half(self) -> ndarray:
        return np.diff(self.edges) / 2

    @cached_property
    def totals(self) -> ndarray:
        """(orders, K): integrals of u^r over panels."""
        with np.errstate(over="ignore"):  # of powers that heavy laws do not use
            return np.asarray(2 * self.half * self.coefficients[:, :, 0])

    @cached_property
    def deviation(self) -> float:
        zeroth, first, second = self.totals[:3].sum(1)
        return math.sqrt(max(second / zeroth - (first / zeroth) ** 2, 1e-300))

    def exact(self, a: Float[ndarray, " k"]) -> Complex[ndarray, "orders k"]:
        """All tabulated derivatives of the transform at frequencies >= 0."""
        out = np.zeros((_ORDERS, len(a)), dtype=complex)
        for k, (m, w) in enumerate(zip(self.middle, self.half, strict=True)):
            x = a * w
            slow = x <= _SLOW
            powers = self.weights[k] * self.nodes[k] ** np.arange(_ORDERS)[:, None]
            part = np.empty_like(out)
            part[:, slow] = powers @ np.exp(1j * _X[:, None] * x[slow])
            part[:, ~slow] = w * oscillating(self.coefficients[:, k], x[~slow])
            out += part * np.exp(1j * a * m)
        return out * 1j ** np.arange(_ORDERS)[:, None]

    def beyond(self, k: int, x: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Integral of u^k times the density from x on."""
        sums = np.append(np.cumsum(self.totals[k][::-1])[::-1], 0.0)
        panel = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.half) - 1)
        out = sums[panel + 1]
        y = np.clip((x - self.middle[panel]) / self.half[panel], -1, 1)
        for p in np.unique(panel):
            here = panel == p
            rising = np.polynomial.legendre.legint(self.coefficients[k, p], lbnd=1)
            out[here] -= self.half[p] * np.polynomial.legendre.legval(y[here], rising)
        return out

    @cached_property
    def steps(self) -> tuple[ndarray, ndarray, ndarray]:
        """Points within panels, probability up to them, and the coefficients of its integral over a panel."""
        rising = np.polynomial.legendre.legint(self.coefficients[0], lbnd=-1, axis=1)
        inside = np.linspace(-1, 1, _STEPS + 1)[:-1]
        before = np.concatenate([[0.0], np.cumsum(self.totals[0])])
        within = self.half[:, None] * np.polynomial.legendre.legval(inside, rising.T)
        points = self.middle[:, None] + self.half[:, None] * inside
        reached = np.maximum.accumulate(np.append((before[:-1, None] + within).ravel(), before[-1]))
        return np.append(points.ravel(), self.edges[-1]), reached, rising * self.half[:, None]

    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Roots of the integral, by Newton's method between neighbouring points, halved where it leads astray."""
        points, reached, rising = self.steps
        share = q.ravel() * reached[-1]
        step = np.clip(np.searchsorted(reached, share, side="right") - 1, 0, len(points) - 2)
        panel = step // _STEPS
        low, high = points[step], points[step + 1]
        width = reached[step + 1] - reached[step]
        u = low + (high - low) * np.where(width > 0, (share - reached[step]) / np.where(width > 0, width, 1.0), 0.5)
        start = reached[panel * _STEPS]
        for _ in range(_NEWTON):
            y = (u - self.middle[panel]) / self.half[panel]
            miss = start + _legendre_rows(rising, panel, y) - share
            low, high = np.where(miss < 0, u, low), np.where(miss < 0, high, u)
            slope = _legendre_rows(self.coefficients[0], panel, y)
            with np.errstate(all="ignore"):
                better = u - miss / slope
            u = np.where((better >= low) & (better <= high), better, (low + high) / 2)
        return u.reshape(q.shape)

    @cached_property
    def table(self) -> tuple[float, Complex[ndarray, "orders cells"]]:
        """Step, and derivatives of the transform at its multiples."""
        eighth = float((self.weights * self.nodes**8).sum())
        step = (TABLE_ERROR * math.factorial(8) * 2**8 / eighth) ** (1 / 8)
        cells = int(min(_TABLE_END / self.deviation / step, _MOST_CELLS)) + 2
        blocks = np.array_split(step * np.arange(cells), -(-cells // 4000))
        return step, np.concatenate([self.exact(block) for block in blocks], axis=1)

    def transforms(
        self, a: Float[ndarray, "*shape"], orders: tuple[int, ...]
    ) -> tuple[Complex[ndarray, "*shape"], ...]:
        """Hermite interpolation from values and three derivatives at both ends; polynomials beyond the table."""
        step, table = self.table
        size = np.abs(a).ravel()
        cell = np.minimum((size / step).astype(int), table.shape[1] - 2)
        far = size > step * (table.shape[1] - 1)
        y = np.where(far, 0.0, size / step - cell)
        beyond = self.exact(size[far]) if far.any() else np.empty((_ORDERS, 0))
        found = []
        for order in orders:
            value = np.zeros(size.shape, dtype=complex)
            for d in range(4):
                left, right = _hermite(y, d), (-1) ** d * _hermite(1 - y, d)
                value += step**d * (left * table[order + d, cell] + right * table[order + d, cell + 1])
            value[far] = beyond[order]
            value = np.where(a.ravel() < 0, (-1) ** order * value.conj(), value)
            found.append(value.reshape(a.shape))
        return tuple(found)

    @cached_property
    def log_mgf_table(self) -> tuple[ndarray, ndarray]:
        """Exponents s, and log E exp(su) there."""
        sizes = np.geomspace(1e-5, 1e3, 900) / self.deviation
        s = np.concatenate([-sizes[::-1], [0.0], sizes])
        exponents = s[:, None] * self.nodes.ravel()
        top = exponents.max(1)
        return s, top + np.log(np.exp(exponents - top[:, None]) @ self.weights.ravel())


def _legendre_rows(
    c: Float[ndarray, "panels terms"], panel: Int[ndarray, " k"], y: Float[ndarray, " k"]
) -> Float[ndarray, " k"]:
    """Sum of c_l P_l(y), each y with its own panel's coefficients."""
    last, now = np.ones_like(y), y
    total = c[panel, 0] + c[panel, 1] * y
    for order in range(2, c.shape[1]):
        last, now = now, ((2 * order - 1) * y * now - (order - 1) * last) / order
        total += c[panel, order] * now
    return total


def oscillating(c: Float[ndarray, "orders terms"], x: Float[ndarray, " k"]) -> Complex[ndarray, "orders k"]:
    """Sum of 2 i^l c_l j_l(x) for x above the degree, where the upward recursion is stable."""
    bessel, inverse = np.empty((c.shape[1], len(x))), 1 / x
    before, now = np.cos(x) * inverse, np.sin(x) * inverse
    for order in range(c.shape[1]):
        bessel[order] = now
        before, now = now, (2 * order + 1) * inverse * now - before
    signed = 2 * c * np.array([1, 1, -1, -1])[np.arange(c.shape[1]) % 4]
    total = np.empty((len(c), len(x)), dtype=complex)
    total.real, total.imag = signed[:, ::2] @ bessel[::2], signed[:, 1::2] @ bessel[1::2]
    return total


def _hermite(y: Float[ndarray, " k"], d: int) -> Float[ndarray, " k"]:
    """Polynomial whose derivative d is 1 at 0, all others up to the third being 0 at both ends."""
    series = sum(math.comb(3 + j, 3) * y**j for j in range(4 - d))
    return np.asarray(y**d * (1 - y) ** 4 * series / math.factorial(d))


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
            density = frozen.pdf(m + w * _X)
            mass = float(frozen.cdf(b) - frozen.cdf(a))
        c = _TO_LEGENDRE @ np.where(np.isfinite(density), density, 0.0)
        far = max(1.0, (abs(m) + w) / scale) if heavy else 1.0  # what is far off counts by its square
        miss = 2 * w * float(np.abs(c[_DEGREE + 1 :]).max()) * far**2 if np.isfinite(density).all() else np.inf
        tiny = mass * w / scale * far < _ACCURACY
        settled = miss < _ACCURACY * 10
        noisy = not settled and not tiny and miss < _NOISE * _rounded(frozen, m, w, density)
        if settled or tiny or noisy or depth >= _DEEPEST:
            if tiny and not settled:  # only its mass counts
                c, miss = np.zeros(_NODES), mass * w / scale * far
                c[0] = mass / (2 * w)
            elif noisy:  # the mass is known, and what is missed moves it within the panel
                c *= mass / (2 * w * c[0])
                miss *= min(1.0, _TABLE_END * w / scale)
            done.append((a, b, c[: _DEGREE + 1]))
            error += miss
        else:
            todo += [(a, m, depth + 1), (m, b, depth + 1)]
    done.sort(key=lambda panel: panel[0])
    edges = np.array([panel[0] for panel in done] + [done[-1][1]])
    mass = math.fsum((b - a) * float(c[0]) for a, b, c in done)
    if min(cut) < -_MASS or abs(mass - 1) > _MASS:
        raise ValueError(
            f"the density of {name} integrates to {mass:.9g} instead of 1, as that of a circular law or of "
            "one that is narrower than its quantiles say"
        )
    if error > 1e-9:
        raise ValueError(f"the density of {name} is too rough: polynomials miss it by {error:.1e}")
    fitted = _fitted(edges, np.array([panel[2] for panel in done]), (cut[0], cut[1]), error)
    if not heavy:
        return fitted
    from theory.model.heavy_panels import HeavyPanels

    return HeavyPanels(**{field.name: getattr(fitted, field.name) for field in fields(Panels)}, neglected=neglected)


def _rounded(frozen: Any, m: float, w: float, density: Float[ndarray, " nodes"]) -> float:
    """How much probability of a panel depends on the last digit of u, as next to a singularity away from 0."""
    with np.errstate(all="ignore"):
        change = 2 * w * float(np.abs(frozen.pdf(np.nextafter(m + w * _X, -np.inf)) - density).max())
    return change if math.isfinite(change) else 0.0


def _fitted(edges: ndarray, c: Float[ndarray, "K terms"], cut: tuple[float, float], error: float) -> Panels:
    """Coefficients of the powers of u times the density, of total probability 1."""
    m, w = (edges[1:] + edges[:-1])[:, None] / 2, np.diff(edges)[:, None] / 2
    nodes = m + w * _X
    density = c @ np.polynomial.legendre.legvander(_X, c.shape[1] - 1).T
    density /= (w * _W * density).sum()
    coefficients = []
    for _ in range(_ORDERS):
        with np.errstate(over="ignore", invalid="ignore"):  # powers that heavy laws do not use
            coefficients.append(density @ _TO_LEGENDRE.T)
            density = nodes * density
    weights = w * _W * (coefficients[0] @ np.polynomial.legendre.legvander(_X, _NODES - 1).T)
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
            u = mean + sign * distance * (1.5 + 0.5 * _X)
            with np.errstate(all="ignore"):
                parts.append(float((0.5 * distance * _W * np.nan_to_num(frozen.pdf(u)) * u**2).sum()) / square)
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
