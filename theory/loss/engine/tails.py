"""Bounds on what the nodes that are not computed would add, from decreasing bounds of the characteristic function."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.envelope import CELLS_PER_OCTAVE, Decay, cells, clipped, decay
from theory.loss.engine.frame import Frame
from theory.loss.engine.revivals import LEAST, revivals

__all__ = ["FIRST_NODES", "OCTAVES", "Tails", "tails"]

# Bounds are computed for the octaves of nodes 16 2^m ... 16 2^(m+1), and added up from the last one.
FIRST_NODES, OCTAVES = 16, 11
# Up to so many features every factor is bounded by itself; beyond, through a histogram of the couplings.
_ONE_BY_ONE = 48
# Couplings, each once per octave, that are looked up at once.
_AT_ONCE = 20_000
# Denser features are bounded one by one in any case.
_DENSE = 0.3
_HUGE = 600.0
# What is bounded; attributes of ``Tails``.
_KINDS = ("value", "gradient", "curved", "noise")
# Cells of the histogram: smaller couplings count as the smallest of them.
_HISTOGRAM = 160


@dataclass(frozen=True, eq=False)
class Tails:
    """
    Bounds per octave of nodes, and their sums from each octave on.

    Attributes
    ----------
    value : ndarray, shape (rows, octaves)
        Bound of the sum over the octave's nodes of what the value would get.
    gradient : ndarray, shape (rows, octaves)
        The same for any entry of the gradient.
    curved : ndarray, shape (rows, octaves)
        The part of ``value`` that E y|y| has, whose terms are those of Im psi / t^3.
    noise : ndarray, shape (rows, octaves)
        Bound for the derivative in the noise, the value's terms times t^2 / 2; 0 for rows without noise.
    unseen : ndarray, shape (rows,)
        What revivals of discrete values too far to be looked for may add.
    """

    value: Float[ndarray, "rows octaves"]
    gradient: Float[ndarray, "rows octaves"]
    curved: Float[ndarray, "rows octaves"]
    noise: Float[ndarray, "rows octaves"]
    unseen: Float[ndarray, " rows"]

    def beyond(
        self, nodes: int | Int[ndarray, "*#shape"], kind: str = "value", which: Int[ndarray, " some"] | None = None
    ) -> Float[ndarray, "*shape"]:
        """Bound for all nodes from those numbers on, which broadcast against the rows, all or some of them."""
        row = np.arange(len(self.value)) if which is None else which
        per_octave, sums = self.suffixes
        nodes = np.maximum(nodes, 1)
        octave = np.minimum(np.maximum(np.floor(np.log2(nodes / FIRST_NODES)).astype(int), 0), OCTAVES - 1)
        # 1 at the octave's start, 2 at its end
        part = np.minimum(np.maximum(nodes / (FIRST_NODES * 2.0**octave), 1.0), 2.0)
        if kind == "noise":  # its terms may rise within an octave
            left = np.where(part < 2, 1.0, 0.0)
        elif kind == "gradient":  # an octave's terms fall at least as fast as 1/t, those of the value as 1/t^2
            left = 1 - np.log2(part)
        else:
            left = 2 / part - 1
        left = np.where(nodes < FIRST_NODES, FIRST_NODES / nodes, left)
        k = _KINDS.index(kind)
        return np.asarray(left * per_octave[k, octave, row] + sums[k, octave + 1, row])

    @cached_property
    def suffixes(self) -> tuple[Float[ndarray, "kinds octaves rows"], Float[ndarray, "kinds octaves+1 rows"]]:
        """Bounds of all kinds with octaves before rows, and their sums from each octave on."""
        per_octave = np.stack([getattr(self, kind).T for kind in _KINDS])
        sums = np.zeros((len(_KINDS), OCTAVES + 1, len(self.value)))
        np.cumsum(per_octave[:, ::-1], axis=1, out=sums[:, -2::-1])
        return per_octave, sums


def tails(
    f: Frame, half: Float[ndarray, " rows"], spread: Float[ndarray, " rows"], allowed: Float[ndarray, " rows"]
) -> Tails:
    """
    Bound the contributions of all nodes, octave by octave.

    Parameters
    ----------
    f : Frame
        Rows.
    half : ndarray, shape (rows,)
        Their windows; h = 2 pi / L.
    spread : ndarray, shape (rows,)
        Standard deviation of z.
    allowed : ndarray, shape (rows,)
        Error of the value that would be small enough.

    Returns
    -------
    Tails
        The bounds.
    """
    table = decay(f.features.values)
    h = 2 * np.pi / half
    T = h[:, None] * FIRST_NODES * 2.0 ** np.arange(OCTAVES)
    singles = _Singles.of(f)
    t_cell = cells(T[:, 0]) + CELLS_PER_OCTAVE * np.arange(OCTAVES)[:, None]
    some = max(1, _AT_ONCE // max(1, singles.p.size))
    parts = [_at(f, table, singles, t_cell[m : m + some], T.T[m : m + some]) for m in range(0, OCTAVES, some)]
    phi, x, g_phi, g_x = (np.concatenate([part[i] for part in parts]).T for i in range(4))
    absolute, square, cross = (np.abs(f.weights[..., i]).sum(1)[:, None] for i in (1, 2, 3))
    # sums over an octave: of 2h/(pi t^2), of 4h/(pi t^3), and of these times t
    one = (2 / np.pi) * 0.5 / T
    two = (2 / np.pi) * 0.75 / T**2
    log = np.full(T.shape, 2 / np.pi * np.log(2))
    curved = square * two * phi
    value = absolute * one * phi + curved + cross * one * x
    gradient = (absolute * log + 2 * square * one) * g_phi + cross * log * g_x
    # All that follows the last octave, where the bounds no longer fall
    value[:, -1] *= 2
    curved[:, -1] *= 2
    noise = _in_noise(value, T, f.rows.noise)
    gradient[:, -1] *= 8
    law, unseen = f.features.values, np.zeros(len(half))
    discrete = law.atoms and sum(q for _, q in law.atoms) > 1 - 1e-12
    if discrete and f.rows.G.shape[1] >= LEAST and not f.features.sets and not f.rows.noise.any():
        sums, unseen = revivals(f, half, spread, FIRST_NODES * 2.0 ** np.arange(OCTAVES), allowed)
        cumulative = np.cumsum(value[:, ::-1], axis=1)[:, ::-1]
        sums = np.minimum.accumulate(np.minimum(sums, cumulative), axis=1)
        # each sum from an octave on, as parts of octaves
        value = np.append(sums[:, :-1] - sums[:, 1:], sums[:, -1:], axis=1)
    return Tails(value, gradient, curved, noise, unseen)


def _in_noise(
    value: Float[ndarray, "rows octaves"], T: Float[ndarray, "rows octaves"], noise: Float[ndarray, " rows"]
) -> Float[ndarray, "rows octaves"]:
    """Bound the terms times t^2 / 2, t <= 2T; beyond the last octave noise alone makes them fall."""
    if not noise.any():
        return np.zeros_like(value)
    with np.errstate(over="ignore", invalid="ignore"):
        out = np.where(value > 0, 2 * T**2 * value, 0.0)
        exponent = 0.5 * noise * T[:, -1] ** 2
        later = np.arange(1.0, 200.0)
        more = np.exp(np.minimum(later * np.log(2) - exponent[:, None] * (4.0**later - 1), 600.0)).sum(1)
        out[:, -1] = np.where(out[:, -1] > 0, out[:, -1] * (1 + more), 0.0)
    return np.where(noise[:, None] > 0, out, 0.0)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Bounds for single features but the own one, shape (octaves, rows)."""

    B: ndarray  # sum of odds times modulus, features that are always active left out
    log_full: ndarray  # logarithm of the product of factors
    steepest: ndarray  # largest odds times slope
    least: ndarray  # logarithm of the smallest factor
    log_always: ndarray  # logarithm of the product of moduli of features that are always active


@dataclass(frozen=True, eq=False)
class _Singles:
    """Single features but the own one: each by itself, and where they are many, sparse ones by cells of couplings."""

    cell: ndarray  # (some, rows): of those that are treated by themselves
    p: ndarray
    odds: ndarray  # 0 for p = 1
    always: ndarray  # (rows,): how many are always active
    cells: ndarray  # (cells,) of the histogram
    sums: tuple[ndarray, ...]  # (rows, cells): sums of odds, p (1-p) and p^2
    highest: ndarray  # (rows,): largest odds in the histogram
    closed: ndarray  # (rows,): sum of P(only j moves z)
    closed_most: ndarray  # the largest of them

    @classmethod
    def of(cls, f: Frame) -> "_Singles":
        p, G, cell = f.p, f.rows.G, cells(f.rows.G)
        none = np.zeros(len(p))
        if p.shape[1] > _ONE_BY_ONE:
            dense = (p > _DENSE).any(0)
            if dense.sum() > _ONE_BY_ONE:  # too many; phi falls fast enough for the cruder bound
                dense = (p == 1).any(0)
            sparse = np.where(dense, 0.0, p)
            histogram = _histogram(cell, sparse)
            cell, p = cell[:, dense], p[:, dense]
        else:
            histogram = (np.zeros(0, dtype=np.int64), (), none)
        cell, p = np.ascontiguousarray(cell.T), np.ascontiguousarray(p.T)
        odds = np.where(p < 1, p / np.where(p < 1, 1 - p, 1.0), 0.0)
        always = ((f.p == 1) & (G != 0)).sum(1) if f.p.max(initial=0.0) == 1 else none
        return cls(cell, p, odds, always, *histogram, f.single.sum(1), f.single.max(1))

    def at(self, table: Decay, t_cell: Int[ndarray, "octaves rows"]) -> _Sums:
        """Give the bounds at frequencies of those cells."""
        cell, p = clipped(self.cell[:, None] + t_cell), self.p[:, None]
        modulus = table.modulus[cell]
        with np.errstate(divide="ignore"):
            log_modulus = np.log(modulus)
            log_factor = np.log(_modulus(p, table.real[cell], modulus))
        log_factor = np.maximum(log_factor, -_HUGE)
        odds = self.odds[:, None]
        B, log_full = (odds * modulus).sum(0), log_factor.sum(0)
        log_always = np.where(p == 1, np.maximum(log_modulus, -_HUGE), 0.0).sum(0)
        steepest = (odds * table.first[cell]).max(0, initial=0.0)
        least = log_factor.min(0, initial=0.0)
        if self.sums:
            numbers, place = np.unique(t_cell, return_inverse=True)
            cell = clipped(self.cells[:, None] + numbers)
            modulus, real = table.modulus[cell], table.real[cell]
            # log |1 - p + p e|^2 <= -2 p (1-p) (1 - Re e) - p^2 (1 - |e|^2)
            odds, spread, square = self.sums
            lost = spread @ (1 - real) + 0.5 * (square @ (1 - modulus**2))
            seen = (np.arange(len(self.highest)), place.reshape(t_cell.shape))
            B += (odds @ modulus)[seen]
            log_full -= lost[seen]
            steepest = np.maximum(steepest, self.highest * table.first[0])
            # |1 - p + p e| >= 1 - 2p; where that says nothing a thousandth stands for it
            least = np.minimum(least, np.log(np.maximum(1 - 2 * self.highest / (1 + self.highest), 1e-3)))
        return _Sums(B, log_full, steepest, least, log_always)


def _histogram(cell: ndarray, p: ndarray) -> tuple[ndarray, tuple[ndarray, ...], ndarray]:
    """Cells of couplings, sums of weights per cell, and the largest odds."""
    high = p.max(1)
    used = p > 0
    top = int(cell.max())
    lowest = max(int(np.min(cell, where=used, initial=top)), top - _HISTOGRAM)
    width = top - lowest + 1
    place = np.maximum(cell, lowest)
    place += (width * np.arange(len(p)) - lowest)[:, None]
    place, shape = place.ravel(), (len(p), width)
    if (used & (p != high[:, None])).any():
        weights = (p / (1 - p), p * (1 - p), p * p)
        sums = [np.bincount(place, w.ravel(), width * len(p)).reshape(shape) for w in weights]
    else:
        count, q = np.bincount(place, used.ravel(), width * len(p)).reshape(shape), high[:, None]
        sums = [count * (q / (1 - q)), count * (q * (1 - q)), count * (q * q)]
    return np.arange(lowest, top + 1), tuple(sums), high / (1 - high)


@dataclass(eq=False)
class _Factors:
    """
    Bounds of the product of all factors of Phi and of what is derived of it, shape (octaves, rows).

    Every set multiplies them by its factor Q, or is the one that is derived.
    """

    full: ndarray  # product of all factors but the own one
    own_factor: ndarray
    own_slope: ndarray  # derivative of the own factor in e_own: D at mu, without the others
    others_B: ndarray  # what the others' factors are at most beyond the quiet one, as exponents; the own one's
    own_B: ndarray
    excess: ndarray  # what of them has two features of one set
    # Largest derivative in an e_j, times the bound of e'_j: of ``full``, the own set's factor and ``own_slope``
    steep_full: ndarray
    steep_own: ndarray
    steep_slope: ndarray
    # The same in units of a quiet factor: the part that is left if no other feature is active, the rest, and all
    # outside of the own set
    steep_alone: ndarray
    steep_beside: ndarray
    steep_other: ndarray

    def multiply(self, f: Frame, number: int, table: Decay, t_cell: Int[ndarray, "octaves rows"]) -> None:
        """Take in one set of several features."""
        rows, own, r, s = f.rows, f.rows.own, np.arange(t_cell.shape[1]), f.features.sets[number]
        members = list(s.members)
        cell = clipped(cells(rows.G[:, members]).T[:, None] + t_cell)
        mu, slope = table.modulus[cell], table.first[cell]
        idle = (rows.G[:, members] == 0).astype(float).T
        Q, Q0, dQ, dQ0 = s.Q(mu), s.Q(idle) * np.ones(len(r)), s.dQ(mu) * np.ones_like(mu), s.dQ(idle)[:, None]
        here = f.own_set == number
        safe = np.where(Q0 > 0, Q0, 1.0)
        ratio = np.where(Q0 > 0, (Q - Q0) / safe, np.inf)
        linear = np.where(Q0 > 0, ((idle == 0)[:, None] * dQ0 * mu).sum(0) / safe, 0.0)
        self.excess = self.excess + np.maximum(ratio - linear, 0.0)
        self.others_B, self.own_B = self.others_B + np.where(here, 0.0, ratio), np.where(here, ratio, self.own_B)
        steep = (slope * dQ).max(0)
        self.steep_full = np.where(
            here, self.steep_full, np.maximum(self.steep_full * np.minimum(Q, 1.0), self.full * steep)
        )
        self.full = np.where(here, self.full, self.full * np.minimum(Q, 1.0))
        self.own_factor = np.where(here, np.minimum(Q, 1.0), self.own_factor)
        position = np.array([members.index(j) if j in members else 0 for j in own])
        self.own_slope = np.where(here, dQ[position, :, r].T, self.own_slope)
        self.steep_alone = np.maximum(self.steep_alone, (slope * dQ0).max(0) / safe)
        self.steep_beside = np.maximum(self.steep_beside, (slope * np.maximum(dQ - dQ0, 0.0)).max(0) / safe)
        self.steep_other = np.where(here, self.steep_other, np.maximum(self.steep_other, steep / safe))
        if here.any():
            # at most P(both are active), and the part of dQ / de_own that has e_j
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                both = np.fmin(f.moments.pairs[number][:, position][:, None], self.own_slope / mu)
            self.steep_own = np.where(here, steep, self.steep_own)
            self.steep_slope = np.where(here, (slope * both).max(0), self.steep_slope)


def _at(
    f: Frame, table: Decay, singles: _Singles, t_cell: Int[ndarray, "octaves rows"], t: Float[ndarray, "octaves rows"]
) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """
    Bounds of |Phi|, |Phi_x| (patterns that are not closed) and of their derivatives in a coupling over t.

    Phi is a polynomial in the e_j whose coefficients, probabilities of patterns, are >= 0, and so is every derivative:
    each is at most its value at mu_j >= |e_j|, and what is taken out there, the closed patterns, is a coefficient less.
    With R the product over all sets but that of j, dPhi/de_j = R dQ/de_j and dD/de_j = dR/de_own dQ/de_j; for j in the
    own set dD/de_j = R d2Q/de_own de_j. Where some pattern is quiet, R <= R(idle) exp(B), which is close where features
    are rare; everywhere R is at most the product of the factors, and a factor that is derived is left out of it.
    """
    rows, own, r = f.rows, f.rows.own, np.arange(t.shape[1])
    sums = singles.at(table, t_cell)
    others_B, steepest, least = sums.B, sums.steepest, sums.least
    full = np.exp(sums.log_full - 0.5 * rows.noise * t**2)  # product over all others
    cell_own = clipped(cells(rows.G[r, own]) + t_cell)
    modulus, first, second = table.modulus[cell_own], table.first[cell_own], table.second[cell_own]
    moves, in_set = rows.G[r, own] != 0, f.own_set >= 0
    p_own = f.p_own
    own_factor = np.where(in_set, 1.0, _modulus(p_own, table.real[cell_own], modulus))
    own_always = moves & (p_own == 1)
    own_odds = np.where(p_own < 1, p_own / np.where(p_own < 1, 1 - p_own, 1.0), 0.0)
    own_B = np.where(moves & ~in_set, own_odds * modulus, 0.0)
    none, mean = np.zeros_like(t), table.first[0]
    steep_full = mean * np.minimum(full * np.exp(-least), 1.0)
    if f.features.sets:
        steep_full = np.where(f.p.any(1), steep_full, 0.0)
    at = _Factors(full, own_factor, p_own, others_B, own_B, none, steep_full, none, none, steepest, none, steepest)
    for number in range(len(f.features.sets)):
        at.multiply(f, number, table, t_cell)
    closed = f.none + singles.closed + f.alone * modulus
    # Features that are always active take part in every pattern; the closed ones have at most one of them
    always, log_always = singles.always + own_always, sums.log_always + np.where(own_always, _log(modulus), 0.0)
    quiet, quiet_D = f.quiet * np.exp(log_always), f.quiet_others * np.exp(sums.log_always)
    with np.errstate(over="ignore", invalid="ignore"):
        B, total_B = np.minimum(at.others_B, _HUGE), np.minimum(at.others_B + at.own_B, _HUGE)
        closed_out = f.none + singles.closed_most + f.alone > 0  # with noise, or where they are rare, nothing is closed
        order = np.where(closed_out, always, 2)
        few, few_D = np.exp(total_B), np.exp(B)
        lost, lost_D = _lost(f.quiet, total_B), _lost(f.quiet_others, B)
        phi = _least(quiet * (_but_few(total_B, order) + few * at.excess), at.own_factor * at.full + closed, lost)
        order_D = np.where(closed_out & ~(singles.always > 0), np.where(moves, 1, 0), 2)
        D_few = p_own * quiet_D * (_but_few(B, order_D) + few_D * at.excess)
        D_few = np.where(in_set, quiet_D * at.own_slope * few_D - f.alone * (1 - 1e-12), D_few)
        D = _least(D_few, at.own_slope * at.full + f.alone + f.with_single * singles.closed, lost_D)
        steep_closed = (singles.closed_most + f.alone) * mean
        some = at.steep_alone * _but_few(total_B, np.where(closed_out, 1, 2)) + at.steep_beside * few
        every = np.maximum(at.own_factor * at.steep_full, at.full * at.steep_own)
        g_phi = _least(np.where(always > 0, np.inf, quiet * some), every + steep_closed, lost)
        some = np.maximum(at.own_slope * at.steep_other, at.steep_slope) * few_D
        every = np.maximum(at.own_slope * at.steep_full, at.full * at.steep_slope)
        g_D = _least(np.where(singles.always > 0, np.inf, quiet_D * some), every + f.with_single * steep_closed, lost_D)
    x = D * first
    g_phi = np.maximum(np.maximum(g_phi, phi), x)
    return phi, x, g_phi, np.maximum(np.maximum(g_D * first, x), D * second)


def _least(few: ndarray, every: ndarray, useless: ndarray | bool) -> ndarray:
    """The smaller of two bounds, the first of which may be useless."""
    return np.minimum(np.where(np.isnan(few) | useless, np.inf, few), every)


def _lost(none: ndarray, B: ndarray) -> ndarray:
    """Whether P(none) exp(B) says nothing."""
    return (none <= 0) | (B >= _HUGE)


def _modulus(p: ndarray, real: ndarray, modulus: ndarray) -> ndarray:
    """Bound of |1 - p + p e|."""
    return np.sqrt(np.maximum((1 - p) ** 2 + 2 * p * (1 - p) * real + (p * modulus) ** 2, 0.0))


def _log(modulus: ndarray) -> ndarray:
    """Logarithm without warnings."""
    return np.log(np.maximum(modulus, 1e-260))


def _but_few(B: ndarray, order: ndarray) -> ndarray:
    """exp(B) without its first terms: 1 and B for order 0, 1 for order 1, none beyond; without cancellation."""
    two = np.where(B < 1e-3, B * B / 2 * (1 + B), np.expm1(B) - B)
    return np.where(order == 0, two, np.where(order == 1, np.expm1(B), np.exp(B)))
