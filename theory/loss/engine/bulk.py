"""Which features of a row are summed together and which one by one, and the sums over a group of rows."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.chebyshev import Series, series, terms_for
from theory.loss.engine.densities import POWERS, DensityBasis, density_basis, summed_densities
from theory.loss.engine.frame import Frame
from theory.loss.engine.nodes import NodeSums
from theory.loss.engine.power_sums import evaluate, moments_of, pull_back

__all__ = ["LEAST_FEATURES", "Plan", "Split", "plan"]

# From so many features on, sums over all of them pay.
LEAST_FEATURES = 64
_MOST_TERMS = 6000
# What terms that are left out may cost, in units of the tolerance per feature of the series in p.
_PER_FEATURE, _LEFT_OUT = 1e-4, 2e4
# What series in p are expected to cost, in units of what is allowed, and nodes at which that is estimated.
_EXPECTED, _NODES = 0.1, 32
# A number of a series takes so many times as long as a feature at a node, for one row: long ones pay for many rows. Up
# to so many numbers a column is made in any case, and larger series than that never.
_DEAR, _SMALL, _LARGEST = 12, 60_000, 2**25


@dataclass(frozen=True, eq=False)
class Plan:
    """
    How a block of rows is computed.

    Attributes
    ----------
    largest : ndarray, shape (rows,)
        Largest coupling of a feature that is summed.
    alone : ndarray of int, shape (fixed,)
        Features that are never summed, a row's own one among them.
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
        What terms of the series may cost per feature.
    powers : ndarray, shape (rows, POWERS)
        Sums of p |g|^q over the summed features.
    """

    largest: Float[ndarray, " rows"]
    alone: Int[ndarray, " fixed"]
    basis: DensityBasis
    weights: Float[ndarray, "features columns"]
    odds: Float[ndarray, " features"]
    mix: Float[ndarray, " columns"]
    unmixed: float
    shared: bool
    tolerance: float
    powers: Float[ndarray, "rows powers"]

    def take(self, which: Int[ndarray, " some"]) -> "Plan":
        """Return the plan of some of the rows."""
        return replace(self, largest=self.largest[which], powers=self.powers[which])

    def choose(self, h: Float[ndarray, " rows"]) -> Int[ndarray, " rows"]:
        """Exponents of Y = 2^(exponent/2)."""
        exponents = np.ceil(2 * np.log2(np.maximum(self.largest * h, 1e-12)) - 1e-9).astype(int)
        # series in two variables are dear: fewer kinds of them
        return exponents if self.shared else 2 * -(-exponents // 2)


def plan(f: Frame, h: Float[ndarray, " rows"], allowed: Float[ndarray, " rows"]) -> Plan | None:
    """
    Plan the sums of rows that share their densities.

    Parameters
    ----------
    f : Frame
        The rows.
    h : ndarray, shape (rows,)
        Steps.
    allowed : ndarray, shape (rows,)
        What a row's value may be off by; series in p are to cost a small part of it.

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
    part, pieces = summed_densities(p)
    if part.sum() < LEAST_FEATURES // 2:
        return None
    G = np.abs(f.rows.G)
    powers, full, single = np.zeros((len(G), len(POWERS))), np.zeros((len(G), _NODES)), np.zeros(len(G))
    t = h[:, None] * (np.arange(_NODES) + 0.5)
    if pieces:
        square = G * G  # its powers 0, 1 and 2 are quick
        powers = np.stack([square ** (q // 2) @ np.where(part, p, 0.0) for q in POWERS], axis=1)
        full, single = _sizes(f, h, t)

    def enough(misses: tuple[float, ...]) -> bool:
        return bool(((full * _in_p(misses, powers, t)).sum(1) <= _EXPECTED * allowed).all())

    basis, weights = density_basis(f.features.values, p, part, pieces, enough)
    odds = np.where(part, p / np.where(part, 1 - p, 1.0), 0.0)
    G[np.arange(len(G)), f.rows.own] = 0.0
    G[:, ~part] = 0.0
    mix = np.array([float(odds.max())])
    if pieces:  # odds are a series in p too, a shorter one where p is small
        mix = np.array(basis.to_series) @ [q / (1 - q) for q in basis.nodes]
        if (np.abs(weights @ mix - odds).sum() * f.none * single > _EXPECTED * allowed).any():
            weights, mix = np.hstack([weights, odds[:, None]]), np.append(np.zeros(len(mix)), 1.0)
    unmixed = float(np.abs(weights @ mix - odds).sum())
    tolerance = _PER_FEATURE * float(allowed.min())
    alone = np.flatnonzero((p > 0) & ~part)
    return Plan(G.max(1), alone, basis, weights, odds, mix, unmixed, not pieces, tolerance, powers)


def _sizes(
    f: Frame, h: Float[ndarray, " rows"], t: Float[ndarray, "rows nodes"]
) -> tuple[Float[ndarray, "rows nodes"], Float[ndarray, " rows"]]:
    """Estimate ``NodeSums.full_size``, as if couplings were normal, and the sum of what the sum of e is weighed by."""
    absolute, square, cross = np.abs(f.weights[..., 1:]).sum(1).T
    cross = cross * f.moments.active[np.arange(len(h)), f.rows.own]
    weight = (2 / np.pi) * h[:, None] * ((absolute + cross)[:, None] + 2 * square[:, None] / t) / t**2
    lost, variance = _fall(f)
    turned = (variance / lost)[:, None] * t**2
    return weight * np.exp(-lost[:, None] * (1 - (1 + turned) ** -0.5)), weight.sum(1)


def _fall(f: Frame) -> tuple[Float[ndarray, " rows"], Float[ndarray, " rows"]]:
    """Logarithm of what |phi| falls by at most, and how it sets out: minus twice its logarithm over t^2."""
    lost = np.maximum(-np.log(np.maximum(f.quiet, 1e-300)), 1e-3)
    return lost, f.features.values.moment(2) * np.einsum("rj,rj,rj->r", f.rows.G, f.rows.G, f.p)


def _in_p(
    misses: tuple[float, ...], powers: Float[ndarray, "rows powers"], t: Float[ndarray, "rows nodes"]
) -> Float[ndarray, "rows nodes"]:
    """What the series in p misses of the sum of log(1 - p + p e) at most."""
    found, square = misses[0] * powers[:, :1] * np.ones_like(t), t * t
    for miss, power, q in zip(misses[1:], powers.T[1:], POWERS[1:], strict=True):
        if np.isfinite(miss):
            np.minimum(found, (miss * power)[:, None] * square ** (q // 2), out=found)
    return found


@dataclass(frozen=True, eq=False)
class Split:
    """
    A group of rows with the same nodes and the same Y.

    Attributes
    ----------
    plan : Plan
        The group's plan.
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
        G, Y = f.rows.G, 2.0 ** (exponent / 2)
        terms, columns, count = terms_for(more, Y * nodes[1]), len(plan.basis.nodes) + 1, nodes[1] - nodes[0]
        # a model has as many rows as features, and others beside it change nothing
        pays = terms * columns * _DEAR <= G.shape[1] * min(rows, G.shape[1])
        if terms > _MOST_TERMS or terms * columns * count > _LARGEST or (terms * count > _SMALL and not pays):
            return None
        x = G * (h / Y)[:, None]
        x[np.arange(len(x)), f.rows.own] = 0.0
        unsummed = plan.odds == 0
        if unsummed.any():
            x[:, unsummed] = 0.0
        made = series(f.features.values, plan.basis, Y, *nodes, more, *_left_out(f, h, plan))
        return cls(plan, f.none, x, h / Y, (x == 0) @ plan.odds, made)

    def miss(self, s: NodeSums, t: Float[ndarray, "rows nodes"]) -> tuple[ndarray, ndarray, ndarray]:
        """What series that end cost the value, its derivative in any coupling, and that in the noise, of every row."""
        of_single = np.abs(s.to_single) / t * self.none[:, None]
        odds, weight = self.plan.odds, np.abs(self.plan.weights[:, : len(self.plan.basis.nodes)]).max(1)
        value = s.full_size * (weight.sum() * self.series.tail + _in_p(self.plan.basis.misses, self.plan.powers, t))
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
    every, variance = _fall(f)
    lost = float(every.min())
    turned = float((variance * h * h).min()) / lost
    # powers of 16 and of 2: they are locally constant, and few kinds of series are made
    allowed, turned = _power(_LEFT_OUT * plan.tolerance / weight, 16.0), _power(turned, 2.0)
    return allowed, (round(float(lost), 3), turned)


def _power(x: float, base: float) -> float:
    """The largest power that is not above a number."""
    return float(base ** np.floor(np.log(max(x, 1e-300)) / np.log(base)))
