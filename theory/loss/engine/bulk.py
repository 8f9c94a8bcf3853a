"""Which features of a row are summed together and which one by one, and the sums over a group of rows."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.densities import DensityBasis, density_basis
from theory.loss.engine.frame import Frame
from theory.loss.engine.nodes import NodeSums
from theory.loss.engine.power_sums import Series, evaluate, moments_of, pull_back, series

__all__ = ["LEAST_FEATURES", "Plan", "Split", "plan"]

# From so many features on, sums over all of them pay.
LEAST_FEATURES = 64
# From so many nodes on, this part of a row's couplings, the largest ones, get a series of their own: it is longer.
_FEW_NODES, _OUTER_PART = 32, 8
# Terms beyond the largest argument X, and in units of X^(1/3): Bessel functions J_q(X) are below 1e-13 from there on.
_MORE_TERMS, _MORE_CUBE_ROOTS = 20, 5.0
_MOST_TERMS = 6000
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
    """

    size: Float[ndarray, "rows n"]
    fixed: int
    basis: DensityBasis
    weights: Float[ndarray, "features columns"]
    odds: Float[ndarray, " features"]
    mix: Float[ndarray, " columns"]
    unmixed: float
    shared: bool

    def take(self, which: Int[ndarray, " some"]) -> "Plan":
        """Return the plan of some of the rows."""
        return replace(self, size=self.size[which])

    def largest(self, number: int) -> Int[ndarray, "rows number"]:
        """Features that are never summed, then those with the largest couplings."""
        if number == 0:
            return np.empty((len(self.size), 0), dtype=int)
        top = np.argpartition(-self.size, number - 1, axis=1)[:, :number]
        falling = np.argsort(-np.take_along_axis(self.size, top, 1), axis=1, kind="stable")
        return np.take_along_axis(top, falling, 1)

    def choose(self, h: Float[ndarray, " rows"], last: int) -> tuple[int, Int[ndarray, "rows 2"]]:
        """Number of outer couplings, and the exponents of Y = 2^(exponent/2) of inner and outer ones."""
        # with unlike densities each row's outer features have weights of their own, which is dear
        n = self.size.shape[1]
        outer = 0 if last < _FEW_NODES or not self.shared else min(n // _OUTER_PART, n - self.fixed - 1)
        whole = self.size.max(1) if not self.fixed else np.where(np.isinf(self.size), -1.0, self.size).max(1)
        inner = -np.partition(-self.size, self.fixed + outer, axis=1)[:, self.fixed + outer] if outer else whole
        exponents = []
        for largest in (inner * h, whole * h):
            exponents.append(np.ceil(2 * np.log2(np.maximum(largest, 1e-12)) - 1e-9))
        inner, whole = np.array(exponents, dtype=int)
        if not self.shared:  # series in two variables are dear: fewer kinds of them
            inner = 2 * -(-inner // 2)
        return outer, np.stack([inner, 2 * -(-whole // 2)], axis=1)


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
    return Plan(size, int(alone.sum()), basis, weights, odds, mix, unmixed, shared)


@dataclass(frozen=True, eq=False)
class _Level:
    """Couplings of about one size."""

    x: Float[ndarray, "rows some"]  # h g / Y, 0 for those that belong elsewhere
    weights: Float[ndarray, "..."]
    scale: Float[ndarray, " rows"]  # dx/dg
    left_out: Float[ndarray, " rows"]  # odds of all that are set to 0: their e is 1 in the sum
    series: Series


@dataclass(frozen=True, eq=False)
class Split:
    """
    A group of rows with the same nodes, the same Y and the same number of outer couplings.

    Attributes
    ----------
    plan : Plan
        The group's plan.
    outside : ndarray of int, shape (rows, fixed + outer)
        Features that are never summed, then the outer ones.
    none : ndarray, shape (rows,)
        P(z = b).
    levels : tuple
        Inner couplings, all features wide; outer ones, if any.
    """

    plan: Plan
    outside: Int[ndarray, "rows some"]
    none: Float[ndarray, " rows"]
    levels: tuple[_Level, ...]

    @classmethod
    def of(
        cls,
        plan: Plan,
        f: Frame,
        h: Float[ndarray, " rows"],
        outer: int,
        exponents: tuple[int, int],
        nodes: tuple[int, int],
        more: float,
        rows: int,
    ) -> "Split | None":
        """Prepare a group of some rows; ``more`` multiplies the number of Chebyshev polynomials."""
        G, law = f.rows.G, f.features.values
        outside = plan.largest(plan.fixed + outer)
        Y, wide = (2.0 ** (exponent / 2) for exponent in exponents)
        terms, wide_terms = (_terms(more, y * nodes[1]) for y in (Y, wide))
        longest = max(terms, wide_terms if outer else 0)
        columns, count = len(plan.basis.nodes) + 1, nodes[1] - nodes[0]
        # a model has as many rows as features, and others beside it change nothing
        pays = longest * columns * _DEAR <= G.shape[1] * min(rows, G.shape[1])
        if longest > _MOST_TERMS or longest * columns * count > _LARGEST or (longest * count > _SMALL and not pays):
            return None
        x = G * (h / Y)[:, None]
        np.put_along_axis(x, outside, 0.0, axis=1)
        x[np.arange(len(x)), f.rows.own] = 0.0
        unsummed = plan.odds == 0
        if unsummed.any():
            x[:, unsummed] = 0.0
        left_out = (x == 0) @ plan.odds
        levels = [_Level(x, plan.weights, h / Y, left_out, series(law, plan.basis, Y, *nodes, terms))]
        if outer:
            which = outside[:, plan.fixed :]
            x = np.take_along_axis(G, which, 1) * (h / wide)[:, None]
            odds = plan.odds[which]
            x[odds == 0] = 0.0
            left_out = (odds * (x == 0)).sum(1)
            s = series(law, plan.basis, wide, *nodes, wide_terms)
            levels.append(_Level(x, plan.weights[which], h / wide, left_out, s))
        return cls(plan, outside, f.none, tuple(levels))

    def miss(self, s: NodeSums, t: Float[ndarray, "rows nodes"]) -> tuple[ndarray, ndarray, ndarray]:
        """What series that end cost the value, its derivative in any coupling, and that in the noise, of every row."""
        of_single = np.abs(s.to_single) / t * self.none[:, None]
        odds, weight = self.plan.odds, np.abs(self.plan.weights[:, : len(self.plan.basis.nodes)]).max(1)
        value, slope = of_single * self.plan.unmixed, np.zeros_like(t)
        for level in self.levels:  # outer levels have a few of the features, whose weights are equal
            part = level.x.shape[1] / self.levels[0].x.shape[1]
            value += s.full_size * (part * weight.sum() * level.series.tail)
            value += of_single * (part * odds.sum() * level.series.tail_single)
            one = s.full_size * weight.max() + of_single * odds.max()
            np.maximum(slope, one * level.series.tail_slope * level.scale[:, None], out=slope)
        return value.sum(1), slope.sum(1), (0.5 * t**2 * value).sum(1)

    def sums(self) -> tuple[ndarray, ndarray]:
        """Sums of log(1 - p + p e) and of P(only j) e_j, shape (rows, nodes)."""
        log_phi: ndarray | float = 0.0
        single: ndarray | float = 0.0
        for level in self.levels:
            M = moments_of(level.x, level.weights, level.series.terms)
            some_log_phi, some_single = evaluate(level.series, M, self.plan.mix)
            log_phi = log_phi + some_log_phi
            single = single + some_single - level.left_out[:, None]
        # P(only j) = P(none) odds_j for every feature that is summed
        return np.asarray(log_phi), single * self.none[:, None]

    def gradient(self, to_log_phi: ndarray, to_single: ndarray) -> Float[ndarray, "rows n"]:
        """Derivatives in the couplings; 0 for features that are not summed."""
        to_single = to_single * self.none[:, None]
        slopes = []
        for level in self.levels:
            slope = pull_back(level.series, level.x, level.weights, to_log_phi, to_single, self.plan.mix)
            slope *= level.scale[:, None]
            slope[level.x == 0] = 0.0
            slopes.append(slope)
        if len(slopes) > 1:
            np.put_along_axis(slopes[0], self.outside[:, self.plan.fixed :], slopes[1], axis=1)
        return slopes[0]


def _terms(more: float, X: float) -> int:
    """Number of Chebyshev polynomials for arguments up to X, even."""
    return 2 * int(np.ceil(more * (X + _MORE_TERMS + _MORE_CUBE_ROOTS * X ** (1 / 3)) / 2))
