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

from theory.loss.engine.densities import POWERS, DensityBasis, log_factor
from theory.loss.engine.laws import ValueLaw

__all__ = ["Series", "evaluate", "moments_of", "pull_back", "series", "terms_for"]

_EPS = float(np.finfo(float).eps)
# Numbers handled at once: of half as many, which fit the L2 cache, calls take longer than what leaves it.
_CACHED = 300_000
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


def moments_of(
    x: Float[ndarray, "rows n"], columns: Float[ndarray, "*rows n columns"], terms: int
) -> Float[ndarray, "terms columns rows"]:
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
    ndarray, shape (terms, columns, rows)
        The moments.
    """
    number = columns.shape[-1]
    A, B = _strides(terms, number)
    P = np.empty((len(x), A, B * number))
    for some in _chunks(x, A + B * number):
        T = _polynomials(x[some], B + 1)
        weighted = _weighted(T[:B], columns if columns.ndim == 2 else columns[some])
        giant = _polynomials(T[B], A)
        np.matmul(giant.transpose(1, 0, 2), weighted.transpose(1, 2, 0), out=P[some])
    M = P.reshape(len(x), A, B, number).transpose(1, 2, 3, 0).copy()
    M[1:, 1:] *= 2
    for a in range(1, A):
        M[a, 1:] -= M[a - 1, :0:-1]
    return M.reshape(A * B, number, len(x))[:terms]


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


def _weighted(T: Float[ndarray, "number rows n"], columns: ndarray) -> Float[ndarray, "all rows n"]:
    """Products of polynomials and weights, the weights changing fastest."""
    if columns.ndim == 2 and columns.shape[1] == 1:
        return T if (columns == 1).all() else T * columns[:, 0]
    weights = np.ascontiguousarray(np.moveaxis(columns, -1, 0))
    weights = weights[:, None] if columns.ndim == 2 else weights
    return (T[:, None] * weights).reshape(-1, *T.shape[1:])


def evaluate(
    s: Series, M: Float[ndarray, "terms columns rows"], mix: Float[ndarray, " columns"]
) -> tuple[ndarray, ndarray]:
    """
    Give the sums of both functions at every node.

    Parameters
    ----------
    s : Series
        Coefficients.
    M : ndarray, shape (terms, columns, rows)
        Moments.
    mix : ndarray, shape (columns,)
        Weights of the columns in the moments of e.

    Returns
    -------
    log_phi, single : ndarray of complex, shape (rows, nodes)
        Sums of log(1 - p + p e) and of the weighted e.
    """
    shape = M.shape[2], len(s.tail)
    log_phi, single = np.empty(shape, dtype=complex), np.empty(shape, dtype=complex)
    of_log = [np.ascontiguousarray(M[parity::2, : s.columns]).reshape(-1, shape[0]).T for parity in (0, 1)]
    of_single = [np.einsum("qcr,c->rq", M[parity::2], mix) for parity in (0, 1)]
    for part in s.parts:
        log_phi.real[:, part.nodes] = of_log[0][:, : len(part.log_even)] @ part.log_even
        log_phi.imag[:, part.nodes] = of_log[1][:, : len(part.log_odd)] @ part.log_odd
        single.real[:, part.nodes] = of_single[0][:, : len(part.even)] @ part.even
        single.imag[:, part.nodes] = of_single[1][:, : len(part.odd)] @ part.odd
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
    number, rows = columns.shape[-1], len(x)
    slope = np.empty((s.terms, number, rows))
    for parity in (0, 1):
        # the real parts of the adjoints belong to even terms, and minus the imaginary ones to odd terms
        logs, singles = (_parts_of(a, parity) for a in (to_log_phi, to_single))
        of_log, of_single = np.zeros((s.terms // 2 * s.columns, rows)), np.zeros((s.terms // 2, rows))
        for part in s.parts:
            of = (part.log_odd, part.odd) if parity else (part.log_even, part.even)
            of_log[: len(of[0])] += of[0] @ logs[part.nodes]
            of_single[: len(of[1])] += of[1] @ singles[part.nodes]
        D = of_single[:, None] * mix[:, None]
        D[:, : s.columns] += of_log.reshape(-1, s.columns, rows)
        # Coefficients of the derivative's series: D'_{q-1} = D'_{q+1} + 2 q D_q
        D *= 2 * np.arange(parity, s.terms, 2)[:, None, None]
        sums = np.cumsum(D[::-1], axis=0)[::-1]
        if parity:
            slope[0::2] = sums
        else:
            slope[1:-1:2], slope[-1] = sums[1:], 0.0
    slope[0] /= 2
    return _expanded(x, slope, columns)


def _parts_of(adjoint: Complex[ndarray, "rows nodes"], parity: int) -> Float[ndarray, "nodes rows"]:
    """Real part, or minus the imaginary one, nodes first."""
    return np.ascontiguousarray(-adjoint.imag.T if parity else adjoint.real.T)


def _expanded(
    x: Float[ndarray, "rows n"], slope: Float[ndarray, "terms columns rows"], columns: ndarray
) -> Float[ndarray, "rows n"]:
    """Sum of slope_q T_q(x); a coupling's coefficients are its row's times its feature's weights."""
    terms, number, rows = slope.shape
    A, B = _strides(terms, number)
    by_pair = np.zeros((A, B, number, rows))
    by_pair.reshape(A * B, number, rows)[:terms] = slope
    for a in range(A - 1, 0, -1):  # in terms of T_aB T_b
        by_pair[a - 1, :0:-1] -= by_pair[a, 1:]
        by_pair[a, 1:] *= 2
    coefficients = by_pair.transpose(3, 0, 1, 2).reshape(rows, A, B * number)
    out = np.empty_like(x)
    for some in _chunks(x, A + B * number):
        T = _polynomials(x[some], B + 1)
        weighted = _weighted(T[:B], columns if columns.ndim == 2 else columns[some])
        giant = _polynomials(T[B], A)
        products = np.matmul(coefficients[some], weighted.transpose(1, 0, 2))
        np.einsum("arj,raj->rj", giant, products, out=out[some])
    return out
