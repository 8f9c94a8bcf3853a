"""A density as polynomials on panels, to rounding.

On a panel of centre m and half width w, with P_l the Legendre polynomials, a density sum_l c_l P_l((u - m) / w) has the
transform w exp(iam) sum_l 2 i^l c_l j_l(aw), at any frequency. Moments and partial moments are integrals of the same
polynomials.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Complex, Float, Int
from numpy import ndarray

__all__ = ["ORDERS", "POINTS", "TABLE_END", "TABLE_ERROR", "WEIGHTS", "Panels", "oscillating", "piecewise"]

# Arguments aw up to which nodes are summed instead of Bessel functions, whose upward recursion needs aw > degree; up to
# 1 a power series of so many terms does.
_SLOW = 26.0
_STILL, _POWERS = 1.0, 20
# The transform is tabulated up to this frequency times the standard deviation, and beyond where it is asked for, for
# interpolation from the values and three derivatives at both ends of a cell, whose error is below
# E u^8 step^8 / (8! 2^8), and that of the first derivative below E |u|^9 step^8 / (8! 2^8). Values further off than
# _FAR sqrt(E u^2) are not what an error of the first derivative is measured in.
TABLE_END, TABLE_ERROR, _MOST_CELLS, _FAR = 1000.0, 1e-13, 400_000, 8.0
# Quantiles: points of a panel between which one is looked for, and steps of Newton's method.
_STEPS, _NEWTON = 32, 6
# Orders that are tabulated: four for each of the orders 0 ... 3.
ORDERS = 7
# Nodes of a panel, on [-1, 1], and their weights.
POINTS, WEIGHTS = np.polynomial.legendre.leggauss(32)
# Frequencies per block, whose polynomials stay in the cache.
_BLOCK = 8192


@dataclass(eq=False)
class _Table:
    """Derivatives of a transform, and how many frequencies beyond them were asked for."""

    values: Complex[ndarray, "orders cells"]
    asked: int = 0
    polynomials: dict[int, Complex[ndarray, "terms cells"]] = field(default_factory=dict)

    def polynomial(self, order: int, step: float) -> Complex[ndarray, "terms cells"]:
        """Coefficients of the powers of y, 0 at the left and 1 at the right end of a cell: values and derivatives."""
        kept, cells = self.polynomials.get(order), self.values.shape[1] - 1
        done = 0 if kept is None else kept.shape[1]
        if kept is None or done < cells:
            ends = self.values[order : order + 4, done:] * step ** np.arange(4)[:, None]
            more = _HERMITE @ np.concatenate([ends[:, :-1], ends[:, 1:]])
            kept = more if kept is None else np.concatenate([kept, more], axis=1)
            self.polynomials[order] = kept
        return kept


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

    def exact(self, a: Float[ndarray, " k"], orders: Sequence[int] = range(ORDERS)) -> Complex[ndarray, "orders k"]:
        """Derivatives of the transform at frequencies >= 0."""
        out, r = np.zeros((len(orders), len(a)), dtype=complex), np.array(orders)
        for k, (m, w) in enumerate(zip(self.middle, self.half, strict=True)):
            x = a * w
            still, fast = x <= _STILL, x > _SLOW
            slow = ~(still | fast)
            powers = self.weights[k] * self.nodes[k] ** r[:, None]
            part = np.empty_like(out)
            if still.any():
                part[:, still] = _power_series(powers, x[still])
            if slow.any():
                part[:, slow] = powers @ np.exp(1j * POINTS[:, None] * x[slow])
            if fast.any():
                part[:, fast] = w * oscillating(self.coefficients[r, k], x[fast])
            out += part * np.exp(1j * a * m)
        return out * 1j ** r[:, None]

    def beyond(self, k: int, x: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Integral of u^k times the density from x on."""
        sums, rising = self.integrals[k]
        panel = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.half) - 1)
        out = sums[panel + 1]
        y = np.clip((x - self.middle[panel]) / self.half[panel], -1, 1)
        for p in np.unique(panel):
            here = panel == p
            out[here] -= self.half[p] * np.polynomial.legendre.legval(y[here], rising[:, p])
        return out

    @cached_property
    def integrals(self) -> list[tuple[Float[ndarray, " ends"], Float[ndarray, "terms K"]]]:
        """By order: integrals of u^k times the density from every edge on, and their polynomials' coefficients."""
        from_on = (np.append(np.cumsum(total[::-1])[::-1], 0.0) for total in self.totals)
        with np.errstate(over="ignore"):  # of powers that heavy laws do not use
            rising = np.polynomial.legendre.legint(self.coefficients, lbnd=1, axis=2)
        return [(sums, c.T) for sums, c in zip(from_on, rising, strict=True)]

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
    def step(self) -> float:
        """Width of the table's cells: the first derivative may err by as much times a value that is far off."""
        square, eighth, ninth = ((self.weights * np.abs(self.nodes) ** k).sum() for k in (2, 8, 9))
        size = max(eighth, ninth / (_FAR * math.sqrt(square)))
        return float((TABLE_ERROR * math.factorial(8) * 2**8 / size) ** (1 / 8))

    @cached_property
    def table(self) -> "_Table":
        """Derivatives of the transform at multiples of the step."""
        return _Table(np.empty((ORDERS, 0), dtype=complex))

    def tabulated(self, size: Float[ndarray, " k"]) -> Complex[ndarray, "orders cells"]:
        """Give the table; it grows once as many frequencies beyond it were asked for as that adds cells."""
        kept = self.table
        known = kept.values
        cells = known.shape[1]
        first = int(min(TABLE_END / self.deviation / self.step, _MOST_CELLS)) + 2
        needed = int(min(float(size.max(initial=0.0)) / self.step, _MOST_CELLS)) + 2 if cells else first
        kept.asked += int((size > self.step * (cells - 1)).sum())
        if needed > cells and (not cells or kept.asked > needed - cells):
            more = np.arange(cells, needed)
            blocks = np.array_split(self.step * more, -(-len(more) // 4000))
            known = np.concatenate([known, *(self.exact(block) for block in blocks)], axis=1)
            kept.values, kept.asked = known, 0
        return known

    def transforms(
        self, a: Float[ndarray, "*shape"], orders: tuple[int, ...]
    ) -> tuple[Complex[ndarray, "*shape"], ...]:
        """Hermite interpolation from values and three derivatives at both ends; polynomials beyond the table."""
        size = np.abs(a).ravel()
        step, table = self.step, self.tabulated(size)
        cell = np.minimum((size / step).astype(int), table.shape[1] - 2)
        far = size > step * (table.shape[1] - 1)
        y = np.where(far, 0.0, size / step - cell)
        beyond = self.exact(size[far], orders) if far.any() else np.empty((len(orders), 0))
        negative = np.flatnonzero(a.ravel() < 0)
        found = []
        for k, order in enumerate(orders):
            value = piecewise(self.table.polynomial(order, step), cell, y)
            value[far] = beyond[k]
            value[negative] = (-1) ** order * value[negative].conj()
            found.append(value.reshape(a.shape))
        return tuple(found)

    @cached_property
    def log_mgf_table(self) -> tuple[ndarray, ndarray]:
        """Exponents s, and log E exp(su) there."""
        sizes = np.geomspace(1e-5, 1e3, 900) / self.deviation
        s = np.concatenate([-sizes[::-1], [0.0], sizes])
        exponents = s[:, None] * self.nodes.ravel()
        top = exponents.max(1)
        # rounding makes some weights negative; at the end that counts there may be none to speak of
        shares = np.exp(exponents - top[:, None]) @ np.abs(self.weights.ravel())
        return s, top + np.log(np.maximum(shares, 1e-300))


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


def _power_series(powers: Float[ndarray, "orders nodes"], x: Float[ndarray, " k"]) -> Complex[ndarray, "orders k"]:
    """Sums of weights times exp(ixy) over the nodes y of a panel, for x up to 1."""
    signs = np.array([1, 1, -1, -1])[np.arange(_POWERS) % 4]
    factorials = np.array([math.factorial(q) for q in range(_POWERS)], dtype=float)
    terms = powers @ POINTS[:, None] ** np.arange(_POWERS) * (signs / factorials)
    square = np.square(x) ** np.arange(_POWERS // 2)[:, None]
    total = np.empty((len(powers), len(x)), dtype=complex)
    total.real, total.imag = terms[:, ::2] @ square, terms[:, 1::2] @ square * x
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


def piecewise(
    polynomials: Complex[ndarray, "terms cells"], cell: Int[ndarray, " k"], y: Float[ndarray, " k"]
) -> Complex[ndarray, " k"]:
    """Value of each y's polynomial, by Horner's rule, block by block."""
    total = np.empty(len(y), dtype=complex)
    for start in range(0, len(y), _BLOCK):
        here, at = total[start : start + _BLOCK], cell[start : start + _BLOCK]
        twice = np.repeat(y[start : start + _BLOCK], 2)  # real and imaginary parts are multiplied as real numbers
        np.take(polynomials[-1], at, out=here, mode="clip")
        for terms in polynomials[-2::-1]:
            here.view(float)[:] *= twice
            here += terms.take(at)
    return total


def _hermite() -> Float[ndarray, "terms terms"]:
    """Coefficients of the powers of y, from three derivatives at y = 0 and at y = 1."""
    derivative = np.array([[math.perm(j, d) for j in range(8)] for d in range(4)], dtype=float)
    at_zero = derivative * np.eye(4, 8)
    return np.asarray((6 * np.linalg.inv(np.concatenate([at_zero, derivative]))).round() / 6)


_HERMITE = _hermite()
