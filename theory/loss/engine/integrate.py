"""Quadrature of the rows of a block: nodes are added, row by row, until the stated error is small enough."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.activation import SquaredError
from theory.loss.engine.bulk import Plan, Split, plan
from theory.loss.engine.closed import closed_part
from theory.loss.engine.credit import credit, least_ratio, variation
from theory.loss.engine.frame import Frame, frame
from theory.loss.engine.moments import Moments, moments
from theory.loss.engine.nodes import Bulk, NodeSums, node_sums
from theory.loss.engine.rows import Features, Rows
from theory.loss.engine.tails import FIRST_NODES, tails
from theory.loss.engine.window import Window, window

__all__ = ["Integral", "integrate"]

# Complex numbers per array in the inner loop: of three times as many, half spill from the L2 cache.
_BLOCK_ELEMENTS = 24_000
# The step may cost this part of what is allowed: the window grows with the logarithm only.
_STEP_SHARE = 1e-3
# If it costs this part of the value's, rows whose value is below this part of what was expected get another step.
_STEP_LIMIT, _COARSE = 0.1, 0.1
# Chebyshev series may cost this part; if one costs more, it gets so many times as many terms, and again.
_SERIES_SHARE, _MORE, _ATTEMPTS = 0.2, 1.5, 4
# To a smaller part than this the first attempt is in vain.
_LONG = 1e-8
# Terms are measured against their bounds; beyond the last node they are trusted to stay at this multiple of the
# measured ratio, as far as theory.loss.engine.credit gives them credit.
_SAFETY = 4.0
_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class Integral:
    """
    The kinks' terms of rows that pass them, their gradient, and errors.

    Attributes
    ----------
    value, db, dnoise : ndarray, shape (rows,)
        What is to be added to the polynomial part; dnoise for rows with noise.
    dG : ndarray, shape (rows, n)
        Derivatives in the couplings.
    truncation, step, series, rounding, gradient_error, noise_error : ndarray, shape (rows,)
        Parts of the value's error, and the errors of any entry of the gradient and of dnoise.
    nodes : ndarray of int, shape (rows,)
        Nodes used.
    summed : ndarray of bool, shape (rows,)
        Whether power sums were used for all nodes.
    """

    value: ndarray
    dG: ndarray
    db: ndarray
    dnoise: ndarray
    truncation: ndarray
    step: ndarray
    series: ndarray
    rounding: ndarray
    gradient_error: ndarray
    noise_error: ndarray
    nodes: ndarray
    summed: ndarray


def integrate(
    rows: Rows,
    features: Features,
    error: SquaredError,
    sign: Float[ndarray, "rows kinks"],
    low: Float[ndarray, " rows"],
    high: Float[ndarray, " rows"],
    base: Float[ndarray, " rows"],
    rtol: float,
    max_nodes: int,
    m: Moments | None = None,
    scale: Float[ndarray, " rows"] | None = None,
) -> Integral:
    """
    Integrate rows that pass a kink.

    Parameters
    ----------
    rows : Rows
        The rows.
    features : Features
        What feeds them; all rows of a block have the same densities if features are many.
    error : SquaredError
        The activation.
    sign : ndarray, shape (rows, kinks)
        Non-zero for kinks that are part of ``base``.
    low, high : ndarray, shape (rows,)
        Smallest and largest z.
    base : ndarray, shape (rows,)
        The polynomial part of the value, to which the accuracy is relative.
    rtol : float
        Relative accuracy.
    max_nodes : int
        Most nodes of a row.
    m : Moments, optional
        The rows' moments, if they are known.
    scale : ndarray, shape (rows,), optional
        What is expected of value and base; the step follows. By default the zero model's; better rows are done again.

    Returns
    -------
    Integral
        Sums and errors.
    """
    m = moments(rows, features) if m is None else m
    f = frame(rows, features, m, error, sign)
    scale = np.maximum(m.square_own, 1e-300) if scale is None else scale
    w = window(rows, features, m, error, low, high, _STEP_SHARE * rtol * scale)
    work = _Work.of(f, w, base, rtol, float((rtol * scale).min()))
    spread = np.sqrt(np.maximum(np.einsum("rj,rj->r", rows.G, m.cov_z), 0.0) + rows.noise)
    bound, grid = tails(f, w.half, spread), _node_grid(max_nodes)
    h = 2 * np.pi / w.half
    ratio, slope_ratio, truncation = np.ones(len(base)), np.ones(len(base)), np.full(len(base), np.inf)
    todo, coarse = np.arange(len(base)), np.zeros(len(base), dtype=bool)
    # First guess: as if the terms were at their least multiple of the bounds
    beyond = np.stack([bound.beyond(int(nodes)) for nodes in grid])
    target = _enough(
        beyond, 0.5 * np.maximum(rtol * scale, rows.enough) / least_ratio(f, np.where(rows.G != 0, m.active, 0.0))
    )
    while len(todo):
        if work.plan is not None and not work.plan.shared:  # fewer kinds of dear series
            target[todo] = np.minimum(target[todo] + target[todo] % 2, len(grid) - 1)
        start, stop = work.nodes[todo], grid[target[todo]]
        for first, last in sorted(set(zip(start.tolist(), stop.tolist(), strict=True))):
            group = todo[(start == first) & (stop == last)]
            least, growth, unseen = credit(f, m, group, h[group] * last)
            measured = work.add(group, first, last)
            expected = bound.between(first or last // 2, last)[group]
            measured_ratio = np.clip(_SAFETY * measured / np.maximum(expected, 1e-300), least, 1.0)
            whole, curved = bound.beyond(last)[group], bound.beyond(last, "curved")[group]
            truncation[group] = np.minimum(measured_ratio * whole + growth * curved, whole)
            ratio[group] = truncation[group] / np.maximum(whole, 1e-300)
            slope_ratio[group] = np.minimum(4 * (measured_ratio + unseen), 1.0)
        now = np.maximum(base[todo] + work.value[todo], 0.0)
        others = w.error[todo] + work.rounding[todo] + work.series[todo]
        asked = np.maximum(rtol * now, rows.enough[todo])
        allowed = np.maximum(asked - others, work.rounding[todo])
        step_allowed = np.maximum(_STEP_LIMIT * asked, work.rounding[todo])
        coarse[todo] = (w.error[todo] > step_allowed) & (now < _COARSE * scale[todo])
        again = (truncation[todo] > allowed) & (work.nodes[todo] < grid[-1]) & ~coarse[todo]
        todo, allowed = todo[again], allowed[again]
        enough = np.maximum(_enough(beyond[:, todo], allowed / ratio[todo]), target[todo] + 1)
        target[todo] = np.minimum(enough, len(grid) - 1)
    still = (rows.G == 0) & (m.p > 0)  # features that do not move z are independent of it
    still[np.arange(len(base)), rows.own] = False
    slope_truncation = slope_ratio * bound.after(work.nodes, "gradient")
    found = Integral(
        value=work.value,
        dG=np.where(still, m.mean_x * work.db[:, None], work.dG),
        db=work.db,
        dnoise=np.where(rows.noise > 0, work.dnoise, 0.0),
        truncation=truncation,
        step=w.error,
        series=work.series,
        rounding=work.rounding,
        gradient_error=work.slope_rounding + w.gradient_error + work.slope_series + slope_truncation,
        noise_error=work.noise_error + w.noise_error + bound.after(work.nodes, "noise"),
        nodes=work.nodes,
        summed=work.summed,
    )
    if coarse.any():
        which = np.flatnonzero(coarse)
        left = np.maximum(base + work.value - w.error, _EPS * scale)[which]
        some, seen, ends = rows.take(which), features.take(which), (low[which], high[which], base[which])
        again = integrate(some, seen, error, sign[which], *ends, rtol, max_nodes, scale=left)
        for part in fields(Integral):
            getattr(found, part.name)[which] = getattr(again, part.name)
    return found


@dataclass(frozen=True, eq=False)
class _Work:
    """Rows and what has been added up so far."""

    f: Frame
    w: Window
    base: ndarray
    rtol: float
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
    def of(cls, f: Frame, w: Window, base: ndarray, rtol: float, least: float) -> "_Work":
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
            plan=plan(f, 1e-4 * least),
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

    def add(self, group: Int[ndarray, " some"], first: int, last: int) -> Float[ndarray, " some"]:
        """Add nodes to some rows; return the largest sum of consecutive terms among the later ones."""
        measured = np.zeros(len(self.value))
        rest = group
        if self.plan is not None:
            if not self.nodes[group].any():
                self.summed[group] = True
            rest = self._add_summed(group, first, last, measured)
            self.summed[rest] = False
        n = self.f.rows.G.shape[1]
        size = max(1, _BLOCK_ELEMENTS // max(1, n * min(last - first, 64)))
        one_by_one = self._in_no_set()
        for start in range(0, len(rest), size):
            which = rest[start : start + size]
            part, terms = self.f.take(which), []
            for k in _node_blocks(first, last, len(which) * n):
                G, p, lone = (a[:, one_by_one] for a in (part.rows.G, part.p, self.lone[which]))
                h = (2 * np.pi / self.w.half[which])[:, None]
                s = node_sums(part, (k + 0.5) * h, h, G, p, lone)
                self.dG[which[:, None], one_by_one] += s.d_single
                self._keep(which, s, k)
                terms.append(s.summand.real[:, k >= (first or last // 2)])
            measured[which] = variation(np.concatenate(terms, axis=1))
        self.nodes[group] = last
        return measured[group]

    def _in_no_set(self) -> Int[ndarray, " some"]:
        """Features that belong to no larger set."""
        members = [j for s in self.f.features.sets for j in s.members]
        return np.setdiff1d(np.arange(self.f.rows.G.shape[1]), members)

    def _add_summed(
        self, group: Int[ndarray, " some"], first: int, last: int, measured: Float[ndarray, " rows"]
    ) -> Int[ndarray, " rest"]:
        """Use power sums where their series is accurate enough; return the rows where it is not."""
        assert self.plan is not None
        h = 2 * np.pi / self.w.half[group]
        outer, exponents = self.plan.take(group).choose(h, last)
        rest = []
        for pair in np.unique(exponents, axis=0):
            left, more = group[(exponents == pair).all(1)], 1.0 if self.rtol >= _LONG else _MORE
            for _ in range(_ATTEMPTS):
                left = self._try_summed(left, first, last, outer, (int(pair[0]), int(pair[1])), more, measured)
                more *= _MORE
                if not len(left):
                    break
            rest.append(left)
        return np.concatenate(rest)

    def _try_summed(
        self,
        which: Int[ndarray, " some"],
        first: int,
        last: int,
        outer: int,
        exponents: tuple[int, int],
        more: float,
        measured: Float[ndarray, " rows"],
    ) -> Int[ndarray, " rest"]:
        """Add the rows whose series costs little enough; return the others."""
        assert self.plan is not None
        everything = len(which) == len(self.value)
        part, k = self.f if everything else self.f.take(which), np.arange(first, last)
        h = 2 * np.pi / self.w.half[which]
        split = Split.of(
            self.plan if everything else self.plan.take(which),
            part,
            h,
            outer,
            exponents,
            (first, last),
            more,
            len(self.value),
        )
        if split is None:
            return which
        log_phi, single = split.sums()
        singles = split.outside[:, : self.plan.fixed]
        G, p, lone = (np.take_along_axis(a, singles, 1) for a in (part.rows.G, part.p, self.lone[which]))
        s = node_sums(part, (k + 0.5) * h[:, None], h[:, None], G, p, lone, Bulk(log_phi, single))
        miss = s.full_size @ split.tail
        now = np.maximum(self.base[which] + self.value[which] + s.value, 0.0)
        asked = np.maximum(self.rtol * now, part.rows.enough)
        good = miss <= np.maximum(_SERIES_SHARE * asked, self.rounding[which])
        if not good.any():
            return which
        t = (k + 0.5) * h[:, None]
        slope = split.gradient(s.to_log_phi / t, s.to_single / t)
        np.put_along_axis(slope, singles, s.d_single, axis=1)
        kept = which[good]
        self.series[kept] += miss[good]
        self.noise_error[kept] += (0.5 * t**2 * s.full_size * split.tail).sum(1)[good]
        self.slope_series[kept] += (s.full_size * split.tail_slope()).sum(1)[good]
        if len(kept) == len(self.value):
            self.dG[...] += slope
        else:
            self.dG[kept] += slope[good]
        self._keep(kept, s.take(good), k)
        measured[kept] = variation(s.summand.real[good][:, k >= (first or last // 2)])
        return which[~good]

    def _keep(self, which: Int[ndarray, " some"], s: NodeSums, k: Int[ndarray, " nodes"]) -> None:
        """Add what nodes contribute, but for the gradient of single features."""
        self.value[which] += s.value
        self.db[which] += s.db
        self.dnoise[which] += s.dnoise
        own = self.f.rows.own[which]
        self.dG[which, own] += s.d_own
        for law, slopes in zip(self.f.features.sets, s.d_sets, strict=True):
            for j, slope in zip(law.members, slopes, strict=True):
                self.dG[which, j] += np.where(own == j, 0.0, slope)
        t = (k + 0.5) * (2 * np.pi / self.w.half[which])[:, None]
        grown = s.full_size * (8 + 4 * t * self.reach[which, None])
        self.rounding[which] += _EPS * grown.sum(1)
        self.slope_rounding[which] += _EPS * (t * grown).sum(1)
        self.noise_error[which] += 0.5 * _EPS * (t**2 * grown).sum(1)


def _node_grid(max_nodes: int) -> Int[ndarray, " grid"]:
    """Numbers of nodes a row may have: 16, 24, 32, 48, 64 ... up to the budget."""
    grid = np.array([FIRST_NODES * 2**k * part // 2 for k in range(20) for part in (2, 3)])
    return grid[grid <= max(max_nodes, FIRST_NODES)]


def _enough(beyond: Float[ndarray, "grid some"], allowed: Float[ndarray, " some"]) -> Int[ndarray, " some"]:
    """Index of the least number of nodes beyond which the bound is at most what is allowed; the last if none is."""
    good = beyond <= allowed
    return np.where(good.any(0), good.argmax(0), len(beyond) - 1)


def _node_blocks(first: int, last: int, width: int) -> list[Int[ndarray, " nodes"]]:
    """Cut nodes into blocks whose arrays fit the cache."""
    size = max(8, _BLOCK_ELEMENTS // max(1, width))
    return [np.arange(k, min(k + size, last)) for k in range(first, last, size)]
