"""Chebyshev series of log(1 - p + p e) and of e in a coupling, at many nodes; those that were made are kept.

On [-Y, Y] both are series in y / Y whose coefficients all rows share (theory.loss.engine.power_sums). Since e(-a) is
the conjugate of e(a), coefficients of even terms are real and those of odd ones imaginary.
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray
from scipy.fft import dct, next_fast_len

from theory.loss.engine.densities import POWERS, DensityBasis, log_factor
from theory.loss.engine.laws import ValueLaw

__all__ = ["Part", "Series", "series", "terms_for"]

_EPS = float(np.finfo(float).eps)
# Nodes are cut into so many strips at most, of so many nodes at least.
_STRIPS, _STRIP = 8, 64
# Up to so many terms take hardly any time, and are kept.
_SHORT = 40
# Terms beyond the largest argument X, and in units of X^(1/3): Bessel functions J_q(X) are below 1e-13 from there on.
_MORE_TERMS, _MORE_CUBE_ROOTS = 20, 5.0
# Early nodes weigh more: they are tried with so many times as many terms for their arguments as the last ones.
_EARLY_MORE = 1.5
# Calls after which a series that is kept may make room: an evaluation needs at most a few dozen.
_LONG_AGO = 64


@dataclass(frozen=True, eq=False)
class Part:
    """
    Chebyshev coefficients of both functions at some of the nodes.

    Attributes
    ----------
    nodes : slice
        Which.
    log_even, log_odd : ndarray, shape (Q/2 columns, nodes)
        Real and imaginary parts of the coefficients of T_0, T_2 ... and of T_1, T_3 ... in log(1 - p + p e): one per
        term of the series in p, which change fastest.
    even, odd : ndarray, shape (Q/2, nodes)
        The same of e, which is smoother.
    """

    nodes: slice
    log_even: Float[ndarray, "all nodes"]
    log_odd: Float[ndarray, "all nodes"]
    even: Float[ndarray, "half nodes"]
    odd: Float[ndarray, "half nodes"]


@dataclass(frozen=True, eq=False)
class Series:
    """
    Chebyshev series of both functions, for nodes first ... last-1.

    Attributes
    ----------
    parts : tuple of Part
        The coefficients; terms of early nodes end sooner.
    terms : int
        Most terms Q.
    columns : int
        Terms of the series in p.
    tail, tail_single : ndarray, shape (nodes,)
        What the series in y miss of log(1 - p + p e), of a feature whose weights are at most 1, and of e.
    tail_slope : ndarray, shape (nodes,)
        The same for the derivatives of both in y / Y, the larger of them, with what the series in p misses.
    """

    parts: tuple[Part, ...]
    terms: int
    columns: int
    tail: Float[ndarray, " nodes"]
    tail_single: Float[ndarray, " nodes"]
    tail_slope: Float[ndarray, " nodes"]

    @property
    def numbers(self) -> int:
        """How many coefficients there are."""
        return sum(2 * (part.log_even.size + part.even.size) for part in self.parts)


def terms_for(more: float, X: float) -> int:
    """
    Give the number of Chebyshev polynomials, even, for arguments up to X.

    Parameters
    ----------
    more : float
        How many times as many as a series of one phase has.
    X : float
        Largest argument.

    Returns
    -------
    int
        The number.
    """
    return 2 * int(np.ceil(more * (X + _MORE_TERMS + _MORE_CUBE_ROOTS * X ** (1 / 3)) / 2))


def series(
    law: ValueLaw,
    basis: DensityBasis,
    Y: float,
    first: int,
    last: int,
    more: float,
    allowed: float = 0.0,
    fall: tuple[float, float] = (0.0, 1.0),
) -> Series:
    """
    Expand both functions.

    Parameters
    ----------
    law : ValueLaw
        Law of an active feature's value.
    basis : DensityBasis
        The densities at which log(1 - p + p e) is sampled, and how the samples turn into a series in p.
    Y : float
        Largest |y|.
    first, last : int
        Nodes.
    more : float
        The series have at most ``terms_for(more, Y last)`` terms.
    allowed : float
        What the series of node k may miss is this times (k + 1/2)^3 / last over the fall of |phi|; terms that are not
        needed for that are left out.
    fall : tuple of float
        A and B of the fall exp(-A (1 - (1 + B (k + 1/2)^2)^(-1/2))).

    Returns
    -------
    Series
        Coefficients and what they miss.
    """
    return _KEPT(law, basis, Y, first, last, more, allowed, fall)


def _series(
    law: ValueLaw,
    basis: DensityBasis,
    Y: float,
    first: int,
    last: int,
    more: float,
    allowed: float,
    fall: tuple[float, float],
) -> Series:
    """Sample both functions and transform, some nodes at a time."""
    most = terms_for(more, Y * last)
    parts, missed = [], []
    for nodes in _strips(first, last):
        k = np.arange(first, last)[nodes] + 0.5
        limit = allowed * k**3 / last * np.exp(np.minimum(fall[0] * (1 - (1 + fall[1] * k * k) ** -0.5), 300.0))
        terms = min(most, terms_for(_EARLY_MORE * more, Y * (k[-1] + 0.5)))
        part, miss = _strip(law, basis, Y, nodes, k, terms, limit)
        while terms < most and (miss[:2] > limit).any():
            terms = min(most, 2 * terms)
            part, miss = _strip(law, basis, Y, nodes, k, terms, limit)
        parts.append(part)
        missed.append(miss)
    tail, tail_single, slope, slope_single = np.concatenate(missed, axis=1)
    columns = len(basis.to_series)
    longest = max(2 * max(len(part.log_even) // columns, len(part.even)) for part in parts)
    a = Y * (np.arange(first, last) + 0.5)
    in_p = np.min([m * a ** max(q - 1, 0) for m, q in zip(basis.slope_misses, POWERS, strict=True)], axis=0)
    return Series(tuple(parts), longest, columns, tail, tail_single, np.maximum(slope + a * in_p, slope_single))


def _strip(
    law: ValueLaw, basis: DensityBasis, Y: float, nodes: slice, k: ndarray, terms: int, limit: ndarray
) -> tuple[Part, Float[ndarray, "kinds nodes"]]:
    """Expand at some nodes; what is missed of log(1 - p + p e), of e, and of the derivatives of both."""
    # of positive arguments; at negative ones both functions are conjugates
    samples = next_fast_len(int(0.75 * terms) + 8, real=True)
    angle = np.pi * (np.arange(samples) + 0.5) / (2 * samples)
    e = law.transform(k[:, None] * (Y * np.cos(angle)))
    logs = np.empty((len(basis.nodes), *e.shape), dtype=complex)
    for p, log in zip(basis.nodes, logs, strict=True):
        log[...] = log_factor(e, p)
    functions = np.tensordot(np.array(basis.to_series), logs, 1)
    coefficients, missed, q = [], [], np.arange(2 * samples) ** 2.0
    for both in (np.stack([_coefficients(f) for f in functions]), _coefficients(e)[None]):
        sizes = np.abs(both)
        # what is only rounding is counted as such
        sizes[sizes < 4 * _EPS * sizes.max((1, 2))[:, None, None]] = 0.0
        size = sizes.sum(0)
        left = _left(size)
        enough = max(int((left <= limit[:, None]).argmax(1).max()), _SHORT)
        half = -(-min(enough, terms) // 2)
        # aliases of what lies beyond the samples are as large as the last coefficients
        alias = 4 * size[:, -4:].sum(1)
        missed.append((left[:, 2 * half] + alias, size[:, 2 * half :] @ q[2 * half :] + alias * q[-1]))
        for parity in (0, 1):
            some = both[:, :, parity : 2 * half : 2].transpose(2, 0, 1)
            coefficients.append(some.reshape(-1, len(k)))
    return Part(nodes, *coefficients), np.array([missed[kind][order] for order in (0, 1) for kind in (0, 1)])


def _left(sizes: Float[ndarray, "nodes terms"]) -> Float[ndarray, "nodes all"]:
    """Sums from every place on."""
    sums = np.zeros((len(sizes), sizes.shape[1] + 1))
    np.cumsum(sizes[:, ::-1], axis=1, out=sums[:, -2::-1])
    return sums


def _strips(first: int, last: int) -> list[slice]:
    """Cut nodes, told by their places: terms grow like the largest argument."""
    step = max(_STRIP, last // _STRIPS)
    edges = [first, *(edge for edge in range(step, last - step // 2, step) if edge > first), last]
    return [slice(a - first, b - first) for a, b in pairwise(edges)]


def _coefficients(f: Complex[ndarray, "nodes samples"]) -> Float[ndarray, "nodes terms"]:
    """Coefficients of T_0, T_1 ...: even ones are those of the even real part, odd ones of the odd imaginary part."""
    nodes, samples = f.shape
    out = np.empty((nodes, samples, 2))
    out[..., 0] = dct(f.real, 2, axis=1)
    out[..., 1] = dct(f.imag, 4, axis=1)
    out /= samples
    out[:, 0, 0] /= 2
    return out.reshape(nodes, 2 * samples)


class _Kept:
    """
    Series that were made, up to some number of coefficients: many blocks and evaluations use them.

    What has not been used for long makes room, and only that: if evaluations need more than there is room for, one
    after the other, those that were used longest ago are those that are needed next.
    """

    def __init__(self, numbers: int) -> None:
        self.numbers, self.lock = numbers, Lock()
        self.made: OrderedDict[tuple, Series] = OrderedDict()
        self.used: dict[tuple, int] = {}
        self.calls = 0

    def __call__(self, *key: Any) -> Series:
        with self.lock:
            self.calls += 1
            if key in self.made:
                self.made.move_to_end(key)
                self.used[key] = self.calls
                return self.made[key]
        found = _series(*key)
        with self.lock:
            room = self.numbers - found.numbers - sum(s.numbers for s in self.made.values())
            while room < 0 and self.made and self.used[oldest := next(iter(self.made))] < self.calls - _LONG_AGO:
                room += self.made.pop(oldest).numbers
                del self.used[oldest]
            if room >= 0:
                self.made[key], self.used[key] = found, self.calls
        return found


_KEPT = _Kept(2**25)
