"""Sums over many features of log(1 - p + p e(t g)) and of e(t g), at all nodes of all rows of a block together.

With y = h g the arguments at node k are (k + 1/2) y, whatever the row. On [-Y, Y] both functions are series of
Chebyshev polynomials in y whose coefficients all rows share, so a row enters through its moments
M_q = sum_j T_q(y_j / Y), then one matrix product. Since T_(aB+b) = 2 T_aB T_b - T_(aB-b), all Q moments of a row are
one product of A by n and n by B matrices, AB = Q: the recurrence over the couplings is needed for A + B polynomials
only. Densities that differ make the first function a short series in p too, F(a; p) = p sum_l F_l(a) T_l(x(p)), and
the moments M_ql = sum_j T_q(y_j / Y) p_j T_l(x(p_j)). The odds p/(1-p), the weights of the second one, are a sum of the
same p T_l(x(p)), so its moments are a sum of these.

Since e(-a) is the conjugate of e(a), coefficients of even q are real and those of odd q imaginary. The gradient goes
the same way back.
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

from theory.loss.engine.densities import DensityBasis, log_factor
from theory.loss.engine.laws import ValueLaw

__all__ = ["Series", "evaluate", "moments_of", "pull_back", "series"]

_EPS = float(np.finfo(float).eps)
# Numbers handled at once: of half as many, which fit the L2 cache, calls take longer than what leaves it.
_CACHED = 300_000
# Nodes are cut in two or three if so many of them come early.
_EARLY = 32


@dataclass(frozen=True, eq=False)
class Part:
    """
    Chebyshev coefficients of both functions at some of the nodes.

    Attributes
    ----------
    nodes : slice
        Which.
    even, odd : ndarray, shape (columns, Q/2, nodes)
        Real and imaginary parts of the coefficients of T_0, T_2 ... and of T_1, T_3 ...; the last column is e, those
        before it are log(1 - p + p e), one per term of the series in p.
    """

    nodes: slice
    even: Float[ndarray, "columns half nodes"]
    odd: Float[ndarray, "columns half nodes"]


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
    tail, tail_single : ndarray, shape (nodes,)
        What the series miss of log(1 - p + p e), of a feature whose weights are at most 1, and of e.
    tail_slope : ndarray, shape (nodes,)
        The same for the derivatives of both in y / Y, the larger of them.
    """

    parts: tuple[Part, ...]
    terms: int
    tail: Float[ndarray, " nodes"]
    tail_single: Float[ndarray, " nodes"]
    tail_slope: Float[ndarray, " nodes"]

    @property
    def numbers(self) -> int:
        """How many coefficients there are."""
        return sum(2 * part.even.size for part in self.parts)


def series(law: ValueLaw, basis: DensityBasis, Y: float, first: int, last: int, terms: int) -> Series:
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
    terms : int
        Number Q of Chebyshev polynomials, even.

    Returns
    -------
    Series
        Coefficients and what they miss.
    """
    return _KEPT(law, basis, Y, first, last, terms)


def _series(law: ValueLaw, basis: DensityBasis, Y: float, first: int, last: int, terms: int) -> Series:
    """Sample both functions and transform."""
    k = np.arange(first, last) + 0.5
    # of positive arguments; at negative ones both functions are conjugates
    samples = next_fast_len(int(0.75 * terms) + 8, real=True)
    angle = np.pi * (np.arange(samples) + 0.5) / (2 * samples)
    e = law.transform(k[:, None] * (Y * np.cos(angle)))
    functions = np.tensordot(np.array(basis.to_series), np.stack([log_factor(e, p) for p in basis.nodes]), 1)
    both = np.stack([_coefficients(f) for f in (*functions, e)])
    sizes = np.abs(both)
    # what is only rounding is counted as such
    sizes[sizes < 4 * _EPS * sizes.max((1, 2))[:, None, None]] = 0.0
    # aliases of what lies beyond the samples are as large as the last coefficients
    log, single = sizes[:-1].sum(0), sizes[-1]
    q = np.arange(2 * samples) ** 2.0
    tails = [size[:, terms:].sum(1) + 4 * size[:, -4:].sum(1) for size in (log, single)]
    slopes = [size[:, terms:] @ q[terms:] + 4 * size[:, -4:].sum(1) * q[-1] for size in (log, single)]
    parts = []
    for start, stop in _early_and_late(first, last):
        used = np.flatnonzero((sizes[:, start:stop, :terms] > 0).any((0, 1)))
        half = used[-1] // 2 + 1 if len(used) else 1
        even, odd = (both[:, start:stop, parity : 2 * half : 2].transpose(0, 2, 1).copy() for parity in (0, 1))
        parts.append(Part(slice(start, stop), even, odd))
    slope = np.maximum(slopes[0] + basis.miss * terms, slopes[1])
    return Series(tuple(parts), terms, tails[0] + basis.miss, tails[1], slope)


def _early_and_late(first: int, last: int) -> list[tuple[int, int]]:
    """Cut nodes, told by their places: terms grow like the largest argument."""
    edges = [first, *(last // part for part in (4, 2) if last // part >= max(first + 1, _EARLY)), last]
    return [(a - first, b - first) for a, b in pairwise(edges)]


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
    """Series that were made, the last ones up to some number of coefficients: many blocks and evaluations use them."""

    def __init__(self, numbers: int) -> None:
        self.numbers, self.lock = numbers, Lock()
        self.made: OrderedDict[tuple, Series] = OrderedDict()

    def __call__(self, *key: Any) -> Series:
        with self.lock:
            if key in self.made:
                self.made.move_to_end(key)
                return self.made[key]
        found = _series(*key)
        with self.lock:
            self.made[key] = found
            while sum(s.numbers for s in self.made.values()) > self.numbers and len(self.made) > 1:
                self.made.popitem(last=False)
        return found


_KEPT = _Kept(2**25)


def moments_of(
    x: Float[ndarray, "rows n"], columns: Float[ndarray, "*rows n columns"], terms: int
) -> Float[ndarray, "terms rows columns"]:
    """
    Compute the moments M_q = sum_j T_q(x_j) columns_j.

    Parameters
    ----------
    x : ndarray, shape (rows, n)
        Couplings y / Y in [-1, 1].
    columns : ndarray, shape (n, columns) or (rows, n, columns)
        Weights of the features.
    terms : int
        Number of Chebyshev polynomials.

    Returns
    -------
    ndarray, shape (terms, rows, columns)
        The moments.
    """
    number = columns.shape[-1]
    A, B = _strides(terms, number)
    P = np.empty((len(x), A, B * number))
    for some in _chunks(x, A + B * number):
        weighted = _weighted(_polynomials(x[some], B), columns if columns.ndim == 2 else columns[some])
        giant = _polynomials(_last_polynomial(x[some], B), A)
        np.matmul(giant.transpose(1, 0, 2), weighted.transpose(1, 2, 0), out=P[some])
    M = P.reshape(len(x), A, B, number).transpose(1, 2, 0, 3).copy()
    M[1:, 1:] *= 2
    for a in range(1, A):
        M[a, 1:] -= M[a - 1, :0:-1]
    return M.reshape(A * B, len(x), number)[:terms]


def _strides(terms: int, columns: int) -> tuple[int, int]:
    """A and B with A B >= terms: T_(aB+b) = 2 T_aB T_b - T_(aB-b), so A + B polynomials do for all products."""
    # one of the A takes twice as long as one of the B with one weight: it is multiplied and added up on the way back
    B = max(1, round((2 * terms / (1 + columns)) ** 0.5))
    return -(-terms // B), B


def _chunks(x: ndarray, arrays: int) -> list[slice]:
    """Cut rows into chunks of which so many arrays fit the cache."""
    size = max(1, _CACHED // (x.shape[1] * arrays))
    return [slice(start, start + size) for start in range(0, len(x), size)]


def _polynomials(x: Float[ndarray, "rows n"], number: int) -> Float[ndarray, "number rows n"]:
    """T_0 ... of x."""
    T = np.empty((number, *x.shape))
    T[0] = 1.0
    if number > 1:
        T[1] = x
    known = 2
    while known < number:  # T_(k+i) = 2 T_k T_i - T_(k-i)
        k = known - 1
        last = min(2 * k, number - 1)
        np.multiply(2 * T[k], T[1 : last - k + 1], out=T[known : last + 1])
        T[known : last + 1] -= T[k - 1 : 2 * k - last - 1 if last < 2 * k else None : -1]
        known = last + 1
    return T


def _last_polynomial(x: Float[ndarray, "rows n"], q: int) -> Float[ndarray, "rows n"]:
    """T_q of x, by halving: T_2q = 2 T_q^2 - 1 and T_(2q+1) = 2 T_q T_(q+1) - x."""
    low, high = np.ones_like(x), x  # T_k and T_(k+1)
    for bit in f"{q:b}":
        odd = 2 * low * high - x
        low, high = (odd, 2 * high * high - 1) if bit == "1" else (2 * low * low - 1, odd)
    return low


def _weighted(T: Float[ndarray, "number rows n"], columns: ndarray) -> Float[ndarray, "all rows n"]:
    """Products of polynomials and weights, the weights changing fastest."""
    if columns.ndim == 2 and columns.shape[1] == 1:
        return T if (columns == 1).all() else T * columns[:, 0]
    weights = np.ascontiguousarray(np.moveaxis(columns, -1, 0))
    weights = weights[:, None] if columns.ndim == 2 else weights
    return (T[:, None] * weights).reshape(-1, *T.shape[1:])


def evaluate(
    s: Series, M: Float[ndarray, "terms rows columns"], mix: Float[ndarray, " columns"]
) -> tuple[ndarray, ndarray]:
    """
    Give the sums of both functions at every node.

    Parameters
    ----------
    s : Series
        Coefficients.
    M : ndarray, shape (terms, rows, columns)
        Moments.
    mix : ndarray, shape (columns,)
        Weights of the columns in the moments of e.

    Returns
    -------
    log_phi, single : ndarray of complex, shape (rows, nodes)
        Sums of log(1 - p + p e) and of the weighted e.
    """
    shape = M.shape[1], len(s.tail)
    log_phi, single = np.zeros(shape, dtype=complex), np.zeros(shape, dtype=complex)
    of_single = M @ mix
    for part in s.parts:
        last, terms = len(part.even) - 1, 2 * part.even.shape[1]
        for column in range(last + 1):
            out = (single if column == last else log_phi)[:, part.nodes]
            moments = of_single[:terms] if column == last else M[:terms, :, column]
            out.real += moments[0::2].T @ part.even[column]
            out.imag += moments[1::2].T @ part.odd[column]
    return log_phi, single


def pull_back(
    s: Series,
    x: Float[ndarray, "rows n"],
    columns: Float[ndarray, "*rows n columns"],
    to_log_phi: ndarray,
    to_single: ndarray,
    mix: Float[ndarray, " columns"],
) -> Float[ndarray, "rows n"]:
    """
    Give the derivatives in x of Re sum_k (to_log_phi log_phi + to_single single).

    Parameters
    ----------
    s : Series
        Coefficients.
    x : ndarray, shape (rows, n)
        Couplings y / Y.
    columns : ndarray, shape (n, columns) or (rows, n, columns)
        Weights of the features.
    to_log_phi, to_single : ndarray of complex, shape (rows, nodes)
        Adjoints of the two sums.
    mix : ndarray, shape (columns,)
        Weights of the columns in the moments of e.

    Returns
    -------
    ndarray, shape (rows, n)
        The derivatives.
    """
    D, of_single = np.zeros((s.terms, len(x), columns.shape[-1])), np.zeros((s.terms, len(x)))
    single, log_phi = (
        (np.ascontiguousarray(a.real.T), np.ascontiguousarray(a.imag.T)) for a in (to_single, to_log_phi)
    )
    for part in s.parts:
        last, terms = len(part.even) - 1, 2 * part.even.shape[1]
        for column in range(last + 1):
            real, imaginary = (a[part.nodes] for a in (single if column == last else log_phi))
            out = of_single if column == last else D[:, :, column]
            out[:terms:2] += part.even[column] @ real
            out[1:terms:2] -= part.odd[column] @ imaginary
    D += of_single[:, :, None] * mix
    # Coefficients of the derivative's series: D'_{q-1} = D'_{q+1} + 2 q D_q
    D *= 2 * np.arange(s.terms)[:, None, None]
    slope = np.zeros_like(D)
    slope[:-1] = D[1:]
    for parity in (0, 1):
        slope[parity::2] = np.cumsum(slope[parity::2][::-1], axis=0)[::-1]
    slope[0] /= 2
    return _expanded(x, slope, columns)


def _expanded(
    x: Float[ndarray, "rows n"], slope: Float[ndarray, "terms rows columns"], columns: ndarray
) -> Float[ndarray, "rows n"]:
    """Sum of slope_q T_q(x); a coupling's coefficients are its row's times its feature's weights."""
    terms, rows, number = slope.shape
    A, B = _strides(terms, number)
    products = np.zeros((A, B, rows, number))
    products.reshape(A * B, rows, number)[:terms] = slope
    for a in range(A - 1, 0, -1):  # in terms of T_aB T_b
        products[a - 1, :0:-1] -= products[a, 1:]
        products[a, 1:] *= 2
    coefficients = products.transpose(2, 0, 1, 3).reshape(rows, A, B * number)
    out = np.empty_like(x)
    for some in _chunks(x, A + B * number):
        part = x[some]
        weighted = _weighted(_polynomials(part, B), columns if columns.ndim == 2 else columns[some])
        giant = _polynomials(_last_polynomial(part, B), A)
        giant *= np.matmul(coefficients[some], weighted.transpose(1, 0, 2)).transpose(1, 0, 2)
        np.sum(giant, axis=0, out=out[some])
    return out
