"""Quadrature of rows whose z has no exponential moment: adaptive panels, octave by octave of frequency.

The midpoint rule of theory.loss.engine.integrate needs a step below 2 pi over the largest |z| that matters, and as many
nodes at high frequencies, where only the few places count at which densities are not smooth. With heavy tails these
are some 1e4 times apart. Here every octave has panels of its own, halved until Gauss's and Kronrod's rules agree.
Below a frequency of about one over the size of z the integrands are differences (theory.loss.engine.differences), and
octaves are added downwards until they say nothing; above it the terms are those of theory.loss.engine.nodes, and
octaves are added until the bound on all that follow (theory.loss.engine.tails) is small.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.activation import SquaredError
from theory.loss.engine.closed import closed_part
from theory.loss.engine.credit import credit, variation
from theory.loss.engine.differences import low_sums
from theory.loss.engine.envelope import abs_moment
from theory.loss.engine.frame import Frame, frame
from theory.loss.engine.integrate import Integral
from theory.loss.engine.moments import Moments, moments
from theory.loss.engine.nodes import node_sums
from theory.loss.engine.rows import Features, Rows
from theory.loss.engine.tails import FIRST_NODES, OCTAVES, Tails, tails

__all__ = ["integrate_octaves"]

# Kronrod's nodes > 0, outermost first, their weights, and those of Gauss's rule at every other one (QUADPACK).
_NODES = (
    0.991455371120812639206854697526329, 0.949107912342758524526189684047851, 0.864864423359769072789712788640926,
    0.741531185599394439863864773280788, 0.586087235467691130294144691258790, 0.405845151377397166906606412076961,
    0.207784955007898467600689403773245, 0.0,
)  # fmt: skip
_KRONROD = (
    0.022935322010529224963732008058970, 0.063092092629978553290700663189204, 0.104790010322250183839876322541518,
    0.140653259715525918745189590510238, 0.169004726639267902826583426598550, 0.190350578064785409913256402421014,
    0.204432940075298892414161999234649, 0.209482141084727828012999174891714,
)  # fmt: skip
_GAUSS = (
    0.129484966168869693270611432679082, 0.279705391489276667901467771423780, 0.381830050505118944950369775488975,
    0.417959183673469387755102040816327,
)  # fmt: skip
_X = np.array([*(-x for x in _NODES), *_NODES[-2::-1]])
_W = np.array([*_KRONROD, *_KRONROD[-2::-1]])
_MISS = _W.copy()  # Kronrod's rule minus Gauss's
_MISS[1::2] -= np.array([*_GAUSS, *_GAUSS[-2::-1]])
# Complex numbers per array in the inner loop.
_ELEMENTS = 60_000
# A panel may miss this part of what a row is allowed, its slope so many times as much; how often it is halved.
_PANEL, _SLOPE, _HALVINGS = 1e-3, 10.0, 12
# Low octaves that are added at once, and the most of them: frequencies whose squares are numbers.
_AT_ONCE, _MOST_OCTAVES = 8, 400
# Up to so many nodes panels are the same at all points, so that losses of neighbouring points differ smoothly: below a
# row's first high octave so many, each so many octaves wide, and one from 0 on; above, so many of every octave.
_FEW_NODES, _WIDE, _OCTAVES_OF_ONE, _PARTS = 600, 6, 3, (1, 1, 1, 2, 2, 4)
_BELOW = np.append(0.0, 2.0 ** (-_OCTAVES_OF_ONE * np.arange(_WIDE, -1, -1)))
_ABOVE = np.append(
    np.concatenate([2.0**octave * (1 + np.arange(k) / k) for octave, k in enumerate(_PARTS)]), 2.0 ** len(_PARTS)
)
# What is left when octaves end may be this part of what is allowed.
_LEFT = 0.1
# Measured terms are trusted to stay at this multiple of their ratio to the bounds, as in theory.loss.engine.integrate.
_SAFETY = 4.0
_EPS = float(np.finfo(float).eps)


@dataclass(eq=False)
class _Sums:
    """Contributions by label, a row or one of its octaves."""

    value: ndarray
    db: ndarray
    dnoise: ndarray
    dG: ndarray
    miss: ndarray
    slope_miss: ndarray
    rounding: ndarray
    slope_rounding: ndarray
    swing: ndarray  # largest sum of consecutive terms of a panel, added up
    nodes: ndarray

    @classmethod
    def zeros(cls, labels: int, n: int) -> "_Sums":
        a, b, c, d, e, f, g, h = (np.zeros(labels) for _ in range(8))
        return cls(a, b, c, np.zeros((labels, n)), d, e, f, g, h, np.zeros(labels, dtype=int))

    def add(self, label: Int[ndarray, " panels"], **parts: ndarray) -> None:
        for name, part in parts.items():
            np.add.at(getattr(self, name), label, part)


def integrate_octaves(
    rows: Rows,
    features: Features,
    error: SquaredError,
    sign: Float[ndarray, "rows kinks"],
    base: Float[ndarray, " rows"],
    rtol: float,
    max_nodes: int,
) -> Integral:
    """
    Integrate rows that pass a kink.

    Parameters
    ----------
    rows : Rows
        The rows.
    features : Features
        What feeds them; their value law knows its ``losses``.
    error : SquaredError
        The activation.
    sign : ndarray, shape (rows, kinks)
        Non-zero for kinks that are part of ``base``.
    base : ndarray, shape (rows,)
        The polynomial part of the value.
    rtol : float
        Relative accuracy.
    max_nodes : int
        Most nodes of a row at high frequencies.

    Returns
    -------
    Integral
        Sums and errors; ``step`` is what panels miss and low octaves leave, ``series`` what the law leaves out.
    """
    m = moments(rows, features)
    f, law = frame(rows, features, m, error, sign), features.values
    count = len(rows.b)
    scale = np.maximum(m.square_own, 1e-300)
    mean = abs_moment(law, 1)
    bias = np.abs(rows.b[:, None] - f.weights[..., 0]).max(1)
    size = bias + mean * np.abs(rows.G).max(1) + np.sqrt(rows.noise)
    # a power of two: the frequency between both kinds of octaves is locally constant
    start = 2.0 ** np.round(-np.log2(np.maximum(size, 1e-300)))
    panels = _Panels(f, m, start, 0.5 * rtol * scale * _PANEL)

    value, dG, db, rounded, unsure = closed_part(
        f, 4 / (np.pi * start)
    )  # half of it is (2/pi) Int dt / t^2 from there on
    few, nothing = max_nodes <= _FEW_NODES, np.zeros(count)
    low, left, slope_left = (
        (panels.same(_BELOW, low=True), nothing, nothing) if few else _low(panels, rtol * scale * _LEFT)
    )
    edge = low_sums(f, m, start[:, None], np.zeros((count, 1)))
    spread = np.sqrt(np.maximum((rows.G * m.cov_z).sum(1), 0) + rows.noise)
    bound = tails(f, 2 * np.pi * FIRST_NODES / start, spread, rtol * scale)
    now = value + base + low.value - edge.signed[:, 0]
    high, truncation, slope_ratio, reached = (
        _few_high(panels, bound) if few else _high(panels, bound, now, rtol, max_nodes)
    )
    reach = 1 + np.abs(rows.G).max(1)
    lost = 4 * law.neglected * (m.active[np.arange(count), rows.own] + (m.active * rows.G**2).sum(1))
    slope_lost = 4 * law.neglected * (m.active * (1 + np.abs(rows.G))).sum(1)
    still = (rows.G == 0) & (m.p > 0)  # features that do not move z are independent of it
    still[np.arange(count), rows.own] = False
    db = db + low.db + high.db
    slope_beyond, noise_beyond = (bound.beyond(reached, kind) for kind in ("gradient", "noise"))
    known = law.transform_error * (low.swing + high.swing)
    slope_error = unsure + 4 * _EPS * rounded + low.slope_rounding + high.slope_rounding
    slope_error = slope_error + reach * (low.slope_miss + high.slope_miss + slope_left) + slope_lost
    return Integral(
        value=value + low.value - edge.signed[:, 0] + high.value,
        dG=np.where(still, m.mean_x * db[:, None], dG + low.dG + high.dG),
        db=db,
        dnoise=np.where(rows.noise > 0, low.dnoise + high.dnoise, 0.0),
        truncation=truncation,
        step=low.miss + high.miss + left,
        series=lost,
        rounding=4 * _EPS * rounded + low.rounding + high.rounding + known,
        gradient_error=slope_error + slope_ratio * slope_beyond + mean * known,
        noise_error=(low.slope_miss + high.slope_miss) * start + noise_beyond,
        nodes=low.nodes + high.nodes,
        summed=np.full(count, False),
    )


def _low(
    panels: "_Panels", allowed: Float[ndarray, " rows"]
) -> tuple[_Sums, Float[ndarray, " rows"], Float[ndarray, " rows"]]:
    """Add octaves downwards; what is left, of the value and of derivatives, as if octaves went on falling."""
    count, n = panels.f.rows.G.shape
    total, todo = _Sums.zeros(count, n), np.arange(count)
    left, slope_left = np.full(count, np.inf), np.full(count, np.inf)
    for first in range(0, _MOST_OCTAVES, _AT_ONCE):
        row = np.repeat(todo, _AT_ONCE)
        top = panels.start[row] * 2.0 ** -(first + np.tile(np.arange(_AT_ONCE), len(todo)))
        found = panels.integrate(row, np.arange(len(row)), top / 2, top, low=True)
        total.add(row, **vars(found))
        by_octave = np.abs(found.value).reshape(-1, _AT_ONCE)
        slopes = np.maximum(np.abs(found.dG).max(1), np.abs(found.db)).reshape(-1, _AT_ONCE)
        left[todo], slope_left[todo] = _geometric(by_octave), _geometric(slopes)
        todo = todo[(left[todo] > allowed[todo]) | (slope_left[todo] > _SLOPE * allowed[todo])]
        if not len(todo):
            break
    return total, left, slope_left


def _few_high(panels: "_Panels", bound: Tails) -> tuple[_Sums, ndarray, ndarray, Int[ndarray, " rows"]]:
    """Add the same panels for all rows; what follows is as large as its bound, for all that is known."""
    count = len(panels.start)
    reached = np.full(count, FIRST_NODES * 2 ** len(_PARTS))
    return panels.same(_ABOVE, low=False), bound.beyond(reached), np.ones(count), reached


def _geometric(terms: Float[ndarray, "rows octaves"]) -> Float[ndarray, " rows"]:
    """What follows the last of some terms that fall like the last four of them."""
    fall = (terms[:, -1] / np.maximum(terms[:, -5], 1e-300)) ** 0.25
    fall = np.where(terms[:, -1] == 0, 0.0, fall)
    return np.where(fall < 0.999, terms[:, -1] * fall / np.maximum(1 - fall, 1e-3), np.inf)


def _high(
    panels: "_Panels", bound: Tails, now: Float[ndarray, " rows"], rtol: float, max_nodes: int
) -> tuple[_Sums, ndarray, ndarray, Int[ndarray, " rows"]]:
    """Add octaves upwards; the bound on what follows, its ratio for derivatives, and the node numbers they ended at."""
    f, m = panels.f, panels.m
    count, n = f.rows.G.shape
    total, todo, parts = _Sums.zeros(count, n), np.arange(count), np.ones(count, dtype=int)
    truncation, slope_ratio, reached = np.zeros(count), np.ones(count), np.full(count, FIRST_NODES)
    for octave in range(OCTAVES):
        first, last = FIRST_NODES * 2**octave, FIRST_NODES * 2 ** (octave + 1)
        row = np.repeat(todo, parts[todo])
        piece = np.concatenate([np.arange(k) for k in parts[todo]])
        low = panels.start[row] * 2.0**octave
        a, b = (low * (1 + (piece + s) / parts[row]) for s in (0, 1))
        place = np.searchsorted(todo, row)
        found = panels.integrate(row, place, a, b, low=False, labels=len(todo))
        total.add(todo, **vars(found))
        least, growth, unseen = credit(f, m, todo, panels.start[todo] * 2.0 ** (octave + 1))
        whole, curved = (bound.beyond(last, kind, todo) for kind in ("value", "curved"))
        expected = bound.beyond(first, which=todo) - whole
        ratio = np.clip(_SAFETY * found.swing / np.maximum(expected, 1e-300), least, 1.0)
        truncation[todo] = np.minimum(ratio * whole + growth * curved, whole)
        slope_ratio[todo], reached[todo] = np.minimum(4 * (ratio + unseen), 1.0), last
        parts[todo] = np.maximum(parts[todo], found.nodes // (2 * len(_X)))
        value = np.maximum(now[todo] + total.value[todo], 0.0)
        enough = truncation[todo] <= np.maximum(0.5 * rtol * value, total.rounding[todo])
        todo = todo[~enough & (total.nodes[todo] + 2 * found.nodes <= max_nodes)]
        if not len(todo):
            break
    return total, truncation, slope_ratio, reached


@dataclass(frozen=True, eq=False)
class _Panels:
    """Rows, and what a panel of theirs may miss."""

    f: Frame
    m: Moments
    start: ndarray
    allowed: ndarray

    def same(self, ends: Float[ndarray, " ends"], low: bool) -> _Sums:
        """Integrate panels between the same multiples of every row's start, none of them halved."""
        count, each = len(self.start), len(ends) - 1
        row = np.repeat(np.arange(count), each)
        a, b = (self.start[row] * np.tile(some, count) for some in (ends[:-1], ends[1:]))
        return self.integrate(row, row, a, b, low, count, halvings=0)

    def integrate(
        self,
        row: Int[ndarray, " panels"],
        label: Int[ndarray, " panels"],
        a: Float[ndarray, " panels"],
        b: Float[ndarray, " panels"],
        low: bool,
        labels: int | None = None,
        halvings: int = _HALVINGS,
    ) -> _Sums:
        """Integrate panels, halved where need be, and add them up by label."""
        n = self.f.rows.G.shape[1]
        total = _Sums.zeros(len(row) if labels is None else labels, n)
        step = max(1, _ELEMENTS // (n * len(_X)))
        for halving in range(halvings + 1):
            again = []
            for first in range(0, len(row), step):
                some = slice(first, first + step)
                part = self._rule(row[some], a[some], b[some], low)
                rough = np.maximum(part.miss, part.slope_miss / _SLOPE) > self.allowed[row[some]]
                rough &= halving < halvings
                total.add(label[some], **_only(part, ~rough))
                again.append(first + np.flatnonzero(rough))
            rest = np.concatenate(again) if again else np.zeros(0, dtype=int)
            if not len(rest):
                break
            row, label, middle = np.repeat(row[rest], 2), np.repeat(label[rest], 2), (a[rest] + b[rest]) / 2
            a, b = np.stack([a[rest], middle], 1).ravel(), np.stack([middle, b[rest]], 1).ravel()
        return total

    def _rule(self, row: ndarray, a: ndarray, b: ndarray, low: bool) -> _Sums:
        """Kronrod's rule on every panel, and its distance from Gauss's."""
        f, half = self.f.take(row), (b - a)[:, None] / 2
        t, h = (a + b)[:, None] / 2 + half * _X, half * _W
        n = f.rows.G.shape[1]
        if low:
            s = low_sums(f, _taken(self.m, row), t, h)
            value, db, dnoise, dG, terms, slopes = s.value, s.db, s.dnoise, s.dG, s.terms, s.slope_terms
            rounding, slope_rounding = (16 * _EPS * np.abs(x) for x in (terms, slopes))
        else:
            sets = [j for one in f.features.sets for j in one.members]
            singles = np.setdiff1d(np.arange(n), sets)
            lone = f.single[:, singles]
            found = node_sums(f, t, h, f.rows.G[:, singles], f.p[:, singles], lone)
            dG = np.zeros_like(f.rows.G)
            dG[:, singles] = found.d_single
            for one, slope in zip(f.features.sets, found.d_sets, strict=True):
                for j, x in zip(one.members, slope, strict=True):
                    dG[:, j] += np.where(f.rows.own == j, 0.0, x)
            dG[np.arange(len(row)), f.rows.own] += found.d_own
            value, db, dnoise, terms = found.value, found.db, found.dnoise, -found.summand
            slopes = t * terms
            grown = _EPS * found.full_size * (8 + 4 * t / self.start[row, None])
            rounding, slope_rounding = grown, t * grown
        return _Sums(
            value, db, dnoise, dG, _difference(terms), _difference(slopes), rounding.sum(1), slope_rounding.sum(1),
            variation(terms.real), np.full(len(row), len(_X)),
        )  # fmt: skip


def _only(part: _Sums, kept: ndarray) -> dict[str, ndarray]:
    """Leave out the panels that are halved, but for their nodes."""
    return {
        name: array if name == "nodes" else array * (kept[:, None] if array.ndim == 2 else kept)
        for name, array in vars(part).items()
    }


def _taken(m: Moments, which: Int[ndarray, " some"]) -> Moments:
    """Moments of some rows."""
    return replace(m, p=m.p[which], mean_x=m.mean_x[which], mean_z=m.mean_z[which], active=m.active[which])


def _difference(terms: ndarray) -> Float[ndarray, " panels"]:
    """What a panel may miss, as QUADPACK has it: differences of both rules that are small fall faster than they do."""
    size = np.abs(terms).sum(1)
    rough = np.abs((terms * (_MISS / _W)).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        sharp = size * (200 * rough / size) ** 1.5
    return np.where(size > 0, np.minimum(rough, sharp), 0.0)
