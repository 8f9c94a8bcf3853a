"""Discrete values: phi(t) does not decay, and comes back where the couplings' phases agree. How much of that is left?

For values that are atoms, |1 - p + p e|^2 <= exp(-2p(1-p) (1 - Re e)), so |Phi(t)| <= exp(C(t) - C(0)) with
C(t) = sum_j p_j (1-p_j) Re e(t g_j); and the part of Phi with two or more active features is about
P(0) (e^A - 1 - A), A(t) = sum_j p_j/(1-p_j) e(t g_j). Both sums are Fourier sums of the row's couplings: one
transform of their histogram shows every revival, lattice or almost lattice, up to frequencies far beyond the last node,
as far as the accuracy that is asked for needs.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.fft import rfft

from theory.loss.engine.frame import Frame

__all__ = ["LEAST", "revivals"]

# Fewer features than this are better enumerated.
LEAST = 17
# Bins of the histogram and frequencies of its transform that are used: as few as see so far that neither one revival
# beyond, nor as many as there were in the upper half, add more than this part of what is allowed; as much is stated.
# Phases at the upper half of the last are rough.
_BINS, _USED = np.array([1024, 2048, 4096, 8192, 8192]), np.array([256, 512, 1024, 2048, 4096])
_UNSEEN = 0.04
# Sums over frequencies start at the low ones, and at every so many higher ones.
_LOW, _STRIDE = 64, 16
# Bins transformed at once: their arrays fit the L2 cache.
_AT_ONCE = 2**17
# Peaks of C(t) are as wide as the couplings' spread is small: half of a peak's fall between two samples is allowed for.
_MARGIN = 0.1
# Rounding of the transform in single precision, in units of the sum of its numbers.
_SINGLE = 1e-5


@dataclass(frozen=True, eq=False)
class _Transform:
    """What all transforms of one length share."""

    bins: int
    used: int
    blur: ndarray  # what the split of a coupling between two bins does to every phase
    weights: dict[int, ndarray]  # powers of one over the frequency; the origin is no revival
    edges: ndarray  # frequencies at which sums start

    @classmethod
    @lru_cache(maxsize=16)
    def of(cls, bins: int, used: int) -> "_Transform":
        frequency = np.arange(used)
        blur = (np.sinc(frequency / bins) ** 2).astype(np.float32)
        weights = {k: np.append(0.0, frequency[1:] ** -float(k)).astype(np.float32) for k in (2, 3)}
        return cls(bins, used, blur, weights, np.append(np.arange(_LOW), np.arange(_LOW, used, _STRIDE)))

    def beyond(self, bound: Float[ndarray, "rows frequencies"], power: int) -> Float[ndarray, "rows edges"]:
        """Sums of bounds over powers of the frequency, from each edge on."""
        weight = self.weights[power].astype(bound.dtype)
        high = bound[:, _LOW:].reshape(len(bound), -1, _STRIDE)
        parts = [bound[:, :_LOW] * weight[:_LOW], np.einsum("rbk,bk->rb", high, weight[_LOW:].reshape(-1, _STRIDE))]
        return np.cumsum(np.concatenate(parts, axis=1)[:, ::-1], axis=1, dtype=float)[:, ::-1]


def revivals(
    f: Frame,
    half: Float[ndarray, " rows"],
    spread: Float[ndarray, " rows"],
    octaves: Float[ndarray, " octaves"],
    allowed: Float[ndarray, " rows"],
) -> tuple[Float[ndarray, "rows octaves"], Float[ndarray, " rows"]]:
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
    allowed : ndarray, shape (rows,)
        Error of the value that would be small enough.

    Returns
    -------
    bound : ndarray, shape (rows, octaves)
        Bound of the value's terms beyond each of these numbers of nodes.
    unseen : ndarray, shape (rows,)
        The part of it that is due to frequencies that were not looked at.
    """
    reach = np.abs(f.rows.G).max(1) * max(abs(v) for v, _ in f.features.values.atoms) * (1 + 1e-9)
    every = np.arange(len(half))
    ends = np.pi / np.maximum(reach, 1e-300) * (_USED[:, None] - 1) * (1 - 4 / _BINS[:, None])
    unseen, most = _unseen(f, every, spread, ends), len(_BINS) - 1
    enough = unseen <= _UNSEEN * allowed
    enough[most] = True
    place = enough.argmax(0)
    out, again = np.empty((len(half), len(octaves))), np.empty(len(half))

    def look(rows: Int[ndarray, " some"]) -> None:
        for kind in np.unique(place[rows]):
            group = rows[place[rows] == kind]
            transform = _Transform.of(int(_BINS[kind]), int(_USED[kind]))
            step = _AT_ONCE // transform.bins
            for start in range(0, len(group), step):
                which = group[start : start + step]
                some = half[which], spread[which], reach[which]
                out[which], again[which] = _some(f, transform, which, *some, octaves)

    look(every)
    # what revives again and again does so beyond the end, as much as from half of it on
    often = np.flatnonzero((place < most) & (again > _UNSEEN * allowed))
    place[often] = most
    look(often)
    more = np.where(place < most, _UNSEEN * allowed, 0.0)
    return out + more[:, None], unseen[place, every] + more


def _unseen(f: Frame, which: ndarray, spread: ndarray, last: Float[ndarray, "#places rows"]) -> ndarray:
    """What one revival beyond a frequency could add: as at the origin, phi is high over about one over the spread."""
    absolute, square, cross = np.abs(f.weights[which, :, 1:]).sum(1).T
    weight = (2 / np.pi) * (absolute + cross * f.moments.square_own[which] + square / last)
    return np.asarray(weight * np.minimum(1 / last, 1 / np.maximum(spread, 1e-300) / last**2))


def _some(
    f: Frame,
    transform: _Transform,
    which: ndarray,
    half: ndarray,
    spread: ndarray,
    reach: ndarray,
    octaves: ndarray,
) -> tuple[ndarray, ndarray]:
    """Bound the terms of some rows, at the frequencies of one transform and beyond; and those in its upper half."""
    bins = transform.bins
    G, p = f.rows.G[which], f.p[which]
    atoms = f.features.values.atoms
    width = 2 * reach / (bins - 4)
    odds = np.where(p < 1, p / np.where(p < 1, 1 - p, 1.0), 0.0)
    # without closed patterns nothing is gained by leaving them out
    closed = f.none[which] + f.alone[which] + f.single[which].max(1) > 0
    places, shares, weights = [], [], []
    for v, q in atoms:
        position = G * (v / width)[:, None]  # circular: phases at the frequencies of the transform
        low = np.floor(position)
        share = position - low
        cell = low.astype(int) & (bins - 1)
        places += [cell, (cell + 1) & (bins - 1)]
        shares += [1 - share, share]
        weights += [q, q]
    place = np.stack(places) + bins * np.arange(len(which))[:, None]
    share = np.stack(shares) * np.array(weights)[:, None, None]
    variance = _summed(place, share * (p * (1 - p)), len(which), bins)
    # single precision is off by far less than the margin, but where all phases agree
    C = rfft(variance, axis=1)[:, : transform.used].real * ((1 - _MARGIN) / transform.blur)
    C -= (1 - _MARGIN - _SINGLE) * variance.sum(1, keepdims=True)
    bound = np.exp(np.clip(C, -80.0, 0.0, out=C), out=C)
    one, two = bound, bound
    if closed.any():
        A = np.abs(rfft(_summed(place, share * odds, len(which), bins), axis=1)[:, : transform.used]) / transform.blur
        quiet = np.where(closed, f.quiet_others[which], 0.0)[:, None]
        one, two = _but_closed(bound.astype(float), A.astype(float), odds, p, quiet)
    # bounds of |Phi| and |Phi_x|, and the sums over frequencies of 2h/(pi t^2) and 4h/(pi t^3) times them
    p_own, square_own = f.p_own[which, None], f.moments.square_own[which, None]
    absolute, square, cross = (np.abs(f.weights[which][..., i]).sum(1)[:, None] for i in (1, 2, 3))
    step = (2 * np.pi / (bins * width))[:, None]
    weight = (2 / np.pi) / step
    squares, cubes = (transform.beyond(two, power) for power in (2, 3))
    squares_x, cubes_x = (squares, cubes) if one is two else (transform.beyond(one, power) for power in (2, 3))
    beyond = weight * (absolute * (squares + p_own * squares_x) + cross * square_own * squares_x)
    beyond += weight * 2 * square / step * (cubes + p_own * cubes_x)
    T = (2 * np.pi / half)[:, None] * octaves
    place = np.searchsorted(transform.edges, T / step, side="right") - 1
    end = step * (transform.used - 1)
    last = np.maximum(T, end)
    unseen = _unseen(f, which, spread, last.T).T
    again = beyond[:, np.searchsorted(transform.edges, transform.used // 2)]
    return np.where(end > T, np.take_along_axis(beyond, place, axis=1), 0.0) + unseen, again


def _summed(place: ndarray, weight: ndarray, rows: int, bins: int) -> Float[ndarray, "rows bins"]:
    """Add weights up bin by bin."""
    return np.bincount(place.ravel(), weight.ravel(), rows * bins).astype(np.float32).reshape(rows, bins)


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
