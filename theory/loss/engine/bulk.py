"""Which features of a row are summed together and which one by one, and the sums over a group of rows."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.densities import DensityBasis, density_basis
from theory.loss.engine.frame import Frame
from theory.loss.engine.nodes import NodeSums
from theory.loss.engine.power_sums import Series, evaluate, moments_of, pull_back, series, terms_for

__all__ = ["LEAST_FEATURES", "Plan", "Split", "plan"]

# From so many features on, sums over all of them pay.
LEAST_FEATURES = 64
_MOST_TERMS = 6000
# What terms that are left out may cost, in units of the tolerance per feature of the series in p.
_LEFT_OUT = 2e4
# A number of a series takes so many times as long as a feature at a node, for one row: long ones pay for many rows. Up
# to so many numbers a column is made in any case, and larger series than that never.
_DEAR, _SMALL, _LARGEST = 12, 60_000, 2**25


@dataclass(frozen=True, eq=False)
class Plan:
    """
    How a block of rows is computed.

    Attributes
    ----------
    size : ndarray, shape (rows, n)
        Size of the couplings; infinite for features that are never summed, -1 and 0 for the own one and for sets.
    fixed : int
        Number of features that are never summed.
    basis, weights
        Series in p (theory.loss.engine.densities).
    odds : ndarray, shape (n,)
        p/(1-p) of the summed features, else 0.
    mix : ndarray, shape (columns,)
        Weights of the columns in the sum of odds times e.
    unmixed : float
        What of the odds' sum that misses.
    shared : bool
        Whether all densities are equal.
    tolerance : float
        What the series in p may miss per feature.
    """

    size: Float[ndarray, "rows n"]
    fixed: int
    basis: DensityBasis
    weights: Float[ndarray, "features columns"]
    odds: Float[ndarray, " features"]
    mix: Float[ndarray, " columns"]
    unmixed: float
    shared: bool
    tolerance: float

    def take(self, which: Int[ndarray, " some"]) -> "Plan":
        """Return the plan of some of the rows."""
        return replace(self, size=self.size[which])

    def alone(self) -> Int[ndarray, "rows fixed"]:
        """Features that are never summed; the own one, if it is among them, is none of them but counts."""
        if self.fixed == 0:
            return np.empty((len(self.size), 0), dtype=int)
        return np.argpartition(-self.size, self.fixed - 1, axis=1)[:, : self.fixed]

    def choose(self, h: Float[ndarray, " rows"]) -> Int[ndarray, " rows"]:
        """Exponents of Y = 2^(exponent/2)."""
        largest = np.where(np.isinf(self.size), -1.0, self.size).max(1) if self.fixed else self.size.max(1)
        exponents = np.ceil(2 * np.log2(np.maximum(largest * h, 1e-12)) - 1e-9).astype(int)
        # series in two variables are dear: fewer kinds of them
        return exponents if self.shared else 2 * -(-exponents // 2)


def plan(f: Frame, tolerance: float) -> Plan | None:
    """
    Plan the sums of rows that share their densities.

    Parameters
    ----------
    f : Frame
        The rows.
    tolerance : float
        What the series in p may miss per feature.

    Returns
    -------
    Plan or None
        None where features are few, or none of them may be summed.
    """
    n = f.rows.G.shape[1]
    if n < LEAST_FEATURES:
        return None
    density = f.features.density if f.features.density.ndim == 1 else f.features.density[0]
    p = density.copy()
    members = [j for s in f.features.sets for j in s.members]
    p[members] = 0.0
    basis, weights, part = density_basis(f.features.values, p, tolerance)
    if part.sum() < LEAST_FEATURES // 2:
        return None
    odds = np.where(part, p / np.where(part, 1 - p, 1.0), 0.0)
    size = np.abs(f.rows.G)
    alone = (p > 0) & ~part
    size = np.where(alone, np.inf, size)
    size[:, members] = 0.0  # sets are computed elsewhere
    r = np.arange(len(size))
    size[r, f.rows.own] = -1.0
    shared = bool(p[p > 0].min() == p[p > 0].max())
    mix = np.array([float(odds.max())])
    if not shared:  # odds are a series in p too, a shorter one where p is small
        mix = np.array(basis.to_series) @ [q / (1 - q) for q in basis.nodes]
        if np.abs(weights @ mix - odds).sum() > tolerance * odds.sum():
            weights, mix = np.hstack([weights, odds[:, None]]), np.append(np.zeros(len(mix)), 1.0)
    unmixed = float(np.abs(weights @ mix - odds).sum())
    return Plan(size, int(alone.sum()), basis, weights, odds, mix, unmixed, shared, tolerance)


@dataclass(frozen=True, eq=False)
class Split:
    """
    A group of rows with the same nodes and the same Y.

    Attributes
    ----------
    plan : Plan
        The group's plan.
    alone : ndarray of int, shape (rows, fixed)
        Features that are not summed.
    none : ndarray, shape (rows,)
        P(z = b).
    x : ndarray, shape (rows, n)
        h g / Y, 0 for features that are not summed.
    scale : ndarray, shape (rows,)
        dx/dg.
    left_out : ndarray, shape (rows,)
        Odds of all features whose x is 0: their e is 1 in the sum.
    series : Series
        Both functions.
    """

    plan: Plan
    alone: Int[ndarray, "rows fixed"]
    none: Float[ndarray, " rows"]
    x: Float[ndarray, "rows n"]
    scale: Float[ndarray, " rows"]
    left_out: Float[ndarray, " rows"]
    series: Series

    @classmethod
    def of(
        cls,
        plan: Plan,
        f: Frame,
        h: Float[ndarray, " rows"],
        exponent: int,
        nodes: tuple[int, int],
        more: float,
        rows: int,
    ) -> "Split | None":
        """Prepare a group of some rows; ``more`` multiplies the number of Chebyshev polynomials."""
        G, alone, Y = f.rows.G, plan.alone(), 2.0 ** (exponent / 2)
        terms, columns, count = terms_for(more, Y * nodes[1]), len(plan.basis.nodes) + 1, nodes[1] - nodes[0]
        # a model has as many rows as features, and others beside it change nothing
        pays = terms * columns * _DEAR <= G.shape[1] * min(rows, G.shape[1])
        if terms > _MOST_TERMS or terms * columns * count > _LARGEST or (terms * count > _SMALL and not pays):
            return None
        x = G * (h / Y)[:, None]
        np.put_along_axis(x, alone, 0.0, axis=1)
        x[np.arange(len(x)), f.rows.own] = 0.0
        unsummed = plan.odds == 0
        if unsummed.any():
            x[:, unsummed] = 0.0
        made = series(f.features.values, plan.basis, Y, *nodes, more, *_left_out(f, h, plan))
        return cls(plan, alone, f.none, x, h / Y, (x == 0) @ plan.odds, made)

    def miss(self, s: NodeSums, t: Float[ndarray, "rows nodes"]) -> tuple[ndarray, ndarray, ndarray]:
        """What series that end cost the value, its derivative in any coupling, and that in the noise, of every row."""
        of_single = np.abs(s.to_single) / t * self.none[:, None]
        odds, weight = self.plan.odds, np.abs(self.plan.weights[:, : len(self.plan.basis.nodes)]).max(1)
        value = s.full_size * (weight.sum() * self.series.tail)
        value += of_single * (self.plan.unmixed + odds.sum() * self.series.tail_single)
        slope = (s.full_size * weight.max() + of_single * odds.max()) * self.series.tail_slope
        return value.sum(1), slope.sum(1) * self.scale, (0.5 * t**2 * value).sum(1)

    def sums(self) -> tuple[ndarray, ndarray]:
        """Sums of log(1 - p + p e) and of P(only j) e_j, shape (rows, nodes)."""
        M = moments_of(self.x, self.plan.weights, self.series.terms)
        log_phi, single = evaluate(self.series, M, self.plan.mix)
        single -= self.left_out[:, None]
        # P(only j) = P(none) odds_j for every feature that is summed
        single *= self.none[:, None]
        return log_phi, single

    def gradient(self, to_log_phi: ndarray, to_single: ndarray) -> Float[ndarray, "rows n"]:
        """Derivatives in the couplings; 0 for features that are not summed."""
        to_single = to_single * self.none[:, None]
        slope = pull_back(self.series, self.x, self.plan.weights, to_log_phi, to_single, self.plan.mix)
        slope *= self.scale[:, None]
        slope[self.x == 0] = 0.0
        return slope


def _left_out(f: Frame, h: Float[ndarray, " rows"], plan: Plan) -> tuple[float, tuple[float, float]]:
    """What a series may miss at the first nodes if |phi| falls to P(none) as it does for normal couplings."""
    absolute, square, cross = np.abs(f.weights[..., 1:]).sum(1).max(0)
    weight = 4 / np.pi * (square / h.min() + absolute + cross) / h.min() * np.abs(plan.weights).max(1).sum()
    lost = max(-np.log(max(float(f.quiet.max()), 1e-300)), 1e-3)
    variance = f.features.values.moment(2) * np.einsum("rj,rj,rj->r", f.rows.G, f.rows.G, f.p)
    turned = float((variance * h * h).min()) / lost
    # powers of 16 and of 2: they are locally constant, and few kinds of series are made
    allowed, turned = _power(_LEFT_OUT * plan.tolerance / weight, 16.0), _power(turned, 2.0)
    return allowed, (round(float(lost), 3), turned)


def _power(x: float, base: float) -> float:
    """The largest power that is not above a number."""
    return float(base ** np.floor(np.log(max(x, 1e-300)) / np.log(base)))
