"""Densities with heavy tails as polynomials on panels: transforms at frequencies from 1e-100 on.

What single values lose at a frequency, E (exp(iau) - 1) and E iu (exp(iau) - 1), is integrated without taking
differences of large numbers. With singularities of the density at few places these are analytic in sectors around the
positive axis: Chebyshev series on cells of an octave or less give them to some 1e-13 of themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray

from theory.model.panels import Panels, oscillating, piecewise

__all__ = ["HeavyPanels"]

# Arguments aw up to which nodes are summed, and below which three terms of the exponential are enough.
_SLOW, _STILL = 26.0, 1e-5
# Chebyshev points of a cell; the last coefficients, as part of the largest, with which it is accepted.
_POINTS, _ACCURACY, _HALVINGS = 20, 3e-14, 10
# Cells reach from this part of the inverse of the largest value to this multiple of that of the standard deviation.
_FIRST, _LAST = 1e-4, 500.0
_EPS = float(np.finfo(float).eps)
_X = np.cos(np.pi * (np.arange(_POINTS) + 0.5) / _POINTS)
_TO_CHEBYSHEV = (
    (2 - (np.arange(_POINTS) == 0))[:, None] / _POINTS * np.polynomial.chebyshev.chebvander(_X, _POINTS - 1).T
)
_LEAST = 1e-300
# Cells are cut into so many equal ones, on which polynomials of so few terms are as accurate.
_CUTS, _TERMS = 8, 9


@dataclass(frozen=True, eq=False)
class HeavyPanels(Panels):
    """
    Panels up to values of 1e90 standard deviations.

    Attributes
    ----------
    neglected : float
        E u^2 of what was cut off.
    """

    neglected: float = 0.0

    def lost(self, a: Float[ndarray, " k"], orders: Sequence[int] = range(4)) -> Complex[ndarray, "orders k"]:
        """Of E (exp(iau) - 1) / a, E iu (exp(iau) - 1) / a, and the derivatives 2 and 3 of E exp(iau), some; a > 0."""
        out, r = np.zeros((len(orders), len(a)), dtype=complex), np.array(orders)
        size = np.maximum(np.abs(self.edges[:-1]), np.abs(self.edges[1:]))
        over = (r < 2)[:, None]
        for k, (m, w) in enumerate(zip(self.middle, self.half, strict=True)):
            total = self.totals[:4, k]
            still, slow = a * size[k] < _STILL, a * w <= _SLOW
            few = a[still]
            with np.errstate(over="ignore", invalid="ignore"):
                near = (
                    1j * total[1] - few * total[2] / 2 - 1j * few**2 * total[3] / 6,
                    -total[2] - 1j * few * total[3] / 2,
                    -total[2] - 1j * few * total[3],
                    np.full(few.shape, -1j * total[3]),
                )
                out[:, still] += np.array([near[order] for order in orders])
            slow &= ~still
            u, weight, some = self.nodes[k], self.weights[k], a[slow]
            half = 0.5 * u[:, None] * some
            sine = np.sin(half)
            powers = weight * u ** r[:, None]
            gone = (powers @ (-2 * sine * sine)) + 1j * (powers @ (2 * sine * np.cos(half)))
            out[:, slow] += 1j ** r[:, None] * np.where(over, gone / some, powers.sum(1, keepdims=True) + gone)
            fast = ~still & ~slow
            some = a[fast]
            part = w * oscillating(self.coefficients[r, k], some * w) * np.exp(1j * some * m)
            out[:, fast] += 1j ** r[:, None] * np.where(over, (part - total[r, None]) / some, part)
        return out

    @cached_property
    def cells(self) -> tuple[Float[ndarray, " ends"], Complex[ndarray, "orders points cells"]]:
        """Ends of the cells, and Chebyshev coefficients."""
        first = _FIRST / max(abs(self.edges[0]), abs(self.edges[-1]))
        octaves = int(np.ceil(np.log2(_LAST / self.deviation / first)))
        low = first * 2.0 ** np.arange(octaves)
        high, ends, found = 2 * low, [], []
        mean, square = float((self.weights * np.abs(self.nodes)).sum()), float(self.totals[2].sum())
        for halving in range(_HALVINGS + 1):
            a = (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * _X
            values = self.lost(a.ravel()).reshape(4, *a.shape)
            c = np.einsum("pq,ocq->cpo", _TO_CHEBYSHEV, values)
            rounded = (np.minimum(1 / low, mean), np.minimum(mean / low, square), np.full_like(low, square))
            noise = 8 * _EPS * np.stack(rounded, -1)
            size = np.abs(c).max(1)[:, :3]
            good = (np.abs(c[:, -2:, :3]).max(1) < _ACCURACY * size + noise).all(1) | (halving == _HALVINGS)
            ends.append(low[good])
            found.append(c[good])
            if good.all():
                break
            middle = (low + high)[~good] / 2
            low, high = np.concatenate([low[~good], middle]), np.concatenate([middle, high[~good]])
        start, coefficients = np.concatenate(ends), np.concatenate(found)
        order = np.argsort(start)
        by_order = np.ascontiguousarray(coefficients[order].transpose(2, 1, 0))
        return np.append(start[order], first * 2.0**octaves), by_order

    @cached_property
    def polynomials(self) -> Complex[ndarray, "orders terms parts"]:
        """Coefficients of the powers of y, from -1 to 1 on every part of a cell."""
        x = np.cos(np.pi * (np.arange(_TERMS) + 0.5) / _TERMS)
        y = (2 * np.arange(_CUTS)[:, None] + 1 + x) / _CUTS - 1
        to_powers = np.linalg.inv(np.vander(x, increasing=True))
        at_points = to_powers @ np.polynomial.chebyshev.chebvander(y, _POINTS - 1)  # cuts, terms, points
        found = np.einsum("stj,ojk->otks", at_points, self.cells[1])
        return found.reshape(*found.shape[:2], -1)

    def of(self, a: Float[ndarray, "*shape"], orders: tuple[int, ...]) -> tuple[Complex[ndarray, "*shape"], ...]:
        """Some of what ``lost`` gives, for arguments of any sign."""
        ends, polynomials = self.cells[0], self.polynomials
        mean, square, cube = self.totals[1:4].sum(1).tolist()
        size = np.abs(a).ravel()
        cell = np.clip(np.searchsorted(ends, size, side="right") - 1, 0, len(ends) - 2)
        y = np.clip(_CUTS * (size - ends[cell]) / (ends[cell + 1] - ends[cell]), 0, _CUTS)
        cut = np.minimum(y.astype(int), _CUTS - 1)
        cell, y = _CUTS * cell + cut, 2 * (y - cut) - 1
        far, near, negative = (np.flatnonzero(some) for some in (size > ends[-1], size < ends[0], a.ravel() < 0))
        beyond = self.lost(size[far], orders) if len(far) else np.empty((len(orders), 0))
        below = size[near]
        out = []
        for place, order in enumerate(orders):
            value = piecewise(polynomials[order], cell, y)
            value[far] = beyond[place]
            if order < 3:  # below all cells the law that was kept has its moments' series
                series = (1j * mean - below * square / 2, -square - 1j * below * cube / 2, -square - 1j * below * cube)
                value[near] = series[order]
            else:
                value[near] = value[near].real * below / ends[0] + 1j * value[near].imag
            # what was divided by a is odd where the derivative itself is even
            sign = (-1) ** (order + 1) if order < 2 else (-1) ** order
            value[negative] = sign * value[negative].conj()
            out.append(value.reshape(a.shape))
        return tuple(out)

    def losses(self, a: Float[ndarray, "*shape"]) -> tuple[Complex[ndarray, "*shape"], Complex[ndarray, "*shape"]]:
        """E (exp(iau) - 1) and E iu (exp(iau) - 1)."""
        first, second = self.of(a, (0, 1))
        return a * first, a * second

    def transforms(
        self, a: Float[ndarray, "*shape"], orders: tuple[int, ...]
    ) -> tuple[Complex[ndarray, "*shape"], ...]:
        """The transform and its derivatives."""
        mean = float(self.totals[1].sum())
        found = self.of(a, orders)
        whole = {0: lambda x: 1 + a * x, 1: lambda x: 1j * mean + a * x}
        return tuple(whole[order](x) if order in whole else x for order, x in zip(orders, found, strict=True))
