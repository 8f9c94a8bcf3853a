"""Discrete values: phi(t) does not decay, and comes back where the couplings' phases agree. How much of that is left?

For values that are atoms, |1 - p + p e|^2 <= exp(-2p(1-p) (1 - Re e)), so |Phi(t)| <= exp(C(t) - C(0)) with
C(t) = sum_j p_j (1-p_j) Re e(t g_j); and the part of Phi with two or more active features is about
P(0) (e^A - 1 - A), A(t) = sum_j p_j/(1-p_j) e(t g_j). Both sums are Fourier sums of the row's couplings: one
transform of their histogram shows every revival, lattice or almost lattice, up to frequencies far beyond the last node.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.fft import rfft

from theory.loss.engine.frame import Frame

__all__ = ["LEAST", "revivals"]

# Fewer features than this are better enumerated.
LEAST = 17
_BINS = 8192
_FREQUENCY = np.arange(_BINS // 2)
# What the split of a coupling between two bins does to every phase.
_BLUR = (np.sinc(_FREQUENCY / _BINS) ** 2).astype(np.float32)
# Powers of one over the frequency; the origin is no revival.
_WEIGHTS = {power: np.append(0.0, _FREQUENCY[1:] ** -float(power)).astype(np.float32) for power in (2, 3)}
# Sums over frequencies start at the low ones, and at every so many higher ones.
_LOW, _STRIDE = 64, 16
_EDGES = np.append(np.arange(_LOW), np.arange(_LOW, _BINS // 2, _STRIDE))
# Rows transformed at once: their arrays fit the L2 cache.
_ROWS = 16
# Peaks of C(t) are as wide as the couplings' spread is small: half of a peak's fall between two samples is allowed for.
_MARGIN = 0.1
# Rounding of the transform in single precision, in units of the sum of its numbers.
_SINGLE = 1e-5


def revivals(
    f: Frame, half: Float[ndarray, " rows"], spread: Float[ndarray, " rows"], octaves: Float[ndarray, " octaves"]
) -> Float[ndarray, "rows octaves"]:
    """
    Bound what nodes beyond a number could add for discrete values.

    Parameters
    ----------
    f : Frame
        Rows of many features, without larger sets.
    half : ndarray, shape (rows,)
        Windows L; h = 2 pi / L.
    spread : ndarray, shape (rows,)
        Standard deviation of z.
    octaves : ndarray
        Numbers of nodes.

    Returns
    -------
    ndarray, shape (rows, octaves)
        Bound of the value's terms beyond each of these numbers of nodes.
    """
    out = np.empty((len(half), len(octaves)))
    for start in range(0, len(half), _ROWS):
        which = np.arange(start, min(start + _ROWS, len(half)))
        out[which] = _some(f, which, half[which], spread[which], octaves)
    return out


def _some(f: Frame, which: ndarray, half: ndarray, spread: ndarray, octaves: ndarray) -> ndarray:
    G, p = f.rows.G[which], f.p[which]
    atoms = f.features.values.atoms
    reach = np.abs(G).max(1) * max(abs(v) for v, _ in atoms) * (1 + 1e-9)
    width = 2 * reach / (_BINS - 4)
    odds = np.where(p < 1, p / np.where(p < 1, 1 - p, 1.0), 0.0)
    # without closed patterns nothing is gained by leaving them out
    closed = f.none[which] + f.alone[which] + f.single[which].max(1) > 0
    places, shares, weights = [], [], []
    for v, q in atoms:
        position = G * (v / width)[:, None]  # circular: phases at the frequencies of the transform
        low = np.floor(position)
        share = position - low
        cell = low.astype(int) % _BINS
        places += [cell, (cell + 1) % _BINS]
        shares += [1 - share, share]
        weights += [q, q]
    place = np.stack(places) + _BINS * np.arange(len(which))[:, None]
    share = np.stack(shares) * np.array(weights)[:, None, None]
    variance = _summed(place, share * (p * (1 - p)), len(which))
    # single precision is off by far less than the margin, but where all phases agree
    C = rfft(variance, axis=1)[:, :-1].real * ((1 - _MARGIN) / _BLUR)
    C -= (1 - _MARGIN - _SINGLE) * variance.sum(1, keepdims=True)
    bound = np.exp(np.clip(C, -80.0, 0.0, out=C), out=C)
    one, two = bound, bound
    if closed.any():
        A = np.abs(rfft(_summed(place, share * odds, len(which)), axis=1)[:, :-1]) / _BLUR
        quiet = np.where(closed, f.quiet_others[which], 0.0)[:, None]
        one, two = _but_closed(bound.astype(float), A.astype(float), odds, p, quiet)
    # bounds of |Phi| and |Phi_x|, and the sums over frequencies of 2h/(pi t^2) and 4h/(pi t^3) times them
    p_own, square_own = f.p_own[which, None], f.moments.square_own[which, None]
    absolute, square, cross = (np.abs(f.weights[which][..., i]).sum(1)[:, None] for i in (1, 2, 3))
    step = (2 * np.pi / (_BINS * width))[:, None]
    weight = (2 / np.pi) / step
    squares, cubes = (_beyond(two, power) for power in (2, 3))
    squares_x, cubes_x = (squares, cubes) if one is two else (_beyond(one, power) for power in (2, 3))
    beyond = weight * (absolute * (squares + p_own * squares_x) + cross * square_own * squares_x)
    beyond += weight * 2 * square / step * (cubes + p_own * cubes_x)
    T = (2 * np.pi / half)[:, None] * octaves
    place = np.searchsorted(_EDGES, T / step, side="right") - 1
    # Beyond the transform a revival is possible; as at the origin, phi is high over about one over the spread of z
    end = step * _FREQUENCY[-1]
    last = np.maximum(T, end)
    weight = (2 / np.pi) * (absolute + cross * f.moments.square_own[which, None] + square / last)
    unseen = weight * np.minimum(1 / last, 1 / np.maximum(spread, 1e-300)[:, None] / last**2)
    return np.where(end > T, np.take_along_axis(beyond, place, axis=1), 0.0) + unseen


def _summed(place: ndarray, weight: ndarray, rows: int) -> Float[ndarray, "rows bins"]:
    """Add weights up bin by bin."""
    return np.bincount(place.ravel(), weight.ravel(), rows * _BINS).astype(np.float32).reshape(rows, _BINS)


def _beyond(bound: ndarray, power: int) -> Float[ndarray, "rows edges"]:
    """Sums of bounds over powers of the frequency, from each edge on."""
    weight = _WEIGHTS[power].astype(bound.dtype)
    high = bound[:, _LOW:].reshape(len(bound), -1, _STRIDE)
    parts = [bound[:, :_LOW] * weight[:_LOW], np.einsum("rbk,bk->rb", high, weight[_LOW:].reshape(-1, _STRIDE))]
    return np.cumsum(np.concatenate(parts, axis=1)[:, ::-1], axis=1, dtype=float)[:, ::-1]


def _but_closed(bound: ndarray, A: ndarray, odds: ndarray, p: ndarray, quiet: ndarray) -> tuple[ndarray, ndarray]:
    """Bounds of the patterns with one active feature or more, and with two or more."""
    # log(1 + r e) = r e up to r^2 / (2 (1 - r)): where few features are active the closed patterns can be left out
    largest = odds.max(1, keepdims=True)
    with np.errstate(divide="ignore", over="ignore"):
        curved = (odds**2).sum(1, keepdims=True) / np.where(largest < 1, 2 * (1 - largest), 0.0)
        curved = np.where((p == 1).any(1, keepdims=True), np.inf, np.minimum(curved, 600.0))
        A = np.minimum(A * (1 + _MARGIN), 300.0)
    few = (quiet > 0) & (curved < 300.0)
    rising = np.expm1(A)
    with np.errstate(over="ignore"):
        bend = (rising + 1) * np.expm1(np.minimum(curved, 300.0))
    one = np.where(few, np.minimum(bound, quiet * (rising + bend)), bound)
    two = np.where(few, np.minimum(bound, quiet * (rising - A + bend)), bound)
    return one, two
