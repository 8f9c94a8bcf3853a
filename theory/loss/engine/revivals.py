"""Discrete values: phi(t) does not decay, and comes back where the couplings' phases agree. How much of that is left?

For values that are atoms, |1 - p + p e|^2 <= exp(-2p(1-p) (1 - Re e)), so |Phi(t)| <= exp(C(t) - C(0)) with
C(t) = sum_j p_j (1-p_j) Re e(t g_j); and the part of Phi with two or more active features is about
P(0) (e^A - 1 - A), A(t) = sum_j p_j/(1-p_j) e(t g_j). Both sums are Fourier sums of the row's couplings: one transform of
their histogram shows every revival, lattice or almost lattice, up to frequencies far beyond the last node.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.engine.frame import Frame

__all__ = ["LEAST", "revivals"]

# Fewer features than this are better enumerated.
LEAST = 17
_BINS = 8192
# Rows transformed at once.
_ROWS = 64
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
    variance, active = np.zeros((len(which), _BINS)), np.zeros((len(which), _BINS))
    r = np.arange(len(which))[:, None]
    for v, q in atoms:
        position = G * v / width[:, None] % _BINS  # circular: phases at the frequencies of the transform
        low = np.floor(position).astype(int)
        share = position - low
        for cell, part in ((low % _BINS, 1 - share), ((low + 1) % _BINS, share)):
            place = (r * _BINS + cell).ravel()
            variance += np.bincount(place, (q * p * (1 - p) * part).ravel(), variance.size).reshape(variance.shape)
            active += np.bincount(place, (q * odds * part).ravel(), active.size).reshape(active.shape)
    frequency = np.arange(_BINS // 2)
    blur = np.sinc(frequency / _BINS) ** 2  # what the split between two cells does to every phase
    C = np.fft.rfft(variance, axis=1)[:, :-1].real / blur
    A = np.abs(np.fft.rfft(active, axis=1)[:, :-1]) / blur
    total = variance.sum(1, keepdims=True)
    t = frequency * (2 * np.pi / (_BINS * width))[:, None]
    step = t[:, 1:2]
    bound = np.exp(np.minimum((C - total) * (1 - _MARGIN), 0.0))
    pairs = (f.p[which] ** 2).sum(1, keepdims=True)
    A = np.minimum(A * (1 + _MARGIN), 600.0)
    few = f.none[which, None] * np.exp(np.minimum(pairs, 50.0))
    phi = np.minimum(bound + f.none[which, None] * (1 + A), few * (np.expm1(A) - A + pairs))
    x = np.minimum(bound, few * (np.expm1(A) + pairs)) * f.moments.square_own[which, None]
    absolute, square, cross = (np.abs(f.weights[which][..., i]).sum(1)[:, None] for i in (1, 2, 3))
    t[:, 0] = step[:, 0]  # the origin is no revival
    terms = (2 / np.pi) * step * ((absolute * phi + cross * x) / t**2 + 2 * square * phi / t**3)
    terms[:, 0] = 0.0
    beyond = np.cumsum(terms[:, ::-1], axis=1)[:, ::-1]
    T = (2 * np.pi / half)[:, None] * octaves
    place = np.clip(np.floor(T / step).astype(int), 0, _BINS // 2 - 1)
    # Beyond the transform a revival is possible; as at the origin, phi is high over about one over the spread of z
    last = np.maximum(T, t[:, -1:])
    weight = (2 / np.pi) * (absolute + cross * f.moments.square_own[which, None] + square / last)
    unseen = weight * np.minimum(1 / last, 1 / np.maximum(spread, 1e-300)[:, None] / last**2)
    return np.where(t[:, -1:] > T, np.take_along_axis(beyond, place, axis=1), 0.0) + unseen
