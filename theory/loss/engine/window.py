"""The window |z| <= L outside of which the midpoint rule is wrong, and what it is wrong by.

With the step h = 2 pi / L the rule integrates |z| and z|z| exactly for |z| <= L; beyond, it continues them by mirror
images, so that it misses at most 2 (|z| - L) of |z| and 2 (|z| - L)^2 of z|z|, and of their derivatives at most 2 and
4 (|z| - L). Markov's inequality with (v_+)^k <= (k / (e s))^k exp(s v) turns that into M(s) exp(-s L) with
M(s) = E exp(sz), for z and -z, minimised over s. M is a product over sets of features; for many features, Bennett's
inequality log(1 + p (E exp(yu) - 1)) <= p y E u + p y^2 R(Y), R(Y) = sup of (E exp(yu) - 1 - y E u) / y^2 over
|y| <= Y, needs no more than two sums.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.engine.activation import SquaredError
from theory.loss.engine.laws import ValueLaw
from theory.loss.engine.moments import Moments
from theory.loss.engine.rows import Features, Rows

__all__ = ["Window", "window"]

# Exponents s are tried in units of one over the standard deviation of z, or of one over the largest coupling.
_TILTS = 2.0 ** np.arange(-3, 5.5, 0.5)
# Parts of the strip on which M(s) exists that are tried too, where it has an end.
_STRIP = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
# Up to so many features M(s) is computed feature by feature; beyond, the largest couplings only.
_EXACT, _LARGEST = 24, 6
# Numbers that M(s) is computed of at once: calls cost more than numbers where rows are few.
_TOGETHER = 8_000
# Windows are rounded up to powers of this: the step is locally constant, so that the gradient of the discretised loss
# is the discretised gradient.
_GRID = 8


@dataclass(frozen=True, eq=False)
class Window:
    """
    Window of every row.

    Attributes
    ----------
    half : ndarray, shape (rows,)
        L; the step is 2 pi / L.
    error, gradient_error, noise_error : ndarray, shape (rows,)
        Bounds on what the rule's step costs in value, in any entry of the gradient, and in the derivative in the noise.
    """

    half: Float[ndarray, " rows"]
    error: Float[ndarray, " rows"]
    gradient_error: Float[ndarray, " rows"]
    noise_error: Float[ndarray, " rows"]


def window(
    rows: Rows,
    features: Features,
    m: Moments,
    error: SquaredError,
    low: Float[ndarray, " rows"],
    high: Float[ndarray, " rows"],
    tolerance: Float[ndarray, " rows"],
) -> Window:
    """
    Choose the window of every row so that the step costs at most a tolerance.

    Parameters
    ----------
    rows : Rows
        The rows.
    features : Features
        What feeds them.
    m : Moments
        Their moments.
    error : SquaredError
        The activation, whose kinks the window is centred on.
    low, high : ndarray, shape (rows,)
        Smallest and largest possible z: a window that holds both costs nothing.
    tolerance : ndarray, shape (rows,)
        Largest error of the value.

    Returns
    -------
    Window
        Windows and bounds.
    """
    law = features.values
    spread = np.sqrt(np.maximum((rows.G * m.cov_z).sum(1), 0.0) + rows.noise)
    largest = np.abs(rows.G).max(1)
    unit = np.maximum(np.maximum(spread, 1e-3 * largest), 1e-300)
    s = _TILTS / unit[:, None]
    if np.isfinite(law.strip):  # where the largest coupling is far above the deviation, those would all be too steep
        s = np.concatenate([s, _STRIP * law.strip / np.maximum(largest, 1e-300)[:, None]], axis=1)
    # z and -z: the first axis of all that follows
    s, r = np.stack([s, -s]), np.arange(len(largest))
    cumulant = _log_mgf(rows, features, m, s, _large(rows.G, m.p))
    own_weight = _weight(law, s * rows.G[r, rows.own, None])
    reach = _weight(law, s * largest[:, None]).max(0)
    size = np.abs(s)
    half, miss, slope_miss, noise_miss = (np.zeros(len(r)) for _ in range(4))
    # the density of z at L is at most that of the noise at its centre times the same tilted probability
    peak = 1 / np.sqrt(2 * np.pi * np.where(rows.noise > 0, rows.noise, np.inf))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        kinks = []
        for theta, absolute, square, cross in error.kinks:
            value = 8 * abs(square) / (np.e * size) ** 2 + 2 * (abs(absolute) + abs(cross) * own_weight) / (np.e * size)
            slope = 4 * abs(square) / (np.e * size) * reach + 2 * abs(absolute) + 2 * abs(cross) * own_weight * reach
            tilted = cumulant + s * (rows.b[:, None] - theta)
            need = (tilted + np.log(value) - np.log(tolerance / (2 * len(error.kinks)))[:, None]) / size
            need = np.where(np.isfinite(need) & np.isfinite(slope), need, np.inf)
            best = (np.arange(2)[:, None], r, np.argmin(need, axis=2))
            half = np.maximum(half, need[best].max(0))
            bend = 2 * abs(square) + 2 * (abs(absolute) + abs(cross) * own_weight[best]) * peak
            kinks.append((tilted[best], size[best], value[best], slope[best], bend))
        farthest = np.zeros(len(r))
        for theta, *_ in error.kinks:
            farthest = np.maximum(farthest, np.maximum(high - theta, theta - low))
        holds_all = farthest * (1 + 1e-12) <= half
        half = np.where(holds_all, farthest, half)
        half = np.maximum(half, 1e-3 * spread)
        half = 2.0 ** (np.ceil(_GRID * np.log2(np.maximum(half, 1e-300)) + 1e-6) / _GRID)
        for tilted, tilt, value, slope, bend in kinks:
            outside = np.where(holds_all, 0.0, np.exp(tilted - tilt * half))
            miss += np.where(holds_all, 0.0, value * outside).sum(0)
            slope_miss += np.where(holds_all, 0.0, slope * outside).sum(0)
            noise_miss += np.where(holds_all, 0.0, bend * outside).sum(0)
    return Window(half, miss, slope_miss, noise_miss)


def _weight(law: ValueLaw, y: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
    """A bound of E|u| exp(yu) / E exp(yu): the largest |u|, or (exp(d|u|) - 1)/d >= |u| under the tilted law."""
    low, high = law.support
    if np.isfinite(low) and np.isfinite(high):
        return np.full(y.shape, max(abs(low), abs(high)))
    d = np.minimum(0.2 * min(law.strip, 1 / law.moment(2) ** 0.5), np.maximum(0.5 * (law.strip - np.abs(y)), 1e-300))
    centre = law.log_mgf(y)
    with np.errstate(over="ignore", invalid="ignore"):
        bound = (np.exp(law.log_mgf(y + d) - centre) + np.exp(law.log_mgf(y - d) - centre) - 1) / d
    return np.where(np.isfinite(bound), bound, np.inf)


@dataclass(frozen=True, eq=False)
class _Large:
    """Couplings that are treated one by one, and sums over all others."""

    G: ndarray  # (rows, some)
    p: ndarray
    first: ndarray  # (rows,): sum of p g over the others
    second: ndarray  # sum of p g^2
    largest: ndarray  # largest |g| of the others


def _large(G: Float[ndarray, "rows n"], p: Float[ndarray, "rows n"]) -> _Large:
    """Split couplings into a few large ones and the rest."""
    size = np.abs(G)
    if G.shape[1] <= _EXACT:
        zero = np.zeros(len(G))
        return _Large(G, p, zero, zero, zero)
    large, r = np.empty((len(G), _LARGEST), dtype=int), np.arange(len(G))
    for k in range(_LARGEST):  # faster than any sorting
        large[:, k] = size.argmax(1)
        size[r, large[:, k]] = -1.0
    some, some_p = np.take_along_axis(G, large, axis=1), np.take_along_axis(p, large, axis=1)
    weighted = p * G
    first = weighted.sum(1) - (some * some_p).sum(1)
    whole = np.einsum("rj,rj->r", weighted, G)
    second = whole - (some**2 * some_p).sum(1)
    slack = 1e-14 * whole  # the differences are known to rounding of what was subtracted only
    return _Large(some, some_p, first, np.maximum(second, 0) + slack, size.max(1))


def _log_mgf(
    rows: Rows, features: Features, m: Moments, s: Float[ndarray, "signs rows tilts"], large: _Large
) -> Float[ndarray, "signs rows tilts"]:
    """A bound of log E exp(s (z - b)); exact for few features."""
    G, p, law = large.G, large.p, features.values
    with np.errstate(over="ignore", invalid="ignore"):
        total = s**2 * rows.noise[:, None] / 2
        if large.largest.any():
            total += s * law.moment(1) * large.first[:, None]
            total += s**2 * large.second[:, None] * _remainder(law, np.abs(s) * large.largest[:, None])
        step = max(1, _TOGETHER // s.size)
        for start in range(0, G.shape[1], step):
            some = slice(start, start + step)
            exponent = law.log_mgf(s * G.T[some, None, :, None])
            q = p.T[some, None, :, None]
            # log(1 - p + p exp(v)) without overflow
            top = np.maximum(exponent, 0)
            mixed = np.log(np.maximum((1 - q) * np.exp(-top) + q * np.exp(exponent - top), 1e-300))
            total += np.where(q == 1, exponent, np.where(q > 0, top + mixed, 0.0)).sum(0)
        for law_of_set in features.sets:
            exponent = np.stack([law.log_mgf(s * rows.G[:, j, None]) for j in law_of_set.members])
            # Q grows with every member's: raising the least is safe, and keeps products from vanishing on the way
            exponent = np.maximum(exponent, -600 / len(exponent))
            # Q has degree one in every member: factor out what is large
            top = np.maximum(exponent, 0).sum(0)
            safe = top < 600
            Q = law_of_set.Q(np.exp(np.where(safe, exponent, 0.0)))
            total += np.where(safe, np.log(np.maximum(Q, 1e-300)), top)
    return np.where(np.isnan(total), np.inf, total)


def _remainder(law: ValueLaw, Y: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
    """Sup of (E exp(yu) - 1 - y E u) / y^2 over |y| <= Y."""
    Y = np.maximum(Y, 1e-4)
    if law.support[0] >= 0:  # a power series with positive coefficients: largest at the end
        return (np.expm1(law.log_mgf(Y)) - Y * law.moment(1)) / Y**2 + 1e-7
    return (np.expm1(law.log_mgf(Y)) + np.expm1(law.log_mgf(-Y))) / Y**2 + 1e-7
