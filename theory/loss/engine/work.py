"""What has been added up of the rows of a block: nodes feature by feature, or by power sums of many features."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.bulk import Plan, Split, plan
from theory.loss.engine.closed import closed_part
from theory.loss.engine.credit import variation
from theory.loss.engine.frame import Frame
from theory.loss.engine.nodes import Bulk, NodeSums, node_sums
from theory.loss.engine.window import Window

__all__ = ["Work", "later"]

# Complex numbers per array in the inner loop: of half as many, calls take a tenth of the time.
_BLOCK_ELEMENTS = 48_000
# Up to so many couplings times nodes, calls cost more than numbers: rows with unlike numbers of nodes are cut into
# strips of so many nodes, and added together. Else strips are long, and of rows with the same nodes.
_TOGETHER, _STRIP, _LONG_STRIP = 100_000, 16, 64
# Terms that are kept until they are measured.
_TERMS = 1_000_000
# Chebyshev series may cost this part; if one costs more, it gets so many times as many terms, and again.
_SERIES_SHARE, _MORE, _ATTEMPTS = 0.2, 1.5, 4
# Series in p get so much less to miss then.
_FINER = 1e-4
# Where so small a part is asked for, so many times as many terms are needed: log(1 - p + p e) has poles.
_FIRST = ((1e-5, 1.0), (1e-8, 1.25), (0.0, 1.75))
_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class Work:
    """Rows and what has been added up so far."""

    f: Frame
    w: Window
    base: ndarray
    rtol: float
    allowed: ndarray  # what was expected to be asked for
    plan: Plan | None
    lone: ndarray  # (rows, n): P(only j) of single features
    reach: ndarray
    value: ndarray
    dG: ndarray
    db: ndarray
    dnoise: ndarray
    rounding: ndarray
    slope_rounding: ndarray
    noise_error: ndarray
    series: ndarray
    slope_series: ndarray
    nodes: ndarray
    summed: ndarray

    @classmethod
    def of(cls, f: Frame, w: Window, base: ndarray, rtol: float, allowed: ndarray) -> "Work":
        value, dG, db, size, unsure = closed_part(f, w.half)
        lone = f.single
        if f.features.sets:  # they count their members themselves
            lone = lone.copy()
            lone[:, [j for s in f.features.sets for j in s.members]] = 0.0
        active, zero = f.moments.active, np.zeros_like(value)
        return cls(
            f=f,
            w=w,
            base=base,
            rtol=rtol,
            allowed=allowed,
            plan=plan(f, 2 * np.pi / w.half, allowed),
            lone=lone,
            reach=np.abs(f.rows.b) + (np.abs(f.rows.G) * active).sum(1) + np.abs(f.rows.G).max(1),
            value=value,
            dG=dG,
            db=db,
            dnoise=zero.copy(),
            rounding=4 * _EPS * size,
            slope_rounding=2 * _EPS * w.half * np.abs(f.weights[..., 1:]).sum((1, 2)) + unsure,
            noise_error=zero.copy(),
            series=zero.copy(),
            slope_series=zero.copy(),
            nodes=np.zeros(len(value), dtype=int),
            summed=np.full(len(value), False),
        )

    def add(self, which: Int[ndarray, " some"], last: Int[ndarray, " some"]) -> Float[ndarray, " some"]:
        """Add the nodes up to those numbers to some rows; return the largest sums of consecutive later terms."""
        first, stop, measured = self.nodes[which], self.nodes.copy(), np.zeros(len(self.value))
        stop[which] = last
        rest = which
        if self.plan is not None:
            self.summed[which] |= first == 0
            groups = [(which[(first == a) & (last == b)], a, b) for a, b in _pairs(first, last)]
            rest = np.concatenate([self._add_summed(*group, measured) for group in groups])
            self.summed[rest] = False
        if len(rest):
            measured[rest] = self._add_one_by_one(rest, self.nodes[rest], stop[rest])
        self.nodes[which] = last
        return measured[which]

    def _add_one_by_one(
        self, which: Int[ndarray, " some"], first: Int[ndarray, " some"], last: Int[ndarray, " some"]
    ) -> Float[ndarray, " some"]:
        """Add nodes feature by feature: those of few rows together, else rows with the same nodes together."""
        n = self.f.rows.G.shape[1]
        if (last - first).sum() * n <= _TOGETHER:
            return self._add_strips(which, first, last, _STRIP)
        measured = np.zeros(len(which))
        for a, b in _pairs(first, last):
            group = np.flatnonzero((first == a) & (last == b))
            length = -(-(b - a) // -(-(b - a) // _LONG_STRIP))
            size = max(1, _TERMS // (b - a))
            for start in range(0, len(group), size):
                some = group[start : start + size]
                measured[some] = self._add_strips(which[some], first[some], last[some], length)
        return measured

    def _add_strips(
        self,
        which: Int[ndarray, " some"],
        first: Int[ndarray, " some"],
        last: Int[ndarray, " some"],
        length: int,
    ) -> Float[ndarray, " some"]:
        """Add nodes to rows, cut into strips of that length; return the largest sum of consecutive later terms."""
        count = -(-(last - first) // length)
        row = np.repeat(np.arange(len(which)), count)
        number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        terms = np.zeros((len(which), int(count.max()), length))
        most = max(1, _BLOCK_ELEMENTS // (self.f.rows.G.shape[1] * length))
        for start in range(0, len(row), most):
            r, strip = row[start : start + most], number[start : start + most]
            k = (first[r] + length * strip)[:, None] + np.arange(length)
            summand = self._add_block(which[r], k, last[r])
            terms[r, strip] = np.where(k >= later(first[r], last[r])[:, None], summand, 0.0)
        return variation(terms.reshape(len(which), -1))

    def _add_block(
        self, of: Int[ndarray, " strips"], k: Int[ndarray, "strips nodes"], last: Int[ndarray, " strips"]
    ) -> Float[ndarray, "strips nodes"]:
        """Add strips of nodes to the rows that they are of, strips of a row in a sequence; return the value's terms."""
        part, singles = self.f.take(of), self.one_by_one
        h = (2 * np.pi / self.w.half[of])[:, None]
        G, p, lone = (a[:, singles] for a in (part.rows.G, part.p, self.lone[of]))
        t = (k + 0.5) * h
        s = node_sums(part, t, np.where(k < last[:, None], h, 0.0), G, p, lone)
        starts = np.flatnonzero(np.diff(of, prepend=-1))
        self._keep(of, s, t, starts)
        rows = of[starts] if isinstance(singles, slice) else of[starts, None]
        self.dG[rows, singles] += _joined(s.d_single, starts)
        return np.asarray(s.summand.real)

    @cached_property
    def one_by_one(self) -> Int[ndarray, " some"] | slice:
        """Features that belong to no larger set."""
        members = [j for s in self.f.features.sets for j in s.members]
        return np.setdiff1d(np.arange(self.f.rows.G.shape[1]), members) if members else slice(None)

    @cached_property
    def finer(self) -> Plan | None:
        """The plan for rows of which less was left than expected."""
        if self.plan is None or self.plan.shared:
            return self.plan
        return plan(self.f, 2 * np.pi / self.w.half, _FINER * self.allowed)

    def _add_summed(
        self, group: Int[ndarray, " some"], first: int, last: int, measured: Float[ndarray, " rows"]
    ) -> Int[ndarray, " rest"]:
        """Use power sums where their series is accurate enough; return the rows where it is not."""
        assert self.plan is not None
        h = 2 * np.pi / self.w.half[group]
        exponents = self.plan.take(group).choose(h)
        rest = []
        for exponent in np.unique(exponents):
            left, more, now = group[exponents == exponent], _first(self.rtol) if self.plan.shared else 1.0, self.plan
            for _ in range(_ATTEMPTS):
                left = self._try_summed(left, now, first, last, int(exponent), more, measured)
                if not len(left):
                    break
                more *= _MORE
                now = self.finer or now
            rest.append(left)
        return np.concatenate(rest)

    def _try_summed(
        self,
        which: Int[ndarray, " some"],
        plan: Plan,
        first: int,
        last: int,
        exponent: int,
        more: float,
        measured: Float[ndarray, " rows"],
    ) -> Int[ndarray, " rest"]:
        """Add the rows whose series costs little enough; return the others."""
        everything = len(which) == len(self.value)
        part, k = self.f if everything else self.f.take(which), np.arange(first, last)
        h = 2 * np.pi / self.w.half[which]
        some = plan if everything else plan.take(which)
        split = Split.of(some, part, h, exponent, (first, last), more, len(self.value))
        if split is None:
            return which
        log_phi, single = split.sums()
        singles, t = some.alone, (k + 0.5) * h[:, None]
        G, p, lone = part.rows.G[:, singles], part.p[:, singles], self.lone[which[:, None], singles]
        size = max(1, _BLOCK_ELEMENTS // (len(singles) * len(k))) if len(singles) else len(which)
        blocks = [slice(start, start + size) for start in range(0, len(which), size)]
        s = NodeSums.joined(
            [
                node_sums(part.take(c), t[c], h[c, None], G[c], p[c], lone[c], Bulk(log_phi[c], single[c]))
                for c in blocks
            ]
        )
        miss, slope_miss, noise_miss = split.miss(s, t)
        now = np.maximum(self.base[which] + self.value[which] + s.value, 0.0)
        asked = np.maximum(self.rtol * now, part.rows.enough)
        good = miss <= np.maximum(_SERIES_SHARE * asked, self.rounding[which])
        if not good.any():
            return which
        slope = split.gradient(s.to_log_phi / t, s.to_single / t)
        slope[:, singles] = s.d_single
        kept = which[good]
        self.series[kept] += miss[good]
        self.noise_error[kept] += noise_miss[good]
        self.slope_series[kept] += slope_miss[good]
        if len(kept) == len(self.value):
            self.dG[...] += slope
        else:
            self.dG[kept] += slope[good]
        self._keep(kept, s.take(good), t[good], np.arange(len(kept)))
        measured[kept] = variation(s.summand.real[good][:, k >= (first or last // 2)])
        return which[~good]

    def _keep(
        self, of: Int[ndarray, " strips"], s: NodeSums, t: Float[ndarray, "strips nodes"], starts: Int[ndarray, " rows"]
    ) -> None:
        """Add what strips of nodes contribute, but for the gradient of single features; each row's are a sequence."""
        which = of[starts]
        self.value[which] += _joined(s.value, starts)
        self.db[which] += _joined(s.db, starts)
        self.dnoise[which] += _joined(s.dnoise, starts)
        own = self.f.rows.own[which]
        self.dG[which, own] += _joined(s.d_own, starts)
        for law, slopes in zip(self.f.features.sets, s.d_sets, strict=True):
            for j, slope in zip(law.members, slopes, strict=True):
                self.dG[which, j] += np.where(own == j, 0.0, _joined(slope, starts))
        grown = s.full_size * (8 + 4 * t * self.reach[of, None])
        for power, total in enumerate((self.rounding, self.slope_rounding, self.noise_error)):
            if power < 2 or self.f.rows.noise.any():
                total[which] += (0.5 if power == 2 else 1.0) * _EPS * _joined(grown.sum(1), starts)
                grown *= t


def _first(rtol: float) -> float:
    """How many times as many terms the first attempt gets."""
    return next(more for least, more in _FIRST if rtol >= least)


def _joined(strips: Float[ndarray, "strips *n"], starts: Int[ndarray, " rows"]) -> Float[ndarray, "rows *n"]:
    """Sums of the strips from every start to the next."""
    return strips if len(starts) == len(strips) else np.asarray(np.add.reduceat(strips, starts))


def later(first: Int[ndarray, " some"], last: Int[ndarray, " some"]) -> Int[ndarray, " some"]:
    """First of the nodes whose terms are measured: all that are added to others, else the second half."""
    return np.where(first > 0, first, last // 2)


def _pairs(first: Int[ndarray, " some"], last: Int[ndarray, " some"]) -> list[tuple[int, int]]:
    """The different pairs of numbers."""
    return sorted(set(zip(first.tolist(), last.tolist(), strict=True)))
