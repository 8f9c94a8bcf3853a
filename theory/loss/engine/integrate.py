"""Quadrature of the rows of a block: nodes are added, row by row, until the stated error is small enough."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.activation import SquaredError
from theory.loss.engine.credit import credit, least_ratio
from theory.loss.engine.frame import Frame, frame
from theory.loss.engine.moments import Moments, expected_error, moments
from theory.loss.engine.rows import Features, Rows
from theory.loss.engine.tails import FIRST_NODES, Tails, tails
from theory.loss.engine.window import window
from theory.loss.engine.work import Work, later

__all__ = ["Integral", "integrate"]

# The step may cost this part of what is allowed: the window grows with the logarithm only.
_STEP_SHARE = 1e-3
# If it costs this part of the value's, rows whose value is below this part of what was expected get another step.
_STEP_LIMIT, _COARSE = 0.1, 0.1
# The same of discrete values' revivals that were not looked for.
_UNSEEN_LIMIT, _LOUD = 0.2, 0.5
# Terms are measured against their bounds; beyond the last node they are trusted to stay at this multiple of the
# measured ratio, as far as theory.loss.engine.credit gives them credit.
_SAFETY = 4.0
# From this accuracy on few nodes do, whose terms have not yet come down to their least multiple of the bounds.
_COARSE_RTOL = 1e-5
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
        What is expected of value and base; nodes and step follow. By default a guess; rows far below it are done again.

    Returns
    -------
    Integral
        Sums and errors.
    """
    m = moments(rows, features) if m is None else m
    f = frame(rows, features, m, error, sign)
    scale = np.maximum(expected_error(rows, m, error), 1e-300) if scale is None else scale
    w = window(rows, features, m, error, low, high, _STEP_SHARE * rtol * scale)
    work = Work.of(f, w, base, rtol, rtol * scale)
    spread = np.sqrt(np.maximum(np.einsum("rj,rj->r", rows.G, m.cov_z), 0.0) + rows.noise)
    bound, grid = tails(f, w.half, spread, np.maximum(rtol * scale, rows.enough)), _node_grid(max_nodes)
    h = 2 * np.pi / w.half
    ratio, slope_ratio, truncation = np.ones(len(base)), np.ones(len(base)), np.full(len(base), np.inf)
    todo, coarse = np.arange(len(base)), np.zeros(len(base), dtype=bool)
    # First guess: as if the terms were at their least multiple of the bounds, to which few nodes come halfway
    beyond = bound.beyond(grid[:, None])
    aim = 0.5 * np.maximum(rtol * scale, rows.enough)
    multiple = least_ratio(f, np.where(rows.G != 0, m.active, 0.0)) ** (0.5 if rtol >= _COARSE_RTOL else 1.0)
    target = _enough(beyond, aim / multiple)
    more = np.flatnonzero(target)
    if len(more):
        last, whole = grid[target[more]], beyond[target[more], more]
        least, growth, _ = credit(f, m, more, h[more] * last)
        part = least + growth * bound.beyond(last, "curved", more) / np.maximum(whole, 1e-300)
        target[more] = np.maximum(target[more], _enough(beyond[:, more], aim[more] / np.minimum(part, 1.0)))
    while len(todo):
        if work.plan is not None and not work.plan.shared:  # fewer kinds of dear series
            target[todo] = np.minimum(target[todo] + target[todo] % 2, len(grid) - 1)
        first, last = work.nodes[todo], grid[target[todo]]
        least, growth, unseen = credit(f, m, todo, h[todo] * last)
        measured = work.add(todo, last)
        whole, curved = beyond[target[todo], todo], bound.beyond(last, "curved", todo)
        expected = bound.beyond(later(first, last), which=todo) - whole
        measured_ratio = np.minimum(np.maximum(_SAFETY * measured / np.maximum(expected, 1e-300), least), 1.0)
        truncation[todo] = np.minimum(measured_ratio * whole + growth * curved, whole)
        ratio[todo] = truncation[todo] / np.maximum(whole, 1e-300)
        slope_ratio[todo] = np.minimum(4 * (measured_ratio + unseen), 1.0)
        now = np.maximum(base[todo] + work.value[todo], 0.0)
        others = w.error[todo] + work.rounding[todo] + work.series[todo]
        asked = np.maximum(rtol * now, rows.enough[todo])
        allowed = np.maximum(asked - others, work.rounding[todo])
        step_allowed = np.maximum(_STEP_LIMIT * asked, work.rounding[todo])
        coarse[todo] = (w.error[todo] > step_allowed) & (now < _COARSE * scale[todo])
        coarse[todo] |= (bound.unseen[todo] > _UNSEEN_LIMIT * asked) & (now < _LOUD * scale[todo])
        again = (truncation[todo] > allowed) & (work.nodes[todo] < grid[-1]) & ~coarse[todo]
        todo, allowed = todo[again], allowed[again]
        enough = np.maximum(_enough(beyond[:, todo], allowed / ratio[todo]), target[todo] + 1)
        target[todo] = np.minimum(enough, len(grid) - 1)
    found = _gathered(work, bound, truncation, slope_ratio)
    if coarse.any():
        which = np.flatnonzero(coarse)
        left = np.maximum(base + work.value - w.error, _EPS * scale)[which]
        some, seen, ends = rows.take(which), features.take(which), (low[which], high[which], base[which])
        again = integrate(some, seen, error, sign[which], *ends, rtol, max_nodes, scale=left)
        for part in fields(Integral):
            getattr(found, part.name)[which] = getattr(again, part.name)
    return found


def _gathered(
    work: Work, bound: Tails, truncation: Float[ndarray, " rows"], slope_ratio: Float[ndarray, " rows"]
) -> Integral:
    """Give what was added up, with what the nodes beyond may add."""
    f, w, rows, m = work.f, work.w, work.f.rows, work.f.moments
    dG, still = work.dG, rows.G == 0
    if still.any():  # features that do not move z are independent of it
        still &= m.p > 0
        still[np.arange(len(dG)), rows.own] = False
        dG = np.where(still, m.mean_x * work.db[:, None], dG)
    slope_truncation = slope_ratio * bound.beyond(work.nodes, "gradient")
    unknown, slope_unknown = _unknown(f, w.half, work.nodes)
    return Integral(
        value=work.value,
        dG=dG,
        db=work.db,
        dnoise=np.where(rows.noise > 0, work.dnoise, 0.0),
        truncation=truncation,
        step=w.error,
        series=work.series,
        rounding=work.rounding + unknown,
        gradient_error=work.slope_rounding + w.gradient_error + work.slope_series + slope_truncation + slope_unknown,
        noise_error=work.noise_error + w.noise_error + (bound.beyond(work.nodes, "noise") if rows.noise.any() else 0.0),
        nodes=work.nodes,
        summed=work.summed,
    )


def _unknown(
    f: Frame, half: Float[ndarray, " rows"], nodes: Int[ndarray, " rows"]
) -> tuple[Float[ndarray, " rows"], Float[ndarray, " rows"]]:
    """
    Bound what errors of the values' transform do to value and gradient.

    If e(a) is off by less than q, Phi is by q times the number of active features, and Phi_x by that times the largest
    value. With h = 2 pi / half, sum t_k^-2 = half^2 / 8, sum t_k^-3 < 1.06 half^3 / pi^3 and sum t_k^-1 <
    half (2 + log(nodes)) / (2 pi).
    """
    law = f.features.values
    if not law.transform_error:
        return np.zeros(len(half)), np.zeros(len(half))
    off = law.transform_error * (1 + f.moments.active.sum(1))
    largest = min(max(np.abs(law.support)), 8 * np.sqrt(law.square))
    absolute, signed_square, cross = np.abs(f.weights[..., 1:]).sum(1).T
    first = absolute + cross * largest
    value = off * (first * half / 2 + signed_square * 0.28 * half**2)
    slope = off * (1 + largest) * (first * (2 + np.log(np.maximum(nodes, 1))) + signed_square * half)
    return value, slope


def _node_grid(max_nodes: int) -> Int[ndarray, " grid"]:
    """Numbers of nodes a row may have: 16, 24, 32, 48, 64 ... up to the budget."""
    grid = np.array([FIRST_NODES * 2**k * part // 2 for k in range(20) for part in (2, 3)])
    return grid[grid <= max(max_nodes, FIRST_NODES)]


def _enough(beyond: Float[ndarray, "grid some"], allowed: Float[ndarray, " some"]) -> Int[ndarray, " some"]:
    """Index of the least number of nodes beyond which the bound is at most what is allowed; the last if none is."""
    good = beyond <= allowed
    return np.where(good.any(0), good.argmax(0), len(beyond) - 1)
