"""Sums over many features of log(1 - p + p e(t g)) and of e(t g), at all nodes of all rows of a block together.

With y = h g the arguments at node k are (k + 1/2) y, whatever the row. On [-Y, Y] both functions are series of Chebyshev
polynomials in y whose coefficients all rows share, so a row enters through its moments M_q = sum_j T_q(y_j / Y): a real
three-term recurrence over the couplings, then one matrix product. Densities that differ make the first function a short
series in p too, F(a; p) = sum_l F_l(a) T_l(x(p)), and the moments M_ql = sum_j T_q(y_j / Y) T_l(x(p_j)).

Since e(-a) is the conjugate of e(a), coefficients of even q are real and those of odd q imaginary. The gradient runs
the recurrence backwards (Clenshaw).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.fft import dct

from theory.loss.engine.densities import DensityBasis
from theory.loss.engine.laws import ValueLaw

__all__ = ["Series", "evaluate", "moments_of", "pull_back", "series"]

_EPS = float(np.finfo(float).eps)
# Couplings handled at once: the recurrence's four arrays of them fit the L2 cache.
_CACHED = 16_000


@dataclass(frozen=True, eq=False)
class Series:
    """
    Chebyshev coefficients of both functions, for nodes first ... last-1.

    Attributes
    ----------
    even, odd : ndarray, shape (columns, Q/2, nodes)
        Real and imaginary parts of the coefficients of T_0, T_2 ... and of T_1, T_3 ...; the last column is e, those
        before it are log(1 - p + p e), one per term of the series in p.
    tail : ndarray, shape (nodes,)
        What the series misses of one feature's log(1 - p + p e).
    tail_slope : ndarray, shape (nodes,)
        The same for its derivative in y / Y.
    """

    even: Float[ndarray, "columns half nodes"]
    odd: Float[ndarray, "columns half nodes"]
    tail: Float[ndarray, " nodes"]
    tail_slope: Float[ndarray, " nodes"]

    @property
    def terms(self) -> int:
        """Number Q of Chebyshev polynomials."""
        return 2 * self.even.shape[1]


@lru_cache(maxsize=64)
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
    k = np.arange(first, last) + 0.5
    samples = 2 * (int(0.75 * terms) + 8)  # half of them, the positive ones, suffice
    angle = np.pi * (np.arange(samples // 2) + 0.5) / samples
    e = law.transform(Y * np.cos(angle)[:, None] * k)
    functions = [_log_factor(e, p) for p in basis.nodes]
    columns = [sum(w * f for w, f in zip(row, functions, strict=True)) for row in basis.to_series]
    q = np.arange(samples)
    even, odd, tail, tail_slope = [], [], np.full(len(k), basis.miss), np.full(len(k), basis.miss * terms)
    for column, function in enumerate([*columns, e]):
        real = dct(np.concatenate([function.real, function.real[::-1]]), axis=0)[0::2] / samples
        imaginary = dct(np.concatenate([function.imag, -function.imag[::-1]]), axis=0)[1::2] / samples
        real[0] /= 2
        even.append(real[: terms // 2])
        odd.append(imaginary[: terms // 2])
        if column == len(columns):
            continue  # e is the tamer function
        both = np.empty((samples, len(k)))
        both[0::2], both[1::2] = np.abs(real), np.abs(imaginary)
        # what is only rounding is counted as such
        both[both < 4 * _EPS * np.abs(function).max(0)] = 0.0
        rest = both[terms:]
        # aliases of what lies beyond the samples are as large as the last coefficients
        beyond = 4 * rest[-4:].sum(0)
        tail = tail + rest.sum(0) + beyond
        tail_slope = tail_slope + (rest * q[terms:, None] ** 2).sum(0) + beyond * samples**2
    return Series(np.stack(even), np.stack(odd), tail, tail_slope)


def _log_factor(e: ndarray, p: float) -> ndarray:
    """log(1 - p + p e) along each column, whose phase runs on from 0 at y = 0 (the last row)."""
    factor = 1 - p + p * e
    out = np.empty_like(factor)
    out.real = 0.5 * np.log(np.maximum(factor.real**2 + factor.imag**2, 1e-300))
    phase = np.arctan2(factor.imag, factor.real)
    if p > 0.5:
        phase = np.unwrap(phase[::-1], axis=0)[::-1]
    out.imag = phase
    return out


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
        Weights of the features: terms of the series in p, and the weight of e.
    terms : int
        Number of Chebyshev polynomials.

    Returns
    -------
    ndarray, shape (terms, rows, columns)
        The moments.
    """
    M = np.empty((terms, len(x), columns.shape[-1]))
    for some in _chunks(x):
        part, weights = x[some], columns if columns.ndim == 2 else columns[some]
        before, now, twice = np.ones_like(part), part.copy(), 2 * part
        product = np.empty_like(part)
        _weigh(before, weights, M[0, some])
        _weigh(now, weights, M[1, some])
        for q in range(2, terms):
            np.multiply(twice, now, out=product)
            np.subtract(product, before, out=before)
            before, now = now, before
            _weigh(now, weights, M[q, some])
    return M


def _chunks(x: ndarray) -> list[slice]:
    """Cut rows into chunks that fit the cache."""
    size = max(1, _CACHED // x.shape[1])
    return [slice(start, start + size) for start in range(0, len(x), size)]


def _weigh(values: ndarray, weights: ndarray, out: ndarray) -> None:
    """Sum of values times weights over the features, which may differ from row to row."""
    if weights.ndim == 2:
        np.matmul(values, weights, out=out)
    elif weights.shape[2] == 1:
        out[:, 0] = (values * weights[..., 0]).sum(1)
    else:
        np.einsum("rs,rsl->rl", values, weights, out=out)


def evaluate(s: Series, M: Float[ndarray, "terms rows columns"], shared: bool) -> tuple[ndarray, ndarray]:
    """
    Give the sums of both functions at every node.

    Parameters
    ----------
    s : Series
        Coefficients.
    M : ndarray, shape (terms, rows, columns)
        Moments; one column that serves both functions if ``shared``.
    shared : bool
        Whether all densities are equal.

    Returns
    -------
    log_phi, single : ndarray of complex, shape (rows, nodes)
        Sums of log(1 - p + p e) and of the weighted e.
    """
    rows, nodes = M.shape[1], s.even.shape[2]
    log_phi, single = np.zeros((rows, nodes), dtype=complex), np.zeros((rows, nodes), dtype=complex)
    last = len(s.even) - 1
    for column in range(last + 1):
        out = single if column == last else log_phi
        moments = M[:, :, 0 if shared else column]
        out.real += moments[0::2].T @ s.even[column]
        out.imag += moments[1::2].T @ s.odd[column]
    return log_phi, single


def pull_back(
    s: Series,
    x: Float[ndarray, "rows n"],
    columns: Float[ndarray, "*rows n columns"],
    to_log_phi: ndarray,
    to_single: ndarray,
    shared: bool,
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
    shared : bool
        Whether one column of weights serves both functions.

    Returns
    -------
    ndarray, shape (rows, n)
        The derivatives.
    """
    rows, last = len(x), len(s.even) - 1
    D = np.zeros((s.terms, rows, columns.shape[-1]))
    for column in range(last + 1):
        adjoint = to_single if column == last else to_log_phi
        place = 0 if shared else column
        D[0::2, :, place] += s.even[column] @ adjoint.real.T
        D[1::2, :, place] -= s.odd[column] @ adjoint.imag.T
    # Coefficients of the derivative's series: D'_{q-1} = D'_{q+1} + 2 q D_q
    slope = np.zeros((s.terms + 1, rows, columns.shape[-1]))
    for q in range(s.terms - 1, 0, -1):
        slope[q - 1] = (slope[q + 1] if q + 1 <= s.terms else 0) + 2 * q * D[q]
    slope[0] /= 2
    out = np.empty_like(x)
    for some in _chunks(x):
        _clenshaw(x[some], slope[:, some], columns if columns.ndim == 2 else columns[some], out[some])
    return out


def _clenshaw(x: ndarray, slope: ndarray, columns: ndarray, out: ndarray) -> None:
    """Sum of slope_q T_q(x); a coupling's coefficients are its row's times its feature's weights."""
    now, before, twice = np.zeros_like(x), np.zeros_like(x), 2 * x
    product, term = np.empty_like(x), np.empty_like(x)
    one = columns.ndim == 2 and columns.shape[1] == 1 and bool((columns == columns[0]).all())
    for q in range(len(slope) - 3, -1, -1):
        np.multiply(twice if q else x, now, out=product)
        product -= before
        if one:
            product += slope[q] * columns[0]
        elif columns.ndim == 2:
            product += np.matmul(slope[q], columns.T, out=term)
        else:
            product += np.einsum("rl,rsl->rs", slope[q], columns)
        before, now, product = now, product, before
    out[...] = now
