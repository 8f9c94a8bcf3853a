"""Discrete values: phi(t) does not decay, and comes back where the couplings' phases agree. How much of that is left?

For values that are atoms, |1 - p + p e|^2 <= exp(-2p(1-p) (1 - Re e)), so |Phi(t)| <= exp(C(t) - C(0)) with
C(t) = sum_j p_j (1-p_j) Re e(t g_j); and the part of Phi with two or more active features is about
P(0) (e^A - 1 - A), A(t) = sum_j p_j/(1-p_j) e(t g_j). Both sums are Fourier sums of the row's couplings: one
transform of their histogram shows every revival, lattice or almost lattice, up to frequencies far beyond the last node.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.engine.frame import Frame

__all__ = ["LEAST", "revivals"]

# Fewer features than this are better enumerated.
LEAST = 17
_BINS = 8192
_FREQUENCY = np.arange(_BINS // 2)
_BLUR = np.sinc(_FREQUENCY / _BINS) ** 2  # what the split of a coupling between two bins does to every phase
_INVERSE = np.append(0.0, 1 / _FREQUENCY[1:])  # the origin is no revival
# Rows transformed at once: their arrays fit the L2 cache.
_ROWS = 16
# Peaks of C(t) are as wide as the couplings' spread is small: half of a peak's fall between two samples is allowed for.
_MARGIN = 0.1


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
    variance, active = np.zeros((len(which), _BINS)), np.zeros((len(which), _BINS))
    r = np.arange(len(which))[:, None]
    for v, q in atoms:
        position = G * v / width[:, None] % _BINS  # circular: phases at the frequencies of the transform
        low = np.floor(position).astype(int)
        share = position - low
        for cell, part in ((low % _BINS, 1 - share), ((low + 1) % _BINS, share)):
            place = (r * _BINS + cell).ravel()
            variance += np.bincount(place, (q * p * (1 - p) * part).ravel(), variance.size).reshape(variance.shape)
            if closed.any():
                active += np.bincount(place, (q * odds * part).ravel(), active.size).reshape(active.shape)
    C = np.fft.rfft(variance, axis=1)[:, :-1].real / _BLUR
    C -= variance.sum(1, keepdims=True)
    C *= 1 - _MARGIN
    bound = np.exp(np.minimum(C, 0.0, out=C), out=C)
    one, two = bound, bound
    if closed.any():
        A = np.abs(np.fft.rfft(active, axis=1)[:, :-1]) / _BLUR
        one, two = _but_closed(bound, A, odds, p, np.where(closed, f.quiet_others[which], 0.0)[:, None])
    # bounds of |Phi| and |Phi_x|, and the sums over frequencies of 2h/(pi t^2) and 4h/(pi t^3) times them
    p_own, square_own = f.p_own[which, None], f.moments.square_own[which, None]
    absolute, square, cross = (np.abs(f.weights[which][..., i]).sum(1)[:, None] for i in (1, 2, 3))
    step = (2 * np.pi / (_BINS * width))[:, None]
    weight = (2 / np.pi) / step
    of_x, curved = weight * cross * square_own, 2 * square / step * _INVERSE
    if two is one:
        terms = bound
        terms *= (weight * (1 + p_own) * absolute + of_x + weight * (1 + p_own) * curved) * _INVERSE**2
    else:
        terms = (weight * (absolute + curved) * (two + p_own * one) + of_x * one) * _INVERSE**2
    beyond = np.cumsum(terms[:, ::-1], axis=1)[:, ::-1]
    T = (2 * np.pi / half)[:, None] * octaves
    place = np.clip(np.floor(T / step).astype(int), 0, _BINS // 2 - 1)
    # Beyond the transform a revival is possible; as at the origin, phi is high over about one over the spread of z
    end = step * _FREQUENCY[-1]
    last = np.maximum(T, end)
    weight = (2 / np.pi) * (absolute + cross * f.moments.square_own[which, None] + square / last)
    unseen = weight * np.minimum(1 / last, 1 / np.maximum(spread, 1e-300)[:, None] / last**2)
    return np.where(end > T, np.take_along_axis(beyond, place, axis=1), 0.0) + unseen


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
